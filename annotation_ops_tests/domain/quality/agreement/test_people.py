import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import cohen_kappa_score

from annotation_ops.domain.quality.agreement import people
from annotation_ops.domain.quality.agreement.people import (
    DENSE_CELLS,
    LISTED_PAIRS,
    PairTable,
    annotator_agreements,
    pair_agreements,
    pair_table,
    task_agreement,
)
from annotation_ops.domain.quality.judgements import IntArray, Judgements
from annotation_ops_tests.domain.quality.crowds import crowd


def sparse_crowd(n_people: int, *, n: int, k: int, q: int, seed: int) -> Judgements:
    """`n` tasks by `k` different people each, written straight as index arrays."""
    generator = np.random.default_rng(seed)
    # Apart by 1 to n_people // k: never the same person twice.
    steps = generator.integers(1, n_people // k + 1, size=(n, k)).cumsum(axis=1)
    who = (generator.integers(n_people, size=(n, 1)) + steps) % n_people
    return from_index(np.sort(who, axis=1), generator.integers(q, size=(n, k)), n_people=n_people, q=q)


def from_index(who: IntArray, labels: IntArray, *, n_people: int, q: int) -> Judgements:
    n, k = who.shape
    return Judgements(
        tuple(f"t{task:07}" for task in range(n)),
        tuple(f"a{person:05}" for person in range(n_people)),
        tuple(str(label) for label in range(q)),
        np.repeat(np.arange(n), k),
        who.ravel(),
        labels.ravel(),
    )


def test_every_pair_has_the_kappa_that_scikit_learn_gives_it() -> None:
    _, judgements = crowd(np.random.default_rng(1), kinds=[0.8] * 6, n=60, k=3, prevalence=[0.5, 0.3, 0.2])
    answers: dict[str, dict[int, int]] = {name: {} for name in judgements.annotators}
    for task, person, label in zip(
        judgements.task_index, judgements.annotator_index, judgements.label_index, strict=True
    ):
        answers[judgements.annotators[person]][int(task)] = int(label)

    pairs = pair_agreements(judgements, confidence=0.95)

    assert len(pairs) == 15
    for pair in pairs:
        one, other = (answers[name] for name in pair.annotators)
        shared = sorted(set(one) & set(other))
        sides = [one[task] for task in shared], [other[task] for task in shared]
        kappa, share = pair.statistics["cohen_kappa"], pair.statistics["percent_agreement"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            assert kappa.value == pytest.approx(cohen_kappa_score(*sides, labels=[0, 1, 2]), abs=1e-9)
        assert share.value == pytest.approx(np.mean(np.array(sides[0]) == np.array(sides[1])))
        assert share.n == len(shared)


@settings(max_examples=40)
@given(st.integers(2, 7), st.integers(1, 30), st.integers(2, 4), st.integers(0, 10**6))
def test_counting_in_a_table_and_by_keys_finds_the_same_pairs(n_people, n, q, seed) -> None:
    judgements = sparse_crowd(n_people, n=n, k=2 if n_people < 4 else 3, q=q, seed=seed)

    table, keys = people._counted_in_a_table(judgements), people._counted_by_key(judgements)

    for one, other in zip(table, keys, strict=True):
        assert one.tolist() == pytest.approx(other.tolist())


def test_ten_thousand_annotators_cost_what_the_pairs_that_share_a_task_cost() -> None:
    judgements = sparse_crowd(10_000, n=5_000, k=3, q=4, seed=2)
    assert DENSE_CELLS < 10_000**2 * 4

    table = pair_table(judgements, confidence=0.95)

    assert LISTED_PAIRS < len(table) <= 15_000
    assert table.n.sum() == 15_000
    assert len(annotator_agreements(judgements, confidence=0.95)) == 10_000


def test_one_task_judged_by_very_many_people_is_measured() -> None:
    judgements = from_index(np.arange(400)[None, :], np.arange(400)[None, :] % 4, n_people=400, q=4)

    table = pair_table(judgements, confidence=0.95)

    assert len(table) == 400 * 399 // 2
    assert task_agreement(judgements).tolist() == pytest.approx([99 / 399])
    found = annotator_agreements(judgements, confidence=0.95)
    assert {item.agreement.value for item in found} == {99 / 399}


def test_many_pairs_stay_arrays_and_read_like_the_tuple_of_few() -> None:
    judgements = sparse_crowd(300, n=20_000, k=3, q=3, seed=3)

    pairs = pair_agreements(judgements, confidence=0.95)

    assert isinstance(pairs, PairTable)
    assert len(pairs) > LISTED_PAIRS
    assert pairs[-1] == pairs[len(pairs) - 1] == list(pairs[-3:])[-1]
    assert [pair.annotators for pair in pairs] == sorted(pair.annotators for pair in pairs)
    with pytest.raises(IndexError):
        pairs[len(pairs)]
    kappas = [pair.statistics["cohen_kappa"].value for pair in pairs[:50]]
    assert kappas == pytest.approx([None if np.isnan(kappa) else kappa for kappa in pairs.kappa()[:50]])


def test_without_pairs_the_table_is_empty() -> None:
    for rows in ([], [("t1", "a", "x"), ("t2", "b", "x")]):
        judgements = Judgements.from_rows(rows, categories=["x", "y"])
        assert pair_agreements(judgements, confidence=0.95) == ()
        assert people._counted_by_key(judgements)[0].tolist() == []


def test_a_pair_that_used_one_category_only_has_no_kappa() -> None:
    judgements = Judgements.from_rows([("t", "a", "x"), ("t", "b", "x")], categories=["x", "y"])

    table = pair_table(judgements, confidence=0.95)

    assert table[0].statistics["cohen_kappa"].reason == "single_category"
    assert np.isnan(table.kappa()).all()
