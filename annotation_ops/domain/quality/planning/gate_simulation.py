"""How often the gate of the verdict passes, fails or stays undecided: simulated batches, judged with its own posterior."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.criteria import Criteria, DecisionMode
from annotation_ops.domain.quality.agreement.coefficients import NOMINAL
from annotation_ops.domain.quality.agreement.intervals import LOST_TASKS, UNSEEN_TASK, with_prior
from annotation_ops.domain.quality.agreement.patterns import Patterns
from annotation_ops.domain.quality.agreement.sums import Sums, sums_of
from annotation_ops.domain.quality.judgements import FloatArray, IntArray
from annotation_ops.domain.quality.statistic import ROUNDING

Flags = npt.NDArray[np.bool_]

DRAWS = 2_000
"""Posterior draws a simulated batch, as many as the gate takes: with 400 the line it draws is blurred, and where few different
batches are possible the power was stated three points too low."""

LOOKS = (100, 400)
"""After so many draws, batches far from every line get no more: they are most of them."""

AVERAGE_DRAWS = 400
"""What a batch takes on average, or less."""

REPLICATES = 10_000
"""Simulated batches for a stated probability: its standard error is at most half a point."""

WORK = 320_000_000
"""Gamma draws for one probability, a few seconds; many classes or raters get fewer batches, and the error says so."""

POOL = 10_000
"""Gamma draws kept of each shape."""

LEAST_REPLICATES = 1_000
CHUNK = 2_000_000
"""Gamma draws at a time: 16 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The part of the criteria that decides on one statistic."""

    statistic: str
    threshold: float
    mode: DecisionMode = "not_worse"
    margin: float = 0.05
    confidence: float = 0.95
    min_tasks: int = 20
    """Fewer overlap tasks are INSUFFICIENT before the statistic is looked at."""

    def __post_init__(self) -> None:
        for name, value in (("threshold", self.threshold), ("confidence", self.confidence)):
            if not 0.0 < value < 1.0:
                raise InvalidInput(
                    f"{name}: found {value:g}, expected a number between 0 and 1. Use 0.85 or 0.95, say."
                )
        if self.mode == "not_worse" and not 0.0 < self.margin < self.threshold:
            raise InvalidInput(
                f"margin: found {self.margin:g}, expected above 0 and below the threshold {self.threshold:g}. Use 0.05."
            )

    @classmethod
    def of(cls, criteria: Criteria) -> "Gate":
        return cls(
            statistic=criteria.statistic,
            threshold=criteria.threshold,
            mode=criteria.mode,
            margin=criteria.margin,
            confidence=criteria.confidence,
            min_tasks=criteria.min_overlap_tasks,
        )

    @property
    def worst_passable(self) -> float:
        """The true value up to which the mode promises to pass in at most 1 - confidence of the cases."""
        return self.threshold - (self.margin if self.mode == "not_worse" else 0.0)


@dataclass(frozen=True, slots=True)
class Chance:
    """A probability found by simulation, with its Monte Carlo standard error."""

    value: float
    error: float

    @classmethod
    def of(cls, hits: Flags) -> "Chance":
        value, n = float(np.mean(hits)), len(hits)
        # As if one more batch had come out either way: no simulation proves a probability of exactly 0 or 1.
        smoothed = (value * n + 1.0) / (n + 2.0)
        return cls(value, sqrt(smoothed * (1.0 - smoothed) / n))


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What the gate says on simulated batches; the three add up to 1."""

    passes: Chance
    fails: Chance
    undecided: Chance


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the gate reads from each of k simulated batches."""

    value: FloatArray
    """(k,), NaN where undefined."""
    above: FloatArray
    """(k,): posterior probability of reaching the threshold."""
    above_margin: FloatArray
    """(k,): posterior probability of reaching threshold - margin."""

    def passed(self, gate: Gate, *, confidence: float | None = None) -> Flags:
        """`decide` of the verdict's gates, for all batches at once; an undefined statistic never passes."""
        value = np.round(self.value, ROUNDING)
        reached = np.isfinite(value) & (value >= gate.threshold)
        if gate.mode == "point":
            return reached
        needed = gate.confidence if confidence is None else confidence
        if gate.mode == "evidence":
            return np.isfinite(value) & (self.above >= needed)
        return reached & (self.above_margin >= needed) & ~self.failed(gate)

    def failed(self, gate: Gate) -> Flags:
        value = np.round(self.value, ROUNDING)
        if gate.mode == "point":
            return np.isfinite(value) & (value < gate.threshold)
        below: Flags = np.isfinite(value) & (1.0 - self.above >= gate.confidence - 1e-12)
        return below


def replicates_for(patterns: Patterns, gate: Gate, *, most: int = REPLICATES) -> int:
    """Batches that fit into the work of one probability."""
    if gate.mode == "point":
        return most
    width = len(with_prior(patterns).weight)
    return min(most, max(LEAST_REPLICATES, WORK // (AVERAGE_DRAWS * width)))


def simulate(
    patterns: Patterns, *, tasks: int, gate: Gate, seed: int, replicates: int = REPLICATES, draws: int = DRAWS
) -> Outcomes:
    """The gate on batches of `tasks` overlap tasks drawn from the answer patterns; deterministic by seed."""
    replicates = replicates_for(patterns, gate, most=replicates)
    if tasks < gate.min_tasks:
        never, always = Chance(0.0, 0.0), Chance(1.0, 0.0)
        return Outcomes(never, never, always)
    generator = np.random.default_rng(seed)
    tables = generator.multinomial(tasks, patterns.weight, size=replicates)
    evidence = evidence_of(tables, patterns, gate=gate, generator=generator, draws=draws)
    passed, failed = evidence.passed(gate), evidence.failed(gate)
    return Outcomes(Chance.of(passed), Chance.of(failed), Chance.of(~(passed | failed)))


def evidence_of(
    tables: IntArray, patterns: Patterns, *, gate: Gate, generator: np.random.Generator, draws: int = DRAWS
) -> Evidence:
    """Value and posterior of each of k batches of equal size; tables (k, n_patterns) counts tasks by answer pattern."""
    value = NOMINAL[gate.statistic](patterns, tables.astype(np.float64))
    if gate.mode == "point":
        return Evidence(value, np.empty(0), np.empty(0))
    posterior = _Posterior.of(patterns, tasks=int(tables[0].sum()))
    shares, close, so_far = np.zeros((len(tables), 2)), np.arange(len(tables)), 0
    for upto in (*(look for look in LOOKS if look < draws), draws):
        more = _shares(tables[close], posterior, gate, generator=generator, draws=upto - so_far)
        shares[close] = (so_far * shares[close] + (upto - so_far) * more) / upto
        so_far = upto
        close = close[_close(shares[close], gate.confidence, so_far)]
        if not len(close):
            break
    return Evidence(value, shares[:, 0], shares[:, 1])


def _close(shares: FloatArray, confidence: float, draws: int) -> Flags:
    """Batches whose first draws leave open on which side of a line they are, or (for stricter looks) beyond it."""
    doubt = 6.0 * sqrt(confidence * (1.0 - confidence) / draws)
    near = ((shares > confidence - doubt) | (shares < 1.0 - confidence + doubt)).any(axis=1)
    return np.asarray(near, dtype=np.bool_)


def _shares(
    tables: IntArray, posterior: "_Posterior", gate: Gate, *, generator: np.random.Generator, draws: int
) -> FloatArray:
    """(k, 2): share of the posterior draws of each batch that reach the threshold, and threshold - margin."""
    levels = (gate.threshold, gate.threshold - gate.margin if gate.mode == "not_worse" else gate.threshold)
    counts, which = np.unique(tables, return_inverse=True)
    which = which.reshape(tables.shape)
    # Drawing gammas takes most of the time and few counts differ: each batch takes a random window of its counts' draws.
    shapes = counts[:, None] * posterior.precision
    pool = generator.standard_gamma(shapes, size=(len(counts), POOL + draws)) / posterior.precision
    windows = np.lib.stride_tricks.sliding_window_view(pool, draws, axis=1)
    unseen = np.lib.stride_tricks.sliding_window_view(posterior.unseen(generator, POOL + draws), draws, axis=0)
    found = np.empty((len(tables), len(levels)))
    width = tables.shape[1]
    step = max(1, CHUNK // (draws * (width + unseen.shape[1])))
    for start in range(0, len(tables), step):
        some = which[start : start + step]
        data = windows[some, generator.integers(POOL, size=some.shape)]
        added = unseen[generator.integers(POOL, size=len(some))]
        weights = np.concatenate([data, added], axis=1).transpose(0, 2, 1).reshape(-1, width + added.shape[1])
        drawn = NOMINAL[gate.statistic](posterior.sums, weights).reshape(len(some), draws)
        finite = np.maximum(np.isfinite(drawn).sum(axis=1), 1)
        for column, level in enumerate(levels):
            found[start : start + step, column] = (drawn >= level).sum(axis=1) / finite
    return found


@dataclass(frozen=True, slots=True)
class _Posterior:
    """The posterior of `agreement` for batches of one size: its gamma weights and its unseen tasks.

    The unseen disagreement follows the prevalence of the crowd instead of that of each batch: one task among all.
    """

    sums: Sums
    """Rows of the answer patterns, then those of the unseen tasks."""
    precision: float
    agreeing: FloatArray
    disagreeing: FloatArray
    """Gamma shapes of the rows of either unseen task."""

    @classmethod
    def of(cls, patterns: Patterns, *, tasks: int) -> "_Posterior":
        widened = with_prior(Patterns(patterns.counts, patterns.weight * tasks, patterns.cells))
        start, q = widened.observed, widened.n_categories
        shapes = widened.weight[start:] / UNSEEN_TASK
        return cls(sums_of(widened), max(0.25, 1.0 - LOST_TASKS / tasks), shapes[:q], shapes[q:])

    def unseen(self, generator: np.random.Generator, n: int) -> FloatArray:
        """(n, rows of the unseen tasks): each task is there or not by the toss of a coin."""
        parts = [
            generator.standard_gamma(shapes, size=(n, len(shapes))) * (generator.random((n, 1)) < UNSEEN_TASK)
            for shapes in (self.agreeing, self.disagreeing)
        ]
        return np.concatenate(parts, axis=1)
