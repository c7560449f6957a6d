"""Healing: what the ledger wants of the platform against what is there, for work in people's hands.

A task that somebody deleted on the platform, or a second copy that a run left which was thought dead, shows in no list of
changes. So now and then every open task is looked up, asked for again where it is gone, and withdrawn where it is double.
"""

from dataclasses import dataclass
from datetime import datetime

from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.records import SYSTEM_ACTOR, AssignmentState
from annotation_ops.ports.annotation_platform import AnnotationPlatform
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services.placement import place_tasks


@dataclass(frozen=True, slots=True)
class HealReport:
    recreated: int
    """Open tasks that were gone from the platform."""
    withdrawn: int
    """Duplicates."""


def heal(
    project: AnnotationProject, project_id: str, *, ledger: Ledger, platform: AnnotationPlatform, now: datetime
) -> HealReport:
    """Makes the platform hold every open assignment once. Raises TransientError when the platform fails; repeat it then."""
    recreated = withdrawn = 0
    for attempt in ledger.attempts(project.name, states={BatchState.IN_ANNOTATION}):
        waiting = {
            assignment.task_key
            for assignment in ledger.assignments(project.name, attempt.batch_id, attempt.number)
            if assignment.state is AssignmentState.OPEN
        }
        tasks = [
            task for task in ledger.tasks(project.name, attempt.batch_id, attempt.number) if task.task_key in waiting
        ]
        if not tasks:
            continue
        placed = place_tasks(
            project,
            tasks,
            attempt.key,
            project_id,
            ledger=ledger,
            platform=platform,
            due_at=attempt.due_at or now,
            now=now,
        )
        recreated += placed.created
        withdrawn += placed.withdrawn
    if recreated or withdrawn:
        with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
            tx.audit(
                "platform.healed",
                project.name,
                {"project": project.name, "recreated": recreated, "duplicates": withdrawn},
            )
    return HealReport(recreated, withdrawn)
