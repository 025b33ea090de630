"""How each network is trained when nobody says otherwise, and ready-made choices in plain words.

docs/RESULTS.md has what was measured of it; of "Best" a few minutes on a GPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from core.datasets.config import Recipe
from core.errors import InvalidSetting
from core.runs.config import TrainingConfig
from models.registry import DEFAULT

#: Metres a pixel of the networks that are not the thesis's: about SpaceNet's own of Las Vegas.
GSD_M = 0.3
#: More epochs than any number of minutes holds.
MANY = 100_000
#: Share of the training that learns from the validation ground, too, once thresholds are found: few tiles are few.
REFIT = 0.5
_MODERN = TrainingConfig(
    network=DEFAULT,
    epochs=60,
    learning_rate=3e-3,
    schedule="cosine",
    augment=True,
    vary=True,
    weight_decay=0.05,
    average=0.99,
    best_by="f1",
    refit=REFIT,
    recipe=Recipe(border_px=0.0, gsd_m=GSD_M, crops="drawn", bands=3),
)
#: Finds most in the same minutes (docs/decisions/0020-what-imagenet-taught.md).
_LITE = "unet-efficientnetlite0"
#: The baseline stays what the thesis made it.
_THESIS = TrainingConfig(network="fcn")


def recommended(network: str) -> TrainingConfig:
    """What a network is trained with when nobody says otherwise."""
    return _THESIS if network == "fcn" else replace(_MODERN, network=network)


@dataclass(frozen=True)
class Preset:
    """A ready-made choice."""

    name: str
    title: str  #: for people, with what it costs
    minutes: float
    network: str
    batch: int = 8
    epoch_crops: int = TrainingConfig.epoch_crops  #: a fast machine is to learn more than it checks
    finest_m: float = 0.0  #: see core.datasets.config.Recipe

    @property
    def config(self) -> TrainingConfig:
        """As a training takes it."""
        chosen = recommended(self.network)
        recipe = replace(chosen.recipe, finest_m=self.finest_m)
        chosen = replace(chosen, batch=self.batch, epoch_crops=self.epoch_crops, recipe=recipe)
        return replace(chosen, minutes=self.minutes, epochs=MANY)


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset("quick", "Quick look (2 min on a laptop)", 2, _LITE),
            Preset("good", "Good (12 min on a laptop)", 12, _LITE, finest_m=0.2),
            Preset("best", "Best (GPU, 30 min)", 30, _LITE, batch=64, finest_m=0.2, epoch_crops=8192),
        )
    }
)


def preset(name: str) -> Preset:
    """By its name; raises InvalidSetting."""
    if name not in PRESETS:
        raise InvalidSetting(setting="preset", value=name, detail=f"it is one of {', '.join(PRESETS)}")
    return PRESETS[name]
