"""Sensor simulation of a WorldView satellite: illumination, shadows, haze, point spread, noise."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from core.synthetic_city.palette import SPECTRA
from core.synthetic_city.surface import GSD_M, Surface

# One sun for the whole city: a little east of south, so that shadows fall to the north-north-west.
_AZIMUTH, _ELEVATION = np.radians(157), np.radians(46)
_SUN_EAST, _SUN_SOUTH = np.sin(_AZIMUTH), -np.cos(_AZIMUTH)

# Skylight beside the sun's 1, and the haze and gain of the sensor, one a band. Red, green and blue are set so that
# percentiles resemble SpaceNet's Las Vegas tiles; the others follow the air's scattering.
_SKY = np.array([0.27, 0.25, 0.21, 0.185, 0.165, 0.14, 0.12, 0.11], np.float32)
_HAZE = np.array([265, 232, 252, 145, 117, 92, 62, 46], np.float32)
_GAIN = np.array([1350, 1480, 2150, 1750, 1720, 1700, 1750, 1500], np.float32)
_FULL_SCALE = 2047  #: eleven bits
_PSF_PX = 0.7
_SHARPENING = 0.55


def light(surface: Surface) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Shares of sunlight and skylight that reach each pixel; 1 is level open ground."""
    rise = surface.east * np.float32(_SUN_EAST) + surface.south * np.float32(_SUN_SOUTH)
    facing = 1 - rise * np.float32(1 / np.tan(_ELEVATION))
    facing /= np.sqrt(1 + surface.east**2 + surface.south**2)
    sun = np.maximum(facing, 0) * _lit(surface.height)
    around = uniform_filter(surface.height, 15)
    sky = np.clip(1 - np.float32(0.09) * np.maximum(around - surface.height, 0), 0.35, 1)
    return sun, sky


def _lit(height: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 in the sun, 0 in shadow. The height of the shadow is found by doubling the distance looked back."""
    shadow, step = _shifted(height, 1), 1
    highest = float(height.max())
    while step * GSD_M * np.tan(_ELEVATION) < highest:
        np.maximum(shadow, _shifted(shadow, step), out=shadow)
        step *= 2
    return np.clip(1 - (shadow - height) / np.float32(0.35), 0, 1)


def _shifted(height: NDArray[np.float32], pixels: int) -> NDArray[np.float32]:
    """Upper edge of a shadow, `pixels` further from the sun."""
    right, down = round(-_SUN_EAST * pixels), round(-_SUN_SOUTH * pixels)
    out = np.zeros_like(height)
    rows, columns = height.shape
    to_rows, from_rows = _overlap(rows, down)
    to_columns, from_columns = _overlap(columns, right)
    drop = np.float32(np.hypot(right, down) * GSD_M * np.tan(_ELEVATION))
    out[to_rows, to_columns] = height[from_rows, from_columns] - drop
    return out


def _overlap(size: int, shift: int) -> tuple[slice, slice]:
    shift = max(-size, min(size, shift))
    forward = slice(max(shift, 0), size + min(shift, 0))
    return forward, slice(forward.start - shift, forward.stop - shift)


def radiance(surface: Surface, sun: NDArray[np.float32], sky: NDArray[np.float32], band: int) -> NDArray[np.float32]:
    """Radiance at the sensor in one of the eight bands, haze included, without blur and noise."""
    lit = sun * (1 - _SKY[band]) + sky * _SKY[band]
    lit *= surface.tone
    lit *= (SPECTRA[:, band] * _GAIN[band])[surface.swatch]
    lit += _HAZE[band] * (1 + np.float32(0.02) * surface.drift)
    return lit


def sharpened(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blurred by the telescope and sharpened again, as pan-sharpened products come, with pale and dark rims."""
    blurred = gaussian_filter(image, _PSF_PX, truncate=3)
    blurred += np.float32(_SHARPENING) * (blurred - gaussian_filter(blurred, 1.3, truncate=2.5))
    return blurred


def sense(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint16]:
    """With shot and read noise, as whole numbers of eleven bits; 0 stays reserved for no data."""
    noise = rng.standard_normal(image.shape, np.float32)
    noise *= np.sqrt(np.maximum(image, 0)) * np.float32(0.2) + np.float32(2)
    return np.clip(np.rint(image + noise), 1, _FULL_SCALE).astype(np.uint16)


def means(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Means over size × size equal areas of a square image, also where its side is no multiple."""
    edges = np.linspace(0, len(image), size + 1)
    pixel = np.arange(len(image))
    shared = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    share = np.maximum(shared, 0) * (size / len(image))
    return (share @ image @ share.T).astype(np.float32)
