"""A Ray cluster of one machine, this one, that touches no other Ray on it and leaves nothing behind."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

#: In the environment of every process of the cluster, also of those that Ray detaches.
_MARK = "GROUNDPLAN_TEST_HEAD"
_RAY = Path(sys.executable).with_name("ray")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass
class Head:
    """Started, killed and started again on the same ports; it wants a token."""

    cpus: int = 4
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    # Short: the paths of unix sockets end after 107 characters.
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="gpray", dir="/tmp")))
    ports: list[int] = field(default_factory=lambda: [free_port() for _ in range(5)])

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def environment(self) -> dict[str, str]:
        """For those who ask the cluster."""
        return {"RAY_ADDRESS": self.address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    def start(self) -> None:
        """Returns once it takes jobs."""
        dashboard, port, agent, agent_grpc, client = map(str, self.ports)
        known = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "GROUNDPLAN_"))}
        command = [
            _RAY, "start", "--head", "--disable-usage-stats", "--include-dashboard=true", "--dashboard-host=127.0.0.1",
            "--port", port, "--dashboard-port", dashboard, "--dashboard-agent-listen-port", agent,
            "--dashboard-agent-grpc-port", agent_grpc, "--ray-client-server-port", client,
            "--temp-dir", str(self.folder), "--num-cpus", str(self.cpus), "--num-gpus=0",
            "--object-store-memory=100000000",
        ]  # fmt: skip
        ours = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token, "RAY_TMPDIR": str(self.folder)}
        env = known | ours | {"RAY_USAGE_STATS_ENABLED": "0", _MARK: self.mark}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=90)
        assert done.returncode == 0, done.stdout + done.stderr

    def processes(self) -> list[int]:
        """All of it: what the head is made of, and the jobs on it."""
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._is_ours(entry)]

    def _is_ours(self, entry: Path) -> bool:
        """By its environment, or by a log of the cluster it writes to: processes that Ray renames lose the former."""
        try:
            if f"{_MARK}={self.mark}".encode() in (entry / "environ").read_bytes():
                return True
            return any(str(file.readlink()).startswith(f"{self.folder}/") for file in (entry / "fd").iterdir())
        except OSError:  # it has just ended
            return False

    def kill(self) -> None:
        """What a power cut does to it, jobs included."""
        until = time.monotonic() + 20
        while (left := self.processes()) and time.monotonic() < until:
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.1)
        assert not left

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
