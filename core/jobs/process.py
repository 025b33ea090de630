"""Process identity (PID, start time, boot ID) and the monotonic clock of heartbeats.

CLOCK_MONOTONIC restarts with the machine and is the same for all its processes, so a time is stored together with its
boot ID. PIDs are reused; the triple of PID, start time and boot ID is not.
"""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: Maximum wait for the end of a killed process, which may still be in a write to disk [s].
_DYING_S = 5.0


@cache
def boot_id() -> str:
    """Boot ID of this machine; a constant on systems without boot IDs (macOS)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "this machine"


def now() -> float:
    """Seconds since boot, by the monotonic clock."""
    return time.monotonic()


def _stat(pid: int) -> tuple[str, int] | None:
    """Process state and start time (clock ticks since boot); None without such a process or without /proc."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return facts[0], int(facts[19])


@dataclass(frozen=True)
class Process:
    """Identity of a process, on this machine or another."""

    pid: int
    started: int  #: clock ticks since boot
    boot: str

    @classmethod
    def this(cls) -> "Process":
        """Identity of the calling process."""
        stat = _stat(os.getpid())
        return cls(os.getpid(), stat[1] if stat else 0, boot_id())

    def is_running(self) -> bool:
        """Tell whether the process runs on this machine."""
        stat = _stat(self.pid)
        return self.boot == boot_id() and stat is not None and stat[0] not in "ZX" and stat[1] == self.started

    def kill(self) -> None:
        """Kill the process, with its process group if it is the leader, and wait for its end; works on stopped ones."""
        if not self.is_running():
            return
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, signal.SIGKILL)
            os.kill(self.pid, signal.SIGKILL)
        until = time.monotonic() + _DYING_S
        while self.is_running() and time.monotonic() < until:
            time.sleep(0.01)
