"""The networks there are. Importing this file does not import keras: a page may list them."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Network:
    """What the rest of the product needs to know of a network without building it."""

    name: str
    title: str  #: for people
    module: str  #: its file in `models`, with functions `build` and `build_for_windows` (bands, **options)
    stride: int  #: rows and columns of its input are multiples of this
    halo: int  #: pixels around a window that can change its result, where windows begin on the stride
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
                halo=38,
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
    return _module(name, options).build(bands, **{**NETWORKS[name].options, **options})


def build_for_windows(name: str, bands: int, **options: bool | int | float | str) -> "keras.Model":
    """The same network and weights for windows of a scene: the halo goes in and does not come out.

    (batch, rows + 2 halo, columns + 2 halo, bands) to (batch, rows, columns, 1), the probability of "building". Raises
    what `build` raises.
    """
    return _module(name, options).build_for_windows(bands, **{**NETWORKS[name].options, **options})


def _module(name: str, options: Mapping[str, object]) -> ModuleType:
    if name not in NETWORKS:
        raise ValueError(f"There is no network named {name}, only {', '.join(NETWORKS)}.")
    network = NETWORKS[name]
    unknown = sorted(set(options) - set(network.options))
    if unknown:
        raise ValueError(f"{name} has no option {', '.join(unknown)}, only {', '.join(network.options)}.")
    return import_module(network.module)
