"""What computes a run's network when it predicts: Keras, or OpenVINO where that is installed and there is no GPU.

An engine takes a window with its halo, (rows, columns, bands) in the image's own values, and gives its inner part,
(rows, columns, 1 or 2): the probability of "building", and the metres to the nearest wall where the network tells them.
"""

import warnings
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.datasets.symmetries import SYMMETRIES, turned, unturned
from core.errors import DamagedRun, InvalidSetting
from core.runs.run import Run
from core.runtime.keras_backend import silent_stderr, start_keras
from models.registry import build, build_for_windows

if TYPE_CHECKING:
    import keras

Engine: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
#: auto: OpenVINO in 32 bits where it is installed and Keras has no GPU.
ENGINES = ("auto", "keras", "openvino", "openvino-bf16")


def engine_of(run: Run, name: str = "auto", in_turns: bool = False) -> Engine:
    """The run's network with its weights, ready for windows; `in_turns` the mean over the square's eight symmetries.

    Raises NoSuchRun, DamagedRun, and InvalidSetting for an engine that is unknown or not installed.
    """
    chosen = _chosen(name)
    engine = _keras(run) if chosen == "keras" else _openvino(run, chosen)
    return turning(engine) if in_turns else engine


def _chosen(name: str) -> str:
    if name not in ENGINES:
        raise InvalidSetting(setting="engine", value=name, detail=f"it is one of {', '.join(ENGINES)}")
    installed = find_spec("openvino") is not None
    if name == "auto":
        return "openvino" if installed and _is_tensorflow_without_gpu() else "keras"
    if name.startswith("openvino") and not installed:
        detail = "it is not installed (pip install -r requirements-openvino.txt)"
        raise InvalidSetting(setting="engine", value=name, detail=detail)
    return name


def _is_tensorflow_without_gpu() -> bool:
    start_keras()
    import keras

    from core.runtime.device import Device

    return keras.backend.backend() == "tensorflow" and not Device.of_keras().is_gpu


def turning(engine: Engine) -> Engine:
    """The mean of what an engine says of a window and of its seven other turns."""

    def mean(window: NDArray[np.float32]) -> NDArray[np.float32]:
        answers = (unturned(engine(np.ascontiguousarray(turned(window, n))), n) for n in range(SYMMETRIES))
        return np.asarray(sum(answers) / np.float32(SYMMETRIES))

    return mean


def _keras(run: Run) -> Engine:
    model = load_for_windows(run)

    def compute(window: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(model.predict_on_batch(window[None])[0])

    return compute


def _openvino(run: Run, name: str) -> Engine:
    weights = run.weights()
    return _compiled(run, weights.stat().st_mtime_ns, name)


@lru_cache(maxsize=1)
def _compiled(run: Run, _changed_ns: int, name: str) -> Engine:
    """Translated by way of files that go away again, and compiled for this processor and every size of window."""
    import openvino

    core, compiled = openvino.Core(), dict[tuple[int, ...], Any]()
    with TemporaryDirectory() as folder:
        file = str(Path(folder) / "network.xml")
        with silent_stderr():
            load_for_windows(run).export(file, format="openvino", verbose=False)
        network = core.read_model(file)
    hint = {"INFERENCE_PRECISION_HINT": {"openvino": "f32", "openvino-bf16": "bf16"}[name]}

    def compute(window: NDArray[np.float32]) -> NDArray[np.float32]:
        shape = (1, *window.shape)
        if shape not in compiled:
            compiled.clear()  # windows of a scene are of one size
            sized = network.clone()
            sized.reshape(list(shape))
            compiled[shape] = core.compile_model(sized, "CPU", hint).create_infer_request()
        request = compiled[shape]
        request.infer([window[None]], share_inputs=True, share_outputs=True)
        return np.array(request.get_output_tensor(0).data[0])

    return compute


def load_network(run: Run) -> "keras.Model":
    """The run's network with its weights, the last one kept for the next image; raises NoSuchRun, DamagedRun."""
    weights, config = run.weights(), run.config
    start_keras()
    try:
        options = tuple(sorted(config.options.items()))
        return _loaded(weights, weights.stat().st_mtime_ns, config.network, run.record.bands, options)
    except (ValueError, UserWarning) as error:
        raise DamagedRun(name=run.path, detail="its weights do not fit its network") from error


@lru_cache(maxsize=1)
def _loaded(
    weights: Path, _changed_ns: int, network: str, bands: int, options: tuple[tuple[str, Any], ...]
) -> "keras.Model":
    model = build(network, bands, **dict(options))
    with warnings.catch_warnings():
        # Layers that the file does not know would keep their fresh weights, with no more than a warning.
        warnings.filterwarnings("error", message="Skipping", category=UserWarning)
        model.load_weights(weights)
    return model


def load_for_windows(run: Run) -> "keras.Model":
    """The same network for windows of an image's own pixels; raises NoSuchRun, DamagedRun."""
    model = load_network(run)
    return _windowed(run, run.weights().stat().st_mtime_ns, model)


@lru_cache(maxsize=1)
def _windowed(run: Run, _changed_ns: int, model: "keras.Model") -> "keras.Model":
    import keras

    from models.layers import Scaled

    record = run.record
    windowed = build_for_windows(record.config.network, record.bands, **record.config.options)
    windowed.set_weights(model.get_weights())
    pixels = keras.Input((None, None, record.bands), name="pixels")
    scaled = Scaled(record.scaling.low, record.scaling.high, dtype="float32")(pixels)
    return keras.Model(pixels, windowed(scaled), name="of_pixels")
