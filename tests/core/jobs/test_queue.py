import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

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
from core.jobs import queue as store
from core.jobs.folder import JobFolder
from core.jobs.queue import HIGH, LOST_TOO_OFTEN, LOW, MAX_LOSSES, NORMAL, Queue, State
from core.settings import settings


def _age(queue: Queue, table: str, column: str, seconds: float) -> None:
    """Lets a time of every row lie further back."""
    with closing(sqlite3.connect(queue.path)) as database, database:
        database.execute(f"UPDATE {table} SET {column} = {column} - ?", (seconds,))


def _claimed(queue: Queue, count: int = 20) -> list[int]:
    """The numbers of the waiting jobs in the order in which workers get them."""
    jobs = [queue.claim("w") for _ in range(count)]
    return [job.id for job in jobs if job]


def _over(queue: Queue, state: State) -> int:
    job = queue.submit("train", {})
    claimed = queue.claim("w")
    assert claimed is not None
    queue.finish(claimed.id, "w", state, "It failed." if state is State.FAILED else None)
    return job.id


def test_a_submitted_job_is_queued_and_found_again(queue: Queue):
    job = queue.submit("train", {"epochs": 3, "tiles": ["é", None]}, "A run")
    assert job == queue.get(job.id)
    assert (job.task, job.params, job.title, job.state) == (
        "train",
        {"epochs": 3, "tiles": ["é", None]},
        "A run",
        "queued",
    )
    assert abs(job.created - datetime.now(UTC)) < timedelta(minutes=1)
    assert (job.started, job.finished, job.worker, job.heartbeat, job.stop_requested, job.error) == (None,) * 4 + (
        False,
        None,
    )


def test_a_job_without_a_title_is_called_after_its_task(queue: Queue):
    assert queue.submit("predict", {}).title == "predict"


def test_jobs_are_listed_newest_first_up_to_the_limit(queue: Queue):
    ids = [queue.submit("train", {}).id for _ in range(4)]
    assert [job.id for job in queue.jobs(limit=3)] == ids[:0:-1]


def test_the_jobs_of_one_task_are_found_behind_many_others(queue: Queue):
    mine = queue.submit("train", {}).id
    for _ in range(3):
        queue.submit("predict", {})
    assert [job.id for job in queue.jobs(limit=2, task="train")] == [mine]
    assert queue.jobs(task="paint") == []


def test_jobs_are_counted_by_state(queue: Queue):
    for _ in range(3):
        queue.submit("sleep", {})
    queue.claim("me")
    assert (queue.count(State.QUEUED), queue.count(State.RUNNING), queue.count(State.DONE)) == (2, 1, 0)


def test_the_oldest_queued_job_is_claimed_first_and_only_once(queue: Queue):
    first, second = queue.submit("train", {}), queue.submit("train", {})
    claimed = queue.claim("w1")
    assert claimed is not None
    assert (claimed.id, claimed.state, claimed.worker) == (first.id, State.RUNNING, "w1")
    assert claimed.started is not None
    assert claimed.heartbeat == pytest.approx(process.now(), abs=5)
    assert getattr(queue.claim("w2"), "id", None) == second.id
    assert queue.claim("w3") is None


def test_threads_share_a_queue_and_claim_each_job_once(queue: Queue):
    ids = [queue.submit("train", {}).id for _ in range(20)]
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda n: queue.claim(f"w{n}"), range(20)))
    assert sorted(job.id for job in claimed if job) == ids


@pytest.mark.parametrize(("state", "error"), [(State.DONE, None), (State.FAILED, "It failed."), (State.STOPPED, None)])
def test_the_worker_that_holds_a_job_finishes_it(queue: Queue, state: State, error: str | None):
    job = queue.submit("train", {})
    queue.claim("w")
    queue.finish(job.id, "w", state, error)
    over = queue.get(job.id)
    assert (over.state, over.error, over.worker) == (state, error, "w")
    assert over.finished is not None
    assert over.state.is_over


def test_another_worker_cannot_finish_or_release_a_job(queue: Queue):
    job = queue.submit("train", {})
    queue.claim("w")
    for act in (lambda: queue.finish(job.id, "other", State.DONE), lambda: queue.release(job.id, "other")):
        with pytest.raises(LeaseLost, match=f"Job {job.id} is no longer assigned to the worker other"):
            act()
    assert queue.held_job(job.id, "w") == queue.get(job.id)
    assert queue.held_job(job.id, "other") is None


def test_a_job_is_finished_only_once(queue: Queue):
    job = queue.submit("train", {})
    queue.claim("w")
    queue.finish(job.id, "w", State.DONE)
    with pytest.raises(LeaseLost):
        queue.finish(job.id, "w", State.FAILED)
    assert queue.get(job.id).state == State.DONE


def test_a_job_cannot_finish_as_running(queue: Queue):
    with pytest.raises(ValueError, match="cannot end as running"):
        queue.finish(queue.submit("train", {}).id, "w", State.RUNNING)


def test_stopping_a_queued_job_ends_it_at_once(queue: Queue):
    stopped = queue.request_stop(queue.submit("train", {}).id)
    assert stopped.state == State.STOPPED
    assert stopped.finished is not None
    assert queue.claim("w") is None


def test_stopping_a_running_job_marks_it_for_its_worker(queue: Queue):
    job = queue.submit("train", {})
    queue.claim("w")
    marked = queue.request_stop(job.id)
    assert (marked.state, marked.stop_requested, marked.finished) == (State.RUNNING, True, None)


def test_stopping_a_job_that_is_over_changes_nothing(queue: Queue):
    job = queue.submit("train", {})
    queue.claim("w")
    queue.finish(job.id, "w", State.DONE)
    assert queue.request_stop(job.id) == queue.get(job.id)
    assert not queue.get(job.id).stop_requested


def test_a_released_job_keeps_its_place_in_the_queue(queue: Queue):
    job = queue.submit("train", {})
    queue.submit("train", {})
    queue.claim("w")
    queue.release(job.id, "w")
    back = queue.get(job.id)
    assert (back.state, back.worker, back.started, back.heartbeat) == (State.QUEUED, None, None, None)
    assert getattr(queue.claim("w"), "id", None) == job.id


def test_a_released_job_that_was_to_stop_is_stopped(queue: Queue):
    job = queue.submit("train", {})
    queue.claim("w")
    queue.request_stop(job.id)
    queue.release(job.id, "w")
    assert queue.get(job.id).state == State.STOPPED
    assert queue.get(job.id).finished is not None


def test_a_job_is_requeued_by_silence_not_by_duration(queue: Queue):
    job = queue.submit("train", {})
    queue.claim("w")
    _age(queue, "jobs", "started", 100_000)
    assert queue.requeue_lost() == []
    _age(queue, "jobs", "heartbeat", 31)
    queue.heartbeat("w", job.id)
    assert queue.requeue_lost() == []
    _age(queue, "jobs", "heartbeat", 31)
    assert queue.requeue_lost() == [queue.get(job.id)]
    assert (queue.get(job.id).state, queue.get(job.id).losses) == (State.QUEUED, 1)


def test_a_heartbeat_without_the_job_lets_it_fall_silent(queue: Queue):
    job = queue.submit("train", {})
    queue.claim("w")
    _age(queue, "jobs", "heartbeat", 31)
    queue.heartbeat("w")
    queue.heartbeat("other", job.id)
    assert [stalled.id for stalled in queue.requeue_lost()] == [job.id]


def test_a_stalled_job_that_was_to_stop_is_not_run_again(queue: Queue):
    job = queue.submit("train", {})
    queue.claim("w")
    queue.request_stop(job.id)
    _age(queue, "jobs", "heartbeat", 31)
    queue.requeue_lost()
    assert queue.get(job.id).state == State.STOPPED


def test_workers_tell_their_device_once_and_what_they_do(queue: Queue):
    queue.heartbeat("w", device="GPU NVIDIA H200")
    queue.heartbeat("w", 7)
    (status,) = queue.workers()
    assert (status.name, status.device, status.busy_with, status.alive) == ("w", "GPU NVIDIA H200", 7, True)


def test_a_silent_worker_is_not_alive_and_forgotten_after_a_day(queue: Queue):
    queue.heartbeat("w")
    _age(queue, "workers", "seen", 31)
    assert [status.alive for status in queue.workers()] == [False]
    _age(queue, "workers", "seen", 86_400)
    assert queue.workers() == []


def test_a_worker_that_signs_off_is_forgotten(queue: Queue):
    queue.heartbeat("w")
    queue.remove_worker("w")
    assert queue.workers() == []


def test_a_deleted_job_is_gone_and_its_number_is_not_given_again(queue: Queue):
    job = queue.submit("train", {})
    queue.delete(job.id)
    with pytest.raises(NoSuchJob, match=f"Job {job.id} does not exist"):
        queue.get(job.id)
    assert queue.submit("train", {}).id > job.id


def test_a_running_job_cannot_be_deleted(queue: Queue):
    job = queue.submit("train", {})
    queue.claim("w")
    with pytest.raises(JobRunning):
        queue.delete(job.id)


@pytest.mark.parametrize("number", [0, -1, 10**30])
def test_any_number_nobody_gave_is_no_job(queue: Queue, number: int):
    for call in (queue.get, queue.delete, queue.request_stop):
        with pytest.raises(NoSuchJob):
            call(number)


def test_the_file_is_a_durable_log_ahead_database(queue: Queue):
    queue.submit("train", {})
    with closing(sqlite3.connect(queue.path)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with queue._open() as database:
        assert database.execute("PRAGMA synchronous").fetchone()[0] == 2


@pytest.mark.parametrize("damage", [b"not a database at all, whatever its name says" * 50, None])
def test_a_damaged_queue_is_one_sentence(queue: Queue, damage: bytes | None):
    queue.submit("train", {})
    whole = queue.path.read_bytes()
    queue.path.write_bytes(damage or whole[:100] + b"\xff" * (len(whole) - 100))
    with pytest.raises(DamagedQueue, match=r"jobs\.sqlite is damaged"):
        queue.jobs()
    queue.path.unlink()


def test_a_file_with_other_tables_is_no_queue(queue: Queue):
    queue.path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(queue.path)) as database:
        database.execute("CREATE TABLE jobs (wage REAL)")
        database.execute(f"PRAGMA user_version = {len(sql.MIGRATIONS)}")
    with pytest.raises(DamagedQueue):
        queue.waiting()


@pytest.mark.parametrize(
    ("code", "full", "expected"),
    [
        (sqlite3.SQLITE_IOERR_SHMSIZE, True, DiskFull),
        (sqlite3.SQLITE_IOERR_WRITE, False, CannotWrite),
        (sqlite3.SQLITE_CANTOPEN, True, DiskFull),
        (sqlite3.SQLITE_CANTOPEN, False, CannotWrite),
        (sqlite3.SQLITE_READONLY, False, CannotWrite),
        (sqlite3.SQLITE_PERM, False, CannotWrite),
        (sqlite3.SQLITE_NOMEM, False, CannotWrite),
        (sqlite3.SQLITE_BUSY, True, QueueBusy),
        (sqlite3.SQLITE_LOCKED, False, QueueBusy),
        (sqlite3.SQLITE_PROTOCOL, False, QueueBusy),
        (sqlite3.SQLITE_CORRUPT, True, DamagedQueue),
        (sqlite3.SQLITE_NOTADB, False, DamagedQueue),
    ],
)
def test_only_a_file_that_is_no_whole_queue_is_called_damaged(queue: Queue, monkeypatch, code, full, expected):
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(store, "is_full", lambda _folder: full)
    monkeypatch.setattr(store, "_use_wal", refuse)
    with pytest.raises(expected):
        queue.submit("train", {})


def test_want_of_memory_is_no_damage_either(queue: Queue, monkeypatch):
    def refuse(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(store, "_use_wal", refuse)
    with pytest.raises(CannotWrite, match="not enough memory"):
        queue.submit("train", {})


def test_a_queue_that_is_held_is_one_sentence(queue: Queue, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "BUSY_S", 0.05)
    queue.submit("train", {})
    with closing(sqlite3.connect(queue.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(QueueBusy, match=r"jobs\.sqlite is locked"):
            queue.submit("train", {})


def test_a_full_disk_is_one_sentence_and_nothing_is_half_written(queue: Queue):
    job = queue.submit("train", {})

    def outgrow() -> None:
        with queue._write() as database:
            pages = database.execute("PRAGMA page_count").fetchone()[0]
            database.execute("UPDATE jobs SET title = 'changed'")
            database.execute(f"PRAGMA max_page_count = {pages}")
            database.execute("UPDATE jobs SET params = ?", ("x" * 100_000,))

    with pytest.raises(DiskFull):
        outgrow()
    assert queue.get(job.id) == job


def test_a_queue_in_a_place_that_is_no_folder_is_one_sentence(queue: Queue):
    queue.path.parent.write_text("a file")
    with pytest.raises(CannotWrite, match=r"jobs\.sqlite cannot be written"):
        queue.jobs()


def test_a_queue_that_is_a_folder_is_one_sentence(queue: Queue):
    queue.path.mkdir(parents=True)
    with pytest.raises(CannotWrite):
        queue.jobs()


# Order


def test_higher_priorities_start_first_and_equal_ones_in_turn(queue: Queue):
    ids = [queue.submit("train", {}, priority=priority).id for priority in (NORMAL, LOW, HIGH, NORMAL, HIGH)]
    order = [ids[2], ids[4], ids[0], ids[3], ids[1]]
    assert [job.id for job in queue.waiting()] == order
    assert _claimed(queue) == order


@pytest.mark.parametrize(
    ("which", "to", "order"), [(3, 0, "DABC"), (0, 3, "BCDA"), (1, 2, "ACBD"), (2, 2, "ABCD"), (0, 99, "BCDA")]
)
def test_a_moved_job_starts_in_its_new_place(queue: Queue, which: int, to: int, order: str):
    ids = [queue.submit("train", {}, name).id for name in "ABCD"]
    queue.move(ids[which], to)
    assert "".join(job.title for job in queue.waiting()) == order
    later = queue.submit("train", {})
    assert _claimed(queue)[-1] == later.id


def test_a_moved_job_takes_the_priority_of_its_place(queue: Queue):
    for name, priority in (("high", HIGH), ("normal", NORMAL), ("low", LOW)):
        queue.submit("train", {}, name, priority)
    high, _, low = (job.id for job in queue.waiting())
    queue.move(low, 0)
    assert [(job.title, job.priority) for job in queue.waiting()] == [("low", 1), ("high", 1), ("normal", 0)]
    queue.move(high, 2)
    assert [(job.title, job.priority) for job in queue.waiting()] == [("low", 1), ("normal", 0), ("high", 0)]


def test_only_a_waiting_job_is_moved(queue: Queue):
    job = queue.submit("train", {})
    queue.claim("w")
    with pytest.raises(JobNotQueued, match=f"Job {job.id} is running, not queued"):
        queue.move(job.id, 0)
    with pytest.raises(NoSuchJob):
        queue.move(10**30, 0)


# Starts, stalls and retries


def test_every_start_is_counted(queue: Queue):
    job = queue.submit("train", {})
    assert job.attempt == 0
    for attempt in (1, 2, 3):
        claimed = queue.claim("w")
        assert claimed is not None
        assert claimed.attempt == attempt
        queue.release(job.id, "w")
    assert queue.get(job.id).losses == 0


def test_a_job_that_is_lost_too_often_in_a_row_fails_with_a_sentence(queue: Queue):
    job = queue.submit("train", {})
    for n in range(1, MAX_LOSSES):
        queue.claim("w")
        assert (queue.mark_lost(job.id, "w").state, queue.get(job.id).losses) == (State.QUEUED, n)
    queue.claim("w")
    _age(queue, "jobs", "heartbeat", 31)
    (failed,) = queue.requeue_lost()
    assert (failed.state, failed.error, failed.attempt) == (State.FAILED, LOST_TOO_OFTEN, MAX_LOSSES)
    assert failed.finished is not None
    assert queue.claim("w") is None


def test_only_its_worker_says_that_a_run_is_lost(queue: Queue):
    job = queue.submit("train", {})
    queue.claim("w")
    with pytest.raises(LeaseLost):
        queue.mark_lost(job.id, "other")


def test_a_job_that_is_released_in_between_was_not_lost_in_a_row(queue: Queue):
    job = queue.submit("train", {})
    for give_back, stalls in ((queue.mark_lost, 1), (queue.mark_lost, 2), (queue.release, 0), (queue.mark_lost, 1)):
        queue.claim("w")
        assert give_back(job.id, "w").losses == stalls


def test_only_its_worker_forgives_a_job_its_earlier_stalls(queue: Queue):
    job = queue.submit("train", {})
    queue.claim("w")
    queue.mark_lost(job.id, "w")
    queue.claim("w")
    queue.reset_losses(job.id, "other")
    assert queue.get(job.id).losses == 1
    queue.reset_losses(job.id, "w")
    assert queue.get(job.id).losses == 0
    assert queue.mark_lost(job.id, "w").losses == 1


@pytest.mark.parametrize("state", [State.FAILED, State.STOPPED])
def test_a_retried_job_waits_behind_all_others_with_a_clean_record(queue: Queue, state: State):
    number = _over(queue, state)
    other = queue.submit("train", {})
    again = queue.retry(number)
    assert (again.state, again.error, again.losses, again.attempt) == (State.QUEUED, None, 0, 1)
    assert (again.started, again.finished, again.worker, again.stop_requested) == (None, None, None, False)
    assert _claimed(queue) == [other.id, number]


def test_what_was_made_of_an_order_does_not_count_once_the_job_is_tried_again(queue: Queue):
    queue.submit("train", {})
    job = queue.claim("w")
    assert job is not None
    JobFolder.of(job.id).prepare(job)
    queue.finish(job.id, "w", State.STOPPED)
    assert JobFolder.of(job.id).spec().attempt == 1
    queue.retry(job.id)
    assert JobFolder.of(job.id).spec().attempt == -1


def test_a_job_that_is_done_or_not_over_is_not_tried_again(queue: Queue):
    with pytest.raises(NothingToRetry, match="is done"):
        queue.retry(_over(queue, State.DONE))
    with pytest.raises(NothingToRetry, match="is queued"):
        queue.retry(queue.submit("train", {}).id)


# Stops that keep what there is


def test_a_stop_that_keeps_is_marked_and_a_plain_one_is_stronger(queue: Queue):
    job = queue.submit("train", {})
    queue.claim("w")
    assert queue.request_stop(job.id, keep=True).keep
    assert not queue.request_stop(job.id).keep
    assert not queue.request_stop(job.id, keep=True).keep


def test_a_job_that_never_started_has_nothing_to_keep(queue: Queue):
    assert queue.request_stop(queue.submit("train", {}).id, keep=True).state == State.STOPPED


def test_what_an_interrupted_job_has_is_kept_by_one_more_start(queue: Queue):
    job = queue.submit("train", {})
    queue.claim("w")
    queue.request_stop(job.id, keep=True)
    assert queue.release(job.id, "w").state == State.QUEUED
    claimed = queue.claim("w")
    assert claimed is not None
    assert (claimed.stop_requested, claimed.keep) == (True, True)
    queue.release(job.id, "w")
    assert queue.request_stop(job.id, keep=True).state == State.QUEUED
    assert queue.request_stop(job.id).state == State.STOPPED


def test_whoever_still_works_on_a_job_that_was_stopped_in_the_queue_loses_its_order(queue: Queue):
    queue.submit("train", {})
    job = queue.claim("w")
    assert job is not None
    JobFolder.of(job.id).prepare(job)
    queue.release(job.id, "w")
    assert JobFolder.of(job.id).spec().attempt == 1
    queue.request_stop(job.id)
    assert JobFolder.of(job.id).spec().attempt == -1


# Clock and versions


def test_another_boot_of_the_machine_is_silence_whatever_its_clock_says(queue: Queue, monkeypatch):
    job = queue.submit("train", {})
    queue.claim("w")
    queue.heartbeat("w", job.id, "CPU")
    monkeypatch.setattr(process, "boot_id", lambda: "another")
    assert queue.workers() == []
    assert [stalled.id for stalled in queue.requeue_lost()] == [job.id]


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_a_clock_on_the_wall_that_jumps_is_no_silence(queue: Queue, monkeypatch, jump: int):
    job = queue.submit("train", {})
    queue.claim("w")
    queue.heartbeat("w", job.id)
    right = store.time.time
    monkeypatch.setattr(store.time, "time", lambda: right() + jump)
    assert queue.requeue_lost() == []
    assert [worker.alive for worker in queue.workers()] == [True]


def _first_version(queue: Queue) -> None:
    """A queue as it was before there were priorities: a job in each state, one of which a worker holds."""
    queue.path.parent.mkdir(parents=True)
    row = "(task, params, title, state, created, started, finished, worker, heartbeat, stop_requested, error)"
    with closing(sqlite3.connect(queue.path, isolation_level=None)) as database:
        for statement in sql.MIGRATIONS[0]:
            database.execute(statement)
        for n, state in enumerate(State):
            started = None if state is State.QUEUED else 1.7e9
            facts = ("train", f'{{"n": {n}}}', f"job {n}", state, 1.7e9, started, None, "old", started, 0, None)
            database.execute(f"INSERT INTO jobs {row} VALUES ({', '.join('?' * 11)})", facts)
        database.execute("INSERT INTO workers VALUES ('old', 'CPU', 2, 1.7e9)")
        database.execute("PRAGMA user_version = 1")


def test_a_queue_of_the_first_version_keeps_its_jobs(queue: Queue):
    _first_version(queue)
    jobs = queue.jobs()[::-1]
    assert [(job.title, job.params["n"], job.state) for job in jobs] == [
        (f"job {n}", n, state) for n, state in enumerate(State)
    ]
    assert [job.attempt for job in jobs] == [0, 1, 1, 1, 1]
    assert queue.workers() == []
    assert [job.id for job in queue.requeue_lost()] == [2]
    last = queue.submit("train", {})
    assert _claimed(queue) == [1, 2, last.id]


def test_many_programs_bring_an_older_queue_up_to_date_at_once(queue: Queue):
    _first_version(queue)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: len(queue.jobs()), range(16))) == {5}


def test_a_queue_of_a_newer_version_is_one_sentence(queue: Queue):
    queue.submit("train", {})
    with closing(sqlite3.connect(settings().queue)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerQueue, match="was created by a newer Groundplan"):
        queue.jobs()


def test_running_jobs_are_known_however_many_are_newer(queue: Queue):
    first = queue.submit("greet", {})
    queue.claim("w")
    for _ in range(3):
        queue.submit("greet", {})
    second = queue.claim("v")
    assert [job.id for job in queue.running()] == [second.id, first.id]
