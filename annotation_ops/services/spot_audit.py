"""Spot audits: seniors judge a stratified draw of labels blind, through the platform like everybody else.

An audit is a batch of its own. It is about one attempt, whose verdict waits for it, or about all published labels when a
new model version was trained on them. Auditors see the sample and nothing else, and nobody audits what they labelled.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from annotation_ops.domain.batches import BatchPurpose, BatchState, attempt_key, milestone_batch_id, staged_attempt
from annotation_ops.domain.errors import Conflict, NotFound
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.criteria import AuditCriteria
from annotation_ops.domain.quality.planning.audit_estimate import AuditResult, estimate_audit
from annotation_ops.domain.quality.planning.audit_plan import audit_size
from annotation_ops.domain.quality.planning.audit_sample import AuditItem, draw_audit
from annotation_ops.domain.records import SYSTEM_ACTOR, Attempt, JsonObject, Task, VerdictRecord, content_key
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger
from annotation_ops.ports.model_tracking import ModelTracking
from annotation_ops.services.published_labels import current_labels
from annotation_ops.services.stages import labels_of, release_stage, sample_row

AUDIT = "audit:"
"""A task of an audit: its selection reason is this mark and the JSON of what is audited."""


@dataclass(frozen=True, slots=True)
class Audited:
    """What a task of an audit is about; only the ledger knows it."""

    value: JsonObject
    """The label that is audited."""
    stratum: str
    annotators: tuple[str, ...]
    lot: int
    """Labels the draw was made from."""

    def as_reason(self) -> str:
        content = {"value": self.value, "stratum": self.stratum, "annotators": list(self.annotators), "lot": self.lot}
        return AUDIT + json.dumps(content, sort_keys=True)

    @classmethod
    def of_task(cls, task: Task) -> "Audited":
        stored = json.loads(task.selection_reason.removeprefix(AUDIT))
        return cls(stored["value"], stored["stratum"], tuple(stored["annotators"]), stored["lot"])


def audit_rows(project: AnnotationProject, batch_id: str, *, ledger: Ledger, lake: Lake) -> list[Mapping[str, Any]]:
    """The draw of an audit batch as task rows: of the labels of its attempt, or of all published labels.

    Raises NotFound when there is no label to audit, Conflict when the criteria ask for no audit.
    """
    criteria = project.criteria.audit
    if criteria is None:
        raise Conflict(f"{batch_id}: criteria.yaml asks for no audit; declare `audit:` there")
    key = staged_attempt(batch_id)
    lot = _labels_of(project, key, ledger=ledger) if key else _published(project, lake=lake)
    if not lot:
        raise NotFound(f"{batch_id}: found no label of {key or 'the feature table'} to audit, expected at least one")
    items = [AuditItem(name, tuple(row["annotators"]), row["stratum_label"]) for name, row in lot.items()]
    size = audit_size(
        len(items), tolerable=criteria.tolerable_error, confidence=criteria.confidence, floor=criteria.floor
    )
    seed = int(content_key("audit", project.name, batch_id)[:8], 16)
    rows: list[Mapping[str, Any]] = []
    for draw in draw_audit(items, size=size, seed=seed):
        row = lot[draw.task_key]
        about = Audited(row["value"], draw.stratum, tuple(row["involved"]), len(lot))
        rows.append({**row, "selection_reason": about.as_reason(), "inclusion_probability": draw.inclusion_probability})
    return rows


def _labels_of(project: AnnotationProject, key: str, *, ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Task key -> the label of an attempt and its sample."""
    return {
        label.task.task_key: {
            **sample_row(label.task),
            "uncertainty": None,
            "annotators": list(label.people),
            "involved": list(label.involved),
            "value": label.answer.value,
            "stratum_label": str((label.answer.value or {}).get("label", "")),
        }
        for label in labels_of(project, key, ledger=ledger)
        if label.answer.value is not None and not label.open
    }


def _published(project: AnnotationProject, *, lake: Lake) -> dict[str, dict[str, Any]]:
    """Sample id -> its current label in the feature table."""
    return {
        entity: {
            "sample_id": entity,
            "digest": row["content_digest"],
            "uri": row["source_uri"],
            "slices": row["slices"],
            "uncertainty": None,
            "annotators": list(row["annotators"]),
            "involved": list(row["annotators"]),
            "value": json.loads(row["label_json"]),
            "stratum_label": row["label"] or "",
        }
        for entity, row in current_labels(project, lake=lake).items()
    }


def due_milestone(project: AnnotationProject, *, ledger: Ledger, tracking: ModelTracking) -> str | None:
    """The attempt key of the audit that the model in production calls for; None when it has one, or nothing is published."""
    if project.monitor is None or not ledger.label_commits(project.name):
        return None
    model = tracking.latest_model(project.monitor.model)
    if model is None or not model.version.isdecimal():
        return None
    name = milestone_batch_id(model.created_at.date(), int(model.version))
    planned = {attempt.batch_id for attempt in ledger.attempts(project.name)}
    return None if name in planned else attempt_key(name, 1)


def audit_result(project: AnnotationProject, batch_id: str, *, ledger: Ledger) -> AuditResult | None:
    """What the audit found; None while nobody has planned it or people are still working on it.

    An auditor disagrees when the answer is not the audited value. Raises nothing for tasks that were not answered: they
    make the audit smaller.
    """
    criteria = project.criteria.audit
    done = {BatchState.COMPLETE, BatchState.SETTLED}
    attempt = next((a for a in ledger.attempts(project.name, states=done) if a.batch_id == batch_id), None)
    if attempt is None or criteria is None:
        return None
    return _result(project, attempt, criteria, ledger=ledger)


def _result(project: AnnotationProject, attempt: Attempt, criteria: AuditCriteria, *, ledger: Ledger) -> AuditResult:
    tasks = {task.task_key: task for task in ledger.tasks(project.name, attempt.batch_id, attempt.number)}
    about = {key: Audited.of_task(task) for key, task in tasks.items()}
    wrong = {
        annotation.task_key: annotation.value != about[annotation.task_key].value
        for annotation in ledger.annotations(project.name, attempt.batch_id, attempt.number)
    }
    return estimate_audit(
        [(about[key].stratum, tasks[key].inclusion_probability or 1.0, error) for key, error in sorted(wrong.items())],
        lot=next((item.lot for item in about.values()), 0),
        tolerable=criteria.tolerable_error,
        confidence=criteria.confidence,
    )


def disputed(project: AnnotationProject, batch_id: str, *, ledger: Ledger) -> frozenset[tuple[str, str]]:
    """(sample_id, digest) of labels that an auditor disagreed with: a person settles them before they are published."""
    found = set()
    for attempt in ledger.attempts(project.name, states={BatchState.SETTLED}):
        if attempt.batch_id != batch_id:
            continue
        tasks = {task.task_key: task for task in ledger.tasks(project.name, batch_id, attempt.number)}
        for annotation in ledger.annotations(project.name, batch_id, attempt.number):
            task = tasks[annotation.task_key]
            if annotation.value != Audited.of_task(task).value:
                found.add((task.sample_id, task.digest))
    return frozenset(found)


def settle_audit(project: AnnotationProject, attempt: Attempt, *, ledger: Ledger, now: datetime) -> VerdictRecord:
    """Records what a COMPLETE audit found, as a verdict on the audit batch, and sends its attempt to be judged again.

    Settling twice changes nothing.
    """
    result = audit_result(project, attempt.batch_id, ledger=ledger)
    recorded = [v for v in ledger.verdicts(project.name, attempt.batch_id) if v.attempt == attempt.number]
    if attempt.state is BatchState.SETTLED and recorded:
        return recorded[-1]
    if attempt.state is not BatchState.COMPLETE or result is None:
        raise Conflict(
            f"{attempt.key}: found state {attempt.state}, expected complete; an audit is settled when it is answered"
        )
    outcome = {True: "PASS", False: "FAIL", None: "INSUFFICIENT"}[result.accepted]
    document = {"verdict": outcome, "reasons": [{"code": "audit", "text": result.reason}], "audit": result.document()}
    criteria = project.pinned("criteria")
    record = VerdictRecord(attempt.batch_id, attempt.number, outcome, criteria, document, now)
    key = staged_attempt(attempt.batch_id)
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        for declared in project.documents:
            tx.add_document_version(project.name, declared.kind, declared.version, declared.content_hash, declared.body)
        tx.add_verdict(project.name, record)
        tx.move_attempt(
            attempt.batch_id,
            attempt.number,
            project=project.name,
            expect={BatchState.COMPLETE},
            to=BatchState.SETTLED,
            at=now,
            reason=result.reason,
        )
        if key is not None:
            release_stage(project, key, BatchPurpose.AUDIT, ledger=ledger, tx=tx, now=now)
        details = {"project": project.name, "about": key or "all published labels", "audited": result.n}
        tx.audit("audit.settled", attempt.key, {**details, "errors": result.errors, "outcome": outcome})
    return record
