"""Job queue in one SQLite file, shared by the pages, workers and commands of one machine.

    submit ──▶ queued ──claim──▶ running ──finish──▶ done, failed or stopped
                │ ▲ ▲               │                     │
                │ │ └───────────────┤ release: worker shutdown, unreachable cluster, or temporary start failure
                │ │                 └ loss: heartbeat timeout, or run lost; failed after MAX_LOSSES in a row
                │ └──────────────────────── retry ────────┘ only failed or stopped
                └─request_stop─▶ stopped      a running job is only marked: its worker ends it

docs/jobs.md explains every transition. A running job is leased to one worker, and only that worker may finish it. A
lease expires by heartbeat timeout, never by duration, measured with the monotonic clock (core/jobs/process.py).
Every call opens its own connection, so a Queue may be shared by threads and processes.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from core.atomic_files import is_full
from core.compat import stored_name
from core.errors import (
    CannotWrite,
    DamagedQueue,
    DiskFull,
    JobNotQueued,
    JobRunning,
    LeaseLost,
    NewerQueue,
    NoSuchJob,
    NothingToRetry,
    QueueBusy,
)
from core.jobs import process, sql
from core.jobs.folder import JobFolder
from core.jobs.job import HIGH, LOW, NORMAL, Job, State, WorkerStatus

__all__ = [
    "HEARTBEAT_TIMEOUT_S",
    "HIGH",
    "LOST_TOO_OFTEN",
    "LOW",
    "MAX_LOSSES",
    "NORMAL",
    "Job",
    "Queue",
    "State",
    "WorkerStatus",
]

#: Heartbeat timeout of a worker [s]: its job runs elsewhere within 30 s.
HEARTBEAT_TIMEOUT_S = 28.0
#: Consecutive losses after which a job fails: a job that takes its worker down each time must not do so forever.
MAX_LOSSES = 5
LOST_TOO_OFTEN = (
    f"The job was lost {MAX_LOSSES} times in a row: its process ended without an error message. Most likely the "
    "machine does not have enough memory. Check the log and the machine, then retry the job."
)
#: Maximum wait for the write lock of another program [s].
BUSY_S = 10.0
#: SQLite errors of the operating system, after which the file itself may be intact.
_SYSTEM_ERRORS = (
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM,
)  # fmt: skip
#: Time for which an inactive worker stays listed [s].
_LISTED_S = 86_400.0


def _job(row: sqlite3.Row) -> Job:
    facts = {field.name: row[stored_name(Job, field.name)] for field in fields(Job)}
    seconds = {name: facts[name] for name in ("created", "started", "finished")}
    times = {name: None if at is None else datetime.fromtimestamp(at, UTC) for name, at in seconds.items()}
    switches = {name: bool(facts[name]) for name in ("stop_requested", "keep")}
    return Job(**facts | times | switches | {"params": json.loads(facts["params"]), "state": State(facts["state"])})


def _clock() -> dict[str, Any]:
    return {"time": time.time(), "now": process.now(), "boot": process.boot_id()}


def _translate_error(path: Path, error: sqlite3.DatabaseError) -> Exception:
    """Translate an SQLite error to a Groundplan error."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # a programming error, not one of the database
        return error
    match code & 0xFF:  # primary result code
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return QueueBusy(name=path)
        case sqlite3.SQLITE_FULL:
            return DiskFull(name=path)
        case code if code in _SYSTEM_ERRORS:  # rarely tells that a full disk is the cause
            return DiskFull(name=path) if is_full(path.parent) else CannotWrite(name=path, detail=str(error))
        case _:
            return DamagedQueue(name=path)


def _use_wal(database: sqlite3.Connection) -> None:
    """Switch to WAL mode, with retries: SQLite's busy timeout does not cover this change."""
    patience = process.now() + BUSY_S
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or process.now() > patience:
                raise
            time.sleep(0.02)


@dataclass(frozen=True)
class Queue:
    """Job queue in an SQLite file, which is created on first use.

    Every call may raise QueueBusy, DamagedQueue, NewerQueue, DiskFull or CannotWrite.
    """

    path: Path

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)) as database:
                database.row_factory = sqlite3.Row
                database.execute("PRAGMA synchronous = FULL")
                self._migrate(database)
                yield database
        except sqlite3.DatabaseError as error:
            raise _translate_error(self.path, error) from error
        except MemoryError as error:  # Python's translation of SQLITE_NOMEM
            raise CannotWrite(name=self.path, detail="not enough memory") from error
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise CannotWrite(name=self.path, detail=str(error.strerror)) from error

    def _migrate(self, database: sqlite3.Connection) -> None:
        def version() -> int:
            return int(database.execute("PRAGMA user_version").fetchone()[0])

        if version() > len(sql.MIGRATIONS):
            raise NewerQueue(name=self.path)
        if version() < len(sql.MIGRATIONS):
            _use_wal(database)
            database.execute("BEGIN IMMEDIATE")
            # Another process may have migrated meanwhile, so the version is read again.
            for statement in chain.from_iterable(sql.MIGRATIONS[version() :]):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {len(sql.MIGRATIONS)}")
            database.execute("COMMIT")

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """Write transaction; an exception closes the connection, which rolls it back."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")

    def submit(self, task: str, params: dict[str, Any], title: str = "", priority: int = NORMAL) -> Job:
        """Append a job behind all others of its priority.

        Args:
            task: Name of a registered task.
            params: Parameters of the task, as JSON.
            title: Title shown to users.
            priority: HIGH, NORMAL or LOW.

        Returns:
            The queued job.
        """
        facts = {"task": task, "params": json.dumps(params), "title": title or task, "priority": priority}
        with self._write() as database:
            return _job(database.execute(sql.SUBMIT, facts | _clock()).fetchall()[0])

    def get(self, job_id: int) -> Job:
        """Read a job; raises NoSuchJob."""
        with self._open() as database:
            return self._get(database, job_id)

    def _get(self, database: sqlite3.Connection, job_id: int) -> Job:
        # As text: a number from a URL may exceed the integers of SQLite.
        row = database.execute("SELECT * FROM jobs WHERE id = ?", (str(job_id),)).fetchone()
        if row is None:
            raise NoSuchJob(job=job_id)
        return _job(row)

    def jobs(self, limit: int = 50, task: str | None = None) -> list[Job]:
        """List the latest jobs, newest first, optionally of one task."""
        with self._open() as database:
            return [_job(row) for row in database.execute(sql.LATEST, {"task": task, "limit": limit})]

    def waiting(self) -> list[Job]:
        """List the queued jobs in the order of their start."""
        with self._open() as database:
            return [_job(row) for row in database.execute(sql.WAITING)]

    def running(self) -> list[Job]:
        """List all running jobs, newest first."""
        with self._open() as database:
            return [_job(row) for row in database.execute(sql.RUNNING)]

    def count(self, state: State) -> int:
        """Count the jobs in a state."""
        with self._open() as database:
            return int(database.execute("SELECT count(*) FROM jobs WHERE state = ?", (state,)).fetchone()[0])

    def move(self, job_id: int, position: int) -> None:
        """Move a queued job to another position (0 is next), where it takes the priority of that position.

        A position beyond the end is the last. Raises NoSuchJob, JobNotQueued.
        """
        with self._write() as database:
            job, rows = self._get(database, job_id), database.execute(sql.WAITING).fetchall()
            if job.state is not State.QUEUED:
                raise JobNotQueued(job=job_id, state=job.state)
            position = min(max(position, 0), len(rows) - 1)
            order = [row["id"] for row in rows if row["id"] != job.id]
            order.insert(position, job.id)
            places = zip(sorted(row["place"] for row in rows), order, strict=True)
            database.executemany("UPDATE jobs SET place = ? WHERE id = ?", places)
            database.execute("UPDATE jobs SET priority = ? WHERE id = ?", (rows[position]["priority"], job.id))

    def prioritize(self, job_id: int, priority: int) -> None:
        """Change the priority of a queued job; jobs of equal priority keep their order.

        Raises NoSuchJob, JobNotQueued.
        """
        with self._write() as database:
            job = self._get(database, job_id)
            if job.state is not State.QUEUED:
                raise JobNotQueued(job=job_id, state=job.state)
            database.execute("UPDATE jobs SET priority = ? WHERE id = ?", (priority, job.id))

    def claim(self, worker: str) -> Job | None:
        """Lease the next queued job to a worker, atomically; None if the queue is empty."""
        with self._write() as database:
            rows = database.execute(sql.CLAIM, {"worker": worker} | _clock()).fetchall()
        return _job(rows[0]) if rows else None

    def heartbeat(self, worker: str, job_id: int | None = None, device: str | None = None) -> None:
        """Record a heartbeat of a worker, and of the job it holds.

        Args:
            worker: Name of the worker.
            job_id: The job it holds.
            device: Its device; None keeps the stored one.
        """
        facts = {"worker": worker, "id": job_id, "device": device}
        with self._write() as database:
            clock = _clock()  # after the lock: waiting for it must not age the heartbeat
            database.execute(sql.UPSERT_WORKER, facts | clock)
            database.execute(sql.HEARTBEAT, facts | clock)

    def held_job(self, job_id: int, worker: str) -> Job | None:
        """Read a job leased to a worker; None if the worker has lost the lease."""
        with self._open() as database:
            row = database.execute(sql.HELD, {"id": job_id, "worker": worker}).fetchone()
        return _job(row) if row else None

    def finish(self, job_id: int, worker: str, state: State, error: str | None = None) -> Job:
        """End a job that the worker holds.

        Args:
            job_id: The job.
            worker: Name of the worker.
            state: DONE, FAILED or STOPPED.
            error: Message of a failed job.

        Returns:
            The ended job.

        Raises:
            LeaseLost: The worker does not hold the job.
        """
        if not state.is_over:
            raise ValueError(f"a job cannot end as {state}")
        facts = {"id": job_id, "worker": worker, "state": state, "error": error}
        with self._write() as database:
            rows = database.execute(sql.FINISH, facts | _clock()).fetchall()
        if not rows:
            raise LeaseLost(job=job_id, worker=worker)
        return _job(rows[0])

    def release(self, job_id: int, worker: str) -> Job:
        """Requeue a job held by the worker at its place, or stop it if that was requested; raises LeaseLost."""
        return self._return_lease(job_id, worker, lost=False)

    def mark_lost(self, job_id: int, worker: str) -> Job:
        """Requeue a job whose run was lost; it fails after MAX_LOSSES losses in a row. Raises LeaseLost."""
        return self._return_lease(job_id, worker, lost=True)

    def reset_losses(self, job_id: int, worker: str) -> None:
        """Reset the losses of a job held by the worker, once its attempt has proved stable."""
        with self._write() as database:
            database.execute(sql.RESET_LOSSES, {"id": job_id, "worker": worker})

    def requeue_lost(self, after_s: float = HEARTBEAT_TIMEOUT_S) -> list[Job]:
        """Requeue the running jobs of workers without a heartbeat for `after_s` seconds; returns these jobs."""
        with self._write() as database:
            silent = database.execute(sql.LOST, {"silence": after_s} | _clock()).fetchall()
            return [self._requeue(database, _job(row), lost=True) for row in silent]

    def _return_lease(self, job_id: int, worker: str, lost: bool) -> Job:
        with self._write() as database:
            row = database.execute(sql.HELD, {"id": job_id, "worker": worker}).fetchone()
            if row is None:
                raise LeaseLost(job=job_id, worker=worker)
            return self._requeue(database, _job(row), lost)

    def _requeue(self, database: sqlite3.Connection, job: Job, lost: bool) -> Job:
        state, error, losses = State.QUEUED, None, job.losses + 1 if lost else 0
        if job.stop_requested and not job.keep:  # with keep, one more attempt completes the results
            state = State.STOPPED
        elif losses >= MAX_LOSSES:
            state, error = State.FAILED, LOST_TOO_OFTEN
        if state.is_over:
            JobFolder.of(job.id).revoke()
        facts = {"id": job.id, "state": state, "error": error, "stalls": losses, "over": state.is_over}
        return _job(database.execute(sql.REQUEUE, facts | _clock()).fetchall()[0])

    def request_stop(self, job_id: int, keep: bool = False) -> Job:
        """Stop a queued job at once, or ask the worker of a running one; a job that is over is left unchanged.

        With `keep` the job finishes early and keeps its results. A stop without `keep` takes precedence, regardless of
        the order of the requests.
        """
        with self._write() as database:
            job = self._get(database, job_id)
            keep = keep and (job.keep or not job.stop_requested)
            ends = job.state is State.QUEUED and not (keep and job.attempt)
            facts = {"id": job.id, "keep": keep, "state": State.STOPPED if ends else job.state}
            if not job.state.is_over:
                database.execute(sql.STOP, facts | _clock())
        if ends:
            JobFolder.of(job.id).revoke()
        return self.get(job_id)

    def retry(self, job_id: int) -> Job:
        """Requeue a failed or stopped job behind all others; raises NoSuchJob, NothingToRetry.

        The specification of its last attempt is revoked: otherwise a Ray job that still succeeds would count as the new
        attempt.
        """
        with self._write() as database:
            job = self._get(database, job_id)
            if job.state not in (State.FAILED, State.STOPPED):
                raise NothingToRetry(job=job_id, state=job.state)
            JobFolder.of(job.id).revoke()
            return _job(database.execute(sql.RETRY, {"id": job.id}).fetchall()[0])

    def workers(self) -> list[WorkerStatus]:
        """List the workers with a heartbeat within the last day and since boot, by name."""
        now = process.now()
        with self._open() as database:
            rows = database.execute(sql.WORKERS, {"boot": process.boot_id(), "since": now - _LISTED_S}).fetchall()
        return [
            WorkerStatus(
                name,
                device,
                busy,
                datetime.now(UTC) - timedelta(seconds=now - last_seen),
                now - last_seen <= HEARTBEAT_TIMEOUT_S,
            )
            for name, device, busy, last_seen in rows
        ]

    def remove_worker(self, worker: str) -> None:
        """Remove a worker that shuts down."""
        with self._write() as database:
            database.execute("DELETE FROM workers WHERE name = ?", (worker,))

    def delete(self, job_id: int) -> None:
        """Delete a job that is not running (JobFolder.remove deletes its folder); raises NoSuchJob, JobRunning."""
        with self._write() as database:
            if self._get(database, job_id).state is State.RUNNING:
                raise JobRunning(job=job_id)
            database.execute("DELETE FROM jobs WHERE id = ?", (str(job_id),))
