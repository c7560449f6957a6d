import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.quality.consensus.consensus_label import ConsensusLabel
from annotation_ops.domain.quality.consensus.methods import consensus
from annotation_ops.domain.quality.consensus.weighted_vote import MAX_ACCURACY, annotator_accuracy, log_odds
from annotation_ops.domain.quality.judgements import IntArray, Judgements
from annotation_ops_tests.domain.quality.crowds import crowd, of_grid

SKILLED = (0.95, 0.9, 0.88, 0.85, 0.82, 0.8, 0.78, 0.75, 0.72, 0.7)


def accuracy(labels: tuple[ConsensusLabel, ...], truth: IntArray) -> float:
    """Share right when ties are broken by lot: what a reader of the distribution would get."""
    won = []
    for item, right in zip(labels, truth, strict=True):
        leading = np.isclose(item.distribution, max(item.distribution))
        won.append(leading[right] / leading.sum())
    return float(np.mean(won))


def test_majority_takes_the_most_frequent_label_and_says_its_share() -> None:
    (item,) = consensus(of_grid(("x", "y", "x"), categories="xyz"), method="majority")

    assert item == ConsensusLabel(
        "t00", "x", pytest.approx(2 / 3), pytest.approx((2 / 3, 1 / 3, 0)), 3, False, pytest.approx(2 / 3)
    )


@pytest.mark.parametrize("method", ["majority", "weighted_vote"])
def test_a_tie_has_no_label_and_is_marked_for_people(method) -> None:
    (item,) = consensus(of_grid(("x", "y"), categories="xyz"), method=method)

    assert (item.label, item.tie, item.n_annotators) == (None, True, 2)
    assert item.agreement == 0.5


@pytest.mark.parametrize("method", ["majority", "weighted_vote"])
def test_nothing_in_gives_nothing_out(method) -> None:
    assert consensus(Judgements.from_rows([], categories="xy"), method=method) == ()


def test_two_annotators_cannot_outvote_each_other_whatever_their_label_shares() -> None:
    grid = ("x x x x x x x x y y", "x x x x x x x x x x")

    items = consensus(of_grid(grid, categories="xy"), method="weighted_vote")

    assert [item.tie for item in items] == [False] * 8 + [True] * 2


@pytest.mark.parametrize(
    ("name", "prevalence", "k", "spam"),
    [
        ("balanced", (0.25,) * 4, 3, ()),
        ("spammers", (0.25,) * 4, 3, ("random", "constant", "random", "constant")),
        ("two judgements", (0.25,) * 4, 2, ("random", "constant", "random")),
        ("many classes", (0.1,) * 10, 3, ("random", "constant", "constant")),
        ("rare classes", (0.7, 0.2, 0.07, 0.03), 3, ("constant", "random", "constant")),
        ("rare positives", (0.9, 0.1), 3, ("constant", "random", "constant")),
    ],
)
def test_weighted_vote_is_never_worse_than_majority_by_much_and_better_among_spammers(
    name, prevalence, k, spam
) -> None:
    gains = []
    for seed in range(3):
        generator = np.random.default_rng(seed)
        truth, judgements = crowd(generator, kinds=(*SKILLED, *spam), n=300, k=k, prevalence=prevalence)
        weighted, majority = (
            accuracy(consensus(judgements, method=method), truth) for method in ("weighted_vote", "majority")
        )
        gains.append(weighted - majority)

    assert min(gains) > -0.02
    if spam and name != "rare positives":
        assert np.mean(gains) > 0.02


@pytest.mark.parametrize("spammer", ["random", "constant"])
def test_a_spammer_gains_almost_no_weight_and_skill_is_recovered(spammer) -> None:
    generator = np.random.default_rng(4)
    kinds = (*SKILLED, spammer, spammer)
    _, judgements = crowd(generator, kinds=kinds, n=800, k=4, prevalence=(0.25,) * 4)

    found = annotator_accuracy(judgements)
    weights = log_odds(found, 4)

    assert weights[10:].max() < 0.15 * weights[:10].mean()
    assert np.abs(found[:10] - SKILLED).max() < 0.08


def test_nobody_gets_a_negative_or_boundless_weight() -> None:
    adversary = " ".join("1" if t % 2 == 0 else "0" for t in range(40))
    honest = " ".join(str(t % 2) for t in range(40))

    weights = log_odds(annotator_accuracy(of_grid((honest, honest, honest, adversary), categories="01")), 2)

    assert weights[3] == 0.0
    assert np.all(weights[:3] > 2.0)
    assert weights.max() <= np.log(MAX_ACCURACY / (1 - MAX_ACCURACY)) + 1e-9


def test_a_task_only_spammers_judged_goes_to_people() -> None:
    generator = np.random.default_rng(2)
    truth = generator.integers(4, size=300)
    rows = [(f"t{t:03}", f"a{a}", str(truth[t])) for t in range(300) for a in range(3)]
    rows += [(f"t{t:03}", "spam", str(generator.integers(4))) for t in range(300)]
    rows += [("z-only", "spam", "1")]

    item = consensus(Judgements.from_rows(rows, categories="0123"), method="weighted_vote")[-1]

    assert item.task_id == "z-only"
    assert (item.label, item.tie) == (None, True)
    assert item.confidence < 0.4


def test_confidence_is_calibrated_on_a_simulated_crowd() -> None:
    generator = np.random.default_rng(9)
    truth, judgements = crowd(generator, kinds=(*SKILLED, "random", "constant"), n=1500, k=3, prevalence=(0.25,) * 4)
    items = consensus(judgements, method="weighted_vote")
    sure = np.array([max(item.distribution) for item in items])
    right = np.array([int(np.argmax(item.distribution)) for item in items]) == truth

    bins = np.minimum((sure * 10).astype(int), 9)
    error = sum(abs(sure[bins == b].sum() - right[bins == b].sum()) for b in range(10)) / len(items)

    assert error < 0.05


def test_a_rare_label_that_all_give_is_kept_although_prevalence_speaks_against_it() -> None:
    rows = [(f"t{t:03}", name, "common") for t in range(200) for name in "abc"]
    rows += [("z", name, "rare") for name in "abc"]

    item = consensus(Judgements.from_rows(rows, categories=["common", "rare"]), method="weighted_vote")[-1]

    assert item.label == "rare"


def test_prevalence_alone_never_elects_a_label_that_nobody_gave() -> None:
    generator = np.random.default_rng(3)
    truth, judgements = crowd(generator, kinds=(0.9, 0.9, 0.9, 0.5), n=600, k=3, prevalence=(0.5, 0.5, 0.0))
    rows = [
        (judgements.tasks[t], judgements.annotators[a], "01"[truth[t]] if label == 2 else str(label))
        for t, a, label in zip(
            judgements.task_index, judgements.annotator_index, judgements.label_index.tolist(), strict=True
        )
    ]
    rows.append(("z", "a003", "2"))

    item = consensus(Judgements.from_rows(rows, categories="012"), method="weighted_vote")[-1]

    assert item.label == "2"
    assert item.confidence < 0.1


def test_a_person_without_overlap_gets_the_crowds_accuracy_and_its_labels_stay_unsure() -> None:
    rows = [("t1", "a", "x"), ("t2", "b", "y"), ("t3", "c", "x")]

    items = consensus(Judgements.from_rows(rows, categories="xyz"), method="weighted_vote")

    assert [item.label for item in items] == ["x", "y", "x"]
    assert all(0.5 < item.confidence < 0.9 for item in items)


@settings(max_examples=50)
@given(st.data())
def test_renaming_and_reordering_changes_no_label_and_distributions_sum_to_one(data) -> None:
    q, people, tasks = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5)), data.draw(st.integers(1, 8))
    cells = data.draw(st.lists(st.integers(-1, q - 1), min_size=people * tasks, max_size=people * tasks))
    names = data.draw(st.permutations([f"p{i}" for i in range(people)]))
    categories = [str(i) for i in range(q)]
    grid = [(t, a, cells[t * people + a]) for t in range(tasks) for a in range(people) if cells[t * people + a] >= 0]
    plain = Judgements.from_rows(((f"t{t}", f"p{a}", str(c)) for t, a, c in grid), categories=categories)
    renamed = Judgements.from_rows(((f"t{t}", names[a], str(c)) for t, a, c in reversed(grid)), categories=categories)

    one, other = (consensus(j, method="weighted_vote") for j in (plain, renamed))

    assert [(item.task_id, item.label, item.tie) for item in one] == [
        (item.task_id, item.label, item.tie) for item in other
    ]
    for a, b in zip(one, other, strict=True):
        assert a.distribution == pytest.approx(b.distribution, abs=1e-8)
        assert sum(a.distribution) == pytest.approx(1.0, abs=1e-7)
        assert a.label is None or a.confidence == a.distribution[categories.index(a.label)]
