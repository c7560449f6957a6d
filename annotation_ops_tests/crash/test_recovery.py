"""What else goes on while processes die: a late successor, a rough platform, a zombie's duplicates, a correction."""

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp

import pytest

from annotation_ops.adapters.platforms.simulated.simulation import Misbehaviour
from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.errors import TransientError
from annotation_ops.ports.annotation_platform import TaskSpec
from annotation_ops.services.dispatch import LEASE_SECONDS
from annotation_ops_tests.crash.fuse import Crash, Fuse, Side, fused
from annotation_ops_tests.crash.killing import (
    ROUGH,
    SIDES,
    TIMES,
    assert_nothing_lost_or_doubled,
    crashed_and_repeated,
    killed,
    outcome,
    run,
    undisturbed,
)
from annotation_ops_tests.services.workshop import Workshop


@pytest.mark.parametrize("side", SIDES)
def test_another_process_that_takes_over_later_changes_nothing_but_times(tmp_path: Path, side: Side) -> None:
    effects, _, expected = undisturbed(6)

    for at in range(2, len(effects) + 1, 3):
        workshop = Workshop.build(Path(mkdtemp(dir=tmp_path)))
        workshop = killed(workshop, Fuse(at, side))
        run(workshop, owner="run-2", late=timedelta(seconds=LEASE_SECONDS + 1))

        assert_nothing_lost_or_doubled(workshop, 6)
        assert outcome(workshop, without=TIMES) == expected, f"killed {side} effect {at}, {effects[at - 1]}"
        workshop.ledger.close()


def test_a_killed_dispatch_keeps_other_runs_out_until_its_lease_ends(tmp_path: Path) -> None:
    effects, _, _ = undisturbed(6)
    workshop = killed(Workshop.build(tmp_path / "home"), Fuse(effects.index("create_tasks") + 1, "after"))

    with pytest.raises(TransientError, match="another run is dispatching it"):
        workshop.dispatch(owner="run-2")

    workshop.clock.advance(seconds=LEASE_SECONDS)
    report = workshop.dispatch(owner="run-2")
    assert (report.placed.created, report.placed.adopted, report.placed.withdrawn) == (0, 6, 0)


@pytest.mark.parametrize("side", SIDES)
def test_a_platform_that_misbehaves_adds_nothing_to_the_harm_of_a_crash(tmp_path: Path, side: Side) -> None:
    effects, _, expected = undisturbed(6)

    for at in range(3, len(effects) + 1, 4):
        rough = replace(ROUGH, seed=at)
        workshop = crashed_and_repeated(tmp_path, [at], [side], samples=6, misbehave=rough)

        assert_nothing_lost_or_doubled(workshop, 6)
        assert outcome(workshop, without=TIMES) == expected, f"killed {side} effect {at}, {effects[at - 1]}"
        workshop.ledger.close()


def test_the_rough_platform_is_rough(tmp_path: Path) -> None:
    """Otherwise the test before this one proves nothing."""
    workshop = Workshop.build(tmp_path / "home")
    workshop.staff(misbehave=Misbehaviour(seed=1, lost_reply=1.0))
    workshop.plan()

    with pytest.raises(TransientError):
        workshop.dispatch()

    assert workshop.attempt().state is BatchState.PLANNED
    assert workshop.dispatch().placed.adopted == 6


def duplicated(folder: Path) -> Workshop:
    """A business whose first dispatch was killed before it sent anything; a zombie then sends every task twice."""
    effects, _, _ = undisturbed(6)
    workshop = killed(Workshop.build(Path(mkdtemp(dir=folder))), Fuse(effects.index("create_tasks") + 1, "before"))
    people = defaultdict(list)
    for assignment in workshop.assignments():
        people[assignment.task_key].append(assignment.annotator_id)
    specs = [TaskSpec(t.task_key, {"image": t.uri}, tuple(people[t.task_key])) for t in workshop.tasks()]
    for _ in range(2):
        workshop.platform.create_tasks(workshop.platform_project(), specs)
    return workshop


@pytest.mark.parametrize("side", SIDES)
def test_a_crash_while_duplicates_are_withdrawn_leaves_one_task_a_sample(tmp_path: Path, side: Side) -> None:
    fuse = Fuse()
    killed(duplicated(tmp_path), fuse)
    withdrawal = fuse.effects.index("withdraw_tasks") + 1
    _, _, expected = undisturbed(6)

    for at in range(withdrawal - 1, withdrawal + 3):
        workshop = killed(duplicated(tmp_path), Fuse(at, side))
        run(workshop)

        assert_nothing_lost_or_doubled(workshop, 6)
        assert outcome(workshop, without=TIMES) == expected
        workshop.ledger.close()


def corrected(workshop: Workshop) -> None:
    """A published batch in which the people of one sample change their minds, collected but not published again."""
    run(workshop)
    workshop.work()
    workshop.relabel(0, "8", "8", "8")
    workshop.collect()


@pytest.mark.parametrize("side", SIDES)
def test_a_crash_in_a_correction_publishes_it_once(tmp_path: Path, side: Side) -> None:
    counted = Workshop.build(Path(mkdtemp(dir=tmp_path)))
    corrected(counted)
    fuse = Fuse()
    doomed = replace(counted)
    fused(doomed, fuse)
    doomed.publish()
    expected = outcome(counted)
    assert fuse.effects == ["overwrite_partition", "commit", "append_once", "log_label_commit", "commit"]

    for at in range(1, len(fuse.effects) + 1):
        workshop = Workshop.build(Path(mkdtemp(dir=tmp_path)))
        corrected(workshop)
        doomed = replace(workshop)
        fused(doomed, Fuse(at, side))
        with pytest.raises(Crash):
            doomed.publish()
        workshop.publish()

        assert outcome(workshop) == expected
        assert [row["label_revision"] for row in workshop.features() if row["entity_id"] == "s000"] == [1, 2]
        assert len(workshop.ledger.label_commits("digits")) == 2
        workshop.ledger.close()
