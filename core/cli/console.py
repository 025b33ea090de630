"""Console output of commands: results on stdout, notes and progress on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from core.catalog.scan import ScanResult
from core.cli.deprecated import CommandGroup
from core.progress import Report, silent

#: Options of all Typer command groups.
GROUP_OPTIONS: dict[str, Any] = {
    "cls": CommandGroup, "no_args_is_help": True, "rich_markup_mode": None, "pretty_exceptions_enable": False,
}  # fmt: skip
print_notes = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def progress() -> Iterator[Report]:
    """Progress bar on stderr, which keeps stdout for results; none if stderr is not a terminal."""
    if not print_notes.is_interactive:  # rich would leave an empty line
        yield silent
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=print_notes, transient=True) as bar:
        task = bar.add_task("Starting", total=1.0)
        yield lambda share, doing: bar.update(task, completed=share, description=doing)


def print_json(value: object) -> None:
    """Print a value, arrays included, as JSON on stdout."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode())


def print_scan(result: ScanResult) -> None:
    """Print the summary of a scan on stdout and its problems on stderr."""
    for problem in result.problems:
        print_notes.print(problem, markup=False)
    typer.echo(result.summary())
