"""Training under kill -9 and damaged files: never more than an epoch is lost, never a file is broken."""

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import DamagedCheckpoint, NoSuchCheckpoint
from core.jobs.launchers.local import ROOT
from core.runs.checkpoints import latest, load
from core.runs.run import Run
from core.training.train import train
from tests.core.runs.checkpoints_writer import checkpoint
from tests.core.tile_factory import grid_at, make_tile
from tests.reliability.toy_training import CONFIG

WRITER = (sys.executable, "-m", "tests.core.runs.checkpoints_writer")


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
        assert found.state.epoch > seen
        seen = found.state.epoch
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
        with pytest.raises(DamagedCheckpoint, match="checksum mismatch"):
            load(newest)
        found, problems = latest(tmp_path)
        errors += len(problems)
        assert found.state.epoch == 1
    print(f"a flipped byte, 20 times: {errors} clear errors, each fell back to the checkpoint before")
    assert errors == 20


TRAINING = """
import sys
from pathlib import Path
from tests.reliability.test_training import CONFIG_REAL, tiles_in
from core.training.train import train
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
    went_on = next(line for line in run.log_text.splitlines() if "Resuming after" in line)
    repeated = done - int(went_on.split("Resuming after ")[1].split()[0])
    straight = train(tiles_in(tmp_path / "tiles"), CONFIG_REAL, tmp_path / "straight")
    worst = (run.metrics()[["loss", "val_loss"]] - straight.metrics()[["loss", "val_loss"]]).abs().max(axis=None)
    print(f"kill -9 after {done} epochs: {repeated} repeated, losses differ by {worst:.1e}")
    assert repeated <= 1
    assert worst <= 1e-6
