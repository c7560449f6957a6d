"""Did a metric fall? One window of one slice of one model version against the version's own first observations.

A window trips with probability below the stated rate while nothing changed, however short the baseline and whether or not
the noise is wider than counting alone explains. Two p-values are taken and the larger one counts:

* the counting test (Fisher's exact test, Fisher 1922) on correct and wrong answers, exact when answers are independent;
* the spread test (Student's t prediction, `baseline_observations - 1` degrees of freedom) on the arcsine scale, which
  knows nothing but how far the baseline's own observations lie apart, so day-to-day noise of any size is allowed for.

Trusting the smaller one instead would need the baseline to prove that there is no extra noise, which a handful of values cannot.
Observations without `n` have the spread test alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, stdtr

MIN_BASELINE = 2
"""A spread needs 2 values. Under 5 the threshold lies beyond 5 standard deviations: silent, but blind; take 10 to 20."""

RECENT_WINDOWS = 5
"""The drift test looks at the mean of the last 5 windows: it finds a lasting drop of half the size one window shows."""


TAIL_DEVIATIONS = 40
"""Counts further from their mean than this add less than 1e-300; a million samples then cost 40,000 terms, not a million."""


@dataclass(frozen=True, slots=True)
class Shares:
    """What part of the false alarm rate a test may spend on either p-value."""

    counting: float
    spread: float


SINGLE = Shares(counting=0.7, spread=0.45)
DRIFT = Shares(counting=0.3, spread=0.12)
"""Newest window and drift together spend the rate on counting noise, and 57 % of it on normal noise of unknown size: the
rest is the margin for day-to-day noise with longer tails than the normal (measured in benchmarks/false_alarms.py)."""

SPREADLESS = 1 / 8
"""Without `n`, values that are all equal say nothing about noise; the spread is taken as this share of `min_drop`."""


class Standing(StrEnum):
    """What one window says."""

    BASELINE = "baseline"
    """Still learning: it belongs to, or completes, the baseline."""
    FINE = "fine"
    """Within the noise that the baseline shows."""
    SMALL = "small"
    """A real fall, but smaller than `min_drop`."""
    FELL = "fell"
    NOT_FINITE = "not_finite"
    """NaN or infinite: an alarm about the measurement itself."""
    EMPTY = "empty"
    """No samples of the slice came by (n = 0), so there is nothing to compare."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One logged value of one metric and slice; higher is better."""

    value: float
    n: int | None
    """Samples behind the value; None when nobody logged it."""
    observed_at: datetime
    run_id: str = ""

    @property
    def is_usable(self) -> bool:
        return math.isfinite(self.value) and self.n != 0


@dataclass(frozen=True, slots=True)
class Weighing:
    """The newest window of a series against its baseline; `p_value` is already corrected for the two tests."""

    standing: Standing
    """BASELINE, NOT_FINITE, EMPTY, or FINE as long as no rate was applied."""
    seen: int
    """Usable observations so far, this one included."""
    baseline: float | None = None
    now: float | None = None
    """Mean of the windows that were weighed: the newest one, or the last few for the drift test."""
    n: int | None = None
    windows: int = 1
    drop: float | None = None
    p_value: float | None = None


def weigh(history: Sequence[Observation], *, baseline_observations: int, min_drop: float) -> Weighing:
    """Weighs the last observation of `history` (oldest first, one slice, one model version).

    Raises ValueError when `history` is empty or `baseline_observations` is under 2.
    """
    if not history or baseline_observations < MIN_BASELINE:
        raise ValueError(
            f"found {len(history)} observations and baseline_observations={baseline_observations}, "
            f"expected at least 1 and at least {MIN_BASELINE}"
        )
    newest = history[-1]
    usable = [observation for observation in history if observation.is_usable]
    if newest.n == 0:
        return Weighing(Standing.EMPTY, len(usable), n=0)
    if not math.isfinite(newest.value):
        return Weighing(Standing.NOT_FINITE, len(usable), now=newest.value, n=newest.n)
    if len(usable) <= baseline_observations:
        return Weighing(Standing.BASELINE, len(usable), now=newest.value, n=newest.n)
    return _against_baseline(usable, baseline_observations, min_drop)


def _against_baseline(usable: Sequence[Observation], size: int, min_drop: float) -> Weighing:
    baseline, following = usable[:size], usable[size:]
    single = _compare(baseline, following[-1:], SINGLE, min_drop, len(usable))
    if len(following) == 1:
        return single
    drift = _compare(baseline, following[-RECENT_WINDOWS:], DRIFT, min_drop, len(usable))
    return min(single, drift, key=lambda w: ((w.drop or 0.0) < min_drop, 1.0 if w.p_value is None else w.p_value))


def _compare(
    baseline: Sequence[Observation], recent: Sequence[Observation], shares: Shares, min_drop: float, seen: int
) -> Weighing:
    before, now = pooled(baseline), pooled(recent)
    p_value = _p_spread(baseline, recent, min_drop) / shares.spread
    if _is_counted([*baseline, *recent]):
        p_value = max(p_value, _p_counting(baseline, recent) / shares.counting)
    return Weighing(
        Standing.FINE,
        seen,
        baseline=before,
        now=now,
        n=total(recent),
        windows=len(recent),
        drop=before - now,
        p_value=min(1.0, p_value),
    )


def pooled(observations: Sequence[Observation]) -> float:
    """Mean of the values, weighted by `n` when every one has it."""
    weights = [float(o.n) for o in observations if o.n is not None]
    values = [o.value for o in observations]
    if len(weights) == len(values):
        return float(np.average(values, weights=weights))
    return float(np.mean(values))


def total(observations: Sequence[Observation]) -> int | None:
    """Samples behind all of them; None when one does not say."""
    counts = [o.n for o in observations if o.n is not None]
    return sum(counts) if len(counts) == len(observations) else None


def _is_counted(observations: Sequence[Observation]) -> bool:
    return all(o.n is not None and 0.0 <= o.value <= 1.0 for o in observations)


def _wrong(observations: Sequence[Observation]) -> tuple[int, int]:
    size = sum(o.n or 0 for o in observations)
    return round(sum((1.0 - o.value) * (o.n or 0) for o in observations)), size


def _p_counting(baseline: Sequence[Observation], recent: Sequence[Observation]) -> float:
    """P(at least this many of all wrong answers fall into the recent windows by chance): the hypergeometric tail."""
    (wrong_before, size_before), (wrong_now, size_now) = _wrong(baseline), _wrong(recent)
    wrong = wrong_before + wrong_now
    share = size_now / (size_now + size_before)
    reach = 50 + TAIL_DEVIATIONS * math.sqrt(wrong * share * (1 - share))
    low = max(wrong_now, math.floor(wrong * share - reach))
    high = min(wrong, size_now, math.ceil(max(wrong_now, wrong * share) + reach))
    tail = np.arange(low, high + 1, dtype=np.float64)
    logs = (
        _log_choose(size_now, tail)
        + _log_choose(size_before, wrong - tail)
        - _log_choose(size_now + size_before, np.array([float(wrong)]))
    )
    return float(min(1.0, np.exp(logs).sum()))


def _log_choose(n: int, k: NDArray[np.float64]) -> NDArray[np.float64]:
    possible = k <= n
    safe = np.where(possible, k, 0.0)
    value = gammaln(n + 1.0) - gammaln(safe + 1.0) - gammaln(n - safe + 1.0)
    return np.where(possible, value, -np.inf)


def _p_spread(baseline: Sequence[Observation], recent: Sequence[Observation], min_drop: float) -> float:
    """One-sided t prediction test. The noise may be per sample or per day, so both are asked and the larger p counts."""
    everything = [*baseline, *recent]
    values = np.array([o.value for o in everything])
    if values.min() >= 0.0 and values.max() <= 1.0:
        values = np.arcsin(np.sqrt(values))
    cut = len(baseline)
    equal = np.ones(len(values))
    if any(o.n is None for o in everything):
        return _t_tail(values, equal, cut, floor=min_drop * SPREADLESS)
    sizes = np.array([float(o.n or 0) for o in everything])
    return max(_t_tail(values, weights, cut, floor=0.0) for weights in (equal, sizes / sizes.mean()))


def _t_tail(values: NDArray[np.float64], weights: NDArray[np.float64], cut: int, *, floor: float) -> float:
    before, now = np.average(values[:cut], weights=weights[:cut]), np.average(values[cut:], weights=weights[cut:])
    variance = float(np.sum(weights[:cut] * (values[:cut] - before) ** 2)) / (cut - 1)
    noise = math.sqrt(max(variance, floor**2) * (1 / weights[:cut].sum() + 1 / weights[cut:].sum()))
    fall = float(before - now)
    if noise == 0.0:
        return 0.0 if fall > 0 else 1.0
    return float(stdtr(cut - 1, -fall / noise))
