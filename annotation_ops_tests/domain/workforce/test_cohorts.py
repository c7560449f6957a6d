import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.workforce.cohorts import CohortComparison, Equivalence, GoldScore, compare_cohorts

EAST, WEST = (36, 38, 35, 40, 37, 39, 33, 38), (34, 36, 39, 37, 35, 38)


def compared(
    *groups: tuple[int, ...], n: int = 40, margin: float = 0.05, confidence: float = 0.95
) -> tuple[CohortComparison, ...]:
    scores = [GoldScore(f"{at}-{who}", right, n) for at, group in enumerate(groups) for who, right in enumerate(group)]
    cohorts = {score.annotator_id: "cohort " + score.annotator_id[0] for score in scores}
    return compare_cohorts(scores, cohorts=cohorts, margin=margin, confidence=confidence).comparisons


def test_equal_numbers_of_gold_tasks_give_welchs_tests_of_statsmodels() -> None:
    """ttost_ind, ttest_ind and tconfint_diff(alpha=.1), each with usevar='unequal', on the shares."""
    (pair,) = compared(EAST, WEST)

    assert pair.difference.value == pytest.approx(0.0125)
    assert pair.p_equivalent == pytest.approx(0.10042478528978305, abs=1e-9)
    assert pair.p_different == pytest.approx(0.6597703156933483, abs=1e-9)
    assert (pair.difference.low, pair.difference.high) == pytest.approx((-0.036898794710, 0.061898794710), abs=1e-9)


def test_a_cohorts_own_interval_is_that_of_students_t_over_people() -> None:
    """statsmodels DescrStatsW(shares).tconfint_mean(.05)."""
    report = compare_cohorts(
        [GoldScore(f"a{at}", k, 40) for at, k in enumerate(EAST)], cohorts={f"a{at}": "x" for at in range(8)}
    )

    (own,) = report.cohorts
    assert (own.accuracy.low, own.accuracy.high) == pytest.approx((0.8776020689514064, 0.9723979310485937), abs=1e-9)
    assert (own.n_annotators, own.accuracy.n, report.comparisons) == (8, 320, ())


def simulated(people: int, difference: float, *, runs: int, seed: int, n: int = 40) -> tuple[float, float]:
    """Shares of runs found equivalent within .05, and different; people vary with a standard deviation of .04."""
    generator = np.random.default_rng(seed)
    pairs = []
    for _ in range(runs):
        groups = []
        for mean in (0.9, 0.9 - difference):
            weight = mean * (1 - mean) / 0.04**2 - 1
            skills = generator.beta(mean * weight, (1 - mean) * weight, people)
            groups.append(tuple(generator.binomial(n, skills).tolist()))
        pairs += compared(*groups)
    equivalent = np.mean([pair.outcome is Equivalence.EQUIVALENT for pair in pairs])
    return float(equivalent), float(np.mean([(pair.p_different or 0.0) <= 0.05 for pair in pairs]))


@pytest.mark.parametrize("people", [4, 20])
def test_cohorts_that_differ_by_the_margin_are_called_equivalent_at_most_one_time_in_twenty(people: int) -> None:
    # 600 runs: .05 and three standard errors.
    assert simulated(people, 0.05, runs=600, seed=2)[0] <= 0.05 + 0.027


@pytest.mark.parametrize("people", [4, 20])
def test_equal_cohorts_are_called_different_at_most_one_time_in_twenty(people: int) -> None:
    assert simulated(people, 0.0, runs=600, seed=3)[1] <= 0.05 + 0.027


def test_enough_people_show_equality_and_difference() -> None:
    assert simulated(40, 0.0, runs=150, seed=4)[0] >= 0.85
    assert simulated(20, 0.1, runs=150, seed=5)[1] >= 0.95


def test_the_outcome_of_one_pair_is_what_its_interval_says() -> None:
    outcomes = set()
    for shift in range(12):
        for spread in (0, 8):
            east = tuple(92 + spread * (at % 3 - 1) for at in range(9))
            (pair,) = compared(east, tuple(one - shift for one in east), n=100)
            low, high = pair.difference.low or 0.0, pair.difference.high or 0.0
            assert (pair.outcome is Equivalence.EQUIVALENT) == (low > -0.05 and high < 0.05)
            outcomes.add(pair.outcome)

    assert outcomes == set(Equivalence)


def test_people_who_are_all_alike_are_not_taken_for_certain() -> None:
    (pair,) = compared((10, 10), (10, 10), n=10)

    assert (pair.outcome, pair.difference.value) == (Equivalence.UNDECIDED, 0.0)


def test_a_cohort_of_one_person_is_undecided_with_a_reason() -> None:
    (pair,) = compared((36,), WEST)

    assert (pair.outcome, pair.difference.reason, pair.p_equivalent) == (Equivalence.UNDECIDED, "too_few_people", None)


def test_people_without_a_cohort_or_without_gold_are_left_out() -> None:
    scores = [GoldScore("a", 9, 10), GoldScore("b", 8, 10), GoldScore("c", 0, 0), GoldScore("d", 1, 10)]

    (own,) = compare_cohorts(scores, cohorts=dict.fromkeys("abc", "x")).cohorts

    assert (own.n_annotators, own.accuracy.value) == (2, 0.85)
    assert compare_cohorts([], cohorts={}).cohorts == ()


def test_among_many_pairs_a_difference_needs_more_evidence_than_alone() -> None:
    good, worse = (38, 37, 39, 38, 36, 38), (34, 33, 35, 34, 33, 35)
    (alone,) = compared(good, worse, margin=0.01)
    crowd = compared(good, worse, *[good] * 6, margin=0.01)

    assert alone.outcome is Equivalence.DIFFERENT
    assert (crowd[0].p_different, crowd[0].outcome) == (alone.p_different, Equivalence.DIFFERENT)
    assert crowd[1].outcome is Equivalence.UNDECIDED
    (three,) = [
        pair
        for pair in compared(good, worse, *[(30, 38, 34, 39, 31, 38)] * 6, margin=0.01)
        if pair.cohorts == alone.cohorts
    ]
    assert three.outcome is Equivalence.UNDECIDED


@given(st.permutations(range(14)))
def test_other_names_and_another_order_of_the_people_change_not_one_bit(order: list[int]) -> None:
    right = EAST + WEST
    cohorts = {f"p{at:02}": "east" if order[at] < 8 else "west" for at in range(14)}
    renamed = compare_cohorts([GoldScore(f"p{at:02}", right[order[at]], 40) for at in range(14)], cohorts=cohorts)
    plain = compare_cohorts(
        [GoldScore(f"p{at:02}", right[at], 40) for at in range(14)],
        cohorts={f"p{at:02}": "east" if at < 8 else "west" for at in range(14)},
    )

    assert renamed == plain


@pytest.mark.parametrize(("right", "n"), [(11, 10), (-1, 10), (float("nan"), 10), (0, -1)])
def test_an_impossible_score_names_the_person(right: float, n: int) -> None:
    with pytest.raises(InvalidInput, match="'a'"):
        compare_cohorts([GoldScore("a", right, n)], cohorts={"a": "x"})


def test_a_person_twice_and_a_margin_outside_its_range_are_refused() -> None:
    with pytest.raises(InvalidInput, match="one entry a person"):
        compare_cohorts([GoldScore("a", 1, 2), GoldScore("a", 1, 2)], cohorts={})
    with pytest.raises(InvalidInput, match="margin: found 5"):
        compare_cohorts([], cohorts={}, margin=5)
