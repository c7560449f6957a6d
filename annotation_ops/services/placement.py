"""Placement: the tasks of an attempt on the platform, each exactly once and with the people who are asked.

Find -> adopt -> create what is missing -> find -> withdraw duplicates. Safe to repeat after a crash at any point.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from annotation_ops.domain.batches import parse_attempt_key
from annotation_ops.domain.errors import TransientError
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.quality.agreement.measure import judgements_from_values
from annotation_ops.domain.records import SYSTEM_ACTOR, AssignmentState, JsonObject, Task
from annotation_ops.ports.annotation_platform import AnnotationPlatform, Capability, PlatformProjectSpec, TaskSpec
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services.stages import prelabel_of


@dataclass(frozen=True, slots=True)
class Placement:
    created: int
    adopted: int
    """Found on the platform under another id than the recorded one, or with none recorded: a call whose answer was lost."""
    withdrawn: int
    """Duplicates on the platform, taken back."""


NOTHING_PLACED = Placement(0, 0, 0)


def platform_spec(project: AnnotationProject) -> PlatformProjectSpec:
    """The platform's side of an annotation project."""
    return PlatformProjectSpec(
        name=project.name,
        task_type=project.contract.task_type,
        labels=project.taxonomy.names,
        instructions=project.guideline.text,
        media=project.contract.media,
        version=project.pinned("taxonomy"),
    )


def ensure_project(project: AnnotationProject, *, ledger: Ledger, platform: AnnotationPlatform, now: datetime) -> str:
    """The platform's project id; what had to be put right there is in the audit trail."""
    ensured = platform.ensure_project(platform_spec(project))
    if ensured.mended:
        with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
            tx.audit("platform.mended", project.name, {"project": project.name, "mended": list(ensured.mended)})
    return ensured.project_id


def place_tasks(
    project: AnnotationProject,
    tasks: Sequence[Task],
    key: str,
    project_id: str,
    *,
    ledger: Ledger,
    platform: AnnotationPlatform,
    due_at: datetime,
    now: datetime,
) -> Placement:
    """Raises TransientError when the platform fails or refuses a task; what it took is recorded, the next call does the rest."""
    created, adopted = _create(
        project, tasks, key, project_id, ledger=ledger, platform=platform, due_at=due_at, now=now
    )
    return Placement(
        created,
        adopted,
        _withdraw_duplicates(project, tasks, key, project_id, ledger=ledger, platform=platform, now=now),
    )


def _create(
    project: AnnotationProject,
    tasks: Sequence[Task],
    key: str,
    project_id: str,
    *,
    ledger: Ledger,
    platform: AnnotationPlatform,
    due_at: datetime,
    now: datetime,
) -> tuple[int, int]:
    """Adopts what the platform has and creates what it lacks; returns (created, adopted)."""
    found = platform.find_tasks(project_id, [task.task_key for task in tasks])
    batch_id, number = parse_attempt_key(key)
    people: defaultdict[str, list[str]] = defaultdict(list)
    for assignment in ledger.assignments(project.name, batch_id, number):
        if assignment.state is AssignmentState.OPEN:
            people[assignment.task_key].append(assignment.annotator_id)
    present = {found[key][0]: asked for key, asked in people.items() if key in found}
    if present:
        # A call that was cut off asked some of the people only; somebody may have deleted one person's part.
        platform.assign(project_id, present)
    orphans = [task for task in tasks if task.task_key in found and task.platform_task_id not in found[task.task_key]]
    if orphans:
        with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
            for task in orphans:
                tx.record_platform_task(task.task_key, found[task.task_key][0])
            tx.audit("tasks.adopted", key, {"project": project.name, "tasks": len(orphans)})
    missing = [task for task in tasks if task.task_key not in found]
    for start in range(0, len(missing), platform.limits.max_tasks_per_call):
        chunk = missing[start : start + platform.limits.max_tasks_per_call]
        specs = [
            TaskSpec(
                task_key=task.task_key,
                data={project.contract.media: task.uri},
                assignees=tuple(people[task.task_key]),
                due_at=due_at,
                prelabel=_prelabel(project, task, platform),
            )
            for task in chunk
        ]
        receipts = platform.create_tasks(project_id, specs)
        failed = [receipt for receipt in receipts if receipt.platform_task_id is None]
        with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
            for receipt in receipts:
                if receipt.platform_task_id is not None:
                    tx.record_platform_task(receipt.task_key, receipt.platform_task_id)
            tx.audit("tasks.created", key, {"project": project.name, "tasks": len(receipts) - len(failed)})
        if failed:
            raise TransientError(
                f"{key}: {platform.name} refused {len(failed)} of {len(chunk)} tasks, first: {failed[0].error}; "
                f"the others are recorded and the next run creates the rest"
            )
    return len(missing), len(orphans)


def _prelabel(project: AnnotationProject, task: Task, platform: AnnotationPlatform) -> JsonObject | None:
    """What the people see as the answer so far. Raises InvalidInput for one that they could not have given."""
    value = prelabel_of(task) if Capability.PRELABELS in platform.capabilities else None
    if value is not None:
        row = (task.task_key, "prelabel", value)
        judgements_from_values(project.contract.task_type, [row], categories=project.taxonomy.names)
    return value


def _withdraw_duplicates(
    project: AnnotationProject,
    tasks: Sequence[Task],
    key: str,
    project_id: str,
    *,
    ledger: Ledger,
    platform: AnnotationPlatform,
    now: datetime,
) -> int:
    """One live platform task a key: the oldest stays, the others are withdrawn."""
    found = platform.find_tasks(project_id, [task.task_key for task in tasks])
    extra = [copy for copies in found.values() for copy in copies[1:]]
    lost = [task.task_key for task in tasks if task.task_key not in found]
    if lost:
        raise TransientError(
            f"{key}: {platform.name} lost {len(lost)} tasks after creating them; the next run creates them again"
        )
    if extra:
        platform.withdraw_tasks(project_id, extra)
        with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
            for task in tasks:
                tx.record_platform_task(task.task_key, found[task.task_key][0])
            tx.audit("tasks.healed", key, {"project": project.name, "duplicates": len(extra)})
    return len(extra)
