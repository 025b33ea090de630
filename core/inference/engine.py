"""Inference engines: Keras, or OpenVINO where it is installed and there is no GPU.

An engine takes a window with its halo, (rows, cols, bands) in the values of the image, and returns its inner part,
(rows, cols, 1 or 2): probability of "building", and signed distance to the nearest boundary [m] where it is predicted.
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

from core.datasets.symmetries import SYMMETRIES, apply_d4, invert_d4
from core.errors import DamagedRun, InvalidSetting
from core.runs.run import Run
from core.runtime.keras_backend import silent_stderr, start_keras
from models.registry import build, build_inference

if TYPE_CHECKING:
    import keras

Engine: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
#: auto: OpenVINO in float32 where it is installed and Keras has no GPU.
ENGINES = ("auto", "keras", "openvino", "openvino-bf16")


def load_engine(run: Run, name: str = "auto", tta: bool = False) -> Engine:
    """Load the inference engine of a run.

    Args:
        run: A trained run.
        name: One of ENGINES.
        tta: Whether predictions are averaged over the eight D4 symmetries (test-time augmentation).

    Returns:
        The engine with the weights of the run.

    Raises:
        NoSuchRun: There is no such run.
        DamagedRun: Its weights cannot be read.
        InvalidSetting: The engine is unknown or not installed.
    """
    kind = _resolve(name)
    engine = _keras(run) if kind == "keras" else _compiled(run, run.weights().stat().st_mtime_ns, kind)
    return with_tta(engine) if tta else engine


def _resolve(name: str) -> str:
    """Choose the engine that "auto" stands for on this machine."""
    if name not in ENGINES:
        raise InvalidSetting(setting="the engine", value=name, detail=f"must be one of {', '.join(ENGINES)}")
    installed = find_spec("openvino") is not None
    if name == "auto":
        return "openvino" if installed and _is_tensorflow_without_gpu() else "keras"
    if name.startswith("openvino") and not installed:
        detail = "OpenVINO is not installed (pip install -r requirements-openvino.txt)"
        raise InvalidSetting(setting="the engine", value=name, detail=detail)
    return name


def _is_tensorflow_without_gpu() -> bool:
    start_keras()
    import keras

    from core.runtime.device import Device

    return keras.backend.backend() == "tensorflow" and not Device.of_keras().is_gpu


def with_tta(engine: Engine) -> Engine:
    """Average an engine over the eight D4 symmetries of each window (test-time augmentation)."""

    def mean(window: NDArray[np.float32]) -> NDArray[np.float32]:
        predictions = (invert_d4(engine(np.ascontiguousarray(apply_d4(window, n))), n) for n in range(SYMMETRIES))
        return np.asarray(sum(predictions) / np.float32(SYMMETRIES))

    return mean


def _keras(run: Run) -> Engine:
    model = load_inference_network(run)

    def compute(window: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(model.predict_on_batch(window[None])[0])

    return compute


@lru_cache(maxsize=1)
def _compiled(run: Run, _changed_ns: int, name: str) -> Engine:
    """Export to OpenVINO and compile for this processor, once for each window size."""
    import openvino

    core, compiled = openvino.Core(), dict[tuple[int, ...], Any]()
    with TemporaryDirectory() as folder:
        file = str(Path(folder) / "network.xml")
        with silent_stderr():
            load_inference_network(run).export(file, format="openvino", verbose=False)
        network = core.read_model(file)
    hint = {"INFERENCE_PRECISION_HINT": {"openvino": "f32", "openvino-bf16": "bf16"}[name]}

    def compute(window: NDArray[np.float32]) -> NDArray[np.float32]:
        shape = (1, *window.shape)
        if shape not in compiled:
            compiled.clear()  # all windows of an image have one size
            sized = network.clone()
            sized.reshape(list(shape))
            compiled[shape] = core.compile_model(sized, "CPU", hint).create_infer_request()
        request = compiled[shape]
        request.infer([window[None]], share_inputs=True, share_outputs=True)
        return np.array(request.get_output_tensor(0).data[0])

    return compute


def load_network(run: Run) -> "keras.Model":
    """Load the network of a run, cached for the next image; raises NoSuchRun, DamagedRun."""
    weights, config = run.weights(), run.config
    start_keras()
    try:
        options = tuple(sorted(config.options.items()))
        return _load_weights(weights, weights.stat().st_mtime_ns, config.network, run.record.bands, options)
    except (ValueError, UserWarning) as error:
        raise DamagedRun(name=run.path, detail="its weights do not match its model") from error


@lru_cache(maxsize=1)
def _load_weights(
    weights: Path, _changed_ns: int, network: str, bands: int, options: tuple[tuple[str, Any], ...]
) -> "keras.Model":
    model = build(network, bands, **dict(options))
    with warnings.catch_warnings():
        # Keras only warns about layers missing in the file, which would keep their random weights.
        warnings.filterwarnings("error", message="Skipping", category=UserWarning)
        model.load_weights(weights)
    return model


def load_inference_network(run: Run) -> "keras.Model":
    """Load the network of a run for windows of raw pixels, normalization included; raises NoSuchRun, DamagedRun."""
    model = load_network(run)
    return _valid_windows(run, run.weights().stat().st_mtime_ns, model)


@lru_cache(maxsize=1)
def _valid_windows(run: Run, _changed_ns: int, model: "keras.Model") -> "keras.Model":
    import keras

    from models.layers import PercentileNormalization

    record = run.record
    network = build_inference(record.config.network, record.bands, **record.config.options)
    network.set_weights(model.get_weights())
    pixels = keras.Input((None, None, record.bands), name="pixels")
    normalized = PercentileNormalization(record.normalization.low, record.normalization.high, dtype="float32")(pixels)
    return keras.Model(pixels, network(normalized), name="of_pixels")
