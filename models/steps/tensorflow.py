"""Steps of training in TensorFlow, on one device or spread by a tf.distribute.Strategy over GPUs and machines.

`Model.fit` of Keras 3 fails under MultiWorkerMirroredStrategy (Keras issue 20585), so the step is our own everywhere.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.augmentation import changed
from models.steps.base import Batch, Places, Sums, sums
from models.steps.crops import crops


class TensorflowSteps:
    """See models.steps.base.Steps."""

    def __init__(
        self, model: keras.Model, optimizer: keras.Optimizer, heads: Sequence[str], strategy: Any = None,
        xla: bool = False,
    ) -> None:  # fmt: skip
        self._model, self._optimizer, self._heads = model, optimizer, tuple(heads)
        self._strategy = strategy or tf.distribute.get_strategy()
        self._held: tuple[tf.Tensor, ...] = ()
        self._chip = 0
        self.ranks = int(self._strategy.num_replicas_in_sync)
        workers, index = _place_in_cluster(self._strategy)
        here = self.ranks // workers
        self.own = slice(index * here, (index + 1) * here)
        with self._strategy.scope():
            optimizer.build(model.trainable_variables)
        learn, look = (tf.function(step, jit_compile=True) if xla else step for step in (self._learn, self._look))
        self._train = tf.function(lambda batch: self._everywhere(learn, batch), reduce_retracing=True)
        self._check = tf.function(lambda batch: self._everywhere(look, batch), reduce_retracing=True)

    def hold(self, scenes: Batch, chip: int) -> bool:
        """See Steps; only for a single device, since others would send for every batch."""
        if self.ranks > 1:
            return False
        try:
            self._held = tuple(tf.constant(part) for part in scenes)
        except tf.errors.ResourceExhaustedError:
            return False
        self._chip = chip
        return True

    def train(self, batch: Batch | Places, rate: float, looks: NDArray[np.float32] | None = None) -> Sums:
        """See Steps."""
        self._optimizer.learning_rate.assign(rate)
        return self._run(self._train, batch, looks)

    def check(self, batch: Batch | Places) -> Sums:
        """See Steps."""
        return self._run(self._check, batch)

    def answer(self, pixels: NDArray[np.float32]) -> Any:
        """See Steps."""
        # Not by predict_on_batch: that gives what every device of a strategy says, one after the other.
        return self._model(pixels, training=False)

    def _run(self, step: Any, batch: Batch | Places, looks: NDArray[np.float32] | None = None) -> Sums:
        arrays = batch if isinstance(batch, tuple) else (batch,)
        unchanged = np.zeros((len(arrays[0]), 0), np.float32)
        try:
            return np.asarray(step(self._spread((*arrays, unchanged if looks is None else looks))), np.float64)
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError("the device has no room for a batch of this size") from error

    def _spread(self, arrays: tuple[NDArray, ...]) -> Any:
        """The batch, cut into equal parts for the devices of this process."""
        if self.ranks == 1:
            return tuple(tf.constant(part) for part in arrays)
        here = self.own.stop - self.own.start

        def part(context: Any) -> tuple[tf.Tensor, ...]:
            n = context.replica_id_in_sync_group - self.own.start
            size = len(arrays[0]) // here
            return tuple(tf.constant(values[n * size : (n + 1) * size]) for values in arrays)

        return self._strategy.experimental_distribute_values_from_function(part)

    def _everywhere(self, step: Any, batch: Any) -> tf.Tensor:
        return self._strategy.reduce("SUM", self._strategy.run(step, args=(batch,)), axis=None)

    def _arrays(self, batch: Any) -> Any:
        return crops(batch, self._held, self._chip, self._heads)

    def _learn(self, batch: Any) -> tf.Tensor:
        pixels, target, weight = self._arrays(batch)
        with tf.GradientTape() as tape:
            seen = changed(pixels, batch[-1])
            total = sums(self._heads, target, self._model(seen, training=True), weight)
            # Over all devices: a pixel counts the same wherever it is, and gradients are summed.
            everywhere = tf.distribute.get_replica_context().all_reduce("SUM", tf.stop_gradient(total[1]))
            loss = self._optimizer.scale_loss(total[0] / tf.maximum(everywhere, 1.0))
        weights = self._model.trainable_weights
        self._optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return total

    def _look(self, batch: Any) -> tf.Tensor:
        pixels, target, weight = self._arrays(batch)
        return sums(self._heads, target, self._model(pixels, training=False), weight)


def _place_in_cluster(strategy: Any) -> tuple[int, int]:
    """How many processes train together, and which of them this is."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.cluster_spec().as_dict():
        return 1, 0
    return len(resolver.cluster_spec().as_dict().get("worker", [0])), int(resolver.task_id or 0)


def all_gpus() -> Any:
    """A strategy over all visible GPUs of this machine, None where there are not several."""
    gpus = tf.config.list_physical_devices("GPU")
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else None
