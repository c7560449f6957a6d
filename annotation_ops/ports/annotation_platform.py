"""The annotation platform: where people work. One contract suite judges every adapter (annotation_ops_tests/contracts).

Polling with a cursor is the contract; webhooks are only hints. Every create takes our key and may be repeated safely
*by us*: find -> adopt -> create missing -> find; an adapter never retries a create by itself.
"""

import enum
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from annotation_ops.domain.records import JsonObject


class Capability(enum.Flag):
    """What a platform does by itself; the services fill the gaps."""

    BULK_CREATE = enum.auto()
    NATIVE_IDEMPOTENCY = enum.auto()
    ASSIGN_USER = enum.auto()
    PRELABELS = enum.auto()
    INCREMENTAL_FETCH = enum.auto()
    DELETE_SEEN = enum.auto()
    ERASE_TASK = enum.auto()
    ERASE_ANNOTATOR = enum.auto()


@dataclass(frozen=True, slots=True)
class PlatformLimits:
    max_tasks_per_call: int
    max_page_size: int


@dataclass(frozen=True, slots=True)
class PlatformHealth:
    reachable: bool
    version: str
    server_time: datetime | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PlatformProjectSpec:
    """What a platform needs to show the tasks of one annotation project."""

    name: str
    task_type: str
    labels: tuple[str, ...]
    instructions: str
    """Markdown of the guideline."""
    media: Literal["image", "text", "audio", "video"]
    version: str
    """`version+hash12` of the taxonomy; a project whose labels differ under the same name is a Conflict."""


@dataclass(frozen=True, slots=True)
class PlatformProject:
    """An annotation project as the platform has it."""

    project_id: str
    mended: tuple[str, ...] = ()
    """What somebody had changed there by hand and was put back: for the audit trail."""


@dataclass(frozen=True, slots=True)
class TaskSpec:
    task_key: str
    data: Mapping[str, str]
    """Media field -> inline text or URI, e.g. {"image": "s3://..."}; plus nothing that would unblind the annotator."""
    assignees: tuple[str, ...]
    """Annotator ids who are asked, each once; overlap is their number."""
    priority: int = 3
    """1 high .. 5 low."""
    due_at: datetime | None = None
    prelabel: JsonObject | None = None
    """An answer that the people see and may correct, for platforms with PRELABELS; None: they start from nothing."""


@dataclass(frozen=True, slots=True)
class TaskReceipt:
    task_key: str
    platform_task_id: str | None
    status: Literal["created", "existing", "failed"]
    error: str = ""


@dataclass(frozen=True, slots=True)
class PlatformAnnotation:
    """One annotation as the platform shows it now; untrusted input."""

    platform_annotation_id: str
    platform_task_id: str
    task_key: str
    """As the platform carries it in the task's data; checked against the ledger on every pull."""
    annotator_id: str
    value: JsonObject
    submitted_at: datetime
    updated_at: datetime
    lead_time_seconds: float | None
    state: Literal["submitted", "skipped", "deleted"]
    raw: JsonObject = field(default_factory=dict)
    fault_code: str = ""
    """Filled when the platform's own record cannot be taken for what it says: `spoofed_author`, `unreadable_answer`."""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class StandingAnswers:
    """What a person's answers to a changed task are now: every other one that the ledger holds from the place was deleted."""

    task_key: str
    annotator_id: str
    place: str
    """What the ids of this person's annotations of this very platform task begin with: of a duplicate they begin otherwise."""
    platform_annotation_ids: frozenset[str]
    """Empty when the person has no answer there."""


@dataclass(frozen=True, slots=True)
class AnnotationPage:
    items: tuple[PlatformAnnotation, ...]
    next_cursor: str
    """Opaque; pass it to the next fetch. Fetching again from an old cursor gives everything that changed since."""
    more: bool
    standing: tuple[StandingAnswers, ...] = ()
    """From platforms that do not show deletions as items."""


class AnnotationPlatform(ABC):
    """Errors: TransientError (network, 429, 5xx), Conflict, NotFound, InvalidInput, Unsupported."""

    name: str
    capabilities: Capability
    limits: PlatformLimits

    @abstractmethod
    def check(self) -> PlatformHealth:
        """Reachability, version, clock. Never raises for an unreachable server: it says so."""

    @abstractmethod
    def ensure_project(self, spec: PlatformProjectSpec) -> PlatformProject:
        """Creates or verifies the platform project; the same spec always gives the same id."""

    @abstractmethod
    def create_tasks(self, project_id: str, tasks: Sequence[TaskSpec]) -> tuple[TaskReceipt, ...]:
        """Creates tasks, one receipt each in order. At most `limits.max_tasks_per_call`, else InvalidInput.

        A TransientError says nothing about what was created: call `find_tasks` before creating again.
        """

    @abstractmethod
    def find_tasks(self, project_id: str, task_keys: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        """Task key -> live platform task ids, oldest first (several when a create was repeated). Missing keys are absent."""

    @abstractmethod
    def assign(self, project_id: str, assignees: Mapping[str, Collection[str]]) -> None:
        """Platform task id -> people who are asked too; those already asked stay so. Repeating changes nothing."""

    @abstractmethod
    def fetch_annotations(self, project_id: str, *, cursor: str | None, limit: int) -> AnnotationPage:
        """What changed since the cursor, of each person the oldest change first; None reads from the start (the full sweep).

        At-least-once: an item may come again; an item is never skipped.
        """

    @abstractmethod
    def withdraw_tasks(self, project_id: str, platform_task_ids: Collection[str]) -> None:
        """Takes tasks back from the people; their annotations stay readable. Unknown ids are ignored."""
