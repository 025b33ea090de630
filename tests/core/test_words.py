"""The words of core and models: errors, notes, progress, help texts and reports speak the field's language."""

import ast
import re
from pathlib import Path

import pytest

from tests.app.test_words import BRITISH, PRIVATE, texts_of
from tests.conftest import ROOT

#: Words of earlier sentences of core that only this program used, or that cannot be searched for.
OWN = re.compile(
    r"\bwhere on the earth\b|\bnowhere on\b|\bshows nothing\b|\benclose\b|\bno square\b|\bhas come\b|\bdamaged twice\b"
    r"|\bto (train|check|validate) on\b|\bno number any more\b|\bstopped being\b|\bno fault\b|\bwent wrong\b"
    r"|\bas it should\b|\bbetter check\b|\bother scale\b|\bmean of (eight|what|several)\b|\bparts? neighbou?rs\b"
    r"|\bwhose scorer\b|\blearns? from\b|\bno room\b|\bends? too early\b|\blooking for the best\b|\bstand apart\b"
    r"|\bwith commas between\b|\bgo(ing)? on after\b|\bbegins? with\b|\bbegan\b|\banew\b|\bmend(s|ed)?\b"
    r"|\bsqueezed\b|\bvalidates?\.|\bfell silent\b|\bwithout a word\b|\btogether\b$|\bthe surest\b|\bpeople\b"
    r"|\bwants? its\b|\bcannot be had\b|\bdoes not say\b|\bdoes not (answer|hand out|take|wait)\b|\bthis wrong\b",
    re.I,
)
#: Keys of stored data, of columns and of materials, which are not shown, and text for programs.
KEYS = {
    "colour", "colours", "ground", "invented", "labelled", "licence", "picture", "bare ground", "block wall",
    "truth", "edges", "us-east-1", "began",
}  # fmt: skip
_KEY = re.compile(r"grey (shingle|metal|car)|BEGIN IMMEDIATE")
FILES = sorted([*(ROOT / "core").rglob("*.py"), *(ROOT / "models").rglob("*.py")])


def _docstrings(file: Path) -> list[str]:
    """Those that are shown: the sentences of errors, and the help of commands."""
    tree = ast.parse(file.read_text("utf-8"))
    if file.name == "errors.py":
        return [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    if file.parent.name != "cli":
        return []
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [ast.get_docstring(node) or "" for node in functions if "typer.Option" in ast.unparse(node.args)]


def _texts(file: Path) -> list[str]:
    literals = [text for text in texts_of(file) if text not in KEYS and not _KEY.fullmatch(text)]
    return [*literals, *_docstrings(file)]


def _is_private(text: str) -> bool:
    return bool(PRIVATE.search(re.sub(r"\bat once\b", "", text)) or OWN.search(text))  # refused on buttons only


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_text_uses_the_words_of_the_field(file: Path) -> None:
    assert not [text for text in _texts(file) if _is_private(text)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_text_is_spelled_the_american_way(file: Path) -> None:
    assert not [text for text in _texts(file) if BRITISH.search(text)]


@pytest.mark.parametrize("file", ["core/exports/templates/report.html", "models/weights/starter/README.md"])
def test_report_and_model_card_use_the_words_of_the_field(file: str) -> None:
    text = re.sub(r"<style>.*</style>|\{[{%].*?[%}]\}|<[^>]*>", " ", (ROOT / file).read_text("utf-8"), flags=re.S)
    assert not [line for line in text.splitlines() if _is_private(line) or BRITISH.search(line)]


def test_errors_and_help_are_read() -> None:
    assert any("Invalid bounding box" in text for text in _texts(ROOT / "core/errors.py"))
    assert any(text.startswith("Train a model") for text in _texts(ROOT / "core/cli/train.py"))


@pytest.mark.parametrize(
    "text",
    [
        "{name} does not say where on the earth it lies.", "The edges {edges} enclose no ground.", "Crops a step.",
        "what has come is kept", "{name} arrived damaged twice.", "looking for the best thresholds",
        "made by the program", "going on after 3 epochs", "Level that parts neighbours, as 1.5; 0: none.",
        "Leave out what a second look finds unlikely.", "Whose scorer.", "through no fault of its own",
    ],
)  # fmt: skip
def test_words_of_before_are_refused(text: str) -> None:
    assert _is_private(text)
