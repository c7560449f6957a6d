"""The verdict on one batch: PASS, FAIL or INSUFFICIENT, with the evidence and reasons a manager understands."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.criteria import Criteria
from annotation_ops.domain.project.taxonomy import Taxonomy
from annotation_ops.domain.quality.agreement.categorical import agreement
from annotation_ops.domain.quality.agreement.coefficients import NOMINAL, ORDINAL
from annotation_ops.domain.quality.agreement.report import DRAWS, AgreementReport, AnnotatorAgreement, ClassAgreement
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.quality.statistic import Statistic, documents, rounded
from annotation_ops.domain.quality.verdict.gates import (
    Finding,
    Outcome,
    Reason,
    decide,
    decide_class,
    share_below,
    worst,
)
from annotation_ops.domain.records import JsonObject

IMBALANCED = 0.6
"""Prevalence index above which kappa-like statistics collapse and percent-like ones flatter (the kappa paradox)."""

LENIENT = frozenset({"percent_agreement", "gwet_ac1"})
"""Statistics that stay high although annotators never agree on a rare class."""

MISSING = {
    "no_judgements": "the batch has no judgements",
    "no_overlap": "no task was judged by two annotators",
    "not_two_annotators": "it needs exactly two annotators; choose fleiss_kappa or krippendorff_alpha_nominal",
    "single_category": "everybody used one and the same label, so agreement by chance is complete",
}


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
        }


def judge(
    judgements: Judgements, *, criteria: Criteria, taxonomy: Taxonomy, seed: int, criteria_hash: str | None = None
) -> Verdict:
    """Judge a whole batch. FAIL beats INSUFFICIENT beats PASS among the statistic, the task share and the classes.

    Too few overlapping tasks is INSUFFICIENT before anything else is asked. An undefined statistic never passes by
    itself. Raises InvalidInput when the criteria name an unknown statistic, or the judgements' categories are not the
    taxonomy's labels in its order.
    """
    _check(judgements, criteria, taxonomy)
    report = agreement(judgements, confidence=criteria.confidence, seed=seed, ordered=taxonomy.ordered)
    share, share_draws, below = share_below(report, criteria=criteria, seed=seed, draws=DRAWS)
    draft = Verdict(
        outcome=Outcome.INSUFFICIENT,
        reasons=(_too_few(report, criteria),),
        criteria=criteria,
        criteria_hash=criteria_hash,
        statistics=report.statistics,
        probability=report.probability_at_least(criteria.statistic, criteria.threshold),
        prevalence_index=report.prevalence_index,
        bias_index=report.bias_index,
        paradox=False,
        classes=tuple(
            ClassFinding(item, label.critical, None)
            for item, label in zip(report.classes, taxonomy.labels, strict=True)
        ),
        annotators=report.annotators,
        tasks_below=below,
        share_below=share,
    )
    if report.n_overlap_tasks < max(criteria.min_overlap_tasks, 1):
        return draft
    shared = decide(-(share.value or 0.0), draws=-share_draws, threshold=-criteria.max_share_below, criteria=criteria)
    return _settled(draft, report, judgements, Finding(shared, _share_reason(shared, share, criteria)))


def _settled(draft: Verdict, report: AgreementReport, judgements: Judgements, share: Finding) -> Verdict:
    criteria = draft.criteria
    statistic = _statistic_finding(report, criteria)
    paradox = _is_paradox(report, criteria, statistic.outcome)
    classes = tuple(_class_finding(item, report, judgements, criteria, strict=paradox) for item in draft.classes)
    found = [_under_paradox(statistic, classes, report, criteria) if paradox else statistic, share]
    found += [
        Finding(item.outcome, _class_reason(item, criteria))
        for item in classes
        if item.outcome is not None and (item.critical or item.outcome is not Outcome.PASS)
    ]
    outcome = worst(tuple(finding.outcome for finding in found))
    ordered = sorted(found, key=lambda finding: finding.outcome is not outcome)
    reasons = tuple(finding.reason for finding in ordered) + _unseen(classes)
    return replace(draft, outcome=outcome, reasons=reasons, paradox=paradox, classes=classes)


def _check(judgements: Judgements, criteria: Criteria, taxonomy: Taxonomy) -> None:
    known = (*NOMINAL, *(ORDINAL if taxonomy.ordered else ()))
    if criteria.statistic not in known:
        raise InvalidInput(
            f"criteria {criteria.version}: found statistic {criteria.statistic!r}, expected one of {', '.join(known)}. "
            "Correct the name in the criteria."
        )
    if judgements.categories != taxonomy.names:
        raise InvalidInput(
            f"judgements: found categories {list(judgements.categories)}, expected those of taxonomy {taxonomy.version}, "
            f"{list(taxonomy.names)}. Read the judgements with the taxonomy's names."
        )


def _statistic_finding(report: AgreementReport, criteria: Criteria) -> Finding:
    name, statistic = criteria.statistic, report.statistics[criteria.statistic]
    if statistic.value is None:
        cause = MISSING[statistic.reason or "no_overlap"]
        return Finding(Outcome.INSUFFICIENT, Reason("statistic_undefined", f"{name} is undefined: {cause}."))
    outcome = decide(statistic.value, draws=report.draws[name], threshold=criteria.threshold, criteria=criteria)
    code, verb = {
        Outcome.PASS: ("agreement_reached", "reaches"),
        Outcome.FAIL: ("agreement_too_low", "is below"),
        Outcome.INSUFFICIENT: ("agreement_not_settled", "is not settled against"),
    }[outcome]
    more = " More overlapping tasks would settle it." if outcome is Outcome.INSUFFICIENT else ""
    return Finding(outcome, Reason(code, f"{name} {_shown(statistic)} {verb} {criteria.threshold:g}.{more}"))


def _is_paradox(report: AgreementReport, criteria: Criteria, outcome: Outcome) -> bool:
    """Whether the statistic's own word cannot be taken: a low kappa, or a high AC1, on very unequal classes."""
    if report.statistics[criteria.statistic].reason == "single_category":
        return True
    if report.prevalence_index is None or report.prevalence_index <= IMBALANCED:
        return False
    return (outcome is Outcome.PASS) == (criteria.statistic in LENIENT)


def _under_paradox(
    statistic: Finding, classes: tuple[ClassFinding, ...], report: AgreementReport, criteria: Criteria
) -> Finding:
    """PASS only when a high AC1 and sound agreement on every class are proven; FAIL only when AC1 fails as well."""
    robust = report.statistics["gwet_ac1"]
    if robust.value is None or criteria.statistic in LENIENT:
        return statistic
    outcome = decide(robust.value, draws=report.draws["gwet_ac1"], threshold=criteria.threshold, criteria=criteria)
    if outcome is Outcome.FAIL and statistic.outcome is Outcome.FAIL:
        return statistic
    proven = decide(
        robust.value, draws=report.draws["gwet_ac1"], threshold=criteria.threshold, criteria=_by_evidence(criteria)
    )
    every = all(item.outcome is Outcome.PASS for item in classes if item.outcome is not None)
    settled = Outcome.PASS if proven is Outcome.PASS and every else Outcome.INSUFFICIENT
    advice = (
        "gwet_ac1 and the agreement on each class are sound, so the batch does not suffer for it"
        if settled is Outcome.PASS
        else "it neither fails nor passes the batch; overlap more tasks of the rare classes"
    )
    return Finding(
        settled,
        Reason(
            "prevalence_paradox",
            f"{statistic.reason.text} One class dominates (prevalence index {report.prevalence_index or 0.0:.2f}), which makes "
            f"this statistic unreliable; gwet_ac1 is {_shown(robust)}: {advice}.",
        ),
    )


def _class_finding(
    item: ClassFinding, report: AgreementReport, judgements: Judgements, criteria: Criteria, *, strict: bool
) -> ClassFinding:
    """Guard critical classes; under the paradox (`strict`) every class in use, and critical ones even if unused."""
    label, statistic = item.measured.label, item.measured.agreement
    if statistic.value is None:
        answered = bool((judgements.label_index == judgements.categories.index(label)).any())
        guarded = item.critical and (strict or answered)
        return replace(item, outcome=Outcome.INSUFFICIENT if guarded else None)
    if not (item.critical or strict):
        return item
    outcome = decide_class(
        statistic.value,
        draws=report.class_draws[label],
        expected_tasks=item.measured.n_judgements * report.n_overlap_tasks / _overlap_judgements(report),
        threshold=criteria.critical_class_agreement,
        criteria=_by_evidence(criteria) if strict else criteria,
    )
    if outcome is Outcome.FAIL and not item.critical:
        outcome = Outcome.INSUFFICIENT
    return replace(item, outcome=outcome)


def _by_evidence(criteria: Criteria) -> Criteria:
    return replace(criteria, mode="evidence")


def _overlap_judgements(report: AgreementReport) -> int:
    return max(1, sum(item.n_judgements for item in report.classes))


def _class_reason(item: ClassFinding, criteria: Criteria) -> Reason:
    label, statistic = item.measured.label, item.measured.agreement
    kind = "critical class" if item.critical else "class"
    if statistic.value is None:
        return Reason(
            "class_not_shown",
            f"No two annotators judged a task of {kind} {label!r}, so agreement on it is not shown. Overlap such tasks.",
        )
    code, verb = {
        Outcome.PASS: ("class_agreement_reached", "reaches"),
        Outcome.FAIL: ("class_agreement_too_low", "is below"),
        Outcome.INSUFFICIENT: ("class_agreement_not_settled", "is not shown to reach"),
    }[item.outcome or Outcome.INSUFFICIENT]
    more = " Overlap more tasks of it." if item.outcome is Outcome.INSUFFICIENT else ""
    return Reason(
        code,
        f"Agreement on {kind} {label!r} {_shown(statistic)} {verb} {criteria.critical_class_agreement:g}.{more}",
    )


def _unseen(classes: tuple[ClassFinding, ...]) -> tuple[Reason, ...]:
    return tuple(
        Reason(
            "critical_class_unused",
            f"Nobody used critical class {item.measured.label!r}: this verdict says nothing about it.",
        )
        for item in classes
        if item.critical and item.outcome is None
    )


def _too_few(report: AgreementReport, criteria: Criteria) -> Reason:
    return Reason(
        "too_few_overlap_tasks",
        f"{report.n_overlap_tasks} of {report.n_tasks} tasks have two judgements or more; "
        f"{max(criteria.min_overlap_tasks, 1)} are needed for a verdict. Ask more annotators.",
    )


def _share_reason(outcome: Outcome, share: Statistic, criteria: Criteria) -> Reason:
    code, verb = {
        Outcome.PASS: ("disputed_tasks_few", "is within"),
        Outcome.FAIL: ("disputed_tasks_many", "exceeds"),
        Outcome.INSUFFICIENT: ("disputed_tasks_not_settled", "is not settled against"),
    }[outcome]
    return Reason(
        code,
        f"The share of tasks whose agreement is below {criteria.task_threshold:g}, {_shown(share)}, {verb} the "
        f"{criteria.max_share_below:g} allowed.",
    )


def _shown(statistic: Statistic) -> str:
    if statistic.value is None or statistic.low is None or statistic.high is None:
        return "(undefined)"
    return f"{statistic.value:.3f} ({statistic.low:.3f} to {statistic.high:.3f}, {statistic.n} tasks)"
