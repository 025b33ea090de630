"""Every way to take a step gives the same losses: TensorFlow and JAX, cut by the host or the device, one device or two.

Each runs in a process of its own, since a process has one backend.
"""

import json
import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest


@cache
def losses(backend: str, how: str) -> np.ndarray:
    quiet = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "tests.models.steps.two_processes", how]
    return np.array(json.loads(subprocess.run(command, env=quiet, stdout=subprocess.PIPE, check=True).stdout))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "how"),
    [("tensorflow", "held"), ("tensorflow", "two devices"), ("tensorflow", "xla"), ("jax", "arrays"), ("jax", "held")],
)
def test_all_ways_to_step_agree(backend, how):
    np.testing.assert_allclose(losses(backend, how)[:, :2], losses("tensorflow", "arrays")[:, :2], rtol=1e-5)
    assert losses(backend, how)[4, 0] < losses(backend, how)[0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_half_precision_learns_nearly_the_same(backend):
    np.testing.assert_allclose(losses(backend, "half")[:, 0], losses("tensorflow", "arrays")[:, 0], rtol=1e-3)
