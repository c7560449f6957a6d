"""How many finished labels a senior must look at, and what 0, 1 or 2 errors among them prove.

Guarantee plans: a lot with more than the tolerable share of errors is accepted with probability 1 - confidence at most,
whatever the lots before it were like (exact hypergeometric distribution).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from scipy.special import betaincinv
from scipy.stats import binom, hypergeom

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.statistic import rounded
from annotation_ops.domain.records import JsonObject

FLOOR = 0.05
"""Least share of a lot that is audited, so that every annotator and class is seen."""

FLOOR_CAP = 1_000
"""Tasks. The floor never asks for more: 1,000 tasks know an error rate of 5 % to 1.2 points, and no verdict turns on less."""

EXAMPLES = (0, 1, 2)

ROUNDING = 1e-12
"""A probability that equals 1 - confidence (three wrong among six, three looked at: exactly 1/20) is not above it by its last digit."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a number of errors among the audited tasks shows about all of them."""

    errors: int
    upper_bound: float
    """With the plan's confidence the error rate of the lot is not above this."""
    accepted: bool


@dataclass(frozen=True, slots=True)
class AuditPlan:
    lot: int | None
    """Labels in the lot; None for a process without an end."""
    tolerable: float
    confidence: float
    size: int
    """Tasks to audit."""
    accept: int
    """Most errors with which the lot is accepted: the most that `size` allows under the guarantee."""
    guarantee_sizes: tuple[int | None, ...]
    """Least tasks that keep the guarantee when 0, 1, 2 errors are allowed; None where even the whole lot does not."""
    floor_size: int
    """Tasks the floor asks for; `size` is the larger of it and the guarantee's."""
    proofs: tuple[Proof, ...]
    """For 0, 1 and 2 errors, and the largest number accepted."""

    def acceptance(self, rate: float) -> float:
        """Probability of acceptance when this share of the lot is wrong (a point of the operating characteristic)."""
        return accept_probability(self.size, self.accept, lot=self.lot, rate=rate)

    def document(self) -> JsonObject:
        return {
            "scheme": "guarantee",
            "lot": self.lot,
            "tolerable": self.tolerable,
            "confidence": self.confidence,
            "size": self.size,
            "accept": self.accept,
            "guarantee_sizes": dict(zip(map(str, EXAMPLES), self.guarantee_sizes, strict=True)),
            "floor_size": self.floor_size,
            "proofs": [
                {"errors": one.errors, "upper_bound": rounded(one.upper_bound), "accepted": one.accepted}
                for one in self.proofs
            ],
            "acceptance": [
                {"error_rate": rounded(rate), "probability": rounded(self.acceptance(rate))}
                for rate in (self.tolerable / 5, self.tolerable / 2, self.tolerable, min(2 * self.tolerable, 1.0))
            ],
        }


def plan_audit(lot: int | None, *, tolerable: float, confidence: float = 0.95, floor_share: float = FLOOR) -> AuditPlan:
    """The smallest audit that both keeps the guarantee with no error allowed and reaches the floor.

    The floor, `floor_share` of the lot, asks for FLOOR_CAP tasks at most. Raises InvalidInput on values out of range.
    """
    check_rates(lot, tolerable=tolerable, confidence=confidence)
    if not 0.0 <= floor_share <= 1.0:
        raise InvalidInput(f"floor: found {floor_share:g}, expected a share from 0 to 1. Use 0.05 to 0.10.")
    needed = tuple(
        guarantee_size(lot, tolerable=tolerable, confidence=confidence, allowed=allowed) for allowed in EXAMPLES
    )
    least = 0 if lot is None else min(ceil(round(floor_share * lot, 9)), FLOOR_CAP)
    # With no error allowed the whole lot always suffices, so the first size exists.
    size = max(needed[0] or 1, least)
    accept = _most_allowed(size, lot=lot, tolerable=tolerable, confidence=confidence)
    proofs = tuple(
        Proof(errors, upper_bound(errors, size, lot=lot, confidence=confidence), errors <= accept)
        for errors in sorted({*EXAMPLES, accept})
        if errors <= size
    )
    return AuditPlan(lot, tolerable, confidence, size, accept, needed, least, proofs)


def audit_size(lot: int, *, tolerable: float, confidence: float, floor: float) -> int:
    """Labels of a lot to audit; see `plan_audit`."""
    return min(plan_audit(lot, tolerable=tolerable, confidence=confidence, floor_share=floor).size, lot)


def guarantee_size(lot: int | None, *, tolerable: float, confidence: float, allowed: int) -> int | None:
    """Smallest n whose acceptance of an intolerable lot with `allowed` errors is at most 1 - confidence.

    Intolerable is one error more than the tolerable share; without a lot size, the tolerable share itself. None when
    the lot cannot hold more errors than are allowed.
    """
    check_rates(lot, tolerable=tolerable, confidence=confidence)
    if lot is not None and _intolerable(lot, tolerable) <= allowed:
        return None

    def kept(n: int) -> bool:
        return _rare(_risk(n, allowed, lot=lot, tolerable=tolerable), confidence)

    most = lot if lot is not None else 1
    while lot is None and not kept(most):
        most *= 2
    return _first(kept, low=allowed + 1, high=max(most, allowed + 1))


def upper_bound(errors: int, size: int, *, lot: int | None, confidence: float) -> float:
    """One-sided bound of the error rate after `errors` among `size`: Clopper and Pearson (Biometrika 26:404, 1934), or
    for a lot the largest rate that the hypergeometric test does not reject."""
    if lot is None:
        return 1.0 if errors >= size else float(betaincinv(errors + 1.0, float(size - errors), confidence))
    return most_errors(errors, size, lot=lot, confidence=confidence) / lot


def most_errors(errors: int, size: int, *, lot: int, confidence: float) -> int:
    """The largest number of errors in a lot that makes at most `errors` among `size` no rarer than 1 - confidence."""

    def rejected(bad: int) -> bool:
        return _rare(hypergeom.cdf(errors, lot, bad, size), confidence)

    high = lot - (size - errors)
    return high if not rejected(high) else _first(rejected, low=errors, high=high) - 1


def accept_probability(size: int, accept: int, *, lot: int | None, rate: float) -> float:
    """Probability of at most `accept` errors among `size` at this error rate."""
    if lot is None:
        return float(binom.cdf(accept, size, rate))
    return float(hypergeom.cdf(accept, lot, round(rate * lot), size))


def check_rates(lot: int | None, *, tolerable: float, confidence: float) -> None:
    if lot is not None and lot < 1:
        raise InvalidInput(f"lot: found {lot}, expected 1 or more. Give the number of labels to be accepted together.")
    if not 0.0 < tolerable < 1.0:
        raise InvalidInput(f"tolerable: found {tolerable:g}, expected between 0 and 1. Write 5 % as 0.05.")
    if not 0.5 <= confidence < 1.0:
        raise InvalidInput(f"confidence: found {confidence:g}, expected from 0.5 to below 1. Use 0.95.")


def _rare(probability: float, confidence: float) -> bool:
    return bool(probability <= 1.0 - confidence + ROUNDING)


def _intolerable(lot: int, tolerable: float) -> int:
    return int(round(lot * tolerable, 9)) + 1


def _risk(n: int, allowed: int, *, lot: int | None, tolerable: float) -> float:
    if lot is None:
        return float(binom.cdf(allowed, n, tolerable))
    return float(hypergeom.cdf(allowed, lot, _intolerable(lot, tolerable), n))


def _most_allowed(size: int, *, lot: int | None, tolerable: float, confidence: float) -> int:
    allowed = 0
    while allowed + 1 < size and _rare(_risk(size, allowed + 1, lot=lot, tolerable=tolerable), confidence):
        allowed += 1
    return allowed


def _first(holds: Callable[[int], bool], *, low: int, high: int) -> int:
    """Smallest number from low to high for which it holds; it holds for high, and from some number on."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return high
