"""Predicts a large scene in small windows, slowly: `python -m tests.reliability.predicting RUN IMAGE OUT [PAUSE]`."""

import sys
import time
from dataclasses import replace
from pathlib import Path

from core.inference import predict as predict_module
from core.inference.predict import InferenceOptions, predict
from core.runs.run import Run
from models.registry import NETWORKS


def main(run: Path, image: Path, out: Path, pause_s: float) -> None:
    predict_module.NETWORKS = {name: replace(network, max_window=64) for name, network in NETWORKS.items()}  # type: ignore[misc]

    def report(_share: float, doing: str) -> None:
        if doing.startswith("Predicting window"):
            print(doing, flush=True)
            time.sleep(pause_s)

    predict(Run(run), (image, None), out, report, options=InferenceOptions("keras"))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), float(sys.argv[4]))  # type: ignore[arg-type]
