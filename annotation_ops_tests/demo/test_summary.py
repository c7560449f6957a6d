from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from annotation_ops.demo import digits
from annotation_ops.demo.summary import lines
from annotation_ops.demo.training import newest_labels

SUMMARY: dict[str, Any] = {
    "seconds": 20.5,
    "dagster_runs": 24,
    "batches": [
        {"batch": "2026-01-05-active-01.a1", "tasks": 60, "verdict": "FAIL", "state": "requeued"}
        | {"value": 0.712, "low": 0.6, "high": 0.8, "why": "krippendorff_alpha_nominal 0.712 is below 0.85."},
        {"batch": "2026-01-06-active-01.a1", "tasks": 60, "verdict": None, "state": "in_annotation"}
        | {"value": None, "low": None, "high": None, "why": None},
    ],
    "labels": {"in_feature_table": 10, "truly_wrong": 1, "false_judgements_caught": 2, "judgements": 30},
    "accuracy": [{"model_version": "3", "slice": "scanner:c", "first": 0.9, "last": 0.2, "windows": 9}],
    "incidents": [],
    "against_random": {"labels_spent": 10, "accuracy_reached": 0.95, "random_labels_needed_median": 30},
}
INCIDENT = {
    "incident": "ebe765662410a0eda69f738fe9929f9c",
    "slices": ["scanner:c"],
    "state": "unresolved",
    "relabel_batch": "2026-01-15-relabel-01",
}


def test_a_batch_shows_its_verdict_with_the_interval_it_was_made_on() -> None:
    (row,) = [line for line in lines(SUMMARY) if "active-01.a1" in line and "2026-01-05" in line]

    assert row.split() == ["2026-01-05-active-01.a1", "60", "FAIL", "0.712", "(0.600", "to", "0.800)", "requeued"]


def test_a_batch_that_was_not_judged_shows_dashes_instead_of_numbers() -> None:
    (row,) = [line for line in lines(SUMMARY) if "2026-01-06" in line]

    assert row.split() == ["2026-01-06-active-01.a1", "60", "–", "–", "in_annotation"]


def test_an_incident_that_retraining_did_not_mend_is_said_to_be_unresolved() -> None:
    text = "\n".join(lines(SUMMARY | {"incidents": [INCIDENT]}))

    assert "incident ebe765662410: scanner:c fell; relabel batch 2026-01-15-relabel-01; unresolved" in text
    assert "resolved" not in "\n".join(lines(SUMMARY))


def test_wrong_labels_are_not_hidden() -> None:
    assert any("10 labels in the feature table, 1 of them truly wrong" in line for line in lines(SUMMARY))


def row(entity: str, day: int, *, revision: int = 1, label: str = "1", deleted: bool = False) -> dict[str, object]:
    stamp = datetime(2026, 1, day, tzinfo=UTC)
    return {"entity_id": entity, "event_timestamp": stamp, "label_revision": revision} | {
        "label": label,
        "is_deleted": deleted,
    }


def test_training_takes_the_newest_revision_of_a_label() -> None:
    rows = [row("b", 5, label="2"), row("a", 6, revision=2, label="7"), row("a", 6, label="1"), row("a", 5, label="3")]

    assert [(r["entity_id"], r["label"]) for r in newest_labels(rows)] == [("a", "7"), ("b", "2")]


def test_training_leaves_out_a_label_that_was_taken_back() -> None:
    assert newest_labels([row("a", 5), row("a", 5, revision=2, deleted=True)]) == []


@pytest.mark.parametrize("seed", [0, 1])
def test_production_traffic_the_pool_and_the_seed_set_share_no_image(seed: int) -> None:
    world = digits.load(seed=seed)
    parts = [set(world.seed_set), set(world.held_out), set(world.pool)]

    assert sum(len(part) for part in parts) == len(set.union(*parts)) == 1797


def test_an_image_keeps_its_pixels_as_a_png_up_to_one_grey_level() -> None:
    from io import BytesIO

    from PIL import Image

    world = digits.load(seed=0)
    with Image.open(BytesIO(digits.png(world.pixels[3]))) as image:
        back = np.asarray(image, dtype=np.float64).reshape(-1) / 255.0

    assert np.abs(back - world.pixels[3]).max() <= 0.5 / 255
