"""Training steps on JAX: the same metrics as on TensorFlow, for a machine without TensorFlow."""

from collections.abc import Sequence
from typing import Any

import jax
import keras
import numpy as np
from jax import numpy as jnp
from numpy.typing import NDArray

from models.augmentation import apply_photometric
from models.steps.base import Batch, CropWindows, MetricSums, metric_sums
from models.steps.crops import gather_crops


class JaxSteps:
    """Steps on JAX, see models.steps.base.Steps."""

    ranks = 1
    local_replicas = slice(0, 1)

    def __init__(self, model: keras.Model, optimizer: keras.Optimizer, heads: Sequence[str]) -> None:
        self._model, self._optimizer, self._heads = model, optimizer, tuple(heads)
        self._cached: tuple[jax.Array, ...] = ()
        self._chip = 0
        optimizer.build(model.trainable_variables)
        self._train_step, self._evaluate_step = jax.jit(self._train), jax.jit(self._evaluate)
        self._predict_step = jax.jit(self._forward)

    def cache(self, samples: Batch, chip: int) -> bool:
        """Cache samples on the device, see Steps.

        Args:
            samples: Pixels, target and weight of all samples, (samples, rows, cols, …).
            chip: Side of a crop [px].

        Returns:
            Whether the samples were cached.
        """
        try:
            self._cached = tuple(jnp.asarray(values) for values in samples)
        except jax.errors.JaxRuntimeError:
            return False
        self._chip = chip
        return True

    def train(
        self, batch: Batch | CropWindows, rate: float, photometric: NDArray[np.float32] | None = None
    ) -> MetricSums:
        """Update the weights with one batch, see Steps.

        Args:
            batch: Pixels, target and weight, or windows of cached samples.
            rate: Learning rate.
            photometric: Parameters of models.augmentation.apply_photometric, (n, 3 * bands + 4) float32.

        Returns:
            Sums for metrics_from_sums.
        """
        self._optimizer.learning_rate.assign(rate)
        total, state = self._run(self._train_step, batch, photometric)
        for variables, values in zip(self._variables(), state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return np.asarray(total, np.float64)

    def evaluate(self, batch: Batch | CropWindows) -> MetricSums:
        """Compute the same sums without updating the weights.

        Args:
            batch: Pixels, target and weight, or windows of cached samples.

        Returns:
            Sums for metrics_from_sums.
        """
        return np.asarray(self._run(self._evaluate_step, batch), np.float64)

    def predict(self, pixels: NDArray[np.float32]) -> Any:
        """Run the network.

        Args:
            pixels: Normalized images, (n, rows, cols, bands) float32.

        Returns:
            Output of the heads, (n, rows, cols, channels).
        """
        # Without jit every layer is compiled by itself, which takes most of a minute.
        return self._predict_step(self._state(), pixels)

    def _run(self, step: Any, batch: Batch | CropWindows, photometric: NDArray[np.float32] | None = None) -> Any:
        arrays = batch if isinstance(batch, tuple) else (batch,)
        unchanged = np.zeros((len(arrays[0]), 0), np.float32)
        try:
            result = step(self._state(), (*arrays, unchanged if photometric is None else photometric), self._cached)
            jax.tree_util.tree_leaves(result)[0].block_until_ready()  # a lack of memory is only raised here
            return result
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise MemoryError("the device ran out of memory for a batch of this size") from error

    def _state(self) -> list[list[Any]]:
        return [[variable.value for variable in variables] for variables in self._variables()]

    def _variables(self) -> tuple[list[Any], list[Any], list[Any]]:
        return self._model.trainable_variables, self._model.non_trainable_variables, self._optimizer.variables

    def _arrays(self, batch: Any, cached: Any) -> Any:
        return gather_crops(batch, cached, self._chip, self._heads)

    def _train(self, state: Any, batch: Any, cached: Any) -> Any:
        trainable, non_trainable, optimizer = state
        pixels, target, weight = self._arrays(batch, cached)

        def loss(trainable: Any) -> Any:
            augmented = apply_photometric(pixels, batch[-1])
            output, updated = self._model.stateless_call(trainable, non_trainable, augmented, training=True)
            total = metric_sums(self._heads, target, output, weight)
            value = total[0] / jnp.maximum(total[1], 1.0)
            with keras.StatelessScope(zip(self._optimizer.variables, optimizer, strict=True)):
                return self._optimizer.scale_loss(value), (total, updated)

        gradients, (total, updated) = jax.grad(loss, has_aux=True)(trainable)
        trainable, optimizer = self._optimizer.stateless_apply(optimizer, gradients, trainable)
        return total, (trainable, updated, optimizer)

    def _evaluate(self, state: Any, batch: Any, cached: Any) -> Any:
        pixels, target, weight = self._arrays(batch, cached)
        return metric_sums(self._heads, target, self._forward(state, pixels), weight)

    def _forward(self, state: Any, pixels: Any) -> Any:
        trainable, non_trainable, _ = state
        return self._model.stateless_call(trainable, non_trainable, pixels, training=False)[0]
