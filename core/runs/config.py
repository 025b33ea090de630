"""How a network is trained: everything a person chooses beforehand, but for the tiles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.datasets.config import Recipe
from core.errors import InvalidSetting

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class TrainingConfig:
    """Everything a person chooses before training, but for the tiles."""

    network: str = "fcn"
    options: Mapping[str, Any] = field(default_factory=dict)  #: of the network
    epochs: int = 10
    batch: int = 8  #: crops a step
    learning_rate: float = 1e-3
    seed: int = 0  #: the same seed gives the same division and, on one processor, the same losses
    recipe: Recipe = field(default_factory=Recipe)
    name: str = ""  #: for people
    schedule: Literal["constant", "cosine"] = "constant"  #: of the learning rate; see core.training.schedule.rate_at
    patience: int = 0  #: epochs without a better validation IoU after which training ends; 0 for never
    augment: bool = False  #: each crop in one of the eight symmetries of the square, another one each time
    vary: bool = False  #: each crop from nearer or farther, in other light, with a hole; see core.training.crop_sampler
    minutes: float = 0.0  #: on the wall, in which the training and its schedule end; 0: when all epochs are trained
    weight_decay: float = 0.0  #: above 0, Adam is AdamW
    average: float = 0.0  #: above 0, predictions are made with the moving average of the weights, of this momentum
    best_by: Literal["iou", "f1"] = "iou"  #: of pixels, or of buildings by the SpaceNet rule, on the validation ground
    refit: float = 0.0  #: share of the training, at its end, that learns from the validation ground, too
    epoch_crops: int = 512  #: least of an epoch, where they are drawn: few tiles are not to be checked all the time
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"  #: of the arithmetic; auto: the device's

    def __post_init__(self) -> None:
        """Raises InvalidSetting."""
        for name, right, detail in (
            ("epochs", 1 <= self.epochs <= 100_000, "it is at least 1"),
            ("batch", 1 <= self.batch <= 4096, "it is between 1 and 4096"),
            ("learning_rate", 0 < self.learning_rate <= 1, "it is above 0 and at most 1"),
            ("seed", 0 <= self.seed < 2**32, "it is a whole number from 0 to 4294967295"),
            ("schedule", self.schedule in ("constant", "cosine"), "it is constant or cosine"),
            ("patience", self.patience >= 0, "it is 0 or more epochs"),
            ("minutes", 0 <= self.minutes <= 100_000, "it is 0 or more minutes"),
            ("weight_decay", 0 <= self.weight_decay <= 1, "it is between 0 and 1"),
            ("average", 0 <= self.average < 1, "it is at least 0 and below 1"),
            ("best_by", self.best_by in ("iou", "f1"), "it is iou or f1"),
            ("refit", 0 <= self.refit <= 0.9, "it is between 0 and 0.9"),
            ("refit", not self.refit or self.recipe.crops == "drawn", "it needs drawn crops"),
            ("epoch_crops", 1 <= self.epoch_crops <= 1_000_000, "it is between 1 and 1000000"),
            ("precision", self.precision in PRECISIONS, f"it is one of {', '.join(PRECISIONS)}"),
        ):
            if not right:
                raise InvalidSetting(setting=name, value=getattr(self, name), detail=detail)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "TrainingConfig":
        """From plain values, as a form or a JSON file gives them; raises InvalidSetting."""
        try:
            return cls(**{**settings, "recipe": Recipe(**settings.get("recipe", {}))})
        except TypeError as error:
            raise InvalidSetting(setting="the configuration", value=dict(settings), detail=str(error)) from error
