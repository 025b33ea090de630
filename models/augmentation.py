"""Photometric augmentation and cutout, applied to a batch on the training device.

Gain (brightness), gamma and haze of every band, loss of saturation, and cutout (DeVries and Taylor 2017, arXiv
1708.04552). The random parameters are drawn on the host, so all backends see the same images for the same seed.
"""

from typing import Any

from keras import ops


def apply_photometric(images: Any, params: Any) -> Any:
    """Apply photometric augmentation and cutout to a batch on the training device.

    Args:
        images: Normalized images, (n, rows, cols, bands) float32.
        params: (n, 3 * bands + 4) float32: gain, gamma and haze per band, loss of saturation, then row, column and side
            of the cutout as fractions of the crop. (n, 0) leaves the batch unchanged.

    Returns:
        The augmented batch, same shape.
    """
    if params.shape[1] == 0:
        return images
    bands = images.shape[-1]
    gain, gamma, haze = (params[:, None, None, n * bands : (n + 1) * bands] for n in range(3))
    magnitude = ops.abs(images) + 1e-6
    adjusted = ops.sign(images) * gain * ops.exp(gamma * ops.log(magnitude))
    hazy = haze + (1 - haze) * adjusted
    desaturation = params[:, None, None, 3 * bands : 3 * bands + 1]
    hazy = hazy + desaturation * (ops.mean(hazy, axis=-1, keepdims=True) - hazy)
    return hazy * _cutout_mask(images, params[:, 3 * bands + 1 :])


def _cutout_mask(images: Any, params: Any) -> Any:
    """Return (n, rows, cols, 1): 0 inside the cutout, else 1; `params` are its center and side (n, 3)."""
    rows, columns = images.shape[1:3]
    center_y, center_x, side = (params[:, n, None, None] for n in range(3))
    y = ops.reshape((ops.arange(rows, dtype="float32") + 0.5) / rows, (1, -1, 1))
    x = ops.reshape((ops.arange(columns, dtype="float32") + 0.5) / columns, (1, 1, -1))
    inside = (ops.abs(y - center_y) < side / 2) & (ops.abs(x - center_x) < side / 2)
    return 1.0 - ops.cast(inside, "float32")[..., None]
