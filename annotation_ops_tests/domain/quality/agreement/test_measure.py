from typing import get_args

import pytest

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.contract import TaskType
from annotation_ops.domain.quality.agreement.measure import judgements_from_values, measure
from annotation_ops.domain.records import JsonObject

BOX = {"label": "a", "x_min": 0, "y_min": 0, "x_max": 2, "y_max": 2}
VALUES: dict[str, tuple[JsonObject, str]] = {
    "classification": ({"label": "a"}, "percent_agreement"),
    "ordinal": ({"label": "a"}, "percent_agreement"),
    "boxes": ({"boxes": [BOX]}, "mean_iou_penalised"),
    "polygons": ({"polygons": [{"label": "a", "points": [[0, 0], [2, 0], [2, 2]]}]}, "mean_iou_penalised"),
    "masks": ({"masks": [{"label": "a", "size": [2, 2], "counts": [1, 2, 1]}]}, "mean_iou_penalised"),
    "spans": ({"spans": [{"label": "a", "start": 0, "end": 2}]}, "span_f1_exact"),
    "text": ({"text": "a"}, "exact_match"),
}


@pytest.mark.parametrize("task_type", get_args(TaskType))
def test_two_equal_answers_agree_completely_in_every_task_type(task_type: str) -> None:
    value, name = VALUES[task_type]
    judgements = judgements_from_values(task_type, [("t", "ann", value), ("t", "bob", value)], categories=("a", "b"))

    report = measure(judgements, seed=0, draws=50, ordered=task_type == "ordinal")

    assert report.task_type == task_type
    assert report.statistics[name].value == 1.0
    assert report.task_agreement.tolist() == [1.0]
    assert (judgements.tasks, judgements.annotators, judgements.n_judgements) == (("t",), ("ann", "bob"), 2)


@pytest.mark.parametrize("task_type", get_args(TaskType))
def test_the_value_of_another_task_type_is_refused_with_its_row(task_type: str) -> None:
    other = {"label": "a"} if task_type not in ("classification", "ordinal") else {"text": "a"}

    with pytest.raises(InvalidInput, match="row 2"):
        judgements_from_values(
            task_type, [("t", "ann", VALUES[task_type][0]), ("t", "bob", other)], categories=("a", "b")
        )


def test_an_unknown_task_type_lists_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="found 'audio', expected one of classification, ordinal, boxes"):
        judgements_from_values("audio", [], categories=("a",))


@pytest.mark.parametrize("task_type", get_args(TaskType))
def test_no_judgements_at_all_are_said_in_every_statistic(task_type: str) -> None:
    report = measure(judgements_from_values(task_type, [], categories=("a", "b")), seed=0, draws=5)

    assert {statistic.reason for statistic in report.statistics.values()} == {"no_judgements"}
    assert (report.n_tasks, report.n_judgements, len(report.pairs)) == (0, 0, 0)
