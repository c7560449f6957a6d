"""Acceptance criteria: what a batch must show to pass."""

from dataclasses import dataclass
from typing import Literal, cast, get_args

from annotation_ops.domain.project.reading import Parsed, Reader, parse_document

DecisionMode = Literal["point", "not_worse", "evidence"]
ConsensusMethod = Literal[
    "ensemble",
    "weighted_vote",
    "majority",
    "one_coin",
    "dawid_skene",
    "hierarchical_dawid_skene",
    "model_assisted",
    "crowdlab",
]

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
    "f1_averaged",
    "mean_dice",
    "panoptic_quality",
    "span_f1_exact",
    "span_f1_overlap",
    "exact_match",
)
OVERLAP_OF_SHAPES = frozenset(
    {"mean_iou_matched", "mean_iou_penalised", "f1_at_50", "f1_at_75", "f1_averaged", "mean_dice", "panoptic_quality"}
)
SHARES_TOLERANCE = 1e-6
"""Shares written with a few digits sum to 1 only nearly."""
DEFAULT_THRESHOLD = 0.85
DEFAULT_THRESHOLD_OF_SHAPES = 0.80


@dataclass(frozen=True, slots=True)
class MixCriteria:
    """When a batch's label mix counts as shifted: significantly, and by an effect worth a person's time."""

    expected: tuple[tuple[str, float], ...]
    """Label -> expected share, summing to 1; empty compares with the earlier accepted batches of the project."""
    alpha: float
    """Probability that a batch with the expected mix is called shifted."""
    min_effect: float
    """Cramer's V below this is nobody's concern, however significant."""


@dataclass(frozen=True, slots=True)
class GoldCriteria:
    """What people must score on tasks whose answer is known."""

    min_score: float
    min_tasks: int
    """Fewer judged gold tasks than this decide nothing."""


@dataclass(frozen=True, slots=True)
class AuditCriteria:
    """The spot audit: seniors judge a stratified draw of the labels blind."""

    before_publishing: bool
    """Whether a batch that passed waits for its audit; otherwise only milestones are audited."""
    tolerable_error: float
    """Largest share of wrong labels; the audit passes when the evidence excludes more."""
    confidence: float
    floor: float
    """Smallest share of the labels to audit, whatever the plan says."""
    milestones: bool
    """Whether all published labels are audited when a new model version is registered."""


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
    label_mix: MixCriteria | None = None
    gold: GoldCriteria | None = None
    audit: AuditCriteria | None = None


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
        consensus=cast("ConsensusMethod", reader.choice("consensus", get_args(ConsensusMethod), default="ensemble")),
        min_overlap_tasks=reader.integer("min_overlap_tasks", low=1, high=100_000, default=20),
        label_mix=_read_mix(reader),
        gold=_read_gold(reader),
        audit=_read_audit(reader),
    )


def _read_mix(reader: Reader) -> MixCriteria | None:
    section = reader.section("label_mix", required=False)
    if section is None:
        return None
    shares = section.section("expected", required=False)
    names = sorted(shares.content) if shares is not None else []
    expected = tuple((name, shares.number(name, low=0, high=1)) for name in names) if shares is not None else ()
    if shares is not None and abs(sum(share for _, share in expected) - 1.0) > SHARES_TOLERANCE:
        section.wrong("expected", f"shares that sum to 1, not to {sum(share for _, share in expected):g}")
    mix = MixCriteria(
        expected=expected,
        alpha=section.number("alpha", low=0, high=0.5, open_ends="low", default=0.01),
        min_effect=section.number("min_effect", low=0, high=1, default=0.1),
    )
    section.close()
    return mix


def _read_gold(reader: Reader) -> GoldCriteria | None:
    section = reader.section("gold", required=False)
    if section is None:
        return None
    gold = GoldCriteria(
        min_score=section.number("min_score", low=0, high=1, open_ends="low", default=0.9),
        min_tasks=section.integer("min_tasks", low=1, high=100_000, default=20),
    )
    section.close()
    return gold


def _read_audit(reader: Reader) -> AuditCriteria | None:
    section = reader.section("audit", required=False)
    if section is None:
        return None
    audit = AuditCriteria(
        before_publishing=section.flag("before_publishing", default=True),
        tolerable_error=section.number("tolerable_error", low=0, high=0.5, open_ends="low", default=0.05),
        confidence=section.number("confidence", low=0.5, high=1, open_ends="low high", default=0.95),
        floor=section.number("floor", low=0, high=1, default=0.05),
        milestones=section.flag("milestones", default=True),
    )
    section.close()
    return audit


def _read_margin(reader: Reader, *, mode: DecisionMode, threshold: float) -> float:
    """The margin counts in the mode not_worse only, where it must leave something of the threshold."""
    margin = reader.number("margin", low=0, high=1, default=min(0.05, threshold / 2))
    if mode == "not_worse" and "margin" in reader.content and not 0 < margin < threshold:
        reader.wrong("margin", f"a number above 0 and below the threshold {threshold:g}")
    return margin
