"""A program that runs under full_disk.c: a queue and a job's folder live their life while the k-th write fails, or is
half done.

Prints how many writes there are, and every state that is neither old nor new.
"""

import ctypes
import json
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any
from unittest import mock

from core.atomic_files import append_jsonl, read_jsonl
from core.errors import CannotWrite, DiskFull
from core.jobs.folder import JobFolder
from core.jobs.process import Process
from core.jobs.queue import Queue, State
from core.settings import settings

queue, folder = Queue(settings().queue), JobFolder.of(1)
lines = folder.path / "lines.jsonl"
disk_is_full = ctypes.CDLL(None).disk_is_full
disk_is_full.restype = ctypes.c_long
disk_is_full.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_long]
COLUMNS = "id, task, params, state, priority, place, attempt, stalls, worker, stop_requested, keep, error"


def sign_in() -> None:
    with mock.patch.object(
        Process, "this", return_value=Process(1, 0, "another boot")
    ):  # the next start would end this
        folder.claim(1)


def prepare() -> None:
    folder.prepare(replace(queue.get(1), attempt=queue.get(1).attempt))


def line(number: int) -> None:
    if {"n": number} not in read_jsonl(lines):  # all steps may be done once more
        append_jsonl(lines, {"n": number})


def progress() -> None:
    with folder.reporting() as report:
        report(0.5, "half")


STEPS: tuple[Callable[[], Any], ...] = (
    lambda: queue.submit("train", {"tiles": ["a" * 5000]}), lambda: queue.submit("predict", {}),
    lambda: queue.move(2, 0), lambda: queue.move(2, 1), lambda: queue.heartbeat("w", None, "CPU"),
    lambda: queue.claim("w"), prepare, sign_in, progress, folder.request_finish,
    lambda: line(1), lambda: line(2),
    lambda: queue.heartbeat("w", 1), lambda: queue.release(1, "w"),
    lambda: queue.claim("w"), prepare, lambda: queue.mark_lost(1, "w"),
    lambda: queue.claim("w"), prepare, lambda: queue.reset_losses(1, "w"),
    lambda: folder.fail("It failed."), folder.revoke,
    lambda: queue.finish(1, "w", State.FAILED, "It failed."), lambda: queue.retry(1), lambda: queue.claim("w"),
    lambda: queue.request_stop(2, keep=True), lambda: queue.finish(2, "w", State.DONE),
    lambda: queue.delete(2), lambda: queue.remove_worker("w"),
)  # fmt: skip


def rows() -> list[Any]:
    """What the queue holds, but for times; the database is whole."""
    if not queue.path.exists():
        return []
    with closing(sqlite3.connect(queue.path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not database.execute("SELECT name FROM sqlite_master").fetchall():
            return []
        jobs = database.execute(f"SELECT {COLUMNS} FROM jobs ORDER BY id").fetchall()
        workers = database.execute("SELECT name, device, busy_with FROM workers").fetchall()
    return [jobs, workers] if jobs or workers else []


def files() -> dict[str, Any]:
    """What the folder holds, each file whole, but for times; temporary files must be gone. No lines are no file."""
    found: dict[str, Any] = {}
    for path in folder.path.glob("*"):
        text = path.read_text()
        found[path.name] = json.loads(text) if path.suffix == ".json" else text
    if found.get(lines.name) == "":
        del found[lines.name]
    for name in found:
        if isinstance(found[name], dict):
            found[name] = {
                key: value for key, value in found[name].items() if key in ("attempt", "task", "share", "pid")
            }
    return found


Seen = tuple[list[Any], dict[str, Any]]


def walk(first: int, last: int) -> tuple[list[Seen], int]:
    """The states before each step and at the end, and all writes; it ends with the step in which a write failed."""
    shutil.rmtree(settings().data, ignore_errors=True)
    settings().data.mkdir()
    states, writes = [(rows(), files())], 0
    for step in STEPS:
        disk_is_full(str(settings().data).encode(), first - writes, last - writes)
        with suppress(DiskFull, CannotWrite):
            step()
        writes += disk_is_full(b"", -1, -1)
        states.append((rows(), files()))
        if 0 < first <= writes:
            break
    return states, writes


def broken(states: list[Seen], usual: list[Seen]) -> list[str]:
    """What is neither as before the last step nor as after it; where it is as before, the step is done once more."""
    step = len(states) - 2
    (found, kept), (old, new) = states[-1], usual[step : step + 2]
    wrong = [f"step {step}: rows {found}"] if found not in (old[0], new[0]) else []
    strange = (name for name in {*kept, *old[1], *new[1]} if kept.get(name) not in (old[1].get(name), new[1].get(name)))
    wrong += [f"step {step}: {name} is {kept.get(name)}" for name in strange]
    if not wrong and found == old[0]:
        STEPS[step]()
        if (rows(), files()) != new:
            wrong.append(f"step {step}, once more: {rows()} {files()}")
    return wrong


def main(how: str) -> None:
    """For every k; "lasting": all writes after the k-th fail, too; "half": the k-th is half done."""
    usual, writes = walk(-1, -1)
    wrong = []
    if how == "half":
        ctypes.CDLL(None).take_halves()
    for k in range(1, writes + 1):
        wrong += broken(walk(k, 10**9 if how == "lasting" else k)[0], usual)
    print(json.dumps({"writes": writes, "broken": wrong}))


if __name__ == "__main__":
    main(sys.argv[1])
