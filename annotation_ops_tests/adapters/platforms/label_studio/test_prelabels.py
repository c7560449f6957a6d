"""Prelabels on a real server: seen by those who review, in queues of their own, and by nobody else."""

from dataclasses import replace
from typing import Any

import pytest

from annotation_ops.adapters.platforms.label_studio.answers import value_of
from annotation_ops.adapters.platforms.label_studio.platform import LabelStudio
from annotation_ops.adapters.platforms.label_studio.queues import PRELABELS
from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.records import JsonObject
from annotation_ops.ports.annotation_platform import TaskSpec
from annotation_ops_tests.adapters.platforms.label_studio.bench import CONNECTION, LabelStudioBench
from annotation_ops_tests.contracts.annotation_platform import items_from

pytestmark = pytest.mark.slow


def offered(bench: LabelStudioBench, person: str) -> list[dict[str, Any]]:
    """What "Label All Tasks" opens first, in each of the person's queues."""
    one = bench.crew[person]
    return [one.call("GET", f"/api/projects/{queue}/next") for queue in one.queues()]


def test_a_reviewer_sees_the_answer_so_far_and_annotates_other_work_without_one(bench: LabelStudioBench) -> None:
    project_id = bench.platform.ensure_project(bench.spec).project_id
    plain, shown = (replace(task, assignees=("ann",)) for task in bench.tasks(2, overlap=1))
    bench.platform.create_tasks(project_id, [plain, replace(shown, prelabel={"label": bench.spec.labels[3]})])

    first, second = offered(bench, "ann")

    assert first["predictions"] == []
    [prediction] = second["predictions"]
    assert prediction["model_version"] == PRELABELS
    assert value_of(prediction["result"], task_type="classification") == {"label": bench.spec.labels[3]}
    [plain_queue, review_queue] = [
        bench.client.get(f"/api/projects/{number}/") for number in bench.crew["ann"].queues()
    ]
    assert (plain_queue["show_collab_predictions"], review_queue["show_collab_predictions"]) == (False, True)
    assert review_queue["model_version"] == PRELABELS
    assert "Review." in review_queue["expert_instruction"]
    assert "Review." not in plain_queue["expert_instruction"]
    assert bench.platform.ensure_project(bench.spec).mended == ()


def test_submitting_what_is_shown_gives_the_same_value_back(bench: LabelStudioBench) -> None:
    boxes: JsonObject = {"boxes": [{"label": "cat", "x_min": 1.0, "y_min": 2.0, "x_max": 33.333333, "y_max": 20.5}]}
    spec = replace(bench.spec, name=f"{bench.spec.name}-boxes", task_type="boxes", labels=("cat", "dog"))
    platform = LabelStudio(bench.client, replace(CONNECTION, picture_size=lambda _: (97, 61)))
    project_id = platform.ensure_project(spec).project_id
    task = TaskSpec("key-boxes", {"image": "https://pictures.example/1.png"}, ("bob",), prelabel=boxes)
    platform.create_tasks(project_id, [task])
    [shown] = [one for one in offered(bench, "bob") if one["predictions"]]
    [prediction] = shown["predictions"]
    bench.crew["bob"].call("POST", f"/api/tasks/{shown['id']}/annotations/", {"result": prediction["result"]})

    [item] = items_from(platform, project_id)

    assert item.value == boxes


def test_shapes_need_a_picture_to_be_placed_on(bench: LabelStudioBench) -> None:
    spec = replace(bench.spec, name=f"{bench.spec.name}-unseen", task_type="boxes", labels=("cat",))
    project_id = bench.platform.ensure_project(spec).project_id
    task = TaskSpec("key", {"image": "https://pictures.example/1.png"}, ("bob",), prelabel={"boxes": []})

    with pytest.raises(InvalidInput, match="no store to look at it"):
        bench.platform.create_tasks(project_id, [task])
    assert bench.platform.find_tasks(project_id, ["key"]) == {}
