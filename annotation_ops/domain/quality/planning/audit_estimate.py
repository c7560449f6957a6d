"""What a spot audit shows: the error rate of the lot with its bounds, and whether that is within the tolerable."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy.special import betaincinv

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.judgements import FloatArray
from annotation_ops.domain.quality.planning.audit_plan import most_errors
from annotation_ops.domain.quality.statistic import Statistic, rounded, undefined
from annotation_ops.domain.records import JsonObject

SAME_WEIGHT = 1e-9
"""Relative difference of weights that is rounding."""


@dataclass(frozen=True, slots=True)
class Auditor:
    """How reliable the audit itself is; measured on labels whose truth is known."""

    sensitivity: float
    """Probability of calling a wrong label wrong."""
    specificity: float
    """Probability of calling a right label right."""

    def __post_init__(self) -> None:
        if not 0.0 < self.sensitivity <= 1.0 or not 0.0 < self.specificity <= 1.0 or self._power <= 0:
            raise InvalidInput(
                f"auditor: found sensitivity {self.sensitivity:g} and specificity {self.specificity:g}, expected numbers up "
                "to 1 that sum to more than 1. An auditor no better than a coin shows nothing; find another."
            )

    @property
    def _power(self) -> float:
        return self.sensitivity + self.specificity - 1.0

    def corrected(self, rate: float) -> float:
        """The error rate behind an apparent one (Rogan and Gladen, Am J Epidemiol 107:71-76, 1978), within [0, 1]."""
        return min(max((rate + self.specificity - 1.0) / self._power, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class AuditResult:
    n: int
    """Labels audited."""
    errors: int
    """Labels the auditor called wrong."""
    error_rate: Statistic
    """Of the whole lot, every audited label standing for those it represents; `low` and `high` are one-sided bounds,
    each with the confidence of the audit."""
    upper_bound: float
    """With the confidence, the error rate of the lot is not above this; 1 when nothing was audited."""
    accepted: bool | None
    """True when the upper bound is within the tolerable, False when the lower bound is above it, else None."""
    tolerable: float
    reason: str
    """One sentence for a manager."""
    strata: tuple[tuple[str, Statistic], ...] = ()
    """Error rate by stratum, in the order of their names."""

    def document(self) -> JsonObject:
        return {
            "n": self.n,
            "errors": self.errors,
            "error_rate": self.error_rate.document(),
            "upper_bound": rounded(self.upper_bound),
            "accepted": self.accepted,
            "tolerable": self.tolerable,
            "reason": self.reason,
            "strata": [{"stratum": name, "error_rate": one.document()} for name, one in self.strata],
        }


def estimate_audit(
    drawn: Sequence[tuple[str, float, bool]],
    *,
    lot: int,
    tolerable: float,
    confidence: float,
    auditor: Auditor | None = None,
) -> AuditResult:
    """The error rate of a lot from (stratum, inclusion probability, wrong) of each audited label.

    Labels drawn but not audited may be missing: they are taken to be like the audited ones. Bounds are those of a lot that
    was sampled everywhere as thinly as its least sampled stratum: exact (hypergeometric) for one stratum, otherwise of n
    labels with weights up to w the sum of weight / w over the errors varies no more than a count of errors among n labels
    (Hoeffding, Ann Math Stat 27:713-721, 1956); the coverage of the 95 % bound is in docs/planning.md. Raises InvalidInput
    on probabilities outside (0, 1] and on more audited labels than the lot has.
    """
    _check(drawn, lot, tolerable, confidence)
    if not drawn:
        reason = "Nothing was audited, so nothing is known of the error rate."
        return AuditResult(0, 0, undefined("not_audited", n=0), 1.0, None, tolerable, reason)
    wrong = np.array([error for _, _, error in drawn], dtype=np.float64)
    rate = _lot_rate(wrong, np.array([1.0 / share for _, share, _ in drawn]), lot=lot, confidence=confidence)
    rate = _corrected(rate, auditor)
    accepted, reason = _answer(rate, int(wrong.sum()), tolerable, confidence)
    names = [name for name, _, _ in drawn]
    return AuditResult(
        len(drawn),
        int(wrong.sum()),
        rate,
        1.0 if rate.high is None else rate.high,
        accepted,
        tolerable,
        reason,
        tuple((str(name), one) for name, one in error_rates(drawn, names, confidence=confidence, auditor=auditor)),
    )


def error_rates(
    drawn: Sequence[tuple[str, float, bool]],
    groups: Sequence[Hashable],
    *,
    confidence: float,
    auditor: Auditor | None = None,
) -> tuple[tuple[Hashable, Statistic], ...]:
    """Error rate of each group (an annotator, a class), ordered by name; `groups[i]` is that of the i-th audited label.

    Bounds are one-sided, Clopper and Pearson's with the weighted sum as above. For labels of several people repeat the row
    for each of them.
    """
    if len(groups) != len(drawn):
        raise InvalidInput(f"groups: found {len(groups)}, expected {len(drawn)}, one an audited label. Pass one each.")
    found = []
    for name in sorted(set(groups), key=str):
        chosen = [row for row, group in zip(drawn, groups, strict=True) if group == name]
        wrong = np.array([error for _, _, error in chosen], dtype=np.float64)
        weights = np.array([1.0 / share for _, share, _ in chosen])
        found.append((name, _corrected(_lot_rate(wrong, weights, lot=None, confidence=confidence), auditor)))
    return tuple(found)


def _check(drawn: Sequence[tuple[str, float, bool]], lot: int, tolerable: float, confidence: float) -> None:
    for number, (_, share, _) in enumerate(drawn, start=1):
        if not 0.0 < share <= 1.0:
            raise InvalidInput(
                f"audited label {number}: found inclusion probability {share}, expected above 0 and at most 1. "
                "Keep the one of the draw."
            )
    if len(drawn) > lot:
        raise InvalidInput(f"lot: found {lot} labels with {len(drawn)} audited, expected at least as many. Correct it.")
    if not 0.0 < tolerable < 1.0 or not 0.5 <= confidence < 1.0:
        raise InvalidInput(
            f"tolerable {tolerable:g}, confidence {confidence:g}: expected 0 < tolerable < 1 and 0.5 <= confidence < 1. "
            "Use 0.05 and 0.95."
        )


def _lot_rate(wrong: FloatArray, weights: FloatArray, *, lot: int | None, confidence: float) -> Statistic:
    """Weighted error rate with one-sided bounds; `lot` None takes labels without an end."""
    n = len(wrong)
    share = weights / weights.sum()
    most = float(share.max())
    counted = float((share * wrong).sum()) / most
    if abs(counted - round(counted)) < SAME_WEIGHT * n:
        counted = float(round(counted))
    value = min(float((share * wrong).sum()), 1.0)
    high = _most(counted, n, None if lot is None else _thin_lot(n, most, lot), confidence)
    low = _least(counted, n, None if lot is None else _thin_lot(n, most, lot), confidence)
    return Statistic(value, None, min(low * n * most, value), max(min(high * n * most, 1.0), value), n)


def _thin_lot(n: int, most: float, lot: int) -> int:
    """Labels there would be if all strata were sampled as thinly as the one whose labels have the largest weight."""
    return max(ceil(round(n * most * lot, 6)), n)


def _most(errors: float, n: int, lot: int | None, confidence: float) -> float:
    if errors >= n:
        return 1.0
    if lot is None:
        return float(betaincinv(errors + 1.0, n - errors, confidence))
    return most_errors(ceil(errors), n, lot=lot, confidence=confidence) / lot


def _least(errors: float, n: int, lot: int | None, confidence: float) -> float:
    if errors <= 0:
        return 0.0
    if lot is None:
        return float(betaincinv(errors, n - errors + 1.0, 1.0 - confidence))
    # At least so many errors are at most so many right labels.
    right = n - int(errors)
    return 1.0 - most_errors(right, n, lot=lot, confidence=confidence) / lot


def _corrected(rate: Statistic, auditor: Auditor | None) -> Statistic:
    if auditor is None or rate.value is None or rate.low is None or rate.high is None:
        return rate
    value, low, high = (auditor.corrected(bound) for bound in (rate.value, rate.low, rate.high))
    return Statistic(value, None, low, high, rate.n)


def _answer(rate: Statistic, errors: int, tolerable: float, confidence: float) -> tuple[bool | None, str]:
    low, high = rate.low or 0.0, 1.0 if rate.high is None else rate.high
    found = f"{errors} of {rate.n} audited labels are wrong"
    if high <= tolerable + SAME_WEIGHT:
        return (
            True,
            f"{found}: with {confidence:.0%} confidence at most {high:.1%} of all are, within the {tolerable:.1%} allowed.",
        )
    if low > tolerable:
        return (
            False,
            f"{found}: with {confidence:.0%} confidence at least {low:.1%} of all are, above the {tolerable:.1%} allowed.",
        )
    return None, (
        f"{found}: up to {high:.1%} of all may be, so the {tolerable:.1%} allowed is neither shown nor excluded. "
        "Audit more labels or let a person decide."
    )
