"""Job folder: files exchanged between a job's process, its worker and the pages, on a local or shared disk.

    job.json               specification and the attempt that may run; written before each start
    finish                 exists once the job is asked to finish early and keep its results
    process-<attempt>.json identity of the process that runs the attempt
    progress.json          latest progress
    error.txt              error message
    log.txt                output of all attempts

All files but log.txt are replaced atomically, so a reader never sees a partial file.
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

from core.atomic_files import atomic_write
from core.compat import from_stored, to_stored
from core.errors import CannotRead, CannotWrite, DiskFull, NoSuchJob
from core.jobs.job import Job
from core.jobs.process import Process
from core.progress import Progress, Report, Stopwatch
from core.settings import settings

#: Seconds between two writes of progress.json.
REPORT_S = 0.25
#: Maximum number of bytes read for the tail of the log.
_TAIL_BYTES = 64 * 1024
#: Attempt number of a revoked specification; no attempt has it.
_NO_ATTEMPT = -1
#: Terminal escape sequences (colors, cursor movements) and other control characters, of no use in a browser.
_CONTROL_SEQUENCES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class JobSpec:
    """Specification of a job for its process, with the only attempt that may still write."""

    task: str
    params: dict[str, Any]
    attempt: int


@dataclass(frozen=True)
class JobFolder:
    """The files of one job."""

    path: Path

    @classmethod
    def of(cls, job_id: int) -> "JobFolder":
        """Folder of a job; it may not exist yet."""
        return cls(settings().data / "jobs" / str(job_id))

    @property
    def log(self) -> Path:
        """Log of the job, over all its attempts."""
        return self.path / "log.txt"

    def prepare(self, job: Job) -> None:
        """Prepare the folder for an attempt and kill processes of earlier attempts on this machine.

        job.json comes first: once it is written, no process of an earlier attempt continues, on any machine. The log
        is kept, except by the first attempt. Raises DiskFull, CannotWrite.
        """
        self._write_spec(JobSpec(job.task, job.params, job.attempt))
        self._kill_processes()
        stale = [self.path / name for name in ("progress.json", "error.txt", "finish")]
        try:
            if job.attempt == 1:  # a deleted queue may have used the same job ID
                stale = [path for path in self.path.iterdir() if path.name != "job.json"]
            for path in stale:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        except OSError as error:
            raise CannotWrite(name=self.path, detail=error.strerror or str(error)) from error

    def spec(self) -> JobSpec:
        """Read the specification; raises NoSuchJob if the folder is missing, CannotRead."""
        try:
            return JobSpec(**json.loads((self.path / "job.json").read_text()))
        except FileNotFoundError as error:
            raise NoSuchJob(job=self.path.name) from error
        except (OSError, ValueError, TypeError) as error:
            raise CannotRead(name=self.path / "job.json", detail=getattr(error, "strerror", None) or error) from error

    def revoke(self) -> None:
        """Revoke the specification: its processes end, on this machine at once, on others within seconds."""
        with suppress(NoSuchJob, CannotRead, DiskFull, CannotWrite):
            spec = self.spec()
            self._write_spec(JobSpec(spec.task, spec.params, _NO_ATTEMPT))
        self._kill_processes()

    def claim(self, attempt: int) -> None:
        """Record the calling process as that of the attempt, so it can be killed; raises DiskFull, CannotWrite."""
        with atomic_write(self.path / f"process-{attempt}.json") as temporary:
            temporary.write_text(json.dumps(to_stored(Process.this())))

    def _write_spec(self, spec: JobSpec) -> None:
        with atomic_write(self.path / "job.json") as temporary:
            temporary.write_text(json.dumps(asdict(spec)))

    def _kill_processes(self) -> None:
        for record in self.path.glob("process-*.json"):
            with suppress(OSError, ValueError, TypeError):
                Process(**from_stored(Process, json.loads(record.read_text()))).kill()
                record.unlink()

    def request_finish(self) -> None:
        """Ask the job to finish early and keep its results; raises DiskFull, CannotWrite."""
        with atomic_write(self.path / "finish"):
            pass

    def finish_requested(self) -> bool:
        """Tell whether the job was asked to finish early."""
        return (self.path / "finish").exists()

    def remove(self) -> None:
        """Delete the folder with its content."""
        shutil.rmtree(self.path, ignore_errors=True)

    def progress(self) -> Progress | None:
        """Read the progress, with the remaining seconds counted from now; None before the first report."""
        try:
            facts = json.loads((self.path / "progress.json").read_text())
            passed = max(0.0, time.time() - facts.pop("updated"))
            progress = Progress(**facts)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        remaining = None if progress.remaining_s is None else max(0.0, progress.remaining_s - passed)
        return Progress(progress.share, progress.doing, remaining)

    def error(self) -> str | None:
        """Read the error message of the job."""
        try:
            return (self.path / "error.txt").read_text().strip() or None
        except OSError:
            return None

    def fail(self, sentence: str) -> None:
        """Write the error message for the worker; raises DiskFull, CannotWrite."""
        with atomic_write(self.path / "error.txt") as temporary:
            temporary.write_text(sentence)

    def tail(self, lines: int = 40) -> list[str]:
        """The last lines of the log, as a terminal would show them; at most the last 64 KB are read."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
                text = file.read(_TAIL_BYTES).decode(errors="replace")
        except OSError:
            return []
        # A progress bar overwrites its line: a terminal shows what follows the last carriage return.
        log_lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.rstrip().split("\n")]
        return [_CONTROL_SEQUENCES.sub("", line) for line in log_lines if line][-lines:]

    @contextmanager
    def reporting(self) -> Iterator[Report]:
        """Progress callback whose latest report is in progress.json within REPORT_S seconds, and at the end.

        A thread writes the file: a task that reports ten thousand times a second is not slowed down, and its last
        report is not lost.
        """
        watch, ended = Stopwatch(), Event()
        latest: Progress | None = None

        def report(share: float, doing: str) -> None:
            nonlocal latest
            latest = watch.at(min(max(share, 0.0), 1.0), doing)

        def write_latest() -> None:
            written, last = None, False
            while not last:
                last = ended.wait(REPORT_S)
                if latest is not None and latest is not written:
                    written = latest
                    self._write(latest)

        writer = Thread(target=write_latest, name="progress", daemon=True)
        writer.start()
        try:
            yield report
        finally:
            ended.set()
            writer.join()

    def _write(self, progress: Progress) -> None:
        # A full disk must not fail the job here, only where its own files need the space.
        with suppress(DiskFull, CannotWrite), atomic_write(self.path / "progress.json") as temporary:
            temporary.write_text(json.dumps(asdict(progress) | {"updated": time.time()}))
