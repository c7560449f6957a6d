"""The audit chain: whatever is changed in it, is found, and the first bad entry is named."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.audit import (
    GENESIS,
    Checkpoint,
    FaultKind,
    append,
    parse_checkpoint,
    recorded_at,
    verify,
)
from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.records import AuditEntry, JsonObject

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.text(max_size=8)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
LENGTH = 8


def chain(length: int, *, actor: str = "system") -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    for number in range(length):
        entries.append(entry_after(entries[-1] if entries else None, {"number": number}, actor=actor))
    return entries


def entry_after(previous: AuditEntry | None, details: JsonObject, *, actor: str = "system") -> AuditEntry:
    return append(previous, at=NOW, actor=actor, event="batch.planned", subject="b1", details=details)


def head_of(entries: Sequence[AuditEntry]) -> Checkpoint:
    return Checkpoint(entries[-1].seq, entries[-1].hash)


WHOLE = chain(LENGTH)
PLACES = st.integers(0, LENGTH - 1)


def test_the_first_entry_has_a_known_body_and_hash() -> None:
    entry = append(None, at=NOW, actor="ann-1", event="e.v", subject="s/ü", details={"b": [1, None, True], "a": "x"})

    assert entry.body == (
        '{"actor":"ann-1","at":"2026-11-23T09:00:00.000000+00:00","details":{"a":"x","b":[1,null,true]},'
        f'"event":"e.v","prev":"{GENESIS}","seq":1,"subject":"s/\\u00fc"}}'
    )
    assert entry.hash == hashlib.sha256(entry.body.encode("ascii")).hexdigest()


def test_each_entry_holds_the_hash_of_the_one_before() -> None:
    first, second = WHOLE[:2]

    assert json.loads(second.body)["prev"] == first.hash
    assert (first.seq, second.seq) == (1, 2)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_any_json_without_floats_is_chained_and_read_back(details: JsonObject) -> None:
    entry = entry_after(WHOLE[-1], details)

    assert json.loads(entry.body)["details"] == details
    assert verify([*WHOLE, entry]) is None


@pytest.mark.parametrize(
    ("details", "path"),
    [
        ({"alpha": 0.8}, r"details\.alpha: found the float 0\.8"),
        ({"a": [{"b": [1, float("nan")]}]}, r"details\.a\[0\]\.b\[1\]: found the float nan"),
        ({"a": {1: "x"}}, r"details\.a: found the key 1"),
        ({"a": b"x"}, r"details\.a: found a bytes"),
        ({"a": (1, NOW)}, r"details\.a\[1\]: found a datetime"),
        ({"a": -(2**63)}, r"details\.a: found an integer beyond 64 bits"),
    ],
)
def test_what_an_audit_body_must_not_hold_is_refused_with_its_path(details: JsonObject, path: str) -> None:
    with pytest.raises(InvalidInput, match=path):
        entry_after(None, details)


def test_details_nested_without_end_are_refused() -> None:
    details: JsonObject = {}
    details["again"] = details

    with pytest.raises(InvalidInput, match="levels of nesting"):
        entry_after(None, details)


def test_times_are_written_in_utc_with_microseconds() -> None:
    at = datetime(2026, 11, 23, 14, 30, 0, 5, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    entry = append(None, at=at, actor="a", event="e", subject="s", details={})

    assert '"at":"2026-11-23T09:00:00.000005+00:00"' in entry.body
    assert recorded_at(entry) == at


def test_a_time_without_a_timezone_is_refused() -> None:
    with pytest.raises(InvalidInput, match="without a timezone"):
        append(None, at=NOW.replace(tzinfo=None), actor="a", event="e", subject="s", details={})


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"at": 5}', '{"at": "yesterday"}'])
def test_an_unreadable_time_names_the_entry(body: str) -> None:
    with pytest.raises(InvalidInput, match="audit entry 9"):
        recorded_at(AuditEntry(9, body, ""))


def test_a_whole_chain_has_no_fault() -> None:
    assert verify([]) is None
    assert verify(WHOLE) is None
    assert verify(iter(WHOLE), expect_head=head_of(WHOLE)) is None


@given(PLACES, st.data())
def test_one_changed_bit_of_a_body_is_found(place: int, data: st.DataObject) -> None:
    raw = bytearray(WHOLE[place].body.encode())
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= 1 << data.draw(st.integers(0, 6))

    fault = verify(replaced(place, replace(WHOLE[place], body=raw.decode())))

    assert fault is not None
    assert (fault.seq, fault.kind) == (place + 1, FaultKind.CHANGED)


@given(PLACES, st.integers(0, 63), st.sampled_from("0123456789abcdef"))
def test_one_changed_character_of_a_hash_is_found(place: int, position: int, character: str) -> None:
    digest = WHOLE[place].hash
    changed = digest[:position] + character + digest[position + 1 :]

    fault = verify(replaced(place, replace(WHOLE[place], hash=changed)))

    assert (fault is None) == (changed == digest)
    assert fault is None or (fault.seq, fault.kind) == (place + 1, FaultKind.CHANGED)


@given(PLACES, st.integers(-3, LENGTH + 3))
def test_a_changed_number_is_found(place: int, seq: int) -> None:
    fault = verify(replaced(place, replace(WHOLE[place], seq=seq)))

    assert (fault is None) == (seq == place + 1)
    assert fault is None or fault.seq == place + 1


@given(st.integers(0, LENGTH - 2))
def test_an_entry_rewritten_with_a_fitting_hash_is_found_by_the_next_one(place: int) -> None:
    forged = entry_after(WHOLE[place - 1] if place else None, {"number": "forged"})

    fault = verify(replaced(place, forged))

    assert fault is not None
    assert (fault.seq, fault.kind) == (place + 1, FaultKind.CHANGED)


@given(st.integers(0, LENGTH - 2))
def test_a_removed_entry_is_missing(place: int) -> None:
    fault = verify(WHOLE[:place] + WHOLE[place + 1 :])

    assert fault is not None
    assert (fault.seq, fault.kind) == (place + 1, FaultKind.MISSING)


@given(st.integers(0, LENGTH - 1), st.integers(1, 3))
def test_an_entry_told_twice_is_out_of_order(place: int, times: int) -> None:
    fault = verify(WHOLE[: place + 1] + [WHOLE[place]] * times + WHOLE[place + 1 :])

    assert fault is not None
    assert (fault.seq, fault.kind) == (place + 2, FaultKind.REORDERED)


@given(st.permutations(range(LENGTH)))
def test_any_other_order_is_found_at_its_first_displaced_entry(order: Sequence[int]) -> None:
    fault = verify([WHOLE[place] for place in order])

    displaced = [place for place, found in enumerate(order) if place != found]
    assert (fault is None) == (not displaced)
    assert fault is None or (fault.seq, fault.kind) == (displaced[0] + 1, FaultKind.REORDERED)


@given(st.lists(PLACES, min_size=2, max_size=2, unique=True).map(sorted))
def test_two_texts_that_changed_places_under_their_numbers_are_found(places: list[int]) -> None:
    first, second = places
    swapped = replaced(first, replace(WHOLE[second], seq=first + 1))
    swapped[second] = replace(WHOLE[first], seq=second + 1)

    fault = verify(swapped)

    assert fault is not None
    assert (fault.seq, fault.kind) == (first + 1, FaultKind.REORDERED)


@given(st.integers(0, LENGTH - 1))
def test_a_cut_tail_is_seen_against_the_expected_head_only(kept: int) -> None:
    cut = WHOLE[:kept]

    assert verify(cut) is None
    fault = verify(cut, expect_head=head_of(WHOLE))
    assert fault is not None
    assert (fault.seq, fault.kind) == (kept + 1, FaultKind.TRUNCATED)


def test_a_chain_written_anew_is_seen_against_the_expected_head_only() -> None:
    anew = chain(LENGTH + 2, actor="intruder")

    assert verify(anew) is None
    fault = verify(anew, expect_head=head_of(WHOLE))
    assert fault is not None
    assert (fault.seq, fault.kind) == (LENGTH, FaultKind.CHANGED)


@given(st.integers(1, LENGTH))
def test_a_chain_that_grew_since_the_checkpoint_is_whole(seen: int) -> None:
    assert verify(WHOLE, expect_head=head_of(WHOLE[:seen])) is None


@pytest.mark.parametrize("body", ["not json", "[1]", "7", '{"seq": 1}'])
def test_a_text_with_a_fitting_hash_that_is_no_audit_body_is_found(body: str) -> None:
    fault = verify([AuditEntry(1, body, hashlib.sha256(body.encode()).hexdigest())])

    assert fault is not None
    assert (fault.seq, fault.kind) == (1, FaultKind.CHANGED)


def test_a_checkpoint_reads_as_it_is_shown() -> None:
    assert parse_checkpoint(str(head_of(WHOLE))) == head_of(WHOLE)


@pytest.mark.parametrize("text", ["", "8", "8:", ":" + "0" * 64, "8:" + "0" * 63, "-1:" + "0" * 64, "8:" + "Z" * 64])
def test_a_misspelt_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="SEQ:HASH"):
        parse_checkpoint(text)


def replaced(place: int, entry: AuditEntry) -> list[AuditEntry]:
    return [*WHOLE[:place], entry, *WHOLE[place + 1 :]]
