"""As much of MLflow's tracking server as a run needs, on this machine; it speaks the REST API 2.0."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse


@dataclass
class Tracking:
    """What was logged."""

    url: str = ""
    experiments: dict[str, str] = field(default_factory=dict)  #: name to id
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    called: list[str] = field(default_factory=list)

    def answer(self, call: str, given: dict[str, Any]) -> dict[str, Any] | None:
        """None where there is no such thing."""
        self.called.append(call)
        if call == "experiments/get-by-name":
            name = given["experiment_name"]
            found = self.experiments.get(name)
            return (
                {"experiment": {"experiment_id": found, "name": name, "lifecycle_stage": "active"}} if found else None
            )
        if call == "experiments/create":
            self.experiments[given["name"]] = str(len(self.experiments) + 1)
            return {"experiment_id": self.experiments[given["name"]]}
        if call == "runs/create":
            made = f"{len(self.runs):032x}"
            self.runs[made] = {"name": given["run_name"], "experiment": given["experiment_id"], "status": "RUNNING",
                               "params": {}, "metrics": []}  # fmt: skip
            return {"run": self._shown(made)}
        if given["run_id"] not in self.runs:
            return None
        run = self.runs[given["run_id"]]
        if call == "runs/get":
            return {"run": self._shown(given["run_id"])}
        if call == "runs/log-batch":
            run["params"] |= {param["key"]: param["value"] for param in given.get("params", [])}
            run["metrics"] += [(one["key"], one.get("step", 0), one["value"]) for one in given.get("metrics", [])]
            return {}
        if call == "runs/update":
            run["status"] = given.get("status", run["status"])
            return {"run_info": self._shown(given["run_id"])["info"]}
        raise AssertionError(f"unknown call {call}")

    def _shown(self, run_id: str) -> dict[str, Any]:
        run = self.runs[run_id]
        info = {"run_id": run_id, "run_name": run["name"], "status": run["status"], "experiment_id": run["experiment"],
                "lifecycle_stage": "active", "artifact_uri": "file:///nowhere", "start_time": 0}  # fmt: skip
        return {"info": info, "data": {}}


class _Handler(BaseHTTPRequestHandler):
    tracking: Tracking

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlparse(self.path).query).items()}
        self._answer(query)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, given: dict[str, Any]) -> None:
        call = urlparse(self.path).path.removeprefix("/api/2.0/mlflow/")
        found = self.tracking.answer(call, given)
        missing = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "There is none."}
        body = json.dumps(missing if found is None else found).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Quiet."""


@contextmanager
def serving() -> Iterator[Tracking]:
    tracking = Tracking()
    handler = type("Handler", (_Handler,), {"tracking": tracking})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        tracking.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield tracking
        finally:
            server.shutdown()
            thread.join()
