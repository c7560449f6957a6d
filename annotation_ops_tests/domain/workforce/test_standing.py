from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.statistic import Statistic
from annotation_ops.domain.workforce.calibration import CalibrationRules
from annotation_ops.domain.workforce.grading import CalibrationResult, ClassGrade
from annotation_ops.domain.workforce.standing import Flagging, Need, Standing, standing
from annotation_ops.domain.workforce.status import AnnotatorStatus

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PASS, FAIL, OPEN = AnnotatorStatus.CERTIFIED, AnnotatorStatus.FLAGGED, AnnotatorStatus.NEEDS_MORE_EVIDENCE
ACCURACY = Statistic(0.9, None, 0.8, 1.0, 40)


def result(
    outcome: AnnotatorStatus, days_ago: float, *, task_type: str = "text", version: str = "1.2.0", name: str = "ann"
) -> CalibrationResult:
    weak = (ClassGrade("cat", ACCURACY, FAIL), ClassGrade("dog", ACCURACY, PASS)) if outcome is FAIL else ()
    at = NOW - timedelta(days=days_ago)
    return CalibrationResult(name, task_type, version, at, outcome, ACCURACY, weak, 40, 0, 1, ())


def stands(*results: CalibrationResult, version: str = "1.2.0", flagged_days_ago: float | None = None) -> Standing:
    flagging = None if flagged_days_ago is None else Flagging(NOW - timedelta(days=flagged_days_ago), "drifted")
    return standing(
        "ann", "text", results=results, now=NOW, guideline_version=version, rules=CalibrationRules(), flagging=flagging
    )


@pytest.mark.parametrize(
    ("results", "status", "code", "needs"),
    [
        ((), "uncertified", "never_calibrated", Need.ONBOARDING),
        ((result(PASS, 3, task_type="boxes"),), "uncertified", "new_task_type", Need.NEW_TASK_TYPE),
        ((result(PASS, 3),), "certified", "passed", Need.NOTHING),
        ((result(FAIL, 3),), "flagged", "calibration_failed", Need.TRAINING),
        ((result(OPEN, 3),), "needs_more_evidence", "calibration_undecided", Need.MORE_TASKS),
        ((result(PASS, 181),), "lapsed", "expired", Need.RECERTIFICATION),
        ((result(PASS, 3, version="1.1.9"),), "lapsed", "guideline_changed", Need.RECERTIFICATION),
        ((result(PASS, 9), result(OPEN, 3)), "certified", "passed", Need.NOTHING),
        ((result(PASS, 200), result(OPEN, 3)), "needs_more_evidence", "calibration_undecided", Need.MORE_TASKS),
        ((result(PASS, 9), result(FAIL, 3)), "flagged", "calibration_failed", Need.TRAINING),
        ((result(FAIL, 9), result(PASS, 3)), "certified", "passed", Need.NOTHING),
        ((result(PASS, 3, name="bob"),), "uncertified", "never_calibrated", Need.ONBOARDING),
        ((result(PASS, -1),), "uncertified", "never_calibrated", Need.ONBOARDING),
    ],
)
def test_the_results_so_far_give_the_standing(
    results: tuple[CalibrationResult, ...], status: str, code: str, needs: Need
) -> None:
    found = stands(*results)

    assert (found.status.value, found.code, found.needs) == (status, code, needs)


def test_a_certificate_ends_at_the_end_of_its_time_and_not_before() -> None:
    until = stands(result(PASS, 3)).valid_until

    assert until == NOW - timedelta(days=3) + timedelta(days=180)
    assert stands(result(PASS, 180)).code == "expired"
    assert stands(result(PASS, 179.999)).code == "passed"


def test_a_correction_of_the_guidelines_wording_keeps_the_certificate() -> None:
    assert stands(result(PASS, 3, version="1.2.0"), version="1.2.7").status is PASS
    assert stands(result(PASS, 3, version="1.2.0"), version="2.2.0").code == "guideline_changed"


def test_evidence_after_the_pass_flags_and_evidence_before_it_is_answered_by_the_pass() -> None:
    later, before = stands(result(PASS, 9), flagged_days_ago=3), stands(result(PASS, 9), flagged_days_ago=12)

    assert (later.code, later.reason, later.needs) == ("flagged_by_quality", "drifted", Need.TRAINING)
    assert before.status is PASS


def test_evidence_of_the_future_is_not_known_yet() -> None:
    assert stands(result(PASS, 9), flagged_days_ago=-1).status is PASS


def test_a_failed_round_names_the_classes_that_showed_it() -> None:
    assert stands(result(FAIL, 3)).reason == "the round of 2026-11-20 shows less than the required skill, shown in cat"


def test_a_new_task_type_names_the_latest_one_calibrated() -> None:
    found = stands(result(PASS, 3, task_type="spans"), result(PASS, 9, task_type="boxes"))

    assert found.reason == "calibrated for spans, never for text"


@given(
    st.lists(
        st.builds(
            result,
            st.sampled_from([PASS, FAIL, OPEN]),
            st.integers(-5, 300),
            task_type=st.sampled_from(["text", "boxes"]),
            version=st.sampled_from(["1.2.0", "1.1.0"]),
        ),
        max_size=6,
        unique_by=lambda one: one.graded_at,
    ),
    st.none() | st.integers(-5, 300),
    st.data(),
)
def test_every_standing_has_a_way_back_and_the_order_of_the_results_does_not_matter(
    results: list[CalibrationResult], flagged: int | None, data: st.DataObject
) -> None:
    found = stands(*results, flagged_days_ago=flagged)
    shuffled = stands(*data.draw(st.permutations(results)), flagged_days_ago=flagged)

    assert found == shuffled
    assert (found.needs is Need.NOTHING) == (found.status is PASS) == (found.valid_until is not None)
    assert stands(*results, result(PASS, -0.0), flagged_days_ago=1).status is PASS or any(
        one.graded_at == NOW and one.outcome is not PASS for one in results
    )


def test_a_naive_time_and_a_version_that_is_none_are_refused() -> None:
    rules = CalibrationRules()
    with pytest.raises(InvalidInput, match="time zone"):
        standing("ann", "text", results=(), now=NOW.replace(tzinfo=None), guideline_version="1.0.0", rules=rules)
    with pytest.raises(InvalidInput, match=r"'1\.2'"):
        stands(result(PASS, 3), version="1.2")
