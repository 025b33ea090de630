"""Client of the Ray Jobs REST API, without importing ray.

https://docs.ray.io/en/latest/cluster/running-applications/job-submission/rest.html
"""

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import requests

from core.errors import ClusterUnreachable, InvalidVariable

Value = TypeVar("Value")
#: Request timeout [s]: a worker polls many jobs in one thread, and its heartbeat must not be late.
TIMEOUT_S = 4.0
#: Time without requests after a failed one [s], so that sixteen jobs do not wait for sixteen timeouts.
BACKOFF_S = 3.0
_STATUSES = ("PENDING", "RUNNING", "SUCCEEDED", "FAILED", "STOPPED")
_ADDRESS_FORMAT = "the URL of the Ray dashboard, such as http://head:8265"


@dataclass(frozen=True)
class RayJob:
    """Status of a job as Ray reports it."""

    status: str  #: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED
    message: str
    error_type: str  #: a value of ray.job_submission.JobErrorType, or ""
    exit_code: int | None  #: exit code of the command; negative: the signal that ended it

    @property
    def is_over(self) -> bool:
        """Tell whether the status is final."""
        return self.status in ("SUCCEEDED", "FAILED", "STOPPED")

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> "RayJob":
        """Parse Ray's JSON; raises KeyError, TypeError, ValueError for other content."""
        if details["status"] not in _STATUSES:
            raise ValueError(details["status"])
        code = details.get("driver_exit_code")
        exit_code = None if code is None else int(code)
        return cls(
            details["status"], str(details.get("message") or ""), str(details.get("error_type") or ""), exit_code
        )


class RayCluster:
    """Ray cluster at a dashboard URL. Every call may raise ClusterUnreachable."""

    def __init__(self, address: str) -> None:
        """Connect to the dashboard at `address`, such as http://host:8265; raises InvalidVariable."""
        if not re.fullmatch(r"https?://[^/\s]+(/\S*)?", address):
            raise InvalidVariable(variable="RAY_ADDRESS", value=address, wanted=_ADDRESS_FORMAT)
        self.address = address.rstrip("/")
        self._backoff_until = float("-inf")

    @classmethod
    def of_environment(cls) -> "RayCluster":
        """Cluster at RAY_ADDRESS, by default on this machine; raises InvalidVariable."""
        return cls(os.environ.get("RAY_ADDRESS") or "http://127.0.0.1:8265")

    def submit(self, body: Mapping[str, Any]) -> None:
        """Submit a job; `body` is that of POST /api/jobs/."""
        self._request("POST", "/api/jobs/", itemgetter("submission_id"), json=body)

    def job(self, name: str) -> RayJob | None:
        """Status of the job with this submission ID; None if the cluster does not know it."""
        return self._request("GET", f"/api/jobs/{name}", RayJob.of, is_absent=_is_unknown)

    def log(self, name: str) -> str:
        """Complete log of a job so far; empty if unavailable, as when its machine is gone."""
        log = self._request("GET", f"/api/jobs/{name}/logs", itemgetter("logs"), lambda reply: reply.status_code == 500)
        return str(log or "")

    def stop(self, name: str) -> None:
        """Stop the processes of a job: SIGTERM, some seconds later SIGKILL."""
        self._request("POST", f"/api/jobs/{name}/stop", itemgetter("stopped"), is_absent=_is_unknown)

    def resources(self) -> dict[str, float]:
        """Sum the resources of the cluster: "CPU", "GPU" and others."""
        return self._request("GET", "/api/v0/nodes?limit=10000", _sum_resources) or {}

    def _request(
        self, method: str, path: str, read: Callable[[Any], Value],
        is_absent: Callable[[requests.Response], bool] = lambda _send: False, json: Any = None,
    ) -> Value | None:  # fmt: skip
        """Send a request and parse the JSON of its response with `read`; None if `is_absent` of the response.

        Raises ClusterUnreachable.
        """
        response = self._send(method, path, json)
        if is_absent(response):
            return None
        if not response.ok:
            raise ClusterUnreachable(address=self.address, detail=_error_detail(response))
        try:
            return read(response.json())
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # for instance a login page
            raise ClusterUnreachable(address=self.address, detail="unexpected response") from error

    def _send(self, method: str, path: str, json: Any) -> requests.Response:
        if time.monotonic() < self._backoff_until:
            raise ClusterUnreachable(address=self.address, detail="no response")
        try:
            return requests.request(method, self.address + path, json=json, auth=_add_token, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            self._backoff_until = time.monotonic() + BACKOFF_S
            cause = "timeout" if isinstance(error, requests.Timeout) else "no connection"
            raise ClusterUnreachable(address=self.address, detail=cause) from error


def _is_unknown(response: requests.Response) -> bool:
    """Tell whether Ray does not know the job; a 404 without Ray's message comes from a proxy."""
    return response.status_code == 404 and "does not exist" in response.text


def _sum_resources(nodes: Any) -> dict[str, float]:
    """Sum the resources of all machines, from Ray's JSON."""
    total: dict[str, float] = {}
    for node in nodes["data"]["result"]["result"]:
        if node["state"] == "ALIVE":
            for kind, amount in node["resources_total"].items():
                total[kind] = total.get(kind, 0.0) + amount
    return total


def _error_detail(response: requests.Response) -> str:
    if response.status_code in (401, 403):
        return "authentication required: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
    last = response.text.strip().rsplit("\n", 1)[-1][:200]
    return f"status {response.status_code}, {last or response.reason}"


def _add_token(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add the token of RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token, as the Ray client does.

    Passed as `auth`, it also prevents requests from sending credentials of ~/.netrc.
    """
    token = None if os.environ.get("RAY_AUTH_MODE", "").lower() == "disabled" else _token()
    if token:
        request.headers["Authorization"] = f"Bearer {token}"
    return request


def _token() -> str | None:
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
