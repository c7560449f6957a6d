import json

import pytest

from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.errors import Conflict, InvalidInput
from annotation_ops.domain.records import Attempt
from annotation_ops.services.govern import override
from annotation_ops_tests.services.workshop import FIRST, SECOND, Workshop


def decide(workshop: Workshop, outcome: str, *, actor: str = "mia", reason: str = "checked by hand") -> Attempt:
    return override(
        workshop.project,
        FIRST,
        outcome=outcome,
        actor=actor,
        reason=reason,
        ledger=workshop.ledger,
        now=workshop.clock.now(),
    )


def test_a_person_accepts_a_rejected_batch_and_the_evidence_stays(workshop: Workshop) -> None:
    judged = workshop.reject()

    attempt = decide(workshop, "PASS")

    assert (attempt.state, attempt.state_reason) == (BatchState.PASSED, "checked by hand")
    system, person = workshop.ledger.verdicts("digits")
    assert (system.outcome, person.outcome, person.judged_by) == ("FAIL", "PASS", "person:mia")
    assert system.document == person.document == judged.document
    entry = json.loads(workshop.ledger.audit_entries()[-1].body)
    assert (entry["actor"], entry["details"]["reason"]) == ("person:mia", "checked by hand")


def test_what_a_person_accepted_is_published(workshop: Workshop) -> None:
    workshop.reject()
    decide(workshop, "PASS")

    report = workshop.publish()

    assert report.labels + report.needs_human == 6
    assert workshop.attempt().state is BatchState.PUBLISHED


def test_a_person_sends_a_batch_back_that_nobody_answered(workshop: Workshop) -> None:
    workshop.staff(skips=1.0)
    workshop.annotate()
    with pytest.raises(Conflict, match="nobody judged it yet"):
        decide(workshop, "FAIL")
    workshop.judge()

    assert decide(workshop, "FAIL", reason="the scans were black").state is BatchState.FAILED
    workshop.staff()
    workshop.complete(SECOND)
    assert len(workshop.current_labels()) == 6


def test_a_person_may_think_again_until_the_next_attempt_exists(workshop: Workshop) -> None:
    workshop.reject()
    decide(workshop, "FAIL", reason="agreed")
    workshop.work(1)
    decide(workshop, "PASS", reason="the guideline was ambiguous, the answers are fine")

    assert workshop.attempt().state is BatchState.PASSED
    assert [verdict.outcome for verdict in workshop.ledger.verdicts("digits")] == ["FAIL", "FAIL", "PASS"]


def test_a_batch_that_went_back_is_not_accepted_any_more(workshop: Workshop) -> None:
    workshop.reject()
    workshop.plan(SECOND)

    with pytest.raises(
        Conflict,
        match="found state requeued, expected one of escalated, failed, in_adjudication, in_audit, in_review, insufficient",
    ):
        decide(workshop, "PASS")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"reason": "  "}, "expected a person and a reason"),
        ({"actor": ""}, "expected a person and a reason"),
        ({"actor": "system"}, "found actor 'system'"),
        ({"outcome": "MAYBE"}, "found outcome 'MAYBE', expected PASS or FAIL"),
    ],
)
def test_an_override_needs_a_person_a_reason_and_a_decision(
    workshop: Workshop, given: dict[str, str], told: str
) -> None:
    workshop.reject()

    with pytest.raises(InvalidInput, match=told):
        decide(workshop, **{"outcome": "PASS", **given})

    assert len(workshop.ledger.verdicts("digits")) == 1
    assert workshop.attempt().state is BatchState.FAILED


def test_a_published_batch_is_not_overridden(workshop: Workshop) -> None:
    workshop.complete()

    with pytest.raises(Conflict, match="found state published"):
        decide(workshop, "FAIL")
