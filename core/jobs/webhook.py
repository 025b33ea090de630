"""Webhook notification (HTTP POST) about finished jobs: GROUNDPLAN_WEBHOOK."""

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

#: Timeouts of connection and response [s].
TIMEOUT_S = (5.0, 10.0)
#: Retries after 1, 2 and 4 s, without a response or with a temporary error.
_RETRY = Retry(
    total=3,
    backoff_factor=1.0,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods={"POST"},
    respect_retry_after_header=False,
    redirect=0,
)

_log = logging.getLogger(__name__)
# urllib3 logs the full URL before each retry, and the URL is a secret: it authorizes to post.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def payload(job: Job) -> dict[str, Any]:
    """Payload of the webhook notification for a finished job; Slack and Mattermost show `text`."""
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
class WebhookNotifier:
    """Webhook client that posts in background threads, so a slow or unreachable address delays no job."""

    address: str  #: http(s) URL, or "" to send none
    retry: Retry = _RETRY
    _threads: list[Thread] = field(default_factory=list)

    def send(self, job: Job) -> None:
        """Send the notification for a finished job; errors are logged by the worker."""
        if self.address:
            thread = Thread(target=self._post, args=(payload(job),), name=f"webhook of job {job.id}", daemon=True)
            self._threads = [running for running in self._threads if running.is_alive()] + [thread]
            thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for pending notifications, at most so many seconds."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _post(self, body: dict[str, Any]) -> None:
        try:
            with requests.Session() as session:
                for scheme in ("http://", "https://"):
                    session.mount(scheme, HTTPAdapter(max_retries=self.retry))
                response = session.post(self.address, json=body, timeout=TIMEOUT_S, allow_redirects=False)
                if not response.ok or response.is_redirect:
                    raise requests.HTTPError(str(response.status_code))
        except (requests.RequestException, OSError, ValueError) as error:
            # Without the message of the error, which contains the full URL.
            host, kind = urlsplit(self.address).hostname, type(error).__name__
            _log.warning("the webhook notification of job %s did not reach %s (%s)", body["job"], host, kind)
