import os
import sys
from types import SimpleNamespace

import pytest

from core.runtime import device
from core.runtime.device import DeviceLookup, cpu_name, device_name
from tests.core.jobs.fake_tasks import wait_for


def _tensorflow(gpus: int):
    details = SimpleNamespace(get_device_details=lambda _gpu: {"device_name": "NVIDIA H200"})
    return SimpleNamespace(
        config=SimpleNamespace(list_physical_devices=lambda kind: [kind] * gpus, experimental=details)
    )


@pytest.mark.parametrize(("gpus", "name"), [(0, cpu_name()), (1, "GPU NVIDIA H200"), (2, "2 GPUs NVIDIA H200")])
def test_the_device_is_what_tensorflow_finds(monkeypatch, gpus, name):
    monkeypatch.setitem(sys.modules, "tensorflow", _tensorflow(gpus))
    assert device_name() == name


@pytest.mark.parametrize(("platform", "name"), [("cpu", cpu_name()), ("gpu", "GPU NVIDIA H100")])
def test_where_keras_computes_with_jax_the_device_is_what_jax_finds(monkeypatch, platform, name):
    found = SimpleNamespace(platform=platform, device_kind="NVIDIA H100")
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace(devices=lambda: [found]))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert device_name() == name


def test_without_tensorflow_the_device_is_the_cpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert device_name() == cpu_name()


def test_the_cpu_is_named_with_its_cores():
    assert cpu_name().startswith("CPU ")
    assert cpu_name().endswith(f", {os.cpu_count()} cores")


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("print('a library chatters'); print('GPU toy')", "GPU toy"),
        ("raise SystemExit(1)", cpu_name()),
        ("import os; os.abort()", cpu_name()),
    ],
)
def test_the_lookup_answers_once_its_process_has_ended(monkeypatch, program, name):
    monkeypatch.setattr(device, "COMMAND", (sys.executable, "-c", program))
    lookup = DeviceLookup()
    assert wait_for(lookup.result) == name
    assert lookup.result() == name
    lookup.end()


def test_a_lookup_that_is_left_ends_its_process(monkeypatch):
    monkeypatch.setattr(device, "COMMAND", (sys.executable, "-c", "import time; time.sleep(60)"))
    lookup = DeviceLookup()
    assert lookup.result() is None
    lookup.end()
    assert lookup.process.returncode is not None
