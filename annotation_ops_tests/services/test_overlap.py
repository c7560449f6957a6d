from collections import Counter

import pytest

from annotation_ops.domain.batches import BatchState, parse_attempt_key
from annotation_ops.domain.records import Assignment, AssignmentPurpose, AssignmentState
from annotation_ops.services.overlap import TopUpReport, top_up_attempt
from annotation_ops_tests.services.workshop import FIRST, Workshop, digits

PAIRS_THEN_A_THIRD = digits(
    (
        ("workflow.yaml", "overlap: 3", "overlap: 2\nadaptive_overlap: {policy: two_plus_one, cap: 3}"),
        ("criteria.yaml", "max_share_below: 0.10", "max_share_below: 0.5"),
    )
)
HALF_IN_PAIRS = digits(
    (
        ("workflow.yaml", "overlap: 3", "overlap: 2\noverlap_share: 0.5\ntop_up: {rounds: 1, tasks: 2}"),
        ("criteria.yaml", "min_overlap_tasks: 3", "min_overlap_tasks: 5"),
        ("workflow.yaml", "platform: simulated", "platform: simulated\nadaptive_overlap: {policy: model_assisted}"),
    )
)


def top_up(workshop: Workshop, key: str = FIRST) -> TopUpReport:
    return top_up_attempt(
        workshop.project,
        key,
        ledger=workshop.ledger,
        lake=workshop.lake,
        platform=workshop.platform,
        now=workshop.clock.now(),
    )


def asked(workshop: Workshop) -> Counter[AssignmentPurpose]:
    return Counter(assignment.purpose for assignment in workshop.assignments())


def disagreeing_on_the_first(workshop: Workshop) -> None:
    """Everybody has answered; the two people of the first sample differ."""
    workshop.send()
    workshop.work()
    workshop.relabel(0, "3", "5")


def test_a_task_whose_pair_agrees_is_asked_about_no_more(workshop: Workshop) -> None:
    workshop.project = PAIRS_THEN_A_THIRD

    report = workshop.annotate()

    assert report.completed == (FIRST,)
    assert asked(workshop) == {AssignmentPurpose.OVERLAP: 12}


def test_a_disputed_task_goes_to_a_third_person_and_the_attempt_waits_for_the_answer(workshop: Workshop) -> None:
    workshop.project = PAIRS_THEN_A_THIRD
    disagreeing_on_the_first(workshop)

    report = workshop.collect()

    assert (report.completed, report.extended) == ((), {FIRST: 1})
    assert workshop.attempt().state is BatchState.IN_ANNOTATION
    (third,) = [one for one in workshop.assignments() if one.purpose is AssignmentPurpose.ADAPTIVE]
    assert third.state is AssignmentState.OPEN
    workshop.work()
    assert workshop.collect().completed == (FIRST,)


def test_a_third_opinion_does_not_flatter_the_agreement(workshop: Workshop) -> None:
    workshop.project = PAIRS_THEN_A_THIRD
    disagreeing_on_the_first(workshop)
    workshop.collect()
    workshop.work()
    workshop.collect()

    document = workshop.judge().document

    assert len(workshop.annotations()) == 13
    assert document["statistics"]["percent_agreement"]["value"] == pytest.approx(5 / 6)


def test_what_was_planned_and_never_sent_is_sent_by_the_next_collection(workshop: Workshop) -> None:
    workshop.project = PAIRS_THEN_A_THIRD
    workshop.send()
    (task, *_) = workshop.tasks()
    known = {one.annotator_id for one in workshop.assignments() if one.task_key == task.task_key}
    person = next(name for name in ("ann-01", "ann-02", "ann-03") if name not in known)
    lost = Assignment(
        task.task_key, person, AssignmentState.PLANNED, {}, workshop.clock.now(), None, AssignmentPurpose.ADAPTIVE
    )
    with workshop.ledger.transaction(actor="system", at=workshop.clock.now()) as tx:
        tx.add_assignments([lost])
        tx.audit("overlap.planned", FIRST, {})

    workshop.collect()
    workshop.work()
    workshop.collect()

    assert {one.annotator_id for one in workshop.annotations() if one.task_key == task.task_key} == {*known, person}


def test_only_the_overlap_sample_starts_with_several_people(workshop: Workshop) -> None:
    workshop.project = HALF_IN_PAIRS
    workshop.send()

    per_task = Counter(one.task_key for one in workshop.assignments())

    assert sorted(per_task.values()) == [1, 1, 1, 2, 2, 2]


def test_too_few_overlapping_tasks_order_a_top_up_that_settles_the_verdict(workshop: Workshop) -> None:
    workshop.project = HALF_IN_PAIRS
    workshop.send()
    workshop.work()
    while not workshop.collect().completed:
        workshop.work()
    assert workshop.judge().state is BatchState.INSUFFICIENT
    assert top_up(workshop).state is BatchState.IN_ANNOTATION
    assert asked(workshop)[AssignmentPurpose.TOP_UP] == 2
    workshop.work()
    while not workshop.collect().completed:
        workshop.work()

    report = workshop.judge()

    assert (report.outcome, report.state) == ("PASS", BatchState.PASSED)
    assert [v.outcome for v in workshop.ledger.verdicts("digits")] == ["INSUFFICIENT", "PASS"]


def test_topping_up_twice_asks_once(workshop: Workshop) -> None:
    workshop.project = HALF_IN_PAIRS
    workshop.send()
    workshop.work()
    while not workshop.collect().completed:
        workshop.work()
    workshop.judge()

    once = top_up(workshop)
    again = top_up(workshop)

    assert (once.judgements, again.judgements) == (2, 0)
    assert asked(workshop)[AssignmentPurpose.TOP_UP] == 2


def test_when_the_rounds_are_used_up_a_person_decides(workshop: Workshop) -> None:
    workshop.project = digits(
        (
            ("workflow.yaml", "overlap: 3", "overlap: 2\noverlap_share: 0.5\ntop_up: {rounds: 1, tasks: 1}"),
            ("criteria.yaml", "min_overlap_tasks: 3", "min_overlap_tasks: 6"),
            ("workflow.yaml", "platform: simulated", "platform: simulated\nadaptive_overlap: {policy: model_assisted}"),
        )
    )
    workshop.send()
    for _ in range(2):
        workshop.work()
        while not workshop.collect().completed:
            workshop.work()
        report = workshop.judge()
        if report.state is BatchState.INSUFFICIENT:
            top_up(workshop)

    assert (report.outcome, report.state) == ("INSUFFICIENT", BatchState.ESCALATED)
    assert parse_attempt_key(report.key)[1] == 1
