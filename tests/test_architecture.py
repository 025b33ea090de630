"""The house's rules, read from the source: who may import whom, who may open files, how long a function may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

LONGEST_FUNCTION = 80
MAX_MODULES = 12
TOPS = ("core", "app", "models", "")
#: Low to high: a file imports from its own folder or from lower layers.
LAYERS = (
    ("errors", "settings", "types", "progress", "compat", "atomic_files", "formatting", "runtime", "models"),
    ("geo", "jobs"),
    ("labels", "metrics", "synthetic_city"),
    ("catalog",),
    ("datasets", "rendering", "spacenet", "uploads"),
    ("runs",),
    ("postprocessing",),
    ("training", "inference"),
    ("evaluation", "review"),
    ("exports",),
    ("tasks",),
    ("cli",),
    ("app",),
)
#: Modules of the first layer that may import each other, in this order.
BASE = ("errors", "types", "progress", "formatting", "settings", "compat", "atomic_files", "runtime")
LAYER_OF = {folder: level for level, folders in enumerate(LAYERS) for folder in folders}
SOURCES = sorted(path for top in ("core", "models", "app") for path in (ROOT / top).rglob("*.py"))
PAGES = sorted((ROOT / "app" / "pages").glob("[!_]*.py"))
#: Where any exception may be caught: a job's process, whose last word is one sentence.
BOUNDARIES = {"core/jobs/runner.py"}


def name_of(path: Path) -> str:
    """core.catalog.tile for core/catalog/tile.py."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path) for path in SOURCES}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: no bodies of functions, nothing under TYPE_CHECKING."""
    for node in ast.iter_child_nodes(tree):
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not typing_only and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from at_import(node)


def imports(path: Path, nodes: Iterator[ast.AST] | None = None) -> set[str]:
    """Dotted names of what a file imports, wherever in it; `from core.geo import raster` is core.geo.raster."""
    found = set()
    for node in nodes or ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in names}
    return found


def of(folder: str) -> list[Path]:
    return [path for path in SOURCES if path.is_relative_to(ROOT / folder)]


def who_imports(files: list[Path], packages: set[str]) -> dict[str, set[str]]:
    """Offenders only: file to the forbidden names in it."""
    found = {name_of(path): {name for name in imports(path) if name.split(".")[0] in packages} for path in files}
    return {name: forbidden for name, forbidden in found.items() if forbidden}


def callers(call: str) -> set[str]:
    """The files in which something of this dotted name is called."""
    return {
        str(path.relative_to(ROOT))
        for path in SOURCES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == call
    }


def test_the_rules_are_read_from_real_files():
    assert len(of("core")) > 20
    assert len(of("models")) >= 3
    assert len(PAGES) >= 4
    assert "core.geo.grid" in imports(ROOT / "core/labels/labels.py")


# Layers


def folder_of(module: str) -> str:
    """geo for core.geo.raster, errors for core.errors, app and models for all that lies in them."""
    parts = module.split(".")
    if parts == ["core", "__main__"]:
        return "cli"
    return parts[1] if parts[0] == "core" and len(parts) > 1 else parts[0]


def edges() -> set[tuple[str, str]]:
    """(importing module, imported module), also where the import is inside a function."""
    return {(name_of(path), target) for path in SOURCES for target in imports(path) & MODULES}


def assert_no_circle(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' → '.join(error.args[1])}")


def test_every_folder_has_a_layer():
    assert {folder_of(name) for name in MODULES} - {"core", "streamlit_app"} <= set(LAYER_OF)


def test_imports_run_from_higher_layers_to_lower_ones():
    upward = [
        f"{source} → {target}"
        for source, target in edges()
        if folder_of(target) not in (folder_of(source), "core")
        and not (folder_of(source) in BASE and folder_of(target) in BASE)
        and (folder_of(source) == "core" or LAYER_OF[folder_of(target)] >= LAYER_OF[folder_of(source)])
    ]
    assert upward == []


def test_no_folder_waits_for_itself():
    """A folder and its subfolder count as one; files directly in core, app and models are layers of their own."""
    graph: dict[str, set[str]] = {}
    for source, target in edges():
        from_folder, to_folder = source.rpartition(".")[0], target.rpartition(".")[0]
        nested = f"{from_folder}.".startswith(f"{to_folder}.") or f"{to_folder}.".startswith(f"{from_folder}.")
        if not nested and from_folder not in TOPS and to_folder not in TOPS:
            graph.setdefault(from_folder, set()).add(to_folder)
    assert_no_circle(graph)


def test_no_folder_is_crowded():
    counts = {
        str(folder.relative_to(ROOT)): sum(path.name != "__init__.py" for path in folder.glob("*.py"))
        for folder in {path.parent for path in SOURCES}
    }
    del counts["core/synthetic_city"]
    assert {folder: count for folder, count in counts.items() if count > MAX_MODULES} == {}


def test_core_knows_nothing_of_pages():
    assert who_imports(of("core"), {"streamlit", "streamlit_folium", "folium", "branca", "app"}) == {}


def test_networks_know_nothing_of_files_and_tiles():
    assert who_imports(of("models"), {"core", "app", "streamlit", "rasterio", "pathlib", "os"}) == {}


def test_pages_leave_the_work_to_others():
    heavy = {"tensorflow", "keras", "models", "rasterio", "sqlite3", "numpy", "geopandas", "shapely", "folium"}
    assert who_imports(PAGES, heavy) == {}


def test_no_page_imports_a_page():
    pages = {name_of(path) for path in PAGES}
    assert {name_of(path) for path in SOURCES if imports(path) & pages} == set()


def test_pages_have_no_error_handling():
    tries = [
        name_of(path) for path in PAGES for node in ast.walk(parsed(path)) if isinstance(node, ast.Try | ast.TryStar)
    ]
    assert tries == []


def test_no_module_waits_for_itself():
    assert_no_circle({name_of(path): imports(path, at_import(parsed(path))) & MODULES for path in SOURCES})


# Doors


def test_rasters_come_in_by_one_door():
    assert callers("rasterio.open") == {"core/geo/raster.py"}


def test_no_other_name_for_that_door():
    """`from rasterio import open`, `import rasterio as r` and MemoryFile would be ways around it."""
    for path in SOURCES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ImportFrom) and node.module in ("rasterio", "rasterio.io", "osgeo"):
                assert not {alias.name for alias in node.names} & {"open", "MemoryFile", "gdal", "ogr"}, path
            if isinstance(node, ast.Import):
                assert not any(alias.name == "rasterio" and alias.asname for alias in node.names), path


def test_footprints_are_never_read_by_ogr():
    """An OGR VRT named .geojson would read any file of this machine."""
    for call in ("gpd.read_file", "geopandas.read_file", "pyogrio.read_dataframe", "fiona.open"):
        assert callers(call) == set()


def test_one_module_knows_sqlite():
    assert set(who_imports(SOURCES, {"sqlite3"})) == {"core.jobs.queue"}


def test_nothing_is_unpickled_or_evaluated():
    for call in ("eval", "exec", "pickle.load", "pickle.loads", "keras.models.load_model", "keras.saving.load_model"):
        assert callers(call) == set()


# TensorFlow takes seconds: nobody waits for it before a job begins.

_IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sorted(heavy for heavy in ("tensorflow", "keras", "jax", "torch") if heavy in sys.modules))
"""


def test_importing_any_module_does_not_import_tensorflow():
    pages = {name_of(path) for path in PAGES}
    ready = sorted(
        name for name in MODULES - pages if name.startswith(("core", "app")) and not name.endswith("__main__")
    )
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, *ready, "models.registry"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_page_reaches_tensorflow_when_it_is_run(path):
    """Pages run as scripts: what their imports import, at import time, is followed here."""
    seen, waiting = set(), [name for name in imports(path) if name in MODULES]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        file = ROOT / Path(*name.split("."))
        file = file.with_suffix(".py") if file.with_suffix(".py").is_file() else file / "__init__.py"
        found = imports(file, at_import(parsed(file)))
        assert not {"tensorflow", "keras"} & {one.split(".")[0] for one in found}, name
        waiting += [one for one in found if one in MODULES]
    assert seen


# Text


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def public(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.AST]]:
    """Public functions, classes and methods, with their names."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield f"{prefix}.{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{prefix}.{node.name}")


def test_everything_public_has_a_docstring():
    silent = [name_of(path) for path in SOURCES if not ast.get_docstring(parsed(path))]
    for path in SOURCES:
        silent += [name for name, node in public(parsed(path).body, name_of(path)) if not ast.get_docstring(node)]
    assert silent == []


def test_no_function_is_long():
    lengths = {
        f"{name_of(path)}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in SOURCES
        for node in functions(path)
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_pages_are_sixty_lines_at_most():
    assert {path.name for path in PAGES if len(path.read_text().splitlines()) > 60} == set()


def test_everything_public_is_annotated():
    bare = [
        f"{name_of(path)}.{node.name}"
        for path in SOURCES
        for node in functions(path)
        if node.returns is None and node.name != "__init__"
    ]
    assert bare == []


def swallows_anything(node: ast.AST) -> bool:
    """Whether it is a handler of all exceptions that does not raise them again."""
    if not isinstance(node, ast.ExceptHandler):
        return False
    caught = set() if node.type is None else {part.id for part in ast.walk(node.type) if isinstance(part, ast.Name)}
    blind = node.type is None or bool(caught & {"Exception", "BaseException"})
    last = node.body[-1]
    return blind and not (isinstance(last, ast.Raise) and last.exc is None)


def test_only_boundaries_catch_everything():
    blind = {str(path.relative_to(ROOT)) for path in SOURCES if any(map(swallows_anything, ast.walk(parsed(path))))}
    assert blind == BOUNDARIES
