"""Files of weights of version 0.6.2: each array comes to lie in the variable it was saved from, in every network."""

import json
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from core.runtime.keras_backend import start_keras
from models.registry import NETWORKS, build
from tests.compatibility.conftest import stored

LAYOUTS = stored("networks.json.xz")


def name_of(layout: dict) -> str:
    return "-".join([layout["network"], *(f"{key}={value}" for key, value in layout["options"].items())])


def write_like(layout: dict, path: Path) -> None:
    """A file as 0.6.2 wrote it, in which every array is full of its variable's number; it takes no room."""
    with h5py.File(path, "w") as file:
        for place, shape, dtype, number in layout["arrays"]:
            options = {"shape": tuple(shape), "dtype": dtype, "fillvalue": number}
            file.create_dataset(place, **options, **({"chunks": True} if shape else {}))


def test_every_network_of_then_is_there_still():
    assert {layout["network"] for layout in LAYOUTS} <= set(NETWORKS)


@pytest.mark.parametrize("layout", LAYOUTS, ids=name_of)
def test_weights_of_a_network_are_loaded_into_the_same_variables(layout, tmp_path):
    start_keras()
    path = tmp_path / "old.weights.h5"
    write_like(layout, path)
    model = build(layout["network"], layout["bands"], **layout["options"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "Skipping variable loading" would leave fresh weights
        model.load_weights(path)
    numbers = [int(np.ravel(variable)[-1]) for variable in model.weights]
    assert numbers == sorted(number for *_, number in layout["arrays"])  # checkpoints have them in this order


@pytest.mark.parametrize("run", ["unet", "distance", "ensemble", "fcn"])
def test_a_file_of_a_run_has_the_layers_that_its_network_saves_today(run, unpacked, tmp_path):
    start_keras()
    folder = unpacked / "runs" / run
    record = json.loads((folder / "config.json").read_bytes())
    weights = json.loads((folder / "weights.json").read_bytes())
    fresh = tmp_path / "fresh.weights.h5"
    build(record["config"]["network"], record["bands"], **record["config"]["options"]).save_weights(fresh)
    assert arrays_of(fresh) == arrays_of(folder / weights["file"])


def arrays_of(path: Path) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            shapes[name] = item.shape

    with h5py.File(path) as file:
        file.visititems(visit)
    return shapes
