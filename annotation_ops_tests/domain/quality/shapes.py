"""Boxes, polygons and masks for the tests of agreement and consensus."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from annotation_ops.domain.quality.agreement.boxes import BoxJudgements
from annotation_ops.domain.quality.agreement.report import AgreementReport

Rows = list[tuple[str, str, dict[str, Any]]]
Answers = dict[tuple[str, str], list[dict[str, Any]]]
"""Shapes by task and annotator."""
SHARED = (
    "mean_iou_penalised",
    "mean_iou_matched",
    "f1_at_50",
    "f1_at_75",
    "f1_averaged",
    "label_agreement_on_matches",
    "both_empty_share",
)


def box(corners: Sequence[float], label: str = "cat") -> dict[str, Any]:
    return {"label": label, **dict(zip(("x_min", "y_min", "x_max", "y_max"), corners, strict=True))}


def polygon(points: Sequence[Sequence[float]], label: str = "cat") -> dict[str, Any]:
    return {"label": label, "points": [list(point) for point in points]}


def outline(corners: Sequence[float], label: str = "cat") -> dict[str, Any]:
    """A box as a polygon."""
    left, low, right, high = corners
    return polygon([(left, low), (right, low), (right, high), (left, high)], label)


def mask(pixels: np.ndarray, label: str = "cat") -> dict[str, Any]:
    """Run lengths down the columns, background first, as COCO writes them."""
    flat = pixels.astype(np.int8).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=0))
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"label": label, "size": list(pixels.shape), "counts": counts}


def pixels(shape: dict[str, Any]) -> np.ndarray:
    """The other way round."""
    values = np.arange(len(shape["counts"])) % 2 == 1
    return np.repeat(values, shape["counts"]).reshape(shape["size"], order="F")


def rows(key: str, answers: Answers) -> Rows:
    return [(task, annotator, {key: shapes}) for (task, annotator), shapes in answers.items()]


def boxes_of(answers: Answers) -> BoxJudgements:
    return BoxJudgements.from_values(rows("boxes", answers), categories=["cat", "dog"])


def value(report: AgreementReport, name: str) -> float:
    found = report.statistics[name].value
    assert found is not None, f"{name}: {report.statistics[name].reason}"
    return found


def values(report: AgreementReport) -> dict[str, float | None]:
    return {name: statistic.value for name, statistic in report.statistics.items()}


# Few whole coordinates make ties, touching boxes and repeated boxes common.
CORNERS = st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(1, 5), st.integers(1, 5)).map(
    lambda found: (found[0], found[1], found[0] + found[2], found[1] + found[3])
)
BOXES = st.builds(box, CORNERS, st.sampled_from(["cat", "dog"]))
ANSWERS = st.dictionaries(
    st.tuples(st.sampled_from(["t1", "t2", "t3"]), st.sampled_from(["ann", "bob", "cy"])),
    st.lists(BOXES, max_size=5),
    min_size=1,
    max_size=9,
)
