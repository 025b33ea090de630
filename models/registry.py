"""Registry of network architectures. Importing it does not import keras, so pages may list the networks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import keras

Option: TypeAlias = bool | int | float | str

#: Range of the predicted signed distance, on each side of the boundary [m].
DISTANCE_RANGE_M = 6.0
#: Training target of each head (models/heads.py): a uint8 layer rasterized by core/labels/targets.py.
#: inner: 1 in a building, except for a border along its boundary. mask: 1 in a building. edge: 1 along boundaries and
#: in narrow gaps between buildings. distance: signed distance to the building's own boundary, ±DISTANCE_RANGE_M as 1 to
#: 255, 128 on the boundary.
TARGETS: Mapping[str, str] = MappingProxyType(
    {"classes": "inner", "mask": "mask", "edge": "edge", "distance": "distance", "bins": "distance"}
)


@dataclass(frozen=True)
class Network:
    """Facts about a network architecture that are needed without building it."""

    name: str
    title: str  #: display name
    module: str  #: with functions `build` and `build_inference` (bands, **options)
    stride: int  #: rows and columns of a window are multiples of it [px]
    halo: int  #: context around a window that its result depends on, for windows aligned to the stride [px]
    heads: tuple[str, ...]  #: names of the heads of its output, see models/heads.py
    options: Mapping[str, Option] = field(default_factory=dict)  #: options of `build` with their defaults
    fixed: Mapping[str, Option] = field(default_factory=dict)  #: further arguments of `build`
    blend: int = 0  #: overlap over which windows are blended, for receptive fields beyond the halo [px]
    max_window: int = 1024  #: maximum rows and columns of a window without halo, limited by memory [px]

    @property
    def targets(self) -> tuple[str, ...]:
        """Return the training target of each head, in the order of the heads."""
        return tuple(TARGETS[head] for head in self.heads)

    @property
    def prediction_layers(self) -> int:
        """Count the layers of a prediction: probability and, if the network predicts it, distance."""
        return 2 if self.predicts_distance else 1

    @property
    def predicts_distance(self) -> bool:
        """Tell whether the network predicts the signed distance that the watershed needs."""
        return "distance" in self.targets


@dataclass(frozen=True)
class Initialization:
    """Origin of the initial weights of a network."""

    source: str = ""  #: origin and license of the weights; empty if they are random
    note: str = ""  #: sentence for the training log, may be empty


_UNET_HEADS = ("mask", "edge", "distance")
_ENCODERS = {
    "efficientnetv2b0": "EfficientNetV2-B0",
    "mobilenetv3": "MobileNetV3-Large",
    "resnet50v2": "ResNet50V2",
}

NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        network.name: network
        for network in (
            Network(
                "unet",
                "U-Net (small, three heads)",
                "models.networks.unet",
                16,
                96,
                _UNET_HEADS,
                {"width": 16, "copies": 1},
                max_window=2048,
            ),
            Network(
                "distance", "Signed distance (Yuan 2016)", "models.networks.yuan2016", 8, 48, ("bins",), {"width": 24}
            ),
            Network(
                "fcn", "FCN from the original thesis", "models.networks.fcn", 8, 38, ("classes",), {"batch_norm": False}
            ),
            Network(
                "unet-efficientnetlite0",
                "U-Net with EfficientNet-Lite0 encoder",
                "models.networks.encoder_unet",
                16,
                192,
                _UNET_HEADS,
                {"imagenet": True},
                {"encoder": "efficientnetlite0"},
            ),
            *(
                Network(
                    f"unet-{name}",
                    f"U-Net with {title} encoder",
                    "models.networks.encoder_unet",
                    32,
                    128,
                    _UNET_HEADS,
                    {"imagenet": True},
                    {"encoder": name},
                    blend=32,
                )
                for name, title in _ENCODERS.items()
            ),
            Network(
                "ensemble",
                "Ensemble (mean of models)",
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
#: Network of a training that names none.
DEFAULT = "unet"


def build(name: str, bands: int, **options: Option) -> "keras.Model":
    """Build a network with random weights.

    Args:
        name: Key of NETWORKS.
        bands: Number of bands of the images.
        options: Options of the network, see Network.options.

    Returns:
        A model from (batch, rows, cols, bands) float32 of any size to (batch, rows, cols, channels) of its heads, see
        models/heads.py.

    Raises:
        ValueError: The network or an option is unknown.
    """
    return _module(name, options).build(bands, **_settings(name, options))


def build_inference(name: str, bands: int, **options: Option) -> "keras.Model":
    """Build a network for sliding-window inference, with the weights of `build`; the output has no halo.

    Args:
        name: Key of NETWORKS.
        bands: Number of bands of the images.
        options: Options of the network, see Network.options.

    Returns:
        A model from (batch, rows + 2 halo, cols + 2 halo, bands) float32 to (batch, rows, cols, 1 or 2): probability of
        "building" and, if the network predicts it, signed distance [m]. Rows, columns and origins of windows are
        multiples of the stride.

    Raises:
        ValueError: The network or an option is unknown.
    """
    return _module(name, options).build_inference(bands, **_settings(name, options))


def pretrain(name: str, model: "keras.Model", **options: Option) -> Initialization:
    """Load pretrained weights into a new network, if the architecture has any.

    Args:
        name: Key of NETWORKS.
        model: Network built by `build`.
        options: Options of the network, see Network.options.

    Raises:
        ValueError: The network or an option is unknown.
    """
    module = _module(name, options)
    if not hasattr(module, "load_pretrained"):
        return Initialization()
    return module.load_pretrained(model, **_settings(name, options))


def _settings(name: str, options: Mapping[str, Option]) -> dict[str, Option]:
    network = NETWORKS[name]
    return {**network.options, **options, **network.fixed}


def _module(name: str, options: Mapping[str, object]) -> ModuleType:
    if name not in NETWORKS:
        raise ValueError(f"Unknown model {name}. Choose one of {', '.join(NETWORKS)}.")
    network = NETWORKS[name]
    unknown = sorted(set(options) - set(network.options))
    if unknown:
        raise ValueError(f"{name} has no option {', '.join(unknown)}. Its options: {', '.join(network.options)}.")
    return import_module(network.module)
