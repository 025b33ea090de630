"""A job's folder: how far it is, what it printed and why it failed. Written by the job, read by pages.

progress.json and error.txt are replaced whole, so that a reader never meets half a file. log.txt only grows.
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

from core.errors import CannotWrite, DiskFull
from core.files import replacing
from core.progress import Progress, Report, Stopwatch
from core.settings import settings

#: Seconds between two writes of progress.json.
REPORT_S = 0.25
#: Bytes of the log that are read for its tail.
_TAIL_BYTES = 64 * 1024
#: Colours and cursor movements of a terminal, and other signs that say nothing in a browser.
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


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

    def prepare(self) -> None:
        """Makes the folder ready for an attempt; the log is kept."""
        self.path.mkdir(parents=True, exist_ok=True)
        for left in ("progress.json", "error.txt"):
            (self.path / left).unlink(missing_ok=True)

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
