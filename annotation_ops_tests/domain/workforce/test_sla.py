from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.contract import Contract
from annotation_ops.domain.workforce.sla import SlaStatus, due_at, forecast

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def evenly(count: int, *, hours: float) -> list[datetime]:
    """`count` completions spread over the hours since the start."""
    return [START + timedelta(hours=hours * (number + 1) / count) for number in range(count)]


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def test_the_probability_is_the_negative_binomial_predictive_of_a_gamma_posterior() -> None:
    found = forecast(evenly(20, hours=4), 12, at(4), at(7), started_at=START)

    assert found.probability == pytest.approx(stats.nbinom.sf(11, 20.5, 4 / 7), rel=1e-9)


def test_the_probability_agrees_with_the_integral_over_the_rate() -> None:
    found = forecast(evenly(5, hours=2), 8, at(2), at(5), started_at=START)
    expected, _ = integrate.quad(
        lambda rate: stats.poisson.sf(7, 3 * rate) * stats.gamma.pdf(rate, 5.5, scale=1 / 2), 0, 60
    )

    assert found.probability == pytest.approx(expected, rel=1e-6)


def test_a_batch_is_on_track_at_risk_or_overdue() -> None:
    pace = evenly(100, hours=10)
    statuses = [forecast(pace, 50, at(10), at(due), started_at=START).status for due in (30, 15, 12, 10, 9)]

    assert statuses == [
        SlaStatus.ON_TRACK,
        SlaStatus.AT_RISK,
        SlaStatus.AT_RISK,
        SlaStatus.OVERDUE,
        SlaStatus.OVERDUE,
    ]


def test_nothing_open_is_done_even_after_the_due_time() -> None:
    found = forecast(evenly(3, hours=1), 0, at(9), at(2), started_at=START)

    assert (found.status, found.probability) == (SlaStatus.ON_TRACK, 1.0)


def test_what_was_never_observed_is_undefined_and_not_a_pass() -> None:
    found = forecast([], 5, START, at(9), started_at=START)

    assert found.probability is None
    assert found.per_hour is None
    assert "no time has been observed" in found.reason


def test_silence_becomes_a_risk_as_time_goes_by() -> None:
    chances = [forecast([], 20, at(hours), at(24), started_at=START).probability or 0.0 for hours in (1, 6, 12, 20)]

    assert chances == sorted(chances, reverse=True)
    assert forecast([], 20, at(20), at(24), started_at=START).status is SlaStatus.AT_RISK


def test_without_a_start_the_first_completion_starts_the_clock_and_does_not_count() -> None:
    done = evenly(10, hours=5)
    shape, seen = 9.5, 5 - 0.5
    found = forecast(done, 4, at(5), at(8))

    assert found.probability == pytest.approx(stats.nbinom.sf(3, shape, seen / (seen + 3)), rel=1e-9)


def test_the_pace_and_the_likely_end_are_reported() -> None:
    found = forecast(evenly(40, hours=4), 20, at(4), at(9), started_at=START)

    assert found.per_hour == pytest.approx(40.5 / 4)
    assert found.likely_done_at is not None
    assert (found.likely_done_at - at(4)).total_seconds() == pytest.approx(20 / (40.5 / 4) * 3600, abs=1)


def test_an_end_beyond_the_calendar_is_undefined() -> None:
    assert forecast([], 10**9, at(5000), at(5001), started_at=START).likely_done_at is None


@given(st.integers(0, 200), st.integers(1, 200), st.floats(0.1, 100), st.floats(0.1, 100))
def test_more_time_helps_and_more_open_work_does_not(done: int, open_: int, seen: float, left: float) -> None:
    def chance(open_tasks: int, hours_left: float) -> float:
        found = forecast(evenly(done, hours=seen), open_tasks, at(seen), at(seen + hours_left), started_at=START)
        assert found.probability is not None
        return found.probability

    base = chance(open_, left)

    assert 0 <= base <= 1
    assert chance(open_, left * 2) >= base - 1e-12
    assert chance(open_ + 1, left) <= base + 1e-12


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(InvalidInput, match="naive"):
        forecast([], 1, START.replace(tzinfo=None), at(1))
    with pytest.raises(InvalidInput, match="-1 open"):
        forecast([], -1, START, at(1))


def test_a_batch_is_due_when_the_contract_says() -> None:
    contract = Contract(
        version="1.0.0",
        project="digits",
        task_type="classification",
        media="image",
        media_types=("image/png",),
        max_bytes=1,
        max_pixels=1,
        max_characters=1,
        metadata=(),
        region_field=None,
        allowed_regions=(),
        subject_field=None,
        sla=timedelta(hours=36),
        owner="team:x",
    )

    assert due_at(START, contract=contract) == at(36)
    with pytest.raises(InvalidInput, match="naive"):
        due_at(START.replace(tzinfo=None), contract=contract)
