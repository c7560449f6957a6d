"""The ledger on SQLite or PostgreSQL."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

from annotation_ops.adapters.storage.ledger import delivery_log, leases, reads
from annotation_ops.adapters.storage.ledger.codec import microseconds
from annotation_ops.adapters.storage.ledger.database import LOCK_TIMEOUT_SECONDS, Database
from annotation_ops.adapters.storage.ledger.migrate import migrate
from annotation_ops.adapters.storage.ledger.writes import SqlTransaction, refuse_clock_going_back
from annotation_ops.domain.access import AccessToken
from annotation_ops.domain.audit import recorded_at
from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.deliveries import Delivery, DeliveryState
from annotation_ops.domain.records import (
    Annotation,
    Assignment,
    Attempt,
    AuditEntry,
    Batch,
    Incident,
    LabelCommit,
    Quarantined,
    Review,
    Task,
    VerdictRecord,
)
from annotation_ops.ports.ledger import Ledger, LedgerTransaction


class SqlLedger(Ledger):
    """`sqlite:///folder/ledger.sqlite`, or `postgresql://user:password@host/database` through pg8000.

    Connects on first use; may be shared by threads, kept across a fork and sent to a spawned process. Writers take
    turns: a transaction holds the one lock from its start, so keep calls to other systems out of it. `close` ends the
    connections; the object may be used again afterwards. Every method raises TransientError when the database is
    locked for over `lock_timeout_seconds` or cannot be reached, and Conflict when it was not initialised.
    """

    def __init__(self, url: str, lock_timeout_seconds: int = LOCK_TIMEOUT_SECONDS) -> None:
        """Raises InvalidInput for an address that is neither."""
        self._arguments = (url, lock_timeout_seconds)
        self._database = Database(url, lock_timeout_seconds=lock_timeout_seconds)

    def __reduce__(self) -> tuple[type[Self], tuple[str, int]]:
        return type(self), self._arguments

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    def initialise(self) -> None:
        migrate(self._database)

    @contextmanager
    def transaction(self, *, actor: str, at: datetime) -> Iterator[LedgerTransaction]:
        with self._database.writing() as connection:
            head = reads.newest_entry(connection)
            refuse_clock_going_back(head, at=at)
            unit = SqlTransaction(connection, actor=actor, at=at, head=head)
            yield unit
            unit.finish()

    def acquire_lease(self, name: str, owner: str, *, at: datetime, seconds: float) -> int | None:
        with self._database.writing() as connection:
            return leases.acquire(connection, name, owner, at=at, seconds=seconds)

    def release_lease(self, name: str, owner: str) -> None:
        with self._database.writing() as connection:
            leases.release(connection, name, owner)

    def batches(self, project: str) -> tuple[Batch, ...]:
        with self._database.reading() as connection:
            return reads.batches(connection, project)

    def batch(self, project: str, batch_id: str) -> Batch:
        with self._database.reading() as connection:
            return reads.batch(connection, project, batch_id)

    def attempts(self, project: str, *, states: Collection[BatchState] | None = None) -> tuple[Attempt, ...]:
        with self._database.reading() as connection:
            return reads.attempts(connection, project, states)

    def attempt(self, project: str, batch_id: str, number: int) -> Attempt:
        with self._database.reading() as connection:
            return reads.attempt(connection, project, batch_id, number)

    def tasks(self, project: str, batch_id: str, attempt: int) -> tuple[Task, ...]:
        with self._database.reading() as connection:
            return reads.tasks(connection, project, batch_id, attempt)

    def tasks_by_key(self, task_keys: Collection[str]) -> Mapping[str, Task]:
        with self._database.reading() as connection:
            return reads.tasks_by_key(connection, task_keys)

    def batched_samples(self, project: str, *, before_day: str | None = None) -> frozenset[tuple[str, str]]:
        with self._database.reading() as connection:
            return reads.batched_samples(connection, project, before_day)

    def assignments(self, project: str, batch_id: str, attempt: int | None = None) -> tuple[Assignment, ...]:
        with self._database.reading() as connection:
            return reads.assignments(connection, project, batch_id, attempt)

    def open_assignments(self, project: str) -> Mapping[str, int]:
        with self._database.reading() as connection:
            return reads.open_assignments(connection, project)

    def annotations(self, project: str, batch_id: str, attempt: int) -> tuple[Annotation, ...]:
        with self._database.reading() as connection:
            return reads.annotations(connection, project, batch_id, attempt)

    def annotation_history(self, task_key: str) -> tuple[Annotation, ...]:
        with self._database.reading() as connection:
            return reads.annotation_history(connection, task_key)

    def reviews(self, project: str, batch_id: str, attempt: int) -> tuple[Review, ...]:
        with self._database.reading() as connection:
            return reads.reviews(connection, project, batch_id, attempt)

    def verdicts(self, project: str, batch_id: str | None = None) -> tuple[VerdictRecord, ...]:
        with self._database.reading() as connection:
            return reads.verdicts(connection, project, batch_id)

    def document_body(self, project: str, kind: str, version: str) -> str:
        with self._database.reading() as connection:
            return reads.document_body(connection, project, kind, version)

    def quarantined(self, project: str, kind: str | None = None) -> tuple[Quarantined, ...]:
        with self._database.reading() as connection:
            return reads.quarantined(connection, project, kind)

    def label_commits(self, project: str) -> tuple[LabelCommit, ...]:
        with self._database.reading() as connection:
            return reads.label_commits(connection, project)

    def incidents(self, project: str) -> tuple[Incident, ...]:
        with self._database.reading() as connection:
            return reads.incidents(connection, project)

    def cursor(self, name: str) -> str | None:
        with self._database.reading() as connection:
            return reads.cursor(connection, name)

    def last_recorded_at(self) -> datetime | None:
        with self._database.reading() as connection:
            head = reads.newest_entry(connection)
        return None if head is None else recorded_at(head)

    def audit_entries(self, *, after: int = 0, limit: int = 10_000) -> tuple[AuditEntry, ...]:
        with self._database.reading() as connection:
            return reads.audit_entries(connection, after, limit)

    def access_tokens(self) -> tuple[AccessToken, ...]:
        with self._database.reading() as connection:
            return reads.access_tokens(connection)

    def access_token(self, token_hash: str) -> AccessToken | None:
        with self._database.reading() as connection:
            return next(iter(reads.access_tokens(connection, token_hash)), None)

    def audit_head(self) -> int:
        with self._database.reading() as connection:
            head = reads.newest_entry(connection)
        return 0 if head is None else head.seq

    def delivery(self, message_id: str) -> Delivery:
        with self._database.reading() as connection:
            return delivery_log.one(connection, message_id)

    def deliveries(
        self, project: str, *, states: Collection[DeliveryState] | None = None, limit: int = 1000
    ) -> tuple[Delivery, ...]:
        with self._database.reading() as connection:
            return delivery_log.newest(connection, project, states, limit)

    def due_deliveries(self, project: str, *, at: datetime, limit: int) -> tuple[Delivery, ...]:
        with self._database.reading() as connection:
            return delivery_log.due(connection, project, microseconds(at, "at"), limit)
