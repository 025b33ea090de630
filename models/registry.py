"""The networks there are. Importing this file does not import keras: a page may list them."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Network:
    """What the rest of the product needs to know of a network without building it."""

    name: str
    title: str  #: for people
    module: str  #: its file in `models`, which has a function `build(bands, **options)`
    stride: int  #: rows and columns of its input are multiples of this
    halo: int  #: pixels around a window that can change the window's result; a multiple of stride
    options: Mapping[str, bool | int | float | str]  #: what `build` takes, with the defaults


NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        network.name: network
        for network in (
            Network(
                name="fcn",
                title="Thesis FCN, 3.8 M parameters",
                module="models.fcn",
                stride=8,
                halo=40,
                options=MappingProxyType({"batch_norm": False}),
            ),
        )
    }
)


def build(name: str, bands: int, **options: bool | int | float | str) -> "keras.Model":
    """The network `name` for pictures of `bands` channels, with fresh weights.

    Takes (batch, rows, columns, bands) float32, gives (batch, rows, columns, 2) softmax; channel 1 is "building".
    Raises ValueError, naming what there is, for an unknown network or option.
    """
    if name not in NETWORKS:
        raise ValueError(f"There is no network named {name}, only {', '.join(NETWORKS)}.")
    network = NETWORKS[name]
    unknown = sorted(set(options) - set(network.options))
    if unknown:
        raise ValueError(f"{name} has no option {', '.join(unknown)}, only {', '.join(network.options)}.")
    return import_module(network.module).build(bands, **{**network.options, **options})
