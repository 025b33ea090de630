"""Network under training, with its optimizer and steps; Keras is imported inside functions."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.compat import to_stored
from core.datasets.chips import Chips
from core.errors import DamagedCheckpoint, InvalidSetting
from core.runs.checkpoints import Checkpoint, TrainerState
from core.runs.config import TrainingConfig
from core.runtime.device import Device
from models.registry import NETWORKS, Network, build

if TYPE_CHECKING:
    import keras

    from models.steps.base import Steps

#: Samples up to this size are cached on the GPU, where crops are then cut and augmented [bytes].
MAX_CACHED_BYTES = 4_000_000_000


def local_strategy() -> Any:
    """Create a tf.distribute.Strategy over all GPUs of this machine; None if there is only one or none."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return None
    from models.steps.tensorflow import all_gpus

    return all_gpus()


@dataclass(frozen=True)
class Learner:
    """A network under training, with its optimizer, steps and device."""

    model: "keras.Model"
    optimizer: "keras.Optimizer"
    steps: "Steps"
    device: Device
    precision: str
    network: Network

    @classmethod
    def build(cls, config: TrainingConfig, bands: int, strategy: Any = None) -> "Learner":
        """Build a network with random weights and its optimizer.

        Args:
            config: Settings of the training.
            bands: Bands of the images.
            strategy: tf.distribute.Strategy to replicate it by; None for one device.

        Raises:
            InvalidSetting: The options do not suit the network.
            MemoryError: The device has no memory for it.
        """
        import keras

        from models.steps.factory import make_steps, optimizer_for

        keras.utils.set_random_seed(config.seed)
        device = Device.of_keras()
        precision = device.precision(config.precision, single_device=strategy is None)
        previous = keras.config.dtype_policy()
        keras.config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
        try:
            with strategy.scope() if strategy else nullcontext():
                model = build(config.network, bands, **config.options)
                optimizer = optimizer_for(precision, config.weight_decay, config.ema_momentum)
        except ValueError as error:  # of options that a user typed, such as the members of an ensemble
            raise InvalidSetting(setting="the network", value=config.network, detail=str(error).rstrip(".")) from error
        finally:
            keras.config.set_dtype_policy(previous)
        xla, network = device.is_gpu and strategy is None, NETWORKS[config.network]
        return cls(
            model, optimizer, make_steps(model, optimizer, network.heads, strategy, xla), device, precision, network
        )

    def cache_on_device(self, chips: Chips) -> bool:
        """Cache all samples on the GPU if there is one with enough memory; True if they are cached."""
        fits = self.device.is_gpu and chips.bytes <= MAX_CACHED_BYTES
        return fits and self.steps.cache(chips.stacked(), chips.chip)

    def checkpoint(self, state: TrainerState, config: TrainingConfig) -> Checkpoint:
        """Make a checkpoint of the current state."""
        random = {"seed": config.seed, "epoch": state.epoch}
        weights, optimizer = (list(map(_array, group)) for group in (self.model.variables, self._adam.variables))
        return Checkpoint(state, weights, optimizer, random, to_stored(config))

    def restore(self, checkpoint: Checkpoint, file: Path) -> None:
        """Restore the state of a checkpoint that was read from `file`; raises DamagedCheckpoint if shapes differ."""
        pairs = ((self.model.variables, checkpoint.weights), (self._adam.variables, checkpoint.optimizer))
        for variables, values in pairs:
            if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
                raise DamagedCheckpoint(name=file)
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    @property
    def _adam(self) -> "keras.Optimizer":
        """Adam without the loss scaling around it.

        Loss scaling is used in float16 only and adapts again within some steps, so checkpoints go without.
        """
        return getattr(self.optimizer, "inner_optimizer", self.optimizer)

    @property
    def is_finite(self) -> bool:
        """True if every weight is finite: behind a ReLU, a NaN weight need not show in the loss."""
        return all(np.isfinite(weight).all() for weight in self.model.get_weights())

    @contextmanager
    def ema_weights(self) -> Iterator[None]:
        """Use the exponential moving average (EMA) of the weights in place of the last ones, if there is one."""
        means = getattr(self._adam, "_model_variables_moving_average", None) if self._adam.use_ema else None
        if not means or not int(_array(self._adam.iterations)):
            yield
            return
        weights = self.model.trainable_variables
        originals = [_array(weight) for weight in weights]
        for weight, mean in zip(weights, means, strict=True):
            weight.assign(mean)
        try:
            yield
        finally:
            for weight, values in zip(weights, originals, strict=True):
                weight.assign(values)

    def predict_layers(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict building probability and, if the network has it, the distance to the nearest boundary [m].

        Args:
            pixels: Normalized images, (n, rows, cols, bands) float32.

        Returns:
            (n, rows, cols, 1 or 2) float32.
        """
        from models.heads import decode

        return _array(decode(self.network.heads, self.steps.predict(pixels))).astype(np.float32)

    @property
    def memory_bytes(self) -> int | None:
        """Memory in use on the GPU [bytes]; None if unknown."""
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
