import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.judgements import Judgements


def test_counts_say_how_many_annotators_gave_each_label_to_each_task() -> None:
    rows = [("t2", "a", "cat"), ("t1", "b", "dog"), ("t1", "a", "dog"), ("t1", "c", "cat")]

    judgements = Judgements.from_rows(rows, categories=("cat", "dog", "bird"))

    assert judgements.tasks == ("t1", "t2")
    assert judgements.counts().tolist() == [[1, 2, 0], [1, 0, 0]]
    assert judgements.overlapping().tolist() == [True, False]


def test_pairs_are_all_pairs_within_a_task_and_none_across_tasks() -> None:
    rows = [("t1", "a", "x"), ("t1", "b", "x"), ("t1", "c", "x"), ("t2", "a", "x"), ("t2", "b", "x"), ("t3", "a", "x")]
    judgements = Judgements.from_rows(rows, categories=["x"])

    first, second = judgements.pairs()

    found = {
        (int(judgements.task_index[i]), int(judgements.annotator_index[i]), int(judgements.annotator_index[j]))
        for i, j in zip(first, second, strict=True)
    }
    assert found == {(0, 0, 1), (0, 0, 2), (0, 1, 2), (1, 0, 1)}
    assert len(first) == 4


@pytest.mark.parametrize(
    ("rows", "categories", "message"),
    [
        ([("t", "a", "x"), ("t", "b", "z")], ["x", "y"], r"row 2: found label 'z', expected one of 'x', 'y'"),
        ([("t", "a", None)], ["x"], r"row 1: found label None"),
        (
            [("t", "a", "x"), ("u", "a", "x"), ("t", "a", "y")],
            ["x", "y"],
            r"row 3: found a second judgement of .*'a'.*row 1",
        ),
        ([("", "a", "x")], ["x"], r"row 1: found task_id ''"),
        ([("t", None, "x")], ["x"], r"row 1: found annotator_id None"),
        ([], [], r"categories: found \[\]"),
        ([], ["x", "x"], r"categories: found \['x', 'x'\]"),
    ],
)
def test_unusable_rows_are_refused_with_the_row_what_was_found_and_what_was_expected(rows, categories, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        Judgements.from_rows(rows, categories=categories)


def test_no_rows_are_an_empty_batch_not_an_error() -> None:
    judgements = Judgements.from_rows([], categories=["x", "y"])

    assert judgements.n_judgements == 0
    assert judgements.counts().shape == (0, 2)
    assert [len(side) for side in judgements.pairs()] == [0, 0]


def test_an_id_that_only_looks_equal_is_another_id() -> None:
    judgements = Judgements.from_rows([("t", "a", "x"), ("t ", "a", "x")], categories=["x"])

    assert np.all(judgements.per_task() == 1)


TASKS = ["t2", "t1", "t1", "t10", "t2"]
PEOPLE = ["a", "b", "a", "é", "b"]
LABELS = ["dog", "cat", "dog", "dog", "cat"]


def dictionaries(column: list[str]) -> pa.ChunkedArray:
    """Two chunks whose dictionaries differ, repeat nothing, and name a text no row has."""
    return pa.chunked_array(
        [
            pa.array(column[:2]).dictionary_encode(),
            pa.DictionaryArray.from_arrays(
                pa.array([["unused", *column[2:]].index(text) for text in column[2:]], pa.int32()),
                pa.array(["unused", *column[2:]]),
            ),
        ]
    )


@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        lambda column: np.array(column, dtype=object),
        np.array,
        pa.array,
        lambda column: pa.array(column, pa.large_string()),
        lambda column: pa.chunked_array([column[:1], [], column[1:]]),
        lambda column: pa.array(column).dictionary_encode(),
        dictionaries,
    ],
    ids=["list", "tuple", "object", "str", "arrow", "large", "chunks", "dictionary", "dictionaries"],
)
def test_every_form_of_column_gives_the_judgements_of_its_rows(form) -> None:
    expected = Judgements.from_rows(zip(TASKS, PEOPLE, LABELS, strict=True), categories=["cat", "dog"])

    found = Judgements.from_columns(form(TASKS), form(PEOPLE), form(LABELS), categories=["cat", "dog"])

    assert (found.tasks, found.annotators) == (("t1", "t10", "t2"), ("a", "b", "é"))
    for name in ("task_index", "annotator_index", "label_index"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()
    assert found.label_index.tolist() == [1, 0, 1, 1, 0]


@pytest.mark.parametrize(
    ("tasks", "people", "labels", "message"),
    [
        (["t", "u"], ["a", "a"], ["x", "q"], r"row 2: found label 'q', expected one of 'x', 'y'"),
        (["t", "u"], ["a", "a"], ["x", None], r"row 2: found label None"),
        (["t", "u"], ["a", "a"], [b"x", "x"], r"row 1: found label b'x'"),
        (["t", "u", ""], ["a", "a", "a"], ["x", "x", "x"], r"row 3: found task_id ''"),
        (["t", None], ["a", "a"], ["x", "x"], r"row 2: found task_id None, expected a text that is not empty"),
        (["t", "u"], ["a", 7], ["x", "x"], r"row 2: found annotator_id 7"),
        (["t", "u"], ["a", float("nan")], ["x", "x"], r"row 2: found annotator_id nan"),
        (["t", "\udc80"], ["a", "a"], ["x", "x"], r"row 2: found task_id '\\udc80'"),
        (["t", "u", "t", "w"], ["a"] * 4, ["x", "x", "y", "q"], r"row 3: found a second .*'a' on task 't' .*row 1\)"),
        (["t", "u", "t"], ["a"] * 3, ["q", "x", "y"], r"row 1: found label 'q'"),
        (["t", "u"], ["a"], ["x", "x"], r"task_id with 2, annotator_id with 1, label with 2 rows"),
    ],
)
def test_unusable_columns_are_refused_at_their_first_bad_row(tasks, people, labels, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        Judgements.from_columns(tasks, people, labels, categories=["x", "y"])


def test_numbers_and_nulls_in_arrays_are_refused_as_in_rows() -> None:
    with pytest.raises(InvalidInput, match="row 1: found task_id 5"):
        Judgements.from_columns(np.array([5, 6]), np.array(["a", "a"]), np.array(["x", "x"]), categories=["x"])
    nulls = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(["t", None]))
    with pytest.raises(InvalidInput, match="row 2: found task_id None"):
        Judgements.from_columns(nulls, pa.array(["a", "a"]), pa.array(["x", "x"]), categories=["x"])


def test_empty_columns_are_an_empty_batch() -> None:
    for empty in ([], pa.array([], pa.string()), pa.chunked_array([], pa.string()), np.array([], dtype=object)):
        assert Judgements.from_columns(empty, empty, empty, categories=["x"]).n_judgements == 0


@settings(max_examples=50)
@given(st.dictionaries(st.tuples(st.text("abé", min_size=1), st.text("pq", min_size=1)), st.sampled_from("xyz")))
def test_rows_come_back_from_their_judgements_sorted_by_task_and_annotator(judged) -> None:
    found = Judgements.from_rows([(*key, label) for key, label in judged.items()], categories="xyz")

    rows = [
        ((found.tasks[task], found.annotators[person]), found.categories[label])
        for task, person, label in zip(
            found.task_index.tolist(), found.annotator_index.tolist(), found.label_index.tolist(), strict=True
        )
    ]
    assert rows == sorted(judged.items())


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8), st.sampled_from("xy")), unique_by=lambda row: row[:2]))
def test_blocks_of_pairs_are_the_pairs_and_agreeing_counts_the_others_with_the_same_label(rows) -> None:
    judgements = Judgements.from_rows([(f"t{t}", f"a{a}", label) for t, a, label in rows], categories="xy")
    task, label = judgements.task_index, judgements.label_index
    expected = {(i, j) for i in range(len(task)) for j in range(i + 1, len(task)) if task[i] == task[j]}

    found = [
        pair for part in judgements.pair_blocks(size=3) for pair in zip(*map(np.ndarray.tolist, part), strict=True)
    ]

    assert len(found) == len(expected)
    assert set(found) == expected
    assert judgements.agreeing().tolist() == [
        sum(label[i] == label[j] for j in range(len(task)) if j != i and task[j] == task[i]) for i in range(len(task))
    ]


def test_agreeing_judgements_are_counted_alike_with_few_and_very_many_categories() -> None:
    rows = [(f"t{t}", f"a{a}", str((t * a) % 3)) for t in range(40) for a in range(4)]

    few, many = (
        Judgements.from_rows(rows, categories=[str(label) for label in range(q)]).agreeing() for q in (3, 5000)
    )

    assert few.tolist() == many.tolist()


def test_a_selection_keeps_only_the_tasks_and_annotators_it_has_judgements_of() -> None:
    rows = [("t1", "a", "x"), ("t1", "b", "y"), ("t2", "c", "x"), ("t3", "a", "y")]

    chosen = Judgements.from_rows(rows, categories=["x", "y"]).by({"a", "c", "nobody"})

    assert (chosen.tasks, chosen.annotators) == (("t1", "t2", "t3"), ("a", "c"))
    assert chosen.task_index.tolist() == [0, 1, 2]
    assert chosen.annotator_index.tolist() == [0, 1, 0]
    assert chosen.label_index.tolist() == [0, 0, 1]
