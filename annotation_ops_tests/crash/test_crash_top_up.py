"""A process is killed at every effect of a top-up and of a calibration; running again must end as if nothing had happened."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import pytest

from annotation_ops.adapters.storage.delta_lake import DeltaLake
from annotation_ops.domain.audit import verify
from annotation_ops.domain.batches import BatchState, attempt_key, calibration_batch_id
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.calibration import calibrate
from annotation_ops.services.overlap import top_up_attempt
from annotation_ops_tests.crash.fuse import Crash, Fuse, Side, fused
from annotation_ops_tests.crash.killing import SIDES
from annotation_ops_tests.services.workshop import DAY, FIRST, Workshop, digits, ledger_in

TOPPED_UP = digits(
    (
        ("workflow.yaml", "overlap: 3", "overlap: 2\noverlap_share: 0.5\ntop_up: {rounds: 1, tasks: 2}"),
        ("criteria.yaml", "min_overlap_tasks: 3", "min_overlap_tasks: 5"),
        ("workflow.yaml", "platform: simulated", "platform: simulated\nadaptive_overlap: {policy: model_assisted}"),
    )
)
CALIBRATED = digits(
    (
        (
            "workforce.yaml",
            "version: 1.0.0",
            "version: 1.0.0\ncalibration: {size: 6, minimum: 0.9, margin: 0.6, class_minimum: 0.1}",
        ),
    )
)
ROUND = attempt_key(calibration_batch_id(DAY, "ann-01", 1), 1)


def top_up_once(workshop: Workshop) -> None:
    """An attempt that must be topped up, step by step; each step is one that a run repeats until it is done."""
    if workshop.attempt().state is BatchState.INSUFFICIENT:
        top_up_attempt(
            workshop.project,
            FIRST,
            ledger=workshop.ledger,
            lake=workshop.lake,
            platform=workshop.platform,
            now=workshop.clock.now(),
        )


def finish(workshop: Workshop) -> None:
    for _ in range(6):
        top_up_once(workshop)
        if workshop.attempt().state is BatchState.IN_ANNOTATION:
            workshop.work()
            workshop.collect()
        if workshop.attempt().state is BatchState.COMPLETE:
            workshop.judge()


def calibration_round(workshop: Workshop) -> None:
    calibrate(workshop.project, ledger=workshop.ledger, lake=workshop.lake, now=workshop.clock.now(), only=("ann-01",))


def certify(workshop: Workshop) -> None:
    known = {attempt.key for attempt in workshop.ledger.attempts("digits")}
    if ROUND not in known:
        calibration_round(workshop)
    if workshop.attempt(ROUND).state is BatchState.PLANNED:
        workshop.dispatch(ROUND)
    if workshop.attempt(ROUND).state is BatchState.IN_ANNOTATION:
        workshop.work()
        workshop.collect()
    if workshop.attempt(ROUND).state is BatchState.COMPLETE:
        workshop.judge(ROUND)


def left_behind(workshop: Workshop, key: str) -> tuple[object, ...]:
    ledger = workshop.ledger
    return (
        workshop.attempt(key).state,
        sorted((a.task_key, a.annotator_id, str(a.purpose), str(a.state)) for a in workshop.assignments(key)),
        sorted((a.task_key, a.annotator_id, str(a.value)) for a in workshop.annotations(key)),
        [v.outcome for v in ledger.verdicts("digits", key.rpartition(".a")[0]) if v.in_force],
        verify(ledger.audit_entries()),
    )


def survived(
    folder: Path,
    fuse: Fuse,
    *,
    project: AnnotationProject,
    before: Callable[[Workshop], object],
    work: Callable[[Workshop], None],
) -> Workshop:
    """The work killed where the fuse burns and then left alone to its end."""
    workshop = Workshop.build(Path(mkdtemp(dir=folder)), project=project, samples=6 if project is TOPPED_UP else 12)
    before(workshop)
    doomed = replace(workshop)
    fused(doomed, fuse)
    with suppress(Crash):
        work(doomed)
    workshop.ledger.close()
    again = replace(workshop, ledger=ledger_in(workshop.home), lake=DeltaLake(str(workshop.home / "lake")))
    again.clock.set(max(again.clock.now(), again.ledger.last_recorded_at() or again.clock.now()))
    if again.ledger.acquire_lease(f"dispatch:digits:{ROUND}", "run-1", at=again.clock.now(), seconds=1.0) is not None:
        again.ledger.release_lease(f"dispatch:digits:{ROUND}", "run-1")
    work(again)
    return again


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("flow", ["top_up", "calibration"])
def test_after_a_crash_at_any_effect_running_again_ends_as_if_nothing_had_happened(
    tmp_path: Path, side: Side, flow: str
) -> None:
    project, key = (TOPPED_UP, FIRST) if flow == "top_up" else (CALIBRATED, ROUND)
    before: Callable[[Workshop], object] = Workshop.send if flow == "top_up" else Workshop.complete
    work = finish if flow == "top_up" else certify

    def run(fuse: Fuse) -> Workshop:
        return survived(tmp_path, fuse, project=project, before=before, work=work)

    counted = Fuse()
    undisturbed = run(counted)
    expected = left_behind(undisturbed, key)
    undisturbed.ledger.close()
    assert expected[0] is (BatchState.PASSED if flow == "top_up" else BatchState.SETTLED)

    for at in range(1, len(counted.effects) + 1):
        workshop = run(Fuse(at, side))
        assert left_behind(workshop, key) == expected, f"killed {side} effect {at}, {counted.effects[at - 1]}"
        workshop.ledger.close()
