import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from annotation_ops.domain.quality.agreement.matching import best_matching


def chosen(edges: list[tuple[int, int, float]], **given_: object) -> set[tuple[int, int]]:
    left, right, weight = (np.array(part) for part in zip(*edges, strict=True))
    found = best_matching(left, right, weight.astype(np.float64), **given_)
    return {(int(a), int(b)) for a, b in zip(left[found], right[found], strict=True)}


def hungarian(edges: list[tuple[int, int, float]], size: int) -> float:
    table = np.zeros((size, size))
    for left, right, weight in edges:
        table[left, right] = weight
    return float(table[linear_sum_assignment(table, maximize=True)].sum())


def test_two_good_matches_beat_the_single_best_one() -> None:
    assert chosen([(0, 0, 0.9), (0, 1, 0.8), (1, 0, 0.8)]) == {(0, 1), (1, 0)}


def test_one_match_beats_two_that_are_worth_less_together() -> None:
    assert chosen([(0, 0, 0.9), (0, 1, 0.4), (1, 0, 0.4)]) == {(0, 0)}


def test_equal_totals_are_decided_for_more_matches() -> None:
    assert chosen([(0, 0, 1.0), (0, 1, 0.5), (1, 0, 0.5)]) == {(0, 1), (1, 0)}


def test_equal_totals_are_decided_for_preferred_edges() -> None:
    edges = [(0, 0, 0.7), (0, 1, 0.7), (1, 0, 0.7), (1, 1, 0.7)]
    preferred = np.array([False, True, True, False])

    assert chosen(edges, preferred=preferred) == {(0, 1), (1, 0)}
    assert chosen(edges, preferred=~preferred) == {(0, 0), (1, 1)}


def test_a_component_no_certificate_settles_is_solved_exactly() -> None:
    # Every node's heaviest edge leads to the same node, on both sides, three by three.
    edges = [(i, j, 0.5 + 0.1 * (i == 0) + 0.1 * (j == 0)) for i in range(3) for j in range(3)]

    assert len(chosen(edges)) == 3


def test_nothing_to_match_is_no_match() -> None:
    nothing = np.empty(0, dtype=np.int64)

    assert not len(best_matching(nothing, nothing, np.empty(0)))


@given(
    st.dictionaries(
        st.tuples(st.integers(0, 7), st.integers(0, 7)),
        st.one_of(st.sampled_from([0.25, 0.5, 0.75, 1.0]), st.floats(0.01, 1.0)),
        min_size=1,
        max_size=40,
    )
)
@settings(max_examples=400)
def test_the_total_is_the_hungarian_optimum_and_no_node_is_used_twice(table) -> None:
    edges = [(left, right, weight) for (left, right), weight in table.items()]

    found = chosen(edges)

    assert len({left for left, _ in found}) == len({right for _, right in found}) == len(found)
    assert sum(table[ends] for ends in found) == pytest.approx(hungarian(edges, 8), abs=1e-9)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_many_ragged_problems_at_once_have_the_totals_of_one_at_a_time(levels) -> None:
    rng = np.random.default_rng(levels)
    edges, expected = [], 0.0
    for problem in range(400):
        n, share = int(rng.integers(1, 9)), rng.uniform(0.1, 0.9)
        here = [
            (i, j, int(rng.integers(1, levels + 1)) / levels)
            for i in range(n)
            for j in range(n)
            if rng.random() < share
        ]
        expected += hungarian(here, n)
        edges += [(problem * 10 + i, problem * 10 + j, weight) for i, j, weight in here]
    weights = {(left, right): weight for left, right, weight in edges}

    found = chosen([edges[at] for at in rng.permutation(len(edges))])

    assert sum(weights[ends] for ends in found) == pytest.approx(expected, abs=1e-9)
