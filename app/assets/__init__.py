"""Style sheets and the map's script, served under /assets/groundplan."""

from pathlib import Path

ASSETS = Path(__file__).parent
