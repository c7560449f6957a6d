"""Collection: what people did, from the platform into the ledger; the sweep is the truth, webhooks are hints.

Annotations are untrusted input: an unknown task, a person who was not asked and a label outside the taxonomy go to
quarantine with the reason. Rows, cursor and audit entry of one page are one transaction.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from annotation_ops.domain.batches import BatchState, attempt_key
from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.quality.agreement.measure import judgements_from_values
from annotation_ops.domain.quality.agreement.report import CATEGORICAL
from annotation_ops.domain.records import (
    SYSTEM_ACTOR,
    Annotation,
    Assignment,
    AssignmentState,
    Attempt,
    Quarantined,
    Task,
    content_key,
)
from annotation_ops.ports.annotation_platform import AnnotationPlatform, PlatformAnnotation, StandingAnswers
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger, LedgerTransaction
from annotation_ops.services.heal import HealReport, heal
from annotation_ops.services.overlap import UNANSWERED, extend_adaptively, send_planned
from annotation_ops.services.placement import ensure_project

SWEEP_EVERY = timedelta(days=1)
"""How often everything is read again and every open task is looked up: for what no list of changes shows."""


@dataclass(frozen=True, slots=True)
class CollectReport:
    collected: int
    """New annotations and revisions."""
    repeated: int
    """Items the platform showed again; nothing changed."""
    quarantined: dict[str, int]
    completed: tuple[str, ...]
    """Attempts whose last annotation arrived."""
    reopened: tuple[str, ...]
    """Published attempts with a late change: their labels are published again as a correction."""
    overdue: tuple[str, ...]
    extended: dict[str, int]
    """Attempt -> further judgements that its adaptive overlap asked for."""
    healed: HealReport | None
    """Of the full sweep; None when only changes were read."""


def cursor_name(project: str) -> str:
    return f"collect:{project}"


def swept_at_name(project: str) -> str:
    return f"swept_at:{project}"


def collected_at_name(project: str) -> str:
    return f"collected_at:{project}"


def collected_at(project: str, *, ledger: Ledger) -> datetime | None:
    """When the last collection finished; None before the first."""
    text = ledger.cursor(collected_at_name(project))
    return datetime.fromisoformat(text) if text else None


def collect(
    project: AnnotationProject,
    *,
    ledger: Ledger,
    lake: Lake,
    platform: AnnotationPlatform,
    now: datetime,
    sweep_every: timedelta = SWEEP_EVERY,
) -> CollectReport:
    """Reads every page since the cursor and settles which attempts are complete, overdue or want further judgements.

    When `sweep_every` has passed since the last full sweep, everything is read from the start and the platform is healed.
    """
    send_planned(project, ledger=ledger, platform=platform, now=now)
    project_id = ensure_project(project, ledger=ledger, platform=platform, now=now)
    swept_at = ledger.cursor(swept_at_name(project.name))
    sweep = swept_at is None or now - datetime.fromisoformat(swept_at) >= sweep_every
    cursor = None if sweep else ledger.cursor(cursor_name(project.name))
    collected = repeated = 0
    quarantined: Counter[str] = Counter()
    reopened: set[str] = set()
    while True:
        page = platform.fetch_annotations(project_id, cursor=cursor, limit=platform.limits.max_page_size)
        shown = {item.task_key for item in page.items} | {one.task_key for one in page.standing}
        tasks = ledger.tasks_by_key(shown)
        asked = _asked(project, list(tasks.values()), ledger=ledger)
        histories = {key: list(ledger.annotation_history(key)) for key in tasks}
        accepted, refused, skipped = _validate(
            project, page.items, tasks=tasks, asked=asked, histories=histories, now=now
        )
        accepted += _deletions(page.standing, histories=histories, asked=asked, now=now)
        withdrawn = _state_of_deleted(project, accepted, ledger=ledger)
        with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
            new = tx.add_annotations(accepted)
            for item in refused:
                quarantined[item.reason_code] += tx.quarantine(item)
            for annotation in accepted:
                state = withdrawn[annotation.task_key] if annotation.deleted else AssignmentState.DONE
                tx.set_assignment_state(annotation.task_key, annotation.annotator_id, state)
            for task, person in skipped:
                tx.set_assignment_state(task, person, AssignmentState.EXPIRED)
            if new:
                reopened |= _reopen(project, accepted, ledger=ledger, tx=tx, now=now)
            tx.set_cursor(cursor_name(project.name), page.next_cursor)
            if not page.more:
                tx.set_cursor(collected_at_name(project.name), now.isoformat())
            if accepted or refused or skipped:
                tx.audit(
                    "annotations.collected",
                    project.name,
                    {"project": project.name, "new": new, "seen": len(page.items), "quarantined": len(refused)},
                )
        collected += new
        repeated += len(accepted) - new
        cursor = page.next_cursor
        if not page.more:
            break
    healed = None
    if sweep:
        healed = heal(project, project_id, ledger=ledger, platform=platform, now=now)
        with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
            tx.set_cursor(swept_at_name(project.name), now.isoformat())
    completed, overdue, extended = _settle(project, ledger=ledger, lake=lake, platform=platform, now=now)
    return CollectReport(
        collected,
        repeated,
        {code: count for code, count in sorted(quarantined.items()) if count},
        tuple(completed),
        tuple(sorted(reopened)),
        tuple(overdue),
        extended,
        healed,
    )


def _validate(
    project: AnnotationProject,
    items: Sequence[PlatformAnnotation],
    *,
    tasks: Mapping[str, Task],
    asked: set[tuple[str, str]],
    histories: Mapping[str, list[Annotation]],
    now: datetime,
) -> tuple[list[Annotation], list[Quarantined], list[tuple[str, str]]]:
    """Splits what the platform shows into annotations (known ones as they are stored), refused items, and skips.

    New annotations are added to their task's history.
    """
    accepted: dict[str, Annotation] = {}
    refused: list[Quarantined] = []
    skipped: list[tuple[str, str]] = []
    for item in sorted(items, key=lambda item: (item.updated_at, item.platform_annotation_id)):
        if item.state == "skipped":
            if (item.task_key, item.annotator_id) in asked:
                skipped.append((item.task_key, item.annotator_id))
            continue
        fault = _fault(project, item, tasks.get(item.task_key), asked)
        if fault is not None:
            refused.append(_quarantined(project, item, *fault, now=now))
            continue
        own = [known for known in histories[item.task_key] if known.annotator_id == item.annotator_id]
        annotation = _annotation(item, revision=len(own) + 1, now=now)
        stored = next((known for known in own if known.annotation_key == annotation.annotation_key), None)
        if stored is None:
            histories[item.task_key].append(annotation)
        accepted[annotation.annotation_key] = stored or annotation
    return list(accepted.values()), refused, skipped


def _deletions(
    standing: Sequence[StandingAnswers],
    *,
    histories: Mapping[str, Sequence[Annotation]],
    asked: set[tuple[str, str]],
    now: datetime,
) -> list[Annotation]:
    """A further revision of every answer that is gone from the platform: the person's answer before it, or none."""
    gone = []
    for one in standing:
        if (one.task_key, one.annotator_id) not in asked:
            continue
        known = [a for a in histories[one.task_key] if a.annotator_id == one.annotator_id]
        if not known or known[-1].deleted or not known[-1].platform_annotation_id.startswith(one.place):
            continue
        if known[-1].platform_annotation_id in one.platform_annotation_ids:
            continue
        left = [a for a in known if a.platform_annotation_id in one.platform_annotation_ids and not a.deleted]
        gone.append(
            replace(
                left[-1] if left else replace(known[-1], value={}, lead_time_seconds=None),
                annotation_key=content_key(one.task_key, one.annotator_id, "absent", known[-1].annotation_key),
                submitted_at=now,
                collected_at=now,
                revision=known[-1].revision + 1,
                deleted=not left,
            )
        )
    return gone


def _state_of_deleted(
    project: AnnotationProject, annotations: Sequence[Annotation], *, ledger: Ledger
) -> dict[str, AssignmentState]:
    """Task key of a deleted answer -> state of its assignment: waited for again while people work on the attempt."""
    tasks = ledger.tasks_by_key({annotation.task_key for annotation in annotations if annotation.deleted})
    waiting = {
        (attempt.batch_id, attempt.number)
        for attempt in ledger.attempts(project.name, states={BatchState.IN_ANNOTATION, BatchState.HELD})
        if BatchState.IN_ANNOTATION in (attempt.state, attempt.held_from)
    }
    return {
        key: AssignmentState.OPEN if (task.batch_id, task.attempt) in waiting else AssignmentState.EXPIRED
        for key, task in tasks.items()
    }


def _asked(project: AnnotationProject, tasks: Sequence[Task], *, ledger: Ledger) -> set[tuple[str, str]]:
    return {
        (assignment.task_key, assignment.annotator_id)
        for batch_id, number in {(task.batch_id, task.attempt) for task in tasks}
        for assignment in ledger.assignments(project.name, batch_id, number)
    }


def _fault(
    project: AnnotationProject, item: PlatformAnnotation, task: Task | None, asked: set[tuple[str, str]]
) -> tuple[str, str] | None:
    """(reason code, reason) why an item is refused; None when it is good."""
    if task is None:
        return "unknown_task", f"task key {item.task_key!r} is not in the ledger; expected a key this project sent out"
    if (item.task_key, item.annotator_id) not in asked:
        return "not_assigned", f"annotator {item.annotator_id!r} was not asked about task {item.task_key}"
    if item.fault_code:
        return item.fault_code, item.fault
    if item.state == "deleted":
        return None
    if project.contract.task_type not in CATEGORICAL:
        return _shape_fault(project, item)
    label = item.value.get("label")
    if label not in project.taxonomy.names:
        return (
            "unknown_label",
            f"found label {label!r}, expected one of {', '.join(project.taxonomy.names)} (taxonomy {project.taxonomy.version})",
        )
    return None


def _shape_fault(project: AnnotationProject, item: PlatformAnnotation) -> tuple[str, str] | None:
    """Whatever the statistics of the task type would refuse."""
    row = (item.task_key, item.annotator_id, item.value)
    try:
        judgements_from_values(project.contract.task_type, [row], categories=project.taxonomy.names)
    except InvalidInput as error:
        return "bad_answer", str(error)
    return None


def _quarantined(
    project: AnnotationProject, item: PlatformAnnotation, code: str, reason: str, *, now: datetime
) -> Quarantined:
    key = content_key(
        item.platform_annotation_id, item.task_key, item.updated_at.isoformat(), json.dumps(item.value, sort_keys=True)
    )
    body = {
        "task_key": item.task_key,
        "annotator": item.annotator_id,
        "value": item.value,
        "platform_task": item.platform_task_id,
    }
    return Quarantined("annotation", key, project.name, code, reason, body, now)


def _annotation(item: PlatformAnnotation, *, revision: int, now: datetime) -> Annotation:
    return Annotation(
        annotation_key=content_key(
            item.task_key,
            item.annotator_id,
            item.platform_annotation_id,
            item.updated_at.isoformat(),
            item.state,
            json.dumps(item.value, sort_keys=True),
        ),
        task_key=item.task_key,
        annotator_id=item.annotator_id,
        value=item.value,
        submitted_at=item.updated_at,
        collected_at=now,
        lead_time_seconds=item.lead_time_seconds,
        platform_annotation_id=item.platform_annotation_id,
        revision=revision,
        deleted=item.state == "deleted",
    )


def _reopen(
    project: AnnotationProject, changed: Sequence[Annotation], *, ledger: Ledger, tx: LedgerTransaction, now: datetime
) -> set[str]:
    """A late edit of a published batch sends it back to PASSED: publishing again appends the corrected rows."""
    late = {annotation.task_key for annotation in changed if annotation.collected_at == now}
    touched = {(task.batch_id, task.attempt) for task in ledger.tasks_by_key(late).values()}
    reopened = set()
    for attempt in ledger.attempts(project.name, states={BatchState.PUBLISHED}):
        if (attempt.batch_id, attempt.number) in touched:
            tx.move_attempt(
                attempt.batch_id,
                attempt.number,
                project=project.name,
                expect={BatchState.PUBLISHED},
                to=BatchState.PASSED,
                at=now,
                reason="an annotator changed an answer after publishing",
            )
            tx.audit("batch.reopened", attempt.key, {"project": project.name, "why": "late change"})
            reopened.add(attempt.key)
    return reopened


def _settle(
    project: AnnotationProject, *, ledger: Ledger, lake: Lake, platform: AnnotationPlatform, now: datetime
) -> tuple[list[str], list[str], dict[str, int]]:
    """Moves attempts whose last annotation is in to COMPLETE; past the due time the missing answers are given up.

    An attempt whose adaptive overlap wants more judgements before its due time stays in people's hands.

    A task that nobody answered in time keeps its open assignments as EXPIRED, and the verdict is made on what came.
    """
    completed, overdue = [], []
    extended: dict[str, int] = {}
    for attempt in ledger.attempts(project.name, states={BatchState.IN_ANNOTATION}):
        assignments = ledger.assignments(project.name, attempt.batch_id, attempt.number)
        missing = [a for a in assignments if a.state in UNANSWERED]
        late = attempt.due_at is not None and now > attempt.due_at
        if missing and not late:
            continue
        if missing:
            overdue.append(attempt.key)
        elif not late:
            more = extend_adaptively(project, attempt, ledger=ledger, lake=lake, platform=platform, now=now)
            if more:
                extended[attempt.key] = more
                continue
        _complete(project, attempt, missing, ledger=ledger, now=now)
        completed.append(attempt.key)
    return completed, overdue, extended


def _complete(
    project: AnnotationProject, attempt: Attempt, missing: Sequence[Assignment], *, ledger: Ledger, now: datetime
) -> None:
    answered = len(ledger.annotations(project.name, attempt.batch_id, attempt.number))
    by_person = Counter(assignment.annotator_id for assignment in missing)
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        for assignment in missing:
            tx.set_assignment_state(assignment.task_key, assignment.annotator_id, AssignmentState.EXPIRED)
        tx.move_attempt(
            attempt.batch_id,
            attempt.number,
            project=project.name,
            expect={BatchState.IN_ANNOTATION},
            to=BatchState.COMPLETE if answered else BatchState.ESCALATED,
            at=now,
            reason="" if answered else _unanswered(missing),
        )
        tx.audit(
            "batch.completed" if not missing else "batch.overdue",
            attempt_key(attempt.batch_id, attempt.number),
            {
                "project": project.name,
                "annotations": answered,
                "missing": len(missing),
                "missing_by_person": dict(by_person),
            },
        )
        if not answered:
            tx.audit("batch.escalated", attempt.key, {"project": project.name, "why": "nobody_answered"})


def _unanswered(missing: Sequence[Assignment]) -> str:
    return "the due time passed and nobody answered" if missing else "everybody skipped every task"
