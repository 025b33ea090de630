"""A Ray cluster, spoken to through its REST API (Ray Jobs), without importing ray.

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

from core.errors import ClusterAway, InvalidVariable

Said = TypeVar("Said")
#: Seconds to wait for an answer. One worker watches many jobs in one thread, and its heartbeat must not wait.
ANSWER_S = 4.0
#: Seconds for which a cluster that did not answer is not asked again, so that sixteen jobs do not wait sixteen times.
QUIET_S = 3.0
_STATUSES = ("PENDING", "RUNNING", "SUCCEEDED", "FAILED", "STOPPED")
_WANTED = "the address of Ray's dashboard, such as http://head:8265"


@dataclass(frozen=True)
class RayJob:
    """What Ray says of a job."""

    status: str  #: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED
    message: str
    error_type: str  #: why it failed, one of ray.job_submission.JobErrorType, or ""
    exit_code: int | None  #: of the command; negative: the signal that ended it

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in ("SUCCEEDED", "FAILED", "STOPPED")

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "RayJob":
        """From Ray's JSON; raises KeyError, TypeError, ValueError where it is not Ray's."""
        if said["status"] not in _STATUSES:
            raise ValueError(said["status"])
        code = said.get("driver_exit_code")
        exit_code = None if code is None else int(code)
        return cls(said["status"], str(said.get("message") or ""), str(said.get("error_type") or ""), exit_code)


class Cluster:
    """The cluster at RAY_ADDRESS. Every call may raise ClusterAway."""

    def __init__(self, address: str) -> None:
        """`address` is that of Ray's dashboard, such as http://host:8265. Raises InvalidVariable."""
        if not re.fullmatch(r"https?://[^/\s]+(/\S*)?", address):
            raise InvalidVariable(variable="RAY_ADDRESS", value=address, wanted=_WANTED)
        self.address = address.rstrip("/")
        self._quiet_until = float("-inf")

    @classmethod
    def of_environment(cls) -> "Cluster":
        """The one RAY_ADDRESS names, else the one of this machine; raises InvalidVariable."""
        return cls(os.environ.get("RAY_ADDRESS") or "http://127.0.0.1:8265")

    def submit(self, order: Mapping[str, Any]) -> None:
        """Puts a job into Ray's queue; `order` is the body of POST /api/jobs/."""
        self._ask("POST", "/api/jobs/", itemgetter("submission_id"), json=order)

    def job(self, name: str) -> RayJob | None:
        """The job submitted under this name; None where the cluster has none."""
        return self._ask("GET", f"/api/jobs/{name}", RayJob.of, nothing=_is_unknown)

    def log(self, name: str) -> str:
        """All that Ray and the job wrote so far; nothing where it cannot be had, as when its machine is gone."""
        return str(self._ask("GET", f"/api/jobs/{name}/logs", itemgetter("logs"), nothing=_is_broken) or "")

    def stop(self, name: str) -> None:
        """Asks Ray to end the job's processes: SIGTERM, some seconds later SIGKILL."""
        self._ask("POST", f"/api/jobs/{name}/stop", itemgetter("stopped"), nothing=_is_unknown)

    def resources(self) -> dict[str, float]:
        """What all its machines have together: "CPU", "GPU" and others."""
        return self._ask("GET", "/api/v0/nodes?limit=10000", _total) or {}

    def _ask(
        self, method: str, path: str, read: Callable[[Any], Said],
        nothing: Callable[[requests.Response], bool] = lambda _answer: False, json: Any = None,
    ) -> Said | None:  # fmt: skip
        """What `read` makes of Ray's JSON, None where the answer means `nothing`; all else is ClusterAway."""
        answer = self._answer(method, path, json)
        if nothing(answer):
            return None
        if not answer.ok:
            raise ClusterAway(address=self.address, detail=_refusal(answer))
        try:
            return read(answer.json())
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # the page of a login, say
            raise ClusterAway(address=self.address, detail="it does not answer as Ray does") from error

    def _answer(self, method: str, path: str, json: Any) -> requests.Response:
        if time.monotonic() < self._quiet_until:
            raise ClusterAway(address=self.address, detail="no answer")
        try:
            return requests.request(method, self.address + path, json=json, auth=_with_token, timeout=ANSWER_S)
        except requests.RequestException as error:
            self._quiet_until = time.monotonic() + QUIET_S
            raise ClusterAway(address=self.address, detail=_cause(error)) from error


def _is_unknown(answer: requests.Response) -> bool:
    """Whether Ray does not know the job; 404 without its words is of a proxy in front of it."""
    return answer.status_code == 404 and "does not exist" in answer.text


def _is_broken(answer: requests.Response) -> bool:
    return answer.status_code == 500


def _total(nodes: Any) -> dict[str, float]:
    """What machines have together, from Ray's JSON."""
    total: dict[str, float] = {}
    for node in nodes["data"]["result"]["result"]:
        if node["state"] == "ALIVE":
            for kind, amount in node["resources_total"].items():
                total[kind] = total.get(kind, 0.0) + amount
    return total


def _cause(error: requests.RequestException) -> str:
    return "no answer in time" if isinstance(error, requests.Timeout) else "no connection"


def _refusal(answer: requests.Response) -> str:
    if answer.status_code in (401, 403):
        return "it wants its token: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
    last = answer.text.strip().rsplit("\n", 1)[-1][:200]
    return f"status {answer.status_code}, {last or answer.reason}"


def _with_token(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Ray's own ways to a token: RAY_AUTH_TOKEN, the file RAY_AUTH_TOKEN_PATH, ~/.ray/auth_token.

    Given as `auth`, it also keeps requests from sending what ~/.netrc has for the host.
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
