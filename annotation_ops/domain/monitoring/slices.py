"""Which slices fell in one window, with the whole window allowed one false alarm rate.

Holm's step-down (Holm 1979) corrects for looking at many slices: the chance that a window names even one slice that did not
fall stays under the rate, whatever the dependence. Benjamini-Hochberg would find a little more, but it promises only a
share of wrong names, and needs positive dependence; slices that divide the same samples depend on each other both ways.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from annotation_ops.domain.monitoring.degradation import Observation, Standing, Weighing, weigh

OVERALL = ""
"""The slice name of the metric over all samples."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One slice in one window, in numbers and in words."""

    slice: str
    """`scanner:b`; "" is overall."""
    standing: Standing
    weighing: Weighing
    p_value: float | None
    """Holm-adjusted over the slices of the window; None when nothing was tested."""
    reason: str
    run_id: str
    observed_at: datetime

    @property
    def lost(self) -> float:
        """Correct answers lost in the window: drop x n (n = 1 where unknown); 0 when nothing was tested."""
        return (self.weighing.drop or 0.0) * (1 if self.weighing.n is None else self.weighing.n)


def find_fallen(
    histories: Mapping[str, Sequence[Observation]],
    *,
    baseline_observations: int,
    false_alarm_rate: float,
    min_drop: float,
) -> tuple[Finding, ...]:
    """Judges the newest observation of every slice's history; most correct answers lost first, then by name.

    Raises ValueError for an empty history or a rate outside (0, 1).
    """
    if not 0.0 < false_alarm_rate < 1.0:
        raise ValueError(f"found false_alarm_rate={false_alarm_rate}, expected a value between 0 and 1, e.g. 0.01")
    weighed = {
        name: weigh(history, baseline_observations=baseline_observations, min_drop=min_drop)
        for name, history in histories.items()
    }
    adjusted = holm({name: w.p_value for name, w in weighed.items() if w.p_value is not None})
    findings = [
        _finding(
            name, weighing, adjusted.get(name), histories[name][-1], baseline_observations, false_alarm_rate, min_drop
        )
        for name, weighing in weighed.items()
    ]
    return tuple(sorted(findings, key=lambda f: (f.standing is not Standing.FELL, -f.lost, f.slice)))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm-adjusted p-values by name; comparing each with the rate keeps the family-wise error at the rate."""
    adjusted: dict[str, float] = {}
    running = 0.0
    for rank, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda item: (item[1], item[0]))):
        running = max(running, min(1.0, (len(p_values) - rank) * p_value))
        adjusted[name] = running
    return adjusted


def _finding(
    name: str,
    weighing: Weighing,
    p_value: float | None,
    newest: Observation,
    needed: int,
    rate: float,
    min_drop: float,
) -> Finding:
    standing = weighing.standing
    if p_value is not None and weighing.drop is not None and p_value <= rate:
        standing = Standing.FELL if weighing.drop >= min_drop else Standing.SMALL
    judged = replace(weighing, standing=standing)
    reason = _reason(judged, p_value, needed, rate, min_drop)
    return Finding(name, standing, judged, p_value, reason, newest.run_id, newest.observed_at)


def _reason(weighing: Weighing, p_value: float | None, needed: int, rate: float, min_drop: float) -> str:
    match weighing.standing:
        case Standing.BASELINE:
            return f"baseline {weighing.seen} of {needed}"
        case Standing.EMPTY:
            return "no samples of this slice in the window"
        case Standing.NOT_FINITE:
            return f"the logged value is {weighing.now}: the measurement is broken, nothing can be said about the model"
        case Standing.FINE:
            return f"within noise: p {p_value:.3g} above {rate:g}"
        case Standing.SMALL:
            return f"fell by {weighing.drop:.3f}, under the smallest drop worth work ({min_drop:g})"
        case Standing.FELL:
            over = "in this window" if weighing.windows == 1 else f"over the last {weighing.windows} windows"
            return f"fell by {weighing.drop:.3f} {over}: p {p_value:.2g}, allowed {rate:g}"
