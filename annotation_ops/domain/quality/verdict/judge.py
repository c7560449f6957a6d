"""The verdict on one batch: PASS, FAIL or INSUFFICIENT, with the evidence and reasons a manager understands."""

from dataclasses import replace

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.criteria import Criteria
from annotation_ops.domain.project.taxonomy import Taxonomy
from annotation_ops.domain.quality.agreement.measure import AnyJudgements, measure
from annotation_ops.domain.quality.agreement.report import DRAWS, AgreementReport
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.quality.planning.top_up import TopUpOrder, order_top_up
from annotation_ops.domain.quality.statistic import Statistic
from annotation_ops.domain.quality.verdict.class_guards import (
    LENIENT,
    class_finding,
    class_reason,
    few_minority_answers,
    is_paradox,
    under_paradox,
    unseen,
    with_class_top_up,
)
from annotation_ops.domain.quality.verdict.evidence import Evidence, findings
from annotation_ops.domain.quality.verdict.gates import Finding, Outcome, Reason, decide, share_below, shown, worst
from annotation_ops.domain.quality.verdict.verdict import ClassFinding, Verdict

MISSING = {
    "no_judgements": "the batch has no judgements",
    "no_overlap": "no task was judged by two annotators",
    "not_two_annotators": "it needs exactly two annotators; choose fleiss_kappa or krippendorff_alpha_nominal",
    "single_category": "everybody used one and the same label, so agreement by chance is complete",
}


def judge(
    judgements: AnyJudgements,
    *,
    criteria: Criteria,
    taxonomy: Taxonomy,
    seed: int,
    criteria_hash: str | None = None,
    evidence: Evidence | None = None,
) -> Verdict:
    """Judge a whole batch. FAIL beats INSUFFICIENT beats PASS among the statistic, the task share, the classes and the
    further evidence.

    Too few overlapping tasks is INSUFFICIENT before anything else is asked. An undefined statistic never passes by
    itself. Give only judgements that were asked for at random: others bias agreement. Raises InvalidInput when the
    criteria name a statistic that the task type does not have, or the judgements' categories are not the taxonomy's
    labels in its order.
    """
    report = measure(judgements, confidence=criteria.confidence, seed=seed, ordered=taxonomy.ordered)
    _check(judgements, report, criteria, taxonomy)
    known = evidence or Evidence()
    if known.class_top_up and isinstance(judgements, Judgements):
        report = with_class_top_up(report, judgements, evidence=known, confidence=criteria.confidence, seed=seed)
    share, share_draws, below = share_below(report, criteria=criteria, seed=seed, draws=DRAWS)
    critical = {label.name: label.critical for label in taxonomy.labels}
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
        classes=tuple(ClassFinding(item, critical[item.label], None) for item in report.classes),
        annotators=report.annotators,
        tasks_below=below,
        share_below=share,
        evidence=known,
        top_up=None,
    )
    lacking = max(criteria.min_overlap_tasks, 1) - report.n_overlap_tasks
    if lacking > 0:
        possible = report.n_tasks >= report.n_overlap_tasks + lacking
        return replace(draft, top_up=_top_up(draft, report, wanted=lacking) if possible else None)
    shared = decide(-(share.value or 0.0), draws=-share_draws, threshold=-criteria.max_share_below, criteria=criteria)
    share_finding = Finding(shared, _share_reason(shared, share, criteria))
    return _settled(draft, report, answered=_answered(judgements, report), share=share_finding)


def _settled(draft: Verdict, report: AgreementReport, *, answered: frozenset[str], share: Finding) -> Verdict:
    criteria = draft.criteria
    statistic = _statistic_finding(report, criteria)
    paradox = is_paradox(report, criteria, statistic.outcome)
    classes = tuple(class_finding(item, report, criteria, answered=answered, strict=paradox) for item in draft.classes)
    measured = [under_paradox(statistic, classes, report, criteria) if paradox else statistic, share]
    measured += [
        Finding(item.outcome, class_reason(item, criteria, strict=paradox))
        for item in classes
        if item.outcome is not None and (item.critical or item.outcome is not Outcome.PASS)
    ]
    found = [*measured, *findings(draft.evidence, criteria)]
    outcome = worst(tuple(finding.outcome for finding in found))
    ordered = sorted(found, key=lambda finding: finding.outcome is not outcome)
    reasons = tuple(finding.reason for finding in ordered) + unseen(classes)
    verdict = replace(draft, outcome=outcome, reasons=reasons, paradox=paradox, classes=classes)
    more_helps = any(finding.outcome is Outcome.INSUFFICIENT for finding in measured)
    if outcome is Outcome.INSUFFICIENT and more_helps:
        return replace(verdict, top_up=_top_up(verdict, report, wanted=0))
    return verdict


def _top_up(verdict: Verdict, report: AgreementReport, *, wanted: int) -> TopUpOrder | None:
    open_classes = [one.measured.label for one in verdict.classes if one.outcome is Outcome.INSUFFICIENT]
    return order_top_up(
        draws=report.draws.get(verdict.criteria.statistic),
        threshold=verdict.criteria.threshold,
        n=report.n_overlap_tasks,
        wanted=wanted,
        classes=open_classes,
        earlier_rounds=verdict.evidence.earlier_rounds,
        limits=verdict.evidence.limits,
    )


def _check(judgements: AnyJudgements, report: AgreementReport, criteria: Criteria, taxonomy: Taxonomy) -> None:
    if criteria.statistic not in report.statistics:
        raise InvalidInput(
            f"criteria {criteria.version}: found statistic {criteria.statistic!r}, expected one of "
            f"{', '.join(report.statistics)}. Correct the name in the criteria."
        )
    if judgements.categories != taxonomy.names:
        raise InvalidInput(
            f"judgements: found categories {list(judgements.categories)}, expected those of taxonomy {taxonomy.version}, "
            f"{list(taxonomy.names)}. Read the judgements with the taxonomy's names."
        )


def _answered(judgements: AnyJudgements, report: AgreementReport) -> frozenset[str]:
    """Labels that anybody gave, on a task of overlap or not."""
    if isinstance(judgements, Judgements):
        return frozenset(judgements.categories[at] for at in set(judgements.label_index.tolist()))
    return frozenset(item.label for item in report.classes if item.n_judgements)


def _statistic_finding(report: AgreementReport, criteria: Criteria) -> Finding:
    name, statistic = criteria.statistic, report.statistics[criteria.statistic]
    if statistic.value is None:
        cause = MISSING.get(statistic.reason or "", statistic.reason)
        return Finding(Outcome.INSUFFICIENT, Reason("statistic_undefined", f"{name} is undefined: {cause}."))
    outcome = decide(statistic.value, draws=report.draws[name], threshold=criteria.threshold, criteria=criteria)
    if outcome is Outcome.PASS and criteria.mode != "point" and report.doubt is not None and name not in LENIENT:
        return Finding(Outcome.INSUFFICIENT, few_minority_answers(report, criteria))
    code, verb = {
        Outcome.PASS: ("agreement_reached", "reaches"),
        Outcome.FAIL: ("agreement_too_low", "is below"),
        Outcome.INSUFFICIENT: ("agreement_not_settled", "is not settled against"),
    }[outcome]
    more = " More overlapping tasks would settle it." if outcome is Outcome.INSUFFICIENT else ""
    return Finding(outcome, Reason(code, f"{name} {shown(statistic)} {verb} {criteria.threshold:g}.{more}"))


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
        f"The share of tasks whose agreement is below {criteria.task_threshold:g}, {shown(share)}, {verb} the "
        f"{criteria.max_share_below:g} allowed.",
    )
