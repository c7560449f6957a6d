"""What labels cost: judgements paid for, hours people spent, and how much of it was spent twice."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.quality.planning.adaptive_overlap import Savings
from annotation_ops.domain.reporting.summary import AttemptSummary, Effort

UNDECLARED = "not declared"
"""The cohort of an annotator whom the workforce does not name any more."""


@dataclass(frozen=True, slots=True)
class CostRow:
    """One batch, cohort or project."""

    name: str
    judgements: int
    rework: int
    """Judgements spent in rejected attempts."""
    hours: float | None
    """Sum of the lead times; None when no judgement has one."""
    untimed: int
    """Judgements without a lead time, which `hours` does not count."""
    seconds_per_judgement: float | None
    """Median."""
    accepted_labels: float
    """Labels in the newest label commit of each attempt; a cohort's part by its share of the attempt's judgements."""
    price: float
    """Of one judgement."""

    @property
    def cost(self) -> float:
        return self.judgements * self.price

    @property
    def cost_per_label(self) -> float | None:
        """None until a label was accepted."""
        return self.cost / self.accepted_labels if self.accepted_labels else None

    @property
    def rework_share(self) -> float | None:
        """None without judgements."""
        return self.rework / self.judgements if self.judgements else None

    @property
    def judgements_per_hour(self) -> float | None:
        timed = self.judgements - self.untimed
        return timed / self.hours if self.hours and timed else None


def total_cost(attempts: Iterable[AttemptSummary], *, name: str, price: float) -> CostRow:
    """All attempts together: rejected ones and checks cost what they cost, only accepted labels count as gained."""
    many = tuple(attempts)
    efforts = [(effort, one.rejected) for one in many for effort in one.efforts.values()]
    return _row(name, efforts, accepted=float(sum(one.accepted_labels for one in many)), price=price)


def cost_by_batch(attempts: Iterable[AttemptSummary], *, price: float) -> tuple[CostRow, ...]:
    """In the order in which the batches first appear."""
    batches: dict[str, list[AttemptSummary]] = {}
    for one in attempts:
        batches.setdefault(one.batch.batch_id, []).append(one)
    return tuple(total_cost(many, name=name, price=price) for name, many in batches.items())


def cost_by_cohort(
    attempts: Iterable[AttemptSummary], *, cohorts: Mapping[str, str], price: float
) -> tuple[CostRow, ...]:
    """In order of the cohorts' names; `cohorts` maps an annotator to a cohort."""
    efforts: dict[str, list[tuple[Effort, bool]]] = {}
    accepted: dict[str, float] = {}
    for one in attempts:
        judgements = one.judgements
        for annotator, effort in sorted(one.efforts.items()):
            cohort = cohorts.get(annotator, UNDECLARED)
            efforts.setdefault(cohort, []).append((effort, one.rejected))
            part = one.accepted_labels * effort.judgements / judgements if judgements else 0.0
            accepted[cohort] = accepted.get(cohort, 0.0) + part
    return tuple(_row(name, efforts[name], accepted=accepted[name], price=price) for name in sorted(efforts))


def added_savings(attempts: Iterable[AttemptSummary]) -> Savings | None:
    """Judgements spent against the fixed overlap of each batch; None without an answered attempt."""
    many = [one.savings for one in attempts if one.savings is not None and one.savings.n_tasks]
    if not many:
        return None
    tasks, spent, fixed = (sum(getattr(one, name) for one in many) for name in ("n_tasks", "judgements", "fixed"))
    return Savings(tasks, spent, fixed, fixed - spent, (fixed - spent) / fixed, spent / tasks)


def median_seconds(efforts: Iterable[Effort]) -> float | None:
    """None when nothing was timed. The median, because a few people always leave a task open over lunch."""
    times = [value for effort in efforts for value in effort.seconds]
    return float(np.median(times)) if times else None


def _row(name: str, efforts: list[tuple[Effort, bool]], *, accepted: float, price: float) -> CostRow:
    timed = sum(len(effort.seconds) for effort, _ in efforts)
    judgements = sum(effort.judgements for effort, _ in efforts)
    return CostRow(
        name=name,
        judgements=judgements,
        rework=sum(effort.judgements for effort, rejected in efforts if rejected),
        hours=sum(sum(effort.seconds) for effort, _ in efforts) / 3600 if timed else None,
        untimed=judgements - timed,
        seconds_per_judgement=median_seconds(effort for effort, _ in efforts),
        accepted_labels=accepted,
        price=price,
    )
