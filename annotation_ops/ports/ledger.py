"""The ledger: what happened and who did it. SQL behind; uniqueness lives in constraints.

Every change happens inside `transaction(...)`, which commits rows, cursors and audit entries together or not at all,
and refuses to commit a change that left no audit entry.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from annotation_ops.domain.access import AccessToken
from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.deliveries import Delivery, DeliveryState
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


class LedgerTransaction(ABC):
    """One unit of work. Adding a row whose key exists and whose content is equal changes nothing and returns False;
    equal key with other content raises Conflict (append-only rows are never replaced). What other methods change later
    (an attempt's state, due time and stamps, a task's platform id, an assignment's state) and when an annotation was
    collected or an item quarantined is no part of the content. Rows that refer to rows not there raise NotFound."""

    @abstractmethod
    def audit(self, event: str, subject: str, details: JsonObject) -> None:
        """Appends one link to the audit chain: `batch.planned`, `task.adopted`, `verdict.recorded` ... No floats in details."""

    @abstractmethod
    def add_batch(self, batch: Batch) -> bool: ...

    @abstractmethod
    def add_attempt(self, attempt: Attempt) -> bool: ...

    @abstractmethod
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
        """Changes an attempt's state and stamps the matching time column; to HELD it keeps where it came from. Raises Conflict naming found and expected states,
        NotFound."""

    @abstractmethod
    def add_tasks(self, project: str, tasks: Sequence[Task]) -> int:
        """Inserts tasks that are not there; returns how many were new."""

    @abstractmethod
    def record_platform_task(self, task_key: str, platform_task_id: str) -> None:
        """Writes down the platform's id for a task (create or adopt). Replaces an earlier id."""

    @abstractmethod
    def mark_unroutable(self, task_key: str, reason: str) -> None: ...

    @abstractmethod
    def add_assignments(self, assignments: Sequence[Assignment]) -> int: ...

    @abstractmethod
    def set_assignment_state(self, task_key: str, annotator_id: str, state: AssignmentState) -> None: ...

    @abstractmethod
    def add_annotations(self, annotations: Sequence[Annotation]) -> int:
        """Inserts versions that are not there; returns how many were new."""

    @abstractmethod
    def add_review(self, review: Review) -> bool: ...

    @abstractmethod
    def add_verdict(self, project: str, verdict: VerdictRecord) -> bool:
        """One verdict row per (attempt, criteria, evidence); an override is a further row with `judged_by` a person."""

    @abstractmethod
    def add_document_version(self, project: str, kind: str, version: str, content_hash: str, body: str) -> bool:
        """Stores a declared document's text under its version. The same version with another hash is a Conflict."""

    @abstractmethod
    def quarantine(self, item: Quarantined) -> bool:
        """Another reason or body under the same key is one more row, never a Conflict."""

    @abstractmethod
    def add_access_token(self, token: AccessToken) -> bool: ...

    @abstractmethod
    def revoke_access_token(self, token_hash: str, *, at: datetime) -> None:
        """Raises NotFound."""

    @abstractmethod
    def add_label_commit(self, commit: LabelCommit) -> bool: ...

    @abstractmethod
    def put_incident(self, incident: Incident) -> None:
        """Inserts or replaces an incident row by its id."""

    @abstractmethod
    def set_cursor(self, name: str, value: str) -> None:
        """A reading position. Needs no audit entry, for reading again changes nothing."""

    @abstractmethod
    def add_deliveries(self, deliveries: Sequence[Delivery]) -> int:
        """Inserts those whose message id is not there, however the others fared since; returns how many were new.

        Needs no audit entry: the delivery log tells of entries that are in the chain already, and an entry about telling would
        be one more to tell of.
        """

    @abstractmethod
    def record_delivery(self, delivery: Delivery) -> None:
        """Writes down state, tries, next try, last status, last error and time of delivery. Raises NotFound. Needs no audit
        entry, as `add_deliveries`; what stops or restarts an endpoint is audited by who decides it."""


class Ledger(ABC):
    @abstractmethod
    def initialise(self) -> None:
        """Creates or migrates the schema under a lock; any number of processes may call it at once."""

    @abstractmethod
    def transaction(self, *, actor: str, at: datetime) -> AbstractContextManager[LedgerTransaction]:
        """Commits on normal exit, rolls back on an exception. `at` must not lie more than an hour before the last audit entry
        (the clock went back: Conflict, with both times)."""

    @abstractmethod
    def acquire_lease(self, name: str, owner: str, *, at: datetime, seconds: float) -> int | None:
        """The lease's epoch, or None while another owner holds it. The epoch rises whenever the holder may have changed
        (an expired or released lease); the same owner renewing in time keeps it, so calling again checks the fence."""

    @abstractmethod
    def release_lease(self, name: str, owner: str) -> None: ...

    @abstractmethod
    def batches(self, project: str) -> tuple[Batch, ...]:
        """Oldest first."""

    @abstractmethod
    def batch(self, project: str, batch_id: str) -> Batch:
        """Raises NotFound."""

    @abstractmethod
    def attempts(self, project: str, *, states: Collection[BatchState] | None = None) -> tuple[Attempt, ...]:
        """Ordered by batch id, then number."""

    @abstractmethod
    def attempt(self, project: str, batch_id: str, number: int) -> Attempt:
        """Raises NotFound."""

    @abstractmethod
    def tasks(self, project: str, batch_id: str, attempt: int) -> tuple[Task, ...]:
        """By position."""

    @abstractmethod
    def tasks_by_key(self, task_keys: Collection[str]) -> Mapping[str, Task]: ...

    @abstractmethod
    def batched_samples(self, project: str, *, before_day: str | None = None) -> frozenset[tuple[str, str]]:
        """(sample_id, digest) of every task in any batch (optionally of batches whose `day` is earlier)."""

    @abstractmethod
    def assignments(self, project: str, batch_id: str, attempt: int | None = None) -> tuple[Assignment, ...]:
        """Of one attempt, or of all attempts of the batch."""

    @abstractmethod
    def open_assignments(self, project: str) -> Mapping[str, int]:
        """annotator_id -> number of open assignments over all batches in annotation: their current load."""

    @abstractmethod
    def annotations(self, project: str, batch_id: str, attempt: int) -> tuple[Annotation, ...]:
        """The newest revision per (task, annotator), left out when that one is a deletion; ordered by (task position,
        annotator)."""

    @abstractmethod
    def annotation_history(self, task_key: str) -> tuple[Annotation, ...]:
        """Every revision, deletions too, ordered by (annotator, revision)."""

    @abstractmethod
    def reviews(self, project: str, batch_id: str, attempt: int) -> tuple[Review, ...]:
        """Oldest first."""

    @abstractmethod
    def verdicts(self, project: str, batch_id: str | None = None) -> tuple[VerdictRecord, ...]:
        """Oldest first; of those `in_force`, the last one of an attempt holds."""

    @abstractmethod
    def document_body(self, project: str, kind: str, version: str) -> str:
        """The text of a declared document as it was stored. Raises NotFound."""

    @abstractmethod
    def quarantined(self, project: str, kind: str | None = None) -> tuple[Quarantined, ...]: ...

    @abstractmethod
    def label_commits(self, project: str) -> tuple[LabelCommit, ...]:
        """Oldest first."""

    @abstractmethod
    def incidents(self, project: str) -> tuple[Incident, ...]:
        """Oldest first."""

    @abstractmethod
    def access_tokens(self) -> tuple[AccessToken, ...]:
        """Oldest first; expired and revoked ones too."""

    @abstractmethod
    def access_token(self, token_hash: str) -> AccessToken | None: ...

    @abstractmethod
    def cursor(self, name: str) -> str | None: ...

    @abstractmethod
    def last_recorded_at(self) -> datetime | None:
        """Time of the newest audit entry."""

    @abstractmethod
    def audit_entries(self, *, after: int = 0, limit: int = 10_000) -> tuple[AuditEntry, ...]:
        """In `seq` order, `seq > after`."""

    @abstractmethod
    def audit_head(self) -> int:
        """`seq` of the newest audit entry; 0 before the first."""

    @abstractmethod
    def delivery(self, message_id: str) -> Delivery:
        """Raises NotFound."""

    @abstractmethod
    def deliveries(
        self, project: str, *, states: Collection[DeliveryState] | None = None, limit: int = 1000
    ) -> tuple[Delivery, ...]:
        """Newest audit entry first, then by endpoint."""

    @abstractmethod
    def due_deliveries(self, project: str, *, at: datetime, limit: int) -> tuple[Delivery, ...]:
        """Pending ones whose time has come: the longest waiting of every endpoint, then every endpoint's next, at most `limit`
        an endpoint, so that one with a backlog holds up no other."""
