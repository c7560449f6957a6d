import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import distance
from scipy.stats import chi2_contingency, chisquare

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.judgements import FloatArray, IntArray
from annotation_ops.domain.quality.verdict.label_mix import (
    compare_mix,
    compare_mixes,
    jensen_shannon,
    mix_effect,
    stability_index,
)

MIX = np.array([0.6, 0.3, 0.1])


def labels(*counts: int) -> IntArray:
    return np.repeat(np.arange(len(counts)), counts)


def chosen_by_uncertainty(generator: np.random.Generator, mix: FloatArray, n: int) -> tuple[IntArray, FloatArray]:
    """Labels of about n samples that active learning chose, and their inverse inclusion probabilities: the first class is
    taken three times more rarely."""
    pool = generator.choice(len(mix), 20 * n, p=mix)
    wanted = np.where(pool == 0, 0.3, 1.0) * generator.gamma(1.5, 1.0, 20 * n) + 0.02
    probability = np.minimum(1.0, wanted / wanted.sum() * n)
    taken = generator.random(20 * n) < probability
    return pool[taken], 1.0 / probability[taken]


def test_two_batches_of_a_hundred_have_the_published_statistics() -> None:
    test = compare_mixes(labels(70, 20, 10), labels(50, 30, 20), q=3, alpha=0.05, seed=0)

    assert test.method == "chi_square"
    assert test.statistic == pytest.approx(8.6667, abs=1e-4)
    assert test.df == 2
    assert test.p_value == pytest.approx(0.01312, abs=1e-5)
    assert test.effect == pytest.approx(0.2082, abs=1e-4)
    assert test.jensen_shannon == pytest.approx(0.031597, abs=1e-6)
    assert test.shifted


def test_divergences_have_the_published_values() -> None:
    first, second = np.array([0.7, 0.2, 0.1]), np.array([0.5, 0.3, 0.2])

    assert jensen_shannon(first, second) == pytest.approx(distance.jensenshannon(first, second, base=2) ** 2)
    assert stability_index(first, second) == pytest.approx(0.177156, abs=1e-6)


@given(st.lists(st.integers(20, 200), min_size=2, max_size=6), st.data())
def test_large_cells_agree_with_scipy(counts: list[int], data: st.DataObject) -> None:
    other = [data.draw(st.integers(20, 200)) for _ in counts]
    table = np.array([counts, other])
    expected = np.array(other) / sum(other)

    both = compare_mixes(labels(*counts), labels(*other), q=len(counts), seed=0)
    one = compare_mix(labels(*counts), expected=expected, seed=0)

    reference = chi2_contingency(table, correction=False)
    assert (both.statistic, both.p_value) == pytest.approx((reference.statistic, reference.pvalue), abs=1e-9)
    if (expected * sum(counts)).min() >= 5:
        single = chisquare(counts, expected * sum(counts))
        assert (one.statistic, one.p_value) == pytest.approx((single.statistic, single.pvalue), abs=1e-9)


@given(
    st.lists(st.floats(0.01, 1.0), min_size=2, max_size=6),
    st.lists(st.floats(0.01, 1.0), min_size=6, max_size=6),
)
def test_the_effect_is_symmetric_and_between_0_and_1(one: list[float], other: list[float]) -> None:
    first = np.array(one) / sum(one)
    second = np.array(other[: len(one)]) / sum(other[: len(one)])

    assert mix_effect(first, second) == pytest.approx(mix_effect(second, first))
    assert 0.0 <= mix_effect(first, second) <= 1.0
    assert mix_effect(first, first) == 0.0


def test_the_effect_does_not_shrink_when_the_reference_is_large() -> None:
    small = compare_mixes(labels(70, 20, 10), labels(50, 30, 20), q=3, seed=0)
    large = compare_mixes(labels(70, 20, 10), labels(5_000, 3_000, 2_000), q=3, seed=0)

    assert large.effect == pytest.approx(small.effect)
    assert large.shifted


def test_a_significant_trifle_is_no_shift_and_a_large_chance_is_none_either() -> None:
    trifle = compare_mix(labels(61_000, 29_500, 9_500), expected=MIX, seed=0)
    chance = compare_mix(labels(8, 6, 2), expected=MIX, alpha=0.01, seed=0)

    assert (trifle.shifted, trifle.p_value is not None and trifle.p_value < 0.001) == (False, True)
    assert "less than the 0.1 that matters" in trifle.text
    assert chance.effect is not None
    assert (chance.shifted, chance.effect > 0.1, chance.method) == (False, True, "monte_carlo")


@pytest.mark.parametrize("n", [20, 60, 400])
def test_false_alarms_stay_at_alpha_for_plain_labels(n: int) -> None:
    generator = np.random.default_rng(n)
    times = 400
    single = [
        compare_mix(generator.choice(3, n, p=MIX), expected=MIX, alpha=0.05, min_effect=0, seed=s) for s in range(times)
    ]
    double = [
        compare_mixes(
            generator.choice(3, n, p=MIX), generator.choice(3, n, p=MIX), q=3, alpha=0.05, min_effect=0, seed=s
        )
        for s in range(times)
    ]

    # Three standard errors above 5 %.
    assert np.mean([one.shifted for one in single]) <= 0.083
    assert np.mean([one.shifted for one in double]) <= 0.083


@pytest.mark.parametrize("n", [120, 400])
def test_false_alarms_stay_at_alpha_under_active_learning_weights(n: int) -> None:
    generator = np.random.default_rng(n)
    weighted, plain = [], []
    for seed in range(150):
        found, weights = chosen_by_uncertainty(generator, MIX, n)
        weighted.append(compare_mix(found, expected=MIX, weights=weights, alpha=0.05, min_effect=0, seed=seed).shifted)
        plain.append(compare_mix(found, expected=MIX, alpha=0.05, min_effect=0, seed=seed).shifted)

    assert np.mean(weighted) <= 0.104
    assert np.mean(plain) > 0.9


def test_a_shift_is_found_through_the_weights() -> None:
    generator = np.random.default_rng(3)
    shifted = np.array([0.4, 0.35, 0.25])
    found = [
        compare_mix(
            *(pair := chosen_by_uncertainty(generator, shifted, 400))[:1], expected=MIX, weights=pair[1], seed=s
        )
        for s in range(40)
    ]

    assert np.mean([one.shifted for one in found]) > 0.8


def test_both_sides_may_be_weighted() -> None:
    generator = np.random.default_rng(4)
    alarms = []
    for seed in range(100):
        (one, w), (two, v) = (chosen_by_uncertainty(generator, MIX, 200) for _ in range(2))
        test = compare_mixes(one, two, weights=w, reference_weights=v, q=3, alpha=0.05, min_effect=0, seed=seed)
        alarms.append(test.shifted)

    assert test.method == "weighted_bootstrap"
    assert test.effective_n < len(one)
    assert np.mean(alarms) <= 0.116


def test_equal_weights_change_nothing() -> None:
    found = labels(40, 40, 20)

    assert compare_mix(found, expected=MIX, weights=np.full(100, 7.0), seed=1) == compare_mix(
        found, expected=MIX, seed=1
    )


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_the_order_of_the_labels_changes_nothing(seed: int) -> None:
    generator = np.random.default_rng(seed)
    found, weights = chosen_by_uncertainty(generator, MIX, 100)
    order = generator.permutation(len(found))

    one = compare_mix(found, expected=MIX, weights=weights, seed=5).document()
    two = compare_mix(found[order], expected=MIX, weights=weights[order], seed=5).document()

    assert one == two


def test_one_label_of_a_class_that_was_not_expected_is_no_shift_but_many_are() -> None:
    expected = np.array([0.7, 0.3, 0.0])

    assert not compare_mix(labels(70, 29, 1), expected=expected, seed=0).shifted
    assert compare_mix(labels(60, 20, 20), expected=expected, seed=0).shifted


def test_the_limit_of_the_stability_index_depends_on_the_sizes() -> None:
    few = compare_mix(labels(30, 15, 5), expected=MIX, seed=0)
    many = compare_mix(labels(3_000, 1_500, 500), expected=MIX, seed=0)

    assert few.stability_limit == pytest.approx(9.2103 / 50, abs=1e-4)
    assert many.stability_limit == pytest.approx(9.2103 / 5_000, abs=1e-6)
    assert few.stability_index is not None
    assert few.stability_index < 0.02


def test_too_few_labels_are_a_reason_and_no_number() -> None:
    few = compare_mix(labels(5, 2, 1), expected=MIX, seed=0)
    none = compare_mixes(labels(50, 30, 20), np.empty(0, dtype=np.int64), q=3, seed=0)
    thin = compare_mix(labels(50, 30, 20), expected=MIX, weights=np.array([1e4] + [1.0] * 99), seed=0)

    assert (few.reason, few.p_value, few.effect, few.shifted) == ("too_few_labels", None, None, False)
    assert none.reason == "too_few_reference_labels"
    assert thin.reason == "too_few_labels"
    assert "NaN" not in json.dumps([one.document() for one in (few, none, thin)])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": np.array([0, 3])}, "label 2: found position 3, expected 0 to 2"),
        ({"expected": np.array([0.5, 0.6])}, "sum to 1"),
        ({"weights": np.array([1.0])}, "weights: found 1, expected 100"),
        ({"weights": np.r_[np.ones(99), 0.0]}, "weight 100: found 0.0"),
        ({"alpha": 0.0}, "alpha: found 0"),
        ({"min_effect": 2.0}, "min_effect: found 2"),
    ],
)
def test_input_that_cannot_be_is_refused(change: dict[str, object], said: str) -> None:
    arguments = {"labels": labels(60, 30, 10), "expected": MIX, "seed": 0, **change}

    with pytest.raises(InvalidInput, match=said):
        compare_mix(**arguments)  # type: ignore[arg-type]
