"""Judging: one verdict on a whole batch attempt, from stored annotations and versioned criteria.

The verdict row is the gate. A rejected batch goes back whole; after the last allowed attempt a person decides.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from annotation_ops.domain.batches import (
    STAGES,
    WITH_LABELS,
    BatchPurpose,
    BatchState,
    parse_attempt_key,
    parse_batch_id,
)
from annotation_ops.domain.errors import Conflict
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.quality.verdict.judge import judge
from annotation_ops.domain.quality.verdict.verdict import Verdict
from annotation_ops.domain.records import (
    SYSTEM_ACTOR,
    Annotation,
    Attempt,
    JsonObject,
    Task,
    VerdictRecord,
    content_key,
)
from annotation_ops.domain.tables import ANNOTATIONS
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services.certification import settle_calibration
from annotation_ops.services.evidence import Material, further_evidence, material_of
from annotation_ops.services.judgements import judgements_of
from annotation_ops.services.spot_audit import settle_audit
from annotation_ops.services.stages import due_stage, settle_stage

NOT_JUDGED = (BatchState.PLANNED, BatchState.IN_ANNOTATION, BatchState.HELD)


@dataclass(frozen=True, slots=True)
class JudgeReport:
    key: str
    outcome: str
    document: JsonObject
    state: BatchState
    reason: str
    new: bool
    """False when this verdict was recorded before."""


def flush_annotations(project: AnnotationProject, key: str, *, ledger: Ledger, lake: Lake) -> int:
    """Copies the attempt's judgements from the ledger to the lake; repeating writes the same rows. Returns the row count."""
    batch_id, number = parse_attempt_key(key)
    samples = {task.task_key: task.sample_id for task in ledger.tasks(project.name, batch_id, number)}
    annotations = ledger.annotations(project.name, batch_id, number)
    rows = [
        {
            "project": project.name,
            "batch_id": batch_id,
            "attempt": number,
            "task_key": a.task_key,
            "sample_id": samples[a.task_key],
            "annotator_id": a.annotator_id,
            "value": json.dumps(a.value, sort_keys=True),
            "submitted_at": a.submitted_at,
            "lead_time_seconds": a.lead_time_seconds,
            "revision": a.revision,
        }
        for a in annotations
    ]
    table = pa.Table.from_pylist(rows, ANNOTATIONS.schema)
    lake.upsert(ANNOTATIONS, table, partition={"project": project.name, "batch_id": batch_id})
    return len(rows)


def judge_attempt(project: AnnotationProject, key: str, *, ledger: Ledger, now: datetime) -> JudgeReport:
    """Records the verdict of the attempt under the project's criteria and moves a COMPLETE attempt on.

    The same criteria on the same evidence give the recorded verdict back. Other criteria on an attempt judged before add a
    verdict row beside it and move nothing. Raises Conflict while people are still working on it.
    """
    batch_id, number = parse_attempt_key(key)
    attempt = ledger.attempt(project.name, batch_id, number)
    if attempt.state in NOT_JUDGED:
        raise Conflict(
            f"{key}: found state {attempt.state}, expected complete; it is judged when the last annotation is in and nobody "
            f"holds it"
        )
    if parse_batch_id(batch_id)[1] not in WITH_LABELS:
        return _settled(project, attempt, ledger=ledger, now=now)
    criteria = project.pinned("criteria")
    material = material_of(project, attempt, ledger=ledger)
    same = [
        v
        for v in ledger.verdicts(project.name, batch_id)
        if (v.attempt, v.criteria, v.evidence, v.judged_by) == (number, criteria, material.key, SYSTEM_ACTOR)
    ]
    moves = attempt.state is BatchState.COMPLETE
    first = all(v.attempt != number for v in ledger.verdicts(project.name, batch_id))
    if same and not moves:
        return JudgeReport(key, same[-1].outcome, same[-1].document, attempt.state, attempt.state_reason, new=False)
    verdict = verdict_on(project, attempt, material)
    outcome, document = verdict.outcome.value, verdict.document()
    record = VerdictRecord(
        batch_id, number, outcome, criteria, document, now, evidence=material.key, in_force=moves or first
    )
    audited = verdict.evidence.audit is not None
    stage = due_stage(project, key, audited=audited, ledger=ledger) if verdict.outcome == "PASS" else None
    state, reason = _next_state(project, attempt, verdict, stage)
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        for declared in project.documents:
            tx.add_document_version(project.name, declared.kind, declared.version, declared.content_hash, declared.body)
        tx.add_verdict(project.name, same[-1] if same else record)
        if moves:
            tx.move_attempt(
                batch_id, number, project=project.name, expect={BatchState.COMPLETE}, to=state, at=now, reason=reason
            )
        codes = [found.code for found in verdict.reasons]
        tx.audit(
            "verdict.recorded",
            key,
            {"project": project.name, "outcome": outcome, "criteria": criteria, "reasons": codes},
        )
        if moves and state is BatchState.ESCALATED:
            why = "rejected_too_often" if outcome == "FAIL" else "not_settled"
            tx.audit("batch.escalated", key, {"project": project.name, "why": why})
    moved = ledger.attempt(project.name, batch_id, number)
    return JudgeReport(key, outcome, document, moved.state, moved.state_reason, new=True)


def _settled(project: AnnotationProject, attempt: Attempt, *, ledger: Ledger, now: datetime) -> JudgeReport:
    """An audit, a calibration, a review or an adjudication: its result is its verdict, and nothing is published from it."""
    new = attempt.state is not BatchState.SETTLED
    match parse_batch_id(attempt.batch_id)[1]:
        case BatchPurpose.AUDIT:
            settle = settle_audit
        case BatchPurpose.CALIBRATION:
            settle = settle_calibration
        case _:
            settle = settle_stage
    record = settle(project, attempt, ledger=ledger, now=now)
    settled = ledger.attempt(project.name, attempt.batch_id, attempt.number)
    return JudgeReport(attempt.key, record.outcome, record.document, settled.state, settled.state_reason, new=new)


def verdict_on(project: AnnotationProject, attempt: Attempt, material: Material) -> Verdict:
    """The verdict the project's criteria give on stored material: the same bytes whenever it is asked for."""
    seed = int(content_key("verdict", project.name, attempt.key, project.pinned("criteria"))[:8], 16)
    return judge(
        judgements_of(project, material.at_random),
        criteria=project.criteria,
        taxonomy=project.taxonomy,
        seed=seed,
        evidence=further_evidence(project, material, seed=seed),
    )


def _next_state(
    project: AnnotationProject, attempt: Attempt, verdict: Verdict, stage: BatchPurpose | None
) -> tuple[BatchState, str]:
    told = "; ".join(reason.text for reason in verdict.reasons)
    match verdict.outcome:
        case "PASS" if stage is not None:
            state = next(one for one, purpose in STAGES.items() if purpose is stage)
            return state, f"the judgements passed; the labels wait for their {stage} before they are published"
        case "PASS":
            return BatchState.PASSED, ""
        case "FAIL" if attempt.number >= project.workflow.max_attempts:
            limit = project.workflow.max_attempts
            return (
                BatchState.ESCALATED,
                f"rejected {attempt.number} times, the limit is {limit}; a person decides. {told}",
            )
        case "FAIL":
            return BatchState.FAILED, told
        case _ if verdict.top_up is not None:
            return BatchState.INSUFFICIENT, told
        case _:
            return BatchState.ESCALATED, f"{told} A person decides."


def verdict_in_force(project: str, key: str, *, ledger: Ledger) -> VerdictRecord | None:
    """The verdict that moved the attempt last: a person's override, or the system's."""
    batch_id, number = parse_attempt_key(key)
    verdicts = [v for v in ledger.verdicts(project, batch_id) if v.attempt == number and v.in_force]
    return verdicts[-1] if verdicts else None


def false_judgements(tasks: Sequence[Task], annotations: Sequence[Annotation], answers: Sequence[FusedAnswer]) -> int:
    """How many single judgements the consensus overruled."""
    settled = {answer.task_id: answer.value for answer in answers if answer.value is not None}
    known = {task.task_key for task in tasks} & settled.keys()
    return sum(a.value != settled[a.task_key] for a in annotations if a.task_key in known)
