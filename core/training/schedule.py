"""Learning rate schedule, and progress of a training by epochs or by a time budget."""

import time
from dataclasses import dataclass, field
from math import cos, pi

from core.runs.checkpoints import TrainerState
from core.runs.config import TrainingConfig

#: Share of an epoch's progress that training takes; validation and saving take the rest.
TRAIN_SHARE = 0.9
#: Cosine schedule: share of the training with a rising rate (warmup), and first and final rate relative to the maximum.
WARMUP_SHARE, FINAL_RATE = 0.05, 0.01


def rate_at(config: TrainingConfig, share: float) -> float:
    """Learning rate after a share of the training: constant, or linear warmup and cosine decay.

    The decay is that of SGDR without restarts (Loshchilov and Hutter 2017, arXiv 1608.03983).
    """
    if config.schedule == "constant":
        return config.learning_rate
    if share < WARMUP_SHARE:
        return config.learning_rate * (FINAL_RATE + (1 - FINAL_RATE) * share / WARMUP_SHARE)
    decay = (1 + cos(pi * min((share - WARMUP_SHARE) / (1 - WARMUP_SHARE), 1.0))) / 2
    return config.learning_rate * (FINAL_RATE + (1 - FINAL_RATE) * decay)


@dataclass
class Schedule:
    """Schedule of a training by its epochs, or by its time budget if it has one."""

    config: TrainingConfig
    crops: int  #: of an epoch
    spent_before: float = 0.0  #: time of training before this process [s]
    validation_s: float = 0.0  #: duration of the last validation [s]
    started: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> float:
        """Time of training, including that before an interruption [s]."""
        return self.spent_before + time.monotonic() - self.started

    @property
    def time_is_up(self) -> bool:
        """True if the time budget has room only for another validation."""
        return self._exceeds_budget(self.validation_s)

    def is_over(self, refitting: bool) -> bool:
        """Tell if the time budget has no room for another epoch.

        Epochs of a refit are not validated: before a refit, any time left is enough. The very first validation may take
        far longer than others (JAX on a GPU compiles the network in it).
        """
        return self._exceeds_budget(0.0 if self.config.refit and not refitting else self.validation_s)

    def _exceeds_budget(self, reserved_s: float) -> bool:
        return bool(self.config.minutes) and self.spent + reserved_s >= 60 * self.config.minutes

    def share(self, state: TrainerState) -> float:
        """Progress of the training, 0 to 1, with time for validation included."""
        if self.config.minutes:
            return self._budget_share
        return (state.epoch + TRAIN_SHARE * state.crops_seen / self.crops) / self.config.epochs

    def rate(self, state: TrainerState) -> float:
        """Learning rate of the next step."""
        epoch_share = (state.epoch + state.crops_seen / self.crops) / self.config.epochs
        return rate_at(self.config, self._budget_share if self.config.minutes else epoch_share)

    def refits(self, state: TrainerState) -> bool:
        """Tell if the current epoch belongs to the refit, which trains on the validation set as well."""
        share = self._budget_share if self.config.minutes else state.epoch / self.config.epochs
        return bool(self.config.refit) and share >= 1 - self.config.refit

    def describe(self, state: TrainerState) -> str:
        """Describe the current epoch, with the number of epochs or the time budget."""
        number, config = state.epoch + 1, self.config
        if config.minutes:
            return f"Epoch {number}, {self.spent / 60:.1f} of {config.minutes:g} min"
        return f"Epoch {number} of {config.epochs}"

    @property
    def _budget_share(self) -> float:
        return min((self.spent + self.validation_s) / (60 * self.config.minutes), 1.0)
