"""One answer a task, fused from several structured ones: boxes, polygons, masks, spans or a text."""

from dataclasses import dataclass

from annotation_ops.domain.quality.statistic import rounded
from annotation_ops.domain.records import JsonObject


@dataclass(frozen=True, slots=True)
class FusedAnswer:
    """The shape of `value` is that of the judgements it came from."""

    task_id: str
    value: JsonObject | None
    """None where the answers cannot be fused at all."""
    confidence: float
    """0 to 1; what it measures is said by the function that fused."""
    n_annotators: int
    """Annotators who answered, also those who found nothing."""
    needs_human: bool
    agreement: float | None
    """Mean agreement of the annotators with the fused answer, 0 to 1; None with fewer than two annotators."""

    def document(self) -> JsonObject:
        """The value as it is; floats rounded, never NaN."""
        return {
            "task_id": self.task_id,
            "value": self.value,
            "confidence": rounded(self.confidence),
            "n_annotators": self.n_annotators,
            "needs_human": self.needs_human,
            "agreement": rounded(self.agreement),
        }
