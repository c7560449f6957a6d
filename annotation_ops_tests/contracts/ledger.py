"""What every ledger must do; run it on each implementation by a subclass with a fixture `ledger`, empty and initialised."""

from dataclasses import replace
from datetime import datetime

import pytest

from annotation_ops.domain.access import AccessToken, Role
from annotation_ops.domain.audit import verify
from annotation_ops.domain.batches import BatchPurpose, BatchState
from annotation_ops.domain.errors import Conflict, InvalidInput, NotFound, PermanentError
from annotation_ops.domain.records import Annotation, AssignmentPurpose, AssignmentState, IncidentState, JsonObject
from annotation_ops.ports.ledger import Ledger
from annotation_ops_tests.contracts.ledger_deliveries import DeliveryContract
from annotation_ops_tests.contracts.ledger_records import (
    ATTEMPT,
    BATCH,
    COMMIT,
    INCIDENT,
    KOLKATA,
    NOW,
    REFUSED,
    SECOND,
    VERDICT,
    annotation,
    assignment,
    everything,
    fill,
    plan,
    review,
    task,
)


class UnitOfWorkContract:
    def test_records_come_back_as_they_were_written(self, ledger: Ledger) -> None:
        fill(ledger)

        first = task(0)
        assert ledger.batches("digits") == (BATCH,)
        assert ledger.attempts("digits") == (ATTEMPT,)
        assert ledger.tasks("digits", BATCH.batch_id, 1) == (task(0), task(1), task(2))
        assert ledger.assignments("digits", BATCH.batch_id, 1) == (assignment(first, "ann-1"),)
        assert ledger.annotations("digits", BATCH.batch_id, 1) == (
            annotation(first, "ann-1"),
            annotation(first, "ann-2"),
        )
        assert ledger.reviews("digits", BATCH.batch_id, 1) == (review(annotation(first, "ann-1")),)
        assert ledger.verdicts("digits") == (VERDICT,)
        assert ledger.document_body("digits", "guideline", "1.0.0") == "# Ziffern\n„genau“ lesen\n"
        assert ledger.quarantined("digits") == (REFUSED,)
        assert ledger.label_commits("digits") == (COMMIT,)
        assert ledger.incidents("digits") == (INCIDENT,)
        assert ledger.cursor("collect:digits") == "2026-11-23T09:00:00Z/42"

    def test_writing_everything_again_changes_nothing_but_the_audit(self, ledger: Ledger) -> None:
        fill(ledger)
        before = everything(ledger)

        with ledger.transaction(actor="system", at=NOW + SECOND) as unit:
            assert not unit.add_batch(BATCH)
            assert not unit.add_attempt(ATTEMPT)
            assert unit.add_tasks("digits", [task(0), task(1)]) == 0
            assert unit.add_assignments([assignment(task(0), "ann-1")]) == 0
            assert unit.add_annotations([annotation(task(0), "ann-1")]) == 0
            assert not unit.add_review(review(annotation(task(0), "ann-1")))
            assert not unit.add_verdict("digits", VERDICT)
            assert not unit.add_document_version("digits", "guideline", "1.0.0", "h" * 64, "# Ziffern\n„genau“ lesen\n")
            assert not unit.quarantine(REFUSED)
            assert not unit.add_label_commit(COMMIT)
            unit.put_incident(INCIDENT)
            unit.set_cursor("collect:digits", "2026-11-23T09:00:00Z/42")

        assert everything(ledger) == before

    def test_an_exception_leaves_no_row_no_cursor_and_no_audit_entry(self, ledger: Ledger) -> None:
        plan(ledger)
        before = ledger.audit_entries()

        with pytest.raises(ZeroDivisionError):
            change_and_fail(ledger)

        assert len(ledger.tasks("digits", BATCH.batch_id, 1)) == 3
        assert ledger.cursor("c") is None
        assert ledger.audit_entries() == before

    def test_a_change_without_an_audit_entry_is_not_committed(self, ledger: Ledger) -> None:
        with (
            pytest.raises(PermanentError, match="without an audit entry"),
            ledger.transaction(actor="a", at=NOW) as unit,
        ):
            unit.add_batch(BATCH)

        assert ledger.batches("digits") == ()

    def test_a_reading_position_moves_without_an_audit_entry(self, ledger: Ledger) -> None:
        with ledger.transaction(actor="a", at=NOW) as unit:
            unit.set_cursor("c", "1")

        assert ledger.cursor("c") == "1"
        assert ledger.audit_entries() == ()

    def test_a_refused_row_leaves_the_transaction_usable(self, ledger: Ledger) -> None:
        plan(ledger)

        with ledger.transaction(actor="system", at=NOW) as unit:
            with pytest.raises(Conflict):
                unit.add_tasks("digits", [replace(task(0), task_key="another key for the same sample")])
            unit.set_cursor("c", "1")
            unit.audit("cursor.moved", "c", {})

        assert ledger.cursor("c") == "1"

    def test_a_cursor_moves_forward_and_others_stay(self, ledger: Ledger) -> None:
        for name, value in (("a", "1"), ("b", "1"), ("a", "2")):
            with ledger.transaction(actor="system", at=NOW) as unit:
                unit.set_cursor(name, value)
                unit.audit("cursor.moved", name, {"to": value})

        assert (ledger.cursor("a"), ledger.cursor("b"), ledger.cursor("c")) == ("2", "1", None)

    @pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
    def test_text_that_a_database_cannot_hold_is_refused(self, ledger: Ledger, text: str) -> None:
        with pytest.raises(InvalidInput, match="cursor c"), ledger.transaction(actor="a", at=NOW) as unit:
            unit.set_cursor("c", text)

    @pytest.mark.parametrize("number", [float("nan"), float("inf")])
    def test_a_number_that_is_none_is_refused(self, ledger: Ledger, number: float) -> None:
        plan(ledger)

        with pytest.raises(InvalidInput, match="uncertainty"), ledger.transaction(actor="a", at=NOW) as unit:
            unit.add_tasks("digits", [replace(task(9), uncertainty=number)])

    def test_a_time_without_a_timezone_is_refused(self, ledger: Ledger) -> None:
        with pytest.raises(InvalidInput, match="planned_at"), ledger.transaction(actor="a", at=NOW) as unit:
            unit.add_attempt(replace(ATTEMPT, planned_at=NOW.replace(tzinfo=None)))


class AuditContract:
    def test_the_chain_has_no_gaps_and_verifies(self, ledger: Ledger) -> None:
        for turn in range(5):
            with ledger.transaction(actor=f"person-{turn}", at=NOW + turn * SECOND) as unit:
                unit.audit("a.first", "x", {"turn": turn})
                unit.audit("a.second", "x", {"turn": turn})

        entries = ledger.audit_entries()
        assert [entry.seq for entry in entries] == list(range(1, 11))
        assert verify(entries) is None

    def test_entries_are_read_in_pages(self, ledger: Ledger) -> None:
        with ledger.transaction(actor="a", at=NOW) as unit:
            for number in range(7):
                unit.audit("e", str(number), {})

        assert [entry.seq for entry in ledger.audit_entries(after=3, limit=2)] == [4, 5]
        assert ledger.audit_entries(after=7) == ()

    def test_the_newest_entry_tells_when_something_was_last_recorded(self, ledger: Ledger) -> None:
        assert ledger.last_recorded_at() is None
        for later in (0, 3):
            with ledger.transaction(actor="a", at=(NOW + later * SECOND).astimezone(KOLKATA)) as unit:
                unit.audit("e", "s", {})

        assert ledger.last_recorded_at() == NOW + 3 * SECOND

    def test_a_run_that_took_its_time_an_hour_ago_may_still_write(self, ledger: Ledger) -> None:
        audit_at(ledger, NOW)
        audit_at(ledger, NOW - 3600 * SECOND)

        assert verify(ledger.audit_entries()) is None

    def test_a_clock_further_behind_is_a_conflict_with_both_times(self, ledger: Ledger) -> None:
        audit_at(ledger, NOW)

        with pytest.raises(Conflict) as caught:
            audit_at(ledger, NOW - 3603 * SECOND)

        assert "2026-11-23T07:59:57.123456" in str(caught.value)
        assert "2026-11-23T09:00:00.123456" in str(caught.value)
        assert len(ledger.audit_entries()) == 1

    def test_a_float_in_the_details_rolls_the_transaction_back(self, ledger: Ledger) -> None:
        with pytest.raises(InvalidInput, match=r"details\.alpha"):
            set_cursor(ledger, details={"alpha": 0.5})

        assert ledger.cursor("c") is None


class BatchContract:
    def test_batches_come_oldest_first_and_only_the_project_s(self, ledger: Ledger) -> None:
        older = replace(BATCH, batch_id="2026-11-24-active-01", created_at=NOW - SECOND)
        for batch, project in ((BATCH, "digits"), (older, "digits"), (BATCH, "other")):
            plan(ledger, tasks=1, project=project, batch=batch)

        assert [batch.batch_id for batch in ledger.batches("digits")] == [older.batch_id, BATCH.batch_id]
        assert ledger.batch("other", BATCH.batch_id) == replace(BATCH, project="other")

    def test_what_is_not_there_is_not_found(self, ledger: Ledger) -> None:
        with pytest.raises(NotFound, match="nothing"):
            ledger.batch("digits", "nothing")
        with pytest.raises(NotFound, match=r"nothing\.a3"):
            ledger.attempt("digits", "nothing", 3)
        with pytest.raises(NotFound, match=r"9\.9\.9"):
            ledger.document_body("digits", "guideline", "9.9.9")

    @pytest.mark.parametrize(
        "change", [{"overlap": 4}, {"purpose": BatchPurpose.RELABEL}, {"created_at": NOW + SECOND}]
    )
    def test_another_batch_under_the_same_id_is_a_conflict(self, ledger: Ledger, change: dict[str, object]) -> None:
        plan(ledger)

        with pytest.raises(Conflict, match=next(iter(change))), ledger.transaction(actor="a", at=NOW) as unit:
            unit.add_batch(replace(BATCH, **change))

    def test_a_row_of_an_unknown_parent_is_not_found(self, ledger: Ledger) -> None:
        plan(ledger)

        with ledger.transaction(actor="a", at=NOW) as unit:
            with pytest.raises(NotFound, match="batches"):
                unit.add_attempt(replace(ATTEMPT, batch_id="unknown"))
            with pytest.raises(NotFound, match="attempts"):
                unit.add_tasks("digits", [task(0), task(0, attempt=2)])
            with pytest.raises(NotFound, match="tasks"):
                unit.add_annotations([annotation(task(0), "a"), annotation(task(55), "a")])

    @pytest.mark.parametrize(
        ("to", "stamp"),
        [
            (BatchState.IN_ANNOTATION, "dispatched_at"),
            (BatchState.COMPLETE, "completed_at"),
            (BatchState.PASSED, "judged_at"),
            (BatchState.FAILED, "judged_at"),
            (BatchState.INSUFFICIENT, "judged_at"),
            (BatchState.IN_AUDIT, "judged_at"),
            (BatchState.SETTLED, "judged_at"),
            (BatchState.PUBLISHED, "published_at"),
            (BatchState.ESCALATED, None),
        ],
    )
    def test_a_state_stamps_its_own_time(self, ledger: Ledger, to: BatchState, stamp: str | None) -> None:
        plan(ledger)
        later = NOW + 60 * SECOND

        with ledger.transaction(actor="a", at=later) as unit:
            unit.move_attempt(
                BATCH.batch_id,
                1,
                project="digits",
                expect={BatchState.PLANNED},
                to=to,
                at=later,
                reason="why",
                due_at=later,
            )
            unit.audit("attempt.moved", BATCH.batch_id, {"to": to.value})

        expected = replace(ATTEMPT, state=to, state_reason="why", due_at=later)
        assert ledger.attempt("digits", BATCH.batch_id, 1) == replace(expected, **({stamp: later} if stamp else {}))

    def test_an_unexpected_state_is_a_conflict_naming_both(self, ledger: Ledger) -> None:
        plan(ledger)

        with pytest.raises(Conflict, match="found the state planned, expected complete or in_annotation"):
            move(ledger, expect={BatchState.COMPLETE, BatchState.IN_ANNOTATION}, to=BatchState.PASSED)

        assert ledger.attempt("digits", BATCH.batch_id, 1) == ATTEMPT

    def test_planning_again_after_the_attempt_moved_on_changes_nothing(self, ledger: Ledger) -> None:
        plan(ledger)
        move(ledger, expect={BatchState.PLANNED}, to=BatchState.IN_ANNOTATION)

        with ledger.transaction(actor="a", at=NOW) as unit:
            assert not unit.add_attempt(ATTEMPT)

        assert ledger.attempt("digits", BATCH.batch_id, 1).state is BatchState.IN_ANNOTATION

    def test_attempts_are_filtered_by_state_and_ordered(self, ledger: Ledger) -> None:
        plan(ledger)
        with ledger.transaction(actor="a", at=NOW) as unit:
            for number in (10, 2):
                unit.add_attempt(replace(ATTEMPT, number=number))
            unit.audit("attempt.planned", BATCH.batch_id, {})
        move(ledger, expect={BatchState.PLANNED}, to=BatchState.FAILED)

        assert [attempt.number for attempt in ledger.attempts("digits")] == [1, 2, 10]
        assert [attempt.number for attempt in ledger.attempts("digits", states={BatchState.PLANNED})] == [2, 10]
        assert ledger.attempts("digits", states=()) == ()


class TaskContract:
    def test_only_new_tasks_are_counted(self, ledger: Ledger) -> None:
        plan(ledger, tasks=2)

        with ledger.transaction(actor="a", at=NOW) as unit:
            assert unit.add_tasks("digits", [task(0), task(1), task(2), task(2)]) == 1
            unit.audit("task.added", "2", {})

        assert [found.position for found in ledger.tasks("digits", BATCH.batch_id, 1)] == [0, 1, 2]

    def test_a_platform_id_is_recorded_and_replaced(self, ledger: Ledger) -> None:
        first, *_ = plan(ledger)

        with ledger.transaction(actor="a", at=NOW) as unit:
            unit.record_platform_task(first.task_key, "17")
            unit.record_platform_task(first.task_key, "18")
            unit.audit("task.adopted", first.task_key, {})
            assert unit.add_tasks("digits", [first]) == 0

        assert ledger.tasks_by_key([first.task_key]) == {first.task_key: replace(first, platform_task_id="18")}

    def test_an_unroutable_task_says_why(self, ledger: Ledger) -> None:
        first, *_ = plan(ledger)

        with ledger.transaction(actor="a", at=NOW) as unit:
            unit.mark_unroutable(first.task_key, "nobody reads Kannada")
            unit.audit("task.unroutable", first.task_key, {})

        assert ledger.tasks("digits", BATCH.batch_id, 1)[0].unroutable_reason == "nobody reads Kannada"

    def test_an_unknown_task_or_assignment_is_not_found(self, ledger: Ledger) -> None:
        first, *_ = plan(ledger)

        with ledger.transaction(actor="a", at=NOW) as unit:
            with pytest.raises(NotFound, match="no task nothing"):
                unit.record_platform_task("nothing", "1")
            with pytest.raises(NotFound, match="no task nothing"):
                unit.mark_unroutable("nothing", "1")
            with pytest.raises(NotFound, match="ann-1"):
                unit.set_assignment_state(first.task_key, "ann-1", AssignmentState.DONE)

    def test_batched_samples_are_those_of_all_or_of_earlier_days(self, ledger: Ledger) -> None:
        plan(ledger, tasks=2)
        yesterday = replace(BATCH, batch_id="2026-11-22-active-01", day=BATCH.day.replace(day=22))
        plan(ledger, tasks=3, batch=yesterday)
        plan(ledger, tasks=9, project="other")

        expected = {("scan-00000", "d" * 64), ("scan-00001", "d" * 64), ("scan-00002", "d" * 64)}
        assert ledger.batched_samples("digits") == expected
        assert ledger.batched_samples("digits", before_day="2026-11-23") == expected
        assert ledger.batched_samples("digits", before_day="2026-11-22") == frozenset()

    def test_many_keys_are_found_at_once(self, ledger: Ledger) -> None:
        made = plan(ledger, tasks=1500)

        assert ledger.tasks_by_key([each.task_key for each in made] * 2) == {each.task_key: each for each in made}
        assert ledger.tasks_by_key([]) == {}


class PeopleContract:
    def test_load_counts_open_assignments_of_batches_in_annotation(self, ledger: Ledger) -> None:
        first, second, third = plan(ledger)
        with ledger.transaction(actor="a", at=NOW) as unit:
            unit.add_assignments([assignment(each, "ann-1") for each in (first, second, third)])
            unit.add_assignments([assignment(first, "ann-2"), assignment(first, "ann-3")])
            unit.set_assignment_state(second.task_key, "ann-1", AssignmentState.DONE)
            unit.set_assignment_state(first.task_key, "ann-3", AssignmentState.EXPIRED)
            unit.audit("tasks.assigned", BATCH.batch_id, {})
        assert ledger.open_assignments("digits") == {}

        move(ledger, expect={BatchState.PLANNED}, to=BatchState.IN_ANNOTATION)

        assert ledger.open_assignments("digits") == {"ann-1": 2, "ann-2": 1}
        assert ledger.open_assignments("other") == {}

    def test_assigning_again_keeps_the_state(self, ledger: Ledger) -> None:
        first, *_ = plan(ledger)
        with ledger.transaction(actor="a", at=NOW) as unit:
            assert unit.add_assignments([assignment(first, "ann-1")]) == 1
            unit.set_assignment_state(first.task_key, "ann-1", AssignmentState.DONE)
            assert unit.add_assignments([assignment(first, "ann-1"), assignment(first, "ann-2")]) == 1
            unit.audit("tasks.assigned", BATCH.batch_id, {})

        states = {each.annotator_id: each.state for each in ledger.assignments("digits", BATCH.batch_id)}
        assert states == {"ann-1": AssignmentState.DONE, "ann-2": AssignmentState.OPEN}

    def test_assignments_are_those_of_one_attempt_or_of_all(self, ledger: Ledger) -> None:
        first, *_ = plan(ledger)
        again = task(0, attempt=2)
        with ledger.transaction(actor="a", at=NOW) as unit:
            unit.add_attempt(replace(ATTEMPT, number=2))
            unit.add_tasks("digits", [again])
            unit.add_assignments([assignment(again, "ann-1"), assignment(first, "ann-2")])
            unit.audit("batch.requeued", BATCH.batch_id, {})

        who = [each.annotator_id for each in ledger.assignments("digits", BATCH.batch_id)]
        assert who == ["ann-2", "ann-1"]
        assert ledger.assignments("digits", BATCH.batch_id, 2) == (assignment(again, "ann-1"),)

    def test_the_newest_revision_counts_unless_it_is_a_deletion(self, ledger: Ledger) -> None:
        first, second, _ = plan(ledger)
        collect(
            ledger,
            annotation(second, "ann-1"),
            annotation(first, "Ann-9", label="1"),
            annotation(first, "ann-1", label="1"),
            annotation(first, "ann-1", label="2", revision=2),
            annotation(first, "ann-2", label="3"),
            annotation(first, "ann-2", label="3", revision=2, deleted=True),
        )

        found = [
            (each.task_key, each.annotator_id, each.value["label"])
            for each in ledger.annotations("digits", BATCH.batch_id, 1)
        ]
        assert found == [
            (first.task_key, "Ann-9", "1"),
            (first.task_key, "ann-1", "2"),
            (second.task_key, "ann-1", "7"),
        ]
        assert [each.revision for each in ledger.annotation_history(first.task_key)] == [1, 1, 2, 1, 2]

    def test_collecting_twice_at_other_times_inserts_once(self, ledger: Ledger) -> None:
        first, *_ = plan(ledger)
        seen = annotation(first, "ann-1")
        collect(ledger, seen)

        with ledger.transaction(actor="a", at=NOW) as unit:
            assert unit.add_annotations([replace(seen, collected_at=NOW + 99 * SECOND)]) == 0

        assert ledger.annotation_history(first.task_key) == (seen,)

    @pytest.mark.parametrize("change", [{"value": {"label": "8"}}, {"annotation_key": "another"}])
    def test_another_answer_under_the_same_revision_is_a_conflict(
        self, ledger: Ledger, change: dict[str, object]
    ) -> None:
        first, *_ = plan(ledger)
        seen = annotation(first, "ann-1")
        collect(ledger, seen)

        with pytest.raises(Conflict):
            collect(ledger, annotation(first, "ann-2"), replace(seen, **change))

        assert ledger.annotation_history(first.task_key) == (seen,)


class JudgementContract:
    def test_the_system_judges_an_attempt_once_per_criteria(self, ledger: Ledger) -> None:
        plan(ledger)
        with ledger.transaction(actor="a", at=NOW) as unit:
            assert unit.add_verdict("digits", VERDICT)
            assert unit.add_verdict("digits", replace(VERDICT, criteria="1.1.0+e"))
            unit.audit("verdict.recorded", BATCH.batch_id, {})

        with pytest.raises(Conflict, match="outcome"), ledger.transaction(actor="a", at=NOW) as unit:
            unit.add_verdict("digits", replace(VERDICT, outcome="PASS"))

    def test_other_evidence_under_the_same_criteria_is_a_further_verdict(self, ledger: Ledger) -> None:
        plan(ledger)
        topped_up = replace(VERDICT, evidence="more judgements", outcome="PASS")
        looked_back = replace(VERDICT, criteria="1.1.0+e", in_force=False)
        with ledger.transaction(actor="a", at=NOW) as unit:
            for verdict in (VERDICT, topped_up, looked_back):
                assert unit.add_verdict("digits", verdict)
            assert not unit.add_verdict("digits", topped_up)
            unit.audit("verdict.recorded", BATCH.batch_id, {})

        assert ledger.verdicts("digits") == (VERDICT, topped_up, looked_back)

    def test_an_assignment_keeps_why_it_was_made(self, ledger: Ledger) -> None:
        first, *_ = plan(ledger)
        asked = [
            replace(assignment(first, f"ann-{number}"), purpose=purpose)
            for number, purpose in enumerate(AssignmentPurpose)
        ]
        with ledger.transaction(actor="a", at=NOW) as unit:
            unit.add_assignments(asked)
            unit.audit("overlap.planned", BATCH.batch_id, {})

        kept = ledger.assignments("digits", BATCH.batch_id)
        assert sorted(kept, key=lambda one: one.annotator_id) == asked

    def test_overrides_by_people_are_further_rows_in_order(self, ledger: Ledger) -> None:
        plan(ledger)
        accepted = replace(VERDICT, outcome="PASS", judged_by="lead", reason="gold was wrong", judged_at=NOW + SECOND)
        withdrawn = replace(accepted, outcome="FAIL", reason="it was right", judged_at=NOW + 2 * SECOND)
        with ledger.transaction(actor="lead", at=NOW + 2 * SECOND) as unit:
            for verdict in (VERDICT, accepted, withdrawn):
                assert unit.add_verdict("digits", verdict)
            unit.audit("verdict.overridden", BATCH.batch_id, {})

        assert ledger.verdicts("digits", BATCH.batch_id) == (VERDICT, accepted, withdrawn)
        assert ledger.verdicts("digits", "another") == ()

    def test_a_document_version_never_changes_its_content(self, ledger: Ledger) -> None:
        fill(ledger)

        with pytest.raises(Conflict, match="content_hash"), ledger.transaction(actor="a", at=NOW) as unit:
            unit.add_document_version("digits", "guideline", "1.0.0", "x" * 64, "# Ziffern\n„genau“ lesen\n")

    def test_the_same_refusal_is_kept_once_and_another_reason_beside_it(self, ledger: Ledger) -> None:
        with ledger.transaction(actor="a", at=NOW) as unit:
            assert unit.quarantine(REFUSED)
            assert not unit.quarantine(replace(REFUSED, at=NOW + SECOND))
            assert unit.quarantine(replace(REFUSED, reason_code="late"))
            assert unit.quarantine(replace(REFUSED, kind="sample"))
            unit.audit("annotation.quarantined", "42", {})

        assert [item.reason_code for item in ledger.quarantined("digits", "annotation")] == ["unknown_label", "late"]
        assert len(ledger.quarantined("digits")) == 3

    def test_a_poisonous_key_can_be_quarantined(self, ledger: Ledger) -> None:
        with ledger.transaction(actor="a", at=NOW) as unit:
            unit.quarantine(replace(REFUSED, key="a\x00b\ud800"))
            unit.audit("annotation.quarantined", "poison", {})

        assert ledger.quarantined("digits")[0].key == "a\\x00b\\ud800"

    def test_label_commits_come_in_the_order_they_were_made(self, ledger: Ledger) -> None:
        plan(ledger)
        second = replace(COMMIT, commit_id="a" * 64, parent=COMMIT.commit_id)
        with ledger.transaction(actor="a", at=NOW) as unit:
            unit.add_label_commit(COMMIT)
            unit.add_label_commit(second)
            unit.audit("labels.committed", BATCH.batch_id, {})

        assert ledger.label_commits("digits") == (COMMIT, second)

    def test_an_incident_is_replaced_by_its_newer_state(self, ledger: Ledger) -> None:
        fill(ledger)
        closed = replace(
            INCIDENT, state=IncidentState.RESOLVED, batch_id="b", closed_at=NOW, outcome={"recovered": 0.9}
        )
        with ledger.transaction(actor="a", at=NOW + SECOND) as unit:
            unit.put_incident(closed)
            unit.put_incident(replace(INCIDENT, incident_id="i0", opened_at=NOW + SECOND))
            unit.audit("incident.closed", "i1", {})

        assert [incident.incident_id for incident in ledger.incidents("digits")] == ["i1", "i0"]
        assert ledger.incidents("digits")[0] == closed


class AccessContract:
    def test_access_tokens_come_back_by_hash_and_oldest_first(self, ledger: Ledger) -> None:
        late = AccessToken("b" * 64, "lea", Role.LEAD, NOW + SECOND, NOW + 90 * SECOND)
        early = AccessToken("a" * 64, "ada", Role.ADMIN, NOW, NOW + 60 * SECOND)
        with ledger.transaction(actor="system", at=NOW) as unit:
            assert unit.add_access_token(late)
            assert unit.add_access_token(early)
            assert not unit.add_access_token(early)
            unit.audit("token.created", "ada", {})

        assert ledger.access_tokens() == (early, late)
        assert ledger.access_token("b" * 64) == late
        assert ledger.access_token("c" * 64) is None

    def test_a_revoked_token_says_since_when_and_an_unknown_one_is_not_found(self, ledger: Ledger) -> None:
        token = AccessToken("a" * 64, "ada", Role.ADMIN, NOW, NOW + 60 * SECOND)
        with ledger.transaction(actor="system", at=NOW) as unit:
            unit.add_access_token(token)
            unit.revoke_access_token(token.token_hash, at=NOW + SECOND)
            unit.audit("token.revoked", "ada", {})

        assert ledger.access_token(token.token_hash) == replace(token, revoked_at=NOW + SECOND)
        with pytest.raises(NotFound), ledger.transaction(actor="system", at=NOW) as unit:
            unit.revoke_access_token("f" * 64, at=NOW)

    def test_a_held_attempt_knows_where_it_came_from_until_it_moves_on(self, ledger: Ledger) -> None:
        fill(ledger)
        move(ledger, expect={BatchState.PLANNED}, to=BatchState.HELD)
        assert ledger.attempt("digits", BATCH.batch_id, 1).held_from is BatchState.PLANNED
        move(ledger, expect={BatchState.HELD}, to=BatchState.PLANNED)

        assert ledger.attempt("digits", BATCH.batch_id, 1) == ATTEMPT


class LeaseContract:
    def test_one_owner_at_a_time(self, ledger: Ledger) -> None:
        assert ledger.acquire_lease("collect", "run-1", at=NOW, seconds=60) == 1
        assert ledger.acquire_lease("collect", "run-2", at=NOW + 59 * SECOND, seconds=60) is None
        assert ledger.acquire_lease("dispatch", "run-2", at=NOW, seconds=60) == 1

    def test_renewing_in_time_keeps_the_epoch(self, ledger: Ledger) -> None:
        ledger.acquire_lease("collect", "run-1", at=NOW, seconds=60)

        assert ledger.acquire_lease("collect", "run-1", at=NOW + 50 * SECOND, seconds=60) == 1
        assert ledger.acquire_lease("collect", "run-2", at=NOW + 100 * SECOND, seconds=60) is None

    def test_taking_over_an_expired_lease_raises_the_epoch_and_fences_the_former_owner(self, ledger: Ledger) -> None:
        ledger.acquire_lease("collect", "run-1", at=NOW, seconds=60)

        assert ledger.acquire_lease("collect", "run-2", at=NOW + 60 * SECOND, seconds=60) == 2
        assert ledger.acquire_lease("collect", "run-1", at=NOW + 61 * SECOND, seconds=60) is None

    def test_the_epoch_never_falls_after_a_release(self, ledger: Ledger) -> None:
        ledger.acquire_lease("collect", "run-1", at=NOW, seconds=60)
        ledger.release_lease("collect", "run-2")
        assert ledger.acquire_lease("collect", "run-2", at=NOW, seconds=60) is None

        ledger.release_lease("collect", "run-1")

        assert ledger.acquire_lease("collect", "run-2", at=NOW, seconds=60) == 2


class LedgerContract(
    AccessContract,
    UnitOfWorkContract,
    AuditContract,
    BatchContract,
    TaskContract,
    PeopleContract,
    JudgementContract,
    LeaseContract,
    DeliveryContract,
):
    """All of it."""


def change_and_fail(ledger: Ledger) -> None:
    with ledger.transaction(actor="system", at=NOW) as unit:
        unit.add_tasks("digits", [task(7)])
        unit.set_cursor("c", "1")
        unit.audit("task.added", "7", {"share": 1 // 0})


def set_cursor(ledger: Ledger, *, details: JsonObject) -> None:
    with ledger.transaction(actor="a", at=NOW) as unit:
        unit.set_cursor("c", "1")
        unit.audit("e", "s", details)


def audit_at(ledger: Ledger, at: datetime) -> None:
    with ledger.transaction(actor="a", at=at) as unit:
        unit.audit("e", "s", {})


def move(ledger: Ledger, *, expect: set[BatchState], to: BatchState) -> None:
    with ledger.transaction(actor="a", at=NOW) as unit:
        unit.move_attempt(BATCH.batch_id, 1, project="digits", expect=expect, to=to, at=NOW)
        unit.audit("attempt.moved", BATCH.batch_id, {"to": to.value})


def collect(ledger: Ledger, *found: Annotation) -> None:
    with ledger.transaction(actor="a", at=NOW) as unit:
        unit.add_annotations(list(found))
        unit.audit("annotation.collected", BATCH.batch_id, {"count": len(found)})
