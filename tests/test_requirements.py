"""requirements*.txt are what `make lock` compiles from pyproject.toml: compared without the network.

`python -m tests.test_requirements` prints the digest that `make lock` writes into the files, so this module imports
nothing but the standard library.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RUN_MAKE_LOCK = "pyproject.toml and the requirements files differ: run make lock"
PLATFORMS = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
PYTHONS = ("3.11", "3.12", "3.13")
REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(\[(?P<extras>[^]]*)\])?(==(?P<version>[^\s;]+))?\s*(;(?P<marker>.*))?"
)


def test_every_file_was_compiled_from_the_present_dependencies() -> None:
    for file in files():
        assert f"sha256:{digest()}" in file.read_text(), f"{file.name}: {RUN_MAKE_LOCK}"


def test_every_dependency_has_its_version_in_the_file_of_its_extra() -> None:
    for file in files():
        locked = versions(file)
        for name, version in direct(file):
            assert version in locked.get(name, ()), f"{file.name} lacks {name}=={version}: {RUN_MAKE_LOCK}"


def test_a_package_has_one_version_in_all_files() -> None:
    tested = versions(ROOT / "requirements-dev.txt")
    for file in files():
        for name, pins in versions(file).items():
            assert pins == tested.get(name, pins), f"{name} in {file.name}: {RUN_MAKE_LOCK}"


def test_every_line_is_pinned_and_hashed_and_names_no_index() -> None:
    for file in files():
        assert len(lines(file)) > len(direct(file)), f"{file.name} has no transitive dependencies"
        for line in lines(file):
            requirement, *hashes = line.split(" --hash=")
            match = REQUIREMENT.fullmatch(requirement)
            assert match, f"{file.name}: {line[:100]}"
            assert match["version"], f"{file.name}: {requirement}"
            assert hashes, f"{file.name}: {requirement}"
            assert all(re.fullmatch("sha256:[0-9a-f]{64}", checksum) for checksum in hashes), (
                f"{file.name}: {requirement}"
            )


def test_every_dependency_is_installed_on_every_platform_and_python() -> None:
    from packaging.markers import Marker

    for file in files():
        markers: dict[str, list[str]] = {}
        for match in requirements(file):
            markers.setdefault(normalized(match["name"]), []).append(match["marker"])
        for name, _ in direct(file):
            for python in PYTHONS:
                for system, machine in PLATFORMS:
                    environment = {
                        "sys_platform": system,
                        "platform_machine": machine,
                        "python_version": python,
                        "python_full_version": f"{python}.9",
                    }
                    applies = [not marker or Marker(marker).evaluate(environment) for marker in markers.get(name, ())]
                    assert applies.count(True) == 1, f"{file.name}: {name} on {environment}: {RUN_MAKE_LOCK}"


def test_pytorch_is_no_dependency() -> None:
    assert not [file.name for file in files() if "torch" in versions(file)]


def test_a_changed_dependency_changes_the_digest() -> None:
    changed = project()
    changed["project"]["optional-dependencies"]["mlflow"][0] += ".post1"
    assert digest(changed) != digest()


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def digest(content: dict[str, Any] | None = None) -> str:
    """SHA-256 of everything in pyproject.toml that decides what is resolved."""
    content = content or project()
    keys = ("requires-python", "dependencies", "optional-dependencies")
    tables = {key: content["project"][key] for key in keys} | {"uv": content["tool"]["uv"]}
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()


def files() -> list[Path]:
    """The file of the app, then one per extra."""
    extras = project()["project"]["optional-dependencies"]
    return [ROOT / "requirements.txt", *(ROOT / f"requirements-{extra}.txt" for extra in extras)]


def lines(file: Path) -> list[str]:
    """Requirements of a file with their hashes, one per line."""
    content = re.sub(r"^\s*#.*\n", "", file.read_text(), flags=re.MULTILINE)
    return re.sub(r"\s*\\\n\s*", " ", content).splitlines()


def requirements(file: Path) -> Iterator[re.Match[str]]:
    """Name, version and marker of each requirement of a file."""
    for line in lines(file):
        match = REQUIREMENT.fullmatch(line.partition(" --hash=")[0])
        assert match, f"{file.name}: {line[:100]}"
        yield match


def versions(file: Path) -> dict[str, set[str]]:
    """Versions of each package in a file: more than one where they depend on the platform."""
    pins: dict[str, set[str]] = {}
    for match in requirements(file):
        pins.setdefault(normalized(match["name"]), set()).add(match["version"])
    return pins


def direct(file: Path) -> list[tuple[str, str]]:
    """Name and version of each dependency that pyproject.toml lists for a file."""
    tables = project()["project"]

    def expanded(texts: list[str]) -> Iterator[tuple[str, str]]:
        for text in texts:
            match = REQUIREMENT.fullmatch(text)
            assert match, text
            if match["name"] == tables["name"]:
                for extra in match["extras"].split(","):
                    yield from expanded(tables["optional-dependencies"][extra])
            else:
                assert match["version"], f"pyproject.toml pins every dependency with ==: {text}"
                yield normalized(match["name"]), match["version"]

    extra = file.stem.partition("-")[2]
    return list(expanded(tables["dependencies"] + (tables["optional-dependencies"][extra] if extra else [])))


def normalized(name: str) -> str:
    """The one spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    print(digest())
