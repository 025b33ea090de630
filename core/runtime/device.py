"""What a machine computes on, in words: "GPU NVIDIA H200" or "CPU AMD EPYC 9654, 16 cores"."""

import os
import platform
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen

COMMAND = (sys.executable, "-m", "core.runtime.device")
_ROOT = Path(__file__).parents[2]


@cache
def cpu_count() -> int:
    """Count the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """The processor and the number of its cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(named, "") or platform.processor() or platform.machine()
    return f"CPU {model}, {os.cpu_count()} cores"


def device_name() -> str:
    """What Keras computes on in this process. Imports its backend, which takes seconds; without it, the CPU."""
    try:
        models = _gpus_of_jax() if os.environ.get("KERAS_BACKEND") == "jax" else _gpus_of_tensorflow()
    except ImportError:
        models = []
    if not models:
        return cpu_name()
    return f"GPU {models[0]}" if len(models) == 1 else f"{len(models)} GPUs {models[0]}"


def _gpus_of_tensorflow() -> list[str]:
    import tensorflow as tf

    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return [str(found.get("device_name", "of unknown model")) for found in details]


def _gpus_of_jax() -> list[str]:
    import jax

    return [device.device_kind for device in jax.devices() if device.platform == "gpu"]


def _step_back() -> None:
    """The lowest priority: TensorFlow's import takes seconds in which the first visitor waits for a page."""
    os.nice(19)
    with suppress(OSError):  # Linux may weigh sessions, and niceness only within one (sched(7), autogroup)
        Path("/proc/self/autogroup").write_text("19")


def _started() -> Popen[str]:
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return Popen(
        COMMAND, cwd=_ROOT, env=quiet, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, text=True, start_new_session=True
    )


@dataclass
class Lookup:
    """Finds the device's name in a process of its own, so that a worker neither waits nor holds TensorFlow's memory."""

    process: Popen[str] = field(default_factory=_started)
    said: str | None = None  #: its answer, once it has been read

    def end(self) -> None:
        """Ends its process, whether it has answered or not."""
        self.process.kill()
        with self.process:  # closes its pipe and waits for its end
            pass

    def answer(self) -> str | None:
        """The name, once it is known; to be asked until then."""
        if self.process.poll() is None:
            return None
        if self.said is None:
            lines = self.process.stdout.read().split("\n") if self.process.stdout else []
            self.said = next((line for line in reversed(lines) if line), cpu_name())
        return self.said


if __name__ == "__main__":
    _step_back()
    print(device_name())


#: CUDA's compute capability from which the arithmetic is done in half the bits, and how.
_HALF = ((8, "bfloat16"), (7, "float16"))


@dataclass(frozen=True)
class Device:
    """What Keras computes on, as far as training must know."""

    is_gpu: bool
    capability: int = 0  #: major number of CUDA's compute capability

    @classmethod
    def of_keras(cls) -> "Device":
        """Of the backend that is awake."""
        import keras

        if keras.backend.backend() == "jax":
            import jax

            gpus = [device for device in jax.devices() if device.platform == "gpu"]
            found = str(getattr(gpus[0], "compute_capability", "0")) if gpus else "0"
        else:
            import tensorflow as tf

            gpus = tf.config.list_physical_devices("GPU")
            details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
            found = str((details.get("compute_capability") or (0,))[0])
        return cls(bool(gpus), int(found.split(".")[0]))

    def precision(self, wanted: str, alone: bool = True) -> str:
        """What "auto" means here: half the bits where the GPU is made for it.

        Float16 only where one device works `alone`: whether a gradient grew too large, Keras asks the first of several.
        """
        if wanted != "auto":
            return wanted
        found = next((name for least, name in _HALF if self.is_gpu and self.capability >= least), "float32")
        return found if alone or found == "bfloat16" else "float32"
