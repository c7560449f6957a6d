"""A reader that takes typed fields out of a parsed document and collects every fault on the way.

A field that is wrong yields a stand-in of its type, so that reading goes on; a record built from a document with faults is
thrown away by `finish`.
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Generic, TypeVar

from annotation_ops.domain.errors import Fault
from annotation_ops.domain.project.fingerprint import content_hash
from annotation_ops.domain.project.places import describe, index, join, listing, shown_key, suggestion
from annotation_ops.domain.project.strict_yaml import Json, read_yaml

IDENTIFIER = re.compile(r"[A-Za-z0-9._-]{1,128}")
VERSION = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.(?:0|[1-9][0-9]{0,8})){2}")

_DURATION = re.compile(r"([0-9]{1,6}) ?(m|h|d)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_MAX_TEXT = 4000
_MAX_SUGGESTIONS = 50
"""Comparing words is the only slow step; a document with more faults than this is not a matter of slips."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """One document: its record, or why there is none."""

    record: T | None
    version: str
    content_hash: str
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class Reader:
    """Reads one mapping of a document. Fields are asked for by name; `close` faults the names nobody asked for."""

    file: str
    path: str
    content: dict[str, Json]
    faults: list[Fault]
    asked: set[str] = field(default_factory=set)
    entries: dict[str, str] = field(default_factory=dict)
    """For a list of name-value entries read as a mapping: name -> place of its entry."""

    def place(self, key: str) -> str:
        if key in self.entries:
            return join(self.entries[key], "value")
        return join(self.path, shown_key(key))

    def fault(self, key: str, found: str, expected: str, mend: str = "") -> None:
        """Note a fault at one field, or at this mapping when `key` is empty."""
        self.faults.append(Fault(self.file, self.place(key) if key else self.path, found, expected, mend))

    def has(self, key: str) -> bool:
        """Whether the field is written and not null."""
        self.asked.add(key)
        return self.content.get(key) is not None

    def wrong(self, key: str, expected: str, mend: str = "") -> None:
        """Note that the field's value, whatever it is, is not what was expected."""
        self.asked.add(key)
        if key in self.content:
            self.fault(key, describe(self.content[key]), expected, mend)
            return
        near = suggestion(key, (name for name in self.content if name not in self.asked))
        self.fault(key, "nothing", expected, near or "Add the field.")

    def text(self, key: str, *, default: str | None = None) -> str:
        """One line or more of text; required without a default."""
        self.asked.add(key)
        if default is not None and key not in self.content:
            return default
        value = self.content.get(key)
        if isinstance(value, str) and value.strip() and len(value) <= _MAX_TEXT:
            return value
        mend = "Put it in quotes." if isinstance(value, int | float) else ""
        self.wrong(key, f"text of 1 to {_MAX_TEXT} characters", mend)
        return ""

    def matching(self, key: str, pattern: re.Pattern[str], expected: str, *, default: str | None = None) -> str:
        """Text that matches the whole pattern; required without a default."""
        self.asked.add(key)
        if default is not None and key not in self.content:
            return default
        value = self.content.get(key)
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        self.wrong(key, expected, "Put it in quotes." if isinstance(value, int | float) else "")
        return ""

    def identifier(self, key: str) -> str:
        """A required id: 1 to 128 letters, digits, dots, underscores or hyphens, and no path step."""
        value = self.matching(key, IDENTIFIER, IDENTIFIER_WORDS)
        if value in {".", ".."}:
            self.wrong(key, IDENTIFIER_WORDS)
        return value

    def optional_identifier(self, key: str) -> str | None:
        return self.identifier(key) if self.has(key) else None

    def optional_text(self, key: str) -> str | None:
        return self.text(key) if self.has(key) else None

    def version(self) -> str:
        return self.matching("version", VERSION, "a version of three numbers, such as '1.0.0'")

    def choice(self, key: str, options: Collection[str], *, default: str | None = None) -> str:
        """One of a closed set; required without a default."""
        self.asked.add(key)
        if default is not None and key not in self.content:
            return default
        value = self.content.get(key)
        if isinstance(value, str) and value in options:
            return value
        near = suggestion(value, options) if isinstance(value, str) else ""
        self.wrong(key, listing(options), near)
        return next(iter(options))

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._value(key, default)
        if isinstance(value, bool):
            return value
        self.wrong(key, "true or false")
        return default

    def integer(self, key: str, *, low: int, high: int, default: int | None = None) -> int:
        """A whole number in [low, high]; required without a default."""
        value = self._value(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.wrong(key, f"a whole number from {low:,} to {high:,}")
        return low

    def number(self, key: str, *, low: float, high: float, open_ends: str = "", default: float | None = None) -> float:
        """A number between low and high; `open_ends` names the ends that do not count: "low", "high" or "low high"."""
        value = self._value(key, default)
        if isinstance(value, int | float) and not isinstance(value, bool):
            above = value > low if "low" in open_ends else value >= low
            below = value < high if "high" in open_ends else value <= high
            if above and below:
                return float(value)
        ends = ("above" if "low" in open_ends else "from", "below" if "high" in open_ends else "to")
        self.wrong(key, f"a number {ends[0]} {low:g} {'and ' if ends[1] == 'below' else ''}{ends[1]} {high:g}")
        return high

    def duration(self, key: str, *, default: timedelta | None = None) -> timedelta:
        """A time span such as `90m`, `36h` or `2d`; required without a default."""
        self.asked.add(key)
        if default is not None and key not in self.content:
            return default
        value = self.content.get(key)
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match and int(match[1]):
            return timedelta(**{_UNITS[match[2]]: int(match[1])})
        self.wrong(key, "a time span in minutes, hours or days, such as 90m, 36h or 2d")
        return timedelta(1)

    def day(self, key: str) -> date:
        """A required calendar day."""
        self.asked.add(key)
        value = self.content.get(key)
        if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        self.wrong(key, "a day such as 2026-01-05")
        return date.min

    def identifiers(self, key: str) -> tuple[str, ...]:
        """A list of different ids; empty when the field is not written."""
        return self.texts(key, IDENTIFIER, IDENTIFIER_WORDS)

    def texts(self, key: str, pattern: re.Pattern[str] | None, expected: str) -> tuple[str, ...]:
        """A list of different texts that match the whole pattern; empty when the field is not written."""
        values = self._list(key)
        seen: set[str] = set()
        for position, value in enumerate(values):
            fits = isinstance(value, str) and 0 < len(value) <= _MAX_TEXT
            if not (fits and (pattern is None or pattern.fullmatch(str(value)))):
                mend = "Put it in quotes." if isinstance(value, int | float) else ""
                self.wrong_item(key, position, expected, mend)
            elif value in seen:
                self.wrong_item(key, position, "each value once", "Remove one of the two.")
            seen.add(str(value))
        return tuple(value for value in values if isinstance(value, str))

    def wrong_item(self, key: str, position: int, expected: str, mend: str = "") -> None:
        """Note that one item of the list at `key` is not what was expected."""
        found = describe(self._list(key)[position])
        self.faults.append(Fault(self.file, index(self.place(key), position), found, expected, mend))

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """A mapping of text to text, sorted by key; empty when the field is not written."""
        section = self.section(key, required=False)
        if section is None:
            return ()
        return tuple((name, section.text(name)) for name in sorted(section.content))

    def section(self, key: str, *, required: bool = True) -> "Reader | None":
        """The mapping at `key`; None when it is absent or no mapping (then faulted)."""
        self.asked.add(key)
        value = self.content.get(key)
        if isinstance(value, dict):
            return Reader(self.file, self.place(key), value, self.faults)
        if required or value is not None:
            self.wrong(key, "a mapping")
        return None

    def sections(self, key: str, *, required: bool = False) -> Iterator["Reader"]:
        """The mappings in the list at `key`; items that are no mappings are faulted and skipped."""
        if required and key not in self.content:
            self.wrong(key, "a list of mappings")
            return
        for position, value in enumerate(self._list(key)):
            place = index(self.place(key), position)
            if isinstance(value, dict):
                yield Reader(self.file, place, value, self.faults)
            else:
                self.faults.append(Fault(self.file, place, describe(value), "a mapping"))

    def ignore(self, *keys: str) -> None:
        """Accept fields that carry no meaning for this package."""
        self.asked.update(keys)

    def properties(self, key: str, *, foreign: str) -> "Reader":
        """The list of `property`-`value` entries at `key`, as one reader; entries with the field `foreign` belong to others."""
        mapping = Reader(self.file, self.place(key), {}, self.faults)
        for entry in self.sections(key):
            name = entry.content.get("property")
            if not isinstance(name, str) or entry.content.get(foreign) is not None:
                continue
            if name in mapping.content:
                entry.fault("property", f"{describe(name)} twice", "each property once", "Remove one of the two.")
            mapping.content[name] = entry.content.get("value")
            mapping.entries[name] = entry.path
        return mapping

    def close(self) -> None:
        """Fault every field that nobody asked for."""
        for key in self.content:
            if key not in self.asked:
                few = len(self.faults) < _MAX_SUGGESTIONS
                absent = (name for name in self.asked if name not in self.content)
                near = suggestion(key, sorted(absent)) if few else ""
                place = join(self.entries[key], "property") if key in self.entries else self.place(key)
                known = listing(sorted(self.asked))
                self.faults.append(Fault(self.file, place, "an unknown field", known, near or "Remove it."))

    def _value(self, key: str, default: Json) -> Json:
        self.asked.add(key)
        return default if key not in self.content and default is not None else self.content.get(key)

    def _list(self, key: str) -> list[Json]:
        self.asked.add(key)
        value = self.content.get(key)
        if value is None and key not in self.content:
            return []
        if isinstance(value, list):
            return value
        self.wrong(key, "a list")
        return []


IDENTIFIER_WORDS = "1 to 128 letters, digits, dots, underscores or hyphens"


def parse_document(text: str, read: Callable[[Reader], T], *, file: str) -> Parsed[T]:
    """Read a YAML document of one mapping through `read`, with every fault of form and content."""
    content, form = read_yaml(text, file=file)
    return parse_content(content, read, file=file, form=form)


def parse_content(content: Json, read: Callable[[Reader], T], *, file: str, form: tuple[Fault, ...] = ()) -> Parsed[T]:
    """The same for content that is parsed already; `form` are the faults found while parsing it."""
    faults = list(form)
    if not isinstance(content, dict):
        if not faults:
            faults.append(Fault(file, "", describe(content), "a mapping of fields"))
        return Parsed(None, "", "", tuple(faults))
    reader = Reader(file, "", content, faults)
    record = read(reader)
    reader.close()
    version = content.get("version")
    if faults:
        return Parsed(None, version if isinstance(version, str) else "", "", tuple(faults))
    return Parsed(record, str(version), content_hash(content), ())
