"""The loop under a fuse: run it, kill it, run it again, and compare with a run that nothing disturbed."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from annotation_ops.adapters.platforms.simulated.simulation import WELL_BEHAVED, Misbehaviour
from annotation_ops.adapters.storage.delta_lake import DeltaLake
from annotation_ops.domain.audit import verify
from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.errors import TransientError
from annotation_ops.domain.records import AssignmentState
from annotation_ops.domain.tables import ANNOTATIONS, GOLD_LABELS
from annotation_ops.ports.annotation_platform import PlatformAnnotation
from annotation_ops.services.publish import write_gold
from annotation_ops_tests.crash.fuse import Crash, Fuse, Side, fused
from annotation_ops_tests.fakes.clock import MONDAY_NOON
from annotation_ops_tests.services.workshop import FIRST, Workshop, ledger_in

SIDES: tuple[Side, ...] = ("before", "after")
ONCE = (
    "batch.planned",
    "batch.dispatched",
    "batch.completed",
    "verdict.recorded",
    "labels.committed",
    "labels.published",
)
TIMES = frozenset({"event_timestamp", "created_timestamp", "label_commit"})
"""What a run that goes on later may write otherwise: when it was judged and committed, and the hash over that."""
ROUGH = Misbehaviour(seed=3, lost_reply=0.3, partial_create=0.3, duplicate_items=0.3, shuffled_pages=1.0)
MAX_RETRIES = 12


def steps_of(workshop: Workshop, *, owner: str) -> list[tuple[timedelta, Callable[[], object]]]:
    """The loop, each step with the time after the start at which it is due."""

    def gold() -> object:
        return write_gold(workshop.project, FIRST, ledger=workshop.ledger, lake=workshop.lake)

    return [
        (timedelta(), workshop.plan),
        (timedelta(minutes=1), lambda: workshop.dispatch(owner=owner)),
        (timedelta(hours=3), workshop.collect),
        (timedelta(hours=4), workshop.judge),
        (timedelta(hours=4), gold),
        (timedelta(hours=5), workshop.publish),
        (timedelta(hours=6), workshop.train),
    ]


def run(workshop: Workshop, *, owner: str = "run-1", late: timedelta = timedelta()) -> None:
    """All steps from the first one; no step is earlier than what the ledger holds. Transient faults are tried again."""
    for due, step in steps_of(workshop, owner=owner):
        workshop.clock.set(max(MONDAY_NOON + due + late, workshop.ledger.last_recorded_at() or MONDAY_NOON))
        insist(step)


def insist(step: Callable[[], object]) -> None:
    """Tries a step again after a transient fault, as a retried run does."""
    for _ in range(MAX_RETRIES):
        with suppress(TransientError):
            step()
            return
    step()


def killed(workshop: Workshop, fuse: Fuse) -> Workshop:
    """Runs until the fuse burns (or to the end) and returns the business with fresh objects, as a new process has them."""
    doomed = replace(workshop)
    fused(doomed, fuse)
    with suppress(Crash):
        run(doomed)
    workshop.ledger.close()
    return replace(workshop, ledger=ledger_in(workshop.home), lake=DeltaLake(str(workshop.home / "lake")))


@dataclass(frozen=True)
class Outcome:
    """What a run left behind, without the names of files."""

    features: tuple[tuple[tuple[str, object], ...], ...]
    gold: tuple[str, ...]
    annotations: tuple[str, ...]
    answers: tuple[tuple[str, str, str], ...]


def outcome(workshop: Workshop, *, without: frozenset[str] = frozenset()) -> Outcome:
    partition = {"project": workshop.project.name}
    return Outcome(
        tuple(
            tuple((name, str(value)) for name, value in row.items() if name not in without)
            for row in workshop.features()
        ),
        tuple(sorted(map(str, workshop.lake.read(GOLD_LABELS, partition=partition).to_pylist()))),
        tuple(sorted(str(_untimed(row)) for row in workshop.lake.read(ANNOTATIONS, partition=partition).to_pylist())),
        tuple(sorted((a.task_key, a.annotator_id, str(a.value)) for a in workshop.annotations())),
    )


def _untimed(row: dict[str, object]) -> dict[str, object]:
    """People answer when they see the task; a task created later is answered later."""
    return {name: value for name, value in row.items() if name != "submitted_at"}


def assert_nothing_lost_or_doubled(workshop: Workshop, samples: int) -> None:
    tasks = workshop.tasks()
    assert len({task.sample_id for task in tasks}) == len(tasks) == samples
    found = workshop.platform.find_tasks(workshop.platform_project(), [task.task_key for task in tasks])
    assert {task.task_key: (task.platform_task_id,) for task in tasks} == dict(found)
    asked = Counter(assignment.task_key for assignment in workshop.assignments())
    assert asked == Counter({task.task_key: 3 for task in tasks})
    assert {assignment.state for assignment in workshop.assignments()} == {AssignmentState.DONE}
    shown = everything_shown(workshop)
    collected = {a.platform_annotation_id for task in tasks for a in workshop.ledger.annotation_history(task.task_key)}
    assert {item.platform_annotation_id for item in shown} <= collected
    assert len(workshop.annotations()) == 3 * samples
    features = workshop.features()
    assert len({(row["entity_id"], row["label_revision"]) for row in features}) == len(features) == samples
    assert len(workshop.ledger.verdicts(workshop.project.name)) == 1
    (commit,) = workshop.ledger.label_commits(workshop.project.name)
    assert workshop.tracking.tags("labels-1") == {"annotation_ops.label_commit": commit.commit_id}
    assert len(workshop.trigger.trained) == 1
    assert workshop.attempt().state is BatchState.PUBLISHED
    assert workshop.ledger.quarantined(workshop.project.name) == ()
    assert verify(workshop.ledger.audit_entries()) is None
    assert [workshop.events().count(event) for event in ONCE] == [1] * len(ONCE)


def everything_shown(workshop: Workshop) -> list[PlatformAnnotation]:
    project, cursor, more, items = workshop.platform_project(), None, True, []
    while more:
        page = workshop.platform.fetch_annotations(project, cursor=cursor, limit=1000)
        items, cursor, more = [*items, *page.items], page.next_cursor, page.more
    return items


@cache
def undisturbed(samples: int) -> tuple[tuple[str, ...], Outcome, Outcome]:
    """The effects of a run that nothing disturbs, and what it leaves behind, with and without its times."""
    with TemporaryDirectory() as folder:
        workshop = Workshop.build(Path(folder) / "home", samples=samples)
        fuse = Fuse()
        workshop = killed(workshop, fuse)
        assert_nothing_lost_or_doubled(workshop, samples)
        result = tuple(fuse.effects), outcome(workshop), outcome(workshop, without=TIMES)
        workshop.ledger.close()
    return result


def crashed_and_repeated(
    folder: Path, at: Sequence[int], sides: Sequence[Side], *, samples: int, misbehave: Misbehaviour = WELL_BEHAVED
) -> Workshop:
    """A run killed at the `at[0]`-th effect, the next at the `at[1]`-th, ..., and then one that is left alone."""
    workshop = Workshop.build(Path(mkdtemp(dir=folder)), samples=samples)
    workshop.staff(misbehave=misbehave)
    for effect, side in zip(at, sides, strict=True):
        workshop = killed(workshop, Fuse(effect, side))
    run(workshop)
    workshop.staff()
    return workshop
