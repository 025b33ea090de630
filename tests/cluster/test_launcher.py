"""What the launcher makes of a cluster's answers. The cluster is made up: no Ray is needed."""

import signal
import time
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import requests

from core.errors import ClusterUnreachable, InvalidVariable, RunLost
from core.jobs.job import Job, State
from core.jobs.launchers import ray as module
from core.jobs.launchers.base import JobResult
from core.jobs.launchers.exit_status import KILLED
from core.jobs.launchers.ray import RayLauncher, RayLauncherJob, Submission
from core.jobs.launchers.ray_client import RayCluster, RayJob
from core.jobs.launchers.select import make_launcher
from core.jobs.queue import Queue
from core.jobs.worker import work
from core.settings import settings
from tests.core.jobs.fake_tasks import reached, wait_for
from tests.core.jobs.test_worker import leave, meanwhile

RUNNING = RayJob("RUNNING", "", "", None)
DIED = RayJob("FAILED", "Job supervisor actor died: a node is gone", "JOB_SUPERVISOR_ACTOR_DIED", None)
WAITED = RayJob("FAILED", "too long", "JOB_SUPERVISOR_ACTOR_START_TIMEOUT", None)


@dataclass
class FakeCluster(RayCluster):
    """Says what it was told to."""

    says: RayJob | None = RUNNING
    prints: str = ""
    is_away: bool = False
    refuses: bool = False  #: to take jobs
    submitted: list[dict[str, Any]] = field(default_factory=list)
    address: str = "http://fake:8265"

    def _here(self, may: bool = True) -> None:
        if self.is_away or not may:
            raise ClusterUnreachable(address=self.address, detail="no connection")

    def submit(self, order: Any) -> None:
        self._here(not self.refuses)
        self.submitted.append(order)

    def job(self, _name: str) -> RayJob | None:
        self._here()
        return self.says

    def log(self, _name: str) -> str:
        self._here()
        return self.prints

    def stop(self, _name: str) -> None:
        self._here()
        self.says = self.says and replace(self.says, status="STOPPED")

    def resources(self) -> dict[str, float]:
        self._here()
        return {"CPU": 12.0}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    for name in ("POLL_S", "LOG_POLL_S", "LOG_COST", "RESOURCES_POLL_S", "UNREACHABLE_S"):
        monkeypatch.setattr(module, name, 0.0)
    return FakeCluster()


@pytest.fixture
def run(queue: Queue, fake: FakeCluster) -> RayLauncherJob:
    return start(queue, fake)


def start(queue: Queue, fake: FakeCluster, **params: Any) -> RayLauncherJob:
    queue.submit("greet", params, title="Greet")
    return RayLauncher(fake).start(claimed(queue))


def claimed(queue: Queue) -> Job:
    job = queue.claim("w")
    assert job is not None
    return job


def failed(message: str, code: int | None = None, kind: str = "") -> RayJob:
    return RayJob("FAILED", message, kind, code)


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (RayJob("SUCCEEDED", "", "", 0), JobResult(State.DONE)),
        (RayJob("STOPPED", "", "", None), JobResult(State.STOPPED)),
        (failed("…", -9), JobResult(State.FAILED, KILLED)),
        (replace(DIED, message="The node was running low on memory."), JobResult(State.FAILED, KILLED)),
    ],
)
def test_how_ray_says_it_ended_is_how_it_ended(
    run: RayLauncherJob, fake: FakeCluster, says: RayJob, expected: JobResult
):
    fake.says = says
    assert run.wait(0) == expected


def test_a_job_that_ray_cannot_run_fails_with_its_reason(run: RayLauncherJob, fake: FakeCluster):
    fake.says = failed("runtime_env setup failed: no such folder\nTraceback", kind="RUNTIME_ENV_SETUP_FAILURE")
    ended = run.wait(0)
    assert ended is not None
    assert "runtime_env setup failed: no such folder" in str(ended.error)
    assert "Traceback" in run.folder.tail()


def test_what_the_job_says_itself_comes_before_ray(run: RayLauncherJob, fake: FakeCluster):
    run.folder.fail("No tiles.")
    fake.says = failed("Job entrypoint command failed with exit code 2", 2)
    assert run.wait(0) == JobResult(State.FAILED, "No tiles.")


@pytest.mark.parametrize("code", [128 + signal.SIGTERM, -signal.SIGTERM])
def test_a_process_told_to_end_by_somebody_else_is_a_lost_run(run: RayLauncherJob, fake: FakeCluster, code: int):
    fake.says = failed("Job entrypoint command failed", code)
    with pytest.raises(RunLost):
        run.wait(0)


@pytest.mark.parametrize("says", [None, DIED])
def test_a_run_whose_machine_or_head_is_gone_is_lost_and_not_failed(run: RayLauncherJob, fake: FakeCluster, says):
    fake.says = says
    with pytest.raises(RunLost):
        run.wait(0)


def test_a_job_that_ray_would_wait_for_no_longer_is_submitted_again(run: RayLauncherJob, fake: FakeCluster):
    fake.says = WAITED
    assert run.wait(0) is None
    first, second = (order["submission_id"] for order in fake.submitted)
    assert first != second == run.submission.name


def test_what_is_submitted_again_for_a_run_that_was_taken_up_has_the_order_that_counts(queue: Queue, fake: FakeCluster):
    run = start(queue, fake)
    queue.release(run.job.id, "w")
    taken = RayLauncher(fake).start(claimed(queue))
    assert (taken.reattached, taken.job.attempt, taken.submission) == (True, 2, run.submission)
    fake.says = WAITED
    assert taken.wait(0) is None
    assert fake.submitted[-1]["entrypoint"].endswith(f" {run.job.id} {run.folder.spec().attempt}")
    assert taken.submission.is_valid(run.folder)


def test_a_second_submission_that_never_arrived_is_made_up_for(run: RayLauncherJob, fake: FakeCluster):
    fake.says, fake.refuses = WAITED, True
    assert run.wait(0) is None
    fake.says, fake.refuses = None, False
    assert run.wait(0) is None
    assert fake.submitted[-1]["submission_id"] == run.submission.name


def test_only_new_whole_lines_are_added_to_the_log_and_none_of_rays(run: RayLauncherJob, fake: FakeCluster):
    run.folder.log.write_text("")
    name = run.submission.name
    fake.prints = "2026-11-22 21:27:45\tINFO job_manager.py:581 -- Runtime env is setting up.\nfirst\nhal"
    run.wait(0)
    assert run.folder.log.read_text() == "first\n"
    fake.prints += f"f\nRunning entrypoint for job {name}: cd /x && exec python\nthird, ü\n"
    for _ in range(2):
        run.wait(0)
    assert run.folder.log.read_text() == "first\nhalf\nthird, ü\n"
    fake.prints, fake.says = fake.prints + "no end", RayJob("SUCCEEDED", "", "", 0)
    run.wait(0)
    assert run.folder.log.read_text() == "first\nhalf\nthird, ü\nno end"


def test_a_cluster_that_is_away_is_waited_for_and_the_log_says_so_once(run: RayLauncherJob, fake: FakeCluster):
    fake.prints = "first\n"
    run.wait(0)
    fake.is_away = True
    for _ in range(3):
        assert run.wait(0) is None
    fake.is_away, fake.prints = False, "first\nsecond\n"
    assert run.wait(0) is None
    run.wait(0)
    lines = run.folder.tail()
    assert [line for line in lines if "fake" not in line] == ["first", "second"]
    assert [("does not respond" in line, "responds again" in line) for line in lines if "fake" in line] == [
        (True, False),
        (False, True),
    ]


# Stops


@pytest.mark.parametrize("before", [True, False])
def test_a_job_stopped_while_the_cluster_is_away_loses_its_order(run: RayLauncherJob, fake: FakeCluster, before: bool):
    fake.is_away = before
    run.stop()
    fake.is_away = True
    assert run.wait(0) == JobResult(State.STOPPED)
    assert run.folder.spec().attempt != run.job.attempt


@pytest.mark.parametrize(
    "says", [None, DIED, failed("…", 143), RayJob("SUCCEEDED", "", "", 0), replace(RUNNING, status="PENDING")]
)
def test_a_stopped_run_is_stopped_whatever_ray_says_that_became_of_it(run: RayLauncherJob, fake: FakeCluster, says):
    run.folder.log.write_text("")
    run.stop()
    fake.says, fake.prints = says, "its last words"
    assert run.wait(0) == JobResult(State.STOPPED)
    assert run.folder.log.read_text() == "its last words"
    assert run.folder.spec().attempt == -1


def test_a_stop_is_waited_for_but_not_for_ever(run: RayLauncherJob, fake: FakeCluster, monkeypatch):
    monkeypatch.setattr(module, "STOP_S", 0.5)
    monkeypatch.setattr(FakeCluster, "stop", lambda *_: None)
    run.stop()
    assert run.wait(0) is None
    assert run.folder.spec().attempt == 1  # it may end in good order
    assert run.wait(5) == JobResult(State.STOPPED)
    assert run.folder.spec().attempt == -1


def test_leaving_in_the_middle_of_a_stop_sees_to_its_end(run: RayLauncherJob, fake: FakeCluster, monkeypatch):
    monkeypatch.setattr(module, "STOP_S", 0.5)
    monkeypatch.setattr(FakeCluster, "stop", lambda *_: None)
    run.detach()
    assert run.folder.spec().attempt == 1
    run.stop()
    run.detach()
    assert run.folder.spec().attempt == -1


def test_a_stop_that_took_too_long_takes_no_order_of_a_later_start_away(
    run: RayLauncherJob, queue: Queue, fake: FakeCluster
):
    run.stop()
    queue.mark_lost(run.job.id, "w")
    run.folder.prepare(claimed(queue))
    assert run.wait(0) == JobResult(State.STOPPED)
    assert run.folder.spec().attempt == 2


@dataclass
class SlowCluster(FakeCluster):
    """Its jobs take a second to end."""

    stopped: dict[str, float] = field(default_factory=dict)

    def job(self, name: str) -> RayJob | None:
        over = name in self.stopped and time.monotonic() - self.stopped[name] > 1
        return replace(RUNNING, status="STOPPED") if over else RUNNING

    def stop(self, name: str) -> None:
        self.stopped[name] = time.monotonic()


def test_six_jobs_stopped_at_once_take_about_as_long_as_one(queue: Queue, monkeypatch):
    monkeypatch.setattr(module, "POLL_S", 0.2)
    slow, jobs = SlowCluster(), [queue.submit("greet", {}) for _ in range(6)]
    took = []

    def stop() -> None:
        wait_for(lambda: queue.count(State.RUNNING) == len(jobs))
        began = time.monotonic()
        for job in jobs:
            queue.request_stop(job.id)
        for job in jobs:
            reached(queue, job, State.STOPPED)
        took.append(time.monotonic() - began)
        leave()

    with meanwhile(stop):
        work(queue, "w", poll_s=0.1, launcher=RayLauncher(slow))
    print(f"\n6 jobs that end a second after they are told to: stopped after {took[0]:.1f} s")
    assert len(slow.stopped) == 6
    assert took[0] < 3


# What is asked for


def test_a_job_asks_for_what_its_params_name(queue: Queue, fake: FakeCluster, monkeypatch):
    monkeypatch.setenv("GROUNDPLAN_WEBHOOK", "https://secret")
    start(queue, fake, gpus=2)
    start(queue, fake, gpus=2, nodes=3)
    start(queue, fake)
    start(queue, fake, nodes=3)
    one, three, *without = fake.submitted
    assert (one["entrypoint_num_gpus"], one["entrypoint_num_cpus"]) == (2, 1)
    assert (three["entrypoint_num_gpus"], three["entrypoint_num_cpus"]) == (0, 0)  # its machines ask for theirs
    told = one["runtime_env"]["env_vars"]
    assert told["GROUNDPLAN_DATA"] == str(settings().data)
    assert told["GDAL_SKIP"] == "VRT OGR_VRT"
    assert "GROUNDPLAN_WEBHOOK" not in told
    assert [order["runtime_env"]["env_vars"].get("CUDA_VISIBLE_DEVICES") for order in (one, three)] == [None, None]
    assert [order["runtime_env"]["env_vars"]["CUDA_VISIBLE_DEVICES"] for order in without] == ["", ""]


def test_a_job_tried_again_is_not_taken_for_done_because_its_last_run_ended_well(queue: Queue, fake: FakeCluster):
    run = start(queue, fake)
    fake.says = RayJob("SUCCEEDED", "", "", 0)  # it was asked to finish with what it has
    queue.finish(run.job.id, "w", State.STOPPED)
    queue.retry(run.job.id)
    again = RayLauncher(fake).start(claimed(queue))
    assert (again.reattached, len(fake.submitted)) == (False, 2)


def test_a_ticket_of_a_lost_queue_s_job_of_the_same_number_does_not_count(queue: Queue, fake: FakeCluster):
    before = start(queue, fake)
    fake.says = RayJob("SUCCEEDED", "", "", 0)
    for path in queue.path.parent.glob("jobs.sqlite*"):
        path.unlink()
    run = start(queue, fake)
    assert (run.job.id, run.job.attempt, run.reattached) == (before.job.id, 1, False)
    assert len(fake.submitted) == 2
    assert Submission.find(run.folder) == run.submission != before.submission


def test_a_job_waits_where_the_cluster_cannot_be_reached(queue: Queue, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:9")
    ray = RayLauncher()
    queue.submit("greet", {})
    with pytest.raises(ClusterUnreachable, match="no connection"):
        ray.start(queue.claim("w"))
    assert ray.device() == "Ray at http://127.0.0.1:9 does not respond"


# Answers


def answers(monkeypatch: pytest.MonkeyPatch, status: int, body: str) -> RayLauncher:
    """A launcher whose cluster answers this, whatever it is asked."""
    answer = requests.Response()
    answer.status_code, answer._content = status, body.encode()
    monkeypatch.setattr(requests, "request", lambda *_, **__: answer)
    return RayLauncher(RayCluster("http://proxy"))


CALLS = [
    lambda cluster: cluster.submit({}),
    lambda cluster: cluster.job("any"),
    lambda cluster: cluster.log("any"),
    lambda cluster: cluster.stop("any"),
    lambda cluster: cluster.resources(),
]


@pytest.mark.parametrize(
    "body", ["<html>Log in", "", "{}", "[]", "null", '{"status": "ok"}', '{"data": {"result": 7}}']
)
@pytest.mark.parametrize("call", CALLS)
def test_an_answer_that_is_not_rays_is_none(monkeypatch, call, body: str):
    ray = answers(monkeypatch, 200, body)
    with pytest.raises(ClusterUnreachable, match="unexpected response"):
        call(ray.cluster)
    assert ray.device() == "Ray at http://proxy does not respond"


def test_what_ray_says_of_a_job_is_read(monkeypatch):
    said = '{"status": "FAILED", "message": null, "error_type": "JOB_ENTRYPOINT_COMMAND_ERROR", "driver_exit_code": 2}'
    assert answers(monkeypatch, 200, said).cluster.job("any") == RayJob("FAILED", "", "JOB_ENTRYPOINT_COMMAND_ERROR", 2)


def test_only_ray_itself_can_say_that_it_does_not_know_a_job(monkeypatch):
    cluster = answers(monkeypatch, 404, "Job any does not exist").cluster
    assert cluster.job("any") is None
    cluster.stop("any")
    cluster = answers(monkeypatch, 404, "<html>404 Not Found</html>").cluster
    for call in CALLS[:4]:
        with pytest.raises(ClusterUnreachable, match="status 404"):
            call(cluster)


def test_machines_are_counted(fake: FakeCluster):
    assert RayLauncher(fake).device() == "Ray at http://fake:8265: 12 CPUs, 0 GPUs"


@pytest.mark.parametrize("address", ["auto", "ray://head:10001", "head:6379", "http://"])
def test_an_address_that_is_not_the_dashboards_is_refused_in_words(monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InvalidVariable, match="http://head:8265"):
        RayCluster.of_environment()


def test_the_launcher_is_the_one_the_settings_name(queue: Queue, monkeypatch):
    monkeypatch.setenv("GROUNDPLAN_LAUNCHER", "ray")
    monkeypatch.setenv("GROUNDPLAN_RAY_SLOTS", "3")
    settings.cache_clear()
    assert isinstance(make_launcher(), RayLauncher)
    assert make_launcher().slots == 3


@pytest.mark.parametrize("way", ["variable", "file", "disabled"])
def test_the_token_comes_from_where_ray_has_it(monkeypatch, tmp_path, way):
    from requests import PreparedRequest

    from core.jobs.launchers.ray_client import _add_token

    (tmp_path / "token").write_text("secret\n")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    if way == "variable":
        monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    else:
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled" if way == "disabled" else "token")
    request = PreparedRequest()
    request.headers = {}  # type: ignore[assignment]
    assert _add_token(request).headers.get("Authorization") == (None if way == "disabled" else "Bearer secret")
