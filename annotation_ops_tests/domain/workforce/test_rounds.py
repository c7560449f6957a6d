from datetime import UTC, datetime, timedelta

from annotation_ops.domain.quality.statistic import Statistic
from annotation_ops.domain.workforce.calibration import CalibrationRules
from annotation_ops.domain.workforce.grading import CalibrationResult
from annotation_ops.domain.workforce.rounds import MOST_FAILURES, MOST_LOOKS, DueRound, due_round, undecided_series
from annotation_ops.domain.workforce.standing import Flagging, Need, standing
from annotation_ops.domain.workforce.status import AnnotatorStatus

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PAUSE = timedelta(days=1)
PASS, FAIL, OPEN = AnnotatorStatus.CERTIFIED, AnnotatorStatus.FLAGGED, AnnotatorStatus.NEEDS_MORE_EVIDENCE


def results(*outcomes: AnnotatorStatus, version: str = "1.0.0") -> list[CalibrationResult]:
    """One a day, the last of them an hour ago."""
    last = NOW - timedelta(hours=1)
    return [
        CalibrationResult(
            "ann-01",
            "classification",
            version,
            last - timedelta(days=len(outcomes) - 1 - at),
            outcome,
            Statistic(0.9, None, 0.8, 1.0, 40),
            (),
            40,
            0,
            1,
            (),
        )
        for at, outcome in enumerate(outcomes)
    ]


def due(*outcomes: AnnotatorStatus, flagging: Flagging | None = None) -> DueRound | None:
    found = results(*outcomes)
    stands = standing(
        "ann-01",
        "classification",
        results=found,
        now=NOW,
        guideline_version="1.0.0",
        rules=CalibrationRules(),
        flagging=flagging,
    )
    return due_round(stands, results=found, flagging=flagging, pause=PAUSE, now=NOW)


def test_the_first_round_is_due_at_once() -> None:
    first = due()

    assert first is not None
    assert (first.need, first.due_at) == (Need.ONBOARDING, NOW)


def test_nobody_who_is_certified_gets_a_round() -> None:
    assert due(PASS) is None


def test_after_a_failed_round_there_is_time_for_training() -> None:
    after = due(FAIL)

    assert after is not None
    assert (after.need, after.due_at) == (Need.TRAINING, NOW + timedelta(hours=23))


def test_a_flag_counts_the_pause_from_when_it_was_raised() -> None:
    after = due(PASS, flagging=Flagging(NOW - timedelta(minutes=10), "accuracy 40%"))

    assert after is not None
    assert (after.need, after.due_at) == (Need.TRAINING, NOW - timedelta(minutes=10) + PAUSE)


def test_an_undecided_round_is_topped_up_at_once_even_after_a_failed_one() -> None:
    for outcomes in ((OPEN,), (FAIL, OPEN)):
        more = due(*outcomes)
        assert more is not None
        assert (more.need, more.due_at) == (Need.MORE_TASKS, NOW)


def test_after_too_many_failures_in_a_row_a_lead_is_asked_first() -> None:
    assert due(*[FAIL] * (MOST_FAILURES - 1)) is not None
    assert due(*[FAIL] * MOST_FAILURES) is None
    assert due(FAIL, PASS, *[FAIL] * (MOST_FAILURES - 1)) is not None, "a pass in between counts anew"


def test_after_too_many_looks_a_lead_is_asked_first_and_a_new_round_starts_afresh() -> None:
    assert due(*[OPEN] * (MOST_LOOKS - 1)) is not None
    assert due(*[OPEN] * MOST_LOOKS) is None
    assert undecided_series(results(*[OPEN] * MOST_LOOKS)) == ()
    assert len(undecided_series(results(*[OPEN] * (MOST_LOOKS + 1)))) == 1


def test_a_series_ends_with_a_decision_and_with_another_guideline() -> None:
    assert undecided_series(results(OPEN, OPEN, PASS)) == ()
    assert len(undecided_series(results(PASS, OPEN, OPEN))) == 2
    mixed = [*results(OPEN, OPEN), *results(OPEN, version="1.1.0")]
    assert [one.guideline_version for one in undecided_series(mixed)] == ["1.1.0"]
