"""Review and adjudication: who sees what, what becomes of a correction, and that nothing is published before."""

import pytest

from annotation_ops.domain.batches import BatchPurpose, BatchState, attempt_key, stage_batch_id
from annotation_ops.domain.errors import Conflict, NotFound
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.govern import override
from annotation_ops.services.stages import About, prelabel_of
from annotation_ops_tests.services.workshop import FIRST, Workshop, digits, truth

REVIEW = attempt_key(stage_batch_id(BatchPurpose.REVIEW, FIRST), 1)
ADJUDICATION = attempt_key(stage_batch_id(BatchPurpose.ADJUDICATION, FIRST), 1)
AUDIT = attempt_key(stage_batch_id(BatchPurpose.AUDIT, FIRST), 1)
SENIORS = {"ann-01", "ann-05", "ann-09"}


def staged(workflow: str, criteria: str = "") -> AnnotationProject:
    edits = [("workflow.yaml", "version: 1.0.0", f"version: 1.0.0\n{workflow}")]
    edits += [("criteria.yaml", "version: 1.0.0", f"version: 1.0.0\n{criteria}")] if criteria else []
    return digits(tuple(edits))


REVIEWED = staged("review: {share: 1.0}")
BOTH = staged("review: {share: 1.0}\nadjudication: true")


def passed(shop: Workshop, project: AnnotationProject) -> Workshop:
    shop.project = project
    shop.annotate()
    shop.judge()
    return shop


def routed(shop: Workshop, key: str) -> set[str]:
    return {one.task_key for one in shop.assignments(key)}


def test_a_batch_that_passed_waits_for_its_review(workshop: Workshop) -> None:
    shop = passed(workshop, REVIEWED)

    assert shop.attempt().state is BatchState.IN_REVIEW
    assert shop.ledger.verdicts("digits")[0].outcome == "PASS"
    assert shop.current_labels() == {}


def test_reviewers_see_the_label_and_are_never_its_authors(workshop: Workshop) -> None:
    shop = passed(workshop, REVIEWED)
    shop.send(REVIEW)

    authors = {a.task_key: set() for a in shop.annotations()}
    for a in shop.annotations():
        authors[a.task_key].add(a.annotator_id)
    of_sample = {task.sample_id: authors[task.task_key] for task in shop.tasks()}
    for task in shop.tasks(REVIEW):
        assert prelabel_of(task) == {"label": truth(int(task.sample_id[1:]))}
        asked = {one.annotator_id for one in shop.assignments(REVIEW) if one.task_key == task.task_key}
        assert asked <= SENIORS
        assert not asked & of_sample[task.sample_id]
    assert routed(shop, REVIEW)


def test_what_reviewers_accept_is_published_as_it_was(workshop: Workshop) -> None:
    shop = passed(workshop, REVIEWED)
    shop.annotate(REVIEW)

    settled = shop.judge(REVIEW)
    assert (settled.state, shop.attempt().state) == (BatchState.SETTLED, BatchState.COMPLETE)
    assert shop.judge().state is BatchState.PASSED
    assert shop.publish().labels == 6
    assert {row["gold_source"] for row in shop.features()} == {"consensus"}
    reviews = shop.ledger.reviews("digits", *parse(FIRST))
    assert {review.decision for review in reviews} == {"accepted"}
    assert {review.reviewer_id for review in reviews} <= SENIORS


def parse(key: str) -> tuple[str, int]:
    name, _, number = key.rpartition(".a")
    return name, int(number)


def corrected(shop: Workshop, project: AnnotationProject) -> str:
    """A review in which one label is corrected to another; returns its sample."""
    passed(shop, project)
    shop.annotate(REVIEW)
    task = next(task for task in shop.tasks(REVIEW) if task.task_key in routed(shop, REVIEW))
    number = int(task.sample_id[1:])
    shop.relabel_task(task.task_key, str((number + 1) % 10))
    shop.collect()
    shop.judge(REVIEW)
    return task.sample_id


def test_a_correction_stands_where_nobody_adjudicates(workshop: Workshop) -> None:
    sample = corrected(workshop, REVIEWED)
    workshop.judge()
    workshop.publish()

    [row] = [row for row in workshop.features() if row["entity_id"] == sample]
    assert row["label"] == str((int(sample[1:]) + 1) % 10)
    assert (row["gold_source"], row["confidence"], row["agreement"]) == ("review", None, None)
    assert set(row["annotators"]) & SENIORS  # type: ignore[call-overload]
    assert "corrected" in {review.decision for review in workshop.ledger.reviews("digits", *parse(FIRST))}


def test_a_correction_goes_to_an_adjudicator_who_sees_neither_answer(workshop: Workshop) -> None:
    sample = corrected(workshop, BOTH)
    assert workshop.judge().state is BatchState.IN_ADJUDICATION
    [reviewed] = [task for task in workshop.tasks(REVIEW) if task.sample_id == sample]
    reviewer = next(one.annotator_id for one in workshop.assignments(REVIEW) if one.task_key == reviewed.task_key)

    workshop.send(ADJUDICATION)
    [task] = workshop.tasks(ADJUDICATION)
    assert task.sample_id == sample
    assert prelabel_of(task) is None
    about = About.of_task(task)
    assert about is not None
    assert (about.value, about.why) == (None, "corrected")
    assert reviewer in about.people
    assert not {one.annotator_id for one in workshop.assignments(ADJUDICATION)} & set(about.people)


def test_the_adjudicators_answer_settles_what_the_judgements_left_open(workshop: Workshop) -> None:
    lenient = (
        ("criteria.yaml", "threshold: 0.85", "threshold: 0.5"),
        ("criteria.yaml", "max_share_below: 0.10", "max_share_below: 0.5"),
    )
    workshop.project = digits((("workflow.yaml", "version: 1.0.0", "version: 1.0.0\nadjudication: true"), *lenient))
    workshop.send()
    workshop.work()
    workshop.collect()
    seniors = {
        task.task_key: SENIORS - {a.annotator_id for a in workshop.assignments() if a.task_key == task.task_key}
        for task in workshop.tasks()
    }
    task = next(task for task in workshop.tasks() if seniors[task.task_key])
    number = int(task.sample_id[1:])
    workshop.relabel(number, *(str((number + step) % 10) for step in (1, 2, 3)))
    workshop.collect()
    assert workshop.judge().state is BatchState.IN_ADJUDICATION

    workshop.annotate(ADJUDICATION)
    assert [one.sample_id for one in workshop.tasks(ADJUDICATION)] == [task.sample_id]
    workshop.judge(ADJUDICATION)
    assert workshop.judge().state is BatchState.PASSED
    workshop.publish()

    [row] = [row for row in workshop.features() if row["entity_id"] == task.sample_id]
    assert (row["label"], row["gold_source"], row["confidence"]) == (truth(number), "adjudication", None)


def test_stages_come_in_their_order_and_the_audit_is_of_what_they_left(workshop: Workshop) -> None:
    project = staged(
        "review: {share: 0.5}\nadjudication: true", "audit: {tolerable_error: 0.4, confidence: 0.9, floor: 0.5}"
    )
    shop = passed(workshop, project)
    shop.annotate(REVIEW)
    shop.judge(REVIEW)

    assert shop.judge().state is BatchState.IN_AUDIT
    shop.send(AUDIT)
    reviewers = {one.annotator_id for one in shop.assignments(REVIEW)}
    reviewed = {task.sample_id: task for task in shop.tasks(REVIEW)}
    for task in shop.tasks(AUDIT):
        if task.sample_id in reviewed:
            asked = {one.annotator_id for one in shop.assignments(AUDIT) if one.task_key == task.task_key}
            judge = {
                a.annotator_id for a in shop.annotations(REVIEW) if a.task_key == reviewed[task.sample_id].task_key
            }
            assert not asked & judge
    assert reviewers


def test_a_batch_with_nothing_to_look_at_skips_the_stage(workshop: Workshop) -> None:
    shop = passed(workshop, staged("review: {share: 0, agreement_below: 0.5}\nadjudication: true"))

    assert shop.attempt().state is BatchState.PASSED
    with pytest.raises(NotFound, match="found no label"):
        shop.plan(REVIEW)


def test_a_stage_is_settled_once_and_not_while_people_work(workshop: Workshop) -> None:
    shop = passed(workshop, REVIEWED)
    shop.send(REVIEW)
    with pytest.raises(Conflict, match="found state in_annotation"):
        shop.judge(REVIEW)
    shop.work()
    shop.collect()

    first = shop.judge(REVIEW)
    reviews = shop.ledger.reviews("digits", *parse(FIRST))
    assert shop.judge(REVIEW).document == first.document
    assert shop.ledger.reviews("digits", *parse(FIRST)) == reviews


def test_a_person_may_publish_without_waiting_for_the_stage_and_it_changes_nothing_afterwards(
    workshop: Workshop,
) -> None:
    shop = passed(workshop, REVIEWED)
    shop.send(REVIEW)
    override(
        shop.project, FIRST, outcome="PASS", actor="lead", reason="urgent", ledger=shop.ledger, now=shop.clock.now()
    )
    assert shop.publish().labels == 6
    shop.work()
    shop.collect()
    shop.judge(REVIEW)

    assert shop.attempt().state is BatchState.PUBLISHED


def test_unanswered_reviews_past_their_due_time_leave_the_labels_as_they_were(workshop: Workshop) -> None:
    shop = passed(workshop, REVIEWED)
    shop.staff(dropout=0.5)
    shop.send(REVIEW)
    shop.work(hours=24 * 30)
    shop.collect()
    if shop.attempt(REVIEW).state is BatchState.COMPLETE:
        shop.judge(REVIEW)
        assert shop.judge().state is BatchState.PASSED
        assert shop.publish().labels == 6
    else:
        assert shop.attempt(REVIEW).state is BatchState.ESCALATED
