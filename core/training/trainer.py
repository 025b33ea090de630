"""Fits a network, epoch by epoch, and leaves after each what a run consists of and what it can go on from.

The order of an epoch's crops and their turns follow from the seed and the epoch's number alone, so that a training that
was interrupted anywhere goes on as if nothing had been.
"""

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from math import isfinite, isnan, nan
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from numpy.typing import NDArray

from core.datasets.chips import Chips
from core.datasets.dataset import Dataset
from core.errors import Diverged
from core.postprocessing.config import Shaping
from core.postprocessing.thresholds import RIPE, SEEDS, Tuning, first_shaping, stand_apart, tune
from core.postprocessing.validation import MOST_SCENES, check, grounds, truth_of
from core.progress import Finish, Report
from core.runs.checkpoints import Standing
from core.runs.config import TrainingConfig
from core.runs.live_metrics import MOST_STEPS, Live, end_live
from core.runs.prediction_film import MOST_WINDOWS, Windows
from core.runs.run import MEASURES, Run
from core.runtime.prefetch import ahead
from core.training.callbacks.base import Epoch, Watcher
from core.training.crop_sampler import Drawing, Drawn
from core.training.learner import Learner
from core.training.schedule import Schedule
from core.types import Batch

if TYPE_CHECKING:
    from models.steps.base import Places, Sums

#: Seconds of learning after which a checkpoint is made within an epoch.
CHECKPOINT_S = 300.0
#: Seconds between two words about the running epoch.
LIVE_S = 1.0
#: Batches cut before they are asked for.
_AHEAD = 3


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
    report: Report  #: of the share of the training
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
        self.drawing = Drawing(self.config, self.data.train)
        self.schedule = Schedule(self.config, len(self.drawing), self.standing.spent)
        if self.run.early_tuning:  # it was interrupted after
            self._refit()

    @property
    def refitting(self) -> bool:
        """Whether all ground is learned from, and none is left to check on."""
        return self.drawing.chips is self.data.whole

    @property
    def is_over(self) -> bool:
        """Whether all epochs are trained, or the time is up, or patience has ended, or somebody asked for the end."""
        enough = self.standing.epoch >= self.config.epochs or self.schedule.is_over(self.refitting)
        return self.finishing or enough or self._impatient

    @property
    def _impatient(self) -> bool:
        return 0 < self.config.patience <= self.standing.epoch - self.standing.best_epoch

    def to_the_end(self) -> None:
        """Trains what is left, and looks for the best thresholds; raises Diverged."""
        failed = True
        windows = self._windows()
        try:
            for watcher in self.watchers:
                watcher.begin(self.run, windows, self.standing.epoch)
            self._say_where()
            self.finishing = bool(self.standing.epoch) and self.finish()  # asked for before it was interrupted
            while not self.is_over:
                self._epoch(windows)
            if self._impatient and not self.finishing:
                best, patience = self.standing.best_epoch, self.config.patience
                self.run.log(f"Ended: no epoch was better than {best} for {patience} epochs.")
            self._tune()
            self.report(1.0, f"{self.standing.epoch} epochs trained")
            failed = False
        finally:
            end_live(self.run.path)
            for watcher in self.watchers:
                watcher.close(failed)

    def _say_where(self) -> None:
        """Two words without time between them: what was done before says nothing about the pace of the rest."""
        done = self.schedule.share(self.standing)
        for share in (0.0, done):
            self.report(share, f"going on after {self.standing.epoch} epochs" if done else "starting")

    def _tune(self) -> None:
        """Looks for the thresholds that find most buildings of the validation ground, with the weights of the run."""
        if not self.run.is_usable:
            return
        if early := self.run.early_tuning:
            self.run.put_tuning(early)
            return
        self.report(1.0, "looking for the best thresholds")
        self.learner.model.load_weights(self.run.weights())
        self.run.put_tuning(self._tuned(SEEDS).as_dict())

    def _tuned(self, levels: Sequence[float]) -> Tuning:
        """What the network's present weights are best shaped with."""
        checked = check(grounds(self.data.validation), self.learner.layers, self.learner.network.stride)
        return tune(checked, self._first, levels)

    @cached_property
    def _first(self) -> Shaping:
        """How footprints are made until thresholds are found, going by how the buildings of this ground stand."""
        parts = self.learner.network.tells_distance
        apart = parts and stand_apart(truth_of(self.data.train, MOST_SCENES))
        if apart:
            self.run.log("By their labels buildings stand apart here: only narrow necks part them, until tuning knows.")
        return first_shaping(self.config, apart)

    def _begin_refit(self) -> None:
        """From here on the validation ground tells nothing any more: thresholds are found now."""
        self.report(self.schedule.share(self.standing), "looking for the best thresholds")
        with self.learner.averaged():
            tuned = self._tuned(RIPE)
        self.run.put_early_tuning(replace(tuned, refitted=True).as_dict())
        found = "" if tuned.f1 is None else f", with F1 {tuned.f1:.3f} of its buildings"
        self.run.log(f"Thresholds are found on the validation ground{found}. From here on it is learned from, too.")
        self._refit()

    def _refit(self) -> None:
        """Draws from all the ground, in epochs of the same length, which are not checked."""
        self.drawing = Drawing(self.config, self.data.whole, len(self.drawing))
        self.schedule.check_s = 0.0  # what the last check took says nothing of these

    def _epoch(self, windows: Windows) -> None:
        if not self.refitting and self.standing.seen == 0 and self.schedule.refits(self.standing):
            self._begin_refit()
        rate = self._learn()
        number, learnt, began = self.standing.epoch + 1, self.standing, time.monotonic()
        self.report(self.schedule.share(self.standing), f"{self.schedule.words(self.standing)}, checking")
        with self.learner.averaged():
            checked = {} if self.refitting else self._figures(self._check()) | self._buildings()
            if not self.learner.is_finite:
                self._diverged("a weight")
            row: dict[str, float] = {"epoch": number, "seconds": round(learnt.seconds + time.monotonic() - began, 3)}
            row |= self._figures(learnt.sums) | {f"val_{name}": value for name, value in checked.items()}
            row |= {"learning_rate": rate, "images_s": round(learnt.seen / learnt.seconds, 3) if learnt.seconds else 0}
            self._keep(row)
            probability = self.learner.layers(windows.pixels)[..., 0]
        for watcher in self.watchers:
            watcher.end_epoch(Epoch(number, row, probability))
        self.run.log(_sentence(row, self.schedule.words(learnt)))
        self.schedule.check_s = time.monotonic() - began
        # The checkpoint comes last: what was written before it may be written twice, never left out.
        self.standing = replace(self.standing, epoch=number, seen=0, sums=(), seconds=0.0)
        self._save()
        self.finishing = self.finishing or self.finish()

    def _keep(self, row: dict[str, float]) -> None:
        """The figures, and the weights where they are the best; of equals the later, and in a refit the last."""
        number, score = int(row["epoch"]), row.get(f"val_{self.config.best_by}", nan)
        best = self.standing.best_score
        if self.refitting or isnan(best) or score >= best:
            self.run.put_weights(self.learner.model, number)
            self.standing = replace(self.standing, best_epoch=number, best_score=best if self.refitting else score)
        self.run.add_metrics(row)

    def _save(self) -> None:
        self.standing = replace(self.standing, spent=self.schedule.spent)
        self.learner.checkpoint(self.standing, self.config).save(self.run.path)
        self.saved = time.monotonic()

    def _learn(self) -> float:
        """Goes through what is left of an epoch's crops; the last learning rate. Raises Diverged."""
        crops, began, before = len(self.drawing), time.monotonic(), self.standing
        drawn = self.drawing.epoch(before.epoch)
        sums, rate = np.array(before.sums or np.zeros(1)), self.config.learning_rate
        with closing(self._batches(self.drawing.chips, drawn, before.seen)) as batches:
            for size, batch, looks in batches:
                rate = self.schedule.rate(self.standing)
                sums = sums + self.learner.steps.train(batch, rate, looks)
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
                if self.schedule.time_is_up:
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
        chips = self.data.validation
        with closing(self._batches(chips, Drawn.of(chips, np.arange(len(chips))))) as batches:
            return sum((self.learner.steps.check(batch) for _, batch, _ in batches), np.zeros(1))

    def _buildings(self) -> dict[str, float]:
        """The F1 of buildings on the validation ground, where the best is chosen by it; NaN where there are none."""
        if self.config.best_by != "f1":
            return {}
        checked = check(grounds(self.data.validation, MOST_SCENES), self.learner.layers, self.learner.network.stride)
        score = checked.counts(self._first).f1
        return {"f1": nan if score is None else score}

    def _figures(self, sums: "Sums | tuple[float, ...]") -> dict[str, float]:
        from models.steps.base import figures

        return figures(np.asarray(sums), self.learner.network.heads)

    def _batches(
        self, chips: Chips, drawn: Drawn, first: int = 0
    ) -> "Generator[tuple[int, Batch | Places, NDArray[np.float32]], None, None]":
        """How many crops a batch has, this process's part of it, and how that is to look; from the first-th crop on.

        Cut by a thread where the device does not cut.
        """

        def make(start: int) -> "tuple[int, Batch | Places, NDArray[np.float32]]":
            chosen = np.arange(start, min(start + self.batch, len(drawn)))
            parts, counts = parts_of(chosen, self.learner.steps.ranks)
            own = parts[self.learner.steps.own].ravel()
            places, looks = drawn.places[own], drawn.looks[own]
            if self.held and chips is not self.data.validation:
                return len(chosen), places, looks
            pixels, target, weight = chips.cut(places)
            weight = weight * counts[self.learner.steps.own].reshape(-1, 1, 1)
            return len(chosen), (pixels, target, weight), looks

        return ahead(make, range(first, len(drawn), self.batch), _AHEAD)

    def _say(self, rate: float) -> None:
        """Progress at every step, live.json about every second."""
        crops, config, standing = len(self.drawing), self.config, self.standing
        loss = standing.sums[0] / max(standing.sums[1], 1.0)
        batch, batches = -(-standing.seen // self.batch), -(-crops // self.batch)
        share = self.schedule.share(standing)
        self.report(share, f"{self.schedule.words(standing)}, batch {batch} of {batches}, loss {loss:.2f}")
        if time.monotonic() - self.said < LIVE_S and standing.seen < crops:
            return
        self.said = time.monotonic()
        live = Live(
            standing.epoch + 1, 0 if config.minutes else config.epochs, batch, batches, loss, rate, self.pace,
            self.learner.memory_bytes, datetime.now(UTC),
        )  # fmt: skip
        live.write(self.run.path)
        if share - self.drawn >= 1 / MOST_STEPS:
            self.drawn = share
            live.note(self.run.path)

    def _windows(self) -> Windows:
        """A few crops of the validation ground, with buildings if there are any."""
        chips = self.data.validation
        offered = np.flatnonzero(chips.built) if chips.built.any() else np.arange(len(chips))
        chosen = offered[np.unique(np.linspace(0, len(offered) - 1, MOST_WINDOWS).round().astype(int))]
        pixels, target, weight = chips.cut(chips.places(chosen))
        return Windows(pixels, chips.built_in(target).astype(np.uint8), weight > 0)

    def _diverged(self, what: str) -> NoReturn:
        self.run.log(f"Epoch {self.standing.epoch + 1}: {what} is no number any more. Stopped.")
        raise Diverged(epoch=self.standing.epoch + 1)


def _sentence(row: dict[str, float], words: str) -> str:
    said = ", ".join(
        f"{name} {row[name]:.3f}" for prefix in ("", "val_") for m in (*MEASURES, "f1") if (name := prefix + m) in row
    )
    pace = f"{row['images_s']:.1f} crops/s, learning rate {row['learning_rate']:.2g}"
    return f"{words.capitalize()}, in {row['seconds']:.1f} s: {said}; {pace}"
