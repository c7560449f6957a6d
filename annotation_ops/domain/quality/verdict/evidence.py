"""What a verdict may rest on beside the judgements: gold tasks, the label mix, the spot audit, the contract check."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from annotation_ops.domain.project.criteria import Criteria, GoldCriteria
from annotation_ops.domain.project.workflow import TopUp
from annotation_ops.domain.quality.agreement.measure import judgements_from_values, measure
from annotation_ops.domain.quality.planning.audit_estimate import AuditResult
from annotation_ops.domain.quality.statistic import Statistic, undefined
from annotation_ops.domain.quality.verdict.gates import Finding, Outcome, Reason, shown
from annotation_ops.domain.quality.verdict.label_mix import MixTest
from annotation_ops.domain.records import JsonObject

NO_TOP_UP = TopUp(rounds=0, tasks=1)
KEY = "the gold answers"
"""Stands for an annotator who is always right; no id of a person can be it, since ids hold no spaces."""


@dataclass(frozen=True, slots=True)
class ContractCheck:
    """Whether what came back is what the contract asks for."""

    tasks: int
    unanswered: int
    """Tasks without one valid judgement."""
    quarantined: int
    """Judgements refused: an unknown label, a person who was not asked."""

    def document(self) -> JsonObject:
        return {"tasks": self.tasks, "unanswered": self.unanswered, "quarantined": self.quarantined}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Absent evidence takes no part in the verdict, except an audit that the criteria wait for."""

    gold: Statistic | None = None
    """Mean agreement of the annotators with the known answers; see `gold_score`."""
    label_mix: MixTest | None = None
    audit: AuditResult | None = None
    contract: ContractCheck | None = None
    class_top_up: Mapping[str, Sequence[str]] | None = None
    """Task -> labels of judgements that were asked for because somebody gave one of `topped_up_classes` there."""
    topped_up_classes: tuple[str, ...] = ()
    earlier_rounds: int = 0
    """Top-ups this batch attempt has had."""
    limits: TopUp = NO_TOP_UP
    """What may still be ordered; by default a person decides."""

    def document(self) -> JsonObject:
        return {
            "gold_score": None if self.gold is None else self.gold.document(),
            "label_mix": None if self.label_mix is None else self.label_mix.document(),
            "audit": None if self.audit is None else self.audit.document(),
            "contract": None if self.contract is None else self.contract.document(),
        }


def gold_score(
    answers: Iterable[tuple[str, str, JsonObject]],
    *,
    gold: Mapping[str, JsonObject],
    task_type: str,
    categories: Sequence[str],
    confidence: float,
    seed: int,
) -> Statistic:
    """How well (task, annotator, value) answers agree with the known values of their tasks: for labels the share of right
    ones, for shapes, spans and texts the mean per-task statistic. `no_gold` when no task with a known value was judged."""
    on_gold = [row for row in answers if row[0] in gold]
    if not on_gold:
        return undefined("no_gold", n=0)
    known = [(task, KEY, gold[task]) for task in sorted({row[0] for row in on_gold})]
    judgements = judgements_from_values(task_type, [*on_gold, *known], categories=categories)
    report = measure(judgements, confidence=confidence, seed=seed)
    return next(one.agreement for one in report.annotators if one.annotator_id == KEY)


def findings(evidence: Evidence, criteria: Criteria) -> list[Finding]:
    """What the further evidence says, in the order of `Evidence`."""
    found = []
    if criteria.gold is not None and evidence.gold is not None:
        found.append(_of_gold(evidence.gold, criteria.gold))
    if criteria.label_mix is not None and evidence.label_mix is not None:
        found.append(_of_mix(evidence.label_mix, declared=bool(criteria.label_mix.expected)))
    if evidence.contract is not None:
        found += _of_contract(evidence.contract)
    if evidence.audit is not None:
        found.append(_of_audit(evidence.audit))
    return found


def _of_gold(score: Statistic, criteria: GoldCriteria) -> Finding:
    least = f"{criteria.min_score:g}"
    if score.value is None or score.low is None or score.high is None:
        text = "Nobody judged a task whose answer is known, so the gold score is not known."
        return Finding(Outcome.INSUFFICIENT, Reason("gold_not_judged", text))
    if score.n < criteria.min_tasks:
        text = f"Only {score.n} gold tasks were judged ({criteria.min_tasks} are asked for): the gold score decides nothing."
        return Finding(Outcome.PASS, Reason("gold_tasks_few", text))
    if score.high < criteria.min_score:
        return Finding(Outcome.FAIL, Reason("gold_score_too_low", f"The gold score {shown(score)} is below {least}."))
    if score.value >= criteria.min_score:
        return Finding(Outcome.PASS, Reason("gold_score_reached", f"The gold score {shown(score)} reaches {least}."))
    text = f"The gold score {shown(score)} is below {least}, but too few gold tasks were judged to be sure."
    return Finding(Outcome.INSUFFICIENT, Reason("gold_score_not_settled", text))


def _of_mix(mix: MixTest, *, declared: bool) -> Finding:
    """A shift against the declared mix waits for a person; against earlier batches it is only told, as data may drift."""
    if not mix.shifted:
        return Finding(Outcome.PASS, Reason("label_mix_as_expected", mix.text))
    outcome = Outcome.INSUFFICIENT if declared else Outcome.PASS
    return Finding(outcome, Reason("label_mix_shifted", mix.text))


def _of_contract(check: ContractCheck) -> list[Finding]:
    """What breaks the contract never counts and is never published, so it is told and does not decide."""
    found = []
    if check.unanswered:
        text = f"{check.unanswered} of {check.tasks} tasks have no valid judgement; they are not published."
        found.append(Finding(Outcome.PASS, Reason("tasks_unanswered", text)))
    if check.quarantined:
        text = f"{check.quarantined} judgements broke the contract and are in quarantine; they did not count."
        found.append(Finding(Outcome.PASS, Reason("judgements_quarantined", text)))
    return found


def _of_audit(audit: AuditResult) -> Finding:
    if audit.accepted is None:
        return Finding(Outcome.INSUFFICIENT, Reason("audit_not_settled", audit.reason))
    outcome = Outcome.PASS if audit.accepted else Outcome.FAIL
    return Finding(outcome, Reason("audit_passed" if audit.accepted else "audit_failed", audit.reason))
