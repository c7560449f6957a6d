"""Dispatch: route the tasks of a planned attempt to people and put them on the platform, exactly once.

Intent -> call -> record. The routing and the task keys are in the ledger before the platform is called; after a crash at
any point the next run finds by key what the platform already has, adopts it, creates what is missing and withdraws
duplicates. A lease keeps a second run out; a zombie that ignores it is healed by the same find.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from annotation_ops.domain.batches import WITH_LABELS, BatchPurpose, BatchState, calibrated_annotator, parse_attempt_key
from annotation_ops.domain.errors import TransientError
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.quality.planning.adaptive_overlap import start_overlap
from annotation_ops.domain.records import SYSTEM_ACTOR, Assignment, AssignmentState, Batch, Task, content_key
from annotation_ops.domain.tables import RAW_SAMPLES
from annotation_ops.domain.workforce import sla
from annotation_ops.domain.workforce.routing import RoutableTask, RoutedAssignment, RoutingPlan, UnroutableTask, route
from annotation_ops.ports.annotation_platform import AnnotationPlatform
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services.certification import calibrated_person, certified_people
from annotation_ops.services.placement import NOTHING_PLACED, Placement, ensure_project, place_tasks
from annotation_ops.services.spot_audit import Audited
from annotation_ops.services.stages import About, people_for

LEASE_SECONDS = 900.0
"""Longer than a dispatch of 10,000 tasks; a crashed owner's lease runs out by itself."""


@dataclass(frozen=True, slots=True)
class DispatchReport:
    key: str
    placed: Placement
    unroutable: Mapping[str, int]
    """Reason code -> tasks nobody may be asked about."""
    load: Mapping[str, int]
    """annotator -> tasks of this attempt."""
    due_at: datetime | None
    state: BatchState


def dispatch_attempt(
    project: AnnotationProject,
    key: str,
    *,
    ledger: Ledger,
    lake: Lake,
    platform: AnnotationPlatform,
    owner: str,
    now: datetime,
) -> DispatchReport:
    """Puts the attempt on the platform and moves it to IN_ANNOTATION; an attempt already there is only reported.

    An attempt whose tasks are all unroutable is ESCALATED with the reasons. Raises TransientError when the platform fails
    or another run holds the lease; running again continues where this one stopped.
    """
    batch_id, number = parse_attempt_key(key)
    attempt = ledger.attempt(project.name, batch_id, number)
    if attempt.state is not BatchState.PLANNED:
        return _report(project, key, ledger=ledger)
    lease = f"dispatch:{project.name}:{key}"
    if ledger.acquire_lease(lease, owner, at=now, seconds=LEASE_SECONDS) is None:
        raise TransientError(f"{key}: another run is dispatching it; it is retried when the lease {lease} is free")
    try:
        _route(project, batch_id, number, ledger=ledger, lake=lake, now=now)
        tasks = [task for task in ledger.tasks(project.name, batch_id, number) if task.unroutable_reason is None]
        if not tasks:
            with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
                tx.move_attempt(
                    batch_id,
                    number,
                    project=project.name,
                    expect={BatchState.PLANNED},
                    to=BatchState.ESCALATED,
                    at=now,
                    reason="no task can be routed to anybody; see the reasons on the tasks",
                )
                tx.audit("batch.escalated", key, {"project": project.name, "why": "unroutable"})
            return _report(project, key, ledger=ledger)
        project_id = ensure_project(project, ledger=ledger, platform=platform, now=now)
        due_at = sla.due_at(now, contract=project.contract)
        placed = place_tasks(project, tasks, key, project_id, ledger=ledger, platform=platform, due_at=due_at, now=now)
        with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
            tx.move_attempt(
                batch_id,
                number,
                project=project.name,
                expect={BatchState.PLANNED},
                to=BatchState.IN_ANNOTATION,
                at=now,
                due_at=due_at,
            )
            tx.audit(
                "batch.dispatched", key, {"project": project.name, "tasks": len(tasks), "due_at": due_at.isoformat()}
            )
        return _report(project, key, ledger=ledger, placed=placed)
    finally:
        ledger.release_lease(lease, owner)


def _route(
    project: AnnotationProject, batch_id: str, number: int, *, ledger: Ledger, lake: Lake, now: datetime
) -> None:
    """Writes the assignments of the attempt once; a later run finds them and asks the same people."""
    if ledger.assignments(project.name, batch_id, number):
        return
    plan = _plan(project, batch_id, number, ledger=ledger, lake=lake, now=now)
    due_at = sla.due_at(now, contract=project.contract)
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        tx.add_assignments(
            [
                Assignment(chosen.task_key, chosen.annotator_id, AssignmentState.OPEN, chosen.explain, now, due_at)
                for chosen in plan.assignments
            ]
        )
        for missed in plan.unroutable:
            tx.mark_unroutable(missed.task_key, f"{missed.code}: {missed.reason}")
        tx.audit("batch.routed", f"{batch_id}.a{number}", {"project": project.name, **_counts(plan)})


def _plan(
    project: AnnotationProject, batch_id: str, number: int, *, ledger: Ledger, lake: Lake, now: datetime
) -> RoutingPlan:
    """The overlap sample of the batch first, then the tasks that start with fewer judgements."""
    tasks = [task for task in ledger.tasks(project.name, batch_id, number) if task.unroutable_reason is None]
    batch = ledger.batch(project.name, batch_id)
    overlaps = first_overlaps(project, batch, tasks)
    routable = routable_tasks(project, tasks, lake=lake)
    workforce, certified = project.workforce, None
    load = work_load(project, ledger=ledger)
    match batch.purpose:
        case BatchPurpose.AUDIT | BatchPurpose.REVIEW | BatchPurpose.ADJUDICATION:
            workforce = people_for(project, batch.purpose)
            had_part = {task.task_key: _had_part(task) for task in tasks}
            routable = [replace(task, asked=had_part[task.task_key]) for task in routable]
        case BatchPurpose.CALIBRATION:
            # On top of the day's work: a round may be larger than what the person may hold.
            person = calibrated_person(project, batch_id)
            load[person.annotator_id] = 0
            workforce = replace(workforce, annotators=(replace(person, capacity=len(tasks)),))
        case _:
            certified = certified_people(project, ledger=ledger, now=now)
    history = earlier_judges(project, batch_id, before=number, ledger=ledger)
    assignments: list[RoutedAssignment] = []
    unroutable: list[UnroutableTask] = []
    for overlap in sorted(set(overlaps.values()), reverse=True):
        plan = route(
            [task for task in routable if overlaps[task.task_key] == overlap],
            workforce=workforce,
            routing=project.routing,
            overlap=overlap,
            load=load,
            history=history,
            certified=certified,
        )
        load.update(chosen.annotator_id for chosen in plan.assignments)
        assignments += plan.assignments
        unroutable += plan.unroutable
    return RoutingPlan(tuple(assignments), tuple(unroutable))


def _had_part(task: Task) -> frozenset[str]:
    """Those whose own work it is: nobody reviews, adjudicates or audits that."""
    about = About.of_task(task)
    return frozenset(Audited.of_task(task).annotators if about is None else about.people)


def work_load(project: AnnotationProject, *, ledger: Ledger) -> Counter[str]:
    """annotator_id -> open assignments now. Calibrations do not count: a round would leave its person no capacity for work."""
    load = Counter(ledger.open_assignments(project.name))
    for attempt in ledger.attempts(project.name, states={BatchState.IN_ANNOTATION}):
        if calibrated_annotator(attempt.batch_id) is not None:
            rounds = ledger.assignments(project.name, attempt.batch_id, attempt.number)
            load.subtract(one.annotator_id for one in rounds if one.state is AssignmentState.OPEN)
    return load


def first_overlaps(project: AnnotationProject, batch: Batch, tasks: Sequence[Task]) -> dict[str, int]:
    """Task key -> judgements at the start: the batch's overlap on the overlap sample, what the policy starts with elsewhere.

    The sample is drawn by a hash of the batch and the sample id, so that every attempt overlaps the same samples.
    """
    if batch.purpose not in WITH_LABELS:
        return {task.task_key: batch.overlap for task in tasks}
    size = math.ceil(project.workflow.overlap_share * len(tasks) - 1e-9)
    drawn = sorted(tasks, key=lambda task: content_key("overlap sample", batch.batch_id, task.sample_id))
    start = min(start_overlap(project.workflow.adaptive), batch.overlap)
    return {task.task_key: batch.overlap if rank < size else start for rank, task in enumerate(drawn)}


def _counts(plan: RoutingPlan) -> dict[str, int]:
    return {
        "assignments": len(plan.assignments),
        "people": len({chosen.annotator_id for chosen in plan.assignments}),
        "unroutable": len(plan.unroutable),
    }


def routable_tasks(project: AnnotationProject, tasks: Sequence[Task], *, lake: Lake) -> list[RoutableTask]:
    """Tasks with what the raw manifest says about their samples: metadata for the rules, region for residency."""
    wanted = {(task.sample_id, task.digest) for task in tasks}
    facts: dict[tuple[str, str], tuple[dict[str, str], str | None]] = {}
    columns = ["sample_id", "digest", "slices", "metadata", "region"]
    for batch in lake.scan(RAW_SAMPLES, partition={"project": project.name}, columns=columns):
        for row in batch.to_pylist():
            if (found := (row["sample_id"], row["digest"])) in wanted:
                attributes = {**json.loads(row["metadata"] or "{}"), **json.loads(row["slices"] or "{}")}
                facts[found] = (attributes, row["region"])
    routable = []
    for task in tasks:
        attributes, region = facts.get((task.sample_id, task.digest), (dict(task.slices), None))
        routable.append(
            RoutableTask(task_key=task.task_key, sample_id=task.sample_id, attributes=attributes, region=region)
        )
    return routable


def earlier_judges(
    project: AnnotationProject, batch_id: str, *, before: int, ledger: Ledger
) -> Mapping[str, frozenset[str]]:
    """sample_id -> people who were asked about it in the attempts of this batch before number `before`."""
    samples = {
        task.task_key: task.sample_id
        for attempt in ledger.attempts(project.name)
        if attempt.batch_id == batch_id and attempt.number < before
        for task in ledger.tasks(project.name, batch_id, attempt.number)
    }
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for assignment in ledger.assignments(project.name, batch_id):
        if assignment.task_key in samples:
            seen[samples[assignment.task_key]].add(assignment.annotator_id)
    return {sample: frozenset(people) for sample, people in seen.items()}


def _report(
    project: AnnotationProject, key: str, *, ledger: Ledger, placed: Placement = NOTHING_PLACED
) -> DispatchReport:
    batch_id, number = parse_attempt_key(key)
    attempt = ledger.attempt(project.name, batch_id, number)
    load: defaultdict[str, int] = defaultdict(int)
    for assignment in ledger.assignments(project.name, batch_id, number):
        load[assignment.annotator_id] += 1
    reasons: defaultdict[str, int] = defaultdict(int)
    for task in ledger.tasks(project.name, batch_id, number):
        if task.unroutable_reason is not None:
            reasons[task.unroutable_reason.partition(":")[0]] += 1
    return DispatchReport(key, placed, dict(reasons), dict(sorted(load.items())), attempt.due_at, attempt.state)
