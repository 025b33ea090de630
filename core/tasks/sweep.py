"""Sweeps: the same tiles trained with every combination of learning rate, network and seed.

A sweep is nothing but its jobs, which name it in their params: it grows when more are submitted under its name.
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
#: More than this is a slip of the pen rather than a plan.
MOST_TRAININGS = 500
#: So many of the latest trainings are searched for a sweep's.
_SEARCHED = 5_000
_COLUMNS = ("job", "rate", "network", "seed", "epochs", "iou", "seconds", "state")


@dataclass(frozen=True)
class Sweep:
    """A grid of trainings on the same tiles."""

    name: str
    tiles: tuple[str, ...]
    base: TrainingConfig  #: what all of them share
    rates: tuple[float, ...]
    networks: tuple[str, ...]
    seeds: tuple[int, ...]
    resources: Resources = field(default_factory=Resources)  #: of each training

    def __len__(self) -> int:
        return len(self.rates) * len(self.networks) * len(self.seeds)

    @classmethod
    def parse(
        cls, name: str, tiles: Sequence[str], base: TrainingConfig,
        rates: Sequence[str], networks: Sequence[str], seeds: Sequence[str],
    ) -> "Sweep":  # fmt: skip
        """From words, as a command line gives them; raises InvalidSetting."""
        return cls(
            name, tuple(tiles), base, tuple(_number(float, "learning rate", rate) for rate in rates),
            tuple(networks), tuple(_number(int, "seed", seed) for seed in seeds),
        )  # fmt: skip

    def configs(self) -> list[TrainingConfig]:
        """One a training, each with a name that tells rate, network and seed; raises InvalidSetting, UnknownNetwork.

        Options of the base are kept for the networks that have them.
        """
        if not self.name.strip() or not 0 < len(self) <= MOST_TRAININGS:
            detail = f"it has a name, and rates × networks × seeds make 1 to {MOST_TRAININGS} trainings"
            raise InvalidSetting(setting="the sweep", value=f'"{self.name}" of {len(self)}', detail=detail)
        configs = [self._config(*choice) for choice in product(self.networks, self.rates, self.seeds)]
        for config in configs:
            check_network(config)
        return configs

    def _config(self, network: str, rate: float, seed: int) -> TrainingConfig:
        known = networks()[network].options if network in networks() else {}
        options = {name: value for name, value in self.base.options.items() if name in known}
        name = f"{self.name} · {network} · rate {rate:g} · seed {seed}"
        return replace(self.base, network=network, learning_rate=rate, seed=seed, options=options, name=name)


def submit(sweep: Sweep, queue: Queue) -> list[Job]:
    """Puts every training of the sweep into the queue, behind what people wait for; raises what `configs` raises."""
    return [
        submit_training(queue, sweep.tiles, config, config.name, sweep.resources, LOW, {"sweep": sweep.name})
        for config in sweep.configs()
    ]


def sweep_names(queue: Queue | None = None) -> list[str]:
    """The sweeps whose jobs are in the queue, the latest first."""
    return list(dict.fromkeys(str(job.params["sweep"]) for job in _jobs(queue)))


def results(name: str, queue: Queue | None = None) -> pd.DataFrame:
    """One row a training: job, rate, network, seed, epochs (done), iou (best of validation), seconds, state.

    The best comes first; iou and seconds are NaN where nothing is known yet.
    """
    rows = [_result(job) for job in _jobs(queue) if job.params["sweep"] == name]
    return pd.DataFrame(rows, columns=list(_COLUMNS)).sort_values(["iou", "job"], ascending=[False, True])


def _number(kind: Callable[[str], Number], what: str, text: str) -> Number:
    try:
        return kind(text)
    except ValueError as error:
        raise InvalidSetting(setting=f"the {what}", value=f'"{text}"', detail="it is a number") from error


def _jobs(queue: Queue | None) -> Sequence[Job]:
    found = (queue or Queue(settings().queue)).jobs(limit=_SEARCHED, task="train")
    return [job for job in found if job.params.get("sweep")]


def stop(name: str, queue: Queue) -> None:
    """Stops every training of a sweep that is not over; running ones keep what they have."""
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
