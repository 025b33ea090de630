"""Deprecated command-line names: commands and options of version 0.6, accepted for one release with a warning.

They appear in no help text. Each row of RENAMED is removed one release after the renaming.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup


@dataclass(frozen=True)
class Renamed:
    """Renamed command, option or option value."""

    command: str  #: full name of the command; for a renamed command, that of its group
    old: str  #: "network" for a command, "--square" for an option, "--which square" for a value of an option
    new: str

    @property
    def is_command(self) -> bool:
        """Tell whether the command itself is renamed, not one of its options."""
        return not self.old.startswith("-")


RENAMED = (
    Renamed("", "fetch", "download"),
    Renamed("catalog add", "--edges", "--bbox"),
    Renamed("train", "--batch", "--batch-size"),
    Renamed("train", "--vary", "--strong-augmentation"),
    Renamed("train", "--no-vary", "--no-strong-augmentation"),
    Renamed("train", "--scaling", "--normalization"),
    Renamed("sweep", "--batch", "--batch-size"),
    Renamed("sweep", "--rates", "--learning-rates"),
    Renamed("predict", "--seed", "--split-ratio"),
    Renamed("predict", "--square", "--regularize"),
    Renamed("predict", "--judge", "--rescore"),
    Renamed("export", "set", "dataset"),
    Renamed("export", "network", "model"),
    Renamed("export dataset", "--chip", "--chip-size"),
    Renamed("export footprints", "--which square", "--which regularized"),
)


class CommandGroup(TyperGroup):
    """Command group that also accepts deprecated names."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Resolve the command of the arguments; deprecated names are replaced first, each with a warning on stderr."""
        return super().resolve_command(ctx, replace_deprecated(_group_name(ctx), args))


def _group_name(context: Any) -> str:
    """Join the names of nested groups: "" for the program itself, "export" for its group `export`."""
    names: list[str] = []
    while context.parent is not None:
        names.insert(0, str(context.info_name))
        context = context.parent
    return " ".join(names)


def replace_deprecated(group: str, arguments: Sequence[str]) -> list[str]:
    """Replace deprecated names in the arguments of a group and warn about each on stderr.

    Args:
        group: Full name of the group, empty for the program itself.
        arguments: Name of the command, then its arguments. Those after "--" are left unchanged.

    Returns:
        The arguments with the new names.
    """
    if not arguments:
        return []
    command = _renamed_command(group, arguments[0])
    rows = [row for row in RENAMED if row.command == f"{group} {command}".strip() and not row.is_command]
    result, options = [command], list(arguments[1:])
    while options and options[0] != "--":
        consumed, names = _renamed_option(rows, options)
        result += names
        options = options[consumed:]
    return result + options


def _renamed_command(group: str, name: str) -> str:
    for row in RENAMED:
        if row.is_command and (row.command, row.old) == (group, name):
            _warn(f"The command {row.old}", row.new)
            return row.new
    return name


def _renamed_option(rows: Sequence[Renamed], options: Sequence[str]) -> tuple[int, list[str]]:
    """Replace a deprecated first argument; returns the number of arguments consumed and their replacement."""
    name, equals, value = options[0].partition("=")
    pair = f"{name} {value}" if equals else " ".join(options[:2])
    for row in rows:
        if row.old == name:
            _warn(row.old, row.new)
            return 1, [f"{row.new}{equals}{value}"]
        if row.old == pair:
            _warn(row.old, row.new)
            return 1 if equals else 2, row.new.split()
    return 1, [options[0]]


def _warn(old: str, new: str) -> None:
    typer.echo(f"{old} is deprecated and will be removed in the next release. Use {new}.", err=True)
