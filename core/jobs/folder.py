"""A job's folder: all that its process and the rest of the house tell each other, on this machine or a shared disk.

    job.json               what to do, and which attempt may do it; written before each start
    finish                 is there once the job is asked to end soon and keep what it has
    process-<attempt>.json which process does it
    progress.json          how far it is
    error.txt              why it failed
    log.txt                what it printed, over all its attempts

All but log.txt are replaced whole, so that a reader never meets half a file.
"""

import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from core.atomic_files import replacing
from core.errors import CannotRead, CannotWrite, DiskFull, NoSuchJob
from core.jobs.job import Job
from core.jobs.process import Process
from core.progress import Progress, Report, Stopwatch
from core.settings import settings

#: Seconds between two writes of progress.json.
REPORT_S = 0.25
#: Bytes of the log that are read for its tail.
_TAIL_BYTES = 64 * 1024
#: No attempt has this number.
_NOBODY = -1
#: Colours and cursor movements of a terminal, and other signs that say nothing in a browser.
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Order:
    """What a job's process is to do, and which start may do it: no other one writes anything more."""

    task: str
    params: dict[str, Any]
    attempt: int


@dataclass(frozen=True)
class JobFolder:
    """The files of one job."""

    path: Path

    @classmethod
    def of(cls, job_id: int) -> "JobFolder":
        """The folder of that job; it need not exist yet."""
        return cls(settings().data / "jobs" / str(job_id))

    @property
    def log(self) -> Path:
        """What the job printed, over all its attempts."""
        return self.path / "log.txt"

    def prepare(self, job: Job) -> None:
        """Makes the folder ready for this attempt, and ends what is left of earlier ones on this machine.

        In this order: from job.json on no process of an earlier attempt works on, on whatever machine. The log is kept,
        but by the first attempt. Raises DiskFull, CannotWrite.
        """
        self._give(Order(job.task, job.params, job.attempt))
        self._end_all()
        try:
            for left in self._left_by_others(job.attempt):
                shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        except OSError as error:
            raise CannotWrite(name=self.path, detail=error.strerror or str(error)) from error

    def order(self) -> Order:
        """What is to be done; raises NoSuchJob where the folder is gone, CannotRead."""
        try:
            return Order(**json.loads((self.path / "job.json").read_text()))
        except FileNotFoundError as error:
            raise NoSuchJob(job=self.path.name) from error
        except (OSError, ValueError, TypeError) as error:
            raise CannotRead(name=self.path / "job.json", detail=getattr(error, "strerror", None) or error) from error

    def revoke(self) -> None:
        """Takes the order back: whoever still works on it ends, here at once, on other machines within seconds."""
        with suppress(NoSuchJob, CannotRead, DiskFull, CannotWrite):
            order = self.order()
            self._give(Order(order.task, order.params, _NOBODY))
        self._end_all()

    def sign_in(self, attempt: int) -> None:
        """Called by the job's process before it begins, so that it can be ended; raises DiskFull, CannotWrite."""
        with replacing(self.path / f"process-{attempt}.json") as part:
            part.write_text(json.dumps(asdict(Process.this())))

    def _give(self, order: Order) -> None:
        with replacing(self.path / "job.json") as part:
            part.write_text(json.dumps(asdict(order)))

    def _end_all(self) -> None:
        for record in self.path.glob("process-*.json"):
            with suppress(OSError, ValueError, TypeError):
                Process(**json.loads(record.read_text())).kill()
                record.unlink()

    def _left_by_others(self, attempt: int) -> list[Path]:
        """What this attempt must not find. The first one: anything, since a queue that is gone had given its number."""
        if attempt == 1:
            return [path for path in self.path.iterdir() if path.name != "job.json"]
        return [self.path / name for name in ("progress.json", "error.txt", "finish")]

    def ask_to_finish(self) -> None:
        """Asks the job to end soon and to keep what it has; raises DiskFull, CannotWrite."""
        with replacing(self.path / "finish"):
            pass

    def is_to_finish(self) -> bool:
        """Whether it was asked to."""
        return (self.path / "finish").exists()

    def remove(self) -> None:
        """Deletes the folder and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def progress(self) -> Progress | None:
        """How far the job is, the remaining seconds counted from now; None before it first reported."""
        try:
            facts = json.loads((self.path / "progress.json").read_text())
            passed = max(0.0, time.time() - facts.pop("updated"))
            said = Progress(**facts)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        remaining = None if said.remaining_s is None else max(0.0, said.remaining_s - passed)
        return Progress(said.share, said.doing, remaining)

    def error(self) -> str | None:
        """Why the job failed, in the job's own words."""
        try:
            return (self.path / "error.txt").read_text().strip() or None
        except OSError:
            return None

    def fail(self, sentence: str) -> None:
        """Leaves the reason for the worker to find; raises DiskFull or CannotWrite."""
        with replacing(self.path / "error.txt") as part:
            part.write_text(sentence)

    def tail(self, lines: int = 40) -> list[str]:
        """The last lines of the log, as a terminal would show them; at most the last 64 KB are read."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
                text = file.read(_TAIL_BYTES).decode(errors="replace")
        except OSError:
            return []
        # A progress bar writes over its line: what follows the last carriage return is what is seen.
        shown = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.rstrip().split("\n")]
        return [_TERMINAL.sub("", line) for line in shown if line][-lines:]

    @contextmanager
    def reporting(self) -> Iterator[Report]:
        """A Report whose latest word is in progress.json within REPORT_S seconds, and at the end.

        A thread writes it: work that reports ten thousand times a second is not slowed, and its last word is not lost.
        """
        watch, over = Stopwatch(), Event()
        latest: Progress | None = None

        def report(share: float, doing: str) -> None:
            nonlocal latest
            latest = watch.at(min(max(share, 0.0), 1.0), doing)

        def keep() -> None:
            written, last = None, False
            while not last:
                last = over.wait(REPORT_S)
                if latest is not None and latest is not written:
                    written = latest
                    self._write(latest)

        writer = Thread(target=keep, name="progress", daemon=True)
        writer.start()
        try:
            yield report
        finally:
            over.set()
            writer.join()

    def _write(self, progress: Progress) -> None:
        # Progress is a courtesy: a full disk ends the job only where its own work needs the room.
        with suppress(DiskFull, CannotWrite), replacing(self.path / "progress.json") as part:
            part.write_text(json.dumps(asdict(progress) | {"updated": time.time()}))
