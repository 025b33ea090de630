"""The clock by which silence is measured: set by nobody, the same for all processes of this machine.

CLOCK_MONOTONIC starts anew with the machine, so a moment is told together with the boot it belongs to.
"""

import time
from functools import cache
from pathlib import Path


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
