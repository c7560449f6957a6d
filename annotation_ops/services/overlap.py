"""Overlap after the dispatch: further judgements where a task, or the verdict, is not settled.

Intent -> call -> record, as in dispatch: an assignment is PLANNED in the ledger before the platform hears of it and OPEN
afterwards; whatever runs next sends what is still PLANNED. Telling a platform twice to ask a person changes nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from annotation_ops.domain.batches import WITH_LABELS, BatchState, parse_attempt_key, parse_batch_id
from annotation_ops.domain.errors import Conflict
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.quality.judgements import FloatArray, Judgements
from annotation_ops.domain.quality.planning.adaptive_overlap import further
from annotation_ops.domain.quality.planning.top_up import TopUpOrder, draw_top_up
from annotation_ops.domain.records import (
    SYSTEM_ACTOR,
    Assignment,
    AssignmentPurpose,
    AssignmentState,
    Attempt,
    Task,
    content_key,
)
from annotation_ops.domain.tables import PREDICTIONS
from annotation_ops.domain.workforce import sla
from annotation_ops.domain.workforce.routing import route
from annotation_ops.ports.annotation_platform import AnnotationPlatform
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services.certification import certified_people
from annotation_ops.services.dispatch import earlier_judges, routable_tasks, work_load
from annotation_ops.services.judgements import AT_RANDOM, asked_for, judgements_of
from annotation_ops.services.placement import ensure_project

UNANSWERED = frozenset({AssignmentState.PLANNED, AssignmentState.OPEN})


@dataclass(frozen=True, slots=True)
class TopUpReport:
    key: str
    judgements: int
    """Further judgements asked for now."""
    state: BatchState


def extend_adaptively(
    project: AnnotationProject,
    attempt: Attempt,
    *,
    ledger: Ledger,
    lake: Lake,
    platform: AnnotationPlatform,
    now: datetime,
) -> int:
    """Asks for what the adaptive policy of the workflow still wants of a fully answered attempt; returns how much that is.

    0 means that every task is settled, capped, or has nobody left to ask.
    """
    adaptive = project.workflow.adaptive
    if adaptive.policy == "fixed" or parse_batch_id(attempt.batch_id)[1] not in WITH_LABELS:
        return 0
    annotations = ledger.annotations(project.name, attempt.batch_id, attempt.number)
    if not annotations:
        return 0
    tasks = ledger.tasks(project.name, attempt.batch_id, attempt.number)
    judgements = judgements_of(project, annotations)
    if not isinstance(judgements, Judgements):
        return 0
    predictions = None
    if adaptive.policy == "model_assisted":
        day = parse_batch_id(attempt.batch_id)[0].isoformat()
        predictions = predicted(project, tasks, judgements.tasks, day=day, lake=lake)
    wanted = {more.task_id: more.judgements for more in further(judgements, policy=adaptive, predictions=predictions)}
    return _extend(
        project,
        attempt,
        {AssignmentPurpose.ADAPTIVE: wanted},
        ledger=ledger,
        lake=lake,
        platform=platform,
        now=now,
    )


def predicted(
    project: AnnotationProject, tasks: Sequence[Task], order: Sequence[str], *, day: str, lake: Lake
) -> FloatArray | None:
    """Class probabilities of the model that ranked the batch, (n, q) in the order of the task keys; NaN rows where it scored nothing."""
    partition = {"project": project.name, "day": day}
    scored: dict[tuple[str, str], list[float]] = {}
    for batch in lake.scan(PREDICTIONS, partition=partition, columns=["sample_id", "digest", "probabilities"]):
        for row in batch.to_pylist():
            scored[row["sample_id"], row["digest"]] = row["probabilities"]
    if not scored:
        return None
    sample = {task.task_key: (task.sample_id, task.digest) for task in tasks}
    nothing = [float("nan")] * len(project.taxonomy.names)
    return np.array([scored.get(sample[key]) or nothing for key in order], dtype=np.float64)


def top_up_attempt(
    project: AnnotationProject, key: str, *, ledger: Ledger, lake: Lake, platform: AnnotationPlatform, now: datetime
) -> TopUpReport:
    """Carries out the top-up that the verdict in force ordered and sends the attempt back to people.

    An attempt that is back in annotation already is only reported; where nobody is left to ask, a person decides.
    Raises Conflict for an attempt that is not INSUFFICIENT, TransientError when the platform fails.
    """
    batch_id, number = parse_attempt_key(key)
    attempt = ledger.attempt(project.name, batch_id, number)
    if attempt.state is BatchState.IN_ANNOTATION:
        return TopUpReport(key, 0, attempt.state)
    if attempt.state is not BatchState.INSUFFICIENT:
        raise Conflict(
            f"{key}: found state {attempt.state}, expected insufficient; only an unsettled verdict is topped up"
        )
    order = _order(project, attempt, ledger=ledger)
    asked = sum(a.state in UNANSWERED for a in ledger.assignments(project.name, batch_id, number))
    if asked:
        _send_planned(project, attempt, ledger=ledger, platform=platform, now=now)
    else:
        asked = _carry_out(project, attempt, order, ledger=ledger, lake=lake, platform=platform, now=now)
    state = BatchState.IN_ANNOTATION if asked else BatchState.ESCALATED
    reason = "" if asked else f"{attempt.state_reason} Nobody is left who could be asked again: a person decides."
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        tx.move_attempt(
            batch_id,
            number,
            project=project.name,
            expect={BatchState.INSUFFICIENT},
            to=state,
            at=now,
            reason=reason,
            due_at=sla.due_at(now, contract=project.contract) if asked else None,
        )
        details = {"project": project.name, "judgements": asked, "round": order.round}
        details |= {} if asked else {"why": "nobody_left"}
        tx.audit("batch.topped_up" if asked else "batch.escalated", key, details)
    return TopUpReport(key, asked, state)


def _order(project: AnnotationProject, attempt: Attempt, *, ledger: Ledger) -> TopUpOrder:
    verdicts = [
        v for v in ledger.verdicts(project.name, attempt.batch_id) if v.attempt == attempt.number and v.in_force
    ]
    order = verdicts[-1].document.get("top_up") if verdicts else None
    if order is None:
        raise Conflict(
            f"{attempt.key}: its verdict orders no top-up; use `annotation-ops batch accept` or `batch requeue`"
        )
    return TopUpOrder(order["round"], order["judgements"], tuple(order["classes"]))


def _carry_out(
    project: AnnotationProject,
    attempt: Attempt,
    order: TopUpOrder,
    *,
    ledger: Ledger,
    lake: Lake,
    platform: AnnotationPlatform,
    now: datetime,
) -> int:
    annotations = ledger.annotations(project.name, attempt.batch_id, attempt.number)
    assignments = ledger.assignments(project.name, attempt.batch_id, attempt.number)
    answers: defaultdict[str, set[str]] = defaultdict(set)
    for annotation in annotations:
        answers[annotation.task_key].add(str(annotation.value.get("label", "")))
    at_random = Counter(a.task_key for a in asked_for(annotations, assignments, purposes=AT_RANDOM))
    seed = int(content_key("top_up", attempt.key, str(order.round))[:8], 16)
    random, by_class = draw_top_up(answers, at_random=at_random, order=order, seed=seed)
    wanted = {
        AssignmentPurpose.TOP_UP: dict.fromkeys(random, 1),
        AssignmentPurpose.CLASS_TOP_UP: dict.fromkeys(by_class, 1),
    }
    return _extend(project, attempt, wanted, ledger=ledger, lake=lake, platform=platform, now=now)


def _extend(
    project: AnnotationProject,
    attempt: Attempt,
    wanted: Mapping[AssignmentPurpose, Mapping[str, int]],
    *,
    ledger: Ledger,
    lake: Lake,
    platform: AnnotationPlatform,
    now: datetime,
) -> int:
    """Routes the wanted judgements (task key -> how many more), records them all at once and tells the platform."""
    planned = _routed(project, attempt, wanted, ledger=ledger, lake=lake, now=now)
    if not planned:
        return 0
    counts = Counter(str(assignment.purpose) for assignment in planned)
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        tx.add_assignments(planned)
        tx.audit("overlap.planned", attempt.key, {"project": project.name, "judgements": dict(counts)})
    _send_planned(project, attempt, ledger=ledger, platform=platform, now=now)
    return len(planned)


def _routed(
    project: AnnotationProject,
    attempt: Attempt,
    wanted: Mapping[AssignmentPurpose, Mapping[str, int]],
    *,
    ledger: Ledger,
    lake: Lake,
    now: datetime,
) -> list[Assignment]:
    """PLANNED assignments; tasks for which nobody is left are passed over."""
    asked: defaultdict[str, set[str]] = defaultdict(set)
    for assignment in ledger.assignments(project.name, attempt.batch_id, attempt.number):
        asked[assignment.task_key].add(assignment.annotator_id)
    tasks = [
        task
        for task in ledger.tasks(project.name, attempt.batch_id, attempt.number)
        if task.unroutable_reason is None and any(task.task_key in part for part in wanted.values())
    ]
    routable = {
        task.task_key: replace(task, asked=frozenset(asked[task.task_key]))
        for task in routable_tasks(project, tasks, lake=lake)
    }
    history = earlier_judges(project, attempt.batch_id, before=attempt.number, ledger=ledger)
    load = work_load(project, ledger=ledger)
    due_at = sla.due_at(now, contract=project.contract)
    certified = certified_people(project, ledger=ledger, now=now)
    found: list[Assignment] = []
    for purpose, part in wanted.items():
        for count in sorted(set(part.values()), reverse=True):
            plan = route(
                [routable[key] for key, times in part.items() if times == count and key in routable],
                workforce=project.workforce,
                routing=project.routing,
                overlap=count,
                load=load,
                history=history,
                certified=certified,
            )
            load.update(chosen.annotator_id for chosen in plan.assignments)
            found += [
                Assignment(c.task_key, c.annotator_id, AssignmentState.PLANNED, c.explain, now, due_at, purpose)
                for c in plan.assignments
            ]
    return found


def send_planned(project: AnnotationProject, *, ledger: Ledger, platform: AnnotationPlatform, now: datetime) -> None:
    """Tells the platform of every assignment that a run planned and did not live to send."""
    for attempt in ledger.attempts(project.name, states={BatchState.IN_ANNOTATION}):
        _send_planned(project, attempt, ledger=ledger, platform=platform, now=now)


def _send_planned(
    project: AnnotationProject, attempt: Attempt, *, ledger: Ledger, platform: AnnotationPlatform, now: datetime
) -> None:
    planned: defaultdict[str, list[str]] = defaultdict(list)
    for assignment in ledger.assignments(project.name, attempt.batch_id, attempt.number):
        if assignment.state is AssignmentState.PLANNED:
            planned[assignment.task_key].append(assignment.annotator_id)
    if not planned:
        return
    project_id = ensure_project(project, ledger=ledger, platform=platform, now=now)
    tasks = ledger.tasks_by_key(planned)
    platform.assign(project_id, {tasks[key].platform_task_id or "": people for key, people in sorted(planned.items())})
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        for key, people in sorted(planned.items()):
            for person in people:
                tx.set_assignment_state(key, person, AssignmentState.OPEN)
        judgements = sum(map(len, planned.values()))
        tx.audit("overlap.sent", attempt.key, {"project": project.name, "judgements": judgements})
