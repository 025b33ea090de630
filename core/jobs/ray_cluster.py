"""A Ray cluster, spoken to through its REST API (Ray Jobs), without importing ray.

https://docs.ray.io/en/latest/cluster/running-applications/job-submission/rest.html
"""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from core.errors import ClusterAway, InvalidVariable

#: Seconds to wait for an answer. One worker watches many jobs in one thread, and its heartbeat must not wait.
ANSWER_S = 4.0
#: Seconds for which a cluster that did not answer is not asked again, so that sixteen jobs do not wait sixteen times.
QUIET_S = 3.0
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
        self._ask("POST", "/api/jobs/", json=order).close()

    def job(self, name: str) -> RayJob | None:
        """The job submitted under this name; None where the cluster has none."""
        answer = self._ask("GET", f"/api/jobs/{name}", unknown=404)
        if answer.status_code == 404:
            return None
        said = answer.json()
        code = said.get("driver_exit_code")
        return RayJob(said["status"], said.get("message") or "", said.get("error_type") or "", code)

    def log(self, name: str) -> str:
        """All that Ray and the job wrote so far; nothing where it cannot be had, as when its machine is gone."""
        answer = self._ask("GET", f"/api/jobs/{name}/logs", unknown=500)
        return str(answer.json()["logs"]) if answer.ok else ""

    def stop(self, name: str) -> None:
        """Asks Ray to end the job's processes: SIGTERM, some seconds later SIGKILL."""
        self._ask("POST", f"/api/jobs/{name}/stop", unknown=404).close()

    def resources(self) -> dict[str, float]:
        """What all its machines have together: "CPU", "GPU" and others."""
        answer = self._ask("GET", "/api/v0/nodes?limit=10000")
        total: dict[str, float] = {}
        for node in answer.json()["data"]["result"]["result"]:
            if node["state"] == "ALIVE":
                for kind, amount in node["resources_total"].items():
                    total[kind] = total.get(kind, 0.0) + amount
        return total

    def _ask(self, method: str, path: str, unknown: int = 0, json: Any = None) -> requests.Response:
        """The answer; a failure is ClusterAway but for the status `unknown`, which the caller understands."""
        if time.monotonic() < self._quiet_until:
            raise ClusterAway(address=self.address, detail="no answer")
        try:
            answer = requests.request(method, self.address + path, json=json, auth=_with_token, timeout=ANSWER_S)
        except requests.RequestException as error:
            self._quiet_until = time.monotonic() + QUIET_S
            raise ClusterAway(address=self.address, detail=_cause(error)) from error
        if answer.ok or answer.status_code == unknown:
            return answer
        raise ClusterAway(address=self.address, detail=_refusal(answer))


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
