"""A training that takes no time: core.training.trainer with all that looks on, around a learner that is none."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from core.datasets.chips import Chips
from core.datasets.dataset import Dataset
from core.datasets.normalization import Normalization
from core.datasets.samples import Sample
from core.errors import NoSuchCheckpoint
from core.progress import never, silent
from core.runs.checkpoints import Checkpoint, TrainerState, latest
from core.runs.config import TrainingConfig
from core.runs.run import Record, Run
from core.training.callbacks.defaults import default_callbacks
from core.training.trainer import Trainer
from models.registry import NETWORKS
from tests.core.tile_factory import HOUSES, SMALL, grid_at

CONFIG = TrainingConfig(epochs=3, batch=4, dataset=SMALL)


class ToyLearner:
    """Learns in no time what its weights tell: how many steps it took."""

    def __init__(self) -> None:
        self.weights = np.zeros(3, np.float32)
        self.steps = SimpleNamespace(
            ranks=1, local_replicas=slice(0, 1), train=self._step, evaluate=lambda _: np.ones(7)
        )
        self.model = SimpleNamespace(
            save_weights=lambda path: Path(path).write_bytes(self.weights.tobytes()), load_weights=lambda _path: None
        )
        self.network = NETWORKS["fcn"]
        self.is_finite, self.memory_bytes = True, None

    def _step(self, _batch: object, _rate: float, _looks: object) -> np.ndarray:
        self.weights = self.weights + 1
        return np.array([1 / self.weights[0], 1, 1, 1, 1, 1, 1])

    def cache_on_device(self, _chips: Chips) -> bool:
        return False

    def ema_weights(self) -> AbstractContextManager[None]:
        return nullcontext()

    def predict_layers(self, pixels: np.ndarray) -> np.ndarray:
        return pixels[..., :1].clip(0, 1)

    def checkpoint(self, standing: TrainerState, _config: TrainingConfig) -> Checkpoint:
        return Checkpoint(standing, [self.weights], [])


def toy_data() -> Dataset:
    pixels = np.random.default_rng(0).random((64, 64, 3), np.float32)
    target = np.eye(64, dtype=np.uint8)[..., None]
    scene = Sample("img1", pixels, target, np.ones((64, 64), bool), grid_at(), (1.0,) * 3, np.array(HOUSES, object))
    chips = Chips.of([scene], SMALL)
    return Dataset(chips.only(np.arange(6)), chips.only(np.arange(6, 9)), chips, Normalization((0,) * 3, (1,) * 3), 3)


def toy_training(folder: Path) -> Run:
    """Trains a toy, or goes on with it, as core.training.train does."""
    run, learner, standing = Run(folder), ToyLearner(), TrainerState()
    data = toy_data()
    if run.exists:
        try:
            found, _ = latest(folder)
            learner.weights, standing = found.weights[0], found.state
        except NoSuchCheckpoint:
            pass
        run.truncate_after(standing.epoch, standing.crops_seen / len(data.train))
    else:
        Run.create(folder, Record(CONFIG, (), (), data.normalization, 3, (0.5, 0.5), 0, "", {}))
    Trainer(run, CONFIG, data, learner, standing, default_callbacks(), silent, never).fit()
    return run


def what_is_broken(run: Run) -> list[str]:
    """What lies in a run's folder and cannot be read, or is half of something."""
    if not run.exists:
        return []
    wrong, metrics = [], run.metrics()
    if list(metrics["epoch"]) != list(range(1, len(metrics) + 1)):
        wrong.append(f"epochs {list(metrics['epoch'])}")
    if run.best_epoch and run.weights().stat().st_size != 12:
        wrong.append("weights")
    try:
        wrong += [str(problem) for problem in latest(run.path)[1]]
    except NoSuchCheckpoint as problem:
        wrong += [str(problem)] if list(run.path.glob("checkpoint-*")) else []
    return wrong + [path.name for path in run.path.iterdir() if path.name.startswith(".")]
