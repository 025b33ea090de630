"""The launcher that the settings name."""

from core.jobs.launchers.base import Launcher
from core.settings import settings


def launcher() -> Launcher:
    """The one that GROUNDPLAN_LAUNCHER names."""
    if settings().launcher == "ray":
        from core.jobs.launchers.ray import Ray

        return Ray()
    from core.jobs.launchers.local import Local

    return Local()
