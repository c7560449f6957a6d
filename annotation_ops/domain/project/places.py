"""How a place inside a document, and what was found there, are written for a person."""

import difflib
from collections.abc import Iterable

_SHOWN = 60
_COMPARED = 64
"""Longer words are no slips of the pen, and comparing them costs their length squared."""


def join(path: str, key: str) -> str:
    """`labels[2]` and `name` -> `labels[2].name`."""
    return f"{path}.{key}" if path else key


def index(path: str, position: int) -> str:
    """`labels` and 2 -> `labels[2]`."""
    return f"{path}[{position}]"


def shown_key(key: str) -> str:
    """A key as it is shown in a path: as it is when it is short and printable."""
    return key if key.isprintable() and len(key) <= _SHOWN else _shorten(ascii(key))


def describe(value: object) -> str:
    """A found value in a few words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _shorten(repr(value) if value.isprintable() else ascii(value))
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a mapping"
    return f"the number {value}"


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def listing(names: Iterable[str]) -> str:
    """`a, b or c`, at most twelve of them."""
    shown = list(names)
    if len(shown) > 12:
        return ", ".join(shown[:12]) + f" ... ({len(shown)} in all)"
    return " or ".join((", ".join(shown[:-1]), shown[-1])) if len(shown) > 1 else "".join(shown)


def suggestion(word: str, known: Iterable[str]) -> str:
    """`Did you mean 'threshold'?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word[:_COMPARED], list(known), n=1)
    return f"Did you mean {near[0]!r}?" if near else ""
