from typing import get_args

import numpy as np
import pytest

from annotation_ops.domain.project.contract import TaskType
from annotation_ops.domain.quality.agreement.measure import judgements_from_values
from annotation_ops.domain.quality.consensus.answers import consensus_answers
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.records import JsonObject
from annotation_ops_tests.domain.quality.agreement.test_measure import VALUES


@pytest.mark.parametrize("task_type", get_args(TaskType))
def test_two_equal_answers_are_the_consensus_of_every_task_type(task_type: str) -> None:
    value, _ = VALUES[task_type]
    judgements = judgements_from_values(task_type, [("t", "ann", value), ("t", "bob", value)], categories=("a", "b"))

    (answer,) = consensus_answers(judgements, method="majority")

    # An outline may begin at any of its points and run either way.
    assert _shape(answer.value) == _shape(value)
    assert (answer.task_id, answer.n_annotators, answer.needs_human) == ("t", 2, False)
    assert (answer.confidence, answer.agreement) == (1.0, 1.0)


def _shape(value: JsonObject | None) -> JsonObject | None:
    if value is None or "polygons" not in value:
        return value
    return {"polygons": [{**one, "points": sorted(map(tuple, one["points"]))} for one in value["polygons"]]}


def test_a_model_speaks_where_people_do_not_settle_it() -> None:
    rows = [("t", "ann", "a"), ("t", "bob", "b")] + [(f"u{at}", who, "ab"[at % 2]) for at in range(40) for who in "xyz"]
    judgements = Judgements.from_rows(rows, categories=("a", "b"))
    predictions = np.array([[0.02, 0.98]] + [[0.98, 0.02] if at % 2 == 0 else [0.02, 0.98] for at in range(40)])
    order = ["t", *(f"u{at}" for at in range(40))]
    aligned = predictions[[order.index(task) for task in judgements.tasks]]

    answers = {
        answer.task_id: answer for answer in consensus_answers(judgements, method="model_assisted", predictions=aligned)
    }
    alone = {answer.task_id: answer for answer in consensus_answers(judgements, method="majority")}

    assert alone["t"].value is None
    assert answers["t"].value == {"label": "b"}
