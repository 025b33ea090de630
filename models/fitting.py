"""What fitting any of the networks needs from keras: batches, the loss and the pixel metrics."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

#: Pixels (n, rows, columns, bands), target (n, rows, columns) 0 or 1, weight (n, rows, columns).
Batch = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches cut when they are asked for, so that overlapping crops do not lie in memory many times over."""

    def __init__(self, cut: Callable[[NDArray[np.intp]], Batch], count: int, batch: int, seed: int | None) -> None:
        """`cut` gives the crops of these numbers, there are `count`; without a seed they come in order."""
        super().__init__()
        self._cut, self._batch = cut, batch
        self._order = np.arange(count)
        self._random = None if seed is None else np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self._order) // self._batch)

    def __getitem__(self, index: int) -> Batch:
        return self._cut(self._order[index * self._batch : (index + 1) * self._batch])

    def on_epoch_end(self) -> None:
        """Another order for the next epoch."""
        if self._random is not None:
            self._random.shuffle(self._order)


class PixelScore(keras.metrics.Metric):  # type: ignore[misc]
    """Accuracy over all pixels; precision, recall and IoU of "building". What was divided by nothing is not a number.

    Pixels count as much as their sample weight.
    """

    def __init__(self, name: str = "pixels", **keywords: Any) -> None:
        super().__init__(name=name, **keywords)
        # true negative, false positive, false negative, true positive
        self.counts = self.add_weight(shape=(4,), initializer="zeros", name="counts")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch: y_true (n, rows, columns), y_pred (n, rows, columns, 2)."""
        truth = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        guess = ops.reshape(ops.cast(y_pred[..., 1] > y_pred[..., 0], "int32"), (-1,))
        cell = ops.one_hot(2 * truth + guess, 4)
        if sample_weight is not None:
            cell = cell * ops.reshape(ops.cast(sample_weight, cell.dtype), (-1, 1))
        self.counts.assign_add(ops.sum(cell, axis=0))

    def result(self) -> dict[str, Any]:
        """The four figures so far."""
        tn, fp, fn, tp = (self.counts[i] for i in range(4))
        return {
            "accuracy": (tn + tp) / (tn + fp + fn + tp),
            "precision": tp / (tp + fp),
            "recall": tp / (tp + fn),
            "iou": tp / (tp + fp + fn),
        }


def compile_for_pixels(model: keras.Model, learning_rate: float) -> keras.Model:
    """The model ready to fit: Adam on the cross-entropy of each pixel, averaged over the pixels that count."""
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight"),
        weighted_metrics=[PixelScore()],
    )
    return model
