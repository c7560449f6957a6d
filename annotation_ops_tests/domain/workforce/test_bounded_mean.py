import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.workforce.bounded_mean import (
    binomial_interval,
    binomial_p_values,
    least_right,
    most_right,
    score_interval,
    score_p_values,
)


@pytest.mark.parametrize(
    ("right", "low", "high"), [(34, 0.7016473331604235, 0.9428977418454741), (40, 0.9119026971211976, 1.0)]
)
def test_counts_get_the_interval_of_statsmodels_proportion_confint_beta(right: int, low: float, high: float) -> None:
    assert binomial_interval(right, n=40, confidence=0.95) == pytest.approx((low, high), abs=1e-12)


def test_counts_get_the_one_sided_p_values_of_statsmodels_binom_test() -> None:
    assert binomial_p_values(37, n=40, line=0.8)[0] == pytest.approx(0.028462094459744545, abs=1e-12)
    assert binomial_p_values(29, n=40, line=0.85)[1] == pytest.approx(0.029920820458735953, abs=1e-12)


def test_without_tasks_nothing_is_shown() -> None:
    assert binomial_p_values(0, n=0, line=0.8) == (1.0, 1.0)
    assert score_p_values(np.array([]), line=0.8) == (1.0, 1.0)
    assert least_right(n=0, line=0.8, confidence=0.95) is None
    assert most_right(n=0, line=0.8, confidence=0.95) is None


@given(st.integers(1, 120), st.floats(0.05, 0.95), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_fewest_and_most_right_answers_are_where_the_p_values_cross(n: int, line: float, confidence: float) -> None:
    least, most = (find(n=n, line=line, confidence=confidence) for find in (least_right, most_right))

    above = [k for k in range(n + 1) if binomial_p_values(k, n=n, line=line)[0] <= 1 - confidence]
    below = [k for k in range(n + 1) if binomial_p_values(k, n=n, line=line)[1] <= 1 - confidence]
    assert least == (above[0] if above else None)
    assert most == (below[-1] if below else None)


@pytest.mark.parametrize("spread", [2.0, 60.0])
def test_scores_whose_mean_is_the_line_are_shown_above_or_below_it_at_most_as_often_as_stated(spread: float) -> None:
    generator = np.random.default_rng(4)
    found = np.array([score_p_values(generator.beta(0.8 * spread, 0.2 * spread, 40), line=0.8) for _ in range(800)])

    # 3 standard errors of a share of .05 in 800.
    assert (found <= 0.05).mean(axis=0).max() <= 0.05 + 3 * 0.0077


def test_narrow_scores_are_shown_above_the_line_with_fewer_tasks_than_right_and_wrong_answers_need() -> None:
    scores = np.random.default_rng(1).beta(90, 10, 40)

    assert score_p_values(scores, line=0.8)[0] < 0.05
    assert binomial_p_values(36, n=40, line=0.8)[0] > 0.07


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_interval_of_scores_holds_their_mean_and_stays_within_bounds(scores: list[float]) -> None:
    low, high = score_interval(np.array(scores), confidence=0.95)

    assert -1e-9 <= low <= np.mean(scores) + 1e-9
    assert np.mean(scores) - 1e-9 <= high <= 1 + 1e-9


def test_the_interval_of_scores_misses_the_mean_at_most_as_often_as_stated() -> None:
    generator = np.random.default_rng(8)
    misses = 0
    for _ in range(300):
        low, high = score_interval(generator.beta(4, 1, 30), confidence=0.9)
        misses += not low <= 0.8 <= high

    assert misses <= 300 * 0.1
