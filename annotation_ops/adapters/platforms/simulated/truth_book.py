"""The true answers, found by what a task shows."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from annotation_ops.adapters.platforms.simulated.simulation import Truth, TruthItem
from annotation_ops.domain.errors import Fault, InvalidDocument, NotFound

_KEYS = ("uri", "sample_id", "text")


class TruthBook:
    """Reads the truth file when an answer is first needed, and again when it was replaced."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._seen: tuple[int, int] | None = None
        self._items: Mapping[str, TruthItem] = truth.inline

    def find(self, identity: str) -> TruthItem | None:
        """The truth of a media URI or an inline text; None when it is not known. Raises NotFound, InvalidDocument."""
        return next((self._items[key] for key in _candidates(identity) if key in self._items), None)

    def known_as(self, identity: str) -> str:
        """The key under which the truth of a sample stands, so that an answer does not depend on where the media lie."""
        return next((key for key in _candidates(identity) if key in self._items), identity)

    def refresh(self) -> None:
        """Reads the file if it is new. Raises NotFound when it is declared and does not exist; InvalidDocument."""
        if self._truth.file is None:
            return
        try:
            status = os.stat(self._truth.file)
        except FileNotFoundError:
            raise NotFound(
                f"found no truth file {self._truth.file}, expected JSON lines with uri and label; "
                f"simulated people cannot answer without it"
            ) from None
        if self._seen != (status.st_mtime_ns, status.st_size):
            self._items = {**dict(_read(self._truth.file)), **self._truth.inline}
            self._seen = (status.st_mtime_ns, status.st_size)


def truth_entry(row: Any, *, file: str, path: str) -> tuple[str, TruthItem]:
    """`{"uri" | "sample_id" | "text", "label", "slices"?}` -> key and truth; other text fields are slices too.

    Raises InvalidDocument naming the place.
    """
    expected = 'an object with "uri" (or "sample_id" or "text") and "label"'
    if not isinstance(row, dict):
        raise InvalidDocument((Fault(file, path, repr(row), expected),))
    key = next((row[name] for name in _KEYS if isinstance(row.get(name), str) and row[name]), None)
    label = row.get("label")
    if key is None or not isinstance(label, (str, int)) or isinstance(label, bool):
        raise InvalidDocument((Fault(file, path, json.dumps(row, default=str)[:200], expected),))
    slices = {name: value for name, value in row.items() if isinstance(value, str) and name not in (*_KEYS, "label")}
    declared = row.get("slices")
    if isinstance(declared, dict):
        slices |= {str(name): str(value) for name, value in declared.items()}
    return key, TruthItem(str(label), slices)


def _read(path: Path) -> Iterator[tuple[str, TruthItem]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise InvalidDocument(
                    (Fault(str(path), f"line {number}", repr(line[:80]), f"one JSON object ({error.msg})"),)
                ) from None
            yield truth_entry(row, file=str(path), path=f"line {number}")


def _candidates(identity: str) -> Iterator[str]:
    yield identity
    tail = identity
    while "/" in tail:
        tail = tail.partition("/")[2]
        if tail:
            yield tail
    stem, dot, _ = tail.rpartition(".")
    if dot and stem and "://" in identity:
        yield stem


def identity_of(shown: str) -> str:
    """What stays the same when a sample is shown again: a URI without query and fragment, a text as it is."""
    if "://" in shown.partition(" ")[0]:
        return shown.partition("?")[0].partition("#")[0]
    return shown
