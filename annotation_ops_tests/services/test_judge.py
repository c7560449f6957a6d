from dataclasses import replace

import pytest

from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.errors import Conflict
from annotation_ops.domain.tables import ANNOTATIONS
from annotation_ops_tests.services.workshop import FIRST, SECOND, Workshop, digits

STRICTER = digits(
    (
        ("criteria.yaml", "version: 1.0.0", "version: 1.1.0"),
        ("criteria.yaml", "min_overlap_tasks: 3", "min_overlap_tasks: 50"),
    )
)


def test_agreement_passes_the_attempt_and_the_verdict_names_its_criteria(workshop: Workshop) -> None:
    workshop.annotate()

    report = workshop.judge()

    assert (report.outcome, report.state, report.new) == ("PASS", BatchState.PASSED, True)
    (verdict,) = workshop.ledger.verdicts("digits")
    assert verdict.criteria == workshop.project.versions.criteria
    assert verdict.document["verdict"] == "PASS"


def test_guessing_rejects_the_whole_attempt_with_reasons(workshop: Workshop) -> None:
    report = workshop.reject()

    assert (report.outcome, report.state) == ("FAIL", BatchState.FAILED)
    assert "krippendorff_alpha_nominal" in workshop.attempt().state_reason
    assert report.document["reasons"]


def test_too_few_tasks_settle_nothing(workshop: Workshop) -> None:
    workshop.project = STRICTER
    workshop.annotate()

    report = workshop.judge()

    assert (report.outcome, report.state) == ("INSUFFICIENT", BatchState.ESCALATED)
    assert "6 of 6 tasks have two judgements" in report.reason
    assert workshop.events()[-2:] == ["verdict.recorded", "batch.escalated"]
    assert report.reason.endswith("A person decides.")


def test_people_still_at_work_are_not_judged(workshop: Workshop) -> None:
    workshop.send()

    with pytest.raises(Conflict, match="found state in_annotation, expected complete"):
        workshop.judge()

    assert workshop.ledger.verdicts("digits") == ()


def test_judging_again_gives_the_recorded_verdict_back(workshop: Workshop) -> None:
    workshop.annotate()
    first = workshop.judge()
    entries = workshop.ledger.audit_entries()
    workshop.work(1)

    again = workshop.judge()

    assert (again.document, again.state, again.new) == (first.document, first.state, False)
    assert workshop.ledger.audit_entries() == entries


def test_other_criteria_add_a_verdict_beside_it_and_move_nothing(workshop: Workshop) -> None:
    workshop.complete()
    workshop.project = STRICTER

    report = workshop.judge()

    assert (report.outcome, report.state, report.new) == ("INSUFFICIENT", BatchState.PUBLISHED, True)
    assert [verdict.outcome for verdict in workshop.ledger.verdicts("digits")] == ["PASS", "INSUFFICIENT"]
    assert not workshop.judge().new
    assert "min_overlap_tasks: 50" in workshop.ledger.document_body("digits", "criteria", "1.1.0")


def test_the_last_allowed_rejection_waits_for_a_person(workshop: Workshop) -> None:
    workshop.project = replace(workshop.project, workflow=replace(workshop.project.workflow, max_attempts=2))
    workshop.reject()

    report = workshop.reject(SECOND)

    assert (report.outcome, report.state) == ("FAIL", BatchState.ESCALATED)
    assert workshop.events()[-2:] == ["verdict.recorded", "batch.escalated"]
    assert report.reason.startswith("rejected 2 times, the limit is 2; a person decides.")


def test_an_attempt_nobody_answered_is_judged_insufficient(workshop: Workshop) -> None:
    workshop.staff(skips=1.0)
    workshop.annotate()

    report = workshop.judge()

    assert (report.outcome, report.state) == ("INSUFFICIENT", BatchState.ESCALATED)


def test_the_lake_gets_every_judgement_once(workshop: Workshop) -> None:
    workshop.annotate()
    workshop.judge()
    workshop.judge()

    rows = workshop.lake.read(ANNOTATIONS, partition={"project": "digits"}).to_pylist()

    assert len(rows) == 18
    assert {(row["task_key"], row["annotator_id"]) for row in rows} == {
        (annotation.task_key, annotation.annotator_id) for annotation in workshop.annotations()
    }


def test_the_judgements_of_every_attempt_are_kept(workshop: Workshop) -> None:
    workshop.reject()
    workshop.staff()
    workshop.complete(SECOND)

    rows = workshop.lake.read(ANNOTATIONS, partition={"project": "digits"}).to_pylist()

    assert [sum(row["attempt"] == number for row in rows) for number in (1, 2)] == [18, 18]
    assert {row["attempt"] for row in workshop.features()} == {2}
    assert workshop.attempt(FIRST).state is BatchState.REQUEUED
