"""YAML 1.2 core values from text, without the parts of YAML that surprise or attack.

Refused, each as a fault with its place: duplicate keys, anchors and aliases (expansion bombs), tags (object construction),
several documents, keys that are not text, nesting deeper than MAX_DEPTH, not-a-number and infinity, control characters and
bidirectional overrides. `no`, `on` and dates stay text, as in YAML 1.2.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import yaml

from annotation_ops.domain.errors import Fault
from annotation_ops.domain.project.places import describe, index, join, shown_key

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

MAX_CHARACTERS = 1_000_000
"""A workforce of 14,000 people, which is read in 0.7 s."""

MAX_DEPTH = 32
"""The deepest declared document, an ODCS contract, uses 9 levels."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MAX_NUMBER_CHARACTERS = 40
"""Longer digits are no quantity, and Python refuses to convert more than 4,300 of them."""
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}

_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""C0 and C1 controls, the bidirectional overrides that make text read otherwise than it is, and halves of characters."""


def forbidden_character(text: str) -> re.Match[str] | None:
    """The first character that no declared document may hold."""
    return _FORBIDDEN.search(text)


def read_yaml(text: str, *, file: str) -> tuple[Json, tuple[Fault, ...]]:
    """The content of one document and every fault of form. On a syntax error the content is None."""
    faults = text_faults(text, file=file)
    if faults:
        return None, faults
    builder = _Builder(file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if not builder.accept(event):
                break
    except yaml.YAMLError as error:
        builder.syntax_fault(error)
    if builder.broken:
        return None, tuple(builder.faults)
    return builder.content, tuple(builder.faults)


def text_faults(text: str, *, file: str) -> tuple[Fault, ...]:
    """Faults of the text itself: its length and its characters."""
    if len(text) > MAX_CHARACTERS:
        return (Fault(file, "", f"{len(text):,} characters", f"at most {MAX_CHARACTERS:,}", "Split the document."),)
    match = forbidden_character(text.replace("\r\n", "\n"))
    if match is None:
        return ()
    line = match.string.count("\n", 0, match.start()) + 1
    mend = "Remove the character."
    return (Fault(file, f"line {line}", f"the character U+{ord(match[0]):04X}", "printable text", mend),)


class _Mark(Protocol):
    """A position as both YAML readers, in Python and in C, give it."""

    line: int
    column: int


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is being filled."""

    content: "list[Json] | dict[str, Json]"
    path: str
    key: str | None = None
    """The mapping key whose value comes next."""
    awaits_key: bool = True
    muted: bool = False
    """Below a key that was refused: read for its form, kept nowhere."""


@dataclass(slots=True)
class _Builder:
    """Folds parser events into plain values without recursion."""

    file: str
    faults: list[Fault] = field(default_factory=list)
    frames: list[_Frame] = field(default_factory=list)
    content: Json = None
    documents: int = 0
    broken: bool = False

    def accept(self, event: yaml.Event) -> bool:
        """False when nothing after this event is worth reading."""
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self._stop("a second document", "one document a file", "Remove the line `---`.", event)
        elif isinstance(event, yaml.AliasEvent):
            self._stop(f"the alias *{event.anchor}", "no anchors and aliases", "Write the value out.", event)
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            self._open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        return not self.broken

    def _open(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.anchor is not None:
            self._stop(f"the anchor &{event.anchor}", "no anchors and aliases", "Write the value out.", event)
        elif event.tag not in (None, "!"):
            self._stop(f"the tag {describe(event.tag)}", "no tags", "Write a plain value.", event)
        elif len(self.frames) >= MAX_DEPTH:
            self._stop(f"more than {MAX_DEPTH} levels", f"at most {MAX_DEPTH}", "Flatten the document.", event)
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif self.frames and self._frame.awaits_key and isinstance(self._frame.content, dict):
            self._stop("a list or mapping as a key", "text as a key", "Write a plain key.", event)
        else:
            self._collection([] if isinstance(event, yaml.SequenceStartEvent) else {})

    @property
    def _frame(self) -> _Frame:
        return self.frames[-1]

    def _place(self) -> str:
        if not self.frames:
            return ""
        content = self._frame.content
        if isinstance(content, list):
            return index(self._frame.path, len(content))
        return join(self._frame.path, self._frame.key or "")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if self.frames and isinstance(self._frame.content, dict) and self._frame.awaits_key:
            self._key(event)
        else:
            self._put(self._value(event))

    def _key(self, event: yaml.ScalarEvent) -> None:
        frame, key = self._frame, event.value
        frame.awaits_key, frame.key = False, key
        place = join(frame.path, shown_key(key))
        if event.implicit[0] and not isinstance(_resolve(key), str):
            frame.key = None
            self._fault(place, f"the key {describe(_resolve(key))}", "text as a key", "Quote the key or rename it.")
        elif forbidden_character(key):
            frame.key = None
            self._fault(place, f"the key {describe(key)}", "a key of printable text", "Remove the character.")
        elif isinstance(frame.content, dict) and key in frame.content:
            frame.key = None
            self._fault(place, "the key twice", "each key once", "Remove one of the two.")

    def _value(self, event: yaml.ScalarEvent) -> Json:
        text = event.value
        if forbidden_character(text):
            self._fault(self._place(), describe(text), "printable text", "Remove the control character.")
            return ""
        if not event.implicit[0]:
            return str(text)
        value = _resolve(text)
        if isinstance(value, float) and not math.isfinite(value):
            self._fault(self._place(), f"the number {text[:_MAX_NUMBER_CHARACTERS]}", "a finite number", "")
            return 0
        return value

    def _collection(self, content: "list[Json] | dict[str, Json]") -> None:
        muted = bool(self.frames) and (self._frame.muted or self._refused())
        frame = _Frame(content, self._place(), muted=muted)
        if self.frames:
            self._put(content)
        else:
            self.content = content
        self.frames.append(frame)

    def _refused(self) -> bool:
        return isinstance(self._frame.content, dict) and self._frame.key is None

    def _put(self, value: Json) -> None:
        if not self.frames:
            self.content = value
            return
        frame = self._frame
        if isinstance(frame.content, list):
            frame.content.append(value)
            return
        if frame.key is not None:
            frame.content[frame.key] = value
        frame.awaits_key, frame.key = True, None

    def _close(self) -> None:
        self.frames.pop()

    def _fault(self, path: str, found: str, expected: str, mend: str) -> None:
        if not (self.frames and self._frame.muted):
            self.faults.append(Fault(self.file, path, found, expected, mend))

    def _stop(self, found: str, expected: str, mend: str, event: yaml.Event) -> None:
        self.broken = True
        self.faults.append(Fault(self.file, _line(event.start_mark), found, expected, mend))

    def syntax_fault(self, error: yaml.YAMLError) -> None:
        self.broken = True
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else "text that is not YAML"
        found = " ".join(str(problem).split())
        self.faults.append(Fault(self.file, _line(mark), f"a YAML syntax error ({found})", "valid YAML", ""))


def _line(mark: _Mark | None) -> str:
    return "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"


def _resolve(text: str) -> Json:
    """The value of a plain scalar by the YAML 1.2 core schema."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _NOT_FINITE.fullmatch(text):
        return math.nan
    if _INT.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _integer(text: str) -> int | float:
    if len(text) > _MAX_NUMBER_CHARACTERS:
        return math.inf
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text, base)
