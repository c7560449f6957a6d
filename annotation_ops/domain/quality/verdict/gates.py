"""The single tests a batch must stand: each compares one number, or its posterior, with one line of the criteria."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from annotation_ops.domain.project.criteria import Criteria
from annotation_ops.domain.quality.agreement.report import AgreementReport
from annotation_ops.domain.quality.judgements import FloatArray
from annotation_ops.domain.quality.statistic import ROUNDING, Statistic, undefined, with_draws

FEW_POSITIVES = 10.0
"""Tasks. Below this the estimate of a class's agreement decides nothing against the batch, only evidence does."""


class Outcome(StrEnum):
    PASS = "PASS"
    FAIL = "FAIL"
    INSUFFICIENT = "INSUFFICIENT"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the verdict is what it is; `code` is stable for machines, `text` is for the manager of the batch."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one test says."""

    outcome: Outcome
    reason: Reason


def worst(outcomes: tuple[Outcome, ...]) -> Outcome:
    """FAIL beats INSUFFICIENT beats PASS."""
    order = (Outcome.FAIL, Outcome.INSUFFICIENT, Outcome.PASS)
    return min(outcomes, key=order.index)


def decide(value: float, *, draws: FloatArray, threshold: float, criteria: Criteria) -> Outcome:
    """PASS when the value is shown to reach the threshold, in the sense of the criteria's mode; see Criteria.mode."""
    value = round(value, ROUNDING)
    if criteria.mode == "point":
        return Outcome.PASS if value >= threshold else Outcome.FAIL
    if float(np.mean(draws < threshold)) >= criteria.confidence:
        return Outcome.FAIL
    margin = criteria.margin if criteria.mode == "not_worse" else 0.0
    shown = float(np.mean(draws >= threshold - margin)) >= criteria.confidence
    if shown and (value >= threshold or criteria.mode == "evidence"):
        return Outcome.PASS
    return Outcome.INSUFFICIENT


def decide_class(
    value: float, *, draws: FloatArray, expected_tasks: float, threshold: float, criteria: Criteria
) -> Outcome:
    """`decide` for the agreement on one class; where it is rare, a low estimate alone does not fail the batch."""
    outcome = decide(value, draws=draws, threshold=threshold, criteria=criteria)
    if outcome is Outcome.FAIL and expected_tasks < FEW_POSITIVES:
        proven = float(np.mean(draws < threshold)) >= criteria.confidence
        return Outcome.FAIL if proven else Outcome.INSUFFICIENT
    return outcome


def share_below(
    report: AgreementReport, *, criteria: Criteria, seed: int, draws: int
) -> tuple[Statistic, FloatArray, tuple[str, ...]]:
    """Share of tasks whose agreement is below `task_threshold`, its draws, and the ids of those tasks.

    The interval is about the tasks of this batch that have one judgement only (beta-binomial, Jeffreys prior): when all
    tasks have two or more, the share is known and low = value = high.
    """
    share = report.task_agreement
    known = np.isfinite(share)
    below = known & (share < criteria.task_threshold)
    tasks = tuple(report.tasks[at] for at in np.flatnonzero(below))
    n, bad, unknown = int(known.sum()), int(below.sum()), int((~known).sum())
    if n == 0:
        return undefined("no_overlap" if report.tasks else "no_judgements", n=0), np.empty(0), tasks
    generator = np.random.default_rng(seed)
    rate = generator.beta(bad + 0.5, n - bad + 0.5, size=draws)
    drawn = (bad + generator.binomial(unknown, rate)) / (n + unknown)
    return with_draws(bad / n, draws=drawn, confidence=criteria.confidence, n=n), drawn, tasks


def shown(statistic: Statistic) -> str:
    if statistic.value is None or statistic.low is None or statistic.high is None:
        return "(undefined)"
    return f"{statistic.value:.3f} ({statistic.low:.3f} to {statistic.high:.3f}, {statistic.n} tasks)"
