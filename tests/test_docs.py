"""The reference pages say what the source says, and what is referred to exists."""

import re
from pathlib import Path

import orjson
import pytest

from docs import generate
from docs.hooks import on_page_markdown
from tests.conftest import ROOT

DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
SOURCES = [path for top in ("core", "app", "models", "benchmarks") for path in (ROOT / top).rglob("*.py")]
#: Folders whose every public module has API documentation, by their page.
API = {"geo": "core/geo", "labels": "core/labels", "metrics": "core/metrics", "postprocessing": "core/postprocessing",
       "models": "models"}  # fmt: skip


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["reference/cli.md", "reference/settings.md", "reference/networks.md",
                                  "decisions/README.md"])  # fmt: skip
def test_generated_pages_are_up_to_date(name):
    """`python -m docs.generate` writes them; the numbers of parameters are compared by a test of their own."""
    parameters = generate.committed_parameters(text(REFERENCE / "networks.md"))
    assert text(DOCS / name) == generate.pages(parameters)[name]


@pytest.mark.slow
def test_parameters_are_those_of_the_networks():
    assert generate.committed_parameters(text(REFERENCE / "networks.md")) == generate.count_parameters()


def test_every_variable_is_in_the_reference():
    page = text(REFERENCE / "settings.md")
    files = [*SOURCES, ROOT / "Dockerfile", ROOT / "streamlit_app.py", *DOCS.rglob("*.md"), ROOT / "README.md"]
    named = {name for path in files for name in re.findall(r"GROUNDPLAN_[A-Z]+(?:_[A-Z]+)*\b", text(path))}
    assert len(named) > 10
    assert {name for name in named if f"`{name}`" not in page} == set()


def test_hidden_options_are_not_in_the_reference():
    options = {option for row in text(REFERENCE / "cli.md").splitlines() for option in re.findall(r"`(--[\w-]+)`", row)}
    assert "--network" in options
    assert not options & {"--judge", "--square"}


def test_every_key_on_disk_is_in_the_reference():
    """Of the starter model, and those that came after it was trained; the docs name keys as they lie on disk."""
    page, starter = text(REFERENCE / "run-folder.md"), ROOT / "models" / "weights" / "starter"
    record, thresholds = (orjson.loads((starter / name).read_bytes()) for name in ("config.json", "tuning.json"))
    config = record["config"]
    keys = {*record, *config, *config["recipe"], *thresholds, *thresholds["shaping"], *thresholds["calibration"]}
    keys |= {"pretrained", "refit", "epoch_crops", "finest_m"}
    assert {key for key in keys if f"`{key}`" not in page} == set()


def test_every_folder_is_in_the_architecture_page():
    page = text(DOCS / "architecture.md")
    modules = [path for path in SOURCES if path.name != "__init__.py" and not path.is_relative_to(ROOT / "benchmarks")]
    folders = {path.parent.relative_to(ROOT).as_posix() for path in modules}
    missing = {name for name in folders if f"| `{name}` |" not in page}
    assert {name for name in missing if not name.startswith("app/components/")} == {"core"}


@pytest.mark.parametrize("page", API)
def test_every_module_has_api_documentation(page):
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / API[page]).rglob("*.py")]
    shown = re.findall(r"^::: (\S+)$", text(REFERENCE / "api" / f"{page}.md"), re.MULTILINE)
    assert sorted(shown) == sorted(name for name in modules if not name.endswith("__init__"))


def test_links_lead_to_files():
    """Pages below docs are checked by `make docs` as well; those of the root only here."""
    links = {
        (path, target)
        for path in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", on_page_markdown(text(path)))
        if "://" not in target
    }
    assert len(links) > 50
    assert {f"{path.relative_to(ROOT)}: {name}" for path, name in links if not (path.parent / name).exists()} == set()


def test_files_that_are_named_exist():
    """In code anywhere, in documents between backticks."""
    file = r"(?:docs|tests|benchmarks|core|app|models)/[\w/.-]*\w\.(?:md|py|js)\b"
    named = {(path, name) for path in SOURCES for name in re.findall(rf"\b{file}", text(path))}
    named |= {(path, name) for path in DOCS.rglob("*.md") for name in re.findall(rf"`({file})`", text(path))}
    assert {f"{path.relative_to(ROOT)}: {name}" for path, name in named if not (ROOT / name).exists()} == set()
