"""Run metadata that users edit: name, tags, note, archived."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import orjson

from core.atomic_files import atomic_write
from core.runs.run import Run

_FILE = "about.json"
#: Maximum lengths of names and notes, and number of tags; more is cut off.
MAX_NAME, MAX_NOTE, MAX_TAGS = 60, 2000, 12


@dataclass(frozen=True)
class RunMetadata:
    """Name, tags and note of a run, all of which may be empty."""

    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    archived: bool = False  #: not listed, but kept

    @classmethod
    def of(cls, run: Run) -> "RunMetadata":
        """Read the metadata of a run; empty if there is none, or the file is damaged."""
        try:
            values = orjson.loads((run.path / _FILE).read_bytes())
            return normalized(
                cls(str(values["name"]), tuple(map(str, values["tags"])), str(values["note"]), bool(values["archived"]))
            )
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def write(self, run: Run) -> None:
        """Write to the run folder; raises CannotWrite, DiskFull."""
        with atomic_write(run.path / _FILE) as temporary:
            temporary.write_bytes(orjson.dumps(asdict(normalized(self)), option=orjson.OPT_INDENT_2))


def normalized(metadata: RunMetadata) -> RunMetadata:
    """Strip whitespace, remove duplicate tags, and cut to the maximum lengths."""
    tags = dict.fromkeys(tag.strip()[:MAX_NAME] for tag in metadata.tags if tag.strip())
    return RunMetadata(
        metadata.name.strip()[:MAX_NAME], tuple(tags)[:MAX_TAGS], metadata.note.strip()[:MAX_NOTE], metadata.archived
    )


def display_name(run: Run) -> str:
    """Display name of a run: from its metadata, its configuration, or its folder."""
    return RunMetadata.of(run).name or run.config.name or run.name


def not_archived(runs: Iterable[Run]) -> list[Run]:
    """Filter out archived runs."""
    return [run for run in runs if not RunMetadata.of(run).archived]


def all_tags(runs: Sequence[Run]) -> list[str]:
    """List all tags of runs in alphabetical order."""
    return sorted({tag for run in runs for tag in RunMetadata.of(run).tags})
