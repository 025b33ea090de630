"""Hyperparameter sweeps: grid search over learning rate, network and random seed on the same tiles.

A sweep consists of its jobs, which name it in their parameters; jobs submitted under the same name extend it.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TypeVar

import pandas as pd

from core.errors import DamagedRun, InvalidSetting, NoSuchRun
from core.jobs.job import Resources
from core.jobs.queue import LOW, Job, Queue
from core.runs.config import TrainingConfig
from core.settings import settings
from core.tasks.train import run_of, submit_training
from core.training.train import check_network, networks

Number = TypeVar("Number", int, float)
#: Maximum number of trainings in a sweep, as a guard against typing errors.
MAX_TRAININGS = 500
#: Number of latest training jobs searched for those of a sweep.
_JOBS_SEARCHED = 5_000
_COLUMNS = ("job", "rate", "network", "seed", "epochs", "iou", "seconds", "state")


@dataclass(frozen=True)
class Sweep:
    """A grid of trainings on the same tiles."""

    name: str
    tiles: tuple[str, ...]
    base: TrainingConfig  #: shared configuration
    rates: tuple[float, ...]
    networks: tuple[str, ...]
    seeds: tuple[int, ...]
    resources: Resources = field(default_factory=Resources)  #: per training

    def __len__(self) -> int:
        return len(self.rates) * len(self.networks) * len(self.seeds)

    @classmethod
    def parse(
        cls, name: str, tiles: Sequence[str], base: TrainingConfig,
        rates: Sequence[str], networks: Sequence[str], seeds: Sequence[str],
    ) -> "Sweep":  # fmt: skip
        """Parse a sweep from the texts of a command line.

        Args:
            name: Name of the sweep.
            tiles: IDs of the training tiles.
            base: Configuration that all runs share.
            rates: Learning rates.
            networks: Names of networks.
            seeds: Random seeds.

        Returns:
            The sweep.

        Raises:
            InvalidSetting: A rate or seed is not a number.
        """
        return cls(
            name, tuple(tiles), base, tuple(_number(float, "learning rate", rate) for rate in rates),
            tuple(networks), tuple(_number(int, "seed", seed) for seed in seeds),
        )  # fmt: skip

    def configs(self) -> list[TrainingConfig]:
        """Configurations of all trainings, named by network, rate and seed; raises InvalidSetting, UnknownNetwork.

        Options of the base apply to the networks that have them.
        """
        if not self.name.strip() or not 0 < len(self) <= MAX_TRAININGS:
            detail = f"it needs a name and 1 to {MAX_TRAININGS} runs (learning rates × models × seeds)"
            raise InvalidSetting(setting="the sweep", value=f'"{self.name}" with {len(self)} runs', detail=detail)
        configs = [self._config(*choice) for choice in product(self.networks, self.rates, self.seeds)]
        for config in configs:
            check_network(config)
        return configs

    def _config(self, network: str, rate: float, seed: int) -> TrainingConfig:
        allowed = networks()[network].options if network in networks() else {}
        options = {name: value for name, value in self.base.options.items() if name in allowed}
        name = f"{self.name} · {network} · rate {rate:g} · seed {seed}"
        return replace(self.base, network=network, learning_rate=rate, seed=seed, options=options, name=name)


def submit(sweep: Sweep, queue: Queue) -> list[Job]:
    """Queue all trainings of a sweep at low priority; raises InvalidSetting, UnknownNetwork."""
    return [
        submit_training(queue, sweep.tiles, config, config.name, sweep.resources, LOW, {"sweep": sweep.name})
        for config in sweep.configs()
    ]


def sweep_names(queue: Queue | None = None) -> list[str]:
    """List the names of the sweeps in the queue, latest first."""
    return list(dict.fromkeys(str(job.params["sweep"]) for job in _jobs(queue)))


def results(name: str, queue: Queue | None = None) -> pd.DataFrame:
    """Results table of a sweep: job, rate, network, seed, epochs (done), iou (best validation IoU), seconds, state.

    One row per training, sorted by IoU; iou and seconds are NaN before the first epoch.
    """
    rows = [_result(job) for job in _jobs(queue) if job.params["sweep"] == name]
    return pd.DataFrame(rows, columns=list(_COLUMNS)).sort_values(["iou", "job"], ascending=[False, True])


def _number(kind: Callable[[str], Number], name: str, text: str) -> Number:
    try:
        return kind(text)
    except ValueError as error:
        raise InvalidSetting(setting=f"the {name}", value=f'"{text}"', detail="must be a number") from error


def _jobs(queue: Queue | None) -> Sequence[Job]:
    jobs = (queue or Queue(settings().queue)).jobs(limit=_JOBS_SEARCHED, task="train")
    return [job for job in jobs if job.params.get("sweep")]


def stop(name: str, queue: Queue) -> None:
    """Stop all unfinished trainings of a sweep; running ones finish early and keep their model."""
    for job in _jobs(queue):
        if job.params["sweep"] == name and not job.state.is_over:
            queue.request_stop(job.id, keep=True)


def _result(job: Job) -> dict[str, object]:
    config, run = job.params["config"], run_of(job)
    row: dict[str, object] = {
        "job": job.id, "rate": config["learning_rate"], "network": config["network"], "seed": config["seed"],
        "epochs": 0, "iou": float("nan"), "seconds": float("nan"), "state": str(job.state),
    }  # fmt: skip
    with suppress(NoSuchRun, DamagedRun):
        if run is not None and run.exists:
            metrics = run.metrics()
            row |= {"epochs": len(metrics), "iou": metrics["val_iou"].max(), "seconds": metrics["seconds"].sum()}
    return row
