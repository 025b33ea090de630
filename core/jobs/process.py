"""Process identity (PID, start time, boot id) and the monotonic clock that heartbeats are measured by.

CLOCK_MONOTONIC starts anew with the machine and is the same for all its processes, so a moment is stored together with
the id of its boot. PIDs are reused; PID, start time and boot together are not.
"""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: Seconds that a killed process is waited for; the system may still be writing for it.
_DYING_S = 5.0


@cache
def boot_id() -> str:
    """Which start of which machine this is; one and the same word where the system has none (macOS)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "this machine"


def now() -> float:
    """Seconds since this boot."""
    return time.monotonic()


def _stat(pid: int) -> tuple[str, int] | None:
    """State and start (clock ticks since boot) of a process; None where there is none, or no /proc."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return facts[0], int(facts[19])


@dataclass(frozen=True)
class Process:
    """One process of this machine, or of another one."""

    pid: int
    began: int  #: clock ticks since boot
    boot: str

    @classmethod
    def this(cls) -> "Process":
        """The calling one."""
        found = _stat(os.getpid())
        return cls(os.getpid(), found[1] if found else 0, boot_id())

    def is_running(self) -> bool:
        """Whether it is a process of this machine that has not ended."""
        found = _stat(self.pid)
        return self.boot == boot_id() and found is not None and found[0] not in "ZX" and found[1] == self.began

    def kill(self) -> None:
        """Ends it at once, and its process group where it leads one; frozen ones, too. Waits until it has ended."""
        if not self.is_running():
            return
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, signal.SIGKILL)
            os.kill(self.pid, signal.SIGKILL)
        until = time.monotonic() + _DYING_S
        while self.is_running() and time.monotonic() < until:
            time.sleep(0.01)
