"""The command line of version 0.6.2: every command, argument and option is still taken, for the same value."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import typer.main

from tests.compatibility.conftest import stored
from tests.core.commands import runner

COMMANDS = stored("commands.json")
#: One for each way to write an argument or an option.
WAYS = [
    pytest.param(name, row, option, id=f"{name} {option}")
    for name, rows in COMMANDS.items()
    for row in rows
    for option in row["options"]
]


def required_of(name: str, but: dict[str, Any] | None = None) -> list[str]:
    """Examples of what a command cannot do without, but for one of its parameters."""
    return [text for row in COMMANDS[name] if row["required"] and row is not but for text in row["example"]]


def plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [plain(item) for item in value] or None
    return value if value is None or isinstance(value, bool | int | float) else str(value)


@pytest.fixture(scope="module")
def called() -> list[dict[str, Any]]:
    """The values that commands were called with."""
    return []


@pytest.fixture(scope="module")
def get_hollow_command(called: list[dict[str, Any]]) -> Callable[[typer.Typer], Any]:
    """The command of a program, made once, in which each command only notes its values."""
    get_command = typer.main.get_command

    def hollow(command: Any) -> None:
        for inner in getattr(command, "commands", {}).values():
            hollow(inner)
        if not hasattr(command, "commands"):
            command.callback = lambda **values: called.append(values)

    @cache
    def get_hollow(app: typer.Typer) -> Any:
        command = get_command(app)
        hollow(command)
        return command

    return get_hollow


@pytest.fixture
def parsed(called, get_hollow_command, monkeypatch, capsys):
    """Runs the program: the values a command was called with, or none and why."""
    monkeypatch.setattr(typer.main, "get_command", get_hollow_command)
    command = runner(monkeypatch, capsys)

    def run(*arguments: str) -> tuple[dict[str, Any] | None, str]:
        called.clear()
        _, _, err = command(*arguments)
        return (called[0] if called else None), err

    return run


@pytest.mark.parametrize(("name", "row", "option"), WAYS)
def test_an_option_is_taken_for_the_value_it_was(name, row, option, parsed):
    beside = required_of(name, row)
    typed = [option if word in row["options"] else word for word in row["example"]]
    values, err = parsed(*name.split(), *beside, *typed)
    assert values is not None, err
    value = not row["parsed"] if row["flag"] and option == row["options"][-1] != row["options"][0] else row["parsed"]
    if option.startswith("--no-"):
        assert value is False
    assert value in [plain(item) for item in values.values()]


@pytest.mark.parametrize(
    ("name", "row", "word"),
    [
        pytest.param(name, row, word, id=f"{name} {row['options'][0]} {word}")
        for name, rows in COMMANDS.items()
        for row in rows
        for word in row["words"]
    ],
)
def test_an_option_takes_every_word_it_did(name, row, word, parsed):
    beside = required_of(name, row)
    values, err = parsed(*name.split(), *beside, row["options"][0], word)
    assert values is not None, err


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_wants_no_more_than_it_did(name, parsed):
    """And what is left out is as it was: no default has become another one."""
    required = required_of(name)
    values, err = parsed(*name.split(), *required)
    assert values is not None, err
    now = [plain(item) for item in values.values()]
    for row in COMMANDS[name]:
        assert row["default"] in now or row["required"], row["options"]
