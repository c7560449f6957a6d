import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.answer_pairs import MAX_PAIRS
from annotation_ops.domain.quality.agreement.edit_distance import Sequences, edit_distances
from annotation_ops.domain.quality.agreement.report import AgreementReport
from annotation_ops.domain.quality.agreement.text_judgements import MAX_CHARACTERS, TextJudgements, normalised
from annotation_ops.domain.quality.agreement.texts import agreement_of_texts


def measured(*rows: tuple[str, str, str], draws: int = 100) -> AgreementReport:
    judgements = TextJudgements.from_values((task, who, {"text": text}) for task, who, text in rows)
    return agreement_of_texts(judgements, seed=0, draws=draws)


def by_row(first: list[int], second: list[int]) -> int:
    """Wagner & Fischer, JACM 21:168-173 (1974)."""
    above = list(range(len(second) + 1))
    for row, one in enumerate(first, start=1):
        here = [row]
        for at, other in enumerate(second, start=1):
            here.append(min(above[at] + 1, here[-1] + 1, above[at - 1] + (one != other)))
        above = here
    return above[-1]


def sequences(*found: list[int]) -> Sequences:
    ends = np.cumsum([0, *map(len, found)])
    return Sequences(np.array([code for codes in found for code in codes], dtype=np.int32), ends)


codes = st.lists(st.integers(0, 3), max_size=12) | st.lists(st.integers(0, 3), min_size=60, max_size=140)


@settings(max_examples=60)
@given(st.lists(codes, min_size=2, max_size=3))
def test_edit_distances_are_those_of_the_textbook_table(found: list[list[int]]) -> None:
    """Lengths on both sides of the 64 elements that fit into a word."""
    first, second = (side.ravel() for side in np.indices((len(found), len(found))))

    distances = edit_distances(sequences(*found), first, second)

    assert distances.tolist() == [by_row(found[a], found[b]) for a, b in zip(first, second, strict=True)]


@settings(max_examples=60)
@given(st.integers(1, 130), st.integers(0, 129), st.integers(0, 129))
def test_a_long_text_with_two_changes_is_two_edits_away(n: int, one: int, other: int) -> None:
    text = [at % 50 for at in range(n)]
    changed = list(text)
    changed[one % n] = 99
    changed[other % n] = 98

    assert edit_distances(sequences(text, changed), np.array([0]), np.array([1])).tolist() == [
        len({one % n, other % n})
    ]


def test_the_usual_example_has_its_three_edits() -> None:
    report = measured(("t", "ann", "kitten"), ("t", "bob", "sitting"))

    assert report.statistics["character_error_rate"].value == pytest.approx(2 * 3 / (6 + 7), abs=1e-9)
    assert report.statistics["word_error_rate"].value == 1.0
    assert report.statistics["exact_match"].value == 0.0
    assert report.task_agreement[0] == pytest.approx(1 - 6 / 13, abs=1e-9)


def test_white_space_and_the_form_of_an_accent_are_no_difference_but_case_is() -> None:
    report = measured(
        ("t", "ann", " Caf\u00e9  noir\n"), ("t", "bob", "Cafe\u0301 noir"), ("u", "ann", "Yes"), ("u", "bob", "yes")
    )

    assert report.task_agreement.tolist() == pytest.approx([1.0, 2 / 3], abs=1e-9)
    assert report.statistics["exact_match"].value == 0.5
    assert report.statistics["character_error_rate"].value == pytest.approx(2 / (9 + 9 + 3 + 3), abs=1e-9)


def test_error_rates_are_pooled_over_tasks_not_averaged() -> None:
    report = measured(("t", "ann", "a" * 90), ("t", "bob", "a" * 90), ("u", "ann", "b"), ("u", "bob", "c"))

    assert report.statistics["character_error_rate"].value == pytest.approx(2 / 182, abs=1e-9)


def test_much_against_nothing_is_an_error_rate_above_one_and_an_agreement_of_zero() -> None:
    report = measured(("t", "ann", "many words"), ("t", "bob", ""))

    assert report.statistics["character_error_rate"].value == 2.0
    assert report.task_agreement.tolist() == [0.0]
    high = report.statistics["character_error_rate"].high
    assert high is not None
    assert high >= 2.0


def test_empty_texts_agree_and_leave_the_error_rate_undefined() -> None:
    report = measured(("t", "ann", ""), ("t", "bob", " "))

    assert report.task_agreement.tolist() == [1.0]
    assert report.statistics["exact_match"].value == 1.0
    assert report.statistics["word_error_rate"].reason == "nothing_annotated"


texts = st.dictionaries(
    st.tuples(st.sampled_from("tuv"), st.sampled_from("abc")), st.text("ab é", max_size=9), min_size=1, max_size=9
)


@settings(max_examples=60)
@given(texts)
def test_names_change_no_byte(found: dict[tuple[str, str], str]) -> None:
    names = {"a": "z", "b": "y", "c": "x", "t": "9", "u": "8", "v": "7"}

    report = measured(*((task, who, text) for (task, who), text in found.items()))
    other = measured(*((names[task], names[who], text) for (task, who), text in found.items()))

    assert report.document()["statistics"] == other.document()["statistics"]
    assert [one.agreement for one in report.annotators] == [one.agreement for one in other.annotators][::-1]


@given(st.text(max_size=30))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


@pytest.mark.parametrize(
    ("texts_", "message"),
    [
        (["x", None], "row 2: found value None, expected a text"),
        (["x", 7], "row 2: found value 7, expected a text"),
        (["x", "\ud800"], "row 2: found value '.ud800', expected a text"),
        (["x", "y" * (MAX_CHARACTERS + 1)], "row 2: found a text of 20,001 characters, expected at most 20,000"),
    ],
)
def test_what_is_no_text_is_refused_with_its_row(texts_: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        TextJudgements.from_columns(["t", "t"], ["ann", "bob"], {"value": texts_})


def test_a_value_of_another_task_type_is_refused_with_its_row() -> None:
    with pytest.raises(InvalidInput, match=r'row 1: found .*label.*, expected {"text"'):
        TextJudgements.from_values([("t", "ann", {"label": "x"})])


def test_one_annotator_twice_on_one_task_is_refused_with_both_rows() -> None:
    with pytest.raises(InvalidInput, match=r"row 3: found a second judgement of annotator 'ann' on task 't' .*row 1"):
        TextJudgements.from_columns(["t", "t", "t"], ["ann", "bob", "ann"], {"value": ["x", "y", "z"]})


def test_too_many_annotators_on_one_task_are_refused_before_memory_is() -> None:
    people = [f"a{at}" for at in range(5_000)]
    judgements = TextJudgements.from_columns(["t"] * 5_000, people, {"value": ["x"] * 5_000})

    with pytest.raises(InvalidInput, match=f"up to 5,000 annotators on one.*expected at most {MAX_PAIRS:,}"):
        agreement_of_texts(judgements, seed=0)


def test_ten_thousand_annotators_on_many_tasks_are_measured() -> None:
    n = 30_000
    judgements = TextJudgements.from_columns(
        [f"t{at // 3}" for at in range(n)],
        [f"a{at % 10_000}" for at in range(n)],
        {"value": ["x", "x", "y"] * (n // 3)},
    )

    report = agreement_of_texts(judgements, seed=0, draws=10)

    assert (report.n_annotators, len(report.annotators)) == (10_000, 10_000)
    assert report.statistics["exact_match"].value == pytest.approx(1 / 3, abs=1e-9)
