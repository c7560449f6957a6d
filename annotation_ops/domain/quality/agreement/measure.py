"""Agreement of any task type: judgements from annotation values, and the report that fits them."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.boxes import BoxJudgements, agreement_of_boxes
from annotation_ops.domain.quality.agreement.categorical import agreement
from annotation_ops.domain.quality.agreement.masks import MaskJudgements, agreement_of_masks
from annotation_ops.domain.quality.agreement.polygons import PolygonJudgements, agreement_of_polygons
from annotation_ops.domain.quality.agreement.report import CATEGORICAL, DRAWS, AgreementReport
from annotation_ops.domain.quality.agreement.span_judgements import SpanJudgements
from annotation_ops.domain.quality.agreement.spans import agreement_of_spans
from annotation_ops.domain.quality.agreement.text_judgements import TextJudgements
from annotation_ops.domain.quality.agreement.texts import agreement_of_texts
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.records import JsonObject

AnyJudgements: TypeAlias = (
    Judgements | BoxJudgements | PolygonJudgements | MaskJudgements | SpanJudgements | TextJudgements
)

STRUCTURED: dict[
    str,
    type[BoxJudgements] | type[PolygonJudgements] | type[MaskJudgements] | type[SpanJudgements] | type[TextJudgements],
] = {
    "boxes": BoxJudgements,
    "polygons": PolygonJudgements,
    "masks": MaskJudgements,
    "spans": SpanJudgements,
    "text": TextJudgements,
}
"""Task types whose answers are more than one label."""


def judgements_from_values(
    task_type: str, rows: Iterable[tuple[str, str, JsonObject]], *, categories: Sequence[str]
) -> AnyJudgements:
    """Judgements from (task_id, annotator_id, value) rows, counted from 1; `task_type` is one of the contract's.

    The value is {"label": ...} for classification and ordinal, {"boxes"|"polygons"|"masks"|"spans": [...]} or
    {"text": ...}. Raises InvalidInput on an unknown task type and on every value its judgements refuse.
    """
    if task_type in CATEGORICAL:
        labels = ((task, annotator, _label(at, value)) for at, (task, annotator, value) in enumerate(rows, start=1))
        return Judgements.from_rows(labels, categories=categories)
    if task_type not in STRUCTURED:
        known = ", ".join((*CATEGORICAL, *STRUCTURED))
        raise InvalidInput(f"task type: found {task_type!r}, expected one of {known}. Correct the contract.")
    return STRUCTURED[task_type].from_values(rows, categories=categories)


def _label(row: int, value: JsonObject) -> str:
    label = value.get("label") if isinstance(value, dict) else None
    if not isinstance(label, str):
        raise InvalidInput(
            f'row {row}: found the value {value!r:.80}, expected {{"label": "..."}} with the label as text.'
        )
    return label


def measure(
    judgements: AnyJudgements, *, confidence: float = 0.95, seed: int, draws: int = DRAWS, ordered: bool = False
) -> AgreementReport:
    """The agreement report of any task type; `ordered` adds the statistics of ordered categories and counts for labels
    only. Raises InvalidInput when `confidence` is not inside (0, 1) or `draws` is not positive."""
    if isinstance(judgements, Judgements):
        return agreement(judgements, confidence=confidence, seed=seed, draws=draws, ordered=ordered)
    if isinstance(judgements, BoxJudgements):
        return agreement_of_boxes(judgements, confidence=confidence, seed=seed, draws=draws)
    if isinstance(judgements, PolygonJudgements):
        return agreement_of_polygons(judgements, confidence=confidence, seed=seed, draws=draws)
    if isinstance(judgements, MaskJudgements):
        return agreement_of_masks(judgements, confidence=confidence, seed=seed, draws=draws)
    if isinstance(judgements, SpanJudgements):
        return agreement_of_spans(judgements, confidence=confidence, seed=seed, draws=draws)
    return agreement_of_texts(judgements, confidence=confidence, seed=seed, draws=draws)
