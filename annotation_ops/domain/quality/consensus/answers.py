"""The consensus of any task type as one kind of answer, ready to be published."""

from annotation_ops.domain.project.criteria import ConsensusMethod
from annotation_ops.domain.quality.agreement.boxes import BoxJudgements
from annotation_ops.domain.quality.agreement.masks import MaskJudgements
from annotation_ops.domain.quality.agreement.measure import AnyJudgements
from annotation_ops.domain.quality.agreement.polygons import PolygonJudgements
from annotation_ops.domain.quality.agreement.span_judgements import SpanJudgements
from annotation_ops.domain.quality.consensus.consensus_label import ConsensusLabel
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.quality.consensus.fused_boxes import fuse_boxes
from annotation_ops.domain.quality.consensus.fused_masks import fuse_masks
from annotation_ops.domain.quality.consensus.fused_polygons import fuse_polygons
from annotation_ops.domain.quality.consensus.fused_spans import fuse_spans
from annotation_ops.domain.quality.consensus.fused_texts import fuse_texts
from annotation_ops.domain.quality.consensus.methods import consensus
from annotation_ops.domain.quality.judgements import FloatArray, Judgements


def consensus_answers(
    judgements: AnyJudgements, *, method: ConsensusMethod, predictions: FloatArray | None = None
) -> tuple[FusedAnswer, ...]:
    """One answer a task, in task order; what nobody can settle but a person is marked so.

    `method` and `predictions`, see `consensus`, are for labels; shapes, spans and texts are fused by equal votes.
    """
    if isinstance(judgements, Judgements):
        return tuple(_answer(label) for label in consensus(judgements, method=method, predictions=predictions))
    if isinstance(judgements, BoxJudgements):
        return fuse_boxes(judgements)
    if isinstance(judgements, PolygonJudgements):
        return fuse_polygons(judgements)
    if isinstance(judgements, MaskJudgements):
        return fuse_masks(judgements)
    return fuse_spans(judgements) if isinstance(judgements, SpanJudgements) else fuse_texts(judgements)


def _answer(label: ConsensusLabel) -> FusedAnswer:
    value = None if label.label is None else {"label": label.label}
    return FusedAnswer(label.task_id, value, label.confidence, label.n_annotators, label.tie, label.agreement)
