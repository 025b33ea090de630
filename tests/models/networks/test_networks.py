"""What every network of the registry owes the rest of the product."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from models.heads import channels, decode
from models.networks.ensemble import _parse_members, format_members
from models.registry import NETWORKS, build, build_inference
from models.steps.factory import make_steps, optimizer_for

#: The large ones are as they are but for their width.
SMALL = {"unet": {"width": 8}, "distance": {"width": 8}, "ensemble": {"members": "unet:width=8+fcn"}}
VARIANTS = [
    *((name, SMALL.get(name, {})) for name in NETWORKS),
    ("fcn", {"batch_norm": True}),
    ("unet", {"width": 8, "copies": 2}),
    ("ensemble", {"members": "fcn+fcn:batch_norm=True"}),
]
#: Those in which nothing beyond the halo changes a window.
EXACT = [(name, options) for name, options in VARIANTS if not NETWORKS[name].blend]

every_network = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=str)


def batch(name: str, bands: int = 3, rows: int = 64, columns: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Noise, bright where the building is; what each head is told of it."""
    random = np.random.default_rng(0)
    built = np.zeros((2, rows, columns, 1), np.uint8)
    built[:, : rows // 2] = 1
    layers = {"distance": 100 + 60 * built, "edge": np.zeros_like(built)}
    target = np.concatenate([layers.get(layer, built) for layer in NETWORKS[name].targets], axis=-1)
    return (random.random((2, rows, columns, bands)) * 0.2 + built).astype(np.float32), target


@every_network
@pytest.mark.parametrize("bands", [3, 4, 8])
def test_every_pixel_of_a_picture_of_any_size_has_all_heads(name, options, bands):
    model, heads = build(name, bands, **options), NETWORKS[name].heads
    for rows, columns in [(64, 96), (65, 97), (33, 70)]:
        out = model(batch(name, bands, rows, columns)[0])
        assert tuple(out.shape) == (2, rows, columns, channels(heads) * options.get("copies", 1))
        told = keras.ops.convert_to_numpy(decode(heads, out))
        assert told.shape == (2, rows, columns, NETWORKS[name].prediction_layers)
        assert ((told[..., 0] >= 0) & (told[..., 0] <= 1)).all()


@every_network
def test_an_optimisation_step_lowers_the_loss_and_moves_every_weight(name, options):
    keras.utils.set_random_seed(1)
    model, optimizer = build(name, 3, **options), optimizer_for("float32")
    stepping = make_steps(model, optimizer, NETWORKS[name].heads)
    pixels, target = batch(name)
    whole = np.ones(target.shape[:3], np.float32)
    before = [keras.ops.convert_to_numpy(w).copy() for w in model.trainable_weights]
    first = stepping.train((pixels, target, whole), 1e-4)
    assert stepping.train((pixels, target, whole), 1e-4)[0] < first[0]
    for _ in range(3):  # EfficientNet leaves out whole blocks now and then
        stepping.train((pixels, target, whole), 1e-4)
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert (keras.ops.convert_to_numpy(weight) != old).any(), f"no gradient reaches {weight.path}"


@every_network
def test_saved_weights_give_the_same_output(name, options, tmp_path):
    model, twin = build(name, 4, **options), build(name, 4, **options)
    pixels = batch(name, 4)[0]
    model.save_weights(tmp_path / "net.weights.h5")
    twin.load_weights(tmp_path / "net.weights.h5")
    np.testing.assert_array_equal(model(pixels), twin(pixels))


@every_network
def test_a_window_gives_its_inner_part_and_so_does_the_whole(name, options):
    network = NETWORKS[name]
    model, windowed = build(name, 3, **options), build_inference(name, 3, **options)
    windowed.set_weights(model.get_weights())
    halo, core = network.halo, 2 * network.stride
    first = -(-halo // network.stride) * network.stride
    size = 2 * first + core
    pixels = np.random.default_rng(0).random((1, size, size, 3), np.float32)
    whole = keras.ops.convert_to_numpy(decode(network.heads, model(pixels)))
    part = pixels[:, first - halo : first + core + halo, first - halo : first + core + halo]
    window = keras.ops.convert_to_numpy(windowed(part))
    own = slice(first, first + core)
    assert window.shape == (1, core, core, network.prediction_layers)
    assert np.ptp(window) > 1e-5, "otherwise nothing is compared"
    if not network.blend:
        np.testing.assert_allclose(window, whole[:, own, own], atol=1e-5)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_every_network_learns_with_either_backend(backend):
    names = [name for name in NETWORKS if name in ("unet", "unet-efficientnetlite0", "distance", "ensemble")]
    code = """
import sys, keras, numpy as np
from models.steps.factory import make_steps, optimizer_for
from models.registry import NETWORKS, build
for name in sys.argv[1:]:
    options = {"ensemble": {"members": "unet:width=4+fcn"}, "unet-efficientnetlite0": {}}.get(name, {"width": 4})
    keras.utils.set_random_seed(1)
    stepping = make_steps(build(name, 3, **options), optimizer_for("float32", 0.01, 0.9), NETWORKS[name].heads)
    pixels = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    target = np.full((2, 32, 32, len(NETWORKS[name].heads)), 1, np.uint8)
    looks = np.random.default_rng(0).uniform(0.9, 1, (2, 13)).astype(np.float32)
    losses = [stepping.train((pixels, target, np.ones((2, 32, 32), np.float32)), 1e-3, looks)[0] for _ in range(4)]
    assert losses[-1] < losses[0], (name, losses)
    print(name, keras.backend.backend())
"""
    quiet = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", code, *names]
    said = subprocess.run(command, env=quiet, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said.split() == [word for name in names for word in (name, backend)]


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "ensemble"])
def test_every_network_can_be_in_an_ensemble(name):
    ensemble, members = NETWORKS["ensemble"], format_members([(name, SMALL.get(name, {})), ("fcn", {})])
    core = ensemble.stride
    windowed = build_inference("ensemble", 3, members=members)
    side = core + 2 * ensemble.halo
    assert windowed(np.zeros((1, side, side, 3), np.float32)).shape == (1, core, core, 2)
    assert ensemble.stride % NETWORKS[name].stride == 0


def test_members_of_an_ensemble_are_written_as_they_are_read():
    members = [("unet", {"width": 24}), ("fcn", {"batch_norm": True}), ("fcn", {})]
    assert _parse_members(format_members(members)) == members


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
    with pytest.raises(ValueError, match=r"Unknown model unet9\. Choose one of .*fcn"):
        build("unet9", 3)
    with pytest.raises(ValueError, match=r"no option depth\. Its options: batch_norm"):
        build("fcn", 3, depth=4)


def test_listing_the_networks_does_not_import_keras():
    code = "import sys, models.registry as r; assert r.NETWORKS; sys.exit('keras' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
