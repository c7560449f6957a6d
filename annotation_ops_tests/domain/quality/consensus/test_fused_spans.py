import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.span_judgements import SpanJudgements
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.quality.consensus.fused_spans import fuse_spans

Span = tuple[int, int, str]
CLASSES = ("PER", "ORG")


def judged(*documents: tuple[str, str, list[Span]]) -> SpanJudgements:
    rows = [
        (task, who, {"spans": [{"label": label, "start": start, "end": end} for start, end, label in spans]})
        for task, who, spans in documents
    ]
    return SpanJudgements.from_values(rows, categories=CLASSES)


def found(answer: FusedAnswer) -> list[Span]:
    assert answer.value is not None
    return [(span["start"], span["end"], span["label"]) for span in answer.value["spans"]]


def test_spans_of_two_of_three_are_kept_with_boundaries_that_somebody_marked() -> None:
    (answer,) = fuse_spans(
        judged(
            ("d", "ann", [(0, 5, "PER"), (30, 35, "ORG")]),
            ("d", "bob", [(0, 5, "PER"), (10, 18, "ORG")]),
            ("d", "cy", [(0, 7, "PER"), (10, 16, "ORG")]),
        )
    )

    assert found(answer) == [(0, 5, "PER"), (10, 18, "ORG")]
    assert not answer.needs_human
    support = (1 * (1 + 1 + 5 / 7) / 3, 2 / 3 * (1 + 6 / 8) / 2, 1 - 1 / 3)
    assert answer.confidence == pytest.approx(sum(support) / 3)


def test_a_span_of_one_of_two_annotators_is_left_out_and_a_person_asked() -> None:
    (answer,) = fuse_spans(judged(("d", "ann", [(0, 5, "PER")]), ("d", "bob", [])))

    assert (found(answer), answer.needs_human, answer.confidence) == ([], True, 0.5)


def test_two_labels_for_one_place_go_to_a_person() -> None:
    (answer,) = fuse_spans(judged(("d", "ann", [(0, 5, "PER")]), ("d", "bob", [(0, 5, "ORG")]), ("d", "cy", [])))

    assert (found(answer), answer.needs_human) == ([], True)


def test_agreeing_that_there_is_nothing_is_settled() -> None:
    (answer,) = fuse_spans(judged(("d", "ann", []), ("d", "bob", [])))

    assert (found(answer), answer.needs_human, answer.confidence, answer.agreement) == ([], False, 1.0, 1.0)


def test_one_annotator_alone_is_taken_over_and_a_person_asked() -> None:
    (answer,) = fuse_spans(judged(("d", "ann", [(2, 4, "ORG")])))

    assert (found(answer), answer.needs_human, answer.agreement) == ([(2, 4, "ORG")], True, None)


def test_weights_decide_between_two() -> None:
    judgements = judged(("d", "ann", [(0, 5, "PER")]), ("d", "bob", []))

    (answer,) = fuse_spans(judgements, weights={"ann": 2.0, "bob": 1.0})

    assert (found(answer), answer.needs_human) == ([(0, 5, "PER")], False)
    with pytest.raises(InvalidInput, match="'bob'"):
        fuse_spans(judgements, weights={"ann": 1.0})


marked = st.sets(
    st.tuples(st.integers(0, 9), st.integers(1, 6), st.sampled_from(CLASSES)).map(
        lambda span: (span[0], span[0] + span[1], span[2])
    ),
    max_size=4,
)


@settings(max_examples=80)
@given(st.lists(marked, min_size=2, max_size=4))
def test_every_fused_span_was_marked_by_somebody_and_occurs_once(people: list[set[Span]]) -> None:
    (answer,) = fuse_spans(judged(*(("d", f"a{at}", sorted(spans)) for at, spans in enumerate(people))))

    fused = found(answer)
    assert set(fused) <= set.union(*people)
    assert len(set(fused)) == len(fused)
    assert 0.0 <= answer.confidence <= 1.0
    by_all = set.intersection(*people)
    if all(len(spans) == len(by_all) for spans in people):
        assert set(fused) == by_all
