"""The queue of jobs: one SQLite file that the pages, workers and commands of one machine share.

    submit ──▶ queued ──claim──▶ running ──finish──▶ done, failed or stopped
                │ ▲ ▲               │                     │
                │ │ └───────────────┤ release: its worker leaves, its cluster is away, or it cannot be started now
                │ │                 └ stall: its worker fell silent, or its run is lost; failed after MOST_STALLS
                │ └──────────────────────── retry ────────┘ not where it is done
                └─request_stop─▶ stopped      a running job is only marked: its worker ends it

docs/JOBS.md explains every arrow. A running job is leased to one worker, and only that worker may finish it. A lease
ends by silence, never by duration, and no time of day decides anything (core/jobs/process.py).
Every call opens its own connection, so a Queue may be shared by threads and processes.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.atomic_files import is_full
from core.errors import (
    CannotWrite,
    DamagedQueue,
    DiskFull,
    JobIsNotWaiting,
    JobIsRunning,
    LeaseLost,
    NewerQueue,
    NoSuchJob,
    NothingToRetry,
    QueueBusy,
)
from core.jobs import process, sql
from core.jobs.folder import JobFolder
from core.jobs.job import HIGH, LOW, NORMAL, Job, State, WorkerStatus

__all__ = ["HIGH", "LOW", "MOST_STALLS", "NORMAL", "SILENCE_S", "STALLED", "Job", "Queue", "State", "WorkerStatus"]

#: Seconds without a heartbeat after which a worker counts as gone: its job runs elsewhere before 30 are over.
SILENCE_S = 28.0
#: Starts in a row that may end by silence: a job that takes its worker down each time must not do so for ever.
MOST_STALLS = 5
STALLED = (
    f"The job was lost {MOST_STALLS} times in a row: each time what ran it ended without a word. Most likely its "
    "machine has too little memory for it. Look at the log and the machine, then try it again."
)
#: Seconds to wait for another program's write to end.
BUSY_S = 10.0
#: What SQLite says where the file may be as good as it ever was.
_THE_SYSTEM_REFUSED = (
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM,
)  # fmt: skip
#: Seconds for which a worker that is gone is still listed.
_REMEMBERED_S = 86_400.0


def _when(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _job(row: sqlite3.Row) -> Job:
    facts = {field.name: row[field.name] for field in fields(Job)}
    times = {name: _when(facts[name]) for name in ("created", "started", "finished")}
    switches = {name: bool(facts[name]) for name in ("stop_requested", "keep")}
    return Job(**facts | times | switches | {"params": json.loads(facts["params"]), "state": State(facts["state"])})


def _moment() -> dict[str, Any]:
    return {"time": time.time(), "now": process.now(), "boot": process.boot_id()}


def _sentence(path: Path, error: sqlite3.DatabaseError) -> Exception:
    """What SQLite's error means for people."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # a mistake in this file, not in the database
        return error
    match code & 0xFF:  # the rest of the code is detail
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return QueueBusy(name=path)
        case sqlite3.SQLITE_FULL:
            return DiskFull(name=path)
        case code if code in _THE_SYSTEM_REFUSED:  # and rarely says that a full disk is why
            return DiskFull(name=path) if is_full(path.parent) else CannotWrite(name=path, detail=str(error))
        case _:
            return DamagedQueue(name=path)


def _log_ahead(database: sqlite3.Connection) -> None:
    """Many programs may make the queue at once, and SQLite does not wait for a change to WAL."""
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
    """The queue in the file `path`, which is made when it is first used.

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
                self._bring_up_to_date(database)
                yield database
        except sqlite3.DatabaseError as error:
            raise _sentence(self.path, error) from error
        except MemoryError as error:  # what Python makes of SQLITE_NOMEM
            raise CannotWrite(name=self.path, detail="there is too little memory") from error
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise CannotWrite(name=self.path, detail=str(error.strerror)) from error

    def _bring_up_to_date(self, database: sqlite3.Connection) -> None:
        def taken() -> int:
            return int(database.execute("PRAGMA user_version").fetchone()[0])

        if taken() > len(sql.STEPS):
            raise NewerQueue(name=self.path)
        if taken() < len(sql.STEPS):
            _log_ahead(database)
            database.execute("BEGIN IMMEDIATE")
            for statement in (one for step in sql.STEPS[taken() :] for one in step):  # another may have been faster
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {len(sql.STEPS)}")
            database.execute("COMMIT")

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One transaction; an exception closes the connection, which undoes it."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")

    def submit(self, task: str, params: dict[str, Any], title: str = "", priority: int = NORMAL) -> Job:
        """A new job, behind all others of its priority."""
        facts = {"task": task, "params": json.dumps(params), "title": title or task, "priority": priority}
        with self._write() as database:
            return _job(database.execute(sql.SUBMIT, facts | _moment()).fetchall()[0])

    def get(self, job_id: int) -> Job:
        """The job as it is now; raises NoSuchJob."""
        with self._open() as database:
            return self._get(database, job_id)

    def _get(self, database: sqlite3.Connection, job_id: int) -> Job:
        # Text, because a number from an address bar may be larger than SQLite's integers.
        row = database.execute("SELECT * FROM jobs WHERE id = ?", (str(job_id),)).fetchone()
        if row is None:
            raise NoSuchJob(job=job_id)
        return _job(row)

    def jobs(self, limit: int = 50, task: str | None = None) -> list[Job]:
        """The latest jobs, newest first; only those of one task where it is named."""
        with self._open() as database:
            return [_job(row) for row in database.execute(sql.LATEST, {"task": task, "limit": limit})]

    def waiting(self) -> list[Job]:
        """The queued jobs in the order in which they will start."""
        with self._open() as database:
            return [_job(row) for row in database.execute(sql.WAITING)]

    def running(self) -> list[Job]:
        """The running jobs, newest first, however many are newer."""
        with self._open() as database:
            return [_job(row) for row in database.execute(sql.RUNNING)]

    def count(self, state: State) -> int:
        """How many jobs are in this state."""
        with self._open() as database:
            return int(database.execute("SELECT count(*) FROM jobs WHERE state = ?", (state,)).fetchone()[0])

    def move(self, job_id: int, to: int) -> None:
        """Gives a queued job another place among the waiting, 0 being the next to start, and that place's priority.

        Raises NoSuchJob, JobIsNotWaiting. A place behind the last is the last.
        """
        with self._write() as database:
            job, rows = self._get(database, job_id), database.execute(sql.WAITING).fetchall()
            if job.state is not State.QUEUED:
                raise JobIsNotWaiting(job=job_id, state=job.state)
            to = min(max(to, 0), len(rows) - 1)
            order = [row["id"] for row in rows if row["id"] != job.id]
            order.insert(to, job.id)
            places = zip(sorted(row["place"] for row in rows), order, strict=True)
            database.executemany("UPDATE jobs SET place = ? WHERE id = ?", places)
            database.execute("UPDATE jobs SET priority = ? WHERE id = ?", (rows[to]["priority"], job.id))

    def prioritise(self, job_id: int, priority: int) -> None:
        """Gives a queued job another priority; among its like the one asked for first starts first.

        Raises NoSuchJob, JobIsNotWaiting.
        """
        with self._write() as database:
            job = self._get(database, job_id)
            if job.state is not State.QUEUED:
                raise JobIsNotWaiting(job=job_id, state=job.state)
            database.execute("UPDATE jobs SET priority = ? WHERE id = ?", (priority, job.id))

    def claim(self, worker: str) -> Job | None:
        """The first of the waiting jobs, now leased to the worker; no two workers get the same."""
        with self._write() as database:
            rows = database.execute(sql.CLAIM, {"worker": worker} | _moment()).fetchall()
        return _job(rows[0]) if rows else None

    def beat(self, worker: str, job_id: int | None = None, device: str | None = None) -> None:
        """Says that the worker lives, and with it a job it holds. A device once told is remembered."""
        facts = {"worker": worker, "id": job_id, "device": device}
        with self._write() as database:
            moment = _moment()  # only now: waiting for other programs is no silence
            database.execute(sql.SEEN, facts | moment)
            database.execute(sql.BEAT, facts | moment)

    def held(self, job_id: int, worker: str) -> Job | None:
        """The job as it is now, or None where the worker no longer holds it."""
        with self._open() as database:
            row = database.execute(sql.HELD, {"id": job_id, "worker": worker}).fetchone()
        return _job(row) if row else None

    def finish(self, job_id: int, worker: str, state: State, error: str | None = None) -> Job:
        """Ends a job the worker holds, as done, failed or stopped; raises LeaseLost where it does not hold it."""
        if not state.is_over:
            raise ValueError(f"a job cannot end as {state}")
        facts = {"id": job_id, "worker": worker, "state": state, "error": error}
        with self._write() as database:
            rows = database.execute(sql.FINISH, facts | _moment()).fetchall()
        if not rows:
            raise LeaseLost(job=job_id, worker=worker)
        return _job(rows[0])

    def release(self, job_id: int, worker: str) -> Job:
        """Puts a job the worker holds back into its place (or ends it, where a stop was asked); raises LeaseLost."""
        return self._give_up(job_id, worker, lost=False)

    def stall(self, job_id: int, worker: str) -> Job:
        """The same where its run is lost through no fault of its own; MOST_STALLS in a row are a failure."""
        return self._give_up(job_id, worker, lost=True)

    def forgive(self, job_id: int, worker: str) -> None:
        """Forgets the earlier stalls of a job the worker holds, whose present start tells that they were not its."""
        with self._write() as database:
            database.execute(sql.FORGIVE, {"id": job_id, "worker": worker})

    def requeue_stalled(self, after_s: float = SILENCE_S) -> list[Job]:
        """Takes running jobs from workers silent for longer than `after_s` seconds; returns what became of them."""
        with self._write() as database:
            silent = database.execute(sql.SILENT, {"silence": after_s} | _moment()).fetchall()
            return [self._put_back(database, _job(row), lost=True) for row in silent]

    def _give_up(self, job_id: int, worker: str, lost: bool) -> Job:
        with self._write() as database:
            row = database.execute(sql.HELD, {"id": job_id, "worker": worker}).fetchone()
            if row is None:
                raise LeaseLost(job=job_id, worker=worker)
            return self._put_back(database, _job(row), lost)

    def _put_back(self, database: sqlite3.Connection, job: Job, lost: bool) -> Job:
        state, error, stalls = State.QUEUED, None, job.stalls + 1 if lost else 0
        if job.stop_requested and not job.keep:  # what is to be kept is put in order by one more start
            state = State.STOPPED
        elif stalls >= MOST_STALLS:
            state, error = State.FAILED, STALLED
        if state.is_over:
            JobFolder.of(job.id).revoke()
        facts = {"id": job.id, "state": state, "error": error, "stalls": stalls, "over": state.is_over}
        return _job(database.execute(sql.PUT_BACK, facts | _moment()).fetchall()[0])

    def request_stop(self, job_id: int, keep: bool = False) -> Job:
        """Stops a queued job at once, asks the worker of a running one; a job that is over stays as it is.

        With `keep` it ends soon, with what there is. A stop without it is stronger, whichever comes first.
        """
        with self._write() as database:
            job = self._get(database, job_id)
            keep = keep and (job.keep or not job.stop_requested)
            ends = job.state is State.QUEUED and not (keep and job.attempt)
            facts = {"id": job.id, "keep": keep, "state": State.STOPPED if ends else job.state}
            if not job.state.is_over:
                database.execute(sql.STOP, facts | _moment())
        if ends:
            JobFolder.of(job.id).revoke()
        return self.get(job_id)

    def retry(self, job_id: int) -> Job:
        """Queues a job that failed or was stopped again, behind all others; raises NoSuchJob, NothingToRetry.

        What was made of its last order does not count any more: a run that ended well would be taken for the new one's.
        """
        with self._write() as database:
            job = self._get(database, job_id)
            if job.state not in (State.FAILED, State.STOPPED):
                raise NothingToRetry(job=job_id, state=job.state)
            JobFolder.of(job.id).revoke()
            return _job(database.execute(sql.RETRY, {"id": job.id}).fetchall()[0])

    def workers(self) -> list[WorkerStatus]:
        """The workers seen within a day and since the machine started, by name."""
        now = process.now()
        with self._open() as database:
            rows = database.execute(sql.WORKERS, {"boot": process.boot_id(), "since": now - _REMEMBERED_S}).fetchall()
        return [
            WorkerStatus(name, device, busy, datetime.now(UTC) - timedelta(seconds=now - seen), now - seen <= SILENCE_S)
            for name, device, busy, seen in rows
        ]

    def sign_off(self, worker: str) -> None:
        """Forgets a worker that leaves in good order."""
        with self._write() as database:
            database.execute("DELETE FROM workers WHERE name = ?", (worker,))

    def delete(self, job_id: int) -> None:
        """Removes a job that is not running (its folder is JobFolder.remove's); raises NoSuchJob, JobIsRunning."""
        with self._write() as database:
            if self._get(database, job_id).state is State.RUNNING:
                raise JobIsRunning(job=job_id)
            database.execute("DELETE FROM jobs WHERE id = ?", (str(job_id),))
