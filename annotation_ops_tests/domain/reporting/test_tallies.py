import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.quality.agreement.people import annotator_agreements, pair_agreements
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.reporting.tallies import (
    Tallies,
    Tally,
    added,
    needs_attention,
    proportions,
    tallies_of,
    tallies_of_document,
)

LABELS = ("cat", "dog", "fox")
Row = tuple[str, str, str]


def rows() -> st.SearchStrategy[list[Row]]:
    row = st.tuples(st.sampled_from("tuvw"), st.sampled_from("abcde"), st.sampled_from(LABELS))
    return st.lists(row, max_size=20, unique_by=lambda one: one[:2])


def tally(found: list[Row], consensus: dict[str, str] | None = None) -> Tallies:
    return tallies_of(Judgements.from_rows(found, categories=LABELS), consensus=consensus or {})


def test_an_annotator_is_compared_with_the_others_only() -> None:
    found = tally([("t", "a", "cat"), ("t", "b", "cat"), ("t", "c", "dog"), ("u", "a", "fox")])

    assert found.by_annotator == {"a": Tally(0.5, 1), "b": Tally(0.5, 1), "c": Tally(0.0, 1)}
    assert found.by_cell == {("a", "cat"): Tally(0.5, 1), ("b", "cat"): Tally(0.5, 1), ("c", "dog"): Tally(0.0, 1)}
    assert found.by_pair == {("a", "b"): Tally(1.0, 1), ("a", "c"): Tally(0.0, 1), ("b", "c"): Tally(0.0, 1)}


def test_a_confusion_has_a_direction_and_a_dispute_has_none() -> None:
    found = tally(
        [
            ("t", "a", "cat"),
            ("t", "b", "dog"),
            ("u", "a", "dog"),
            ("u", "b", "cat"),
            ("v", "a", "fox"),
            ("v", "b", "dog"),
        ],
        {"t": "cat", "u": "cat"},
    )

    assert found.by_dispute == {("cat", "dog"): 2, ("dog", "fox"): 1}
    assert found.by_confusion == {("cat", "dog"): 2}


@given(rows())
def test_tallies_of_parts_add_up_to_the_tallies_of_the_whole(found: list[Row]) -> None:
    parts = [[row for row in found if row[0] in "tu"], [row for row in found if row[0] in "vw"]]
    consensus = dict.fromkeys("tuvw", "cat")

    summed, whole = added(tally(part, consensus) for part in parts), tally(found, consensus)

    assert (summed.by_dispute, summed.by_confusion) == (whole.by_dispute, whole.by_confusion)
    for one, other in ((summed.by_cell, whole.by_cell), (summed.by_pair, whole.by_pair)):
        assert {key: value.n for key, value in one.items()} == {key: value.n for key, value in other.items()}
        assert [one[key].agreeing for key in other] == pytest.approx([value.agreeing for value in other.values()])


@given(rows())
def test_what_a_report_shows_of_people_is_what_the_agreement_report_measured(found: list[Row]) -> None:
    judgements = Judgements.from_rows(found, categories=LABELS)
    tallies = tallies_of(judgements, consensus={})

    people = proportions(tallies.by_annotator, confidence=0.95)
    pairs = proportions(tallies.by_pair, confidence=0.95)

    for person in annotator_agreements(judgements, confidence=0.95):
        shown, measured = people[person.annotator_id], person.agreement
        assert (shown.n, shown.reason) == (measured.n, measured.reason)
        assert [shown.value, shown.low, shown.high] == pytest.approx([measured.value, measured.low, measured.high])
    for pair in pair_agreements(judgements, confidence=0.95):
        first, second = pair.annotators
        shown, measured = pairs[first, second], pair.statistics["percent_agreement"]
        assert [shown.value, shown.n] == pytest.approx([measured.value, measured.n])


def test_answers_that_are_no_labels_are_tallied_from_their_agreement_document() -> None:
    iou = {"value": 0.5, "reason": None, "low": 0.4, "high": 0.6, "n": 8}
    nobody = {"value": None, "reason": "no_overlap", "low": None, "high": None, "n": 0}
    found = tallies_of_document(
        {
            "annotators": [{"annotator_id": "a", "agreement": iou}, {"annotator_id": "b", "agreement": nobody}],
            "pairs": [{"annotators": ["b", "a"], "mean_iou_matched": nobody, "mean_iou_penalised": iou}],
        }
    )

    assert found.by_annotator == {"a": Tally(4.0, 8)}
    assert found.by_pair == {("a", "b"): Tally(4.0, 8)}


def test_who_is_most_certain_to_agree_little_needs_attention_first() -> None:
    found = proportions({"unlucky": Tally(0.0, 2), "low": Tally(50.0, 100), "good": Tally(95.0, 100)}, confidence=0.95)

    assert sorted(found, key=lambda name: needs_attention(found[name])) == ["low", "unlucky", "good"]
    assert found["low"].value == 0.5
