import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.ingestion import (
    RawObject,
    Refusal,
    admit,
    media_refusal,
    metadata_refusal,
    name_refusal,
    parse_metadata,
    sample_id,
    shown,
)
from annotation_ops.domain.project.contract import Contract, MetadataField
from annotation_ops.domain.records import Sample

CONTRACT = Contract(
    version="1.0.0",
    project="digits",
    task_type="classification",
    media="image",
    media_types=("image/png",),
    max_bytes=1_000,
    max_pixels=64,
    max_characters=10,
    metadata=(
        MetadataField("writer", required=True, pattern="w[0-9]+", allowed=(), slice=False),
        MetadataField("scanner", required=False, pattern=None, allowed=("a", "b"), slice=True),
    ),
    region_field="region",
    allowed_regions=("eu",),
    subject_field="writer",
    sla=timedelta(hours=24),
    owner="team:x",
)
GOOD = {"writer": "w1", "scanner": "a", "region": "eu"}


def admitted(metadata: dict[str, str], contract: Contract = CONTRACT) -> Sample | Refusal:
    item = RawObject("2026-11-23/a.png", "file:///a.png", "d" * 64, 10, "image/png", metadata)
    return admit(contract, item, project="digits", day=date(2026, 11, 23))


def code(refusal: Refusal | Sample | None) -> str | None:
    return refusal.code if isinstance(refusal, Refusal) else None


def test_a_sample_id_is_the_name_with_a_piece_of_its_hash() -> None:
    digest = sha256(b"2026-11-23/w07_0001.png").hexdigest()

    assert sample_id("2026-11-23/w07_0001.png") == f"2026-11-23.w07_0001-{digest[:8]}"


@pytest.mark.parametrize("key", ["a b.png", "zoë.png", "x" * 105 + ".png", "day/ü/1.png"])
def test_a_name_beyond_the_plain_letters_becomes_its_hash(key: str) -> None:
    assert sample_id(key) == sha256(key.encode()).hexdigest()[:32]


@pytest.mark.parametrize("pair", [("a/b.png", "a.b.png"), ("a.png", "a.jpg"), ("a", "a.png"), (".png", "png")])
def test_names_that_read_alike_have_different_ids(pair: tuple[str, str]) -> None:
    assert sample_id(pair[0]) != sample_id(pair[1])


@given(st.text(min_size=1))
def test_every_name_has_an_id_that_any_system_can_store(key: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]{10,109}", sample_id(key))


@pytest.mark.parametrize(
    "key",
    [
        "a\0b",
        "a\nb",
        "invoice\u202egnp.exe",
        "a\u200bb",
        "\udcff.png",
        "../a",
        "a/../b",
        "a//b",
        "/a",
        "a/",
        "x" * 1_025,
        ".",
    ],
)
def test_names_that_hide_or_climb_are_refused(key: str) -> None:
    refusal = name_refusal(key)

    assert code(refusal) == "bad_name"
    assert refusal is not None
    refusal.reason.encode()


@pytest.mark.parametrize("key", ["2026-11-23/w07_0001.png", "zoë und 日本.png", "a b/c(1).png", "..a", "x" * 1_024])
def test_ordinary_names_pass(key: str) -> None:
    assert name_refusal(key) is None


@given(st.text(st.characters(), max_size=200))
def test_shown_text_can_always_be_stored_and_printed(text: str) -> None:
    printed = shown(text)

    assert printed.encode().decode() == printed
    assert len(printed) <= 83 or len(text) <= 80
    assert "\n" not in printed
    assert "\u202e" not in printed


def test_metadata_become_strings_as_json_writes_them() -> None:
    body = b'{"a": "x", "b": 3, "c": 2.5, "d": true, "e": null, "f": ""}'

    assert parse_metadata(body) == {"a": "x", "b": "3", "c": "2.5", "d": "true", "f": ""}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "finite"),
        (b'{"a": [1]}', "found list"),
        (b'{"a": {"b": 1}}', "found dict"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b"[1]", "list"),
        (b"null", "NoneType"),
        (b"", "strict JSON"),
        (b'{"a": 1} x', "strict JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "strict JSON"),
        (b"[" * 60_000, "nested"),
        (b'{"a":' * 12_000, "nested"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "strict JSON"),
        (b'{"a": "' + b"x" * 70_000 + b'"}', "at most 65536"),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else value,
)
def test_junk_metadata_are_refused(body: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse_metadata(body)


@given(
    st.dictionaries(
        st.text(), st.one_of(st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False))
    )
)
def test_any_flat_object_is_read(document: dict[str, object]) -> None:
    assert set(parse_metadata(json.dumps(document).encode())) == set(document)


@given(st.binary(max_size=200))
def test_any_bytes_give_metadata_or_a_refusal(body: bytes) -> None:
    try:
        metadata = parse_metadata(body)
    except InvalidInput:
        return
    assert all(isinstance(value, str) for value in metadata.values())


def test_a_sample_carries_slices_region_and_subject_from_its_metadata() -> None:
    sample = admitted(GOOD | {"captured_at": "2026-11-22T23:30:00-01:00", "note": "free"})

    assert isinstance(sample, Sample)
    assert sample.slices == {"scanner": "a"}
    assert (sample.region, sample.subject) == ("eu", "w1")
    assert sample.captured_at == datetime(2026, 11, 23, 0, 30, tzinfo=UTC)
    assert sample.metadata["note"] == "free"


def test_a_capture_time_without_a_zone_is_utc() -> None:
    sample = admitted(GOOD | {"captured_at": "2026-11-22T23:30:00"})

    assert isinstance(sample, Sample)
    assert sample.captured_at == datetime(2026, 11, 22, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (GOOD, None),
        ({"writer": "w1", "region": "eu"}, None),
        ({"scanner": "a", "region": "eu"}, "missing_metadata"),
        (GOOD | {"writer": "w1x"}, "bad_metadata"),
        (GOOD | {"scanner": "c"}, "bad_metadata"),
        (GOOD | {"note": "a\x00b"}, "bad_metadata"),
        (GOOD | {"note": "\ud800"}, "bad_metadata"),
        (GOOD | {"note": "x" * 4_097}, "bad_metadata"),
        (GOOD | {"captured_at": "yesterday"}, "bad_metadata"),
        (GOOD | {"captured_at": "0001-01-01T00:00:00+14:00"}, "bad_metadata"),
        (GOOD | {"region": "us"}, "region"),
        ({"writer": "w1"}, "region"),
    ],
)
def test_metadata_are_measured_against_the_contract(metadata: dict[str, str], expected: str | None) -> None:
    assert code(admitted(metadata)) == expected


def test_a_project_without_a_residency_rule_asks_for_no_region() -> None:
    assert metadata_refusal(replace(CONTRACT, region_field=None), {"writer": "w1"}) is None


def test_the_reason_never_quotes_a_subject() -> None:
    refusal = admitted(GOOD | {"writer": "Jane Doe"})

    assert isinstance(refusal, Refusal)
    assert "Jane" not in refusal.reason


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"media_type": "image/png", "width": 8, "height": 8}, None),
        ({"media_type": "image/png", "width": 8, "height": 9}, "too_many_pixels"),
        ({"media_type": "image/jpeg", "width": 8, "height": 8}, "media_type"),
        ({"media_type": "text/plain", "characters": 5}, "media_type"),
    ],
)
def test_content_is_measured_against_the_contract(facts: dict[str, Any], expected: str | None) -> None:
    empty: dict[str, Any] = {"width": None, "height": None, "characters": None}

    assert code(media_refusal(CONTRACT, **empty | facts)) == expected


@pytest.mark.parametrize(("characters", "expected"), [(10, None), (11, "too_many_characters")])
def test_text_satisfies_any_text_type_up_to_the_limit(characters: int, expected: str | None) -> None:
    contract = replace(CONTRACT, media="text", media_types=("text/markdown",))

    found = media_refusal(contract, media_type="text/plain", width=None, height=None, characters=characters)
    assert code(found) == expected
