"""Who needs calibration, and why: skill below what is required, drift, or less than the cohort.

A flag asks for training and recertification. It needs evidence that survives the number of people and classes looked at, and
at least `least_judgements`; with less, the only answer is `needs_more_evidence`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.judgements import BoolArray
from annotation_ops.domain.records import JsonObject
from annotation_ops.domain.workforce.drift import Drift
from annotation_ops.domain.workforce.false_discovery import benjamini_hochberg
from annotation_ops.domain.workforce.skill import AnnotatorSkill, Evidence
from annotation_ops.domain.workforce.standing import Standing
from annotation_ops.domain.workforce.status import AnnotatorStatus


@dataclass(frozen=True, slots=True)
class FlagRules:
    minimum: float = 0.8
    """Required accuracy."""
    class_minimum: float = 0.6
    """Required accuracy on each class."""
    confidence: float = 0.95
    """1 - the expected share of unfounded flags (false discovery rate) among those of one kind."""
    cohort_margin: float = 0.1
    """An annotator this far below the mean of the others of the cohort differs from it."""
    least_judgements: int = 20
    """Compared judgements below which nobody is flagged: with fewer, the worst 15 % are not told from the rest."""

    def __post_init__(self) -> None:
        for name in ("minimum", "class_minimum", "confidence", "cohort_margin"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise InvalidInput(f"{name}: found {value}, expected a number between 0 and 1.")
        if self.least_judgements < 1:
            raise InvalidInput(f"least_judgements: found {self.least_judgements}, expected at least 1.")


@dataclass(frozen=True, slots=True)
class FlagReason:
    code: str
    """`below_minimum`, `class_below_minimum`, `drift`, `below_cohort`, `few_judgements`, `no_reference`, or the code of
    the standing."""
    text: str
    label: str | None = None
    """The class, for `class_below_minimum`."""


@dataclass(frozen=True, slots=True)
class Assessment:
    annotator_id: str
    status: AnnotatorStatus
    reasons: tuple[FlagReason, ...]
    """What speaks against, or why more evidence is needed; the standing's reason otherwise."""
    probability_below: float | None
    """P(accuracy < minimum); None where the accuracy is undefined."""

    def document(self) -> JsonObject:
        return {
            "annotator_id": self.annotator_id,
            "status": self.status.value,
            "reasons": [{"code": one.code, "text": one.text, "label": one.label} for one in self.reasons],
            "probability_below": None if self.probability_below is None else round(self.probability_below, 9),
        }


def assess(
    skills: Sequence[AnnotatorSkill],
    *,
    drifts: Sequence[Drift] = (),
    cohorts: Mapping[str, str] | None = None,
    standings: Mapping[str, Standing] | None = None,
    rules: FlagRules,
) -> tuple[Assessment, ...]:
    """One assessment an annotator of `skills`, in the same order.

    `cohorts` and `standings` are by annotator_id. Flags come first, then what the standing says, then the lack of evidence;
    somebody without a standing and without a flag is `uncertified`. False discovery is controlled over people for accuracy,
    drift and cohort each, and over people x classes for classes.
    """
    enough = np.array([_compared(person) >= rules.least_judgements for person in skills], dtype=np.bool_)
    reasons: dict[str, list[FlagReason]] = defaultdict(list)
    for found in (
        _below_minimum(skills, enough, rules),
        _class_below_minimum(skills, enough, rules),
        [(one.annotator_id, _drift_reason(one)) for one in drifts if one.drifting and one.n >= rules.least_judgements],
        _below_cohort(skills, enough, cohorts or {}, rules),
    ):
        for annotator, reason in found:
            reasons[annotator].append(reason)
    return tuple(
        _assessment(
            person,
            tuple(reasons[person.annotator_id]),
            standing=(standings or {}).get(person.annotator_id),
            rules=rules,
        )
        for person in skills
    )


def _compared(person: AnnotatorSkill) -> int:
    return person.n_gold + person.n_consensus


def _believed(tails: Sequence[float], rules: FlagRules) -> BoolArray:
    return benjamini_hochberg(np.array(tails, dtype=np.float64), rate=1.0 - rules.confidence)


def _tail(evidence: Evidence | None, line: float) -> float:
    """P(at least `line`): what a flag bets against."""
    return 1.0 if evidence is None else 1.0 - evidence.probability_below(line)


def _below_minimum(
    skills: Sequence[AnnotatorSkill], enough: BoolArray, rules: FlagRules
) -> list[tuple[str, FlagReason]]:
    asked = [person for person, many in zip(skills, enough.tolist(), strict=True) if many]
    believed = _believed([_tail(person.evidence, rules.minimum) for person in asked], rules)
    return [
        (
            person.annotator_id,
            FlagReason(
                "below_minimum",
                f"accuracy {_percent(person.accuracy.value)} "
                f"({_percent(person.accuracy.low)} to {_percent(person.accuracy.high)}, "
                f"{person.accuracy.n} judgements), required {_percent(rules.minimum)}",
            ),
        )
        for person, one in zip(asked, believed.tolist(), strict=True)
        if one
    ]


def _class_below_minimum(
    skills: Sequence[AnnotatorSkill], enough: BoolArray, rules: FlagRules
) -> list[tuple[str, FlagReason]]:
    asked = [
        (person.annotator_id, item)
        for person, many in zip(skills, enough.tolist(), strict=True)
        if many
        for item in person.classes
        if item.evidence is not None
    ]
    believed = _believed([_tail(item.evidence, rules.class_minimum) for _, item in asked], rules)
    return [
        (
            annotator,
            FlagReason(
                "class_below_minimum",
                f"{item.label}: accuracy {_percent(item.accuracy.value)} "
                f"({_percent(item.accuracy.low)} to {_percent(item.accuracy.high)}, about {item.accuracy.n} judgements), "
                f"required {_percent(rules.class_minimum)}",
                item.label,
            ),
        )
        for (annotator, item), one in zip(asked, believed.tolist(), strict=True)
        if one
    ]


def _drift_reason(found: Drift) -> FlagReason:
    return FlagReason(
        "drift",
        f"accuracy fell from {_percent(found.before.value)} to {_percent(found.after.value)} "
        f"after about {found.since} of {found.n} judgements",
    )


def _below_cohort(
    skills: Sequence[AnnotatorSkill], enough: BoolArray, cohorts: Mapping[str, str], rules: FlagRules
) -> list[tuple[str, FlagReason]]:
    members: dict[str, list[AnnotatorSkill]] = defaultdict(list)
    for person, many in zip(skills, enough.tolist(), strict=True):
        if many and person.accuracy.value is not None and person.annotator_id in cohorts:
            members[cohorts[person.annotator_id]].append(person)
    asked: list[tuple[AnnotatorSkill, float]] = []
    for cohort in sorted(members):
        accuracy = np.array([person.accuracy.value for person in members[cohort]], dtype=np.float64)
        n = len(accuracy)
        for person, own in zip(members[cohort], accuracy.tolist(), strict=True):
            if n > 1:
                asked.append((person, (float(accuracy.sum()) - own) / (n - 1)))
    believed = _believed(
        [_tail(person.evidence, max(mean - rules.cohort_margin, 0.0)) for person, mean in asked], rules
    )
    return [
        (
            person.annotator_id,
            FlagReason(
                "below_cohort",
                f"accuracy {_percent(person.accuracy.value)}, the others of the cohort {_percent(mean)} on average",
            ),
        )
        for (person, mean), one in zip(asked, believed.tolist(), strict=True)
        if one
    ]


def _assessment(
    person: AnnotatorSkill, reasons: tuple[FlagReason, ...], *, standing: Standing | None, rules: FlagRules
) -> Assessment:
    below = None if person.evidence is None else person.evidence.probability_below(rules.minimum)
    status = AnnotatorStatus.FLAGGED
    if not reasons:
        status, reasons = _without_flag(person, standing=standing, rules=rules)
    return Assessment(person.annotator_id, status, reasons, below)


def _without_flag(
    person: AnnotatorSkill, *, standing: Standing | None, rules: FlagRules
) -> tuple[AnnotatorStatus, tuple[FlagReason, ...]]:
    if standing is not None and standing.status is not AnnotatorStatus.UNCERTIFIED:
        return standing.status, (FlagReason(standing.code, standing.reason),)
    compared = _compared(person)
    if person.evidence is None:
        text = f"no judgement could be compared ({person.accuracy.reason}): assign gold tasks or overlap"
        return AnnotatorStatus.NEEDS_MORE_EVIDENCE, (FlagReason("no_reference", text),)
    if compared < rules.least_judgements:
        text = f"{compared} judgements compared, {rules.least_judgements} are needed before anything is said"
        return AnnotatorStatus.NEEDS_MORE_EVIDENCE, (FlagReason("few_judgements", text),)
    if standing is not None:
        return standing.status, (FlagReason(standing.code, standing.reason),)
    text = "nothing speaks against the work; no calibration round yet"
    return AnnotatorStatus.UNCERTIFIED, (FlagReason("never_calibrated", text),)


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0%}"
