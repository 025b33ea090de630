"""Training configuration: all settings of a training except the tiles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.compat import from_stored
from core.datasets.config import DatasetConfig
from core.errors import InvalidSetting

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training except the tiles; stored names are in core.compat."""

    network: str = "fcn"
    options: Mapping[str, Any] = field(default_factory=dict)  #: options of the network
    epochs: int = 10
    batch: int = 8  #: batch size, in crops
    learning_rate: float = 1e-3
    seed: int = 0  #: random seed; gives the same split and, on one processor, the same losses
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    name: str = ""  #: display name
    schedule: Literal["constant", "cosine"] = "constant"  #: of the learning rate, see core.training.schedule.rate_at
    patience: int = 0  #: early stopping after so many epochs without improvement; 0: never
    augment: bool = False  #: random D4 symmetry of each crop
    #: Random scale, rotation, photometric augmentation and cutout of each crop, see core.training.crop_sampler.
    strong_augmentation: bool = False
    minutes: float = 0.0  #: time budget in which the training and its schedule end [min]; 0: none
    weight_decay: float = 0.0  #: above 0, AdamW instead of Adam
    ema_momentum: float = 0.0  #: above 0, the moving average of the weights (EMA) is used to predict
    #: Validation metric that chooses the best epoch: pixel IoU, or building F1 by the SpaceNet rule.
    best_by: Literal["iou", "f1"] = "iou"
    refit: float = 0.0  #: share of the training, at its end, that uses the validation set as well
    epoch_crops: int = 512  #: minimum of an epoch, if crops are sampled: few tiles need no frequent validation
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"  #: auto: the best one of the device

    def __post_init__(self) -> None:
        """Validate the settings; raises InvalidSetting."""
        for name, is_valid, detail in (
            ("epochs", 1 <= self.epochs <= 100_000, "must be between 1 and 100000"),
            ("batch", 1 <= self.batch <= 4096, "must be between 1 and 4096"),
            ("learning_rate", 0 < self.learning_rate <= 1, "must be greater than 0 and at most 1"),
            ("seed", 0 <= self.seed < 2**32, "must be an integer from 0 to 4294967295"),
            ("schedule", self.schedule in ("constant", "cosine"), "must be constant or cosine"),
            ("patience", self.patience >= 0, "must be 0 or more epochs"),
            ("minutes", 0 <= self.minutes <= 100_000, "must be between 0 and 100000 minutes"),
            ("weight_decay", 0 <= self.weight_decay <= 1, "must be between 0 and 1"),
            ("ema_momentum", 0 <= self.ema_momentum < 1, "must be at least 0 and less than 1"),
            ("best_by", self.best_by in ("iou", "f1"), "must be iou or f1"),
            ("refit", 0 <= self.refit <= 0.9, "must be between 0 and 0.9"),
            ("refit", not self.refit or self.dataset.crops == "drawn", "needs sampled crops (crops: drawn)"),
            ("epoch_crops", 1 <= self.epoch_crops <= 1_000_000, "must be between 1 and 1000000"),
            ("precision", self.precision in PRECISIONS, f"must be one of {', '.join(PRECISIONS)}"),
        ):
            if not is_valid:
                raise InvalidSetting(setting=name, value=getattr(self, name), detail=detail)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "TrainingConfig":
        """Create from plain values of a form or JSON file; raises InvalidSetting."""
        try:
            values = from_stored(cls, settings)
            dataset = DatasetConfig(**from_stored(DatasetConfig, values.get("dataset", {})))
            return cls(**{**values, "dataset": dataset})
        except TypeError as error:
            raise InvalidSetting(setting="the configuration", value=dict(settings), detail=str(error)) from error
