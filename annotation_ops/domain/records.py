"""The things the loop moves, as frozen records; the words are those of the glossary in docs/architecture.md."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, TypeAlias

from annotation_ops.domain.batches import BatchPurpose, BatchState, attempt_key

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object: string keys; values are JSON values."""

SYSTEM_ACTOR = "system"
"""The actor written into the audit trail when no person asked for the action."""


def content_key(*parts: str) -> str:
    """A deterministic key of 32 hex characters: SHA-256 over the length-prefixed parts, so no two lists collide by joining."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode()
        digest.update(f"{len(raw)}:".encode())
        digest.update(raw)
    return digest.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Sample:
    """One raw item in object storage. A changed object is the same `sample_id` with another `digest`."""

    sample_id: str
    project: str
    uri: str
    digest: str
    """sha256 of the object's bytes, hex."""
    size: int
    media_type: str
    day: date
    """The daily partition it was ingested under (UTC)."""
    captured_at: datetime | None = None
    slices: Mapping[str, str] = field(default_factory=dict)
    """slice name -> value, e.g. {"scanner": "b"}; only the metadata fields that the contract declares as slices."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None
    subject: str | None = None
    """Pseudonymous id of the data subject, when the contract names the field."""


@dataclass(frozen=True, slots=True)
class DocumentVersions:
    """Version (`1.2.0`) and content hash of every declared document that governs a batch: name -> "version+hash12"."""

    contract: str
    taxonomy: str
    guideline: str
    criteria: str
    workforce: str
    workflow: str
    routing: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Tasks that are judged together, across all its attempts."""

    batch_id: str
    """`<day>-<purpose>-<nn>`, e.g. `2026-11-23-active-01`; unique within the project."""
    project: str
    day: date
    """The ranking day it was planned from."""
    purpose: BatchPurpose
    versions: DocumentVersions
    overlap: int
    created_at: datetime
    model_version: str | None = None
    """The model whose uncertainty chose the samples; None for a cold start."""
    incident_id: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a batch. `key` is the Dagster partition key."""

    batch_id: str
    number: int
    project: str
    state: BatchState
    planned_at: datetime
    due_at: datetime | None = None
    dispatched_at: datetime | None = None
    completed_at: datetime | None = None
    judged_at: datetime | None = None
    published_at: datetime | None = None
    state_reason: str = ""
    """Why it is in this state, for a person; filled for ESCALATED, INSUFFICIENT and HELD."""
    held_from: BatchState | None = None
    """Of a HELD attempt: the state it is released to."""

    @property
    def key(self) -> str:
        return attempt_key(self.batch_id, self.number)


@dataclass(frozen=True, slots=True)
class Task:
    """A sample put to people within a batch attempt."""

    task_key: str
    batch_id: str
    attempt: int
    sample_id: str
    digest: str
    uri: str
    position: int
    """Rank within the batch, 0 first."""
    slices: Mapping[str, str]
    selection_reason: str
    """`uncertain`, `random_control`, `cold_start`, `relabel:scanner:b` ..."""
    inclusion_probability: float | None
    uncertainty: float | None
    platform_task_id: str | None = None
    unroutable_reason: str | None = None


def task_key(project: str, batch_id: str, attempt: int, sample_id: str, digest: str) -> str:
    """The deterministic key that goes to the platform with the task."""
    return content_key("task", project, batch_id, str(attempt), sample_id, digest)


class AssignmentState(StrEnum):
    PLANNED = "planned"
    """Decided after the dispatch; the platform has not been told yet."""
    OPEN = "open"
    DONE = "done"
    EXPIRED = "expired"
    """Taken back: the annotator dropped out or overran; another person may hold the task instead."""


class AssignmentPurpose(StrEnum):
    """Why a judgement was asked for: it decides which statistics may use it."""

    OVERLAP = "overlap"
    """The batch's overlap plan: agreement is measured on it."""
    ADAPTIVE = "adaptive"
    """Asked because earlier judgements of the task left it open: for the consensus only, it would bias agreement."""
    TOP_UP = "top_up"
    """On tasks drawn at random because the verdict was not settled: for agreement and the consensus."""
    CLASS_TOP_UP = "class_top_up"
    """On tasks where somebody gave a class whose agreement was not settled: for that class and the consensus."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Task x annotator."""

    task_key: str
    annotator_id: str
    state: AssignmentState
    explain: JsonObject
    """Why this person: the rules passed, candidates considered, load; see domain.workforce.routing."""
    assigned_at: datetime
    due_at: datetime | None = None
    purpose: AssignmentPurpose = AssignmentPurpose.OVERLAP


@dataclass(frozen=True, slots=True)
class Annotation:
    """One version of an annotator's answer; a later edit is a new row with a higher `revision`."""

    annotation_key: str
    """content_key of (task_key, annotator, revision's value and submission time): collecting twice inserts once."""
    task_key: str
    annotator_id: str
    value: JsonObject
    """By task type; classification is {"label": "7"}."""
    submitted_at: datetime
    collected_at: datetime
    lead_time_seconds: float | None
    platform_annotation_id: str
    revision: int = 1
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Review:
    """A reviewer's decision on one annotation."""

    review_key: str
    annotation_key: str
    reviewer_id: str
    decision: str
    """`accepted`, `rejected` or `corrected`."""
    comment: str
    reviewed_at: datetime


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """A verdict row: the gate itself. `document` is the verdict JSON of docs/interface.md with its evidence."""

    batch_id: str
    attempt: int
    outcome: str
    """PASS, FAIL or INSUFFICIENT."""
    criteria: str
    """`version+hash12` of the criteria that judged it."""
    document: JsonObject
    judged_at: datetime
    judged_by: str = SYSTEM_ACTOR
    reason: str = ""
    """Filled for an override by a person."""
    evidence: str = ""
    """Content key of the judgements it rests on: the same criteria judge again when these change."""
    in_force: bool = True
    """Whether it moved the attempt; False for what other criteria would have said afterwards."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Something refused, kept with its reason: nothing is dropped."""

    kind: str
    """`sample`, `annotation`, `prediction`, `metric` ..."""
    key: str
    project: str
    reason_code: str
    reason: str
    body: JsonObject
    at: datetime


@dataclass(frozen=True, slots=True)
class LabelCommit:
    """An immutable, content-addressed set of gold labels."""

    commit_id: str
    """sha256 over the attempt, its commit before this one and the canonical rows, hex."""
    project: str
    batch_id: str
    attempt: int
    n_labels: int
    parent: str | None
    committed_at: datetime


class IncidentState(StrEnum):
    OPEN = "open"
    """Detected; its relabel batch is planned or under way."""
    RELABELLED = "relabelled"
    """The relabel batch is published; the retrained model is not measured yet."""
    RESOLVED = "resolved"
    """Measured after retraining: the slice recovered."""
    UNRESOLVED = "unresolved"
    """Measured after retraining: it did not help."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One detected degradation, with its slices and its relabel batch."""

    incident_id: str
    project: str
    model: str
    model_version: str
    metric: str
    slices: tuple[str, ...]
    """`scanner:b` ...; empty when only the overall metric fell."""
    state: IncidentState
    opened_at: datetime
    evidence: JsonObject
    run_id: str | None
    """The MLflow run whose metrics tripped it."""
    batch_id: str | None = None
    closed_at: datetime | None = None
    outcome: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One link of the audit chain; see domain.audit."""

    seq: int
    body: str
    """The exact JSON text that was hashed; holds seq, prev, at, actor, event, subject, details."""
    hash: str
