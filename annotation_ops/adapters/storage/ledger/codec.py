"""Values as both databases keep them exactly: whole microseconds, canonical JSON text, finite floats, plain text."""

import json
import math
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias

from annotation_ops.domain.errors import InvalidInput

Stored: TypeAlias = str | int | float | bool | None
"""What a column holds."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def text(value: str, place: str) -> str:
    """Raises InvalidInput for what PostgreSQL text cannot hold: NUL and lone surrogates."""
    if "\x00" in value:
        raise InvalidInput(f"{place}: found a NUL character in {value[:80]!r}, expected text without it. Remove it.")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(f"{place}: found a lone surrogate in {value[:80]!r}, expected Unicode text.") from error
    return str(value)


def optional_text(value: str | None, place: str) -> str | None:
    return None if value is None else text(value, place)


def escaped_text(value: str) -> str:
    """For text that was refused elsewhere and must be kept all the same: NUL and lone surrogates become escapes."""
    return value.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def microseconds(value: datetime, place: str) -> int:
    """Since 1970 UTC. Raises InvalidInput for a time without a timezone."""
    if value.tzinfo is None:
        raise InvalidInput(
            f"{place}: found {value.isoformat()} without a timezone, expected an aware time, e.g. in UTC."
        )
    return (value - EPOCH) // MICROSECOND


def optional_microseconds(value: datetime | None, place: str) -> int | None:
    return None if value is None else microseconds(value, place)


def moment(value: int) -> datetime:
    return EPOCH + timedelta(microseconds=value)


def optional_moment(value: int | None) -> datetime | None:
    return None if value is None else moment(value)


def day(value: str) -> date:
    return date.fromisoformat(value)


def optional_number(value: float | None, place: str) -> float | None:
    """Raises InvalidInput for NaN, which SQLite would turn into NULL, and for infinities."""
    if value is None:
        return None
    if not math.isfinite(value):
        raise InvalidInput(f"{place}: found {value}, expected a finite number. Write None for what is not known.")
    return float(value)


def json_text(value: object, place: str) -> str:
    """Sorted keys, ASCII, so that NUL and lone surrogates are escaped. Raises InvalidInput naming what JSON cannot say."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{place}: found a value that JSON cannot hold ({error}), expected JSON. Convert it."
        ) from error


def json_value(value: str) -> Any:
    return json.loads(value)
