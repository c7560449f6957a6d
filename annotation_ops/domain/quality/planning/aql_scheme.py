"""Acceptance sampling by AQL for a stream of lots: single sampling, general inspection level II, and switching.

Code letters and plans are those of ANSI/ASQ Z1.4 (MIL-STD-105E tables I, II-A, II-B, II-C), normal and tightened the same
as in ISO 2859-1; switching is that of ISO 2859-1:1999. The tables repeat along diagonals: one letter up and one AQL
down is the same acceptance number, so a diagonal is all that is stored. An AQL protects the producer: a lot somewhat worse
than the AQL is accepted more often than not. For a single lot use a guarantee plan.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.planning.audit_plan import accept_probability
from annotation_ops.domain.quality.statistic import rounded
from annotation_ops.domain.records import JsonObject

LETTERS = "ABCDEFGHJKLMNPQ"
LARGEST_LOT = (8, 15, 25, 50, 90, 150, 280, 500, 1_200, 3_200, 10_000, 35_000, 150_000, 500_000, inf)
"""Of each code letter, level II."""

AQLS = (0.65, 1.0, 1.5, 2.5, 4.0, 6.5, 10.0)
"""Percent of labels in error; smaller ones ask for audits that no annotation batch is large enough for."""

SIZES = (2, 3, 5, 8, 13, 20, 32, 50, 80, 125, 200, 315, 500, 800, 1_250)
REDUCED_SIZES = (2, 2, 2, 3, 5, 8, 13, 20, 32, 50, 80, 125, 200, 315, 500)

REDUCED_SCORE = 30
"""Switching score that allows reduced inspection."""


class Severity(StrEnum):
    NORMAL = "normal"
    TIGHTENED = "tightened"
    REDUCED = "reduced"
    DISCONTINUED = "discontinued"
    """Nothing is accepted by sampling until the cause is mended; then `resume`."""


DIAGONALS: Mapping[Severity, Mapping[int, tuple[int, int]]] = {
    Severity.NORMAL: {
        5: (0, 1), 8: (1, 2), 9: (2, 3), 10: (3, 4), 11: (5, 6), 12: (7, 8), 13: (10, 11), 14: (14, 15), 15: (21, 22)
    },
    Severity.TIGHTENED: {
        6: (0, 1), 9: (1, 2), 10: (2, 3), 11: (3, 4), 12: (5, 6), 13: (8, 9), 14: (12, 13), 15: (18, 19)
    },
    Severity.REDUCED: {
        5: (0, 1), 8: (0, 2), 9: (1, 3), 10: (1, 4), 11: (2, 5), 12: (3, 6), 13: (5, 8), 14: (7, 10), 15: (10, 13)
    },
}  # fmt: skip
"""Diagonal (letter + AQL, counted from A and from 0.65) -> acceptance and rejection number; the others are arrows."""


@dataclass(frozen=True, slots=True)
class LotPlan:
    """One single sampling plan. A plan at least as large as the lot means looking at everything."""

    lot: int
    aql: float
    severity: Severity
    letter: str
    """Of the plan in use, after the arrows of the table."""
    size: int
    accept: int
    reject: int
    """Above accept + 1 only in reduced inspection: between the two the lot is accepted and inspection is normal again."""

    def acceptance(self, rate: float) -> float:
        """Probability of acceptance when the process makes this share of errors (binomial, type B)."""
        return accept_probability(self.size, self.reject - 1, lot=None, rate=rate)

    def document(self) -> JsonObject:
        return {
            "scheme": "aql",
            "lot": self.lot,
            "aql": self.aql,
            "severity": self.severity.value,
            "letter": self.letter,
            "size": self.size,
            "accept": self.accept,
            "reject": self.reject,
            "acceptance": [
                {"error_rate": rounded(rate), "probability": rounded(self.acceptance(rate))} for rate in self.rates
            ],
        }

    @property
    def rates(self) -> tuple[float, ...]:
        """Error rates worth knowing the acceptance of: the AQL and its multiples."""
        return tuple(min(times * self.aql / 100.0, 1.0) for times in (1.0, 2.0, 3.0, 4.0))


def lot_plan(lot: int, *, aql: float, severity: Severity = Severity.NORMAL) -> LotPlan:
    """The plan for a lot. Raises InvalidInput for lots below 2, other AQLs, and when inspection is discontinued."""
    if lot < 2:
        raise InvalidInput(f"lot: found {lot}, expected 2 or more. Look at a single label itself.")
    if aql not in AQLS:
        raise InvalidInput(
            f"aql: found {aql:g}, expected one of {', '.join(f'{one:g}' for one in AQLS)} (percent). Choose one."
        )
    if severity is Severity.DISCONTINUED:
        raise InvalidInput(
            "severity: found discontinued, expected normal, tightened or reduced. Mend the cause, then resume."
        )
    start = bisect_left(LARGEST_LOT, lot)
    letter = _follow_arrows(start, AQLS.index(aql), severity)
    accept, reject = DIAGONALS[severity][letter + AQLS.index(aql)]
    sizes = REDUCED_SIZES if severity is Severity.REDUCED else SIZES
    return LotPlan(lot, aql, severity, LETTERS[letter], min(sizes[letter], lot), accept, reject)


def _follow_arrows(letter: int, column: int, severity: Severity) -> int:
    """The letter whose plan the table points to: down (a larger sample) between plans, up beyond the last one and right
    after the plan that accepts with no error, except in tightened inspection."""
    known = sorted(DIAGONALS[severity])
    wanted = letter + column
    # The tightened plan without errors exists from letter B on; A takes the next one.
    absent = severity is Severity.TIGHTENED and letter == 0 and wanted == known[0]
    if wanted in known and not absent:
        return letter
    after_zero = severity is not Severity.TIGHTENED and wanted == known[0] + 1 and letter > 0
    if wanted > known[-1] or after_zero:
        return max(one for one in known if one < wanted) - column
    return min(one for one in known if one > wanted) - column


@dataclass(frozen=True, slots=True)
class Switching:
    """Where a stream of lots stands; start with `Switching()`."""

    severity: Severity = Severity.NORMAL
    score: int = 0
    """Switching score, 0 unless inspection is normal."""
    recent: tuple[bool, ...] = ()
    """Acceptance of the last five lots at most since the severity changed, oldest first."""
    rejected: int = 0
    """Lots not accepted since tightened inspection began."""


def after_lot(
    state: Switching, *, lot: int, aql: float, errors: int, may_reduce: bool = True
) -> tuple[bool, Switching]:
    """Whether a lot with these errors in its sample is accepted, and the state for the next one (ISO 2859-1:1999, 9.3).

    `may_reduce` is the responsible person's word that reduced inspection is wanted and work is steady; without it, reduced
    inspection also ends. Raises InvalidInput when inspection is discontinued.
    """
    plan = lot_plan(lot, aql=aql, severity=state.severity)
    if not 0 <= errors <= plan.size:
        raise InvalidInput(f"errors: found {errors}, expected 0 to {plan.size}, the tasks audited. Count them again.")
    accepted = errors < plan.reject
    recent = (*state.recent, accepted)[-5:]
    if state.severity is Severity.REDUCED:
        stays = errors <= plan.accept and may_reduce
        return accepted, replace(state, recent=recent) if stays else Switching()
    if state.severity is Severity.TIGHTENED:
        return accepted, _after_tightened(state, recent, accepted)
    if recent.count(False) >= 2:
        return accepted, Switching(Severity.TIGHTENED)
    score = _score(state.score, plan, errors)
    if score >= REDUCED_SCORE and may_reduce:
        return accepted, Switching(Severity.REDUCED)
    return accepted, Switching(Severity.NORMAL, score, recent)


def resume(state: Switching) -> Switching:
    """After the cause is mended: tightened inspection. Raises InvalidInput unless inspection is discontinued."""
    if state.severity is not Severity.DISCONTINUED:
        raise InvalidInput(f"severity: found {state.severity}, expected discontinued. There is nothing to resume.")
    return Switching(Severity.TIGHTENED)


def _after_tightened(state: Switching, recent: tuple[bool, ...], accepted: bool) -> Switching:
    rejected = state.rejected + (not accepted)
    if rejected >= 5:
        return Switching(Severity.DISCONTINUED)
    if len(recent) == 5 and all(recent):
        return Switching()
    return Switching(Severity.TIGHTENED, 0, recent, rejected)


def _score(score: int, plan: LotPlan, errors: int) -> int:
    """Plus 2 for an accepted lot where Ac is 0 or 1; else plus 3 for one that passes at the next stricter AQL; else 0."""
    if plan.accept <= 1:
        return score + 2 if errors <= plan.accept else 0
    diagonal = LETTERS.index(plan.letter) + AQLS.index(plan.aql)
    stricter, _ = DIAGONALS[Severity.NORMAL][diagonal - 1]
    return score + 3 if errors <= stricter else 0
