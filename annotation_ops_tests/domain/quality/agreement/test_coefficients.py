"""Published vectors, and other packages on tables they define the same way."""

import json
from typing import Any

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from annotation_ops.domain.quality.agreement.categorical import agreement
from annotation_ops.domain.quality.agreement.coefficients import NOMINAL, ONE_PAIR, ORDINAL
from annotation_ops.domain.quality.agreement.patterns import patterns_of
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops_tests.domain.quality.crowds import KRIPPENDORFF, of_grid, of_table

FOUR = [[5, 3, 1, 0], [2, 7, 3, 1], [0, 2, 8, 4], [0, 1, 2, 6]]
UNEQUAL = ("331.3.232.13.1.", ".33.13...1...11", ".1..2.22.1.22.3", "3.1112.2122.132", "21..3.333.3.33.")
"""5 annotators x 15 tasks, one to five judgements each; a fourth category nobody used."""

EVERY = {**NOMINAL, **ORDINAL}


def measured(judgements: Judgements, name: str) -> float:
    patterns = patterns_of(judgements)
    return float(EVERY[name](patterns, patterns.weight[None, :])[0])


# irrCAC 0.4.4 (raw.CAC, 12 digits), weights identity, linear and quadratic.
@pytest.mark.parametrize(
    ("judgements", "expected"),
    [
        (
            of_grid(KRIPPENDORFF, categories="12345"),
            {
                "gwet_ac1": 0.775444068127,
                "gwet_ac2_linear": 0.858739136433,
                "gwet_ac2": 0.914000723552,
                "fleiss_kappa": 0.761169275422,
                "brennan_prediger": 0.772727272727,
            },
        ),
        (
            of_table(FOUR),
            {
                "gwet_ac1": 0.439834024896,
                "gwet_ac2_linear": 0.61692248162,
                "gwet_ac2": 0.760441092591,
                "fleiss_kappa": 0.428475935829,
                "brennan_prediger": 0.437037037037,
            },
        ),
        (
            of_grid([" ".join(line) for line in UNEQUAL], categories="1234"),
            {
                "gwet_ac1": -0.051605668707,
                "gwet_ac2_linear": 0.252252716232,
                "gwet_ac2": 0.501864048606,
                "fleiss_kappa": -0.234552147866,
                "brennan_prediger": -0.092063492063,
            },
        ),
    ],
    ids=["krippendorff", "two-raters", "unequal"],
)
def test_gwet_fleiss_and_brennan_prediger_are_those_of_irrcac(judgements, expected) -> None:
    found = {name: measured(judgements, name) for name in expected}

    assert found == pytest.approx(expected, abs=1e-9)


def test_alpha_on_krippendorffs_example_is_that_of_the_krippendorff_package() -> None:
    data = [[np.nan if word == "." else float(word) for word in line.split()] for line in KRIPPENDORFF]

    for level in ("nominal", "ordinal", "interval"):
        oracle = krippendorff.alpha(np.array(data), level_of_measurement=level, value_domain=[1, 2, 3, 4, 5])
        found = measured(of_grid(KRIPPENDORFF, categories="12345"), f"krippendorff_alpha_{level}")
        assert found == pytest.approx(oracle, abs=1e-9)


def test_quadratic_weights_forgive_a_neighbour_more_than_linear_ones() -> None:
    near = of_grid(("1 2 3 4 1 2", "2 2 3 4 1 1"), categories="1234")

    assert measured(near, "gwet_ac1") < measured(near, "gwet_ac2_linear") < measured(near, "gwet_ac2")


def test_statistics_of_two_categories_need_no_weights() -> None:
    judgements = of_table([[40, 9], [6, 45]])

    assert measured(judgements, "gwet_ac2") == pytest.approx(measured(judgements, "gwet_ac1"))
    assert measured(judgements, "gwet_ac2_linear") == pytest.approx(measured(judgements, "gwet_ac1"))
    assert measured(judgements, "weighted_kappa_quadratic") == pytest.approx(measured(judgements, "cohen_kappa"))


@st.composite
def batches(draw: Any) -> tuple[int, list[tuple[int, int, int]]]:
    """Rows (task, annotator, label) with gaps, and the number of categories."""
    q = draw(st.integers(2, 5))
    places = draw(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 4)), min_size=2, max_size=30, unique=True))
    labels = draw(st.lists(st.integers(0, q - 1), min_size=len(places), max_size=len(places)))
    return q, [(*place, label) for place, label in zip(places, labels, strict=True)]


def judged(q: int, rows: list[tuple[int, int, int]], *, names: Any = str) -> Judgements:
    return Judgements.from_rows(
        [(f"t{task}", f"a{names(person)}", str(label)) for task, person, label in rows],
        categories=[str(label) for label in range(q)],
    )


def values(judgements: Judgements, names: dict[str, Any]) -> dict[str, float | None]:
    report = agreement(judgements, seed=1, draws=2, ordered=True)
    return {name: report.statistics[name].value for name in names}


def same(one: dict[str, float | None], other: dict[str, float | None]) -> bool:
    return all(
        (one[name] is None) == (other[name] is None)
        and (one[name] or 0.0) == pytest.approx(other[name] or 0.0, abs=1e-9)
        for name in one
    )


@settings(max_examples=60)
@given(batches(), st.randoms(use_true_random=False))
def test_permuting_categories_changes_no_nominal_statistic(batch, random) -> None:
    q, rows = batch
    other = list(range(q))
    random.shuffle(other)

    permuted = judged(q, [(task, person, other[label]) for task, person, label in rows])

    assert same(values(judged(q, rows), dict(NOMINAL)), values(permuted, dict(NOMINAL)))


@settings(max_examples=60)
@given(batches())
def test_reversing_ordered_categories_changes_no_statistic(batch) -> None:
    q, rows = batch

    reversed_ = judged(q, [(task, person, q - 1 - label) for task, person, label in rows])

    assert same(values(judged(q, rows), EVERY), values(reversed_, EVERY))


@settings(max_examples=60)
@given(batches(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_not_a_byte(batch, random) -> None:
    q, rows = batch
    shuffled = list(rows)
    random.shuffle(shuffled)

    one, other = (agreement(judged(q, r), seed=2, draws=20, ordered=True).document() for r in (rows, shuffled))

    assert json.dumps(one) == json.dumps(other)


@settings(max_examples=100)
@given(batches())
def test_no_statistic_exceeds_one_and_all_are_one_without_disagreement(batch) -> None:
    q, rows = batch
    unanimous = [(task, person, task % q) for task, person, _ in rows]

    for found in values(judged(q, rows), EVERY).values():
        assert found is None or found <= 1.0 + 1e-12
    for found in values(judged(q, unanimous), EVERY).values():
        assert found is None or found == pytest.approx(1.0)


@settings(max_examples=60)
@given(batches(), st.integers(0, 7))
def test_a_judgement_that_joins_the_most_frequent_label_never_lowers_percent_agreement(batch, task) -> None:
    q, rows = batch
    by_task: dict[int, list[int]] = {}
    for at, _, label in rows:
        by_task.setdefault(at, []).append(label)
    shared = sorted(at for at, labels in by_task.items() if len(labels) >= 2)
    assume(shared)
    task = shared[task % len(shared)]
    given_labels = by_task[task]
    times = np.bincount(given_labels, minlength=q)
    best = int(times.argmax())

    before = values(judged(q, rows), {"percent_agreement": 0})["percent_agreement"]
    after = values(judged(q, [*rows, (task, 9, best)]), {"percent_agreement": 0})["percent_agreement"]

    assert before is not None
    assert after is not None
    assert after >= before - 1e-12


@settings(max_examples=60)
@given(batches())
def test_tasks_with_one_judgement_leave_agreement_and_alpha_alone(batch) -> None:
    q, rows = batch
    names = {name: EVERY[name] for name in ("percent_agreement", *(n for n in EVERY if "alpha" in n))}

    more = [*rows, *((task, 2, label) for task, label in ((20, 0), (21, q - 1)))]

    assert same(values(judged(q, rows), names), values(judged(q, more), names))


def test_statistics_of_one_pair_are_left_out_where_three_people_judged() -> None:
    report = agreement(of_grid(("0 1", "0 1", "1 1"), categories="01"), seed=1, draws=5, ordered=True)

    assert {report.statistics[name].reason for name in ONE_PAIR} == {"not_two_annotators"}
