import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from subprocess import Popen

import pytest

from core.compat import to_stored
from core.errors import CannotRead, NoSuchJob
from core.jobs import folder as module
from core.jobs.folder import JobFolder, JobSpec
from core.jobs.process import Process
from core.jobs.queue import Job, Queue
from core.settings import settings
from tests.core.jobs.fake_tasks import is_running


@pytest.fixture
def folder(tmp_path, queue) -> JobFolder:
    made = JobFolder(tmp_path / "7")
    made.prepare(make_job(1))
    return made


def make_job(attempt: int) -> Job:
    job = Queue(settings().queue).submit("train", {"tiles": ["é", None]})
    return replace(job, attempt=attempt)


def test_a_job_that_has_said_nothing_has_no_progress_error_or_log(tmp_path):
    folder = JobFolder(tmp_path / "absent")
    assert (folder.progress(), folder.error(), folder.tail()) == (None, None, [])


def test_the_last_word_is_kept_however_fast_it_came(folder):
    with folder.reporting() as report:
        for n in range(1000):
            report(n / 1000, "counting")
        report(0.9, "saving")
    progress = folder.progress()
    assert (progress.share, progress.doing) == (0.9, "saving")


def test_progress_is_there_while_the_work_goes_on(folder, monkeypatch):
    monkeypatch.setattr(module, "REPORT_S", 0.01)
    with folder.reporting() as report:
        report(0.2, "training")
        until = time.monotonic() + 10
        while folder.progress() is None and time.monotonic() < until:
            time.sleep(0.01)
        assert folder.progress().doing == "training"


def test_many_reports_are_few_writes(folder, monkeypatch):
    written = []
    monkeypatch.setattr(JobFolder, "_write", lambda _folder, progress: written.append(progress))
    monkeypatch.setattr(module, "REPORT_S", 60)
    with folder.reporting() as report:
        for n in range(1000):
            report(n / 1000, "counting")
    assert [progress.share for progress in written] == [0.999]


def test_a_full_disk_does_not_end_the_work_that_reports(folder):
    folder.remove()
    folder.path.write_text("no folder any more")
    with folder.reporting() as report:
        report(0.5, "working")
    assert folder.progress() is None


def test_a_share_beyond_the_end_is_the_end(folder):
    with folder.reporting() as report:
        report(1.2, "done")
    assert folder.progress().share == 1


def test_remaining_time_is_counted_from_now(folder):
    said = {"share": 0.5, "doing": "training", "remaining_s": 100, "updated": time.time() - 40}
    (folder.path / "progress.json").write_text(json.dumps(said))
    assert folder.progress().remaining_s == pytest.approx(60, abs=5)
    (folder.path / "progress.json").write_text(json.dumps(said | {"updated": time.time() - 400}))
    assert folder.progress().remaining_s == 0


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"share": 1, "updated": 0}', '{"updated": "now"}'])
def test_a_damaged_progress_file_is_no_progress(folder, text):
    (folder.path / "progress.json").write_text(text)
    assert folder.progress() is None


def test_a_new_attempt_keeps_the_log_only(folder):
    folder.fail("It failed.")
    folder.log.write_text("first attempt\n")
    with folder.reporting() as report:
        report(0.5, "half")
    assert folder.error() == "It failed."
    folder.request_finish()
    folder.prepare(make_job(2))
    assert not folder.finish_requested()
    assert (folder.progress(), folder.error(), folder.tail()) == (None, None, ["first attempt"])


def test_a_first_attempt_finds_nothing_of_a_lost_queue_s_job_of_the_same_number(folder):
    folder.log.write_text("another job\n")
    (folder.path / "ray.json").write_text("{}")
    (folder.path / "ray").mkdir()
    (folder.path / "ray" / "state").touch()
    with Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as left:
        facts = to_stored(Process.this()) | {"pid": left.pid, "began": int(_began(left.pid))}
        (folder.path / "process-4.json").write_text(json.dumps(facts))
        folder.prepare(make_job(1))
        assert not is_running(left.pid)
    assert [path.name for path in folder.path.iterdir()] == ["job.json"]


def test_the_tail_is_the_last_lines(folder):
    folder.log.write_text("\n".join(map(str, range(100))) + "\n")
    assert folder.tail(3) == ["97", "98", "99"]
    assert len(folder.tail(1000)) == 100


def test_the_tail_of_a_huge_log_reads_only_its_end(folder):
    with folder.log.open("wb") as log:
        log.truncate(50_000_000_000)  # a sparse file: 50 GB that take no room
        log.seek(0, 2)
        log.write(b"\nlast line\n")
    assert folder.tail(1) == ["last line"]


def test_the_tail_shows_what_a_terminal_would(folder):
    folder.log.write_bytes(b"10 %\r20 %\r30 %\n\x1b[1mbold\x1b[0m\x07\r\n\xff\xfe and caf\xc3\xa9\n")
    assert folder.tail() == ["30 %", "bold", "�� and café"]


def test_a_removed_folder_is_gone(folder):
    folder.log.write_text("text")
    folder.remove()
    folder.remove()
    assert not folder.path.exists()


def test_the_order_says_what_to_do_and_who_may_do_it(folder):
    assert folder.spec() == JobSpec("train", {"tiles": ["é", None]}, 1)
    folder.prepare(make_job(2))
    assert folder.spec().attempt == 2
    folder.revoke()
    assert folder.spec() == JobSpec("train", {"tiles": ["é", None]}, -1)


def test_a_folder_without_an_order_is_a_job_that_is_gone(folder):
    folder.remove()
    with pytest.raises(NoSuchJob):
        folder.spec()
    folder.revoke()
    assert not folder.path.exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"task": "train"}'])
def test_an_order_that_cannot_be_read_is_one_sentence(folder, text):
    (folder.path / "job.json").write_text(text)
    with pytest.raises(CannotRead, match=r"job\.json cannot be read"):
        folder.spec()


@pytest.mark.parametrize("end", [lambda folder: folder.prepare(make_job(2)), JobFolder.revoke])
def test_what_is_left_of_an_earlier_attempt_is_ended(folder, end):
    with Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as left:
        facts = to_stored(Process.this()) | {"pid": left.pid, "began": int(_began(left.pid))}
        (folder.path / "process-1.json").write_text(json.dumps(facts))
        end(folder)
        assert not is_running(left.pid)
    assert not (folder.path / "process-1.json").exists()


def _began(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def test_a_process_signs_in_with_its_number(folder):
    folder.claim(3)
    assert json.loads((folder.path / "process-3.json").read_text()) == to_stored(Process.this())


def test_a_wish_to_finish_is_seen(folder):
    assert not folder.finish_requested()
    folder.request_finish()
    assert folder.finish_requested()
