"""The queue of jobs: one SQLite file that pages, workers and the command line share.

    submit ──▶ queued ──claim──▶ running ──finish──▶ done, failed or stopped
                 │  ▲               │
                 │  └───────────────┘ release (its worker leaves), requeue_stalled (its worker is silent)
                 └──request_stop──▶ stopped          a running job is only marked; its worker stops it

A running job is leased to one worker, and only that worker may finish it. A lease ends by silence, never by duration.
Every call opens its own connection, so a Queue may be shared by threads and processes.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from core.errors import CannotWrite, DamagedQueue, DiskFull, JobIsRunning, LeaseLost, NoSuchJob, QueueBusy

#: Seconds without a heartbeat after which a worker counts as gone.
SILENCE_S = 30.0
#: Seconds to wait for another program's write to end.
BUSY_S = 10.0
#: Seconds for which a worker that is gone is still listed.
_REMEMBERED_S = 86_400.0

_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: a job's folder is named after it
    task TEXT NOT NULL, params TEXT NOT NULL, title TEXT NOT NULL, state TEXT NOT NULL,
    created REAL NOT NULL, started REAL, finished REAL,
    worker TEXT, heartbeat REAL, stop_requested INTEGER NOT NULL DEFAULT 0, error TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, id);
CREATE TABLE IF NOT EXISTS workers (name TEXT PRIMARY KEY, device TEXT, busy_with INTEGER, seen REAL NOT NULL) STRICT;
PRAGMA user_version = 1;
COMMIT;
"""

_CLAIM = """
UPDATE jobs SET state = 'running', worker = :worker, started = :now, heartbeat = :now
WHERE id = (SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 1) RETURNING *
"""
_LATEST = "SELECT * FROM jobs WHERE :task IS NULL OR task = :task ORDER BY id DESC LIMIT :limit"
_SEEN = """
INSERT INTO workers (name, device, busy_with, seen) VALUES (:worker, :device, :id, :now)
ON CONFLICT (name) DO UPDATE
SET device = coalesce(excluded.device, device), busy_with = excluded.busy_with, seen = excluded.seen
"""
_FINISH = "UPDATE jobs SET state = :state, error = :error, finished = :now"
_GIVE_BACK = """
UPDATE jobs SET worker = NULL, heartbeat = NULL, state = iif(stop_requested, 'stopped', 'queued'),
started = iif(stop_requested, started, NULL), finished = iif(stop_requested, :now, NULL)
"""
_STOP = """
UPDATE jobs SET stop_requested = 1, finished = iif(state = 'queued', :now, NULL),
state = iif(state = 'queued', 'stopped', state) WHERE id = :id AND state IN ('queued', 'running')
"""
_LEASED = " WHERE id = :id AND worker = :worker AND state = 'running'"


class State(StrEnum):
    """Where a job is on its way."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self not in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True)
class Job:
    """One piece of work, as the queue knew it when it was asked. Times are UTC."""

    id: int
    task: str
    params: dict[str, Any]  #: what the task is given; anything JSON can say
    title: str  #: for people
    state: State
    created: datetime
    started: datetime | None  #: of the present attempt
    finished: datetime | None
    worker: str | None  #: who runs it, or ran it to its end
    heartbeat: datetime | None  #: when that worker was last heard of
    stop_requested: bool
    error: str | None  #: a sentence for people, where it failed


@dataclass(frozen=True)
class WorkerStatus:
    """What a worker last said of itself."""

    name: str
    device: str | None  #: for example "GPU NVIDIA H200"; None until it is known
    busy_with: int | None  #: the id of its job
    seen: datetime
    alive: bool  #: seen within SILENCE_S


def _when(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _job(row: sqlite3.Row) -> Job:
    facts = dict(row)
    times = {name: _when(facts[name]) for name in ("created", "started", "finished", "heartbeat")}
    params, state, stop = json.loads(facts["params"]), State(facts["state"]), bool(facts["stop_requested"])
    return Job(**facts | times | {"params": params, "state": state, "stop_requested": stop})


def _sentence(path: Path, error: sqlite3.DatabaseError) -> Exception:
    """What SQLite's error means for people."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # a mistake in this file, not in the database
        return error
    match code & 0xFF:  # the rest of the code is detail
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return QueueBusy(name=path)
        case sqlite3.SQLITE_FULL:
            return DiskFull(name=path)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_IOERR:
            return CannotWrite(name=path, detail=str(error))
        case _:
            return DamagedQueue(name=path)


def _make(database: sqlite3.Connection) -> None:
    """A new queue's tables. Many programs may come here at once, and SQLite does not wait for a change to WAL."""
    patience = time.monotonic() + BUSY_S
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > patience:
                raise
            time.sleep(0.02)
    database.executescript(_SCHEMA)


@dataclass(frozen=True)
class Queue:
    """The queue in the file `path`, which is made when it is first used.

    Every call may raise QueueBusy, DamagedQueue, DiskFull or CannotWrite.
    """

    path: Path

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)) as database:
                database.row_factory = sqlite3.Row
                database.execute("PRAGMA synchronous = FULL")
                if database.execute("PRAGMA user_version").fetchone()[0] == 0:
                    _make(database)
                yield database
        except sqlite3.DatabaseError as error:
            raise _sentence(self.path, error) from error
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise CannotWrite(name=self.path, detail=str(error.strerror)) from error

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One transaction; an exception closes the connection, which undoes it."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")

    def submit(self, task: str, params: dict[str, Any], title: str = "") -> Job:
        """A new job at the end of the queue."""
        row = (task, json.dumps(params), title or task, State.QUEUED, time.time())
        with self._write() as database:
            made = database.execute(
                "INSERT INTO jobs (task, params, title, state, created) VALUES (?, ?, ?, ?, ?) RETURNING *", row
            )
            return _job(made.fetchall()[0])

    def get(self, job_id: int) -> Job:
        """The job as it is now; raises NoSuchJob."""
        with self._open() as database:
            # Text, because a number from an address bar may be larger than SQLite's integers.
            row = database.execute("SELECT * FROM jobs WHERE id = ?", (str(job_id),)).fetchone()
        if row is None:
            raise NoSuchJob(job=job_id)
        return _job(row)

    def jobs(self, limit: int = 50, task: str | None = None) -> list[Job]:
        """The latest jobs, newest first; only those of one task where it is named."""
        with self._open() as database:
            rows = database.execute(_LATEST, {"task": task, "limit": limit})
            return [_job(row) for row in rows]

    def count(self, state: State) -> int:
        """How many jobs are in this state."""
        with self._open() as database:
            rows = database.execute("SELECT count(*) FROM jobs WHERE state = ?", (state,))
            return int(rows.fetchone()[0])

    def claim(self, worker: str) -> Job | None:
        """The oldest queued job, now leased to the worker; no two workers get the same."""
        with self._write() as database:
            rows = database.execute(_CLAIM, {"worker": worker, "now": time.time()}).fetchall()
        return _job(rows[0]) if rows else None

    def beat(self, worker: str, job_id: int | None = None, device: str | None = None) -> None:
        """Says that the worker lives, and with it the job it holds. A device once told is remembered."""
        facts = {"worker": worker, "id": job_id, "device": device, "now": time.time()}
        with self._write() as database:
            database.execute(_SEEN, facts)
            database.execute("UPDATE jobs SET heartbeat = :now" + _LEASED, facts)

    def held(self, job_id: int, worker: str) -> Job | None:
        """The job as it is now, or None where the worker no longer holds it."""
        with self._open() as database:
            row = database.execute("SELECT * FROM jobs" + _LEASED, {"id": job_id, "worker": worker}).fetchone()
        return _job(row) if row else None

    def finish(self, job_id: int, worker: str, state: State, error: str | None = None) -> None:
        """Ends a job the worker holds, as done, failed or stopped; raises LeaseLost where it does not hold it."""
        if not state.is_over:
            raise ValueError(f"a job cannot end as {state}")
        self._give_up(_FINISH, job_id, worker, state=state, error=error)

    def release(self, job_id: int, worker: str) -> None:
        """Puts a job the worker holds back into its place (or ends it, where a stop was asked); raises LeaseLost."""
        self._give_up(_GIVE_BACK, job_id, worker)

    def _give_up(self, update: str, job_id: int, worker: str, **facts: str | None) -> None:
        with self._write() as database:
            changed = database.execute(
                update + _LEASED, {"id": job_id, "worker": worker, "now": time.time(), **facts}
            ).rowcount
        if not changed:
            raise LeaseLost(job=job_id, worker=worker)

    def request_stop(self, job_id: int) -> Job:
        """Stops a queued job at once, asks the worker of a running one; a job that is over stays as it is."""
        with self._write() as database:
            database.execute(_STOP, {"id": str(job_id), "now": time.time()})
        return self.get(job_id)

    def requeue_stalled(self, after_s: float = SILENCE_S) -> int:
        """Takes running jobs from workers silent for longer than `after_s` seconds; returns how many."""
        now = time.time()
        with self._write() as database:
            stalled = _GIVE_BACK + " WHERE state = 'running' AND heartbeat < :since"
            return database.execute(stalled, {"now": now, "since": now - after_s}).rowcount

    def workers(self) -> list[WorkerStatus]:
        """The workers seen within a day, by name."""
        now = time.time()
        with self._open() as database:
            rows = database.execute("SELECT * FROM workers WHERE seen > ? ORDER BY name", (now - _REMEMBERED_S,))
            return [
                WorkerStatus(name, device, busy, datetime.fromtimestamp(seen, UTC), now - seen <= SILENCE_S)
                for name, device, busy, seen in rows
            ]

    def sign_off(self, worker: str) -> None:
        """Forgets a worker that leaves in good order."""
        with self._write() as database:
            database.execute("DELETE FROM workers WHERE name = ?", (worker,))

    def delete(self, job_id: int) -> None:
        """Removes a job that is not running (its folder is JobFolder.remove's); raises NoSuchJob, JobIsRunning."""
        with self._write() as database:
            gone = database.execute("DELETE FROM jobs WHERE id = ? AND state <> 'running'", (str(job_id),)).rowcount
        if not gone:
            self.get(job_id)
            raise JobIsRunning(job=job_id)
