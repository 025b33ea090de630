"""Training steps on TensorFlow, on one device or distributed by tf.distribute over GPUs and machines.

`Model.fit` of Keras 3 fails under MultiWorkerMirroredStrategy (Keras issue 20585), so this is a custom training step.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.augmentation import apply_photometric
from models.steps.base import Batch, CropWindows, MetricSums, metric_sums
from models.steps.crops import gather_crops


class TensorflowSteps:
    """Steps on TensorFlow, see models.steps.base.Steps."""

    def __init__(
        self, model: keras.Model, optimizer: keras.Optimizer, heads: Sequence[str], strategy: Any = None,
        xla: bool = False,
    ) -> None:  # fmt: skip
        self._model, self._optimizer, self._heads = model, optimizer, tuple(heads)
        self._strategy = strategy or tf.distribute.get_strategy()
        self._cached: tuple[tf.Tensor, ...] = ()
        self._chip = 0
        self.ranks = int(self._strategy.num_replicas_in_sync)
        workers, index = _place_in_cluster(self._strategy)
        replicas = self.ranks // workers
        self.local_replicas = slice(index * replicas, (index + 1) * replicas)
        with self._strategy.scope():
            optimizer.build(model.trainable_variables)
        train, evaluate = (
            tf.function(step, jit_compile=True) if xla else step for step in (self._train, self._evaluate)
        )
        self._train_step = tf.function(lambda batch: self._reduce(train, batch), reduce_retracing=True)
        self._evaluate_step = tf.function(lambda batch: self._reduce(evaluate, batch), reduce_retracing=True)

    def cache(self, samples: Batch, chip: int) -> bool:
        """Cache samples on the device, see Steps; only with a single replica.

        Args:
            samples: Pixels, target and weight of all samples, (samples, rows, cols, …).
            chip: Side of a crop [px].

        Returns:
            Whether the samples were cached.
        """
        if self.ranks > 1:
            return False
        try:
            self._cached = tuple(tf.constant(values) for values in samples)
        except tf.errors.ResourceExhaustedError:
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
        return self._run(self._train_step, batch, photometric)

    def evaluate(self, batch: Batch | CropWindows) -> MetricSums:
        """Compute the same sums without updating the weights.

        Args:
            batch: Pixels, target and weight, or windows of cached samples.

        Returns:
            Sums for metrics_from_sums.
        """
        return self._run(self._evaluate_step, batch)

    def predict(self, pixels: NDArray[np.float32]) -> Any:
        """Run the network.

        Args:
            pixels: Normalized images, (n, rows, cols, bands) float32.

        Returns:
            Output of the heads, (n, rows, cols, channels).
        """
        # Not predict_on_batch: it concatenates the outputs of all replicas of a strategy.
        return self._model(pixels, training=False)

    def _run(self, step: Any, batch: Batch | CropWindows, photometric: NDArray[np.float32] | None = None) -> MetricSums:
        arrays = batch if isinstance(batch, tuple) else (batch,)
        unchanged = np.zeros((len(arrays[0]), 0), np.float32)
        try:
            return np.asarray(
                step(self._distribute((*arrays, unchanged if photometric is None else photometric))), np.float64
            )
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError("the device ran out of memory for a batch of this size") from error

    def _distribute(self, arrays: tuple[NDArray, ...]) -> Any:
        """Split the batch into equal shares for the replicas of this process."""
        if self.ranks == 1:
            return tuple(tf.constant(values) for values in arrays)
        replicas = self.local_replicas.stop - self.local_replicas.start

        def replica_share(context: Any) -> tuple[tf.Tensor, ...]:
            n = context.replica_id_in_sync_group - self.local_replicas.start
            size = len(arrays[0]) // replicas
            return tuple(tf.constant(values[n * size : (n + 1) * size]) for values in arrays)

        return self._strategy.experimental_distribute_values_from_function(replica_share)

    def _reduce(self, step: Any, batch: Any) -> tf.Tensor:
        return self._strategy.reduce("SUM", self._strategy.run(step, args=(batch,)), axis=None)

    def _arrays(self, batch: Any) -> Any:
        return gather_crops(batch, self._cached, self._chip, self._heads)

    def _train(self, batch: Any) -> tf.Tensor:
        pixels, target, weight = self._arrays(batch)
        with tf.GradientTape() as tape:
            augmented = apply_photometric(pixels, batch[-1])
            total = metric_sums(self._heads, target, self._model(augmented, training=True), weight)
            # The weight of all replicas: gradients are summed, and each pixel counts the same on every device.
            total_weight = tf.distribute.get_replica_context().all_reduce("SUM", tf.stop_gradient(total[1]))
            loss = self._optimizer.scale_loss(total[0] / tf.maximum(total_weight, 1.0))
        weights = self._model.trainable_weights
        self._optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return total

    def _evaluate(self, batch: Any) -> tf.Tensor:
        pixels, target, weight = self._arrays(batch)
        return metric_sums(self._heads, target, self._model(pixels, training=False), weight)


def _place_in_cluster(strategy: Any) -> tuple[int, int]:
    """Return the number of processes that train together and the index of this one."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.cluster_spec().as_dict():
        return 1, 0
    return len(resolver.cluster_spec().as_dict().get("worker", [0])), int(resolver.task_id or 0)


def all_gpus() -> Any:
    """Return a strategy over all visible GPUs of this machine, None with fewer than two."""
    gpus = tf.config.list_physical_devices("GPU")
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else None
