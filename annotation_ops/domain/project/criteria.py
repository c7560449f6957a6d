"""Acceptance criteria: what a batch must show to pass."""

from dataclasses import dataclass
from typing import Literal

DecisionMode = Literal["point", "not_worse", "evidence"]
ConsensusMethod = Literal["weighted_vote", "majority"]


@dataclass(frozen=True, slots=True)
class Criteria:
    version: str
    statistic: str
    """A name of docs/interface.md: `krippendorff_alpha_nominal`, `cohen_kappa`, `fleiss_kappa`, `gwet_ac1`, `percent_agreement`."""
    threshold: float
    mode: DecisionMode
    """point: the estimate decides. not_worse: PASS if the estimate reaches the threshold and the evidence excludes
    threshold - margin. evidence: PASS only when P(statistic >= threshold) >= confidence."""
    margin: float
    confidence: float
    max_share_below: float
    """Largest share of tasks whose agreement lies below `task_threshold`; more rejects the whole batch."""
    task_threshold: float
    critical_class_agreement: float
    """Smallest class-specific agreement of a critical label."""
    min_confidence: float
    """Gold labels less sure than this go to a human."""
    consensus: ConsensusMethod
    min_overlap_tasks: int
    """Fewer tasks with two or more judgements than this is INSUFFICIENT."""
