"""Other light on the same ground."""

import numpy as np
import pytest

from models.augmentation import apply_photometric

PIXELS = np.random.default_rng(0).uniform(-0.2, 1.2, (2, 16, 16, 3)).astype(np.float32)
#: Gain, gamma and haze of three bands, lost colour, and a hole of no size.
SAME = np.tile(np.array([1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0.5, 0.5, 0], np.float32), (2, 1))


def looked(**changes: float) -> np.ndarray:
    """With other values at these places of the looks."""
    looks = SAME.copy()
    for place, value in changes.items():
        looks[:, int(place[1:])] = value
    return np.asarray(apply_photometric(PIXELS, looks))


def test_neutral_looks_and_none_change_nothing():
    np.testing.assert_allclose(looked(), PIXELS, atol=1e-4)
    assert apply_photometric(PIXELS, np.zeros((2, 0), np.float32)) is PIXELS


def test_gain_and_gamma_are_of_their_band_alone():
    brighter, darker = looked(_0=1.5), looked(_4=2.0)
    np.testing.assert_allclose(brighter[..., 0], PIXELS[..., 0] * 1.5, atol=1e-4)
    np.testing.assert_allclose(brighter[..., 1:], PIXELS[..., 1:], atol=1e-4)
    np.testing.assert_allclose(darker[..., 1], np.sign(PIXELS[..., 1]) * PIXELS[..., 1] ** 2, atol=1e-4)


def test_haze_lifts_the_dark_more_than_the_bright():
    hazy = looked(_6=0.2, _7=0.2, _8=0.2)
    np.testing.assert_allclose(hazy, 0.2 + 0.8 * PIXELS, atol=1e-4)


def test_without_colour_all_bands_are_alike():
    grey = looked(_9=1.0)
    np.testing.assert_allclose(grey, grey.mean(axis=-1, keepdims=True).repeat(3, -1), atol=1e-5)
    np.testing.assert_allclose(grey[..., 0], PIXELS.mean(axis=-1), atol=1e-4)


@pytest.mark.parametrize(("row", "column", "side"), [(0.5, 0.5, 0.25), (0.0, 1.0, 0.5)])
def test_a_hole_is_black_and_nothing_else_is(row, column, side):
    holed = looked(_10=row, _11=column, _12=side)
    gone = (holed == 0).all(axis=-1)
    assert 0 < gone[0].sum() <= (16 * side) ** 2
    np.testing.assert_allclose(holed[~gone], PIXELS[~gone], atol=1e-4)
