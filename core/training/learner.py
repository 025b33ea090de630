"""A network that learns: with its optimiser, its steps, and all of their state. Keras is woken inside functions."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.datasets.chips import Chips
from core.errors import DamagedCheckpoint, InvalidSetting
from core.runs.checkpoints import Checkpoint, Standing
from core.runs.config import TrainingConfig
from core.runtime.device import Device
from models.registry import NETWORKS, Network, build

if TYPE_CHECKING:
    import keras

    from models.steps.base import Steps

#: Tiles up to this size lie on the GPU while it trains, where crops are then cut and turned.
MOST_HELD_BYTES = 4_000_000_000


def local_strategy() -> Any:
    """A tf.distribute.Strategy over all GPUs of this machine, None where there are not several."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return None
    from models.steps.tensorflow import all_gpus

    return all_gpus()


@dataclass(frozen=True)
class Learner:
    """A network under training."""

    model: "keras.Model"
    optimizer: "keras.Optimizer"
    steps: "Steps"
    device: Device
    precision: str
    network: Network

    @classmethod
    def build(cls, config: TrainingConfig, bands: int, strategy: Any = None) -> "Learner":
        """With fresh weights, on all that `strategy` spreads over; raises MemoryError, InvalidSetting."""
        import keras

        from models.steps.factory import optimizer_for, steps

        keras.utils.set_random_seed(config.seed)
        device = Device.of_keras()
        precision = device.precision(config.precision, alone=strategy is None)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
        try:
            with strategy.scope() if strategy else nullcontext():
                model = build(config.network, bands, **config.options)
                optimizer = optimizer_for(precision, config.weight_decay, config.average)
        except ValueError as error:  # of what a person wrote, such as the members of an ensemble
            raise InvalidSetting(setting="the network", value=config.network, detail=str(error).rstrip(".")) from error
        finally:
            keras.config.set_dtype_policy(before)
        xla, network = device.is_gpu and strategy is None, NETWORKS[config.network]
        return cls(model, optimizer, steps(model, optimizer, network.heads, strategy, xla), device, precision, network)

    def hold(self, chips: Chips) -> bool:
        """Puts the scenes on the GPU, where there is one with room for them; whether that was done."""
        fits = self.device.is_gpu and chips.bytes <= MOST_HELD_BYTES
        return fits and self.steps.hold(chips.stacked(), chips.chip)

    def checkpoint(self, standing: Standing, config: TrainingConfig) -> Checkpoint:
        """Everything needed to go on from here."""
        random = {"seed": config.seed, "epoch": standing.epoch}
        weights, optimizer = (list(map(_array, part)) for part in (self.model.variables, self._adam.variables))
        return Checkpoint(standing, weights, optimizer, random, asdict(config))

    def restore(self, checkpoint: Checkpoint, file: Path) -> None:
        """Takes on the state of a checkpoint from `file`; raises DamagedCheckpoint where it is another network's."""
        pairs = ((self.model.variables, checkpoint.weights), (self._adam.variables, checkpoint.optimizer))
        for variables, values in pairs:
            if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
                raise DamagedCheckpoint(name=file)
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    @property
    def _adam(self) -> "keras.Optimizer":
        """The optimiser itself: the scale of gradients around it in float16 is found again within some steps, and a
        machine that computes otherwise has none."""
        return getattr(self.optimizer, "inner_optimizer", self.optimizer)

    @property
    def is_finite(self) -> bool:
        """Whether every weight is a number: behind a ReLU one can be lost without a trace in the loss."""
        return all(np.isfinite(weight).all() for weight in self.model.get_weights())

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """With the moving average of the weights instead of the last ones, where there is one."""
        means = getattr(self._adam, "_model_variables_moving_average", None) if self._adam.use_ema else None
        if not means or not int(_array(self._adam.iterations)):
            yield
            return
        weights = self.model.trainable_variables
        kept = [_array(weight) for weight in weights]
        for weight, mean in zip(weights, means, strict=True):
            weight.assign(mean)
        try:
            yield
        finally:
            for weight, values in zip(weights, kept, strict=True):
                weight.assign(values)

    def layers(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, rows, columns, bands) to (n, rows, columns, 1 or 2): the probability of "building", and the distance to
        the nearest wall in metres where the network tells it.
        """
        from models.heads import layers

        return _array(layers(self.network.heads, self.steps.answer(pixels))).astype(np.float32)

    @property
    def memory_bytes(self) -> int | None:
        """In use on the GPU; None where the device does not tell."""
        if not self.device.is_gpu:
            return None
        import keras

        if keras.backend.backend() == "jax":
            import jax

            return int((jax.devices()[0].memory_stats() or {}).get("bytes_in_use", 0)) or None
        import tensorflow as tf

        return int(tf.config.experimental.get_memory_info("GPU:0")["current"])


def _array(variable: Any) -> NDArray:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(variable))
