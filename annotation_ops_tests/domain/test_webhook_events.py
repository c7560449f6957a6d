"""What is told of an audit entry, and what is not."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.audit import append
from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.records import AuditEntry, JsonObject
from annotation_ops.domain.webhook_events import EVENTS, MAX_BODY, TOLD, public_event

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def entry(event: str, actor: str = "system", **details: object) -> AuditEntry:
    return append(None, at=NOW, actor=actor, event=event, subject="b.a1", details={"project": "digits", **details})


def told(one: AuditEntry, *, project: str = "digits") -> JsonObject:
    event = public_event(one, project=project)
    assert event is not None
    document: JsonObject = json.loads(event.body)
    assert (document["type"], document["data"]["audit_seq"]) == (event.type, event.audit_seq)
    return document


def test_an_entry_is_told_with_its_time_its_subject_and_its_details() -> None:
    document = told(entry("labels.published", commit="c1", labels=60, revision=1))

    assert document == {
        "type": "labels.published",
        "timestamp": "2026-11-23T12:00:00.000000+00:00",
        "data": {
            "project": "digits",
            "subject": "b.a1",
            "audit_event": "labels.published",
            "audit_seq": 1,
            "commit": "c1",
            "labels": 60,
            "revision": 1,
        },
    }


@pytest.mark.parametrize(
    ("event", "type"),
    [
        ("batch.completed", "batch.completed"),
        ("batch.overdue", "batch.completed"),
        ("incident.resolved", "incident.closed"),
        ("incident.unresolved", "incident.closed"),
    ],
)
def test_an_end_is_one_event_whatever_way_it_ended_and_says_which(event: str, type: str) -> None:
    document = told(entry(event))

    assert (document["type"], document["data"]["audit_event"]) == (type, event)


def test_what_a_person_wrote_and_who_it_was_is_not_told() -> None:
    document = told(
        entry("verdict.overridden", actor="person:dana", **{"from": "FAIL", "to": "PASS", "reason": "as Kim asked"})
    )

    assert (document["data"]["from"], document["data"]["to"]) == ("FAIL", "PASS")
    assert "dana" not in json.dumps(document)
    assert "Kim" not in json.dumps(document)


@pytest.mark.parametrize("event", sorted(TOLD))
def test_a_field_that_is_not_listed_never_leaves(event: str) -> None:
    document = told(entry(event, answer={"label": "7"}, email="kim@example.com"))

    assert set(document["data"]) == {"project", "subject", "audit_event", "audit_seq"}


@pytest.mark.parametrize(
    "event", ["annotations.collected", "samples.ingested", "webhook.disabled", "tasks.created", ""]
)
def test_what_is_nobody_else_s_business_is_not_told(event: str) -> None:
    assert public_event(entry(event), project="digits") is None


def test_another_project_s_entries_are_not_told() -> None:
    assert public_event(entry("labels.published"), project="reviews") is None


@given(
    st.dictionaries(
        st.sampled_from(TOLD["incident.opened"].fields),
        st.text(max_size=30_000) | st.lists(st.text(max_size=200), max_size=300) | st.integers(-(2**60), 2**60),
    )
)
def test_a_message_stays_below_its_limit_and_names_what_was_left_out(details: JsonObject) -> None:
    one = entry("incident.opened", **details)
    event = public_event(one, project="digits")

    assert event is not None
    assert event.body.isascii()
    assert len(event.body) < MAX_BODY
    data = json.loads(event.body)["data"]
    left_out = data.get("left_out", [])
    assert {name: data[name] for name in details if name not in left_out} == {
        name: value for name, value in details.items() if name not in left_out
    }


@pytest.mark.parametrize("body", ["", "no json", "[]", "{}", '{"event": "labels.published"}', '{"event": []}'])
def test_a_body_that_is_no_audit_body_is_refused_with_its_number(body: str) -> None:
    with pytest.raises(InvalidInput, match="audit entry 7"):
        public_event(AuditEntry(7, body, "0" * 64), project="digits")


def test_the_public_list_is_small_and_stable() -> None:
    assert EVENTS == (
        "batch.dispatched",
        "batch.completed",
        "batch.requeued",
        "batch.held",
        "batch.released",
        "batch.escalated",
        "verdict.recorded",
        "verdict.overridden",
        "labels.committed",
        "labels.published",
        "stage.settled",
        "audit.settled",
        "incident.opened",
        "incident.closed",
    )
