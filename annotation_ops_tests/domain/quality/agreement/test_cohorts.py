import json

import numpy as np
import pytest

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.categorical import agreement
from annotation_ops.domain.quality.agreement.cohorts import agreement_by_cohort
from annotation_ops.domain.quality.agreement.over_time import agreement_over_time
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops_tests.domain.quality.crowds import crowd, of_grid

#                 a0 and a1 are the old team, a2 and a3 the new one.
GRID = ("0 0 1 1 0", "0 0 1 1 .", "0 1 0 1 1", "0 1 0 1 .")
TEAMS = {"a0": "old", "a1": "old", "a2": "new", "a3": "new", "never judged": "away"}


def test_teams_that_agree_among_themselves_and_not_with_each_other_are_told_apart() -> None:
    found = {
        item.cohorts: item.statistics for item in agreement_by_cohort(of_grid(GRID, categories="01"), cohorts=TEAMS)
    }

    assert list(found) == [("new", "new"), ("new", "old"), ("old", "old")]
    assert found["new", "new"]["percent_agreement"].value == 1.0
    assert found["old", "old"]["percent_agreement"].value == 1.0
    between = found["new", "old"]
    # Agreed on tasks 1 and 4 of five; the old team gives 1 in 2 of 5 tasks, the new one in 3.
    assert between["percent_agreement"].value == pytest.approx(0.4)
    chance = 0.4 * 0.6 + 0.6 * 0.4
    assert between["kappa"].value == pytest.approx((0.4 - chance) / (1 - chance))
    assert [item["percent_agreement"].n for item in found.values()] == [4, 5, 4]


def test_one_cohort_of_everybody_has_the_agreement_and_the_fleiss_kappa_of_the_batch() -> None:
    _, judgements = crowd(np.random.default_rng(1), kinds=[0.8] * 5, n=50, k=3, prevalence=[0.6, 0.3, 0.1])

    (found,) = agreement_by_cohort(judgements, cohorts=dict.fromkeys(judgements.annotators, "all"))

    report = agreement(judgements, seed=1, draws=5)
    assert found.statistics["percent_agreement"].value == pytest.approx(report.statistics["percent_agreement"].value)
    assert found.statistics["kappa"].value == pytest.approx(report.statistics["fleiss_kappa"].value)


def test_cohorts_without_a_common_task_or_with_one_category_say_so() -> None:
    judgements = Judgements.from_rows([("t1", "a", "x"), ("t1", "b", "x"), ("t2", "c", "x")], categories=["x", "y"])

    found = agreement_by_cohort(judgements, cohorts={"a": "one", "b": "one", "c": "two"})

    assert {item.cohorts: item.statistics["kappa"].reason for item in found} == {
        ("one", "one"): "single_category",
        ("one", "two"): "no_overlap",
        ("two", "two"): "no_overlap",
    }
    json.dumps([item.document() for item in found], allow_nan=False)


def test_an_annotator_without_a_cohort_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"no cohort for annotator 'a1' \(3 such\)"):
        agreement_by_cohort(of_grid(GRID, categories="01"), cohorts={"a0": "old"})


def test_the_series_is_the_agreement_of_each_period_in_order() -> None:
    judgements = of_grid(("0 1 0 1 1", "0 1 1 0 ."), categories="01")
    weeks = {"t00": "2026-W10", "t01": "2026-W10", "t02": "2026-W09", "t03": "2026-W09", "t04": "2026-W11"}

    series = agreement_over_time(judgements, periods=weeks, seed=1, draws=20)

    assert [(item.period, item.n_tasks) for item in series] == [("2026-W09", 2), ("2026-W10", 2), ("2026-W11", 1)]
    percent = [item.statistics["percent_agreement"] for item in series]
    assert [found.value for found in percent] == [0.0, 1.0, None]
    assert percent[2].reason == "no_overlap"


def test_one_period_is_the_whole_batch() -> None:
    _, judgements = crowd(np.random.default_rng(2), kinds=[0.8] * 3, n=30, k=2, prevalence=[0.5, 0.5])

    (found,) = agreement_over_time(
        judgements, periods=["now"] * judgements.n_judgements, seed=1, draws=50, ordered=True
    )

    assert found.statistics == agreement(judgements, seed=1, draws=50, ordered=True).statistics


def test_judgements_of_one_task_in_different_periods_are_not_compared() -> None:
    judgements = of_grid(("0", "0", "1"), categories="01")

    series = agreement_over_time(judgements, periods=["may", "may", "june"], seed=1, draws=20)

    found = {item.period: item.statistics["percent_agreement"] for item in series}
    assert found["may"].value == 1.0
    assert found["june"].reason == "no_overlap"


def test_nothing_judged_has_no_series() -> None:
    empty = Judgements.from_rows([], categories=["x"])

    assert agreement_over_time(empty, periods={}, seed=1) == ()
    assert agreement_by_cohort(empty, cohorts={}) == ()


@pytest.mark.parametrize(
    ("periods", "message"), [({"t00": "may"}, r"none for task 't01' \(4 such\)"), (["may"], "found 1")]
)
def test_a_task_or_judgement_without_a_period_is_named(periods, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        agreement_over_time(of_grid(GRID, categories="01"), periods=periods, seed=1)
