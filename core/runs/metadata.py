"""What people say of a run beside what it says of itself: a name, tags, a note, and that it is out of the way."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import orjson

from core.atomic_files import replacing
from core.runs.run import Run

_FILE = "about.json"
#: Longer names, notes and more tags are cut.
MOST_NAME, MOST_NOTE, MOST_TAGS = 60, 2000, 12


@dataclass(frozen=True)
class About:
    """Everything may be empty."""

    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    archived: bool = False  #: kept, but offered nowhere

    @classmethod
    def of(cls, run: Run) -> "About":
        """What was said of a run; nothing where that cannot be read."""
        try:
            said = orjson.loads((run.path / _FILE).read_bytes())
            return tidy(
                cls(str(said["name"]), tuple(map(str, said["tags"])), str(said["note"]), bool(said["archived"]))
            )
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def write(self, run: Run) -> None:
        """Keeps it in the run's folder; raises CannotWrite, DiskFull."""
        with replacing(run.path / _FILE) as part:
            part.write_bytes(orjson.dumps(asdict(tidy(self)), option=orjson.OPT_INDENT_2))


def tidy(about: About) -> About:
    """Without space around, doubles, and what is too long."""
    tags = dict.fromkeys(tag.strip()[:MOST_NAME] for tag in about.tags if tag.strip())
    return About(
        about.name.strip()[:MOST_NAME], tuple(tags)[:MOST_TAGS], about.note.strip()[:MOST_NOTE], about.archived
    )


def title_of(run: Run) -> str:
    """What people call a run: the name it was given since, the one of its training, or its folder's."""
    return About.of(run).name or run.config.name or run.name


def offered(runs: Iterable[Run]) -> list[Run]:
    """Those that nobody has put out of the way."""
    return [run for run in runs if not About.of(run).archived]


def all_tags(runs: Sequence[Run]) -> list[str]:
    """Every tag of these runs, in order."""
    return sorted({tag for run in runs for tag in About.of(run).tags})
