"""The callbacks of every training."""

import os

from core.training.callbacks.base import Guarded, Watcher


def watchers() -> list[Watcher]:
    """Those that look on in this process, new for each training: the film, TensorBoard, MLflow where an address is set.

    None of them raises anything: what fails is switched off and told in the run's log.
    """
    # They import this module, and TensorBoard's format takes a moment to load.
    from core.training.callbacks.film import FilmStrip
    from core.training.callbacks.mlflow import MLflow
    from core.training.callbacks.tensorboard import TensorBoard

    chosen: list[Watcher] = [FilmStrip(), TensorBoard()]
    if os.environ.get("MLFLOW_TRACKING_URI"):
        chosen.append(MLflow())
    return [Guarded(watcher) for watcher in chosen]
