"""Facts about the repository itself."""

import ast
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from annotation_ops.cli.main import COMMANDS
from annotation_ops.settings import Settings

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "annotation_ops").rglob("*.py"))
PAGES = ("README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/interface.md", "docs/annotation-projects.md")
LICENCE_IN_ITS_FILE_ONLY = {"huey": "MIT"}
"""Packages whose metadata state no licence; read from their LICENSE file."""


def tracked() -> list[Path]:
    """Every file that is, or with the next commit will be, part of the repository."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def texts(*suffixes: str) -> dict[str, str]:
    """Path -> content of the tracked text files, this one left out."""
    found = {}
    for path in tracked():
        if path == Path(__file__) or (suffixes and path.suffix not in suffixes):
            continue
        body = path.read_bytes()
        if b"\0" not in body:
            found[str(path.relative_to(ROOT))] = body.decode(errors="replace")
    return found


def matches(pattern: str, content: dict[str, str]) -> dict[str, list[str]]:
    found = {name: [match[0] for match in re.finditer(pattern, text)] for name, text in content.items()}
    return {name: hits for name, hits in found.items() if hits}


@pytest.mark.parametrize("lock", ["requirements.lock", "bootstrap.lock"])
def test_a_lock_names_no_host_and_pins_every_package_by_hash(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = [entry for entry in re.split(r"\n(?=\S)", text.strip()) if not entry.startswith("#")]

    assert "://" not in text
    assert re.findall(r"^-.*", text, re.MULTILINE) == [], "options such as an index address"
    assert entries
    assert [entry for entry in entries if not re.match(r"[\w.\[\]-]+==\S+", entry)] == []
    assert [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []


def test_every_runtime_requirement_is_locked() -> None:
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    names = {canonicalize_name(name) for name in locked}

    assert runtime_closure() - names == {"annotation-ops"}


def runtime_closure() -> set[str]:
    """Canonical names of everything `pip install annotation-ops[postgres]` brings on this machine."""
    waiting, seen = [("annotation-ops", frozenset({"postgres"}))], set[tuple[str, frozenset[str]]]()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for line in metadata.distribution(name).requires or ():
            wanted = Requirement(line)
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
                waiting.append((canonicalize_name(wanted.name), frozenset(wanted.extras)))
    return {name for name, _ in seen}


def licence(name: str) -> str:
    """As the package states it: an SPDX expression, else classifiers, else the first line of the free text."""
    facts = metadata.metadata(name)
    classifiers = [item for item in facts.get_all("Classifier") or () if item.startswith("License ::")]
    stated = (
        facts.get("License-Expression") or "; ".join(classifiers) or (facts.get("License") or "").partition("\n")[0]
    )
    return str(stated).strip() or LICENCE_IN_ITS_FILE_ONLY.get(name, "")


def test_nothing_that_users_install_is_under_the_gpl_the_agpl_or_no_licence() -> None:
    licences = {name: licence(name) for name in runtime_closure()}

    copyleft = re.compile(r"\b[AL]?GPL|General Public License|Affero", re.IGNORECASE)
    assert len(licences) > 50
    assert {name: text for name, text in licences.items() if copyleft.search(text)} == {}
    assert [name for name, text in licences.items() if not text] == []


def test_no_file_names_a_folder_of_the_machine_it_was_written_on() -> None:
    assert matches(r"(?<![\w}./])/(?:work|root)/\S*", texts()) == {}


def test_nothing_is_mocked() -> None:
    assert matches(r"mock\.patch|MagicMock|unittest\.mock import|monkeypatch\.setattr", texts(".py")) == {}


def test_tables_of_the_lake_are_never_read_whole_through_their_slow_doors() -> None:
    package = {name: text for name, text in texts(".py").items() if name.startswith("annotation_ops/")}

    assert matches(r"to_pyarrow_table|to_pyarrow_dataset|\.to_pandas\(\)", package) == {}


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}

    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_every_module_says_what_it_is() -> None:
    trees = {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in MODULES}

    assert [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []


def commands(page: str) -> set[str]:
    """Every `make ...` and `annotation-ops ...` line of the page's code blocks, and those in backticks."""
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    found = re.compile(r"(?:[A-Z_]+=\S+ )*((?:make|annotation-ops) [a-z-]+)")
    return {match[1] for line in lines if (match := found.match(line))}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_on_a_page_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known = {f"make {name}" for name in targets} | {f"annotation-ops {name}" for name in COMMANDS}

    assert commands(page) - known == set()


def test_the_readme_shows_the_two_commands_everybody_starts_with() -> None:
    assert {"make demo", "make test"} <= commands("README.md")


def test_every_command_has_its_section_in_the_interface_page() -> None:
    headings = set(
        re.findall(r"^### `annotation-ops ([a-z-]+)", (ROOT / "docs/interface.md").read_text(), re.MULTILINE)
    )

    assert headings == set(COMMANDS)


def test_every_environment_variable_is_in_the_interface_page() -> None:
    source = (ROOT / "annotation_ops" / "settings.py").read_text()
    variables = set(re.findall(r"\b(?:ANNOTATION_OPS|MLFLOW)_[A-Z0-9_]+\b", source))

    assert len(variables) >= len(Settings.__dataclass_fields__)
    page = (ROOT / "docs/interface.md").read_text()
    assert [name for name in sorted(variables) if f"`{name}`" not in page] == []


GLOSSARY = (
    *("annotation project", "sample", "slice", "pool", "task", "overlap", "assignment", "annotation", "review"),
    *("batch", "attempt", "verdict", "criteria", "gold label", "label commit", "incident", "ledger", "lake"),
)


def test_the_glossary_explains_the_words_that_the_code_uses() -> None:
    section = (ROOT / "docs/architecture.md").read_text().partition("## Words")[2].partition("\n## ")[0]

    explained = set(re.findall(r"\*\*([a-z ]+)\*\*", section))
    assert [word for word in GLOSSARY if word not in explained] == []


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/interface.md", "CONTRIBUTING.md"])
def test_every_file_that_a_page_points_to_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    named = set(re.findall(r"`((?:annotation_ops|annotation_ops_tests|docs|projects|benchmarks)/[\w./-]+)`", text))

    assert named
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
