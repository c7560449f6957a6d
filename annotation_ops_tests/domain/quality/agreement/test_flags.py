import json

import numpy as np
import pytest
from scipy.stats import fisher_exact

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.categorical import agreement
from annotation_ops.domain.quality.agreement.flags import Flag, flag_annotators, flag_classes, flag_pairs
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops_tests.domain.quality.agreement.test_people import from_index
from annotation_ops_tests.domain.quality.crowds import of_grid


def team(accuracy: list[float], *, n: int, k: int, q: int, seed: int) -> Judgements:
    """`n` tasks dealt to `k` people each; wrong answers fall evenly."""
    generator = np.random.default_rng(seed)
    who = np.sort(np.argsort(generator.random((n, len(accuracy))), axis=1)[:, :k], axis=1)
    right = generator.random((n, k)) < np.array(accuracy)[who]
    truth = generator.integers(q, size=(n, 1))
    labels = np.where(right, truth, (truth + generator.integers(1, q, size=(n, k))) % q)
    return from_index(who, labels, n_people=len(accuracy), q=q)


def outcomes(flags: tuple[Flag, ...]) -> list[str]:
    return [flag.outcome for flag in flags]


def test_the_one_who_guesses_is_flagged_and_nobody_else() -> None:
    judgements = team([0.9] * 9 + [0.4], n=300, k=3, q=4, seed=1)

    flags = flag_annotators(judgements)

    assert outcomes(flags) == ["as_the_rest"] * 9 + ["below_the_rest"]
    worst = flags[-1]
    assert worst.adjusted is not None
    assert worst.p_value is not None
    assert worst.p_value <= worst.adjusted <= 0.05
    assert worst.agreement is not None
    assert worst.rest is not None
    assert worst.agreement < worst.rest
    json.dumps([flag.document() for flag in flags], allow_nan=False)


def test_with_fewer_than_twenty_shared_tasks_nobody_is_flagged_however_bad() -> None:
    rows = [(f"t{t:03}", person, "x") for t in range(100) for person in "ab"]
    rows += [(f"t{t:03}", "new", "y") for t in range(19)]

    flags = {flag.subject: flag for flag in flag_annotators(Judgements.from_rows(rows, categories=["x", "y"]))}

    assert flags["new",].outcome == "too_few_tasks"
    assert (flags["new",].n, flags["new",].agreement, flags["new",].p_value) == (19, 0.0, None)
    more = Judgements.from_rows([*rows, ("t019", "new", "y")], categories=["x", "y"])
    assert flag_annotators(more)[-1].outcome == "below_the_rest"


def test_two_annotators_alone_have_no_rest_to_fall_below() -> None:
    judgements = of_grid((" ".join("0" * 30), " ".join("1" * 30)), categories="01")

    assert outcomes(flag_annotators(judgements)) == ["no_rest", "no_rest"]
    assert outcomes(flag_pairs(judgements)) == ["no_rest"]


def test_the_rest_is_the_others_among_themselves() -> None:
    # a0 agrees with nobody; a1 and a2 agree on 3 of 4 tasks, one of which a0 did not see.
    judgements = of_grid(("2 2 2 .", "0 1 1 0", "0 1 0 0"), categories="012")

    flag = flag_annotators(judgements, min_shared_tasks=1)[0]

    assert (flag.agreement, flag.rest, flag.n) == (0.0, 0.75, 3)
    table = [[0, 3], [3, 1]]
    assert flag.p_value == pytest.approx(fisher_exact(table, alternative="less").pvalue)


def test_the_pair_that_disagrees_is_flagged_among_pairs() -> None:
    generator = np.random.default_rng(2)
    truth = generator.integers(3, size=200)
    rows = [(f"t{t:03}", f"a{person}", str(truth[t])) for t in range(200) for person in (t % 4, (t + 1) % 4)]
    # Only a0 and a1 fall out with each other, on every other of their 50 tasks.
    rows = [(t, a, str((int(x) + 1) % 3)) if a == "a0" and int(t[1:]) % 8 == 0 else (t, a, x) for t, a, x in rows]

    flags = flag_pairs(Judgements.from_rows(rows, categories="012"))

    assert [flag.subject for flag in flags if flag.outcome == "below_the_rest"] == [("a0", "a1")]
    assert len(flags) == 4


def test_the_class_that_annotators_confuse_is_flagged_among_classes() -> None:
    generator = np.random.default_rng(3)
    truth = generator.choice(4, 600)
    labels = np.stack([truth, truth, truth], axis=1)
    # Half of the judgements of class 3 fall on any class.
    unsure = (truth[:, None] == 3) & (generator.random((600, 3)) < 0.5)
    labels = np.where(unsure, generator.integers(4, size=(600, 3)), labels)
    judgements = from_index(np.tile(np.arange(3), (600, 1)), labels, n_people=3, q=4)

    flags = flag_classes(agreement(judgements, seed=1, draws=10).classes)

    assert [flag.subject for flag in flags if flag.outcome == "below_the_rest"] == [("3",)]


def test_a_class_nobody_used_is_not_flagged() -> None:
    judgements = of_grid((" ".join("01" * 20), " ".join("01" * 20)), categories="012")

    flags = flag_classes(agreement(judgements, seed=1, draws=10).classes)

    assert outcomes(flags) == ["as_the_rest", "as_the_rest", "too_few_tasks"]


def test_no_judgements_flag_nobody() -> None:
    empty = Judgements.from_rows([], categories=["x"])

    assert flag_annotators(empty) == flag_pairs(empty) == ()


@pytest.mark.parametrize("rate", [0.0, 1.0, 5.0])
def test_an_impossible_rate_is_refused(rate) -> None:
    with pytest.raises(InvalidInput, match="rate: found"):
        flag_annotators(team([0.9] * 3, n=30, k=3, q=2, seed=1), rate=rate)


@pytest.mark.parametrize(
    ("bad", "k", "power"),
    [(0, 2, 0.0), (0, 3, 0.0), (4, 2, 0.5), (4, 3, 0.5)],
    ids=["none-2", "none-3", "four-2", "four-3"],
)
def test_at_most_a_twentieth_of_those_flagged_are_as_good_as_the_rest(bad, k, power) -> None:
    accuracy = [0.85] * (20 - bad) + [0.5] * bad
    wrong_share, found, runs = 0.0, 0, 600
    for run in range(runs):
        flagged = [
            at
            for at, flag in enumerate(flag_annotators(team(accuracy, n=500, k=k, q=4, seed=run)))
            if flag.outcome == "below_the_rest"
        ]
        wrong = sum(at < 20 - bad for at in flagged)
        wrong_share += wrong / max(1, len(flagged))
        found += len(flagged) - wrong

    # Two standard errors of a share of 0.05 in 600 runs.
    assert wrong_share / runs <= 0.05 + 2 * (0.05 * 0.95 / runs) ** 0.5
    if bad:
        assert found / runs / bad >= power
