"""Style sheets and scripts, served under /assets/groundplan."""

from pathlib import Path

ASSETS = Path(__file__).parent
