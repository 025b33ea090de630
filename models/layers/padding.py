"""Pictures of any size through networks that halve them several times: a rim is added before and taken off after."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("groundplan")
class Filled(layers.Layer):  # type: ignore[misc]
    """(batch, rows, columns, bands) mirrored at the right and the bottom up to multiples of the stride."""

    def __init__(self, stride: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._stride = stride

    def call(self, picture: Any) -> Any:
        """See the class; as it is, where it fits already."""
        missing = [-side % self._stride for side in picture.shape[1:3] if side is not None]
        if len(missing) == 2:
            down, across = missing
            return _mirrored(_mirrored(picture, 1, down), 2, across)
        shape = ops.shape(picture)
        for axis in (1, 2):
            picture = _mirrored(picture, axis, -shape[axis] % self._stride)
        return picture

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """See the class."""
        sides = (None if side is None else side + -side % self._stride for side in shape[1:3])
        return shape[0], *sides, shape[3]


def _mirrored(picture: Any, axis: int, by: Any) -> Any:
    """`by` more rows or columns at the end: those before the last, backwards, again and again in a narrow picture."""
    side = ops.shape(picture)[axis]
    places = ops.arange(side + by, dtype="int32")
    turn = places % ops.maximum(2 * side - 2, 1)
    return ops.take(picture, ops.minimum(turn, 2 * side - 2 - turn), axis=axis)


@keras.saving.register_keras_serializable("groundplan")
class Trimmed(layers.Layer):  # type: ignore[misc]
    """The first of two tensors without what it is larger than the second at the right and the bottom."""

    def call(self, pair: Any) -> Any:
        """See the class."""
        output, picture = pair
        shape = ops.shape(picture)
        return output[:, : shape[1], : shape[2]]

    def compute_output_shape(self, shapes: Any) -> tuple[int | None, ...]:
        """See the class."""
        output, picture = shapes
        return (*picture[:3], output[3])
