"""How far a training is, by its epochs or by the clock, and what its learning rate is there."""

import time
from dataclasses import dataclass, field
from math import cos, pi

from core.runs.checkpoints import Standing
from core.runs.config import TrainingConfig

#: Share of an epoch's progress that learning takes; checking and saving take the rest.
LEARNING = 0.9
#: Under the cosine schedule: share of the training in which the rate climbs, and what it ends at, of the full rate.
WARM_UP, COLD = 0.05, 0.01


def rate_at(config: TrainingConfig, share: float) -> float:
    """The learning rate when this share of the training is over: constant, or a climb and then half a cosine down."""
    if config.schedule == "constant":
        return config.learning_rate
    if share < WARM_UP:
        return config.learning_rate * (COLD + (1 - COLD) * share / WARM_UP)
    falling = (1 + cos(pi * min((share - WARM_UP) / (1 - WARM_UP), 1.0))) / 2
    return config.learning_rate * (COLD + (1 - COLD) * falling)


@dataclass
class Schedule:
    """The epochs of a training, or its minutes where it has been given some."""

    config: TrainingConfig
    crops: int  #: of an epoch
    spent_before: float = 0.0  #: seconds of training before this process
    check_s: float = 0.0  #: what the last check took
    began: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> float:
        """Seconds of training, those before an interruption included."""
        return self.spent_before + time.monotonic() - self.began

    @property
    def time_is_up(self) -> bool:
        """Whether the minutes are over, but for one more check."""
        return self._is_up(self.check_s)

    def is_over(self, refitting: bool) -> bool:
        """Whether the minutes hold no other epoch.

        Those of a refit are not checked: before one, any time left is enough. The first check of all may take far
        longer than others (JAX on a GPU translates the network in it).
        """
        return self._is_up(0.0 if self.config.refit and not refitting else self.check_s)

    def _is_up(self, kept_s: float) -> bool:
        """Whether the minutes are over, but for so many seconds."""
        return bool(self.config.minutes) and self.spent + kept_s >= 60 * self.config.minutes

    def share(self, standing: Standing) -> float:
        """How much of the training is over, for whoever waits."""
        if self.config.minutes:
            return self._of_minutes
        return (standing.epoch + LEARNING * standing.seen / self.crops) / self.config.epochs

    def rate(self, standing: Standing) -> float:
        """The learning rate of the next step."""
        epochs = (standing.epoch + standing.seen / self.crops) / self.config.epochs
        return rate_at(self.config, self._of_minutes if self.config.minutes else epochs)

    def refits(self, standing: Standing) -> bool:
        """Whether the running epoch learns from the validation ground, too."""
        share = self._of_minutes if self.config.minutes else standing.epoch / self.config.epochs
        return bool(self.config.refit) and share >= 1 - self.config.refit

    def words(self, standing: Standing) -> str:
        """The running epoch, and of how many or how long."""
        number, config = standing.epoch + 1, self.config
        if config.minutes:
            return f"epoch {number}, {self.spent / 60:.1f} of {config.minutes:g} min"
        return f"epoch {number} of {config.epochs}"

    @property
    def _of_minutes(self) -> float:
        return min((self.spent + self.check_s) / (60 * self.config.minutes), 1.0)
