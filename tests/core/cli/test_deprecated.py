"""Deprecated command-line names: each still works, says what it is called now, and is in no help text."""

from typing import Any

import pytest
import typer

from core.catalog.scan import ScanResult
from core.cli.deprecated import RENAMED, Renamed, replace_deprecated
from core.cli.main import app
from core.errors import TooFewTiles
from tests.core.commands import Run, runner

COMMANDS = [row for row in RENAMED if row.is_command]
OPTIONS = [row for row in RENAMED if not row.is_command and " " not in row.old]


def command_named(words: str) -> Any:
    command: Any = typer.main.get_command(app)
    for word in words.split():
        command = command.commands[word]
    return command


def options_of(words: str) -> set[str]:
    return {name for option in command_named(words).params for name in (*option.opts, *option.secondary_opts)}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


def warning(row: Renamed) -> str:
    subject = f"The command {row.old}" if row.is_command else row.old
    return f"{subject} is deprecated and will be removed in the next release. Use {row.new}.\n"


@pytest.mark.parametrize("row", COMMANDS, ids=str)
def test_a_renamed_command_runs_with_one_line_of_warning(run: Run, row: Renamed):
    words = row.command.split()
    status, out, err = run(*words, row.old, "--help")
    assert (status, err) == (0, warning(row))
    assert f"{' '.join([*words, row.new])} [OPTIONS]" in " ".join(out.split())


@pytest.mark.parametrize("row", OPTIONS, ids=str)
def test_a_renamed_option_is_accepted_with_one_line_of_warning(run: Run, row: Renamed):
    takes_value = next(
        not option.is_flag
        for option in command_named(row.command).params
        if row.new in (*option.opts, *option.secondary_opts)
    )
    given = [row.old, "1"] if takes_value else [row.old]
    assert run(*row.command.split(), *given, "--help")[::2] == (0, warning(row))
    if takes_value:
        assert run(*row.command.split(), f"{row.old}=1", "--help")[::2] == (0, warning(row))


@pytest.mark.parametrize("row", RENAMED, ids=str)
def test_only_the_new_name_is_in_the_help(row: Renamed):
    if row.is_command:
        names = set(command_named(row.command).commands)
        assert row.new in names
        assert row.old not in names
    else:
        names = options_of(row.command)
        assert row.new.split()[0] in names
        assert row.old not in names


@pytest.mark.parametrize("row", RENAMED, ids=str)
def test_the_new_name_is_no_deprecated_one(capsys: pytest.CaptureFixture[str], row: Renamed):
    group, _, command = row.command.rpartition(" ")
    arguments = [row.new] if row.is_command else [command, *row.new.split()]
    assert replace_deprecated(row.command if row.is_command else group, arguments) == arguments
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("given", [["--which", "square"], ["--which=square"]])
def test_a_renamed_value_is_replaced(given: list[str], capsys: pytest.CaptureFixture[str]):
    assert replace_deprecated("export", ["footprints", "run", *given]) == [
        "footprints",
        "run",
        "--which",
        "regularized",
    ]
    assert capsys.readouterr().err.count("\n") == 1


def test_a_renamed_command_has_its_renamed_options(capsys: pytest.CaptureFixture[str]):
    assert replace_deprecated("export", ["set", "--chip", "32"]) == ["dataset", "--chip-size", "32"]
    assert capsys.readouterr().err.count("\n") == 2


def test_an_option_of_another_command_and_what_follows_two_dashes_stay():
    assert replace_deprecated("", ["train", "--seed", "1"]) == ["train", "--seed", "1"]
    assert replace_deprecated("", ["train", "--", "--vary"]) == ["train", "--", "--vary"]


def test_old_options_of_a_training_become_its_settings(run: Run, tmp_path, monkeypatch: pytest.MonkeyPatch):
    configs = []

    def train(_tiles: object, config: object, *_: object, **__: object) -> None:
        configs.append(config)
        raise TooFewTiles

    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path))
    monkeypatch.setattr("core.training.train.train", train)
    monkeypatch.setattr("core.cli.train.scan", lambda _folder, **_: ScanResult(()))
    command = ["train", "--data", tmp_path, "--out", tmp_path / "run", "--seed", 3]
    run(*command, "--no-vary", "--scaling", "thesis", "--batch", 5)
    run(*command, "--no-strong-augmentation", "--normalization", "thesis", "--batch-size", 5)
    run(*command)
    [old, new, default] = configs
    assert old == new
    assert old != default
