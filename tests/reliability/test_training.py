"""Training under kill -9, a full disk and damaged files: never more than an epoch is lost, never a file is broken."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.checkpoints import Checkpoint, Standing, latest, load
from core.chips import Chips, Scaling, Scene
from core.dataset import Dataset
from core.errors import CannotWrite, DamagedCheckpoint, DiskFull, NoSuchCheckpoint
from core.fitting import Fit
from core.jobs.local import ROOT
from core.progress import never, silent
from core.runs import Record, Run, TrainingConfig
from core.training import train
from core.watchers.watcher import watchers
from tests.core.checkpoints_writer import checkpoint
from tests.core.made_up import SMALL, grid_at, make_tile

WRITER = (sys.executable, "-m", "tests.core.checkpoints_writer")


@pytest.mark.slow
def test_kill_9_while_checkpoints_are_written_leaves_a_readable_one_each_time(tmp_path: Path):
    dice, unreadable, seen = random.Random(4), 0, 0
    for _ in range(50):
        with subprocess.Popen([*WRITER, str(tmp_path), str(seen)], cwd=ROOT, stdout=subprocess.PIPE) as writer:
            writer.stdout.readline()  # the first is written
            time.sleep(dice.uniform(0, 0.05))
            writer.kill()
        try:
            found, problems = latest(tmp_path)
        except NoSuchCheckpoint:
            unreadable += 1
            continue
        unreadable += bool(problems)
        assert found.standing.epoch > seen
        seen = found.standing.epoch
    print(f"kill -9 during checkpoint writing, 50 times: {unreadable} unreadable, {seen} written")
    assert unreadable == 0
    assert len(list(tmp_path.glob("checkpoint-*"))) <= 3  # one more where it was killed before it removed the oldest


def test_a_flipped_byte_is_told_and_the_checkpoint_before_serves(tmp_path: Path):
    dice, errors = random.Random(5), 0
    checkpoint(1).save(tmp_path)
    newest = checkpoint(2).save(tmp_path)
    whole = newest.read_bytes()
    for _ in range(20):
        broken = bytearray(whole)
        broken[dice.randrange(len(whole))] ^= dice.randrange(1, 256)
        newest.write_bytes(broken)
        with pytest.raises(DamagedCheckpoint, match="its checksum does not fit"):
            load(newest)
        found, problems = latest(tmp_path)
        errors += len(problems)
        assert found.standing.epoch == 1
    print(f"a flipped byte, 20 times: {errors} clear errors, each fell back to the checkpoint before")
    assert errors == 20


class ToyLearner:
    """Learns in no time what its weights tell: how many steps it took."""

    def __init__(self) -> None:
        self.weights = np.zeros(3, np.float32)
        self.steps = SimpleNamespace(ranks=1, own=slice(0, 1), train=self._step, check=lambda _: np.ones(6))
        self.model = SimpleNamespace(save_weights=lambda path: Path(path).write_bytes(self.weights.tobytes()))
        self.is_finite, self.memory_bytes = True, None

    def _step(self, _batch: object, _rate: float) -> np.ndarray:
        self.weights = self.weights + 1
        return np.array([1 / self.weights[0], 1, 1, 1, 1, 1])

    def hold(self, _chips: Chips) -> bool:
        return False

    def probability(self, pixels: np.ndarray) -> np.ndarray:
        return pixels[..., 0].clip(0, 1)

    def checkpoint(self, standing: Standing, _config: TrainingConfig) -> Checkpoint:
        return Checkpoint(standing, [self.weights], [])


CONFIG = TrainingConfig(epochs=3, batch=4, recipe=SMALL)


def toy_data() -> Dataset:
    pixels = np.random.default_rng(0).random((64, 64, 3), np.float32)
    scene = Scene("img1", pixels, np.eye(64, dtype=np.uint8), np.ones((64, 64), bool), grid_at(), (1.0,) * 3)
    chips = Chips.of([scene], SMALL)
    return Dataset(chips.only(np.arange(6)), chips.only(np.arange(6, 9)), Scaling((0,) * 3, (1,) * 3), 3)


def toy_training(folder: Path) -> Run:
    """Trains a toy, or goes on with it, as core.training does."""
    run, learner, standing = Run(folder), ToyLearner(), Standing()
    data = toy_data()
    if run.exists:
        try:
            found, _ = latest(folder)
            learner.weights, standing = found.weights[0], found.standing
        except NoSuchCheckpoint:
            pass
        run.drop_after(standing.epoch, standing.seen / len(data.train))
    else:
        Run.create(folder, Record(CONFIG, (), (), data.scaling, 3, (0.5, 0.5), 0, "", {}))
    Fit(run, CONFIG, data, learner, standing, watchers(), silent, never).to_the_end()
    return run


class Disk:
    """Fails at the k-th thing that is opened for writing, synced or renamed under a folder; 0: never."""

    folder, left, used = "", 0, 0

    @classmethod
    def touched(cls, path: object) -> None:
        if cls.folder and str(path).startswith(cls.folder):
            cls.used += 1
            cls.left -= 1
            if cls.left == 0:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))

    @classmethod
    @contextmanager
    def failing_at(cls, k: int, folder: Path) -> Iterator[None]:
        cls.folder, cls.left, cls.used = str(folder), k, 0
        try:
            yield
        finally:
            cls.folder = ""

    @classmethod
    def audit(cls, event: str, arguments: tuple) -> None:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            cls.touched(arguments[0])
        elif event == "os.rename":
            cls.touched(arguments[1])


sys.addaudithook(Disk.audit)


def check_whole(run: Run, before: int) -> None:
    """Everything that is there can be read, and no less than before."""
    if not run.exists:
        assert before == 0
        return
    metrics = run.metrics()
    assert list(metrics["epoch"]) == list(range(1, len(metrics) + 1))
    if run.best_epoch:
        assert run.weights().stat().st_size == 12
    try:
        found, problems = latest(run.path)
    except NoSuchCheckpoint:
        assert before == 0
        return
    assert not problems
    assert found.standing.epoch >= before


def test_the_kth_write_fails_for_every_k_and_nothing_is_broken(tmp_path: Path):
    straight = toy_training(tmp_path / "straight")
    failed = 0
    for k in range(1, 400):
        folder = tmp_path / str(k)
        try:
            with Disk.failing_at(k, folder):
                toy_training(folder)
        except (DiskFull, CannotWrite):
            failed += 1
        check_whole(Run(folder), 0)
        over = toy_training(folder)
        assert over.metrics()["loss"].tolist() == straight.metrics()["loss"].tolist(), f"k = {k}"
        assert over.weights().read_bytes() == straight.weights().read_bytes()
        assert not [path for path in folder.iterdir() if path.name.startswith(".") and path.name != ".lock"]
        if Disk.used < k:
            break
    print(f"the k-th write of {k - 1} in a training fails, every k: {failed} said so, 0 left a broken state")
    assert k > 30
    assert failed > 15


TRAINING = """
import sys
from pathlib import Path
from tests.reliability.test_training import CONFIG_REAL, tiles_in
from core.training import train
train(tiles_in(Path(sys.argv[1])), CONFIG_REAL, Path(sys.argv[2]), resume=True)
"""
CONFIG_REAL = replace(CONFIG, epochs=6, seed=7, augment=True, schedule="cosine")


def tiles_in(folder: Path) -> list:
    folder.mkdir(exist_ok=True)
    return [make_tile(folder, f"img{n}", grid_at(100 * n)) for n in range(2)]


@pytest.mark.slow
def test_after_kill_9_at_most_one_epoch_is_trained_again_and_the_losses_are_the_same(tmp_path: Path):
    run = Run(tmp_path / "killed")
    command = [sys.executable, "-c", TRAINING, str(tmp_path / "tiles"), str(run.path)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        until = time.monotonic() + 120
        while not run.exists or run.epochs_done < 3:
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    done = run.epochs_done
    subprocess.run(command, cwd=ROOT, check=True)
    went_on = next(line for line in run.log_text.splitlines() if "Going on after" in line)
    repeated = done - int(went_on.split("Going on after ")[1].split()[0])
    straight = train(tiles_in(tmp_path / "tiles"), CONFIG_REAL, tmp_path / "straight")
    worst = (run.metrics()[["loss", "val_loss"]] - straight.metrics()[["loss", "val_loss"]]).abs().max(axis=None)
    print(f"kill -9 after {done} epochs: {repeated} repeated, losses differ by {worst:.1e}")
    assert repeated <= 1
    assert worst <= 1e-6
