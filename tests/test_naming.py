"""Names and docstrings: the field's terms, no function words, Google sections where arrays or many parameters are."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [
    ROOT / "streamlit_app.py",
    *sorted(p for top in ("app", "core", "models") for p in (ROOT / top).rglob("*.py")),
]
#: Never the name of a variable, a parameter or a field.
REFUSED = frozenset(["found", "one", "said", "told", "words", "part", "here", "there", "kept", "seen"])
#: English function words and participles: they say nothing of what a value is.
FUNCTION_WORDS = REFUSED | frozenset([
    "about", "above", "ahead", "already", "also", "am", "and", "any", "anybody", "anything", "anywhere", "apart",
    "are", "aside", "asked", "at", "away", "be", "been", "being", "below", "between", "both", "brought", "but", "by",
    "came", "can", "come", "could", "did", "do", "does", "drawn", "each", "either", "enough", "ever", "every",
    "everything", "few", "for", "from", "gave", "gets", "given", "gives", "gone", "got", "had", "has", "have",
    "having", "he", "how", "in", "into", "is", "it", "its", "least", "less", "let", "made", "many", "may", "meant",
    "might", "more", "most", "much", "must", "neither", "never", "no", "nobody", "none", "not", "nothing", "of",
    "off", "on", "or", "other", "others", "over", "put", "rest", "several", "shall", "she", "should", "shown", "so",
    "some", "somebody", "something", "somewhere", "still", "such", "taken", "than", "that", "them", "then", "these",
    "they", "thing", "things", "this", "those", "thus", "to", "too", "under", "up", "upon", "wanted", "was", "went",
    "were", "what", "when", "where", "which", "whose", "why", "will", "with", "within", "without", "word", "would",
    "yet",
])  # fmt: skip

#: So many of a hundred assigned names may still be one of them, where it is the term (`done` of a progress bar).
MOST_PERCENT = 0.5
#: Private functions of four lines or fewer with one caller, each a concept with a name; 207 in version 0.6.2.
MOST_SMALL_HELPERS = 96
OPENINGS = ("What", "How", "Whether", "Where", "Which", "Who", "When", "Why", "That", "As")
ARRAYS = frozenset(
    ["NDArray", "FloatArray", "Pixels", "Mask", "Distance", "Probability", "BoolMask", "Batch", "Tensor", "Geometries"]
)


def parsed() -> Iterator[tuple[Path, ast.Module]]:
    """Every source file with its tree."""
    for path in SOURCES:
        yield path.relative_to(ROOT), ast.parse(path.read_text())


def assigned(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names of variables, parameters and fields, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno


def all_functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions of the module, and methods of classes."""
    for body in [tree.body, *(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]:
        yield from (node for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Public functions, and public methods of classes."""
    yield from (node for node in all_functions(tree) if not node.name.startswith("_"))


def references(tree: ast.AST) -> Counter[str]:
    """How often each name is used, as a variable or as an attribute."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, (ast.Name, ast.Attribute)))
    return Counter(node.id if isinstance(node, ast.Name) else node.attr for node in nodes)


def is_small_helper(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a function is private and, without its docstring, has four lines or fewer."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    is_private = node.name.startswith("_") and not node.name.startswith("__")
    return is_private and lines <= 4 and decorators <= {"property", "staticmethod", "classmethod"}


def documented(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Docstrings with the lines they belong to."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def is_array(annotation: ast.expr | None) -> bool:
    """Tell whether an annotation names an array."""
    if annotation is None:
        return False
    names = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
    return bool(names & ARRAYS)


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    """Parameters without self and cls."""
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return [argument for argument in arguments if argument.arg not in ("self", "cls")]


def test_refused_names_are_no_variables() -> None:
    refused = [f"{path}:{line} {name}" for path, tree in parsed() for name, line in assigned(tree) if name in REFUSED]
    assert not refused, "\n".join(refused)


def test_function_words_are_rare_among_assigned_names() -> None:
    names = [(f"{path}:{line} {name}", name) for path, tree in parsed() for name, line in assigned(tree)]
    worst = [place for place, name in names if name in FUNCTION_WORDS]
    assert 100 * len(worst) / len(names) <= MOST_PERCENT, f"{100 * len(worst) / len(names):.2f} %\n" + "\n".join(worst)


def test_docstrings_open_with_a_verb_or_a_noun() -> None:
    odd = [f"{path}:{line} {text.splitlines()[0]}" for path, tree in parsed() for line, text in documented(tree)
           if text.split()[0].rstrip(",.:;") in OPENINGS]  # fmt: skip
    assert not odd, "\n".join(odd)


def test_summaries_fit_one_line() -> None:
    odd = [f"{path}:{line} {text.splitlines()[0]}" for path, tree in parsed() for line, text in documented(tree)
           if path.name != "errors.py" and "\n" in text and text.splitlines()[1].strip()]  # fmt: skip
    assert not odd, "\n".join(odd)


@pytest.mark.parametrize("section", ["Args:", "Returns:", "Raises:"])
def test_arrays_and_three_parameters_have_google_sections(section: str) -> None:
    lacking = []
    for path, tree in parsed():
        if path.is_relative_to("core/cli") or path.is_relative_to("core/synthetic_city"):
            continue  # help of commands, whose options have help texts; drawing code of the sample data
        for node in functions(tree):
            text = ast.get_docstring(node) or ""
            needs = {
                "Args:": len(parameters(node)) >= 3
                or any(is_array(argument.annotation) for argument in parameters(node)),
                "Returns:": is_array(node.returns),
                "Raises:": "Args:" in text and "raises " in text.lower(),
            }[section]
            if needs and section not in text:
                lacking.append(f"{path}:{node.lineno} {node.name}")
    assert not lacking, f"{len(lacking)}\n" + "\n".join(lacking)


def test_args_name_every_parameter() -> None:
    lacking = []
    for path, tree in parsed():
        for node in functions(tree):
            text = ast.get_docstring(node) or ""
            if "Args:" in text:
                block = text.split("Args:")[1].split("Returns:")[0].split("Raises:")[0]
                lacking += [f"{path}:{node.lineno} {node.name}: {argument.arg}" for argument in parameters(node)
                            if f"{argument.arg}:" not in block]  # fmt: skip
    assert not lacking, "\n".join(lacking)


def test_small_private_helpers_are_few() -> None:
    trees = dict(parsed())
    uses = {path: references(tree) for path, tree in trees.items()}
    defined = {path: Counter(node.name for node in all_functions(tree)) for path, tree in trees.items()}
    small = []
    for path, tree in trees.items():
        for node in filter(is_small_helper, all_functions(tree)):
            name = node.name  # in another file that defines it too, it is another function
            others = sum(uses[other][name] for other in trees if other != path and not defined[other][name])
            if defined[path][name] == 1 and uses[path][name] - references(node)[name] + others == 1:
                small.append(f"{path}:{node.lineno} {name}")
    assert len(small) <= MOST_SMALL_HELPERS, f"{len(small)}\n" + "\n".join(small)
