"""Launcher selection by GROUNDPLAN_LAUNCHER."""

from core.jobs.launchers.base import Launcher
from core.settings import settings


def make_launcher() -> Launcher:
    """Create the launcher of GROUNDPLAN_LAUNCHER."""
    if settings().launcher == "ray":
        from core.jobs.launchers.ray import RayLauncher

        return RayLauncher()
    from core.jobs.launchers.local import LocalLauncher

    return LocalLauncher()
