"""Against a real web server on this machine."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from urllib3 import Retry

from core.jobs.queue import Job, Queue, State
from core.jobs.webhook import _RETRY, WebhookNotifier, payload
from tests.core.jobs.fake_tasks import wait_for

QUICK = Retry(total=3, backoff_factor=0.01, status_forcelist=(503,), allowed_methods={"POST"}, redirect=0)


@dataclass
class Mailbox:
    """What came, and what is answered: these in turn, and then 200."""

    address: str
    answers: list[int] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            box.paths.append(self.path)
            box.letters.append(json.loads(body))
            self.send_response(box.answers.pop(0) if box.answers else 200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        box = Mailbox(f"http://127.0.0.1:{server.server_port}/hook?token=secret")
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield box
        server.shutdown()
        thread.join()


@pytest.fixture
def failed(queue: Queue) -> Job:
    queue.submit("train", {"run": "vegas-1"}, "Vegas, small network")
    job = queue.claim("w")
    assert job is not None
    return queue.finish(job.id, "w", State.FAILED, "Training needs tiles.")


def test_a_job_that_is_over_is_told_with_its_run_and_reason(mailbox: Mailbox, failed: Job):
    WebhookNotifier(mailbox.address).send(failed)
    wait_for(lambda: mailbox.letters)
    (told,) = mailbox.letters
    assert told.pop("seconds") == pytest.approx(0, abs=5)
    assert told == {
        "job": failed.id,
        "title": "Vegas, small network",
        "task": "train",
        "state": "failed",
        "error": "Training needs tiles.",
        "run": "vegas-1",
        "text": f"Vegas, small network: job {failed.id} is failed. Training needs tiles.",
    }
    assert mailbox.paths == ["/hook?token=secret"]


def test_a_job_stopped_before_it_started_has_no_seconds_and_no_run(queue: Queue):
    told = payload(queue.request_stop(queue.submit("sample", {}).id))
    assert (told["state"], told["seconds"], told["run"]) == ("stopped", None, None)


def test_a_server_that_is_busy_is_asked_again(mailbox: Mailbox, failed: Job):
    mailbox.answers = [503, 503]
    notices = WebhookNotifier(mailbox.address, QUICK)
    notices.send(failed)
    notices.wait(10)
    assert len(mailbox.letters) == 3


@pytest.mark.parametrize("answers", [[503] * 9, [404], [302]])
def test_a_notice_that_is_not_taken_is_a_line_without_the_address_s_secret(
    mailbox: Mailbox, failed: Job, caplog, answers
):
    mailbox.answers = answers
    notices = WebhookNotifier(mailbox.address, QUICK)
    notices.send(failed)
    notices.wait(10)
    assert f"the webhook notification of job {failed.id} did not reach 127.0.0.1" in caplog.text
    assert "secret" not in caplog.text
    assert "/elsewhere" not in mailbox.paths


def test_an_address_where_nobody_listens_hurts_nobody(failed: Job, caplog):
    notices = WebhookNotifier("http://127.0.0.1:9/hook?token=secret", QUICK)
    notices.send(failed)
    notices.wait(10)
    assert "did not reach 127.0.0.1" in caplog.text
    assert "secret" not in caplog.text


def test_without_an_address_nothing_is_sent(failed: Job):
    notices = WebhookNotifier("")
    notices.send(failed)
    assert notices._threads == []


def test_the_usual_patience_is_three_more_tries_within_seconds():
    assert (_RETRY.total, _RETRY.backoff_factor, _RETRY.redirect) == (3, 1.0, 0)
