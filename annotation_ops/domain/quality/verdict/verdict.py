"""What a verdict says: the outcome, its reasons and all the evidence behind it."""

from collections.abc import Mapping
from dataclasses import dataclass

from annotation_ops.domain.project.criteria import Criteria
from annotation_ops.domain.quality.agreement.report import AnnotatorAgreement, ClassAgreement
from annotation_ops.domain.quality.planning.top_up import TopUpOrder
from annotation_ops.domain.quality.statistic import Statistic, documents, rounded
from annotation_ops.domain.quality.verdict.evidence import Evidence
from annotation_ops.domain.quality.verdict.gates import Outcome, Reason
from annotation_ops.domain.records import JsonObject


@dataclass(frozen=True, slots=True)
class ClassFinding:
    """Agreement on one class, and what it meant for the verdict."""

    measured: ClassAgreement
    critical: bool
    outcome: Outcome | None
    """None when the class did not take part in the decision."""

    def document(self) -> JsonObject:
        outcome = None if self.outcome is None else self.outcome.value
        return {**self.measured.document(), "critical": self.critical, "outcome": outcome}


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    reasons: tuple[Reason, ...]
    """Those that decided come first; a PASS has reasons too."""
    criteria: Criteria
    criteria_hash: str | None
    statistics: Mapping[str, Statistic]
    probability: float | None
    """Posterior probability that the criteria's statistic reaches its threshold."""
    prevalence_index: float | None
    bias_index: float | None
    paradox: bool
    """Classes were so unequal that class agreement decided instead of the statistic alone."""
    classes: tuple[ClassFinding, ...]
    annotators: tuple[AnnotatorAgreement, ...]
    tasks_below: tuple[str, ...]
    """Ids of the overlapping tasks whose agreement is below `task_threshold`."""
    share_below: Statistic
    evidence: Evidence
    """What was known beside the judgements."""
    top_up: TopUpOrder | None
    """What an INSUFFICIENT verdict orders; None when a person decides."""

    def document(self) -> JsonObject:
        """The verdict JSON of docs/interface.md; floats rounded, never NaN, the same bytes for the same input."""
        return {
            "verdict": self.outcome.value,
            "reasons": [{"code": reason.code, "text": reason.text} for reason in self.reasons],
            "criteria": {"version": self.criteria.version, "hash": self.criteria_hash},
            "statistics": documents(self.statistics.items()),
            "probability": rounded(self.probability),
            "prevalence_index": rounded(self.prevalence_index),
            "bias_index": rounded(self.bias_index),
            "paradox": self.paradox,
            "classes": [item.document() for item in self.classes],
            "annotators": [item.document() for item in self.annotators],
            "tasks_below": list(self.tasks_below),
            "share_below": self.share_below.document(),
            **self.evidence.document(),
            "top_up": None if self.top_up is None else self.top_up.document(),
        }
