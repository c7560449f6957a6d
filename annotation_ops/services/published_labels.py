"""What the feature table says now: each sample's current label, and which of them are sure enough to test people with."""

import json
from collections.abc import Mapping
from typing import Any

from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.records import JsonObject, Task, content_key
from annotation_ops.domain.tables import LABEL_FEATURES
from annotation_ops.ports.lake import Lake

GOLD = "gold:"
"""A task whose answer is known: its selection reason is this mark and the JSON of the answer."""

SURE_JUDGES = 3
"""A label that this many people gave, and nobody else another, may test others: two may share a mistake."""


def current_labels(project: AnnotationProject, *, lake: Lake) -> dict[str, dict[str, Any]]:
    """Sample id -> its newest row in the feature table, by sample id; deleted labels are left out."""
    newest: dict[str, dict[str, Any]] = {}
    if lake.version(LABEL_FEATURES) is None:
        return newest
    for batch in lake.scan(LABEL_FEATURES, partition={"project": project.name}):
        for row in batch.to_pylist():
            known = newest.get(row["entity_id"])
            order = (row["event_timestamp"], row["label_revision"])
            if known is None or (known["event_timestamp"], known["label_revision"]) < order:
                newest[row["entity_id"]] = row
    return {entity: row for entity, row in sorted(newest.items()) if not row["is_deleted"]}


def gold_rows(project: AnnotationProject, batch_id: str, *, tasks: int, lake: Lake) -> list[Mapping[str, Any]]:
    """Hidden gold tasks for a batch of so many others, drawn by a hash of batch and sample; fewer where few labels are sure.

    Nothing that the platform sees tells them from the others.
    """
    wanted = round(tasks * project.workflow.gold_share)
    if wanted == 0:
        return []
    sure = sure_labels(project, lake=lake).values()
    drawn = sorted(sure, key=lambda row: content_key("gold task", batch_id, row["entity_id"]))[:wanted]
    return [gold_row(row) for row in drawn]


def sure_labels(project: AnnotationProject, *, lake: Lake) -> dict[str, dict[str, Any]]:
    """Sample id -> its row in the feature table, where the label is sure enough to test people with."""
    return {
        entity: row
        for entity, row in current_labels(project, lake=lake).items()
        if row["n_annotators"] >= SURE_JUDGES and row["agreement"] == 1.0
    }


def gold_row(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row of the feature table as a task whose answer is known."""
    return {
        "sample_id": row["entity_id"],
        "digest": row["content_digest"],
        "uri": row["source_uri"],
        "slices": row["slices"],
        "selection_reason": GOLD + json.dumps(json.loads(row["label_json"]), sort_keys=True),
        "inclusion_probability": None,
        "uncertainty": None,
    }


def known_answer(task: Task) -> JsonObject | None:
    """The answer of a gold task; None for any other task."""
    if not task.selection_reason.startswith(GOLD):
        return None
    answer: JsonObject = json.loads(task.selection_reason.removeprefix(GOLD))
    return answer
