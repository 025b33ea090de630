"""Device detection: name of GPU or CPU, number of CPU cores, and precision "auto" for training."""

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
#: Half precision by minimum CUDA compute capability.
_HALF_PRECISION = ((8, "bfloat16"), (7, "float16"))


@cache
def cpu_count() -> int:
    """Count the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """Return the model of the CPU and the number of its cores: "CPU AMD EPYC 9654, 16 cores"."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(models, "") or platform.processor() or platform.machine()
    return f"CPU {model}, {os.cpu_count()} cores"


def device_name() -> str:
    """Return the name of the device that Keras computes on in this process: "GPU NVIDIA H200", or the CPU.

    Imports the Keras backend, which takes seconds; without one, the CPU is named.
    """
    try:
        if os.environ.get("KERAS_BACKEND") == "jax":
            import jax

            models = [device.device_kind for device in jax.devices() if device.platform == "gpu"]
        else:
            import tensorflow as tf

            details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
            models = [str(detail.get("device_name", "(unknown model)")) for detail in details]
    except ImportError:
        models = []
    if not models:
        return cpu_name()
    return f"GPU {models[0]}" if len(models) == 1 else f"{len(models)} GPUs {models[0]}"


def _start_process() -> Popen[str]:
    quiet_env = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return Popen(
        COMMAND, cwd=_ROOT, env=quiet_env, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, text=True, start_new_session=True
    )


@dataclass
class DeviceLookup:
    """Lookup of the device name in a process of its own.

    So a worker neither waits for it nor holds TensorFlow's memory.
    """

    process: Popen[str] = field(default_factory=_start_process)
    output: str | None = None  #: the name, once it has been read

    def end(self) -> None:
        """End the process, finished or not."""
        self.process.kill()
        with self.process:  # closes the pipe and waits for the process
            pass

    def result(self) -> str | None:
        """Return the name once it is known, until then None."""
        if self.process.poll() is None:
            return None
        if self.output is None:
            lines = self.process.stdout.read().split("\n") if self.process.stdout else []
            self.output = next((line for line in reversed(lines) if line), cpu_name())
        return self.output


@dataclass(frozen=True)
class Device:
    """Device that Keras computes on, as far as training depends on it."""

    is_gpu: bool
    capability: int = 0  #: major version of the CUDA compute capability

    @classmethod
    def of_keras(cls) -> "Device":
        """Detect the device of the running Keras backend."""
        import keras

        if keras.backend.backend() == "jax":
            import jax

            gpus = [device for device in jax.devices() if device.platform == "gpu"]
            capability = str(getattr(gpus[0], "compute_capability", "0")) if gpus else "0"
        else:
            import tensorflow as tf

            gpus = tf.config.list_physical_devices("GPU")
            details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
            capability = str((details.get("compute_capability") or (0,))[0])
        return cls(bool(gpus), int(capability.split(".")[0]))

    def precision(self, setting: str, single_device: bool = True) -> str:
        """Resolve "auto" to half precision on a GPU that supports it, else to float32.

        Args:
            setting: "auto", or the precision to return.
            single_device: Whether one device trains. Float16 requires it: of several, Keras checks only the first for
                overflow of gradients.
        """
        if setting != "auto":
            return setting
        supported = (name for minimum, name in _HALF_PRECISION if self.is_gpu and self.capability >= minimum)
        precision = next(supported, "float32")
        return precision if single_device or precision == "bfloat16" else "float32"


if __name__ == "__main__":
    os.nice(19)  # importing TensorFlow takes seconds during which the first page would wait
    with suppress(OSError):  # Linux may schedule by session, with niceness only within one (sched(7), autogroup)
        Path("/proc/self/autogroup").write_text("19")
    print(device_name())
