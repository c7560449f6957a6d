"""Calibration from the declared rules to the certificate, on a real ledger and lake with simulated people."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from annotation_ops.adapters.platforms.simulated.platform import SimulatedPlatform
from annotation_ops.adapters.platforms.simulated.simulation import SimulatedPerson, Simulation, Truth, TruthItem
from annotation_ops.domain.batches import BatchState, attempt_key, calibration_batch_id
from annotation_ops.domain.conductor import LoopState, decide
from annotation_ops.domain.errors import InvalidInput, NotFound
from annotation_ops.domain.records import AssignmentPurpose
from annotation_ops.domain.workforce.standing import Need
from annotation_ops.domain.workforce.status import AnnotatorStatus
from annotation_ops.services.annotators import flagged_packs, report_workforce, training_packs
from annotation_ops.services.calibration import CalibrationReport, calibrate, standings_cause
from annotation_ops.services.certification import certified_people
from annotation_ops.services.evidence import known_answer
from annotation_ops.services.status import loop_state
from annotation_ops_tests.services.workshop import DAY, FIRST, PEOPLE, Workshop, digits, truth, uri

RULES = "{size: 6, minimum: 0.9, margin: 0.6, class_minimum: 0.1}"
"""Six right answers exclude a skill of 30 %, and four wrong ones of six one of 90 %."""
SECOND_BATCH = FIRST.replace("active-01", "active-02")
ROUND = attempt_key(calibration_batch_id(DAY, "ann-01", 1), 1)


def declared(rules: str) -> tuple[tuple[str, str, str], ...]:
    return (
        ("workforce.yaml", "version: 1.0.0", f"version: 1.0.0\ncalibration: {rules}"),
        ("workflow.yaml", "batch_size: 60", "batch_size: 120"),
    )


CALIBRATED = digits(declared(RULES))
REQUIRED = digits(declared(RULES.replace("{", "{required: true, ")))


@pytest.fixture
def published(tmp_path: Path) -> Workshop:
    """A hundred and twenty labels that three people gave alike, and forty samples nobody looked at."""
    workshop = Workshop.build(tmp_path, project=CALIBRATED, samples=160)
    workshop.complete()
    return workshop


def plan_rounds(workshop: Workshop, *only: str, dry_run: bool = False) -> CalibrationReport:
    return calibrate(
        workshop.project,
        ledger=workshop.ledger,
        lake=workshop.lake,
        now=workshop.clock.now(),
        only=only,
        dry_run=dry_run,
    )


def calibrate_everybody(workshop: Workshop) -> None:
    for one in plan_rounds(workshop).planned:
        workshop.dispatch(one.key)
    workshop.work()
    workshop.collect()
    for attempt in workshop.ledger.attempts("digits", states={BatchState.COMPLETE}):
        workshop.judge(attempt.key)


def standing_of(workshop: Workshop, name: str) -> tuple[AnnotatorStatus, Need]:
    report = report_workforce(workshop.project, ledger=workshop.ledger, now=workshop.clock.now())
    standing = next(one.standing for one in report.annotators if one.annotator_id == name)
    return standing.status, standing.needs


def test_everybody_who_was_never_tested_gets_one_round_of_gold_tasks(published: Workshop) -> None:
    first, again = plan_rounds(published), plan_rounds(published)

    assert [one.due.annotator_id for one in first.planned] == list(PEOPLE)
    assert {one.due.need for one in first.planned} == {Need.ONBOARDING}
    assert {len(published.tasks(one.key)) for one in first.planned} == {6}
    assert again.planned == ()


def test_a_round_goes_to_its_person_alone_and_on_top_of_the_days_work(published: Workshop) -> None:
    plan_rounds(published, "ann-01")
    published.dispatch(ROUND)

    assert {one.annotator_id for one in published.assignments(ROUND)} == {"ann-01"}
    assert {one.purpose for one in published.assignments(ROUND)} == {AssignmentPurpose.OVERLAP}
    assert all(task.unroutable_reason is None for task in published.tasks(ROUND))
    gold = {task.sample_id: known_answer(task) for task in published.tasks(ROUND)}
    assert gold == {entity: {"label": label} for entity, label in published.current_labels().items() if entity in gold}


def test_a_round_in_somebodys_hands_takes_nothing_of_their_capacity_for_work(tmp_path: Path) -> None:
    rounds = declared(RULES.replace("size: 6", "size: 25"))
    people = tuple(("workforce.yaml", f"ann-{n:02}, cohort", f"ann-{n:02}, capacity: 30, cohort") for n in range(1, 13))
    full = digits((("workforce.yaml", ", capacity: 60", ""), *rounds, *people))
    workshop = Workshop.build(tmp_path, project=full, samples=160)
    workshop.complete()
    for one in plan_rounds(workshop).planned:
        workshop.dispatch(one.key)

    report = workshop.send(SECOND_BATCH)

    assert report.unroutable == {}
    assert sum(report.load.values()) == 3 * 40


def test_right_answers_certify_and_are_never_published(published: Workshop) -> None:
    before = published.features()
    calibrate_everybody(published)

    assert published.attempt(ROUND).state is BatchState.SETTLED
    assert {standing_of(published, name) for name in PEOPLE} == {(AnnotatorStatus.CERTIFIED, Need.NOTHING)}
    assert published.features() == before
    assert plan_rounds(published).planned == ()


def test_grading_again_changes_nothing(published: Workshop) -> None:
    calibrate_everybody(published)
    entries = published.ledger.audit_entries()

    again = published.judge(ROUND)

    assert (again.outcome, again.new, again.state) == ("PASS", False, BatchState.SETTLED)
    assert published.ledger.audit_entries() == entries


def test_wrong_answers_lead_to_training_and_after_the_pause_to_another_round(published: Workshop) -> None:
    published.staff(accuracy=0.0)
    calibrate_everybody(published)

    assert standing_of(published, "ann-01") == (AnnotatorStatus.FLAGGED, Need.TRAINING)
    too_early = plan_rounds(published)
    published.clock.advance(timedelta(days=1))
    later = plan_rounds(published)

    assert (len(too_early.planned), len(too_early.waiting)) == (0, 12)
    assert {one.due.need for one in later.planned} == {Need.TRAINING}
    published.staff()
    calibrate_everybody(published)
    for one in later.planned:
        published.dispatch(one.key)
    published.work()
    published.collect()
    for one in later.planned:
        published.judge(one.key)
    assert standing_of(published, "ann-01") == (AnnotatorStatus.CERTIFIED, Need.NOTHING)


def test_a_training_pack_holds_the_errors_of_the_round_and_no_gold_task_to_come(published: Workshop) -> None:
    published.staff(accuracy=0.0)
    calibrate_everybody(published)
    report = report_workforce(published.project, ledger=published.ledger, now=published.clock.now())

    pack = training_packs(published.project, {"ann-01"}, report=report, ledger=published.ledger, lake=published.lake)

    errors = {error.task_id: error.label for lesson in pack["ann-01"].lessons for error in lesson.errors}
    assert errors
    assert errors.items() <= published.current_labels().items()
    assert "ann-02" not in pack["ann-01"].markdown()


def test_practice_of_the_training_pack_is_not_what_the_next_round_asks(published: Workshop) -> None:
    published.staff(accuracy=0.0)
    calibrate_everybody(published)
    published.clock.advance(timedelta(days=1))

    report = plan_rounds(published)

    for one in report.planned:
        practised = {sample for lesson in report.packs[one.due.annotator_id].lessons for sample in lesson.practice}
        assert practised
        assert not practised & (set(one.plan.tasks) - set(one.plan.repeated))


def test_too_few_sure_labels_let_everybody_wait(tmp_path: Path) -> None:
    workshop = Workshop.build(tmp_path, project=CALIBRATED, samples=5)
    workshop.complete()

    report = plan_rounds(workshop)

    assert (report.planned, len(report.waiting), report.n_gold, report.n_wanted) == ((), 12, 5, 6)


def test_a_dry_run_writes_nothing(published: Workshop) -> None:
    entries = published.ledger.audit_entries()

    report = plan_rounds(published, dry_run=True)

    assert len(report.planned) == 12
    assert published.ledger.audit_entries() == entries


def test_nobody_is_planned_for_without_declared_calibration_but_by_hand(tmp_path: Path) -> None:
    workshop = Workshop.build(tmp_path, project=digits(), samples=60)
    workshop.complete()

    assert plan_rounds(workshop).planned == ()
    assert [one.due.annotator_id for one in plan_rounds(workshop, "ann-03").planned] == ["ann-03"]


def test_a_stranger_is_refused(published: Workshop) -> None:
    with pytest.raises(NotFound, match=r"annotator 'ann-99': not found in workforce\.yaml, expected one of ann-01"):
        plan_rounds(published, "ann-99")


def test_a_calibration_that_nobody_planned_is_not_made_up(published: Workshop) -> None:
    with pytest.raises(NotFound, match="annotators calibrate digits"):
        published.plan(ROUND)


def test_a_round_nobody_answered_waits_for_a_lead(published: Workshop) -> None:
    published.staff(dropout=1.0)
    plan_rounds(published, "ann-01")
    published.dispatch(ROUND)
    published.work(hours=24 * 30)
    published.collect()

    assert published.attempt(ROUND).state is BatchState.ESCALATED
    assert "ann-01" not in {one.due.annotator_id for one in plan_rounds(published).planned}
    assert len(plan_rounds(published, "ann-01").planned) == 1


def test_an_unsettled_round_is_topped_up_and_graded_together(published: Workshop) -> None:
    published.staff(dropout=0.8)
    plan_rounds(published, "ann-01")
    published.dispatch(ROUND)
    published.work(hours=24 * 30)
    published.collect()
    first = published.judge(ROUND)
    published.staff()
    (more,) = plan_rounds(published, "ann-01").planned
    published.dispatch(more.key)
    published.work()
    published.collect()
    second = published.judge(more.key)

    assert (first.outcome, more.due.need) == ("INSUFFICIENT", Need.MORE_TASKS)
    assert first.document["calibration"]["n_missing"] > 0
    assert second.document["calibration"]["look"] == 2
    assert second.document["calibration"]["n_answered"] > 6
    assert second.outcome == "PASS"


def test_only_certified_people_get_work_that_makes_labels_once_it_is_required(tmp_path: Path) -> None:
    workshop = Workshop.build(tmp_path, project=REQUIRED, samples=160)
    workshop.complete()
    assert certified_people(workshop.project, ledger=workshop.ledger, now=workshop.clock.now()) is None
    passing = ("ann-01", "ann-05", "ann-09", "ann-10")
    for one in plan_rounds(workshop, *passing).planned:
        workshop.dispatch(one.key)
    waiting = decide(loop(workshop), workshop.clock.now(), collect_every=timedelta(days=365))
    workshop.work()
    workshop.collect()
    for attempt in workshop.ledger.attempts("digits", states={BatchState.COMPLETE}):
        workshop.judge(attempt.key)

    workshop.send(SECOND_BATCH)

    assert loop(workshop).certified == 3, "three cohorts have somebody who is certified"
    assert {one.annotator_id for one in workshop.assignments(SECOND_BATCH)} <= set(passing)
    assert all("a certificate" in one.explain["passed"] for one in workshop.assignments(SECOND_BATCH))
    assert [one for one in waiting.due if one.stage == "dispatch" and "-active-" in one.key] == []


def test_too_few_certified_people_hold_back_work_and_say_so(tmp_path: Path) -> None:
    workshop = Workshop.build(tmp_path, project=REQUIRED, samples=160)
    workshop.complete()
    workshop.staff(accuracy=0.0)
    calibrate_everybody(workshop)

    decision = decide(loop(workshop), workshop.clock.now(), collect_every=timedelta(days=365))

    assert [one.stage for one in decision.due] == ["train"], "what is published may be trained on"
    idle = decide(replace(loop(workshop), min_new_labels=None), workshop.clock.now(), collect_every=timedelta(days=365))
    assert "0 certified people, a task takes 3: labels wait for calibrations" in idle.idle


def loop(workshop: Workshop) -> LoopState:
    return loop_state(workshop.project, ledger=workshop.ledger, now=workshop.clock.now())


def test_bad_work_flags_a_person_who_keeps_working_and_is_called_to_a_round(tmp_path: Path) -> None:
    rules = "{size: 20, minimum: 0.9, margin: 0.2}"
    everyday = digits((("workforce.yaml", "version: 1.0.0", f"version: 1.0.0\ncalibration: {rules}"),))
    workshop = Workshop.build(tmp_path, project=everyday, samples=120)
    one_bad_person(workshop)
    for key in (FIRST, SECOND_BATCH):
        workshop.annotate(key)
        workshop.judge(key)

    report = report_workforce(workshop.project, ledger=workshop.ledger, now=workshop.clock.now())

    assert list(report.flaggings) == ["ann-04"]
    assert standing_of(workshop, "ann-04") == (AnnotatorStatus.FLAGGED, Need.TRAINING)
    assert "accuracy" in report.flaggings["ann-04"].reason
    assert certified_people(workshop.project, ledger=workshop.ledger, now=workshop.clock.now()) is None
    packs = flagged_packs(workshop.project, report=report, ledger=workshop.ledger, lake=workshop.lake)
    assert list(packs) == ["ann-04"]
    assert all(lesson.errors for lesson in packs["ann-04"].lessons)
    assert len(packs["ann-04"].lessons) == 5


def one_bad_person(workshop: Workshop) -> None:
    """ann-04 is right one time in five, everybody else always."""
    people = {name: SimulatedPerson(name, accuracy=0.2 if name == "ann-04" else 1.0) for name in PEOPLE}
    known = Truth(inline={uri(number): TruthItem(truth(number)) for number in range(workshop.samples)})
    workshop.platform = SimulatedPlatform(
        workshop.home / "platform.sqlite", simulation=Simulation(people, known, seed=7), clock=workshop.clock
    )


def test_the_cause_changes_with_a_verdict_a_document_and_a_day(published: Workshop) -> None:
    def cause(project=CALIBRATED) -> str:
        return standings_cause(project, ledger=published.ledger, now=published.clock.now())

    first = cause()
    same = cause()
    other_document = cause(REQUIRED)
    plan_rounds(published, "ann-01")
    planned = cause()
    published.dispatch(ROUND)
    published.work()
    published.collect()
    published.judge(ROUND)
    settled = cause()
    published.clock.advance(timedelta(days=1))

    assert first == same == planned
    assert len({first, other_document, settled, cause()}) == 4


def test_cohorts_are_compared_on_their_gold_tasks(published: Workshop) -> None:
    calibrate_everybody(published)

    report = report_workforce(published.project, ledger=published.ledger, now=published.clock.now())

    assert [one.cohort for one in report.cohorts.cohorts] == ["north", "south", "west"]
    assert [one.accuracy.value for one in report.cohorts.cohorts] == [1.0, 1.0, 1.0]


def test_a_task_type_of_many_labels_has_no_training_pack(published: Workshop) -> None:
    boxes = replace(CALIBRATED, contract=replace(CALIBRATED.contract, task_type="boxes"))
    report = report_workforce(published.project, ledger=published.ledger, now=published.clock.now())

    with pytest.raises(InvalidInput, match="found task type boxes"):
        training_packs(boxes, {"ann-01"}, report=report, ledger=published.ledger, lake=published.lake)
