import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from annotation_ops.domain.monitoring.degradation import DRIFT, SINGLE, Observation, Standing, weigh
from annotation_ops.domain.monitoring.slices import find_fallen
from annotation_ops_tests.domain.monitoring.series import START, STEADY, history


def standing(values: list[float], n: int | None = 200, *, baseline: int = 10, min_drop: float = 0.03) -> Standing:
    (finding,) = find_fallen(
        {"": history(values, n)}, baseline_observations=baseline, false_alarm_rate=0.01, min_drop=min_drop
    )
    return finding.standing


def test_the_first_observations_are_the_baseline_and_never_trip() -> None:
    assert [standing([*[*STEADY][:i], 0.2]) for i in range(10)] == [Standing.BASELINE] * 10


def test_a_ten_point_step_trips_at_once() -> None:
    assert standing([*STEADY, 0.80]) is Standing.FELL


def test_a_step_without_counts_trips_on_the_spread_alone() -> None:
    assert standing([*STEADY, 0.80], None) is Standing.FELL
    assert standing([*STEADY, 0.885], None) is Standing.FINE


def test_a_drift_that_no_single_window_shows_is_found() -> None:
    drift = [0.875, 0.865, 0.86, 0.855, 0.855]

    alone = [standing([*STEADY, value], min_drop=0.02) for value in drift]
    in_turn = standing([*STEADY, *drift], min_drop=0.02)

    assert alone == [Standing.FINE] * 5
    assert in_turn is Standing.FELL


def test_a_real_but_small_fall_is_not_worth_an_incident() -> None:
    assert standing([*STEADY, 0.88], 20_000, baseline=10, min_drop=0.001) is Standing.FINE
    quiet = [0.9] * 10
    assert standing([*quiet, 0.88], 20_000, min_drop=0.03) is Standing.SMALL
    assert standing([*quiet, 0.88], 20_000, min_drop=0.01) is Standing.FELL


def test_day_to_day_noise_wider_than_counting_raises_the_threshold() -> None:
    restless = [0.95, 0.85, 0.93, 0.84, 0.90, 0.96, 0.86, 0.92, 0.83, 0.95]

    assert standing([*STEADY, 0.80]) is Standing.FELL
    assert standing([*restless, 0.80]) is Standing.FINE


def test_a_rise_never_trips() -> None:
    assert standing([*STEADY, 0.99]) is Standing.FINE


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("seen", [3, 12])
def test_a_value_that_is_no_number_is_an_alarm_of_its_own_even_in_the_baseline(broken: float, seen: int) -> None:
    assert standing([0.9] * seen + [broken]) is Standing.NOT_FINITE


def test_broken_values_do_not_count_towards_the_baseline() -> None:
    values = [0.9, math.nan, *STEADY[1:]]

    assert standing([*values, 0.80]) is Standing.FELL
    assert standing([*values[:-1], 0.2]) is Standing.BASELINE


def test_a_window_without_samples_is_empty_whatever_its_value() -> None:
    for value in (0.0, math.nan):
        series = [*history(STEADY), Observation(value, 0, START)]
        assert weigh(series, baseline_observations=10, min_drop=0.03).standing is Standing.EMPTY


def test_the_counting_test_is_fishers_exact_test() -> None:
    """scipy.stats.fisher_exact is the independent implementation; a flat baseline leaves the counting p-value alone."""
    weighing = weigh(history([0.9] * 5 + [0.84]), baseline_observations=5, min_drop=0.0)

    table = [[32, 168], [100, 900]]
    expected = stats.fisher_exact(table, alternative="greater").pvalue / SINGLE.counting
    assert weighing.p_value == pytest.approx(expected, rel=1e-9)


def test_a_million_samples_are_counted_as_exactly_as_a_few() -> None:
    weighing = weigh(history([0.9] * 5 + [0.899], 1_000_000), baseline_observations=5, min_drop=0.0)

    expected = stats.hypergeom.sf(101_000 - 1, 6_000_000, 601_000, 1_000_000) / SINGLE.counting
    assert weighing.p_value == pytest.approx(expected, rel=1e-4)


def test_the_spread_test_is_the_t_prediction_interval() -> None:
    values = [0.90, 0.93, 0.88, 0.91, 0.89, 0.84]

    weighing = weigh(history(values, None), baseline_observations=5, min_drop=0.0)

    z = np.arcsin(np.sqrt(values))
    t = (z[:5].mean() - z[5]) / (z[:5].std(ddof=1) * math.sqrt(1 + 1 / 5))
    assert weighing.p_value == pytest.approx(stats.t.sf(t, 4) / SINGLE.spread, rel=1e-9)


def test_the_two_tests_together_stay_inside_the_rate() -> None:
    assert SINGLE.counting + DRIFT.counting <= 1.0
    assert SINGLE.spread + DRIFT.spread <= 1.0


def test_equal_values_without_counts_do_not_make_every_wiggle_a_certainty() -> None:
    assert standing([0.9] * 5 + [0.899], None, baseline=5, min_drop=0.0005) is Standing.FELL
    assert standing([0.9] * 5 + [0.899], None, baseline=5, min_drop=0.03) is Standing.FINE


def test_metrics_outside_zero_to_one_are_weighed_by_their_spread() -> None:
    values = [31.0, 32.0, 30.5, 31.5, 31.0, 30.8, 31.2, 31.4]

    assert standing([*values, 25.0], baseline=8, min_drop=1.0) is Standing.FELL
    assert standing([*values, 30.4], baseline=8, min_drop=0.1) is Standing.FINE


def test_an_empty_history_or_a_baseline_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        weigh([], baseline_observations=5, min_drop=0.03)
    with pytest.raises(ValueError, match="at least 2"):
        weigh(history(STEADY), baseline_observations=1, min_drop=0.03)


@given(
    values=st.lists(st.floats(0.3, 1.0), min_size=6, max_size=6),
    last=st.floats(0.0, 1.0),
    lower=st.floats(0.0, 1.0),
    n=st.sampled_from([None, 20, 200]),
)
def test_a_lower_value_is_never_less_suspicious(values: list[float], last: float, lower: float, n: int | None) -> None:
    high, low = max(last, lower), min(last, lower)

    p_high, p_low = (
        weigh(history([*values, value], n), baseline_observations=6, min_drop=0.03).p_value for value in (high, low)
    )

    assert p_high is not None
    assert p_low is not None
    assert p_low <= p_high + 1e-9


@given(values=st.lists(st.floats(0.0, 1.0), min_size=8, max_size=14), n=st.sampled_from([None, 1, 50, 10**6]))
def test_every_p_value_is_a_probability(values: list[float], n: int | None) -> None:
    weighing = weigh(history(values, n), baseline_observations=6, min_drop=0.03)

    assert weighing.p_value is not None
    assert 0.0 <= weighing.p_value <= 1.0


def test_knowing_the_counts_never_makes_the_test_more_eager_than_the_spread_alone() -> None:
    counted = weigh(history([*STEADY, 0.83], 200), baseline_observations=10, min_drop=0.03).p_value
    few = weigh(history([*STEADY, 0.83], 20), baseline_observations=10, min_drop=0.03).p_value
    unknown = weigh(history([*STEADY, 0.83], None), baseline_observations=10, min_drop=0.03).p_value

    assert counted is not None
    assert few is not None
    assert unknown is not None
    assert unknown <= counted <= few


def test_a_window_is_judged_by_its_past_only() -> None:
    series = history([*STEADY, 0.80, 0.95, 0.95])
    first = weigh(series[:11], baseline_observations=10, min_drop=0.03)

    changed = [*series[:11], replace(series[11], value=0.1)]

    assert weigh(changed[:11], baseline_observations=10, min_drop=0.03) == first
