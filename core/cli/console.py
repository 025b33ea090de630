"""What commands write to a terminal: answers on stdout, notes and progress on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from core.catalog.scan import Found
from core.progress import Report, silent

#: How every group of commands is made.
PLAIN: dict[str, Any] = {"no_args_is_help": True, "rich_markup_mode": None, "pretty_exceptions_enable": False}
notes = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def progress() -> Iterator[Report]:
    """A bar on stderr, so that stdout stays what was asked for; nothing where nobody watches."""
    if not notes.is_interactive:  # rich would leave an empty line
        yield silent
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=notes, transient=True) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda share, doing: bar.update(task, completed=share, description=doing)


def print_json(value: object) -> None:
    """Any plain value, arrays too, on stdout."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode())


def tell(found: Found) -> None:
    """What was found on stdout, what was wrong with it on stderr."""
    for problem in found.problems:
        notes.print(problem, markup=False)
    typer.echo(found.summary())
