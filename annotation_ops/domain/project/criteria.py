"""Acceptance criteria: what a batch must show to pass."""

from dataclasses import dataclass
from typing import Literal, cast, get_args

from annotation_ops.domain.project.reading import Parsed, Reader, parse_document

DecisionMode = Literal["point", "not_worse", "evidence"]
ConsensusMethod = Literal["weighted_vote", "majority"]

STATISTICS = (
    "percent_agreement",
    "cohen_kappa",
    "weighted_kappa_linear",
    "weighted_kappa_quadratic",
    "fleiss_kappa",
    "krippendorff_alpha_nominal",
    "krippendorff_alpha_ordinal",
    "krippendorff_alpha_interval",
    "gwet_ac1",
    "gwet_ac2",
    "mean_iou_matched",
    "mean_iou_penalised",
    "f1_at_50",
    "f1_at_75",
    "span_f1_exact",
    "span_f1_overlap",
    "exact_match",
)
OVERLAP_OF_SHAPES = frozenset({"mean_iou_matched", "mean_iou_penalised", "f1_at_50", "f1_at_75"})
DEFAULT_THRESHOLD = 0.85
DEFAULT_THRESHOLD_OF_SHAPES = 0.80


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


def parse_criteria(text: str, *, file: str = "criteria.yaml") -> Parsed[Criteria]:
    """`criteria.yaml` as a record, or every fault in it."""
    return parse_document(text, _read, file=file)


def _read(reader: Reader) -> Criteria:
    statistic = reader.choice("statistic", STATISTICS)
    usual = DEFAULT_THRESHOLD_OF_SHAPES if statistic in OVERLAP_OF_SHAPES else DEFAULT_THRESHOLD
    threshold = reader.number("threshold", low=0, high=1, open_ends="low", default=usual)
    mode = cast("DecisionMode", reader.choice("mode", get_args(DecisionMode), default="not_worse"))
    return Criteria(
        version=reader.version(),
        statistic=statistic,
        threshold=threshold,
        mode=mode,
        margin=_read_margin(reader, mode=mode, threshold=threshold),
        confidence=reader.number("confidence", low=0.5, high=1, open_ends="low high", default=0.95),
        max_share_below=reader.number("max_share_below", low=0, high=1, default=0.15),
        task_threshold=reader.number("task_threshold", low=0, high=1, default=0.33),
        critical_class_agreement=reader.number("critical_class_agreement", low=0, high=1, default=0.8),
        min_confidence=reader.number("min_confidence", low=0, high=1, default=0.6),
        consensus=cast(
            "ConsensusMethod", reader.choice("consensus", get_args(ConsensusMethod), default="weighted_vote")
        ),
        min_overlap_tasks=reader.integer("min_overlap_tasks", low=1, high=100_000, default=20),
    )


def _read_margin(reader: Reader, *, mode: DecisionMode, threshold: float) -> float:
    """The margin counts in the mode not_worse only, where it must leave something of the threshold."""
    margin = reader.number("margin", low=0, high=1, default=min(0.05, threshold / 2))
    if mode == "not_worse" and "margin" in reader.content and not 0 < margin < threshold:
        reader.wrong("margin", f"a number above 0 and below the threshold {threshold:g}")
    return margin
