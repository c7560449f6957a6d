import numpy as np
import pytest

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.workflow import AdaptiveOverlap
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.quality.planning.adaptive_overlap import further, savings, start_overlap
from annotation_ops_tests.domain.quality.crowds import crowd, of_grid


def policy(name: str, *, cap: int = 5, settled_at: float = 0.85, blind_share: float = 0.0) -> AdaptiveOverlap:
    return AdaptiveOverlap(name, cap=cap, settled_at=settled_at, model_confidence=0.7, blind_share=blind_share)


def wanted(judgements: Judgements, how: AdaptiveOverlap, predictions=None) -> dict[str, int]:
    return {more.task_id: more.judgements for more in further(judgements, policy=how, predictions=predictions)}


@pytest.mark.parametrize(
    ("name", "first"), [("fixed", 3), ("two_plus_one", 2), ("lead_two", 2), ("posterior", 2), ("model_assisted", 1)]
)
def test_each_policy_starts_with_its_first_judgements(name, first) -> None:
    assert start_overlap(policy(name), 3) == first
    assert start_overlap(policy(name), 1) == 1


def test_fixed_overlap_never_asks_again() -> None:
    assert further(of_grid(("x x", "y x"), categories="xy"), policy=policy("fixed")) == ()


def test_two_plus_one_asks_a_third_person_only_where_two_disagree() -> None:
    judgements = of_grid(("x x x x", "x y y .", ". . z ."), categories="xyz")

    (second, fourth) = further(judgements, policy=policy("two_plus_one"))

    assert (second.task_id, second.judgements, second.reason) == ("t01", 1, "the first two judgements disagree")
    assert (fourth.task_id, fourth.judgements, fourth.reason) == ("t03", 1, "fewer than two judgements")


def test_lead_two_asks_until_one_label_leads_by_two_votes() -> None:
    judgements = of_grid(("x x x x", "x y y y", ". . x x", ". . . x"), categories="xy")

    assert wanted(judgements, policy("lead_two")) == {"t01": 2, "t02": 1}
    (even, ahead) = further(judgements, policy=policy("lead_two"))
    assert even.reason == "the leading label leads by 0 of 2 votes after 2"
    assert ahead.reason == "the leading label leads by 1 of 2 votes after 3"


def test_the_cap_limits_what_is_asked_and_ends_it() -> None:
    judgements = of_grid(("x x", "y y", "x .", "y ."), categories="xy")

    assert wanted(judgements, policy("lead_two", cap=3)) == {"t01": 1}
    assert wanted(judgements, policy("lead_two", cap=5)) == {"t00": 1, "t01": 2}


def test_posterior_asks_for_unsure_tasks_and_for_more_of_them_at_a_higher_limit() -> None:
    _, judgements = crowd(np.random.default_rng(0), kinds=(0.9, 0.8, 0.7, 0.6, 0.9), n=200, k=3, prevalence=(0.5, 0.5))

    low, high = (set(wanted(judgements, policy("posterior", settled_at=at))) for at in (0.65, 0.9))

    assert low < high
    unanimous = judgements.counts().max(axis=1) == 3
    assert not low & {task for task, all_say in zip(judgements.tasks, unanimous, strict=True) if all_say}
    assert all(
        "probable, below 0.65" in more.reason
        for more in further(judgements, policy=policy("posterior", settled_at=0.65))
    )


def test_one_judgement_that_a_sure_model_confirms_is_enough() -> None:
    judgements = of_grid(("x x x x",), categories="xy")
    predictions = np.array([[0.9, 0.1], [0.6, 0.4], [0.1, 0.9], [np.nan, np.nan]])

    assert wanted(judgements, policy("model_assisted"), predictions) == {"t01": 1, "t02": 1, "t03": 1}


def test_after_the_first_judgement_the_model_has_no_vote() -> None:
    judgements = of_grid(("x x", "x y"), categories="xy")

    assert wanted(judgements, policy("model_assisted"), np.array([[0.9, 0.1], [0.9, 0.1]])) == {"t01": 2}


def test_without_predictions_model_assisted_is_lead_two() -> None:
    judgements = of_grid(("x x", "x y"), categories="xy")

    assert further(judgements, policy=policy("model_assisted")) == further(judgements, policy=policy("lead_two"))


def test_a_share_of_settled_tasks_goes_to_a_second_person_blindly_and_always_the_same() -> None:
    judgements = Judgements.from_rows(((f"t{n:05}", "a", "x") for n in range(4000)), categories="xy")
    predictions = np.tile([0.9, 0.1], (4000, 1))

    few, more = (wanted(judgements, policy("model_assisted", blind_share=share), predictions) for share in (0.05, 0.1))

    assert 0.04 < len(few) / 4000 < 0.06
    assert 0.085 < len(more) / 4000 < 0.115
    assert set(few) < set(more)
    alone = Judgements.from_rows([(next(iter(few)), "b", "x")], categories="xy")
    (again,) = further(alone, policy=policy("model_assisted", blind_share=0.05), predictions=predictions[:1])
    assert again.reason == "blind audit of a task that one judgement and the model settled"


@pytest.mark.parametrize("name", ["two_plus_one", "lead_two", "posterior", "model_assisted"])
def test_asking_until_nothing_is_wanted_ends_within_the_cap(name) -> None:
    generator = np.random.default_rng(1)
    how, labels = policy(name, cap=6, blind_share=0.1), "xyz"
    rows = [(f"t{t:03}", f"a{a}", labels[generator.integers(3)]) for t in range(60) for a in range(start_overlap(how))]
    predictions = generator.dirichlet(np.ones(3) / 2, 60)

    for _ in range(10):
        more = further(Judgements.from_rows(rows, categories=labels), policy=how, predictions=predictions)
        given = {task: sum(row[0] == task for row in rows) for task, _, _ in rows}
        rows += [
            (one.task_id, f"a{given[one.task_id] + n}", labels[generator.integers(3)])
            for one in more
            for n in range(one.judgements)
        ]
        if not more:
            break

    assert not more
    assert max(given.values()) <= 6


def test_savings_are_counted_against_the_same_overlap_everywhere() -> None:
    found = savings(of_grid(("x x x", "x y x", ". x ."), categories="xy"), fixed_overlap=3)

    assert (found.n_tasks, found.judgements, found.fixed, found.saved) == (3, 7, 9, 2)
    assert found.share == pytest.approx(2 / 9)
    assert found.per_task == pytest.approx(7 / 3)


def test_savings_of_nothing_are_undefined_shares() -> None:
    found = savings(Judgements.from_rows([], categories="xy"), fixed_overlap=3)

    assert (found.saved, found.share, found.per_task) == (0, None, None)


def test_a_comparison_with_no_overlap_is_refused() -> None:
    with pytest.raises(InvalidInput, match="fixed_overlap: found 0"):
        savings(of_grid(("x",), categories="xy"), fixed_overlap=0)
