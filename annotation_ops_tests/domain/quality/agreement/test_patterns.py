import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.quality.agreement import resampling
from annotation_ops.domain.quality.agreement.categorical import agreement
from annotation_ops.domain.quality.agreement.coefficients import NOMINAL, ORDINAL, class_agreement
from annotation_ops.domain.quality.agreement.patterns import answers_of, patterns_of
from annotation_ops.domain.quality.agreement.resampling import drawn, observe
from annotation_ops.domain.quality.agreement.sums import GROUPS, grouped, sums_of
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops_tests.domain.quality.agreement.test_people import from_index

ONE_PAIR = {"cohen_kappa", "weighted_kappa_linear", "weighted_kappa_quadratic"}
EVERY = {**NOMINAL, **ORDINAL}


def noisy(*, n: int, k: int, q: int, seed: int, skill: float = 0.7) -> Judgements:
    """`k` people judge all of `n` tasks; each is right with probability `skill`, else guesses."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(q, size=(n, 1))
    labels = np.where(generator.random((n, k)) < skill, truth, generator.integers(q, size=(n, k)))
    return from_index(np.tile(np.arange(k), (n, 1)), labels, n_people=k, q=q)


@settings(max_examples=60)
@given(
    st.integers(2, 1000),
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 11), st.integers(0, 999)), unique_by=lambda row: row[:2]),
)
def test_patterns_are_the_distinct_rows_of_the_counts(q, rows) -> None:
    # One annotator more than two, so that tasks of two judgements are not a table of two people.
    places = [("z", str(person), 0) for person in range(3)] + [(f"t{t}", f"a{a}", label % q) for t, a, label in rows]
    judgements = Judgements.from_rows(
        [(task, person, str(label)) for task, person, label in places], categories=[str(label) for label in range(q)]
    )

    found = patterns_of(judgements)

    counts, weight = np.unique(judgements.counts(), axis=0, return_counts=True)
    assert found.counts.tolist() == counts.tolist()
    assert found.weight.tolist() == weight.tolist()


def test_labels_too_many_for_one_integer_key_still_tell_patterns_apart() -> None:
    # 1,000 categories and 9 judgements: 10^27 combinations, more than 64 bits hold.
    generator = np.random.default_rng(4)
    labels = generator.integers(1000, size=(300, 9))
    labels[100:200] = labels[:100]
    judgements = from_index(np.tile(np.arange(9), (300, 1)), labels, n_people=9, q=1000)

    (part,) = answers_of(judgements)

    rows, weight = np.unique(np.sort(labels, axis=1), axis=0, return_counts=True)
    assert part.labels.tolist() == rows.tolist()
    assert part.weight.tolist() == weight.tolist()
    assert (part.weight == 2).sum() == 100


@pytest.mark.parametrize(("k", "q"), [(2, 100), (7, 6)])
def test_tasks_dealt_into_groups_have_the_values_of_their_patterns(k, q) -> None:
    judgements = noisy(n=3000, k=k, q=q, seed=5)
    patterns = sums_of(patterns_of(judgements))
    weight = patterns_of(judgements).weight[None, :]

    groups = grouped(answers_of(judgements), q=q, seed=1)

    ones = np.ones((1, GROUPS))
    for name, coefficient in EVERY.items():
        if name not in ONE_PAIR or k == 2:
            assert coefficient(groups, ones)[0] == pytest.approx(coefficient(patterns, weight)[0], abs=1e-9), name
    assert class_agreement(groups, ones)[0] == pytest.approx(class_agreement(patterns, weight)[0], abs=1e-9)
    assert groups.present.sum(axis=0).tolist() == (weight @ patterns.present)[0].tolist()


@pytest.mark.parametrize(("k", "q"), [(2, 30), (5, 5)])
def test_intervals_of_groups_are_those_of_patterns(k, q) -> None:
    judgements = noisy(n=10_000, k=k, q=q, seed=6)
    exact = observe(judgements, seed=1)
    groups = grouped(answers_of(judgements), q=q, seed=1)
    parts = answers_of(judgements)
    dealt = resampling.Observed(groups, np.ones(GROUPS), resampling._summary(parts, groups), dealt=True)
    assert not exact.dealt

    widths = {}
    for kind, observed in (("exact", exact), ("dealt", dealt)):
        chunks = list(drawn(observed, seed=1, draws=2000))
        names = [name for name in EVERY if name not in ONE_PAIR or k == 2]
        draws = {name: np.concatenate([EVERY[name](part.sums, part.weights) for part in chunks]) for name in names}
        draws["class"] = np.concatenate([part.class_agreement[:, 0] for part in chunks])
        widths[kind] = {name: (found.std(), found.mean()) for name, found in draws.items()}

    for name, (spread, middle) in widths["exact"].items():
        assert widths["dealt"][name][0] == pytest.approx(spread, rel=0.1), name
        assert widths["dealt"][name][1] == pytest.approx(middle, abs=0.2 * spread), name


def test_a_batch_of_more_patterns_than_groups_is_the_same_under_other_names() -> None:
    one = noisy(n=6000, k=12, q=8, seed=7, skill=0.3)
    generator = np.random.default_rng(8)
    place, people = generator.permutation(6000), generator.permutation(12)
    labels = one.label_index.reshape(6000, 12)[place][:, people]
    other = from_index(np.tile(np.arange(12), (6000, 1)), labels, n_people=12, q=8)
    assert observe(one, seed=3).dealt

    first, second = (agreement(batch, seed=3, draws=100, ordered=True).document() for batch in (one, other))

    assert first["statistics"] == second["statistics"]
    assert first["classes"] == second["classes"]


def test_a_thousand_categories_and_unequal_overlap_give_every_statistic() -> None:
    generator = np.random.default_rng(9)
    judgements = noisy(n=9000, k=3, q=1000, seed=9).selected(generator.random(27_000) < 0.9)
    assert observe(judgements, seed=1).dealt

    report = agreement(judgements, seed=1, draws=20)

    for name in set(NOMINAL) - ONE_PAIR:
        found = report.statistics[name]
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        # Two people agree when both are right, 0.49, or by chance in a thousand.
        assert found.value == pytest.approx(0.4905, abs=0.02)
        assert found.low < found.value < found.high
