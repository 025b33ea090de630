"""Fits a network, epoch by epoch, and leaves after each what a run consists of and what it can go on from.

The order of an epoch's crops and their turns follow from the seed and the epoch's number alone, so that a training that
was interrupted anywhere goes on as if nothing had been.
"""

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import cos, isfinite, isnan, pi
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from numpy.typing import NDArray

from core.ahead import ahead
from core.checkpoints import Standing
from core.chips import Chips
from core.dataset import Dataset
from core.errors import Diverged
from core.learner import Learner
from core.live import MOST_STEPS, Live, end_live
from core.progress import Finish, Report
from core.runs import MEASURES, Run, TrainingConfig
from core.types import Batch
from core.watchers.watcher import MOST_WINDOWS, Epoch, Watcher, Windows

if TYPE_CHECKING:
    from models.fitting import Places, Sums

#: Seconds of learning after which a checkpoint is made within an epoch.
CHECKPOINT_S = 300.0
#: Seconds between two words about the running epoch.
LIVE_S = 1.0
#: Share of an epoch's progress that learning takes; checking and saving take the rest.
LEARNING = 0.9
#: Under the cosine schedule: share of the training in which the rate climbs, and what it ends at, of the full rate.
WARM_UP, COLD = 0.05, 0.01
#: Batches cut before they are asked for.
_AHEAD = 3


def rate_at(config: TrainingConfig, share: float) -> float:
    """The learning rate when this share of the training is over: constant, or a climb and then half a cosine down."""
    if config.schedule == "constant":
        return config.learning_rate
    if share < WARM_UP:
        return config.learning_rate * (COLD + (1 - COLD) * share / WARM_UP)
    falling = (1 + cos(pi * min((share - WARM_UP) / (1 - WARM_UP), 1.0))) / 2
    return config.learning_rate * (COLD + (1 - COLD) * falling)


def order_of(config: TrainingConfig, epoch: int, crops: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The numbers of the crops as epoch `epoch` (from 0) sees them, and which symmetry each is turned by."""
    random = np.random.default_rng((config.seed, epoch))
    numbers = random.permutation(crops)
    return numbers, random.integers(0, 8, crops) if config.augment else np.zeros(crops, np.intp)


def parts_of(numbers: NDArray[np.intp], ranks: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """(ranks, n) numbers and what each counts for: where they do not come out even, the first fills up and counts 0."""
    missing = -len(numbers) % ranks
    counts = np.concatenate([np.ones(len(numbers), np.float32), np.zeros(missing, np.float32)])
    filled = np.concatenate([numbers, np.repeat(numbers[:1], missing)])
    return filled.reshape(ranks, -1), counts.reshape(ranks, -1)


@dataclass
class Fit:
    """One training under way. What it raises beside what is named: what writing the run raises, and MemoryError."""

    run: Run  #: where this process writes
    config: TrainingConfig
    data: Dataset
    learner: Learner
    standing: Standing
    watchers: Sequence[Watcher]
    report: Report  #: of the share of all epochs
    finish: Finish
    finishing: bool = False  #: it was asked to end with what there is
    saved: float = field(default_factory=time.monotonic)  #: when the last checkpoint was made
    said: float = 0.0  #: when the last word about the running epoch was written
    drawn: float = 0.0  #: share of the training at the last point of its curve
    pace: float = 0.0  #: crops a second in the epoch so far

    def __post_init__(self) -> None:
        self.batch = self.standing.batch or self.config.batch
        # Where memory once ran out, batches come from the processor's.
        self.held = not self.standing.batch and self.learner.hold(self.data.train)

    @property
    def is_over(self) -> bool:
        """Whether all epochs are trained, or patience has ended, or somebody asked for the end."""
        waited = self.standing.epoch - self.standing.best_epoch
        patient = not self.config.patience or waited < self.config.patience
        return self.finishing or self.standing.epoch >= self.config.epochs or not patient

    def to_the_end(self) -> None:
        """Trains what is left; raises Diverged."""
        failed = True
        windows = self._windows()
        try:
            for watcher in self.watchers:
                watcher.begin(self.run, windows, self.standing.epoch)
            self._say_where()
            self.finishing = bool(self.standing.epoch) and self.finish()  # asked for before it was interrupted
            while not self.is_over:
                self._epoch(windows)
            if self.standing.epoch < self.config.epochs and not self.finishing:
                best, patience = self.standing.best_epoch, self.config.patience
                self.run.log(f"Ended: no epoch was better than {best} for {patience} epochs.")
            self.report(1.0, f"{self.standing.epoch} epochs trained")
            failed = False
        finally:
            end_live(self.run.path)
            for watcher in self.watchers:
                watcher.close(failed)

    def _say_where(self) -> None:
        """Two words without time between them: what was done before says nothing about the pace of the rest."""
        for share in (0.0, self._share):
            self.report(share, f"going on after {self.standing.epoch} epochs" if self._share else "starting")

    @property
    def _share(self) -> float:
        """How much of the training is over."""
        return (self.standing.epoch + LEARNING * self.standing.seen / len(self.data.train)) / self.config.epochs

    def _epoch(self, windows: Windows) -> None:
        number = self.standing.epoch + 1
        rate = self._learn()
        learnt, seen, spent = self.standing.sums, self.standing.seen, self.standing.seconds
        began = time.monotonic()
        self.report(self._share, f"epoch {number} of {self.config.epochs}, checking")
        checked = self._check()
        if not self.learner.is_finite:
            self._diverged("a weight")
        row: dict[str, float] = {"epoch": number, "seconds": round(spent + time.monotonic() - began, 3)}
        row |= _figures(learnt) | {f"val_{name}": value for name, value in _figures(checked).items()}
        row |= {"learning_rate": rate, "images_s": round(seen / spent, 3) if spent else 0.0}
        self._keep(row)
        probability = self.learner.probability(windows.pixels)
        for watcher in self.watchers:
            watcher.end_epoch(Epoch(number, row, probability))
        self.run.log(_sentence(row, self.config.epochs))
        # The checkpoint comes last: what was written before it may be written twice, never left out.
        self.standing = replace(self.standing, epoch=number, seen=0, sums=(0.0,) * 6, seconds=0.0)
        self._save()
        self.finishing = self.finishing or self.finish()

    def _keep(self, row: dict[str, float]) -> None:
        """The figures, and the weights where they are the best; of equals the later."""
        number, score = int(row["epoch"]), row["val_iou"]
        best = self.standing.best_score
        if isnan(best) or score >= best:
            self.run.put_weights(self.learner.model, number)
            self.standing = replace(self.standing, best_epoch=number, best_score=score)
        self.run.add_metrics(row)

    def _save(self) -> None:
        self.learner.checkpoint(self.standing, self.config).save(self.run.path)
        self.saved = time.monotonic()

    def _learn(self) -> float:
        """Goes through what is left of an epoch's crops; the last learning rate. Raises Diverged."""
        crops, began, before = len(self.data.train), time.monotonic(), self.standing
        numbers, turns = order_of(self.config, self.standing.epoch, crops)
        first = self.standing.seen
        sums, rate = np.array(self.standing.sums), self.config.learning_rate
        with closing(self._batches(self.data.train, numbers[first:], turns[first:])) as batches:
            for size, batch in batches:
                rate = rate_at(self.config, (self.standing.epoch + self.standing.seen / crops) / self.config.epochs)
                sums = sums + self.learner.steps.train(batch, rate)
                if not isfinite(sums[0]):
                    self._diverged("the loss")
                seen = self.standing.seen + size
                seconds = before.seconds + time.monotonic() - began
                self.standing = replace(self.standing, seen=seen, sums=tuple(map(float, sums)), seconds=seconds)
                self.pace = (seen - before.seen) / max(seconds - before.seconds, 1e-9)
                self._say(rate)
                if self.finish():
                    self._end_early(crops)
                    break
                if time.monotonic() - self.saved >= CHECKPOINT_S and seen < crops:
                    self._save()
        return rate

    def _end_early(self, crops: int) -> None:
        self.finishing = True
        if self.standing.seen < crops:
            said = f"Epoch {self.standing.epoch + 1} was ended after {self.standing.seen} of {crops} crops, as asked."
            self.run.log(said)

    def _check(self) -> "Sums":
        """The sums over the validation crops."""
        numbers = np.arange(len(self.data.validation))
        with closing(self._batches(self.data.validation, numbers, np.zeros_like(numbers))) as batches:
            return sum((self.learner.steps.check(batch) for _, batch in batches), np.zeros(6))

    def _batches(
        self, chips: Chips, numbers: NDArray[np.intp], turns: NDArray[np.intp]
    ) -> "Generator[tuple[int, Batch | Places], None, None]":
        """How many crops a batch has, and this process's part of it; cut by a thread where the device does not cut."""

        def make(first: int) -> "tuple[int, Batch | Places]":
            chosen = np.arange(first, min(first + self.batch, len(numbers)))
            parts, counts = parts_of(chosen, self.learner.steps.ranks)
            own = parts[self.learner.steps.own].ravel()
            places = chips.places(numbers[own], turns[own])
            if self.held:
                return len(chosen), places
            pixels, target, weight = chips.cut(places)
            return len(chosen), (pixels, target, weight * counts[self.learner.steps.own].reshape(-1, 1, 1))

        return ahead(make, range(0, len(numbers), self.batch), _AHEAD)

    def _say(self, rate: float) -> None:
        """Progress at every step, live.json about every second."""
        crops, config, standing = len(self.data.train), self.config, self.standing
        loss = standing.sums[0] / max(standing.sums[1], 1.0)
        batch, batches = -(-standing.seen // self.batch), -(-crops // self.batch)
        doing = f"epoch {standing.epoch + 1} of {config.epochs}, batch {batch} of {batches}, loss {loss:.2f}"
        self.report(self._share, doing)
        if time.monotonic() - self.said < LIVE_S and standing.seen < crops:
            return
        self.said = time.monotonic()
        live = Live(
            standing.epoch + 1, config.epochs, batch, batches, loss, rate, self.pace, self.learner.memory_bytes,
            datetime.now(UTC),
        )  # fmt: skip
        live.write(self.run.path)
        if self._share - self.drawn >= 1 / MOST_STEPS:
            self.drawn = self._share
            live.note(self.run.path)

    def _windows(self) -> Windows:
        """A few crops of the validation ground, with buildings if there are any."""
        chips = self.data.validation
        offered = np.flatnonzero(chips.built) if chips.built.any() else np.arange(len(chips))
        chosen = offered[np.unique(np.linspace(0, len(offered) - 1, MOST_WINDOWS).round().astype(int))]
        pixels, target, weight = chips.cut(chips.places(chosen))
        return Windows(pixels, target, weight > 0)

    def _diverged(self, what: str) -> NoReturn:
        self.run.log(f"Epoch {self.standing.epoch + 1}: {what} is no number any more. Stopped.")
        raise Diverged(epoch=self.standing.epoch + 1)


def _figures(sums: "Sums | tuple[float, ...]") -> dict[str, float]:
    from models.fitting import figures

    return figures(np.asarray(sums))


def _sentence(row: dict[str, float], epochs: int) -> str:
    said = ", ".join(
        f"{name} {row[name]:.3f}" for prefix in ("", "val_") for m in MEASURES if (name := prefix + m) in row
    )
    pace = f"{row['images_s']:.1f} crops/s, learning rate {row['learning_rate']:.2g}"
    return f"Epoch {row['epoch']} of {epochs} in {row['seconds']:.1f} s: {said}; {pace}"
