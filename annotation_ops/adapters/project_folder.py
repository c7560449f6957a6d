"""Annotation projects as folders on disk: a file a document."""

import json
import os
from functools import cache
from importlib import resources
from pathlib import Path

from annotation_ops.domain.errors import Fault, NotFound
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.parsing import FILES, parse_project
from annotation_ops.domain.project.places import listing, shown_key, suggestion
from annotation_ops.domain.project.strict_yaml import MAX_CHARACTERS
from annotation_ops.domain.records import JsonObject

MARK = FILES["contract"]
"""The document that makes a folder an annotation project."""

BESIDE = frozenset({"simulation.yaml", "label_studio.yaml", "README.md"})
"""Files that may lie beside the documents: what one platform needs to know of people, and words for visitors."""

MAX_BYTES = 4 * MAX_CHARACTERS
"""UTF-8 takes at most 4 bytes a character."""


def load_project(folder: Path) -> AnnotationProject:
    """Read the annotation project that lies in `folder`.

    Raises InvalidDocument with every fault of every document, and NotFound when there is no such folder.
    """
    if not folder.is_dir():
        raise NotFound(f"{folder}: found no folder, expected an annotation project (a folder with {MARK})")
    texts: dict[str, str] = {}
    faults: list[Fault] = list(_unexpected(folder))
    for kind, name in FILES.items():
        path = folder / name
        if not os.path.lexists(path):
            continue
        content = _read(path)
        if isinstance(content, Fault):
            faults.append(content)
        else:
            texts[kind] = content
    return parse_project(texts, odcs_schema=odcs_schema(), faults=tuple(faults))


def find_projects(root: Path) -> tuple[Path, ...]:
    """The folders directly under `root` that hold a contract, by name; empty when `root` does not exist."""
    if not root.is_dir():
        return ()
    return tuple(sorted(path for path in root.iterdir() if os.path.lexists(path / MARK)))


@cache
def odcs_schema() -> JsonObject:
    """The JSON schema of the Open Data Contract Standard, as the standard's own package ships it."""
    text = resources.files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8")
    schema: JsonObject = json.loads(text)
    return schema


def _unexpected(folder: Path) -> list[Fault]:
    expected = sorted({*FILES.values(), *BESIDE})
    faults = []
    for name in sorted(os.listdir(folder)):
        if name not in expected and not name.startswith("."):
            near = suggestion(name, [file for file in FILES.values() if not os.path.lexists(folder / file)])
            faults.append(
                Fault(shown_key(name), "", "an unexpected file", listing(expected), near or "Move it elsewhere.")
            )
    return faults


def _read(path: Path) -> str | Fault:
    if not path.is_file():
        return Fault(path.name, "", "something that is no file", "a text file", "Replace it by the document.")
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        return Fault(path.name, "", f"an unreadable file ({error.strerror})", "a text file", "Check its permissions.")
    if len(raw) > MAX_BYTES:
        return Fault(path.name, "", f"more than {MAX_BYTES:,} bytes", f"at most {MAX_BYTES:,}", "Split the document.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"byte {raw[error.start]:#04x} at offset {error.start}"
        return Fault(path.name, "", found, "UTF-8 text", "Save the file as UTF-8.")
