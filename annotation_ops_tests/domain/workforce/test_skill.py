import numpy as np
import pytest
from scipy.special import betainc

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.workforce.reference import left_out_reference
from annotation_ops.domain.workforce.skill import AnnotatorSkill, Evidence, skill
from annotation_ops_tests.domain.quality.crowds import crowd

EVEN = (0.25,) * 4


def simulated(
    *accuracies: float | str, n: int = 400, k: int = 3, seed: int = 1, prevalence: tuple[float, ...] = EVEN
) -> tuple[dict[str, str], Judgements]:
    truth, judgements = crowd(np.random.default_rng(seed), kinds=accuracies, n=n, k=k, prevalence=prevalence)
    return {f"t{task:05}": str(label) for task, label in enumerate(truth.tolist())}, judgements


def by_name(found: tuple[AnnotatorSkill, ...]) -> dict[str, AnnotatorSkill]:
    return {one.annotator_id: one for one in found}


def test_on_gold_alone_the_own_evidence_is_the_jeffreys_posterior_of_the_counts() -> None:
    truth, judgements = simulated(0.9, 0.8, 0.7, n=120, k=1)
    right = dict.fromkeys(judgements.annotators, 0)
    n = dict(right)
    for task, person, label in zip(
        judgements.task_index.tolist(),
        judgements.annotator_index.tolist(),
        judgements.label_index.tolist(),
        strict=True,
    ):
        name = judgements.annotators[person]
        n[name] += 1
        right[name] += truth[judgements.tasks[task]] == judgements.categories[label]

    for name, one in by_name(skill(judgements, gold=truth)).items():
        assert one.evidence is not None
        exact = (right[name] + 0.5) / (n[name] + 1.0)
        mean = one.evidence.own_alpha / (one.evidence.own_alpha + one.evidence.own_beta)
        assert mean == pytest.approx(exact, abs=2e-3)
        assert one.evidence.own_alpha + one.evidence.own_beta == pytest.approx(n[name] + 1.0, rel=0.05)
        assert (one.n_gold, one.n_consensus) == (n[name], 0)


def test_the_crowds_prior_draws_a_few_lucky_answers_towards_the_crowd() -> None:
    rows = [(f"t{n:03}", f"a{n % 20:02}", "x" if n % 10 else "y") for n in range(800)]
    rows += [(f"u{n}", "new", "x") for n in range(3)]
    gold = {task: "x" for task, _, _ in rows}

    newcomer = by_name(skill(Judgements.from_rows(rows, categories="xy"), gold=gold))["new"]

    assert newcomer.accuracy.value is not None
    assert 0.85 < newcomer.accuracy.value < 0.97, "three of three are no hundred per cent"
    assert newcomer.accuracy.n == 3


def test_intervals_hold_the_true_accuracy_without_any_gold() -> None:
    accuracies = tuple(np.random.default_rng(3).uniform(0.6, 0.97, 30).round(3).tolist())
    held = []
    for seed in range(4):
        _, judgements = simulated(*accuracies, n=500, seed=seed)
        for name, one in by_name(skill(judgements)).items():
            low, high = one.accuracy.low or 0.0, one.accuracy.high or 0.0
            held.append(low <= accuracies[int(name[1:])] <= high)

    assert np.mean(held) >= 0.92


def test_a_spammer_is_told_from_the_skilled_and_what_is_confused_is_named() -> None:
    _, judgements = simulated(0.9, 0.9, 0.85, 0.9, "constant", n=500)

    found = by_name(skill(judgements))

    spammer = found["a004"]
    assert (spammer.accuracy.high or 1.0) < 0.45
    assert {one.answer for one in spammer.confusions} == {"0"}
    assert spammer.classes[0].accuracy.value is not None
    assert spammer.classes[0].accuracy.value > 0.9, "where 0 is right the spammer is right"
    assert all((found[name].accuracy.low or 0.0) > 0.7 for name in ("a000", "a001", "a002", "a003"))


def test_gold_narrows_the_interval() -> None:
    truth, judgements = simulated(0.9, 0.85, 0.8, 0.9, n=200, k=2)

    without, with_gold = by_name(skill(judgements)), by_name(skill(judgements, gold=truth))

    for name in without:
        wide, narrow = without[name].accuracy, with_gold[name].accuracy
        assert (narrow.high or 0) - (narrow.low or 0) < (wide.high or 0) - (wide.low or 0)


def test_two_people_without_gold_cannot_be_told_apart() -> None:
    rows = [(f"t{n}", name, "xy"[(n + (name == "b" and n % 5 == 0)) % 2]) for n in range(40) for name in "ab"]
    judgements = Judgements.from_rows(rows, categories="xy")

    assert {one.accuracy.reason for one in skill(judgements)} == {"two_annotators"}
    assert {one.accuracy.reason for one in skill(judgements, gold={f"t{n}": "xy"[n % 2] for n in range(40)})} == {None}


@pytest.mark.parametrize(
    ("rows", "categories", "reason"),
    [
        ([("t1", "a", "x"), ("t2", "b", "y"), ("t3", "c", "x")], "xy", "no_overlap"),
        ([("t1", "a", "x"), ("t1", "b", "x"), ("t1", "c", "x")], "x", "single_category"),
    ],
)
def test_what_cannot_be_compared_has_no_accuracy_and_a_reason(rows, categories, reason) -> None:
    found = skill(Judgements.from_rows(rows, categories=categories))

    assert {one.accuracy.reason for one in found} == {reason}
    assert {one.evidence for one in found} == {None}
    assert {one.confusions for one in found} == {()}


def test_an_empty_batch_has_nobody() -> None:
    assert skill(Judgements.from_rows([], categories="xy")) == ()


def test_other_names_and_another_order_of_rows_change_no_number() -> None:
    truth, judgements = simulated(0.9, 0.7, 0.8, 0.95, n=60)
    rows = [
        (judgements.tasks[task], judgements.annotators[person], judgements.categories[label])
        for task, person, label in zip(
            judgements.task_index.tolist(),
            judgements.annotator_index.tolist(),
            judgements.label_index.tolist(),
            strict=True,
        )
    ]
    np.random.default_rng(0).shuffle(rows)
    renamed = [(f"z{99999 - int(task[1:]):05}", f"p{9 - int(person[1:])}", label) for task, person, label in rows]
    gold = dict(list(truth.items())[:10])

    first = by_name(skill(judgements, gold=gold))
    other = by_name(
        skill(
            Judgements.from_rows(renamed, categories=judgements.categories),
            gold={f"z{99999 - int(task[1:]):05}": label for task, label in gold.items()},
        )
    )

    for name, one in first.items():
        twin = other[f"p{9 - int(name[1:])}"]
        assert one.accuracy.value == pytest.approx(twin.accuracy.value, abs=1e-9)
        assert one.accuracy.high == pytest.approx(twin.accuracy.high, abs=1e-9)
        assert [item.accuracy.value for item in one.classes] == pytest.approx(
            [item.accuracy.value for item in twin.classes], abs=1e-9
        )


def test_the_probability_of_too_little_skill_takes_the_kinder_of_two_priors() -> None:
    evidence = Evidence(alpha=18.0, beta=2.0, own_alpha=9.5, own_beta=2.5)

    assert evidence.probability_below(0.8) == pytest.approx(betainc(18.0, 2.0, 0.8))
    assert Evidence(9.5, 2.5, 18.0, 2.0).probability_below(0.8) == pytest.approx(betainc(18.0, 2.0, 0.8))


@pytest.mark.parametrize("confidence", [0.0, 1.0, 1.5])
def test_a_confidence_outside_0_and_1_is_refused(confidence: float) -> None:
    with pytest.raises(InvalidInput, match="confidence"):
        skill(simulated(0.9, 0.8, 0.9, n=5)[1], confidence=confidence)


def test_a_gold_label_that_is_no_category_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match="gold task 't00000': found label 'owl', expected one of '0', '1', '2', '3'"):
        skill(simulated(0.9, 0.8, 0.9, n=5)[1], gold={"t00000": "owl"})


def test_a_reference_knows_gold_for_certain_and_says_who_has_none() -> None:
    rows = [("g", "a", "x"), ("g", "b", "y"), ("t", "a", "x"), ("t", "b", "x"), ("t", "c", "x"), ("u", "c", "y")]
    judgements = Judgements.from_rows(rows, categories="xy")

    reference = left_out_reference(judgements, gold={"g": "y"})

    place = {
        (judgements.tasks[task], judgements.annotators[person]): at
        for at, (task, person) in enumerate(
            zip(judgements.task_index.tolist(), judgements.annotator_index.tolist(), strict=True)
        )
    }
    assert reference.posterior[place["g", "a"]].tolist() == [0.0, 1.0]
    assert reference.correctness(judgements)[place["g", "b"]] == 1.0
    assert [bool(reference.on_gold[place[key]]) for key in (("g", "a"), ("t", "a"))] == [True, False]
    assert [bool(reference.informed[place[key]]) for key in (("t", "a"), ("u", "c"))] == [True, False]
    assert reference.posterior.sum(axis=1) == pytest.approx(1.0)
    assert reference.confusion.sum(axis=2) == pytest.approx(1.0, abs=1e-3)


def test_a_judgement_is_no_part_of_its_own_reference() -> None:
    """The lone dissenter is compared with the others, who agree; each of them with one agreeing and one dissenting voice."""
    rows = [(f"t{n}", name, "x") for n in range(30) for name in "abc"]
    rows += [(f"u{n}", name, "y") for n in range(30) for name in "abc"]
    rows += [("disputed", "a", "x"), ("disputed", "b", "x"), ("disputed", "c", "y")]
    judgements = Judgements.from_rows(rows, categories="xy")

    right = left_out_reference(judgements, gold=None).correctness(judgements)

    own = [
        float(right[at])
        for at, task in enumerate(judgements.task_index.tolist())
        if judgements.tasks[task] == "disputed"
    ]
    assert own[2] < 0.1
    assert own[0] == pytest.approx(own[1])
    assert 0.5 < own[0] < 0.95, "one for, one against: not as sure as two for"
