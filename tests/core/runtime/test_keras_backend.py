"""Keras wakes quietly, in a process of its own here, since it wakes only once."""

import subprocess
import sys

import pytest

from core.runtime.keras_backend import start_keras


@pytest.mark.slow
def test_waking_keras_prints_nothing_that_nobody_asked_for() -> None:
    start = "from core.runtime.keras_backend import start_keras; start_keras(1)"
    code = f"{start}; import keras; print(keras.backend.backend())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("tensorflow", "")


def test_an_error_while_it_wakes_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(ImportError):
        start_keras()
