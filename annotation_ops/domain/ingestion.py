"""What makes a raw object a sample: its name, its metadata, its content, measured against the data contract."""

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.contract import Contract, MetadataField
from annotation_ops.domain.records import JsonObject, Sample

SIDECAR_LIMIT = 65_536
"""Bytes of a metadata sidecar; metadata are facts about an item, not the item."""
VALUE_LIMIT = 4_096
"""Characters of one metadata value."""
NAME_LIMIT = 1_024
"""UTF-8 bytes of an object key: the limit of S3."""
CAPTURED_AT = "captured_at"
"""The metadata field that becomes `Sample.captured_at` (ISO 8601; UTC when it names no zone)."""

_READABLE = re.compile(r"[A-Za-z0-9._-]{1,100}")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode categories that a person cannot see or that turn the text around: control, bidi, surrogate, private use."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an object is not a sample. `code` is one of bad_name, bad_sidecar, too_large, media_type, undecodable, unsafe,
    too_many_pixels, too_many_characters, missing_metadata, bad_metadata, region."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class RawObject:
    """An object as it was read."""

    key: str
    uri: str
    digest: str
    """sha256 of its bytes, hex."""
    size: int
    media_type: str
    metadata: Mapping[str, str]


def sample_id(key: str) -> str:
    """`2026-11-23/w07_0001.png` -> `2026-11-23.w07_0001-<8 hex of sha256(key)>`; 32 hex of it for names beyond A-Za-z0-9._-/."""
    digest = sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
    folder, mark, name = key.rpartition("/")
    stem = name.rpartition(".")[0] or name
    readable = f"{folder}{mark}{stem}".replace("/", ".")
    return f"{readable}-{digest[:8]}" if _READABLE.fullmatch(readable) else digest[:32]


def shown(text: str, *, limit: int = 80) -> str:
    """Foreign text made safe to print, store and read: hidden characters escaped, long text cut."""
    escaped = "".join(ascii(c)[1:-1] if unicodedata.category(c) in _HIDDEN else c for c in text[: limit + 1])
    return escaped if len(text) <= limit else f"{escaped[:limit]}..."


def name_refusal(key: str) -> Refusal | None:
    """Refuses names that hide something from people or climb out of the folder."""
    if any(unicodedata.category(c) in _HIDDEN for c in key):
        fault = "control, bidirectional or undecodable characters"
    elif any(part in ("", ".", "..") for part in key.split("/")):
        fault = "an empty, '.' or '..' segment"
    elif len(key.encode()) > NAME_LIMIT:
        fault = f"{len(key.encode())} bytes, more than {NAME_LIMIT}"
    else:
        return None
    return Refusal("bad_name", f"the name has {fault}; expected plain segments separated by '/': rename the object")


def parse_metadata(body: bytes) -> dict[str, str]:
    """The flat JSON object of a sidecar as strings: numbers as JSON writes them, true/false, null = absent.

    Raises InvalidInput on anything else: duplicate names, NaN, nesting, text that is not UTF-8, more than 64 KiB.
    """
    if len(body) > SIDECAR_LIMIT:
        raise InvalidInput(f"found {len(body)} bytes of metadata, expected at most {SIDECAR_LIMIT}")
    try:
        document = json.loads(body.decode(), object_pairs_hook=_pairs, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidInput("found deeply nested metadata, expected a flat JSON object") from None
    except ValueError as error:
        raise InvalidInput(f"found metadata that is not strict JSON in UTF-8 ({error})") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"found metadata of type {type(document).__name__}, expected a flat JSON object")
    return {name: _text(name, value) for name, value in document.items() if value is not None}


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name occurs twice")
    return document


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    raise InvalidInput(
        f"field {shown(name)!r}: found {type(value).__name__}, expected a string, a finite number or true/false"
    )


def media_refusal(
    contract: Contract, *, media_type: str, width: int | None, height: int | None, characters: int | None
) -> Refusal | None:
    """Measures the content against the contract. Plain text satisfies any accepted `text/...` type."""
    is_text = media_type == "text/plain" and any(accepted.startswith("text/") for accepted in contract.media_types)
    if media_type not in contract.media_types and not is_text:
        expected = ", ".join(contract.media_types)
        return Refusal("media_type", f"found {media_type} content, expected one of {expected}")
    if width is not None and height is not None and width * height > contract.max_pixels:
        found = f"{width} x {height} = {width * height} pixels"
        return Refusal("too_many_pixels", f"found {found}, expected at most {contract.max_pixels}")
    if characters is not None and characters > contract.max_characters:
        return Refusal(
            "too_many_characters", f"found {characters} characters, expected at most {contract.max_characters}"
        )
    return None


def metadata_refusal(contract: Contract, metadata: Mapping[str, str]) -> Refusal | None:
    """The first way in which the metadata break the contract. Values of the subject field are never quoted."""
    for name, value in metadata.items():
        if len(value) > VALUE_LIMIT or any(unicodedata.category(c) in ("Cc", "Cs") for c in name + value):
            return Refusal(
                "bad_metadata",
                f"field {shown(name)!r}: expected at most {VALUE_LIMIT} characters without control characters",
            )
    for field in contract.metadata:
        secret = field.name == contract.subject_field
        if refusal := _field_refusal(field, metadata.get(field.name), secret=secret):
            return refusal
    return _region_refusal(contract, metadata)


def _field_refusal(field: MetadataField, value: str | None, *, secret: bool) -> Refusal | None:
    if value is None:
        missing = Refusal("missing_metadata", f"field {field.name!r} is required: add it to the object or its sidecar")
        return missing if field.required else None
    found = "a value" if secret else repr(shown(value))
    if field.pattern is not None and not re.fullmatch(field.pattern, value):
        return Refusal("bad_metadata", f"field {field.name!r}: found {found}, expected to match {field.pattern}")
    if field.allowed and value not in field.allowed:
        return Refusal(
            "bad_metadata", f"field {field.name!r}: found {found}, expected one of {', '.join(field.allowed)}"
        )
    return None


def _region_refusal(contract: Contract, metadata: Mapping[str, str]) -> Refusal | None:
    if contract.region_field is None:
        return None
    region = metadata.get(contract.region_field)
    if region is None:
        return Refusal("region", f"field {contract.region_field!r} is missing, so the item's region is unknown")
    if contract.allowed_regions and region not in contract.allowed_regions:
        allowed = ", ".join(contract.allowed_regions)
        return Refusal("region", f"found region {shown(region)!r}, expected one of {allowed}")
    return None


def admit(contract: Contract, item: RawObject, *, project: str, day: date) -> Sample | Refusal:
    """A sample, or why its metadata keep it from being one. `day` is the daily partition (UTC)."""
    if refusal := metadata_refusal(contract, item.metadata):
        return refusal
    captured_at: datetime | None = None
    if (stamp := item.metadata.get(CAPTURED_AT)) is not None:
        captured_at = _moment(stamp)
        if captured_at is None:
            found = repr(shown(stamp))
            return Refusal("bad_metadata", f"field {CAPTURED_AT!r}: found {found}, expected an ISO 8601 time")
    return Sample(
        sample_id=sample_id(item.key),
        project=project,
        uri=item.uri,
        digest=item.digest,
        size=item.size,
        media_type=item.media_type,
        day=day,
        captured_at=captured_at,
        slices={name: item.metadata[name] for name in contract.slice_fields if name in item.metadata},
        metadata=dict(item.metadata),
        region=item.metadata.get(contract.region_field) if contract.region_field else None,
        subject=item.metadata.get(contract.subject_field) if contract.subject_field else None,
    )


def _moment(stamp: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(stamp)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def canonical_json(document: Mapping[str, str] | JsonObject) -> str:
    """One text for one content: sorted names, no spaces."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def listing_digest(lines: Iterable[tuple[str, ...]]) -> str:
    """32 hex over rows in the order given; differs whenever any row does."""
    digest = sha256()
    for line in lines:
        digest.update(json.dumps(line).encode())
    return digest.hexdigest()[:32]
