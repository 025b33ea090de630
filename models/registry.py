"""The networks there are. Importing this file does not import keras: a page may list them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import keras

Option: TypeAlias = bool | int | float | str

#: Metres from a wall beyond which the signed distance is not told: half a house.
REACH_M = 6.0
#: The truth that each head (models/heads.py) is told: a layer of the target, 0 to 255, drawn by core/labels/targets.py.
#: inner: 1 in a building, but for the recipe's border along its walls. mask: 1 in a building. edge: 1 along walls and
#: where buildings nearly touch. distance: 128 on a wall, more inside a building, each to its own wall, ±REACH_M.
TARGETS: Mapping[str, str] = MappingProxyType(
    {"classes": "inner", "mask": "mask", "edge": "edge", "distance": "distance", "bins": "distance"}
)


@dataclass(frozen=True)
class Network:
    """What the rest of the product needs to know of a network without building it."""

    name: str
    title: str  #: for people
    module: str  #: its file in `models`, with functions `build` and `build_for_windows` (bands, **options)
    stride: int  #: rows and columns of a window are multiples of this
    halo: int  #: pixels around a window that change its result, where windows begin on the stride
    heads: tuple[str, ...]  #: what its output says of each pixel, see models/heads.py
    options: Mapping[str, Option] = field(default_factory=dict)  #: what `build` takes, with the defaults
    fixed: Mapping[str, Option] = field(default_factory=dict)  #: what `build` is told beside them
    blend: int = 0  #: pixels over which windows fade into each other, of networks that look beyond the halo
    core: int = 1024  #: rows and columns of a window without halo, at the most: larger ones cost memory

    @property
    def targets(self) -> tuple[str, ...]:
        """The layers of the target that its heads are told, in their order."""
        return tuple(TARGETS[head] for head in self.heads)

    @property
    def layers(self) -> int:
        """How many layers it says of a window: the probability, and the distance where it tells it."""
        return 2 if self.tells_distance else 1

    @property
    def tells_distance(self) -> bool:
        """Whether it tells how far the nearest wall is, from which adjoining houses come apart."""
        return "distance" in self.targets


@dataclass(frozen=True)
class Beginning:
    """What the weights of a fresh network are."""

    source: str = ""  #: whose they are, with their licence; empty where they are random
    said: str = ""  #: a sentence about it, where there is something to say


_THREE = ("mask", "edge", "distance")
_ENCODERS = {
    "efficientnetv2b0": "EfficientNetV2-B0",
    "mobilenetv3": "MobileNetV3 (large)",
    "resnet50v2": "ResNet50V2",
}

NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        network.name: network
        for network in (
            Network(
                "unet",
                "U-Net, small, three heads",
                "models.networks.unet",
                16,
                96,
                _THREE,
                {"width": 16, "copies": 1},
                core=2048,
            ),
            Network(
                "distance", "Signed distance (Yuan 2016)", "models.networks.yuan2016", 8, 48, ("bins",), {"width": 24}
            ),
            Network(
                "fcn", "Thesis FCN, 3.8 M parameters", "models.networks.fcn", 8, 38, ("classes",), {"batch_norm": False}
            ),
            Network(
                "unet-efficientnetlite0",
                "U-Net on EfficientNet-Lite0, ImageNet's weights",
                "models.networks.encoder_unet",
                16,
                192,
                _THREE,
                {"imagenet": True},
                {"encoder": "efficientnetlite0"},
            ),
            *(
                Network(
                    f"unet-{name}",
                    f"U-Net on {title}",
                    "models.networks.encoder_unet",
                    32,
                    128,
                    _THREE,
                    {"imagenet": True},
                    {"encoder": name},
                    blend=32,
                )
                for name, title in _ENCODERS.items()
            ),
            Network(
                "ensemble",
                "Mean of several networks",
                "models.networks.ensemble",
                32,
                192,
                ("mask", "distance"),
                {"members": "unet+unet"},
                blend=32,
            ),
        )
    }
)
#: What a person gets who names none.
DEFAULT = "unet"


def build(name: str, bands: int, **options: Option) -> "keras.Model":
    """The network `name` for pictures of `bands` channels, with fresh weights.

    Takes (batch, rows, columns, bands) float32 of any size, gives (batch, rows, columns, channels) of its heads, see
    models/heads.py. Raises ValueError, naming what there is, for an unknown network or option.
    """
    return _module(name, options).build(bands, **_settings(name, options))


def build_for_windows(name: str, bands: int, **options: Option) -> "keras.Model":
    """The same network and weights for windows of a scene: the halo goes in and does not come out.

    (batch, rows + 2 halo, columns + 2 halo, bands) to (batch, rows, columns, 1 or 2): the probability of "building",
    and the distance in metres where the network tells it. Rows, columns and where a window begins are multiples of the
    stride. Raises what `build` raises.
    """
    return _module(name, options).build_for_windows(bands, **_settings(name, options))


def pretrain(name: str, model: "keras.Model", **options: Option) -> Beginning:
    """Gives a fresh network what it may begin with."""
    module = _module(name, options)
    return module.pretrain(model, **_settings(name, options)) if hasattr(module, "pretrain") else Beginning()


def _settings(name: str, options: Mapping[str, Option]) -> dict[str, Option]:
    network = NETWORKS[name]
    return {**network.options, **options, **network.fixed}


def _module(name: str, options: Mapping[str, object]) -> ModuleType:
    if name not in NETWORKS:
        raise ValueError(f"There is no network named {name}, only {', '.join(NETWORKS)}.")
    network = NETWORKS[name]
    unknown = sorted(set(options) - set(network.options))
    if unknown:
        raise ValueError(f"{name} has no option {', '.join(unknown)}, only {', '.join(network.options)}.")
    return import_module(network.module)
