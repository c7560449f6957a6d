"""The audit chain: entries that each hold the hash of the one before, so that no later change stays unseen.

An entry's `body` is the exact text that was hashed: JSON with sorted keys, ASCII only, integers but no floats, holding
`seq`, `prev` (the hash before it), `at`, `actor`, `event`, `subject` and `details`. Verification hashes the stored text
again and needs no canonical form. A chain cannot show by itself that its tail was cut or that all of it was written
anew: for that, keep a `Checkpoint` where the writer cannot change it.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.records import AuditEntry, JsonObject

GENESIS = "0" * 64
"""The `prev` of the first entry."""

MAX_DEPTH = 32
"""Levels of nesting in `details`; far below Python's recursion limit."""

MAX_INTEGER = 2**63 - 1
"""Every JSON reader keeps integers to this size; beyond it some round."""


class FaultKind(StrEnum):
    CHANGED = "changed"
    """The text does not have the recorded hash, or not the hash that the next entry was chained to."""
    MISSING = "missing"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    """The chain ends before the expected head."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A chain's head as it was seen at some time: `seq` 0 with GENESIS is the empty chain."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True)
class ChainFault:
    """The first entry at which a chain is not whole."""

    seq: int
    kind: FaultKind
    text: str

    def __str__(self) -> str:
        return f"audit entry {self.seq} {self.kind}: {self.text}"


def parse_checkpoint(text: str) -> Checkpoint:
    """`12:<64 hex>` -> Checkpoint. Raises InvalidInput."""
    seq, _, digest = text.partition(":")
    if not (seq.isascii() and seq.isdecimal() and len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
        raise InvalidInput(
            f"found the checkpoint {text!r}, expected SEQ:HASH with a hash of 64 lower-case hex characters. "
            "Take it from the output of `annotation-ops audit verify`."
        )
    return Checkpoint(int(seq), digest)


def append(
    previous: AuditEntry | None, *, at: datetime, actor: str, event: str, subject: str, details: JsonObject
) -> AuditEntry:
    """The entry that follows `previous` (None: the first of a chain).

    `at` is timezone-aware and written in UTC with microseconds. Raises InvalidInput naming the path of a float, of a
    value that JSON does not know, or of an integer beyond 64 bits.
    """
    if at.tzinfo is None:
        raise InvalidInput(
            f"at: found {at.isoformat()} without a timezone, expected an aware time. Use datetime.now(UTC)."
        )
    seq = previous.seq + 1 if previous else 1
    body = canonical_json(
        {
            "seq": seq,
            "prev": previous.hash if previous else GENESIS,
            "at": at.astimezone(UTC).isoformat(timespec="microseconds"),
            "actor": actor,
            "event": event,
            "subject": subject,
            "details": details,
        }
    )
    return AuditEntry(seq, body, digest_of(body))


def digest_of(body: str) -> str:
    """sha256 of the body's UTF-8 bytes, hex; a lone surrogate, which no writer here makes, counts as its own three bytes."""
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()


def recorded_at(entry: AuditEntry) -> datetime:
    """The time inside an entry's body (UTC). Raises InvalidInput when the body is not an audit body."""
    try:
        return datetime.fromisoformat(json.loads(entry.body)["at"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInput(
            f"audit entry {entry.seq}: found a body without a readable time, expected the field `at`. "
            "Run `annotation-ops audit verify`: the chain was changed."
        ) from error


def canonical_json(document: JsonObject) -> str:
    """Sorted keys, no spaces, ASCII. Raises InvalidInput naming the path of what an audit body must not hold."""
    for key, value in document.items():
        _check(value, str(key), depth=0)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _check(value: object, path: str, *, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidInput(f"{path[:80]}: found more than {MAX_DEPTH} levels of nesting, expected a flat record.")
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise InvalidInput(f"{path}: found the key {key!r}, expected a string. Write it as text.")
            _check(inner, f"{path}.{key}", depth=depth + 1)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            _check(inner, f"{path}[{index}]", depth=depth + 1)
    else:
        _check_scalar(value, path)


def _check_scalar(value: object, path: str) -> None:
    if isinstance(value, float):
        raise InvalidInput(
            f"{path}: found the float {value!r}, expected text or an integer, as floats have more than one spelling. "
            "Write it as text, or scale it to an integer."
        )
    if value is not None and not isinstance(value, str | int):
        raise InvalidInput(f"{path}: found a {type(value).__name__}, expected a JSON value. Convert it first.")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise InvalidInput(f"{path}: found an integer beyond 64 bits, expected a smaller one. Write it as text.")


def verify(entries: Iterable[AuditEntry], *, expect_head: Checkpoint | None = None) -> ChainFault | None:
    """The first fault of a whole chain given in its stored order, or None.

    Reads `entries` once, keeping one of them at a time. The chain may have grown since `expect_head` was taken.
    """
    stream = iter(entries)
    last = Checkpoint(0, GENESIS)
    for entry in stream:
        fault = _fault_after(last, entry) or _fault_against(expect_head, entry)
        if fault is not None and fault.kind is FaultKind.MISSING and any(later.seq == fault.seq for later in stream):
            return ChainFault(fault.seq, FaultKind.REORDERED, f"found it after entry {entry.seq}, expected it before.")
        if fault is not None:
            return fault
        last = Checkpoint(entry.seq, entry.hash)
    if expect_head is not None and last.seq < expect_head.seq:
        text = f"found the chain's end after entry {last.seq}, expected entries up to {expect_head}."
        return ChainFault(last.seq + 1, FaultKind.TRUNCATED, text)
    return None


def _fault_after(last: Checkpoint, entry: AuditEntry) -> ChainFault | None:
    seq = last.seq + 1
    if entry.seq > seq:
        return ChainFault(seq, FaultKind.MISSING, f"found entry {entry.seq} after entry {last.seq}.")
    if entry.seq < seq:
        return ChainFault(seq, FaultKind.REORDERED, f"found entry {entry.seq} in its place.")
    if digest_of(entry.body) != entry.hash:
        return ChainFault(
            seq, FaultKind.CHANGED, f"its text hashes to {digest_of(entry.body)}, recorded is {entry.hash}."
        )
    body = _parsed(entry.body)
    if body is None:
        return ChainFault(seq, FaultKind.CHANGED, "its text is not an audit body.")
    if body.get("seq") != seq:
        return ChainFault(seq, FaultKind.REORDERED, f"found the text of entry {body.get('seq')} in its place.")
    if body.get("prev") != last.hash:
        return ChainFault(
            max(last.seq, 1), FaultKind.CHANGED, f"entry {seq} was chained to {body.get('prev')}, found {last.hash}."
        )
    return None


def _fault_against(expected: Checkpoint | None, entry: AuditEntry) -> ChainFault | None:
    if expected is None or entry.seq != expected.seq or entry.hash == expected.hash:
        return None
    text = f"its hash is {entry.hash}, the checkpoint says {expected.hash}: it, or entries before it, were rewritten."
    return ChainFault(entry.seq, FaultKind.CHANGED, text)


def _parsed(body: str) -> JsonObject | None:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None
