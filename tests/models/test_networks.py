"""What every network of the registry owes the rest of the product."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from models.fitting import optimizer_for, steps
from models.registry import NETWORKS, build, build_for_windows

VARIANTS = [(name, {}) for name in NETWORKS] + [
    (name, {option: not default})
    for name, network in NETWORKS.items()
    for option, default in network.options.items()
    if isinstance(default, bool)
]

every_network = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=str)


def batch(bands: int = 3, rows: int = 32, columns: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Noise, bright where the building is."""
    random = np.random.default_rng(0)
    target = np.zeros((2, rows, columns), np.uint8)
    target[:, : rows // 2] = 1
    return (random.random((2, rows, columns, bands)) * 0.2 + target[..., None]).astype(np.float32), target


@every_network
@pytest.mark.parametrize("bands", [3, 4, 8])
def test_the_output_has_two_classes_for_each_pixel_at_any_size(name, options, bands):
    model = build(name, bands, **options)
    stride = NETWORKS[name].stride
    for rows, columns in [(stride * 2, stride * 2), (stride * 5, stride * 3)]:
        out = keras.ops.convert_to_numpy(model(batch(bands, rows, columns)[0]))
        assert out.shape == (2, rows, columns, 2)
        np.testing.assert_allclose(out.sum(-1), 1, atol=1e-5)


@every_network
def test_an_optimisation_step_lowers_the_loss_and_moves_every_weight(name, options):
    keras.utils.set_random_seed(1)
    model, optimizer = build(name, 3, **options), optimizer_for("float32")
    stepping = steps(model, optimizer)
    pixels, target = batch()
    whole = np.ones(target.shape, np.float32)
    before = [keras.ops.convert_to_numpy(w).copy() for w in model.trainable_weights]
    first = stepping.train((pixels, target, whole), 1e-4)
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert (keras.ops.convert_to_numpy(weight) != old).any(), f"no gradient reaches {weight.path}"
    assert stepping.train((pixels, target, whole), 1e-4)[0] < first[0]


@every_network
def test_saved_weights_give_the_same_output(name, options, tmp_path):
    model, twin = build(name, 4, **options), build(name, 4, **options)
    pixels = batch(4)[0]
    model.save_weights(tmp_path / "net.weights.h5")
    twin.load_weights(tmp_path / "net.weights.h5")
    np.testing.assert_array_equal(model(pixels), twin(pixels))


@every_network
def test_windows_cut_on_the_stride_with_the_halo_agree_with_the_whole(name, options):
    network = NETWORKS[name]
    model, windowed = build(name, 3, **options), build_for_windows(name, 3, **options)
    windowed.set_weights(model.get_weights())
    halo, core, size = network.halo, 2 * network.stride, 16 * network.stride
    pixels = np.random.default_rng(0).random((1, size, size, 3), np.float32)
    whole = keras.ops.convert_to_numpy(model(pixels))
    first = -(-halo // network.stride) * network.stride
    part = pixels[:, first - halo : first + core + halo, first - halo : first + core + halo]
    window = keras.ops.convert_to_numpy(windowed(part))
    own = slice(first, first + core)
    assert window.shape == (1, core, core, 1)
    np.testing.assert_allclose(window, whole[:, own, own, 1:], atol=1e-5)
    assert np.ptp(window) > 1e-4, "otherwise nothing is compared"


def test_the_thesis_network_has_the_layers_and_parameters_of_the_thesis():
    model = build("fcn", 4)
    table = [
        (layer.filters, layer.kernel_size[0], layer.strides[0]) for layer in model.layers if hasattr(layer, "kernel")
    ]
    assert table == [
        (32, 3, 1), (32, 3, 1), (64, 3, 1), (64, 3, 1), (128, 3, 1), (128, 3, 1),
        (1024, 5, 1), (128, 1, 1), (2, 16, 8),
    ]  # fmt: skip
    assert model.count_params() == 3_761_858
    assert model.compute_output_shape((1, 128, 128, 4)) == (1, 128, 128, 2)


def test_an_unknown_network_or_option_is_refused_by_name():
    with pytest.raises(ValueError, match=r"no network named unet9, only .*fcn"):
        build("unet9", 3)
    with pytest.raises(ValueError, match=r"no option depth, only batch_norm"):
        build("fcn", 3, depth=4)


def test_listing_the_networks_does_not_import_keras():
    code = "import sys, models.registry as r; assert r.NETWORKS; sys.exit('keras' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
