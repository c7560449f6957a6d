from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.answer_pairs import answer_pairs
from annotation_ops.domain.quality.agreement.categorical import agreement
from annotation_ops.domain.quality.agreement.report import AgreementReport
from annotation_ops.domain.quality.agreement.span_judgements import SpanJudgements
from annotation_ops.domain.quality.agreement.span_matching import equal_spans, overlap_of_spans, span_groups
from annotation_ops.domain.quality.agreement.spans import agreement_of_spans
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.records import JsonObject

Span = tuple[int, int, str]
CLASSES = ("PER", "ORG", "LOC")


def spans(*found: Span) -> JsonObject:
    return {"spans": [{"label": label, "start": start, "end": end} for start, end, label in found]}


def measured(*rows: tuple[str, str, JsonObject], draws: int = 200) -> AgreementReport:
    return agreement_of_spans(SpanJudgements.from_values(rows, categories=CLASSES), seed=0, draws=draws)


def value(report: AgreementReport, name: str) -> float | None:
    return report.statistics[name].value


def test_two_annotators_have_the_published_exact_and_overlap_f1() -> None:
    report = measured(
        ("d", "ann", spans((0, 5, "PER"), (10, 15, "ORG"), (20, 25, "LOC"))),
        ("d", "bob", spans((0, 5, "PER"), (10, 14, "ORG"), (20, 25, "ORG"))),
    )

    assert value(report, "span_f1_exact") == pytest.approx(1 / 3, abs=1e-9)
    assert value(report, "span_f1_overlap") == pytest.approx(0.6, abs=1e-9)
    assert value(report, "exact_match") == 0.0
    assert {item.label: item.agreement.value for item in report.classes} == {"PER": 1.0, "ORG": 0.0, "LOC": 0.0}
    assert report.pairs[0].statistics["span_f1_overlap"].value == pytest.approx(0.6, abs=1e-9)


@pytest.mark.parametrize(("negatives", "kappa"), [(50, 0.576), (500, 0.657), (5_000, 0.6657), (500_000, 0.66666)])
def test_kappa_goes_to_the_f1_as_the_places_where_nobody_marks_anything_grow(negatives: int, kappa: float) -> None:
    """Hripcsak & Rothschild, JAMIA 12:296-298 (2005), with 10 shared spans and 5 of each annotator alone."""
    cells = [("yes", "yes")] * 10 + [("yes", "no")] * 5 + [("no", "yes")] * 5 + [("no", "no")] * negatives
    tasks = np.repeat([f"{at:06d}" for at in range(len(cells))], 2)
    judgements = Judgements.from_columns(
        tasks,
        np.tile(["ann", "bob"], len(cells)),
        [label for cell in cells for label in cell],
        categories=("no", "yes"),
    )
    shared = [(at, at + 1, "PER") for at in range(10)]
    report = measured(
        ("d", "ann", spans(*shared, *((at, at + 1, "PER") for at in range(20, 25)))),
        ("d", "bob", spans(*shared, *((at, at + 1, "PER") for at in range(30, 35)))),
    )

    found = agreement(judgements, seed=0, draws=1).statistics["cohen_kappa"].value
    assert found == pytest.approx(kappa, abs=6e-4)
    assert value(report, "span_f1_exact") == pytest.approx(2 / 3, abs=1e-9)
    assert found is not None
    assert found < 2 / 3


def test_finding_nothing_is_an_answer() -> None:
    report = measured(
        ("d", "ann", spans()),
        ("d", "bob", spans()),
        ("e", "ann", spans((0, 3, "PER"))),
        ("e", "bob", spans()),
    )

    assert report.task_agreement.tolist() == [1.0, 0.0]
    assert value(report, "exact_match") == 0.5
    assert report.statistics["span_f1_exact"].n == 1, "a document where both found nothing says nothing about F1"


def test_where_nobody_ever_marks_anything_f1_is_undefined_and_every_document_matches() -> None:
    report = measured(("d", "ann", spans()), ("d", "bob", spans()))

    assert report.statistics["span_f1_exact"].reason == "nothing_annotated"
    assert report.pairs[0].statistics["span_f1_exact"].reason == "nothing_annotated"
    assert value(report, "exact_match") == 1.0
    assert report.annotators[0].agreement.value == 1.0
    assert "span_f1_exact" not in report.draws


def test_one_annotator_alone_has_no_agreement() -> None:
    report = measured(("d", "ann", spans((0, 3, "PER"))), ("e", "ann", spans()))

    assert {statistic.reason for statistic in report.statistics.values()} == {"no_overlap"}
    assert report.annotators[0].agreement.reason == "no_overlap"
    assert {item.agreement.reason for item in report.classes} == {"class_unused"}
    assert np.isnan(report.task_agreement).all()
    assert report.pairs == ()


def test_a_document_counts_once_however_many_annotators_it_has() -> None:
    right, wrong = spans((0, 3, "PER")), spans((5, 9, "PER"))
    many = [("d", f"a{at}", right) for at in range(6)]

    report = measured(*many, ("e", "a0", right), ("e", "a1", wrong))

    assert value(report, "span_f1_exact") == pytest.approx(0.5, abs=1e-9)


def test_an_annotator_is_compared_with_each_of_the_others() -> None:
    report = measured(
        ("d", "ann", spans((0, 3, "PER"))), ("d", "bob", spans((0, 3, "PER"))), ("d", "cy", spans((4, 9, "PER")))
    )

    assert {one.annotator_id: one.agreement.value for one in report.annotators} == pytest.approx(
        {"ann": 0.5, "bob": 0.5, "cy": 0.0}, abs=1e-9
    )
    assert report.task_agreement[0] == pytest.approx(1 / 3, abs=1e-9)


def test_overlap_is_matched_for_the_largest_total_not_greedily() -> None:
    """The box example of the reference with its coordinates on one axis: greedy stops at one match."""
    first = spans((6, 16, "PER"), (0, 10, "PER"))
    second = spans((3, 13, "PER"), (0, 4, "PER"))

    overlap = value(measured(("d", "ann", first), ("d", "bob", second)), "span_f1_overlap")

    assert overlap == pytest.approx(2 * (7 / 13 + 4 / 10) / 4, abs=1e-9)


documents = st.dictionaries(
    st.tuples(st.sampled_from("de"), st.sampled_from(["a1", "a2", "a3"])),
    st.sets(
        st.tuples(st.integers(0, 12), st.integers(1, 8), st.sampled_from(CLASSES)).map(
            lambda span: (span[0], span[0] + span[1], span[2])
        ),
        max_size=5,
    ),
    min_size=1,
    max_size=6,
)


def by_brute_force(found: dict[tuple[str, str], set[Span]]) -> dict[str, float | None]:
    totals = np.zeros(3)
    for task in {task for task, _ in found}:
        sets = [marked for (other, _), marked in found.items() if other == task]
        pairs = list(combinations(sets, 2))
        for first, second in pairs:
            part = np.array([len(first & second), best_overlap(first, second), (len(first) + len(second)) / 2])
            totals += part / len(pairs)
    return {name: totals[at] / totals[2] if totals[2] else None for at, name in enumerate(["exact", "overlap"])}


def best_overlap(first: set[Span], second: set[Span]) -> float:
    if not first or not second:
        return 0.0
    weight = np.array([[jaccard(one, other) for other in sorted(second)] for one in sorted(first)])
    return float(weight[linear_sum_assignment(weight, maximize=True)].sum())


def jaccard(one: Span, other: Span) -> float:
    common = min(one[1], other[1]) - max(one[0], other[0])
    return max(common, 0) / (max(one[1], other[1]) - min(one[0], other[0])) if one[2] == other[2] else 0.0


@settings(max_examples=150)
@given(documents)
def test_both_f1_are_those_of_matching_every_pair_of_documents_by_hand(found: dict[tuple[str, str], set[Span]]) -> None:
    report = measured(*((task, who, spans(*marked)) for (task, who), marked in found.items()), draws=2)

    expected = by_brute_force(found)
    for name in ("exact", "overlap"):
        assert value(report, f"span_f1_{name}") == (
            None if expected[name] is None else pytest.approx(expected[name], abs=1e-9)
        )


@settings(max_examples=60)
@given(documents)
def test_names_and_the_order_of_rows_change_no_byte(found: dict[tuple[str, str], set[Span]]) -> None:
    names = {"a1": "zoe", "a2": "amy", "a3": "kim", "d": "t9", "e": "t1"}
    rows = [(task, who, spans(*sorted(marked))) for (task, who), marked in found.items()]
    renamed = [(names[task], names[who], spans(*sorted(found[task, who], reverse=True))) for task, who in found][::-1]

    report, other = measured(*rows, draws=50), measured(*renamed, draws=50)

    assert report.document()["statistics"] == other.document()["statistics"]
    assert report.document()["classes"] == other.document()["classes"]
    # t9 is d and t1 is e: the order of the tasks turns round with their names.
    if len(report.tasks) == 2:
        np.testing.assert_array_equal(report.task_agreement, other.task_agreement[::-1])


def test_work_in_small_chunks_gives_the_same() -> None:
    generator = np.random.default_rng(3)
    rows = []
    for task in range(30):
        for who in range(4):
            starts = np.unique(generator.integers(0, 40, 8))
            rows.append((f"t{task}", f"a{who}", spans(*((int(s), int(s) + 6, "PER") for s in starts))))
    judgements = SpanJudgements.from_values(rows, categories=CLASSES)
    pairs = answer_pairs(
        judgements.annotators,
        task_index=judgements.task_index,
        annotator_index=judgements.annotator_index,
        n_tasks=len(judgements.tasks),
    )
    groups = span_groups(judgements)

    for measure in (equal_spans, overlap_of_spans):
        whole, parts = (measure(judgements, pairs, groups, chunk=chunk) for chunk in (10**9, 50))
        assert whole.sum() > 0
        assert whole.tolist() == parts.tolist()


def test_columns_and_values_of_the_same_judgements_are_the_same() -> None:
    columns = {"label": ["PER", None, "ORG", "PER"], "start": [0, None, 4, 9], "end": [3, None, 8, 12]}
    read = SpanJudgements.from_columns(["d", "d", "e", "d"], ["ann", "bob", "ann", "ann"], columns, categories=CLASSES)
    given_ = SpanJudgements.from_values(
        [
            ("e", "ann", spans((4, 8, "ORG"))),
            ("d", "bob", spans()),
            ("d", "ann", spans((9, 12, "PER"), (0, 3, "PER"))),
        ],
        categories=CLASSES,
    )

    assert (read.tasks, read.annotators, read.n_judgements) == (("d", "e"), ("ann", "bob"), 3)
    for name in ("task_index", "annotator_index", "judgement_index", "label_index", "start", "end"):
        assert getattr(read, name).tolist() == getattr(given_, name).tolist()


@pytest.mark.parametrize(
    ("value_", "message"),
    [
        (spans((5, 5, "PER")), "row 2: found a span from 5 to 5, expected an end after the start"),
        (spans((5, 3, "PER")), "row 2: found a span from 5 to 3"),
        (spans((-1, 3, "PER")), "row 2: found start -1, expected a whole number from 0"),
        (spans((0, 3, "XXX")), "row 2: found label 'XXX', expected one of 'PER'"),
        (spans((0, 3, "PER"), (0, 3, "PER")), "row 2: found the span 'PER' 0 to 3"),
        ({"spans": [{"label": "PER", "start": 0.5, "end": 3}]}, "start and end as whole numbers"),
        ({"spans": [{"label": "PER", "start": True, "end": 3}]}, "start and end as whole numbers"),
        ({"spans": [{"label": None, "start": 0, "end": 3}]}, "expected a label as text"),
        ({"spans": "none"}, 'row 2: found .* expected {"spans"'),
        ({"label": "PER"}, 'row 2: found .* expected {"spans"'),
    ],
)
def test_a_value_that_is_no_set_of_spans_is_refused_with_its_row(value_: JsonObject, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        SpanJudgements.from_values([("d", "ann", spans()), ("d", "bob", value_)], categories=CLASSES)


def test_one_annotator_twice_on_one_document_is_refused() -> None:
    with pytest.raises(InvalidInput, match="row 2: found a second judgement of annotator 'ann' on task 'd'"):
        SpanJudgements.from_values([("d", "ann", spans()), ("d", "ann", spans())], categories=CLASSES)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": ["PER", None], "start": [0, None], "end": [3, None]}, "row 2: found that nothing was marked by"),
        ({"label": ["PER", "PER"], "start": [0, None], "end": [3, 5]}, "row 2: found a span that lacks"),
        ({"label": [None, "PER"], "start": [0, 4], "end": [3, 5]}, "row 1: found a span that lacks"),
        ({"label": ["PER", "PER"], "start": [0, 0], "end": [3, 3]}, "row 2: found the span 'PER' 0 to 3"),
        ({"label": ["PER", "PER"], "start": [0, 1.5], "end": [3, 3]}, "row 2: found start 1.5"),
        ({"label": ["PER", "PER"], "start": [0, "1"], "end": [3, 3]}, "start: found values of mixed types"),
        ({"label": ["PER", "PER"], "start": ["0", "1"], "end": [3, 3]}, "start: found values of type"),
        ({"label": ["PER", "PER"], "start": [0, 1], "end": [3, 10**12]}, "row 2: found end 1e\\+12"),
        ({"label": ["PER", "PER"], "start": [0], "end": [3, 4]}, "expected the same number"),
    ],
)
def test_columns_that_are_no_spans_are_refused_with_their_row(columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        SpanJudgements.from_columns(["d", "d"], ["ann", "ann"], columns, categories=CLASSES)


@pytest.mark.parametrize("ids", [["d", ""], ["d", None]])
def test_an_empty_id_is_refused(ids: list[str]) -> None:
    columns = {"label": [None, None], "start": [None, None], "end": [None, None]}

    with pytest.raises(InvalidInput, match="row 2: found task_id"):
        SpanJudgements.from_columns(ids, ["ann", "bob"], columns, categories=CLASSES)


@pytest.mark.parametrize(("confidence", "draws"), [(0.0, 10), (1.0, 10), (0.9, 0)])
def test_an_impossible_interval_is_refused(confidence: float, draws: int) -> None:
    judgements = SpanJudgements.from_values([("d", "ann", spans())], categories=CLASSES)

    with pytest.raises(InvalidInput, match=r"confidence|draws"):
        agreement_of_spans(judgements, confidence=confidence, seed=0, draws=draws)
