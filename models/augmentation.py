"""Other light on the same ground: what augmentation does to the pixels of a crop, on the device that trains.

Gain (brightness), gamma and haze of every band, less colour, and a hole. The random numbers come from outside, so that
the same seed gives the same pictures on every backend.
"""

from typing import Any

from keras import ops


def changed(pixels: Any, looks: Any) -> Any:
    """(n, rows, columns, bands) scaled pixels under other looks (n, 3 bands + 4); as they are, where k is 0.

    Of each crop: gains, gammas and hazes of the bands, the share of its colour that is lost, then row, column and side
    of the hole as shares of the crop.
    """
    if looks.shape[1] == 0:
        return pixels
    bands = pixels.shape[-1]
    gain, gamma, haze = (looks[:, None, None, n * bands : (n + 1) * bands] for n in range(3))
    bright = ops.abs(pixels) + 1e-6
    lit = ops.sign(pixels) * gain * ops.exp(gamma * ops.log(bright))
    seen = haze + (1 - haze) * lit
    grey = looks[:, None, None, 3 * bands : 3 * bands + 1]
    seen = seen + grey * (ops.mean(seen, axis=-1, keepdims=True) - seen)
    return seen * _outside_the_hole(pixels, looks[:, 3 * bands + 1 :])


def _outside_the_hole(pixels: Any, hole: Any) -> Any:
    """(n, rows, columns, 1): 0 in the hole, else 1."""
    rows, columns = pixels.shape[1:3]
    top, left, side = (hole[:, n, None, None] for n in range(3))
    down = ops.reshape((ops.arange(rows, dtype="float32") + 0.5) / rows, (1, -1, 1))
    across = ops.reshape((ops.arange(columns, dtype="float32") + 0.5) / columns, (1, 1, -1))
    within = (ops.abs(down - top) < side / 2) & (ops.abs(across - left) < side / 2)
    return 1.0 - ops.cast(within, "float32")[..., None]
