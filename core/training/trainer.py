"""Training loop: epochs with validation, checkpoints, early stopping, refit and threshold optimization.

The order of an epoch's crops and their augmentation follow from the seed and the number of the epoch alone, so that a
training that was interrupted anywhere resumes with the same crops.
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
from core.formatting import counted
from core.postprocessing.config import VectorizeConfig
from core.postprocessing.thresholds import (
    MIDTRAINING_RATIOS,
    SADDLE_RATIOS,
    Thresholds,
    are_separable,
    default_vectorize,
    optimize_thresholds,
)
from core.postprocessing.validation import MAX_SAMPLES, ground_truth_layers, predict_areas, validation_areas
from core.progress import Report, StopRequested
from core.runs.checkpoints import TrainerState
from core.runs.config import TrainingConfig
from core.runs.live_metrics import MAX_STEPS, LiveMetrics, end_live
from core.runs.prediction_film import MAX_WINDOWS, PreviewBatch
from core.runs.run import MEASURES, Run
from core.runtime.prefetch import prefetch
from core.training.callbacks.base import Callback, Epoch
from core.training.crop_sampler import CropSampler, EpochCrops
from core.training.learner import Learner
from core.training.schedule import Schedule
from core.types import Batch

if TYPE_CHECKING:
    from models.steps.base import CropWindows, MetricSums

#: Time between checkpoints within an epoch [s].
CHECKPOINT_INTERVAL_S = 300.0
#: Time between updates of live.json [s].
LIVE_INTERVAL_S = 1.0
#: Batches prepared ahead of the training step.
_PREFETCH = 3


def split_among_replicas(numbers: NDArray[np.intp], ranks: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Split the crops of a batch among replicas; uneven batches are padded with the first crop at weight 0.

    Args:
        numbers: Numbers of the crops, (n,).
        ranks: Number of replicas.

    Returns:
        Numbers (ranks, m) and weights (ranks, m) float32, 1 or 0.
    """
    missing = -len(numbers) % ranks
    weights = np.concatenate([np.ones(len(numbers), np.float32), np.zeros(missing, np.float32)])
    padded = np.concatenate([numbers, np.repeat(numbers[:1], missing)])
    return padded.reshape(ranks, -1), weights.reshape(ranks, -1)


@dataclass
class Trainer:
    """State and loop of one training. Everything may raise CannotWrite, DiskFull and MemoryError."""

    run: Run  #: where this process writes
    config: TrainingConfig
    data: Dataset
    learner: Learner
    state: TrainerState
    callbacks: Sequence[Callback]
    report: Report  #: receives the progress
    stop_requested: StopRequested
    stopping: bool = False  #: a stop was requested: end with the results so far
    last_checkpoint_s: float = field(default_factory=time.monotonic)  #: time of the last checkpoint [s]
    last_report_s: float = 0.0  #: time of the last update of live.json [s]
    last_step_share: float = 0.0  #: progress at the last line of steps.jsonl
    crops_per_s: float = 0.0  #: training speed in the epoch so far

    def __post_init__(self) -> None:
        self.batch = self.state.batch or self.config.batch
        # After memory once ran out, samples are not cached on the device.
        self.cached = not self.state.batch and self.learner.cache_on_device(self.data.train)
        self.sampler = CropSampler(self.config, self.data.train)
        self.schedule = Schedule(self.config, len(self.sampler), self.state.spent)
        if self.run.refit_thresholds:  # interrupted during a refit
            self._sample_all_areas()

    @property
    def refitting(self) -> bool:
        """True in a refit, which trains on the validation set as well."""
        return self.sampler.chips is self.data.whole

    @property
    def is_over(self) -> bool:
        """True after the last epoch, the time budget, early stopping or a stop request."""
        is_complete = self.state.epoch >= self.config.epochs or self.schedule.is_over(self.refitting)
        return self.stopping or is_complete or self._patience_is_over

    @property
    def _patience_is_over(self) -> bool:
        return 0 < self.config.patience <= self.state.epoch - self.state.best_epoch

    def fit(self) -> None:
        """Train the remaining epochs and optimize the thresholds; raises Diverged."""
        failed = True
        preview = self._preview_batch()
        try:
            for callback in self.callbacks:
                callback.begin(self.run, preview, self.state.epoch)
            self._report_start()
            self.stopping = bool(self.state.epoch) and self.stop_requested()  # before an interruption
            while not self.is_over:
                self._run_epoch(preview)
            if self._patience_is_over and not self.stopping:
                best, patience = self.state.best_epoch, self.config.patience
                self.run.log(f"Early stopping: no improvement over epoch {best} for {counted(patience, 'epoch')}.")
            self._optimize_thresholds()
            self.report(1.0, f"{counted(self.state.epoch, 'epoch')} completed")
            failed = False
        finally:
            end_live(self.run.path)
            for callback in self.callbacks:
                callback.close(failed)

    def _report_start(self) -> None:
        """Report 0 and the progress of an earlier process at once, so that it does not count for the estimated time."""
        progress = self.schedule.share(self.state)
        for share in (0.0, progress):
            self.report(share, "Resuming" if progress else "Starting")

    def _optimize_thresholds(self) -> None:
        """Optimize the thresholds on the validation set with the weights of the run; after a refit they are fixed."""
        if not self.run.is_usable:
            return
        if fixed := self.run.refit_thresholds:
            self.run.save_thresholds(fixed)
            return
        self.report(1.0, "Tuning thresholds")
        self.learner.model.load_weights(self.run.weights())
        self.run.save_thresholds(self._best_thresholds(SADDLE_RATIOS).as_dict())

    def _best_thresholds(self, ratios: Sequence[float]) -> Thresholds:
        """Optimize the thresholds on the validation set for the current weights, with these split ratios."""
        prediction = predict_areas(
            validation_areas(self.data.validation), self.learner.predict_layers, self.learner.network.stride
        )
        return optimize_thresholds(prediction, self._default_vectorize, ratios)

    @cached_property
    def _default_vectorize(self) -> VectorizeConfig:
        """Post-processing settings before threshold optimization; detached buildings are split less."""
        predicts_distance = self.learner.network.predicts_distance
        detached = predicts_distance and are_separable(ground_truth_layers(self.data.train, MAX_SAMPLES))
        if detached:
            self.run.log("Touching buildings are separated with default settings until tuning.")
        return default_vectorize(self.config, detached)

    def _begin_refit(self) -> None:
        """Optimize the thresholds, then start to train on the validation set as well."""
        self.report(self.schedule.share(self.state), "Tuning thresholds")
        with self.learner.ema_weights():
            thresholds = self._best_thresholds(MIDTRAINING_RATIOS)
        self.run.save_refit_thresholds(replace(thresholds, refitted=True).as_dict())
        score = "" if thresholds.f1 is None else f" (F1 {thresholds.f1:.3f})"
        self.run.log(f"Thresholds tuned on validation data{score}. Refitting on all data now.")
        self._sample_all_areas()

    def _sample_all_areas(self) -> None:
        """Sample crops from all tiles, in epochs of the same length, which are not validated."""
        self.sampler = CropSampler(self.config, self.data.whole, len(self.sampler))
        self.schedule.validation_s = 0.0  # these epochs are not validated

    def _run_epoch(self, preview: PreviewBatch) -> None:
        """Train and validate one epoch, save its results, and make a checkpoint."""
        if not self.refitting and self.state.crops_seen == 0 and self.schedule.refits(self.state):
            self._begin_refit()
        rate = self._train_epoch()
        number, trained, start = self.state.epoch + 1, self.state, time.monotonic()
        self.report(self.schedule.share(self.state), f"{self.schedule.describe(self.state)}, validating")
        with self.learner.ema_weights():
            validation = {} if self.refitting else self._metrics(self._validate()) | self._building_f1()
            if not self.learner.is_finite:
                self._raise_diverged("a weight")
            row: dict[str, float] = {"epoch": number, "seconds": round(trained.seconds + time.monotonic() - start, 3)}
            row |= self._metrics(trained.sums) | {f"val_{name}": value for name, value in validation.items()}
            row |= {
                "learning_rate": rate,
                "images_s": round(trained.crops_seen / trained.seconds, 3) if trained.seconds else 0,
            }
            self._save_results(row)
            probability = self.learner.predict_layers(preview.pixels)[..., 0]
        for callback in self.callbacks:
            callback.end_epoch(Epoch(number, row, probability))
        self.run.log(_epoch_summary(row, self.schedule.describe(trained)))
        self.schedule.validation_s = time.monotonic() - start
        # The checkpoint comes last: after an interruption, results are written again rather than lost.
        self.state = replace(self.state, epoch=number, crops_seen=0, sums=(), seconds=0.0)
        self._save_checkpoint()
        self.stopping = self.stopping or self.stop_requested()

    def _save_results(self, row: dict[str, float]) -> None:
        """Append the metrics; save the weights if they are the best, of equal ones the later, in a refit the last."""
        number, score = int(row["epoch"]), row.get(f"val_{self.config.best_by}", nan)
        best = self.state.best_score
        if self.refitting or isnan(best) or score >= best:
            self.run.save_weights(self.learner.model, number)
            self.state = replace(self.state, best_epoch=number, best_score=best if self.refitting else score)
        self.run.add_metrics(row)

    def _save_checkpoint(self) -> None:
        self.state = replace(self.state, spent=self.schedule.spent)
        self.learner.checkpoint(self.state, self.config).save(self.run.path)
        self.last_checkpoint_s = time.monotonic()

    def _train_epoch(self) -> float:
        """Train on the remaining crops of an epoch and return the last learning rate; raises Diverged."""
        crops, start, initial = len(self.sampler), time.monotonic(), self.state
        epoch_crops = self.sampler.epoch(initial.epoch)
        sums, rate = np.array(initial.sums or np.zeros(1)), self.config.learning_rate
        with closing(self._batches(self.sampler.chips, epoch_crops, initial.crops_seen)) as batches:
            for size, batch, photometric in batches:
                rate = self.schedule.rate(self.state)
                sums = sums + self.learner.steps.train(batch, rate, photometric)
                if not isfinite(sums[0]):
                    self._raise_diverged("the loss")
                crops_seen = self.state.crops_seen + size
                seconds = initial.seconds + time.monotonic() - start
                self.state = replace(self.state, crops_seen=crops_seen, sums=tuple(map(float, sums)), seconds=seconds)
                self.crops_per_s = (crops_seen - initial.crops_seen) / max(seconds - initial.seconds, 1e-9)
                self._report_step(rate)
                if self.stop_requested():
                    self._log_early_end(crops)
                    break
                if self.schedule.time_is_up:
                    break
                if time.monotonic() - self.last_checkpoint_s >= CHECKPOINT_INTERVAL_S and crops_seen < crops:
                    self._save_checkpoint()
        return rate

    def _log_early_end(self, crops: int) -> None:
        self.stopping = True
        if self.state.crops_seen < crops:
            progress = f"{self.state.crops_seen} of {crops} crops"
            self.run.log(f"Epoch {self.state.epoch + 1} was cut short after {progress}.")

    def _validate(self) -> "MetricSums":
        """Sum the pixel metrics over the validation crops."""
        chips = self.data.validation
        with closing(self._batches(chips, EpochCrops.of(chips, np.arange(len(chips))))) as batches:
            return sum((self.learner.steps.evaluate(batch) for _, batch, _ in batches), np.zeros(1))

    def _building_f1(self) -> dict[str, float]:
        """Building F1 on the validation set, if the best epoch is chosen by it; NaN without buildings."""
        if self.config.best_by != "f1":
            return {}
        prediction = predict_areas(
            validation_areas(self.data.validation, MAX_SAMPLES),
            self.learner.predict_layers,
            self.learner.network.stride,
        )
        score = prediction.counts(self._default_vectorize).f1
        return {"f1": nan if score is None else score}

    def _metrics(self, sums: "MetricSums | tuple[float, ...]") -> dict[str, float]:
        from models.steps.base import metrics_from_sums

        return metrics_from_sums(np.asarray(sums), self.learner.network.heads)

    def _batches(
        self, chips: Chips, crops: EpochCrops, first: int = 0
    ) -> "Generator[tuple[int, Batch | CropWindows, NDArray[np.float32]], None, None]":
        """Yield batches from the `first` crop on: number of crops, share of this process, photometric parameters.

        Crops are cut in a background thread, unless the samples are cached on the device.
        """

        def make(start: int) -> "tuple[int, Batch | CropWindows, NDArray[np.float32]]":
            chosen = np.arange(start, min(start + self.batch, len(crops)))
            numbers, weights = split_among_replicas(chosen, self.learner.steps.ranks)
            local = numbers[self.learner.steps.local_replicas].ravel()
            windows, photometric = crops.windows[local], crops.augmentation[local]
            if self.cached and chips is not self.data.validation:
                return len(chosen), windows, photometric
            pixels, target, weight = chips.crop_windows(windows)
            weight = weight * weights[self.learner.steps.local_replicas].reshape(-1, 1, 1)
            return len(chosen), (pixels, target, weight), photometric

        return prefetch(make, range(first, len(crops), self.batch), _PREFETCH)

    def _report_step(self, rate: float) -> None:
        """Report the progress of every step, and update live.json about every second."""
        crops, config, state = len(self.sampler), self.config, self.state
        loss = state.sums[0] / max(state.sums[1], 1.0)
        batch, batches = -(-state.crops_seen // self.batch), -(-crops // self.batch)
        share = self.schedule.share(state)
        self.report(share, f"{self.schedule.describe(state)}, batch {batch} of {batches}, loss {loss:.2f}")
        if time.monotonic() - self.last_report_s < LIVE_INTERVAL_S and state.crops_seen < crops:
            return
        self.last_report_s = time.monotonic()
        live = LiveMetrics(
            state.epoch + 1, 0 if config.minutes else config.epochs, batch, batches, loss, rate, self.crops_per_s,
            self.learner.memory_bytes, datetime.now(UTC),
        )  # fmt: skip
        live.write(self.run.path)
        if share - self.last_step_share >= 1 / MAX_STEPS:
            self.last_step_share = share
            live.append_step(self.run.path)

    def _preview_batch(self) -> PreviewBatch:
        """Choose a few validation crops for the prediction film, with buildings if there are any."""
        chips = self.data.validation
        candidates = np.flatnonzero(chips.has_building) if chips.has_building.any() else np.arange(len(chips))
        chosen = candidates[np.unique(np.linspace(0, len(candidates) - 1, MAX_WINDOWS).round().astype(int))]
        pixels, target, weight = chips.crop_windows(chips.windows(chosen))
        return PreviewBatch(pixels, chips.building_mask(target).astype(np.uint8), weight > 0)

    def _raise_diverged(self, quantity: str) -> NoReturn:
        self.run.log(f"Epoch {self.state.epoch + 1}: training diverged ({quantity} is NaN). Stopped.")
        raise Diverged(epoch=self.state.epoch + 1)


def _epoch_summary(row: dict[str, float], epoch: str) -> str:
    metrics = ", ".join(
        f"{name} {row[name]:.3f}" for prefix in ("", "val_") for m in (*MEASURES, "f1") if (name := prefix + m) in row
    )
    speed = f"{row['images_s']:.1f} crops/s, learning rate {row['learning_rate']:.2g}"
    return f"{epoch.capitalize()}, in {row['seconds']:.1f} s: {metrics}; {speed}"
