"""A word to somebody's web address when a job is over: GROUNDPLAN_WEBHOOK."""

import logging
import time
from dataclasses import dataclass, field
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from core.jobs.job import Job

#: Seconds for a connection and for an answer.
TIMEOUT_S = (5.0, 10.0)
#: Repeated after 1, 2 and 4 seconds, where nobody answers or the answer is that it may work later.
_RETRY = Retry(
    total=3,
    backoff_factor=1.0,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods={"POST"},
    respect_retry_after_header=False,
    redirect=0,
)

_log = logging.getLogger(__name__)
# Before each repetition urllib3 writes the whole address down, and who knows that may write there.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def letter(job: Job) -> dict[str, Any]:
    """What is told of a job that is over; `text` is what Slack and Mattermost show."""
    seconds = max(0.0, (job.finished - job.started).total_seconds()) if job.started and job.finished else None
    return {
        "job": job.id,
        "title": job.title,
        "task": job.task,
        "state": job.state,
        "error": job.error,
        "run": job.params.get("run"),
        "seconds": seconds,
        "text": f"{job.title}: job {job.id} is {job.state}." + (f" {job.error}" if job.error else ""),
    }


@dataclass
class Notices:
    """Sends them in threads of their own: a web address that is slow or gone costs no job anything."""

    address: str  #: http(s), or "" to send none
    retry: Retry = _RETRY
    _threads: list[Thread] = field(default_factory=list)

    def send(self, job: Job) -> None:
        """Tells of a job that is over; what goes wrong is a line in the worker's log."""
        if self.address:
            thread = Thread(target=self._post, args=(letter(job),), name=f"notice of job {job.id}", daemon=True)
            self._threads = [other for other in self._threads if other.is_alive()] + [thread]
            thread.start()

    def wait(self, seconds: float) -> None:
        """Gives those on their way so many seconds."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _post(self, letter: dict[str, Any]) -> None:
        try:
            with requests.Session() as session:
                for scheme in ("http://", "https://"):
                    session.mount(scheme, HTTPAdapter(max_retries=self.retry))
                answer = session.post(self.address, json=letter, timeout=TIMEOUT_S, allow_redirects=False)
                if not answer.ok or answer.is_redirect:
                    raise requests.HTTPError(str(answer.status_code))
        except (requests.RequestException, OSError, ValueError) as error:
            # Not the error's own words: they, too, hold the whole address.
            where, what = urlsplit(self.address).hostname, type(error).__name__
            _log.warning("the notice of job %s did not reach %s (%s)", letter["job"], where, what)
