from dataclasses import replace
from datetime import timedelta

import pytest

from annotation_ops.adapters.platforms.simulated.simulation import Misbehaviour
from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.errors import Conflict
from annotation_ops.domain.records import AssignmentState
from annotation_ops.ports.annotation_platform import TaskSpec
from annotation_ops_tests.services.workshop import FIRST, Workshop


def states(workshop: Workshop) -> dict[AssignmentState, int]:
    found = [assignment.state for assignment in workshop.assignments()]
    return {state: found.count(state) for state in AssignmentState if state in found}


def test_the_last_answer_completes_the_attempt(workshop: Workshop) -> None:
    workshop.send()
    assert workshop.collect().completed == ()
    assert workshop.attempt().state is BatchState.IN_ANNOTATION
    workshop.work()

    report = workshop.collect()

    assert (report.collected, report.completed, report.overdue) == (18, (FIRST,), ())
    assert states(workshop) == {AssignmentState.DONE: 18}


def test_pages_that_repeat_and_shuffle_change_nothing(workshop: Workshop) -> None:
    workshop.staff(misbehave=Misbehaviour(seed=5, duplicate_items=0.5, shuffled_pages=1.0, repeated_pages=0.5))
    workshop.annotate()

    reports = [workshop.collect() for _ in range(3)]

    assert sum(report.collected for report in reports) == 0
    assert {annotation.revision for annotation in workshop.annotations()} == {1}
    assert len(workshop.annotations()) == 18


def test_a_full_sweep_sees_everything_again_and_stores_nothing(workshop: Workshop) -> None:
    workshop.annotate()
    before = workshop.annotations()
    with workshop.ledger.transaction(actor="system", at=workshop.clock.now()) as tx:
        tx.set_cursor("collect:digits", "0.0")
        tx.audit("test.sweep", "digits", {})

    report = workshop.collect()

    assert (report.collected, report.repeated) == (0, 18)
    assert workshop.annotations() == before


def test_an_unknown_label_is_quarantined_with_its_reason_and_the_others_are_kept(workshop: Workshop) -> None:
    workshop.staff(misbehave=Misbehaviour(seed=2, foreign_labels=0.3))

    report = workshop.annotate()

    refused = workshop.ledger.quarantined("digits", "annotation")
    assert report.quarantined == {"unknown_label": len(refused)}
    assert 0 < len(refused) == 18 - report.collected
    assert all("found label 'not-in-the-taxonomy', expected one of 0, 1" in item.reason for item in refused)
    assert {item.body["value"]["label"] for item in refused} == {"not-in-the-taxonomy"}
    assert workshop.attempt().state is BatchState.IN_ANNOTATION


def test_an_unknown_label_on_an_ordered_scale_is_quarantined_too(workshop: Workshop) -> None:
    workshop.project = replace(workshop.project, contract=replace(workshop.project.contract, task_type="ordinal"))
    workshop.annotate()
    workshop.relabel(0, "eleven")

    assert workshop.collect().quarantined == {"unknown_label": 1}


def test_a_person_who_was_not_asked_is_quarantined(workshop: Workshop) -> None:
    workshop.staff(misbehave=Misbehaviour(strangers=1.0))

    report = workshop.annotate()

    assert (report.collected, report.quarantined) == (18, {"not_assigned": 18})
    assert report.completed == (FIRST,)
    names = {item.body["annotator"] for item in workshop.ledger.quarantined("digits")}
    assert all(name.startswith("stranger-") for name in names)


def test_a_task_this_project_never_sent_is_quarantined(workshop: Workshop) -> None:
    workshop.send()
    foreign = TaskSpec("f" * 32, {"image": "mem://s000.png"}, ("ann-01",))
    workshop.platform.create_tasks(workshop.platform_project(), [foreign])
    workshop.work()

    report = workshop.collect()

    assert (report.collected, report.quarantined) == (18, {"unknown_task": 1})
    (item,) = workshop.ledger.quarantined("digits")
    assert (item.body["task_key"], item.body["annotator"]) == ("f" * 32, "ann-01")


def test_what_is_refused_is_refused_once(workshop: Workshop) -> None:
    workshop.staff(misbehave=Misbehaviour(strangers=1.0, duplicate_items=1.0))
    workshop.annotate()

    again = workshop.collect()

    assert again.quarantined == {}
    assert len(workshop.ledger.quarantined("digits")) == 18


def test_an_edit_before_the_verdict_is_a_revision_and_the_newest_counts(workshop: Workshop) -> None:
    workshop.annotate()
    first = workshop.answers(0)[0]
    workshop.work(1)
    workshop.relabel(0, "8")

    report = workshop.collect()

    assert (report.collected, report.reopened) == (1, ())
    history = workshop.ledger.annotation_history(first.task_key)
    mine = [(a.revision, a.value["label"]) for a in history if a.annotator_id == first.annotator_id]
    assert mine == [(1, "0"), (2, "8")]
    assert [a.value["label"] for a in workshop.annotations() if a.revision == 2] == ["8"]


def test_a_deleted_answer_is_waited_for_again_while_people_work(workshop: Workshop) -> None:
    workshop.staff(dropout=0.2)
    workshop.annotate()
    left = states(workshop)
    gone = next(answers[0] for number in range(6) if (answers := workshop.answers(number)))
    workshop.platform.delete_annotation(gone.platform_annotation_id)

    workshop.collect()

    assert states(workshop)[AssignmentState.OPEN] == left[AssignmentState.OPEN] + 1
    assert gone.platform_annotation_id not in {a.platform_annotation_id for a in workshop.annotations()}
    assert [a.deleted for a in workshop.ledger.annotation_history(gone.task_key)].count(True) == 1


def test_a_skip_is_no_answer_and_nobody_waits_for_it(workshop: Workshop) -> None:
    workshop.staff(skips=0.2)

    report = workshop.annotate()

    assert 0 < report.collected < 18
    assert report.completed == (FIRST,)
    assert states(workshop) == {
        AssignmentState.DONE: report.collected,
        AssignmentState.EXPIRED: 18 - report.collected,
    }


def test_a_batch_that_everybody_skips_waits_for_a_person(workshop: Workshop) -> None:
    workshop.staff(skips=1.0)

    workshop.annotate()

    assert workshop.attempt().state is BatchState.ESCALATED
    assert workshop.attempt().state_reason == "everybody skipped every task"
    assert workshop.events()[-2:] == ["batch.completed", "batch.escalated"]


def test_past_the_due_time_missing_answers_are_given_up(workshop: Workshop) -> None:
    workshop.staff(dropout=0.2)
    on_time = workshop.annotate()
    assert (on_time.completed, on_time.overdue) == ((), ())
    workshop.clock.set(workshop.attempt().due_at or workshop.clock.now())
    assert workshop.collect().overdue == ()
    workshop.clock.advance(timedelta(seconds=1))

    report = workshop.collect()

    assert (report.completed, report.overdue) == ((FIRST,), (FIRST,))
    assert states(workshop)[AssignmentState.EXPIRED] == 18 - on_time.collected
    assert workshop.events()[-1] == "batch.overdue"
    assert workshop.judge().new


def test_a_batch_nobody_answered_in_time_waits_for_a_person(workshop: Workshop) -> None:
    workshop.staff(dropout=1.0)
    workshop.send()
    workshop.work(25)

    report = workshop.collect()

    assert report.overdue == (FIRST,)
    assert workshop.attempt().state is BatchState.ESCALATED
    assert workshop.attempt().state_reason == "the due time passed and nobody answered"
    assert workshop.events()[-2:] == ["batch.overdue", "batch.escalated"]


def test_a_late_edit_of_a_published_batch_opens_it_again(workshop: Workshop) -> None:
    workshop.complete()
    workshop.work(1)
    workshop.relabel(0, "8")

    report = workshop.collect()

    assert report.reopened == (FIRST,)
    assert workshop.attempt().state is BatchState.PASSED
    assert "changed an answer" in workshop.attempt().state_reason


def test_a_late_edit_to_an_unknown_label_opens_nothing(workshop: Workshop) -> None:
    workshop.complete()
    workshop.work(1)
    workshop.relabel(0, "eleven")

    report = workshop.collect()

    assert (report.reopened, report.quarantined) == ((), {"unknown_label": 1})
    assert workshop.attempt().state is BatchState.PUBLISHED


def test_a_clock_that_went_back_is_told_and_nothing_is_stored(workshop: Workshop) -> None:
    workshop.send()
    workshop.clock.advance(back := timedelta(days=-2))

    with pytest.raises(Conflict, match="the clock went back"):
        workshop.collect()

    workshop.clock.advance(-back)
    workshop.work()
    assert workshop.collect().collected == 18
