"""How many overlapping tasks a verdict needs, how often it then errs, and what the second opinions cost."""

from dataclasses import dataclass
from math import ceil, sqrt

from scipy.special import ndtri

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.coefficients import prevalence_index
from annotation_ops.domain.quality.agreement.patterns import Patterns
from annotation_ops.domain.quality.planning.crowd_model import Crowd
from annotation_ops.domain.quality.planning.gate_simulation import Gate, Outcomes, simulate
from annotation_ops.domain.quality.statistic import rounded
from annotation_ops.domain.quality.verdict.gates import FEW_POSITIVES
from annotation_ops.domain.records import JsonObject

SEARCH_REPLICATES = 1_000
"""Simulated batches a step of the search: power is then known to 1.5 points, which the full simulation refines."""

SEARCH_DRAWS = 200
"""Posterior draws in the search; 200 x 0.95 is a whole number."""

MOST_CHECKS = 4
"""Full simulations until the plan gives its best confirmed number."""

BAD_STEP = 0.05
"""How far below the threshold a batch lies that must not pass."""

CLOSE = 0.01
"""Relative width of the search's bracket, and the gain in tasks, below which looking further is noise."""


@dataclass(frozen=True, slots=True)
class OverlapPlan:
    """What to order and what to expect from it."""

    gate: Gate
    crowd: Crowd
    truth: float
    power: float
    """Wanted probability of PASS when the true value is `truth`."""
    tasks: int | None
    """Overlap tasks; None when `max_tasks` do not give the power."""
    max_tasks: int
    at_truth: Outcomes
    """With `tasks`, or with `max_tasks` when they do not suffice."""
    bad_truth: float
    at_bad: Outcomes | None
    """The same when the true value is `bad_truth`; None when this crowd cannot be that bad."""
    price: float | None
    prevalence_index: float

    @property
    def judged(self) -> int:
        """Overlap tasks the outcomes are about."""
        return self.max_tasks if self.tasks is None else self.tasks

    @property
    def extra_judgements(self) -> int:
        return self.judged * (self.crowd.raters - 1)

    @property
    def cost(self) -> float | None:
        """Price of the judgements beyond the first one of each task."""
        return None if self.price is None else self.extra_judgements * self.price

    @property
    def rare_class_tasks(self) -> int:
        """Overlap tasks that bring ten tasks of the rarest class on average, what its own guard can decide on."""
        return ceil(round(FEW_POSITIVES / min(self.crowd.prevalence), 6))

    def document(self) -> JsonObject:
        return {
            **gate_document(self.gate),
            "truth": self.truth,
            "power": self.power,
            "raters": self.crowd.raters,
            "prevalence": [rounded(share) for share in self.crowd.prevalence],
            "model": self.crowd.model,
            "tasks": self.tasks,
            "max_tasks": self.max_tasks,
            "at_truth": outcomes_document(self.at_truth),
            "bad_truth": rounded(self.bad_truth),
            "at_bad_truth": None if self.at_bad is None else outcomes_document(self.at_bad),
            "extra_judgements": self.extra_judgements,
            "cost": rounded(self.cost),
            "prevalence_index": rounded(self.prevalence_index),
            "rare_class_tasks": self.rare_class_tasks,
        }


def gate_document(gate: Gate) -> JsonObject:
    return {
        "statistic": gate.statistic,
        "threshold": gate.threshold,
        "mode": gate.mode,
        "margin": gate.margin if gate.mode == "not_worse" else None,
        "confidence": gate.confidence,
    }


def outcomes_document(outcomes: Outcomes) -> JsonObject:
    named = {"PASS": outcomes.passes, "FAIL": outcomes.fails, "INSUFFICIENT": outcomes.undecided}
    return {name: {"probability": rounded(one.value), "error": rounded(one.error)} for name, one in named.items()}


def plan_overlap(
    gate: Gate,
    *,
    crowd: Crowd,
    truth: float,
    power: float = 0.9,
    tasks: int | None = None,
    bad_truth: float | None = None,
    price: float | None = None,
    max_tasks: int = 2_000,
    seed: int,
) -> OverlapPlan:
    """The smallest number of overlap tasks with this power; or, with `tasks` given, what that many achieve.

    Simulates the statistic's own decision (verdict.gates.decide); class guards and the share of disputed tasks can only
    withhold a PASS. `bad_truth` is threshold - 0.05 by default. Power in the mode `point` may dip for a slightly larger
    number, since a share of n tasks moves in steps. Raises InvalidInput when no number of tasks suffices, or a value is
    outside its range.
    """
    check_truth(gate, truth=truth)
    _check_numbers(gate, power=power, tasks=tasks, price=price, max_tasks=max_tasks)
    patterns = crowd.patterns(gate.statistic, truth=truth)
    confirmed = _search(patterns, gate, power=power, most=max_tasks, seed=seed) if tasks is None else None
    found = tasks if confirmed is None else confirmed[0]
    judged = max_tasks if found is None else found
    bad = gate.threshold - BAD_STEP if bad_truth is None else bad_truth
    index = prevalence_index(patterns, patterns.weight[None, :])
    return OverlapPlan(
        gate=gate,
        crowd=crowd,
        truth=truth,
        power=power,
        tasks=found,
        max_tasks=max_tasks,
        at_truth=confirmed[1] if confirmed else simulate(patterns, tasks=judged, gate=gate, seed=seed),
        bad_truth=bad,
        at_bad=outcomes_at(bad, gate=gate, crowd=crowd, tasks=judged, seed=seed),
        price=price,
        prevalence_index=float(index[0]),
    )


def outcomes_at(truth: float, *, gate: Gate, crowd: Crowd, tasks: int, seed: int) -> Outcomes | None:
    """The gate's outcomes at another true value; None when it is not a value this crowd can have."""
    try:
        patterns = crowd.patterns(gate.statistic, truth=truth)
    except InvalidInput:
        return None
    return simulate(patterns, tasks=tasks, gate=gate, seed=seed + 1)


def check_truth(gate: Gate, *, truth: float) -> None:
    if not 0.0 < truth < 1.0:
        raise InvalidInput(f"truth: found {truth:g}, expected a number between 0 and 1. Give the value you believe in.")
    if truth <= gate.threshold:
        raise InvalidInput(
            f"truth: found {truth:g}, expected above the threshold {gate.threshold:g}. No number of tasks suffices: "
            f"more overlap only shows more surely that the batch does not exceed it. Raise the quality or lower the threshold."
        )


def _check_numbers(gate: Gate, *, power: float, tasks: int | None, price: float | None, max_tasks: int) -> None:
    if not 0.5 <= power < 1.0:
        raise InvalidInput(f"power: found {power:g}, expected from 0.5 to below 1. Use 0.9.")
    if max_tasks < gate.min_tasks:
        raise InvalidInput(
            f"max tasks: found {max_tasks}, expected at least the {gate.min_tasks} overlap tasks any verdict needs. Raise it."
        )
    if tasks is not None and tasks < 1:
        raise InvalidInput(f"tasks: found {tasks}, expected 1 or more. Name the overlap tasks you can afford.")
    if price is not None and price < 0:
        raise InvalidInput(f"price: found {price:g}, expected 0 or more. Give the price of one judgement.")


def _search(patterns: Patterns, gate: Gate, *, power: float, most: int, seed: int) -> tuple[int, Outcomes] | None:
    """Regula falsi on the scale where power is close to a line: the normal quantile over the root of n."""
    low, high = gate.min_tasks, most
    wanted = float(ndtri(power))
    at_low, at_high = (_quantile(patterns, gate, n, seed) for n in (low, high))
    if at_low >= wanted:
        return _confirmed(patterns, gate, low, power=power, most=most, seed=seed)
    if at_high < wanted:
        return _confirmed(patterns, gate, most, power=power, most=most, seed=seed)
    halve = False
    while high - low > max(1, CLOSE * high):
        line = (wanted - at_low) / max(at_high - at_low, 1e-9)
        root = sqrt(low) + (0.5 if halve else line) * (sqrt(high) - sqrt(low))
        middle = min(max(ceil(root**2), low + 1), high - 1)
        before, found = high - low, _quantile(patterns, gate, middle, seed)
        low, high, at_low, at_high = (low, middle, at_low, found) if found >= wanted else (middle, high, found, at_high)
        halve = high - low > before / 2
    return _confirmed(patterns, gate, high, power=power, most=most, seed=seed)


def _quantile(patterns: Patterns, gate: Gate, tasks: int, seed: int) -> float:
    found = simulate(patterns, tasks=tasks, gate=gate, seed=seed, replicates=SEARCH_REPLICATES, draws=SEARCH_DRAWS)
    return _probit(found.passes.value)


def _probit(share: float) -> float:
    return float(ndtri(min(max(share, 1e-4), 1.0 - 1e-4)))


def _confirmed(
    patterns: Patterns, gate: Gate, tasks: int, *, power: float, most: int, seed: int
) -> tuple[int, Outcomes] | None:
    """The smallest number near the given one that the full simulation confirms.

    The quantile of power rises as the root of n from minus that of the confidence, which tells the next number to try.
    """
    offset = 0.0 if gate.mode == "point" else float(ndtri(gate.confidence))
    wanted = float(ndtri(power)) + offset
    best: tuple[int, Outcomes] | None = None
    for _ in range(MOST_CHECKS):
        found = simulate(patterns, tasks=tasks, gate=gate, seed=seed)
        if found.passes.value >= power and (best is None or tasks < best[0]):
            best = (tasks, found)
        ahead = min(wanted / max(_probit(found.passes.value) + offset, 0.1), 2.0)
        following = min(max(ceil(tasks * ahead**2), gate.min_tasks), most)
        if best is None:
            if tasks == most:
                return None
            tasks = max(following, tasks + 1)
        elif best[0] != tasks or following >= tasks * (1.0 - CLOSE) - 1:
            return best
        else:
            tasks = following
    return best
