"""What other systems are told: audit entries as public events. Only listed fields leave, whatever else an entry holds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from annotation_ops.domain.audit import canonical_json
from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.records import AuditEntry, JsonObject

MAX_BODY = 20_000
"""Bytes; the Standard Webhooks specification asks for payloads under 20 kB."""


@dataclass(frozen=True, slots=True)
class Told:
    """One kind of audit entry: the public type it is told as, and the details that go with it.

    Not among the details: what a person wrote freely (reasons of overrides), who did it, and content of labels.
    """

    type: str
    fields: tuple[str, ...]


_INCIDENT = ("model", "model_version", "metric", "slices", "run", "budget", "reason")
_COMPLETED = ("annotations", "missing", "missing_by_person")

TOLD: Mapping[str, Told] = {
    "batch.dispatched": Told("batch.dispatched", ("tasks", "due_at")),
    "batch.completed": Told("batch.completed", _COMPLETED),
    "batch.overdue": Told("batch.completed", _COMPLETED),
    "batch.requeued": Told("batch.requeued", ("tasks",)),
    "batch.held": Told("batch.held", ("from",)),
    "batch.released": Told("batch.released", ("to",)),
    "batch.escalated": Told("batch.escalated", ("why", "round")),
    "verdict.recorded": Told("verdict.recorded", ("outcome", "criteria", "reasons")),
    "verdict.overridden": Told("verdict.overridden", ("from", "to")),
    "labels.committed": Told("labels.committed", ("commit", "labels")),
    "labels.published": Told("labels.published", ("commit", "labels", "revision")),
    "stage.settled": Told("stage.settled", ("about", "result")),
    "audit.settled": Told("audit.settled", ("about", "audited", "errors", "outcome")),
    "incident.opened": Told("incident.opened", _INCIDENT),
    "incident.resolved": Told("incident.closed", _INCIDENT),
    "incident.unresolved": Told("incident.closed", _INCIDENT),
}
"""Audit event -> what is told of it."""

EVENTS = tuple(dict.fromkeys(told.type for told in TOLD.values()))
"""The public types an endpoint may ask for."""

PING = "ping"
"""The type of a test message; every endpoint gets it when a person asks for it, none by itself."""


@dataclass(frozen=True, slots=True)
class PublicEvent:
    type: str
    audit_seq: int
    body: str
    """The exact text that is signed and sent: JSON, ASCII, under MAX_BODY bytes."""


def public_event(entry: AuditEntry, *, project: str) -> PublicEvent | None:
    """The entry as it is told; None when it is about another project or nobody else's business.

    Raises InvalidInput when the body is not an audit body.
    """
    try:
        said = json.loads(entry.body)
        told, details = TOLD.get(said["event"]), said["details"]
        if told is None or details.get("project") != project:
            return None
        known = {"project": project, "subject": said["subject"], "audit_event": said["event"], "audit_seq": entry.seq}
        data = known | {name: details[name] for name in told.fields if name in details}
        return PublicEvent(told.type, entry.seq, message_body(told.type, said["at"], data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(
            f"audit entry {entry.seq}: found a body that is no audit body, expected event, subject, at and details. "
            "Run `annotation-ops audit verify`: the chain was changed."
        ) from error


def message_body(type: str, timestamp: str, data: JsonObject) -> str:
    """`{"type", "timestamp", "data"}` as canonical JSON. The largest fields of `data` are left out, and named in
    `data.left_out`, as long as the text would be over MAX_BODY bytes."""
    kept, left_out = dict(data), list[str]()
    while True:
        told = kept | ({"left_out": sorted(left_out)} if left_out else {})
        body = canonical_json({"type": type, "timestamp": timestamp, "data": told})
        if len(body) < MAX_BODY:
            return body
        largest = max(kept, key=lambda name: len(json.dumps(kept[name])))
        left_out.append(largest)
        del kept[largest]
