"""One unit of work on the ledger."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from annotation_ops.adapters.storage.ledger import delivery_log, insertion, rows
from annotation_ops.adapters.storage.ledger.codec import microseconds, text
from annotation_ops.adapters.storage.ledger.insertion import AppendOnly, insert
from annotation_ops.adapters.storage.ledger.reads import attempt as read_attempt
from annotation_ops.adapters.storage.ledger.rows import Row
from annotation_ops.adapters.storage.ledger.tables import (
    ACCESS_TOKENS,
    ASSIGNMENTS,
    ATTEMPTS,
    AUDIT,
    CURSORS,
    INCIDENTS,
    TASKS,
)
from annotation_ops.domain.access import AccessToken
from annotation_ops.domain.audit import append, recorded_at
from annotation_ops.domain.batches import STAGES, BatchState, attempt_key
from annotation_ops.domain.deliveries import Delivery
from annotation_ops.domain.errors import Conflict, NotFound, PermanentError
from annotation_ops.domain.records import (
    Annotation,
    Assignment,
    AssignmentState,
    Attempt,
    AuditEntry,
    Batch,
    Incident,
    JsonObject,
    LabelCommit,
    Quarantined,
    Review,
    Task,
    VerdictRecord,
)
from annotation_ops.ports.ledger import LedgerTransaction

CLOCK_TOLERANCE = timedelta(hours=1)
"""A run takes its time once, at its start, and writes its last entry beside runs that started later; none lasts longer."""

STAMPED_BY = {
    BatchState.IN_ANNOTATION: "dispatched_at",
    BatchState.COMPLETE: "completed_at",
    BatchState.PASSED: "judged_at",
    **dict.fromkeys(STAGES, "judged_at"),
    BatchState.SETTLED: "judged_at",
    BatchState.FAILED: "judged_at",
    BatchState.INSUFFICIENT: "judged_at",
    BatchState.PUBLISHED: "published_at",
}
"""The time column that entering a state fills."""


def refuse_clock_going_back(head: AuditEntry | None, *, at: datetime) -> None:
    """Raises Conflict when `at` lies further before the newest entry than CLOCK_TOLERANCE."""
    if head is None:
        return
    last = recorded_at(head)
    if at < last - CLOCK_TOLERANCE:
        raise Conflict(
            f"found the time {at.isoformat()}, expected none more than {CLOCK_TOLERANCE} (h:mm:ss) before the last audit "
            f"entry at {last.isoformat()}: the clock went back. Set the machine's clock right (NTP), then try again."
        )


class SqlTransaction(LedgerTransaction):
    """Rows are written at once, audit entries together at `finish`; the caller holds the writers' lock throughout."""

    def __init__(self, connection: Connection, *, actor: str, at: datetime, head: AuditEntry | None) -> None:
        self._connection = connection
        self._actor = actor
        self._at = at
        self._head = head
        self._entries: list[AuditEntry] = []
        self._changed = False

    def finish(self) -> None:
        """Writes the audit entries. Raises PermanentError when rows changed and nothing says so."""
        if self._changed and not self._entries:
            raise PermanentError(
                "ledger: found a transaction that changed rows without an audit entry, expected at least one. "
                "Call `audit(event, subject, details)` in it; nothing was written."
            )
        if self._entries:
            fields = [{"seq": entry.seq, "body": entry.body, "hash": entry.hash} for entry in self._entries]
            self._connection.execute(sa.insert(AUDIT), fields)

    def audit(self, event: str, subject: str, details: JsonObject) -> None:
        entry = append(self._head, at=self._at, actor=self._actor, event=event, subject=subject, details=details)
        self._entries.append(entry)
        self._head = entry

    def add_batch(self, batch: Batch) -> bool:
        return self._insert(insertion.BATCHES, [rows.batch_row(batch)]) == 1

    def add_attempt(self, attempt: Attempt) -> bool:
        return self._insert(insertion.ATTEMPTS, [rows.attempt_row(attempt)]) == 1

    def move_attempt(
        self,
        batch_id: str,
        number: int,
        *,
        project: str,
        expect: Collection[BatchState],
        to: BatchState,
        at: datetime,
        reason: str = "",
        due_at: datetime | None = None,
    ) -> None:
        place = f"project {project}, attempt {attempt_key(batch_id, number)}"
        found = read_attempt(self._connection, project, batch_id, number).state
        if found not in expect:
            wanted = " or ".join(sorted(state.value for state in expect))
            raise Conflict(
                f"{place}: found the state {found.value}, expected {wanted} to become {to.value}. "
                "Another run may have moved it: look at `annotation-ops status`."
            )
        values: Row = {"state": to.value, "state_reason": text(reason, place)}
        values["held_from"] = found.value if to is BatchState.HELD else None
        if to in STAMPED_BY and found is not BatchState.HELD:
            values[STAMPED_BY[to]] = microseconds(at, f"{place}: at")
        if due_at is not None:
            values["due_at"] = microseconds(due_at, f"{place}: due_at")
        where = (ATTEMPTS.c.project == project, ATTEMPTS.c.batch_id == batch_id, ATTEMPTS.c.number == number)
        self._change(sa.update(ATTEMPTS).where(*where).values(values))

    def add_tasks(self, project: str, tasks: Sequence[Task]) -> int:
        return self._insert(insertion.TASKS, [rows.task_row(project, task) for task in tasks])

    def record_platform_task(self, task_key: str, platform_task_id: str) -> None:
        self._set_on_task(task_key, "platform_task_id", platform_task_id)

    def mark_unroutable(self, task_key: str, reason: str) -> None:
        self._set_on_task(task_key, "unroutable_reason", reason)

    def add_assignments(self, assignments: Sequence[Assignment]) -> int:
        return self._insert(insertion.ASSIGNMENTS, [rows.assignment_row(item) for item in assignments])

    def set_assignment_state(self, task_key: str, annotator_id: str, state: AssignmentState) -> None:
        where = (ASSIGNMENTS.c.task_key == task_key, ASSIGNMENTS.c.annotator_id == annotator_id)
        recorded = self._recorded(sa.select(ASSIGNMENTS.c.state).where(*where))
        if recorded is None:
            raise NotFound(
                f"ledger: found no assignment of task {task_key} to {annotator_id}, expected one. Add it first."
            )
        if recorded["state"] != state.value:
            self._change(sa.update(ASSIGNMENTS).where(*where).values(state=state.value))

    def add_annotations(self, annotations: Sequence[Annotation]) -> int:
        return self._insert(insertion.ANNOTATIONS, [rows.annotation_row(item) for item in annotations])

    def add_review(self, review: Review) -> bool:
        return self._insert(insertion.REVIEWS, [rows.review_row(review)]) == 1

    def add_verdict(self, project: str, verdict: VerdictRecord) -> bool:
        return self._insert(insertion.VERDICTS, [rows.verdict_row(project, verdict)]) == 1

    def add_document_version(self, project: str, kind: str, version: str, content_hash: str, body: str) -> bool:
        place = f"project {project}, {kind} {version}"
        row: Row = {
            "project": text(project, place),
            "kind": text(kind, place),
            "version": text(version, place),
            "content_hash": text(content_hash, place),
            "body": text(body, place),
        }
        return self._insert(insertion.DOCUMENT_VERSIONS, [row]) == 1

    def quarantine(self, item: Quarantined) -> bool:
        return self._insert(insertion.QUARANTINE, [rows.quarantine_row(item)]) == 1

    def add_access_token(self, token: AccessToken) -> bool:
        return self._insert(insertion.ACCESS_TOKENS, [rows.access_token_row(token)]) == 1

    def revoke_access_token(self, token_hash: str, *, at: datetime) -> None:
        where = ACCESS_TOKENS.c.token_hash == token_hash
        if self._recorded(sa.select(ACCESS_TOKENS.c.name).where(where)) is None:
            raise NotFound("ledger: found no such access token, expected one to revoke.")
        self._change(sa.update(ACCESS_TOKENS).where(where).values(revoked_at=microseconds(at, "revoked_at")))

    def add_label_commit(self, commit: LabelCommit) -> bool:
        return self._insert(insertion.LABEL_COMMITS, [rows.label_commit_row(commit)]) == 1

    def put_incident(self, incident: Incident) -> None:
        row = rows.incident_row(incident)
        where = (INCIDENTS.c.project == row["project"], INCIDENTS.c.incident_id == row["incident_id"])
        recorded = self._recorded(sa.select(INCIDENTS).where(*where))
        if recorded is None:
            self._change(sa.insert(INCIDENTS).values(row))
        elif recorded != row:
            self._change(sa.update(INCIDENTS).where(*where).values(row))

    def set_cursor(self, name: str, value: str) -> None:
        row: Row = {"name": text(name, "cursor"), "value": text(value, f"cursor {name}")}
        recorded = self._recorded(sa.select(CURSORS).where(CURSORS.c.name == name))
        if recorded is None:
            self._connection.execute(sa.insert(CURSORS).values(row))
        elif recorded != row:
            self._connection.execute(sa.update(CURSORS).where(CURSORS.c.name == name).values(row))

    def add_deliveries(self, deliveries: Sequence[Delivery]) -> int:
        return delivery_log.add(self._connection, deliveries)

    def record_delivery(self, delivery: Delivery) -> None:
        delivery_log.record(self._connection, delivery)

    def _set_on_task(self, task_key: str, column: str, value: str) -> None:
        where = TASKS.c.task_key == task_key
        recorded = self._recorded(sa.select(TASKS.c[column]).where(where))
        if recorded is None:
            raise NotFound(f"ledger: found no task {task_key}, expected one of the planned tasks. Add it first.")
        if recorded[column] != value:
            self._change(sa.update(TASKS).where(where).values({column: text(value, f"task {task_key}: {column}")}))

    def _recorded(self, query: sa.Select[Any]) -> Row | None:
        row = self._connection.execute(query).mappings().first()
        return None if row is None else dict(row)

    def _insert(self, kind: AppendOnly, new: Sequence[Row]) -> int:
        inserted = insert(self._connection, kind, new)
        self._changed = self._changed or inserted > 0
        return inserted

    def _change(self, statement: sa.Executable) -> None:
        self._connection.execute(statement)
        self._changed = True
