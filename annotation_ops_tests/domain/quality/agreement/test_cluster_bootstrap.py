import numpy as np
import pytest

from annotation_ops.domain.quality.agreement.cluster_bootstrap import GROUPS, ratio_draws, ratio_statistic

HOW = {"confidence": 0.95, "seed": 1, "draws": 8000}


def test_the_value_is_the_ratio_of_sums_and_not_the_mean_of_ratios() -> None:
    statistic, _ = ratio_statistic(np.array([1.0, 0.0]), np.array([1.0, 3.0]), **HOW)

    assert statistic.value == 0.25
    assert statistic.n == 2


@pytest.mark.parametrize("n", [20, 100, 1000])
def test_whole_agreement_on_every_task_ends_at_the_rule_of_three(n) -> None:
    statistic, _ = ratio_statistic(np.full(n, 4.0), np.full(n, 4.0), **HOW)

    assert (statistic.value, statistic.high) == (1.0, 1.0)
    assert statistic.low is not None
    assert n * (1.0 - statistic.low) / statistic.low == pytest.approx(3.18, rel=0.2)


def test_one_task_says_next_to_nothing() -> None:
    statistic, _ = ratio_statistic(np.array([0.9]), np.array([1.0]), **HOW)

    assert statistic.low is not None
    assert statistic.low < 0.35


@pytest.mark.parametrize("n", [0, 3])
def test_without_anything_to_agree_on_there_is_no_statistic_and_no_draw(n) -> None:
    statistic, draws = ratio_statistic(np.zeros(n), np.zeros(n), **HOW)

    assert (statistic.value, statistic.reason, statistic.n) == (None, "no_overlap", 0)
    assert len(draws) == 0


def test_tasks_with_nothing_to_agree_on_change_nothing() -> None:
    above, below = np.array([3.0, 2.0, 1.0]), np.array([3.0, 4.0, 2.0])

    padded = ratio_draws(np.append(above, 0.0), np.append(below, 0.0), seed=1, draws=100)

    assert np.array_equal(padded, ratio_draws(above, below, seed=1, draws=100))


def test_the_order_of_the_tasks_changes_no_byte() -> None:
    rng = np.random.default_rng(0)
    below = rng.integers(1, 9, 500).astype(float)
    above = below * rng.beta(9, 2, 500)
    order = rng.permutation(500)

    one, other = (ratio_statistic(above[at], below[at], **HOW) for at in (np.arange(500), order))

    assert one[0] == other[0]
    assert np.array_equal(one[1], other[1])


def test_more_boxes_on_the_same_tasks_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(1)
    score = rng.beta(8, 2, 60)

    few, many = (ratio_draws(score * boxes, np.full(60, boxes), seed=1, draws=4000) for boxes in (1.0, 50.0))

    assert few == pytest.approx(many)


def test_four_times_the_tasks_make_the_interval_about_half_as_wide() -> None:
    rng = np.random.default_rng(2)
    score = np.where(rng.random(200) < 0.1, 0.0, rng.beta(9, 2, 200))

    few, many = (ratio_draws(np.tile(score, k), np.ones(200 * k), seed=1, draws=8000) for k in (1, 4))

    assert many.std() / few.std() == pytest.approx(0.5, abs=0.04)


def test_draws_stay_within_nought_and_one_at_both_ends() -> None:
    for score in (np.zeros(5), np.ones(5), np.array([0.0, 1.0, 1.0])):
        drawn = ratio_draws(score, np.ones(len(score)), seed=1, draws=2000)
        assert drawn.min() >= 0.0
        assert drawn.max() <= 1.0


@pytest.mark.parametrize("heavy", [False, True])
def test_merging_neighbours_of_many_tasks_keeps_the_standard_error(heavy) -> None:
    rng = np.random.default_rng(3)
    n = 10 * GROUPS
    below = rng.integers(1, 20, n).astype(float)
    score = np.where(rng.random(n) < 0.001, 0.0, rng.beta(60, 2, n)) if heavy else rng.beta(9, 2, n)
    above = below * score
    residual = above - above.sum() / below.sum() * below

    drawn = ratio_draws(above, below, seed=1, draws=2000)

    assert drawn.mean() == pytest.approx(above.sum() / below.sum(), abs=1e-3)
    assert drawn.std() == pytest.approx(np.sqrt((residual**2).sum()) / below.sum(), rel=0.07)
