"""Planning: a ranking, a rejected attempt or an incident becomes the frozen task list of one batch attempt."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from annotation_ops.domain.batches import BatchPurpose, BatchState, attempt_key, parse_attempt_key, parse_batch_id
from annotation_ops.domain.conductor import relabel_batch_id
from annotation_ops.domain.errors import Conflict, NotFound
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.records import SYSTEM_ACTOR, Attempt, Batch, Incident, Task, task_key
from annotation_ops.domain.tables import RANKED_SAMPLES
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services.published_labels import gold_rows
from annotation_ops.services.rank import rank_relabel
from annotation_ops.services.spot_audit import audit_rows
from annotation_ops.services.stages import sample_row, stage_rows


@dataclass(frozen=True, slots=True)
class PlanReport:
    key: str
    purpose: BatchPurpose
    n_tasks: int
    new: bool
    """False when the attempt was planned before and nothing was written."""


def plan_attempt(
    project: AnnotationProject, key: str, *, lake: Lake, ledger: Ledger, seed: int, now: datetime
) -> PlanReport:
    """Freezes the tasks of an attempt in the ledger; planning the same key again changes nothing.

    The first attempt takes its samples from the ranking of its day (or, for a relabel batch, from the slices of its
    incident); attempt n takes every task of attempt n - 1, which must be FAILED.
    Raises NotFound when there is nothing to plan from, Conflict when the earlier attempt is not FAILED.
    """
    batch_id, number = parse_attempt_key(key)
    day, purpose = parse_batch_id(batch_id)
    if any(attempt.key == key for attempt in ledger.attempts(project.name)):
        return PlanReport(key, purpose, len(ledger.tasks(project.name, batch_id, number)), new=False)
    if number > 1:
        tasks = _requeue(project, batch_id, number, ledger=ledger, now=now)
    elif purpose is BatchPurpose.CALIBRATION:
        raise NotFound(
            f"{key}: no such calibration; plan one with `annotation-ops annotators calibrate {project.name}`"
        )
    elif purpose is BatchPurpose.AUDIT:
        rows = audit_rows(project, batch_id, ledger=ledger, lake=lake)
        tasks = _plan_single(project, batch_id, day, purpose, rows, ledger=ledger, now=now)
    elif purpose in (BatchPurpose.REVIEW, BatchPurpose.ADJUDICATION):
        rows = stage_rows(project, batch_id, ledger=ledger)
        tasks = _plan_single(project, batch_id, day, purpose, rows, ledger=ledger, now=now)
    elif purpose is BatchPurpose.RELABEL:
        tasks = _plan_relabel(project, batch_id, day, lake=lake, ledger=ledger, seed=seed, now=now)
    else:
        tasks = _plan_ranked(project, batch_id, day, purpose, lake=lake, ledger=ledger, now=now)
    return PlanReport(key, purpose, len(tasks), new=True)


def _plan_ranked(
    project: AnnotationProject,
    batch_id: str,
    day: date,
    purpose: BatchPurpose,
    *,
    lake: Lake,
    ledger: Ledger,
    now: datetime,
) -> list[Task]:
    partition = {"project": project.name, "day": day.isoformat()}
    ranking = lake.read(RANKED_SAMPLES, partition=partition).sort_by("rank").to_pylist()
    taken = ledger.batched_samples(project.name)
    free = [row for row in ranking if (row["sample_id"], row["digest"]) not in taken]
    if not free:
        raise NotFound(
            f"batch {batch_id}: the ranking of {day} holds {len(ranking)} samples and all of them are in a batch already, "
            f"expected at least one free; materialize ranked_samples for a later day"
        )
    chosen = free[: project.workflow.batch_size]
    hidden = gold_rows(project, batch_id, tasks=len(chosen), lake=lake)
    tasks = _tasks(project, batch_id, 1, [*chosen, *hidden])
    batch = _batch(project, batch_id, day, purpose, model_version=free[0]["model_version"], now=now)
    _record(project, batch, tasks, ledger=ledger, now=now)
    return tasks


def plan_calibration(
    project: AnnotationProject, batch_id: str, rows: Sequence[Mapping[str, Any]], *, ledger: Ledger, now: datetime
) -> PlanReport:
    """Freezes the gold tasks of one person's calibration; the same rows again change nothing."""
    day, purpose = parse_batch_id(batch_id)
    tasks = _plan_single(project, batch_id, day, purpose, rows, ledger=ledger, now=now)
    return PlanReport(attempt_key(batch_id, 1), purpose, len(tasks), new=True)


def _plan_single(
    project: AnnotationProject,
    batch_id: str,
    day: date,
    purpose: BatchPurpose,
    rows: Sequence[Mapping[str, Any]],
    *,
    ledger: Ledger,
    now: datetime,
) -> list[Task]:
    """A batch whose tasks one person each answers: it measures labels or people, and makes no label."""
    tasks = _tasks(project, batch_id, 1, rows)
    batch = replace(_batch(project, batch_id, day, purpose, model_version=None, now=now), overlap=1)
    _record(project, batch, tasks, ledger=ledger, now=now)
    return tasks


def _plan_relabel(
    project: AnnotationProject, batch_id: str, day: date, *, lake: Lake, ledger: Ledger, seed: int, now: datetime
) -> list[Task]:
    incident = _incident_of(project.name, batch_id, ledger=ledger)
    rows = rank_relabel(project, incident=incident, lake=lake, ledger=ledger, seed=seed)
    if not rows:
        raise NotFound(
            f"batch {batch_id}: no sample of slices {', '.join(incident.slices) or 'any'} is left in the pool, "
            f"expected at least one; ingest new data of these slices"
        )
    tasks = _tasks(project, batch_id, 1, rows)
    batch = _batch(
        project,
        batch_id,
        day,
        BatchPurpose.RELABEL,
        model_version=incident.model_version,
        now=now,
        incident_id=incident.incident_id,
    )
    _record(project, batch, tasks, ledger=ledger, now=now, incident=incident)
    return tasks


def _requeue(project: AnnotationProject, batch_id: str, number: int, *, ledger: Ledger, now: datetime) -> list[Task]:
    """The whole batch again: same samples, new task keys, so that the earlier judgements stay and stay unseen."""
    previous = ledger.attempt(project.name, batch_id, number - 1)
    if previous.state is not BatchState.FAILED:
        raise Conflict(
            f"{attempt_key(batch_id, number)}: found attempt {number - 1} in state {previous.state}, expected failed; "
            f"only a rejected batch is sent back"
        )
    rows = [sample_row(task) for task in ledger.tasks(project.name, batch_id, number - 1)]
    tasks = _tasks(project, batch_id, number, rows)
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        tx.add_attempt(Attempt(batch_id, number, project.name, BatchState.PLANNED, planned_at=now))
        tx.add_tasks(project.name, tasks)
        tx.move_attempt(
            batch_id, number - 1, project=project.name, expect={BatchState.FAILED}, to=BatchState.REQUEUED, at=now
        )
        tx.audit("batch.requeued", attempt_key(batch_id, number), {"project": project.name, "tasks": len(tasks)})
    return tasks


def _record(
    project: AnnotationProject,
    batch: Batch,
    tasks: list[Task],
    *,
    ledger: Ledger,
    now: datetime,
    incident: Incident | None = None,
) -> None:
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        for document in project.documents:
            tx.add_document_version(project.name, document.kind, document.version, document.content_hash, document.body)
        tx.add_batch(batch)
        tx.add_attempt(Attempt(batch.batch_id, 1, project.name, BatchState.PLANNED, planned_at=now))
        tx.add_tasks(project.name, tasks)
        if incident is not None:
            tx.put_incident(replace(incident, batch_id=batch.batch_id))
        tx.audit(
            "batch.planned",
            attempt_key(batch.batch_id, 1),
            {
                "project": project.name,
                "tasks": len(tasks),
                "criteria": batch.versions.criteria,
                "guideline": batch.versions.guideline,
                "model_version": batch.model_version,
                "incident": batch.incident_id,
            },
        )


def _incident_of(project: str, batch_id: str, *, ledger: Ledger) -> Incident:
    incidents = ledger.incidents(project)
    for incident in incidents:
        if incident.batch_id is None and relabel_batch_id(incident, incidents) == batch_id:
            return incident
    raise NotFound(f"batch {batch_id}: no open incident asks for it; see `annotation-ops status {project}`")


def _batch(
    project: AnnotationProject,
    batch_id: str,
    day: date,
    purpose: BatchPurpose,
    *,
    model_version: str | None,
    now: datetime,
    incident_id: str | None = None,
) -> Batch:
    return Batch(
        batch_id=batch_id,
        project=project.name,
        day=day,
        purpose=purpose,
        versions=project.versions,
        overlap=project.workflow.overlap,
        created_at=now,
        model_version=model_version,
        incident_id=incident_id,
    )


def _tasks(project: AnnotationProject, batch_id: str, number: int, rows: Sequence[Mapping[str, Any]]) -> list[Task]:
    return [
        Task(
            task_key=task_key(project.name, batch_id, number, row["sample_id"], row["digest"]),
            batch_id=batch_id,
            attempt=number,
            sample_id=row["sample_id"],
            digest=row["digest"],
            uri=row["uri"],
            position=position,
            slices=json.loads(row["slices"] or "{}"),
            selection_reason=row["selection_reason"],
            inclusion_probability=row["inclusion_probability"],
            uncertainty=row["uncertainty"],
        )
        for position, row in enumerate(rows)
    ]
