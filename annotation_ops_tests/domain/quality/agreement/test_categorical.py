import json
import math
import warnings
from typing import Any

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import cohens_kappa as statsmodels_kappa
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.categorical import agreement
from annotation_ops.domain.quality.agreement.report import AgreementReport
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops_tests.domain.quality.crowds import KRIPPENDORFF, crowd, of_grid, of_table

PARADOX = [
    ([[40, 9], [6, 45]], 0.85, 0.6995, 0.7007, 0.70, 0.857, 0.842),
    ([[80, 10], [5, 5]], 0.85, 0.3182, 0.8080, 0.70, 0.400, 0.914),
    ([[45, 15], [25, 15]], 0.60, 0.1304, 0.2661, 0.20, 0.429, 0.692),
    ([[25, 35], [5, 35]], 0.60, 0.2593, 0.2079, 0.20, 0.636, 0.556),
    ([[970, 10], [10, 10]], 0.98, 0.4898, 0.9792, 0.96, 0.500, 0.990),
    ([[980, 10], [10, 0]], 0.98, -0.0101, 0.9796, 0.96, 0.000, 0.990),
]
FOUR = [[5, 3, 1, 0], [2, 7, 3, 1], [0, 2, 8, 4], [0, 1, 2, 6]]


def value(report: AgreementReport, name: str) -> float:
    found = report.statistics[name].value
    assert found is not None, f"{name}: {report.statistics[name].reason}"
    return found


@pytest.mark.parametrize(("table", "observed", "kappa", "ac1", "pabak", "negative", "positive"), PARADOX)
def test_two_raters_match_the_tables_of_the_kappa_paradox(
    table, observed, kappa, ac1, pabak, negative, positive
) -> None:
    report = agreement(of_table(table), seed=1, draws=50)

    assert value(report, "percent_agreement") == pytest.approx(observed, abs=1e-9)
    assert value(report, "cohen_kappa") == pytest.approx(kappa, abs=6e-5)
    assert value(report, "gwet_ac1") == pytest.approx(ac1, abs=6e-5)
    assert value(report, "brennan_prediger") == pytest.approx(pabak, abs=1e-9)
    assert [item.agreement.value for item in report.classes] == pytest.approx([positive, negative], abs=6e-4)


@pytest.mark.parametrize(("table", "index", "bias"), [(PARADOX[1][0], 0.75, 0.05), (PARADOX[3][0], 0.10, 0.30)])
def test_prevalence_and_bias_index_are_those_of_byrt(table, index, bias) -> None:
    report = agreement(of_table(table), seed=1, draws=10)

    assert report.prevalence_index == pytest.approx(index)
    assert report.bias_index == pytest.approx(bias)


def test_ordered_categories_match_the_published_weighted_kappas() -> None:
    report = agreement(of_table(FOUR), seed=1, draws=50, ordered=True)

    assert value(report, "cohen_kappa") == pytest.approx(0.429239, abs=5e-7)
    assert value(report, "weighted_kappa_linear") == pytest.approx(0.570685, abs=5e-7)
    assert value(report, "weighted_kappa_quadratic") == pytest.approx(0.703250, abs=5e-7)


def test_gaps_and_unequal_overlap_match_krippendorffs_example() -> None:
    report = agreement(of_grid(KRIPPENDORFF, categories="12345"), seed=1, draws=50, ordered=True)

    assert value(report, "krippendorff_alpha_nominal") == pytest.approx(0.743421, abs=5e-7)
    assert value(report, "krippendorff_alpha_ordinal") == pytest.approx(0.815388, abs=6e-7)
    assert value(report, "krippendorff_alpha_interval") == pytest.approx(0.849107, abs=5e-7)
    assert value(report, "gwet_ac1") == pytest.approx(0.77544, abs=5e-6)
    assert value(report, "fleiss_kappa") == pytest.approx(0.76117, abs=5e-6)
    assert report.n_overlap_tasks == 11


def test_fleiss_kappa_matches_the_widely_reproduced_example() -> None:
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    rows = [
        (f"t{task}", f"a{person:02}", str(label))
        for task, row in enumerate(counts)
        for person, label in enumerate(np.repeat(range(5), row))
    ]

    report = agreement(Judgements.from_rows(rows, categories="01234"), seed=1, draws=50)

    assert value(report, "fleiss_kappa") == pytest.approx(0.209931, abs=1e-6)


def test_ac1_counts_the_categories_of_the_taxonomy_used_or_not() -> None:
    table = [[40, 9, 0], [6, 45, 0], [0, 0, 0]]

    with_unused, without = (agreement(of_table(t), seed=1, draws=10) for t in (table, [row[:2] for row in table[:2]]))

    chance = 2 * 0.475 * 0.525 / 2
    assert value(with_unused, "gwet_ac1") == pytest.approx((0.85 - chance) / (1 - chance), abs=1e-9)
    assert value(with_unused, "gwet_ac1") > value(without, "gwet_ac1")
    assert value(with_unused, "cohen_kappa") == pytest.approx(value(without, "cohen_kappa"), abs=1e-12)


@st.composite
def two_raters(draw: Any) -> tuple[int, list[tuple[int, int]]]:
    q = draw(st.integers(2, 5))
    label = st.integers(0, q - 1)
    return q, draw(st.lists(st.tuples(label, label), min_size=1, max_size=40))


@settings(max_examples=60)
@given(two_raters())
def test_two_raters_agree_with_scikit_learn_and_statsmodels(sample) -> None:
    q, answers = sample
    table = np.zeros((q, q), dtype=int)
    for cell in answers:
        table[cell] += 1
    report = agreement(of_table(table.tolist()), seed=1, draws=5, ordered=True)
    first, second = np.array(answers).T
    for name, weights in (
        ("cohen_kappa", None),
        ("weighted_kappa_linear", "linear"),
        ("weighted_kappa_quadratic", "quadratic"),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            oracle = cohen_kappa_score(first, second, labels=list(range(q)), weights=weights)
        if math.isnan(oracle):
            assert report.statistics[name].reason == "single_category"
        else:
            assert value(report, name) == pytest.approx(oracle, abs=1e-9)
            if weights is None:
                assert value(report, name) == pytest.approx(statsmodels_kappa(table, return_results=False), abs=1e-9)


@st.composite
def grids(draw: Any) -> tuple[int, np.ndarray]:
    """Annotators x tasks; -1 is no judgement."""
    q = draw(st.integers(2, 4))
    people, tasks = draw(st.integers(3, 5)), draw(st.integers(1, 12))
    cells = draw(st.lists(st.integers(-1, q - 1), min_size=people * tasks, max_size=people * tasks))
    return q, np.array(cells).reshape(people, tasks)


def of_array(q: int, grid: np.ndarray) -> Judgements:
    rows = [(f"t{task:02}", f"a{person}", str(grid[person, task])) for person, task in np.argwhere(grid >= 0).tolist()]
    return Judgements.from_rows(rows, categories=[str(i) for i in range(q)])


@settings(max_examples=60)
@given(grids())
def test_alpha_agrees_with_the_krippendorff_package_on_grids_with_gaps(sample) -> None:
    q, grid = sample
    paired = grid[:, (grid >= 0).sum(axis=0) >= 2]
    assume(len(np.unique(paired[paired >= 0])) > 1)
    data = np.where(grid >= 0, grid, np.nan).astype(float)

    report = agreement(of_array(q, grid), seed=1, draws=5, ordered=True)

    for level in ("nominal", "ordinal", "interval"):
        oracle = krippendorff.alpha(data, level_of_measurement=level, value_domain=list(range(q)))
        assert value(report, f"krippendorff_alpha_{level}") == pytest.approx(oracle, abs=1e-9)


@settings(max_examples=40)
@given(grids())
def test_fleiss_kappa_agrees_with_statsmodels_on_full_grids(sample) -> None:
    q, grid = sample
    full = np.maximum(grid, 0)
    assume(len(np.unique(full)) > 1)

    report = agreement(of_array(q, full), seed=1, draws=5)

    oracle = statsmodels_fleiss(aggregate_raters(full.T, n_cat=q)[0])
    assert value(report, "fleiss_kappa") == pytest.approx(oracle, abs=1e-9)


@settings(max_examples=40)
@given(grids(), st.randoms(use_true_random=False))
def test_renaming_and_reordering_tasks_and_annotators_changes_no_statistic(sample, random) -> None:
    q, grid = sample
    people, tasks = list(range(grid.shape[0])), list(range(grid.shape[1]))
    random.shuffle(people)
    random.shuffle(tasks)

    before = agreement(of_array(q, grid), seed=3, draws=40).document()
    after = agreement(of_array(q, grid[people][:, tasks]), seed=3, draws=40).document()

    assert before["statistics"] == after["statistics"]
    assert before["classes"] == after["classes"]


def test_swapping_two_annotators_changes_no_statistic_and_no_interval() -> None:
    table = np.array(FOUR)

    one, other = (agreement(of_table(t.tolist()), seed=3, ordered=True).document() for t in (table, table.T))

    assert one["statistics"] == other["statistics"]


@settings(max_examples=50)
@given(grids())
def test_an_agreeing_judgement_on_a_unanimous_task_never_lowers_percent_agreement(sample) -> None:
    q, grid = sample
    size = (grid >= 0).sum(axis=0)
    unanimous = [t for t in range(grid.shape[1]) if size[t] and len(set(grid[grid[:, t] >= 0, t].tolist())) == 1]
    assume(unanimous and (size >= 2).any())
    more = np.vstack([grid, np.full(grid.shape[1], -1)])
    more[-1, unanimous[0]] = grid[:, unanimous[0]].max()

    before, after = (value(agreement(of_array(q, g), seed=1, draws=2), "percent_agreement") for g in (grid, more))

    assert after >= before - 1e-12


@settings(max_examples=60)
@given(grids())
def test_every_statistic_has_a_value_within_its_interval_or_a_reason_and_never_nan(sample) -> None:
    q, grid = sample

    document = agreement(of_array(q, grid), seed=1, draws=30, ordered=True).document()

    json.dumps(document, allow_nan=False)
    measured = [*document["statistics"].values(), *(item["agreement"] for item in document["classes"])]
    measured += [item["agreement"] for item in document["annotators"]]
    measured += [pair[name] for pair in document["pairs"] for name in ("percent_agreement", "cohen_kappa")]
    for found in measured:
        if found["value"] is None:
            assert found["reason"]
            assert found["low"] is found["high"] is None
        else:
            assert found["reason"] is None
            assert found["low"] <= found["value"] <= found["high"] <= 1.0


def test_alpha_never_exceeds_one_where_hardly_any_task_overlaps() -> None:
    rows = [("t", "a", "0"), ("t", "b", "0"), ("t", "c", "1")] + [(f"u{t}", "a", "0") for t in range(5)]

    report = agreement(Judgements.from_rows(rows, categories="01"), seed=1, ordered=True)

    for name in ("nominal", "ordinal", "interval"):
        assert report.draws[f"krippendorff_alpha_{name}"].max() <= 1.0


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], dict.fromkeys(("percent_agreement", "cohen_kappa", "gwet_ac1", "fleiss_kappa"), "no_judgements")),
        ([("t1", "a", "x"), ("t2", "a", "y")], dict.fromkeys(("percent_agreement", "krippendorff_alpha_nominal"), "no_overlap")),
        ([("t1", "a", "x"), ("t2", "b", "y")], dict.fromkeys(("cohen_kappa", "gwet_ac1"), "no_overlap")),
        ([("t1", "a", "x"), ("t1", "b", "x")], dict.fromkeys(("cohen_kappa", "fleiss_kappa", "krippendorff_alpha_nominal"), "single_category")),
        ([("t1", "a", "x"), ("t1", "b", "x"), ("t2", "b", "x"), ("t2", "c", "y")], {"cohen_kappa": "not_two_annotators"}),
    ],
)  # fmt: skip
def test_what_cannot_be_computed_says_why(rows, expected) -> None:
    report = agreement(Judgements.from_rows(rows, categories=["x", "y"]), seed=1, draws=10)

    assert {name: report.statistics[name].reason for name in expected} == expected
    assert all(name not in report.draws for name in expected)
    assert report.probability_at_least(next(iter(expected)), 0.5) is None


def test_one_agreeing_task_is_defined_and_says_how_little_it_proves() -> None:
    report = agreement(Judgements.from_rows([("t", "a", "x"), ("t", "b", "x")], categories=["x", "y"]), seed=1)

    found = report.statistics["percent_agreement"]

    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low is not None
    assert found.low < 0.3


@pytest.mark.parametrize("k", [2, 3])
def test_without_any_disagreement_the_lower_bound_is_the_rule_of_three(k) -> None:
    n = 100
    rows = [(f"t{t}", f"a{a}", str(t % 2)) for t in range(n) for a in range(k)]

    report = agreement(Judgements.from_rows(rows, categories="01"), confidence=0.95, seed=1, draws=20_000)

    found = report.statistics["percent_agreement"]
    assert found.high == 1.0
    assert found.low is not None
    # With more annotators a task can also disagree by less than wholly.
    assert (1.0 - found.low) * n == pytest.approx(3.0 if k == 2 else 2.2, abs=0.5)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_intervals() -> None:
    judgements = of_table(FOUR)

    one, again, other = (json.dumps(agreement(judgements, seed=seed).document()) for seed in (5, 5, 6))

    assert one == again
    assert one != other


def test_draws_in_chunks_are_as_many_as_asked() -> None:
    generator = np.random.default_rng(0)
    _, judgements = crowd(generator, kinds=[0.7] * 30, n=3000, k=9, prevalence=[0.2] * 5)

    report = agreement(judgements, seed=1, draws=2500)

    assert len(report.draws["fleiss_kappa"]) == 2500


@pytest.mark.parametrize("q", [2, 4, 20])
def test_two_rater_intervals_hold_the_truth_as_often_as_they_say(q) -> None:
    generator = np.random.default_rng(q)
    n, skill, hits, runs = 100, 0.85, 0, 200
    for run in range(runs):
        # Each agrees with a shared true label, else guesses evenly: the true kappa is skill squared.
        truth = generator.integers(q, size=n)
        answers = [np.where(generator.random(n) < skill, truth, generator.integers(q, size=n)) for _ in "ab"]
        table = np.bincount(answers[0] * q + answers[1], minlength=q * q).reshape(q, q)
        found = agreement(of_table(table.tolist()), seed=run, draws=300).statistics["cohen_kappa"]
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= skill**2 <= found.high

    assert 0.89 <= hits / runs <= 0.995


def test_each_annotator_is_measured_against_the_others_only() -> None:
    grid = ("0 0 1 1", "0 0 1 1", "0 1 0 1")

    report = agreement(of_grid(grid, categories="01"), seed=1, draws=10)

    assert [item.agreement.value for item in report.annotators] == pytest.approx([0.75, 0.75, 0.5])
    assert [(item.annotators, item.statistics["percent_agreement"].value) for item in report.pairs] == [
        (("a0", "a1"), 1.0),
        (("a0", "a2"), 0.5),
        (("a1", "a2"), 0.5),
    ]
    assert report.pairs[1].statistics["cohen_kappa"].value == pytest.approx(0.0)


def test_an_annotator_without_shared_tasks_is_listed_without_a_number() -> None:
    report = agreement(
        Judgements.from_rows([("t1", "a", "x"), ("t1", "b", "x"), ("t2", "z", "y")], categories="xy"), seed=1, draws=10
    )

    lonely = report.annotators[2]
    assert (lonely.annotator_id, lonely.n_judgements, lonely.agreement.reason) == ("z", 1, "no_overlap")
    assert len(report.pairs) == 1


@pytest.mark.parametrize("arguments", [{"confidence": 1.0}, {"confidence": 0.0}, {"draws": 0}])
def test_impossible_settings_are_refused(arguments) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        agreement(of_table(FOUR), seed=1, **arguments)
