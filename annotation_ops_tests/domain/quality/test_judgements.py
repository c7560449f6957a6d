import numpy as np
import pytest

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
