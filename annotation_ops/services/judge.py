"""Judging: one verdict on a whole batch attempt, from stored annotations and versioned criteria.

The verdict row is the gate. A rejected batch goes back whole; after the last allowed attempt a person decides.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from annotation_ops.domain.errors import Conflict
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.quality.consensus.weighted_vote import ConsensusLabel, consensus
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.quality.verdict.judge import Verdict, judge
from annotation_ops.domain.records import (
    SYSTEM_ACTOR,
    Annotation,
    Attempt,
    BatchState,
    JsonObject,
    Task,
    VerdictRecord,
    content_key,
    parse_attempt_key,
)
from annotation_ops.domain.tables import ANNOTATIONS
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger

NOT_JUDGED = (BatchState.PLANNED, BatchState.IN_ANNOTATION)


@dataclass(frozen=True, slots=True)
class JudgeReport:
    key: str
    outcome: str
    document: JsonObject
    state: BatchState
    reason: str
    new: bool
    """False when this verdict was recorded before."""


def judgements_of(project: AnnotationProject, annotations: Sequence[Annotation]) -> Judgements:
    """The long judgement table of one attempt; categories in taxonomy order."""
    return Judgements.from_rows(
        ((a.task_key, a.annotator_id, str(a.value["label"])) for a in annotations), categories=project.taxonomy.names
    )


def consensus_of(project: AnnotationProject, annotations: Sequence[Annotation]) -> tuple[ConsensusLabel, ...]:
    """The consensus of one attempt by the method its criteria name."""
    if not annotations:
        return ()
    return consensus(judgements_of(project, annotations), method=project.criteria.consensus)


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

    The same criteria give the recorded verdict back. Other criteria on an attempt judged before add a verdict row beside
    it and move nothing. Raises Conflict while people are still working on it.
    """
    batch_id, number = parse_attempt_key(key)
    attempt = ledger.attempt(project.name, batch_id, number)
    if attempt.state in NOT_JUDGED:
        raise Conflict(
            f"{key}: found state {attempt.state}, expected complete; it is judged when the last annotation is in"
        )
    criteria = project.pinned("criteria")
    recorded = [v for v in ledger.verdicts(project.name, batch_id) if v.attempt == number]
    same = [v for v in recorded if v.criteria == criteria and v.judged_by == SYSTEM_ACTOR]
    if same and attempt.state is not BatchState.COMPLETE:
        return JudgeReport(key, same[-1].outcome, same[-1].document, attempt.state, attempt.state_reason, new=False)
    verdict = _verdict(project, key, ledger=ledger)
    record = VerdictRecord(batch_id, number, verdict.outcome.value, criteria, verdict.document(), now)
    state, reason = _next_state(project, attempt, verdict)
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        for document in project.documents:
            tx.add_document_version(project.name, document.kind, document.version, document.content_hash, document.body)
        tx.add_verdict(project.name, record)
        if attempt.state is BatchState.COMPLETE:
            tx.move_attempt(
                batch_id, number, project=project.name, expect={BatchState.COMPLETE}, to=state, at=now, reason=reason
            )
        codes = [found.code for found in verdict.reasons]
        tx.audit(
            "verdict.recorded",
            key,
            {"project": project.name, "outcome": verdict.outcome.value, "criteria": criteria, "reasons": codes},
        )
    moved = ledger.attempt(project.name, batch_id, number)
    return JudgeReport(key, verdict.outcome.value, verdict.document(), moved.state, moved.state_reason, new=True)


def _verdict(project: AnnotationProject, key: str, *, ledger: Ledger) -> Verdict:
    batch_id, number = parse_attempt_key(key)
    seed = int(content_key("verdict", project.name, key, project.pinned("criteria"))[:8], 16)
    return judge(
        judgements_of(project, ledger.annotations(project.name, batch_id, number)),
        criteria=project.criteria,
        taxonomy=project.taxonomy,
        seed=seed,
    )


def _next_state(project: AnnotationProject, attempt: Attempt, verdict: Verdict) -> tuple[BatchState, str]:
    told = "; ".join(reason.text for reason in verdict.reasons)
    match verdict.outcome:
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
        case _:
            return BatchState.INSUFFICIENT, told


def verdict_in_force(project: str, key: str, *, ledger: Ledger) -> VerdictRecord | None:
    """The verdict that moved the attempt: an override by a person if there is one, else the first recorded."""
    batch_id, number = parse_attempt_key(key)
    verdicts = [v for v in ledger.verdicts(project, batch_id) if v.attempt == number]
    overrides = [v for v in verdicts if v.judged_by != SYSTEM_ACTOR]
    return overrides[-1] if overrides else (verdicts[0] if verdicts else None)


def false_judgements(tasks: Sequence[Task], annotations: Sequence[Annotation], labels: Sequence[ConsensusLabel]) -> int:
    """How many single judgements the consensus overruled."""
    gold = {label.task_id: label.label for label in labels if label.label is not None}
    known = {task.task_key for task in tasks}
    return sum(a.value["label"] != gold[a.task_key] for a in annotations if a.task_key in gold and a.task_key in known)
