"""Deadlines: when a batch is due, and how likely it is done by then."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from scipy.special import betainc

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.contract import Contract

AT_RISK_BELOW = 0.8
"""A batch that is done in time with less than this probability is at risk: early enough to act, rare enough to be read."""

PRIOR_SHAPE = 0.5
"""Jeffreys' prior for a Poisson rate is Gamma(1/2, 0): half a completion seen in no time."""


class SlaStatus(StrEnum):
    ON_TRACK = "on_track"
    AT_RISK = "at_risk"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class SlaForecast:
    status: SlaStatus
    probability: float | None
    """P(everything done by the due time); None when nothing was observed yet."""
    per_hour: float | None
    """Posterior mean of completions an hour; None when nothing was observed yet."""
    likely_done_at: datetime | None
    """When the open work is finished at that pace; None without a pace."""
    reason: str


def due_at(dispatched_at: datetime, *, contract: Contract) -> datetime:
    """The due time of a batch dispatched at this time (timezone-aware)."""
    _require_aware(dispatched_at)
    return dispatched_at + contract.sla


def forecast(
    done_at: Sequence[datetime],
    open_tasks: int,
    now: datetime,
    due_at: datetime,
    *,
    started_at: datetime | None = None,
    at_risk_below: float = AT_RISK_BELOW,
) -> SlaForecast:
    """Forecasts from the pace seen so far.

    Completions are taken as a Poisson process whose rate has the posterior Gamma(1/2 + n, t) for n completions in t
    seconds since `started_at`. The number of completions in the h seconds to the due time is then negative binomial, and
    P(at least k) = I_{h/(t+h)}(k, 1/2 + n), the regularised incomplete beta function. Without `started_at` the first
    completion starts the clock and does not count. Nights and weekends are part of the pace only as far as they were
    seen: right after dispatch the forecast is wide, not wrong.

    Raises InvalidInput for a negative count, a naive time or a threshold outside 0..1.
    """
    for moment in (*done_at, now, due_at, *([started_at] if started_at is not None else [])):
        _require_aware(moment)
    if open_tasks < 0 or not 0 <= at_risk_below <= 1:
        raise InvalidInput(
            f"found {open_tasks} open tasks and a threshold of {at_risk_below}, expected 0 or more and 0..1"
        )
    shape, seconds = _posterior(done_at, now, started_at)
    pace = shape / seconds if seconds > 0 else None
    per_hour = pace * 3600 if pace is not None else None
    likely = _likely_done_at(now, open_tasks, pace)
    if open_tasks == 0:
        return SlaForecast(SlaStatus.ON_TRACK, 1.0, per_hour, likely, "everything is done")
    left = (due_at - now).total_seconds()
    if left <= 0:
        return SlaForecast(
            SlaStatus.OVERDUE, 0.0, per_hour, likely, f"{open_tasks} open, and the due time passed {-left:.0f} s ago"
        )
    if pace is None:
        return SlaForecast(SlaStatus.ON_TRACK, None, None, None, "no time has been observed yet")
    probability = float(betainc(open_tasks, shape, left / (seconds + left)))
    status = SlaStatus.AT_RISK if probability < at_risk_below else SlaStatus.ON_TRACK
    reason = f"{open_tasks} open, {pace * 3600:.1f} an hour, {left / 3600:.1f} h left: {probability:.0%} in time"
    return SlaForecast(status, probability, per_hour, likely, reason)


def _posterior(done_at: Sequence[datetime], now: datetime, started_at: datetime | None) -> tuple[float, float]:
    """Shape and rate (seconds) of the gamma posterior."""
    if started_at is not None:
        return PRIOR_SHAPE + len(done_at), (now - started_at).total_seconds()
    if not done_at:
        return PRIOR_SHAPE, 0.0
    return PRIOR_SHAPE + len(done_at) - 1, (now - min(done_at)).total_seconds()


def _likely_done_at(now: datetime, open_tasks: int, pace: float | None) -> datetime | None:
    """None without a pace, and when the date would lie beyond the calendar."""
    if pace is None:
        return None
    try:
        return now + timedelta(seconds=open_tasks / pace)
    except OverflowError:
        return None


def _require_aware(moment: datetime) -> None:
    if moment.tzinfo is None:
        raise InvalidInput(f"found the naive time {moment.isoformat()}, expected one with a time zone (UTC)")
