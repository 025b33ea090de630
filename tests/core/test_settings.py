"""Limits and paths come from the environment."""

from pathlib import Path

import pytest

from core.errors import InvalidVariable
from core.settings import settings


@pytest.fixture
def read(monkeypatch):
    """The settings as a process with these variables would read them."""

    def read(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(f"GROUNDPLAN_{name}", value)
        settings.cache_clear()
        return settings()

    yield read
    settings.cache_clear()


def test_without_variables_everything_lies_in_data(read, monkeypatch, tmp_path):
    monkeypatch.delenv("GROUNDPLAN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    found = read()
    assert found.data == tmp_path / "data"
    below = {found.catalog, found.runs, found.predictions, found.sample, found.queue}
    assert len(below) == 5
    assert {path.parent for path in below} == {found.data}


def test_a_home_folder_may_be_short(read, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read(DATA="~/maps").data == tmp_path / "maps"


def test_limits_are_numbers(read):
    found = read(MAX_RASTER_BYTES="1000", MAX_VECTOR_BYTES="20", MAX_VERTICES="3")
    assert (found.max_raster_bytes, found.max_vector_bytes, found.max_vertices) == (1000, 20, 3)


def test_they_are_read_once(read, monkeypatch):
    first = read(DATA="/one")
    monkeypatch.setenv("GROUNDPLAN_DATA", "/two")
    assert settings() is first
    assert first.data == Path("/one")


@pytest.mark.parametrize("value", ["plenty", "", "1.5"])
def test_a_limit_that_is_no_number_names_its_variable(read, value):
    with pytest.raises(InvalidVariable, match="GROUNDPLAN_MAX_VERTICES"):
        read(MAX_VERTICES=value)


def test_jobs_run_on_this_machine_and_nobody_is_told_unless_said(read):
    assert (read().launcher, read().webhook) == ("local", "")
    assert read(LAUNCHER="ray", WEBHOOK="https://example.org/x?y=1").webhook == "https://example.org/x?y=1"
    assert read().launcher == "ray"


@pytest.mark.parametrize(
    ("name", "value"),
    [("LAUNCHER", "slurm"), ("LAUNCHER", ""), ("WEBHOOK", "example.org/x"), ("WEBHOOK", "file:///etc/passwd"),
     ("WEBHOOK", "https://"), ("WEBHOOK", "http://[::1"), ("WEBHOOK", "http://host:0")],
)  # fmt: skip
def test_what_no_launcher_or_address_is_names_its_variable(read, name, value):
    with pytest.raises(InvalidVariable, match=f"GROUNDPLAN_{name}"):
        read(**{name: value})
