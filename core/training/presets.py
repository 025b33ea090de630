"""Training presets: default settings of each network, and ready-made configurations.

docs/benchmarks/accuracy.md has their measured accuracy; that of "Best" is of a few minutes on a GPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from core.datasets.config import DatasetConfig
from core.errors import InvalidSetting
from core.runs.config import TrainingConfig
from models.registry import DEFAULT

#: GSD of all networks but that of the thesis [m]: about that of SpaceNet's Las Vegas.
GSD_M = 0.3
#: More epochs than fit into any time budget.
UNLIMITED_EPOCHS = 100_000
#: Share of the training that uses the validation set as well, after threshold optimization: tiles are few.
REFIT_SHARE = 0.5
_MODERN = TrainingConfig(
    network=DEFAULT,
    epochs=60,
    learning_rate=3e-3,
    schedule="cosine",
    augment=True,
    strong_augmentation=True,
    weight_decay=0.05,
    ema_momentum=0.99,
    best_by="f1",
    refit=REFIT_SHARE,
    dataset=DatasetConfig(border_px=0.0, gsd_m=GSD_M, crops="drawn", bands=3),
)
#: Most accurate in the same time (docs/decisions/0020-imagenet-pretrained-efficientnet-lite0.md).
_LITE = "unet-efficientnetlite0"
#: The baseline keeps the settings of the thesis.
_THESIS = TrainingConfig(network="fcn")


def recommended(network: str) -> TrainingConfig:
    """Default training settings of a network."""
    return _THESIS if network == "fcn" else replace(_MODERN, network=network)


@dataclass(frozen=True)
class Preset:
    """A ready-made training configuration."""

    name: str
    title: str  #: shown to users, with the duration
    minutes: float
    network: str
    batch: int = 8
    epoch_crops: int = TrainingConfig.epoch_crops  #: more on a fast machine, so that training outweighs validation
    finest_m: float = 0.0  #: see core.datasets.config.DatasetConfig

    @property
    def config(self) -> TrainingConfig:
        """Training configuration of the preset."""
        config = recommended(self.network)
        dataset = replace(config.dataset, finest_m=self.finest_m)
        config = replace(config, batch=self.batch, epoch_crops=self.epoch_crops, dataset=dataset)
        return replace(config, minutes=self.minutes, epochs=UNLIMITED_EPOCHS)


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset("quick", "Quick (2 min)", 2, _LITE),
            Preset("good", "Standard (12 min)", 12, _LITE, finest_m=0.2),
            Preset("best", "Best (30 min, GPU)", 30, _LITE, batch=64, finest_m=0.2, epoch_crops=8192),
        )
    }
)


def preset(name: str) -> Preset:
    """Look up a preset by its name; raises InvalidSetting."""
    if name not in PRESETS:
        raise InvalidSetting(setting="the preset", value=name, detail=f"must be one of {', '.join(PRESETS)}")
    return PRESETS[name]
