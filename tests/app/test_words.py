"""The words of the pages: every text of app/ speaks the field's language, in American spelling."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

#: Words that only this program used, or that cannot be searched for.
PRIVATE = re.compile(
    r"(?-i:\bBasket\b|\bKeep$|^Forget$)|^right angles|^edges$|^truth$|\bthe truth\b|\binvented\b"
    r"|\btak(e|ing) (it |them )?home\b|\btake in\b|\beight times\b|\bsecond look\b|\bquick look\b|\ba person\b"
    r"|\bhow well\b|\bask the bucket\b|\bby the program\b|\bright and wrong\b|\bdistance head\b|\bmended\b"
    r"|\bbetween two buildings\b|\bwithout picture\b|\bbeside the roofs\b|\bneither side\b|\bthesis's\b"
    r"|\bmet(er|re)s a pixel\b|\bcrops a step\b|\bof everyone\b|\b(go|goes|going) on\b|\blearned from\b"
    r"|\bneighbou?rs part\b|\bbe believed\b|\bmade-up\b|\bas they are shaped\b|\bat once\b|\bsliders say\b"
    r"|\bdraws of its\b|\bwho were not there\b|\banother question\b|\bname the makers\b|\bis told\b"
    r"|\bnetwork looks\b|\bhas (looked|seen)\b|\blook closer\b|\bunder roof\b|\bmy own\b|\bmy choice\b"
    r"|\b(on|by) the clock\b|\bby itself\b|\bturn and mirror\b|\bput it there\b|\bfor good\b|\b(no|any)body\b"
    r"|\basked for\b|\bpredict with it\b|\bits labels$|^train on (it|these)$|\bfor other programs\b|\bso many\b"
    r"|\bgained and lost\b|\bpictures?\b|\bwalls?\b|\bworst first\b|\bsomebody\b|\bmade from\b|\bmade of\b"
    r"|\bpixel on the\b|\bground\b(?! truth)|\b(we|our|us)\b",
    re.I,
)
BRITISH = re.compile(
    r"colour|licence|\bmetre|centre|neighbour|labelled|catalogue|cancell|modell|artefact|grey\b"
    r"|(optim|normal|regular|vector|summar|general|local|organ|priorit|recogn|visual|initial)is(e|a|ing)",
    re.I,
)
#: Keys of widgets, of the session and of data that programs read: they are not shown, and stay as they are.
KEYS = {
    "colour", "colours {}", "ground", "ground:N", "demo ground", "invented", "only labelled", "picture", "pictures",
    "take in {}",
}  # fmt: skip


def _texts(tree: ast.AST) -> Iterator[str]:
    """The literals of a module but its docstrings; of an f-string its text, with {} for values."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body and isinstance(node.body[0], ast.Expr)
    }  # fmt: skip
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | inside:
            yield node.value


def _script_texts(script: str) -> Iterator[str]:
    """The literals of a script, without its comments."""
    code = re.sub(r"(^|\s)//.*", "", script, flags=re.M)
    for double, template in re.findall(r'"((?:[^"\\\n]|\\.)*)"|`([^`]*)`', code):
        yield double or re.sub(r"\$\{.*?\}", "{}", template)


def texts_of(file: Path) -> list[str]:
    """Every text of a file that may be seen on a page."""
    source = file.read_text("utf-8")
    found = _script_texts(source) if file.suffix == ".js" else _texts(ast.parse(source))
    return [text for text in found if text not in KEYS and "{%" not in text]  # a template is a program


FILES = [*sorted((ROOT / "app").rglob("*.py")), ROOT / "streamlit_app.py", *sorted((ROOT / "app/assets").glob("*.js"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_page_uses_the_words_of_the_field(file: Path) -> None:
    refused = [text for text in texts_of(file) if PRIVATE.search(text)]
    assert not refused


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_page_is_spelled_the_american_way(file: Path) -> None:
    assert not [text for text in texts_of(file) if BRITISH.search(text)]


@pytest.mark.parametrize(
    "text",
    [
        "invented (FP)", "Take them home", "Look eight times", "Second look", "Right angles", "A person says",
        "How well",
        "Ask the bucket", "24 tiles made by the program", "Contact: under 3 m between two buildings", "Distance head",
        "without picture", "Labels beside the roofs?", "4 on neither side, next to these", "Pixel on the ground",
        "Learn from the validation ground at the end", "What a network is told", "It has looked at img1.",
    ],
)  # fmt: skip
def test_words_of_before_are_refused(text: str) -> None:
    assert PRIVATE.search(text)


@pytest.mark.parametrize(
    "text",
    ["Ground truth", "Regularize footprints (right angles)", "False positive (FP)", "Save", "Finished files are kept."],
)
def test_words_of_the_field_are_not(text: str) -> None:
    assert not PRIVATE.search(text)
    assert not BRITISH.search(text)
