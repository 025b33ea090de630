"""One training on two machines, which are two processes here."""

import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.catalog.store import update_catalog
from core.errors import InvalidSetting
from core.jobs import distributed
from core.jobs.distributed import run_distributed
from core.jobs.folder import JobFolder
from core.jobs.job import State
from core.jobs.launchers.ray import RayLauncher
from core.jobs.queue import Queue
from core.progress import never, silent
from core.runs.config import TrainingConfig
from core.runs.run import Run
from core.settings import settings
from core.training.train import train
from tests.cluster import tasks
from tests.core.jobs.fake_tasks import wait_for
from tests.core.tile_factory import SMALL, grid_at, make_tile

#: Six crops to train on: a batch of four and one of two.
CONFIG = TrainingConfig(epochs=2, batch=4, seed=7, dataset=replace(SMALL, step=32))


@pytest.mark.slow
def test_two_workers_train_one_network_as_one_would(cluster: Queue, tmp_path: Path):
    tiles = [make_tile(tmp_path, f"img{n}", grid_at(100 * n)) for n in range(3)]
    update_catalog(lambda catalog: catalog.with_tiles(tiles))
    params = {"run": "two", "tiles": [tile.id for tile in tiles], "config": asdict(CONFIG), "nodes": 2}
    job = cluster.submit("train", params | {"weights": str(tmp_path)})
    run = RayLauncher(command=tasks.CHILD).start(cluster.claim("w"))
    ended = wait_for(lambda: run.wait(0.5), 100)
    assert (ended.state, ended.error) == (State.DONE, None), "\n".join(JobFolder.of(job.id).tail())
    chief, other = (np.load(tmp_path / f"{name}.npz") for name in ("chief", "other"))
    assert len(chief.files) > 2
    assert all(np.array_equal(chief[name], other[name]) for name in chief.files)

    made = Run(settings().runs / "two")
    assert (made.is_finished, made.epochs_done, list(made.metrics()["epoch"])) == (True, 2, [1, 2])
    alone = train(tiles, CONFIG, tmp_path / "alone")
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(made.metrics()[name], alone.metrics()[name], rtol=1e-4)


def test_several_machines_without_a_cluster_are_refused_in_words():
    with pytest.raises(InvalidSetting, match="GROUNDPLAN_LAUNCHER=ray"):
        run_distributed("core.tasks.train:train_task", {"nodes": 2}, silent, never)


def test_all_processes_finish_at_the_same_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    word = []

    def broadcast(data: object) -> object:
        if data is not None:  # the chief's
            word[:] = [data]
        return word[0]

    for name in ("ray", "ray.train", "ray.train.collective"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(broadcast_from_rank_zero=broadcast))
    monkeypatch.setattr(distributed, "_CONSENSUS_S", 0.01)
    folder = JobFolder(tmp_path)
    chief, other = distributed._StopConsensus(folder, chief=True), distributed._StopConsensus(folder, chief=False)
    said = []
    for step in range(400):
        said.append(chief())
        if step == 100:
            folder.request_finish()
        assert other() == said[-1]
        time.sleep(0.0005)
    assert (said[100], said[-1]) == (False, True)
