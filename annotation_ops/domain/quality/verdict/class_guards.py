"""Class guards: rare and critical classes, and the kappa paradox (Feinstein and Cicchetti, J Clin Epidemiol 43:543, 1990)."""

from dataclasses import replace

import numpy as np

from annotation_ops.domain.project.criteria import Criteria
from annotation_ops.domain.quality.agreement.cluster_bootstrap import ratio_statistic
from annotation_ops.domain.quality.agreement.reliability import FEW_MINORITY_TASKS
from annotation_ops.domain.quality.agreement.report import DRAWS, AgreementReport
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.quality.verdict.evidence import Evidence
from annotation_ops.domain.quality.verdict.gates import Finding, Outcome, Reason, decide, decide_class, shown
from annotation_ops.domain.quality.verdict.verdict import ClassFinding

IMBALANCED = 0.6
"""Prevalence index above which kappa-like statistics collapse and percent-like ones flatter (the kappa paradox)."""

LENIENT = frozenset({"percent_agreement", "gwet_ac1", "gwet_ac2", "gwet_ac2_linear", "brennan_prediger"})
"""Statistics that stay high although annotators never agree on a rare class."""


def is_paradox(report: AgreementReport, criteria: Criteria, outcome: Outcome) -> bool:
    """Whether the statistic's own word cannot be taken: a low kappa, or a high AC1, on very unequal classes."""
    if report.statistics[criteria.statistic].reason == "single_category":
        return True
    if report.prevalence_index is None or report.prevalence_index <= IMBALANCED:
        return False
    return (outcome is Outcome.PASS) == (criteria.statistic in LENIENT)


def under_paradox(
    statistic: Finding, classes: tuple[ClassFinding, ...], report: AgreementReport, criteria: Criteria
) -> Finding:
    """PASS only when a high AC1 and sound agreement on every class are proven; FAIL only when AC1 fails as well."""
    robust = report.statistics["gwet_ac1"]
    if robust.value is None or criteria.statistic in LENIENT:
        return statistic
    if criteria.mode == "evidence" and report.doubt is not None:
        return Finding(Outcome.INSUFFICIENT, few_minority_answers(report, criteria))
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
            f"this statistic unreliable; gwet_ac1 is {shown(robust)}: {advice}.",
        ),
    )


def few_minority_answers(report: AgreementReport, criteria: Criteria) -> Reason:
    """Why a statistic that corrects for chance settles nothing here; see `interval_doubt`."""
    return Reason(
        "few_minority_answers",
        f"{criteria.statistic} {shown(report.statistics[criteria.statistic])} rests on too little: fewer than "
        f"{FEW_MINORITY_TASKS:g} tasks' worth of answers of {report.n_overlap_tasks} are outside the commonest label, so its "
        "interval cannot be relied on. Overlap more tasks of the rare classes.",
    )


def class_threshold(criteria: Criteria, *, strict: bool) -> float:
    """What the agreement on a class must reach. Where it stands in for a kappa and evidence is asked for, no less than the kappa:
    with two classes, kappa is 1 - (1 - agreement on the rare one) / (share of the common one)."""
    stands_in = strict and criteria.mode == "evidence" and criteria.statistic not in LENIENT
    return max(criteria.critical_class_agreement, criteria.threshold if stands_in else 0.0)


def class_finding(
    item: ClassFinding, report: AgreementReport, criteria: Criteria, *, answered: frozenset[str], strict: bool
) -> ClassFinding:
    """Guard critical classes; under the paradox (`strict`) every class in use, and critical ones even if unused.

    `answered` are the labels that anybody gave, overlapping or not.
    """
    label, statistic = item.measured.label, item.measured.agreement
    if statistic.value is None:
        guarded = item.critical and (strict or label in answered)
        return replace(item, outcome=Outcome.INSUFFICIENT if guarded else None)
    if not (item.critical or strict):
        return item
    outcome = decide_class(
        statistic.value,
        draws=report.class_draws[label],
        expected_tasks=item.measured.n_judgements * report.n_overlap_tasks / _overlap_judgements(report),
        threshold=class_threshold(criteria, strict=strict),
        criteria=_by_evidence(criteria) if strict else criteria,
    )
    if outcome is Outcome.FAIL and not item.critical:
        outcome = Outcome.INSUFFICIENT
    return replace(item, outcome=outcome)


def _by_evidence(criteria: Criteria) -> Criteria:
    return replace(criteria, mode="evidence")


def _overlap_judgements(report: AgreementReport) -> int:
    return max(1, sum(item.n_judgements for item in report.classes))


def class_reason(item: ClassFinding, criteria: Criteria, *, strict: bool) -> Reason:
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
        f"Agreement on {kind} {label!r} {shown(statistic)} {verb} {class_threshold(criteria, strict=strict):g}.{more}",
    )


def unseen(classes: tuple[ClassFinding, ...]) -> tuple[Reason, ...]:
    return tuple(
        Reason(
            "critical_class_unused",
            f"Nobody used critical class {item.measured.label!r}: this verdict says nothing about it.",
        )
        for item in classes
        if item.critical and item.outcome is None
    )


def with_class_top_up(
    report: AgreementReport, judgements: Judgements, *, evidence: Evidence, confidence: float, seed: int
) -> AgreementReport:
    """The report with the agreement on topped-up classes measured on the further judgements as well.

    Their tasks were chosen because somebody had given the class, so a further judgement is paired with the earlier ones
    only: the share of pairs (earlier says the class, later says it too) estimates the class's specific agreement, where
    counting it like any other judgement would overstate it.
    """
    counts = judgements.counts()
    size = counts.sum(axis=1)
    position = {task: row for row, task in enumerate(judgements.tasks)}
    later = np.zeros_like(counts)
    for task, labels in (evidence.class_top_up or {}).items():
        for label in labels:
            if task in position:
                later[position[task], judgements.categories.index(label)] += 1
    classes, draws = [], dict(report.class_draws)
    for at, item in enumerate(report.classes):
        if item.label not in evidence.topped_up_classes:
            classes.append(item)
            continue
        given = counts[:, at]
        shared = size >= 2
        agreeing = np.where(shared, given * (given - 1) / np.maximum(size - 1, 1), 0.0) + given * later[:, at]
        pairs = np.where(shared, given, 0.0) + given * later.sum(axis=1)
        statistic, drawn = ratio_statistic(agreeing, pairs, confidence=confidence, seed=seed, draws=DRAWS)
        classes.append(replace(item, agreement=statistic) if statistic.value is not None else item)
        if statistic.value is not None:
            draws[item.label] = drawn
    return replace(report, classes=tuple(classes), class_draws=draws)
