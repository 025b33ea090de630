"""Default callbacks of a training."""

import os

from core.training.callbacks.base import Callback, FaultTolerantCallback


def default_callbacks() -> list[Callback]:
    """Create the callbacks of a training: prediction film, TensorBoard, and MLflow if MLFLOW_TRACKING_URI is set.

    None of them raises: one that fails is disabled, with a line in the log of the run.
    """
    # Imported here, because the format of TensorBoard takes a moment to load.
    from core.training.callbacks.film import FilmCallback
    from core.training.callbacks.mlflow import MLflowCallback
    from core.training.callbacks.tensorboard import TensorBoardCallback

    callbacks: list[Callback] = [FilmCallback(), TensorBoardCallback()]
    if os.environ.get("MLFLOW_TRACKING_URI"):
        callbacks.append(MLflowCallback())
    return [FaultTolerantCallback(callback) for callback in callbacks]
