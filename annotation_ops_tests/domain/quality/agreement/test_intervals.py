"""Random weights on answer patterns; a quick cut of benchmarks/coverage.py is the slow test at the end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.quality.agreement.coefficients import NOMINAL, class_agreement, percent_agreement
from annotation_ops.domain.quality.agreement.intervals import (
    ALL_CELLS,
    UNSEEN_TASK,
    class_draws,
    drawn_weights,
    with_prior,
)
from annotation_ops.domain.quality.agreement.patterns import Patterns
from annotation_ops.domain.quality.agreement.reliability import interval_doubt
from annotation_ops.domain.quality.planning.crowd_model import Crowd

EYE = np.eye


def of_table(table) -> Patterns:
    counts = np.asarray(table, dtype=float)
    cells = np.argwhere(counts > 0)
    identity = EYE(len(counts))
    return Patterns(identity[cells[:, 0]] + identity[cells[:, 1]], counts[counts > 0], cells)


def of_votes(votes, weight) -> Patterns:
    return Patterns(np.asarray(votes, dtype=float), np.asarray(weight, dtype=float), None)


def draws_of(patterns: Patterns, coefficient=percent_agreement, *, seed: int = 1, draws: int = 4000):
    widened = with_prior(patterns)
    drawn = coefficient(widened, np.concatenate(list(drawn_weights(widened, seed=seed, draws=draws))))
    return drawn[np.isfinite(drawn)]


def bounds(patterns: Patterns, coefficient=percent_agreement, **how) -> tuple[float, float]:
    low, high = np.quantile(draws_of(patterns, coefficient, **how), (0.025, 0.975))
    return float(low), float(high)


def class_bounds(patterns: Patterns, label: int, *, draws: int = 4000) -> tuple[float, float]:
    widened = with_prior(patterns)
    weights = np.concatenate(list(drawn_weights(widened, seed=1, draws=draws)))
    drawn = class_draws(widened, weights, generator=np.random.default_rng(2))[:, label]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


@pytest.mark.parametrize("n", [20, 100, 1000])
@pytest.mark.parametrize("q", [2, 4, 20])
def test_without_any_disagreement_the_interval_ends_at_the_rule_of_three(n, q) -> None:
    low, high = bounds(of_table(EYE(q) * n / q), draws=20_000)

    assert high == 1.0
    # 0.6 exp(-x) = 0.025 at x = 3.18, for the odds of a disagreement.
    assert n * (1.0 - low) / low == pytest.approx(3.18, rel=0.2 if n == 20 else 0.1)


def test_without_any_agreement_the_interval_starts_at_nought_and_has_width() -> None:
    low, high = bounds(of_table([[0, 15], [15, 0]]))

    assert low == 0.0
    assert 0.05 < high < 0.15


@pytest.mark.parametrize("coefficient", [one for name, one in NOMINAL.items() if name != "brennan_prediger"])
def test_four_times_the_tasks_make_the_interval_about_half_as_wide(coefficient) -> None:
    table = np.array([[30, 4, 1], [3, 25, 2], [2, 3, 30]])

    few, many = (bounds(of_table(table * times), coefficient) for times in (1, 4))

    assert (many[1] - many[0]) / (few[1] - few[0]) == pytest.approx(0.5, abs=0.07)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 12), min_size=9, max_size=9).filter(lambda cells: sum(cells) > 9))
def test_draws_lie_on_both_sides_of_the_observed_agreement_and_within_its_range(cells) -> None:
    patterns = of_table(np.reshape(cells, (3, 3)))
    value = float(percent_agreement(patterns, patterns.weight[None, :])[0])

    drawn = draws_of(patterns, draws=500)

    assert drawn.min() <= value + 1e-9
    assert drawn.max() >= value - 1e-9
    assert drawn.min() >= 0.0
    assert drawn.max() <= 1.0


@pytest.mark.parametrize("name", ["cohen_kappa", "fleiss_kappa", "krippendorff_alpha_nominal", "gwet_ac1"])
def test_relabelling_the_categories_moves_no_bound_beyond_the_noise_of_the_draws(name) -> None:
    table = np.array([[40, 4, 1], [3, 20, 2], [0, 3, 9]])
    order = [2, 0, 1]

    one = bounds(of_table(table), NOMINAL[name], draws=20_000)
    other = bounds(of_table(table[np.ix_(order, order)]), NOMINAL[name], draws=20_000)

    assert one == pytest.approx(other, abs=0.01)


def test_every_draw_weighs_all_tasks_and_at_most_one_pseudo_task_of_each_kind() -> None:
    patterns = with_prior(of_table([[40, 4, 1], [3, 20, 2], [0, 3, 9]]))

    weights = np.concatenate(list(drawn_weights(patterns, seed=3, draws=5000)))

    assert weights.sum(axis=1) == pytest.approx(82 + 2 * UNSEEN_TASK)
    for start, end in ((patterns.observed, patterns.observed + 3), (patterns.observed + 3, None)):
        given = (weights[:, start:end] > 0).sum(axis=1)
        assert given.max() == 1
        assert given.mean() == pytest.approx(UNSEEN_TASK, abs=0.025)


def test_the_disagreeing_pseudo_task_splits_the_judgements_of_a_task_into_two_halves() -> None:
    patterns = with_prior(of_votes([[5, 0], [4, 1], [0, 5]], [30, 5, 30]))

    splits = patterns.counts[patterns.observed + 2 :]

    assert sorted(map(tuple, splits)) == [(2.0, 3.0), (3.0, 2.0)]


def test_tasks_with_one_judgement_neither_shape_the_prior_nor_sharpen_the_weights() -> None:
    shared = of_votes([[3, 0], [2, 1], [0, 3]], [30, 5, 15])
    alone = of_votes([[3, 0], [2, 1], [0, 3], [1, 0]], [30, 5, 15, 5000])

    one, other = with_prior(shared), with_prior(alone)

    assert np.array_equal(one.counts[one.observed :], other.counts[other.observed :])
    assert np.array_equal(one.weight[one.observed :], other.weight[other.observed :])
    assert draws_of(shared).std() == pytest.approx(draws_of(alone).std(), rel=0.1)


def test_many_categories_take_a_bounded_number_of_pseudo_patterns() -> None:
    few, many = (with_prior(of_table(EYE(q) * 3)) for q in (ALL_CELLS, 300))

    assert len(few.weight) - few.observed == ALL_CELLS**2
    assert len(many.weight) - many.observed < 300 + 130
    assert (many.counts[many.observed + 300 :].max(axis=1) == 1.0).all()
    assert many.weight[many.observed :].sum() == pytest.approx(2 * UNSEEN_TASK)


def test_one_category_has_no_disagreeing_pseudo_task() -> None:
    patterns = with_prior(of_votes([[2.0]], [30]))

    assert len(patterns.weight) == 2
    assert draws_of(patterns, draws=50) == pytest.approx(1.0)


def test_a_class_seen_on_five_tasks_is_as_uncertain_among_twenty_classes_as_among_two() -> None:
    def table(q):
        return np.diag([100.0, 5.0] + [20.0] * (q - 2))

    two, twenty = (class_bounds(of_table(table(q)), 1, draws=20_000) for q in (2, 20))

    assert two == pytest.approx(twenty, abs=0.03)
    assert 0.55 < two[0] < 0.8
    assert two[1] == 1.0


def test_class_draws_scatter_around_the_class_agreement_and_are_undefined_for_an_unused_class() -> None:
    patterns = of_table([[60, 5, 0], [5, 30, 0], [0, 0, 0]])
    widened = with_prior(patterns)
    weights = np.concatenate(list(drawn_weights(widened, seed=1, draws=4000)))

    drawn = class_draws(widened, weights, generator=np.random.default_rng(2))

    expected = class_agreement(patterns, patterns.weight[None, :])[0]
    assert drawn[:, :2].mean(axis=0) == pytest.approx(expected[:2], abs=0.02)
    assert np.isnan(drawn[:, 2]).all()


@pytest.mark.parametrize(
    ("answers", "tasks", "reason"),
    [
        ([60, 0], 30, "few_minority_answers"),
        ([55, 5], 30, "few_minority_answers"),
        ([54, 6], 30, None),
        ([270, 15, 15], 100, None),
        ([980, 20], 500, None),
        ([98, 2], 50, "few_minority_answers"),
        ([50, 50], 50, None),
        ([0, 0], 0, "few_minority_answers"),
    ],
)
def test_a_kappa_is_in_doubt_where_less_than_three_tasks_show_another_class(answers, tasks, reason) -> None:
    assert interval_doubt(np.array(answers, dtype=float), tasks=tasks) == reason
    assert interval_doubt(np.array(answers[::-1], dtype=float), tasks=tasks) == reason


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "prevalence", "raters", "truth", "tasks"),
    [
        ("cohen_kappa", (0.5, 0.5), 2, 0.95, 30),
        ("cohen_kappa", (0.7, 0.2, 0.07, 0.03), 2, 0.85, 100),
        ("fleiss_kappa", (0.98, 0.02), 3, 0.85, 200),
        ("krippendorff_alpha_nominal", (0.125,) * 8, 3, 0.6, 50),
        ("percent_agreement", (0.7, 0.3), 5, 0.9, 50),
    ],
)
def test_intervals_hold_the_true_value_in_92_to_99_of_100_batches(name, prevalence, raters, truth, tasks) -> None:
    population = Crowd(prevalence=prevalence, raters=raters).patterns(name, truth=truth)
    tables = np.random.default_rng(7).multinomial(tasks, population.weight, size=800)
    held = []
    for number, table in enumerate(tables):
        seen = table > 0
        cells = None if population.cells is None else population.cells[seen]
        batch = Patterns(population.counts[seen], table[seen].astype(float), cells)
        value = float(NOMINAL[name](batch, batch.weight[None, :])[0])
        if np.isfinite(value):
            low, high = bounds(batch, NOMINAL[name], seed=number, draws=600)
            held.append(min(low, value) <= truth <= max(high, value) + 1e-12)

    # Two standard errors of 800 batches are 1.5 points.
    assert 0.92 - 0.015 <= np.mean(held) <= 0.99
