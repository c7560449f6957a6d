"""The simulated crowd a plan rests on: how likely each answer pattern is when the true agreement has a given value.

`chance`: an annotator knows the label with probability s and otherwise guesses by the class frequencies, so everybody's
margins are the prevalence and Cohen's kappa is s^2 whatever the prevalence (the bivariate model behind kappa; Maxwell 1977).
`symmetric`: an annotator is right with probability a and otherwise picks any other class alike, so rare classes attract
errors and the margins drift towards equal shares.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.coefficients import NOMINAL, ONE_PAIR, Coefficient
from annotation_ops.domain.quality.agreement.patterns import Patterns
from annotation_ops.domain.quality.judgements import FloatArray, IntArray

CrowdModel = Literal["chance", "symmetric"]

MOST_PATTERNS = 5_000
"""Answer patterns a task may show; more would take minutes and gigabytes."""

POPULATION = 1e9
"""Tasks taken for a population: small-sample terms of alpha are then below 1e-9."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Annotators as the plan assumes them."""

    prevalence: tuple[float, ...]
    """Share of each class among the tasks; sums to 1."""
    raters: int = 2
    """Judgements a task."""
    model: CrowdModel = "chance"

    def __post_init__(self) -> None:
        _check_prevalence(self.prevalence)
        if self.raters < 2:
            raise InvalidInput(
                f"raters: found {self.raters}, expected 2 or more. Agreement needs two judgements a task."
            )
        patterns = comb(self.raters + len(self.prevalence) - 1, self.raters)
        if patterns > MOST_PATTERNS:
            raise InvalidInput(
                f"raters and classes: found {self.raters} raters and {len(self.prevalence)} classes, which answer a task in "
                f"{patterns:,} ways, expected at most {MOST_PATTERNS:,}. Merge rare classes or plan with fewer raters."
            )

    def patterns(self, statistic: str, *, truth: float) -> Patterns:
        """Every possible answer to one task, weighted by its probability when `statistic` is `truth` in the population.

        Raises InvalidInput when the statistic is unknown, needs two raters, or cannot take this value in this crowd.
        """
        coefficient = _coefficient(statistic, self.raters)
        counts, cells = _answers(len(self.prevalence), self.raters, ordered=statistic in ONE_PAIR)

        def at(skill: float) -> FloatArray:
            return _probabilities(self._emission(skill), np.array(self.prevalence), counts, cells)

        def excess(skill: float) -> float:
            weights = at(skill) * POPULATION
            found = float(coefficient(Patterns(counts, weights, cells), weights[None, :])[0])
            return (found if np.isfinite(found) else 1.0) - truth

        skill = _root(excess, statistic, truth, low=0.0 if self.model == "chance" else 1.0 / len(self.prevalence))
        return Patterns(counts, at(skill), cells)

    def _emission(self, skill: float) -> FloatArray:
        """(q, q): probability of each answer given the true class."""
        q = len(self.prevalence)
        if self.model == "chance":
            emission: FloatArray = skill * np.eye(q) + (1.0 - skill) * np.array(self.prevalence)[None, :]
            return emission
        wrong = (1.0 - skill) / (q - 1)
        return np.full((q, q), wrong) + (skill - wrong) * np.eye(q)


def equal_shares(classes: int) -> tuple[float, ...]:
    """Prevalence of `classes` equally frequent classes. Raises InvalidInput below two."""
    if classes < 2:
        raise InvalidInput(f"classes: found {classes}, expected 2 or more. One class leaves nothing to agree on.")
    return (1.0 / classes,) * classes


def _check_prevalence(prevalence: tuple[float, ...]) -> None:
    if len(prevalence) < 2 or any(not 0.0 < share < 1.0 for share in prevalence) or abs(sum(prevalence) - 1.0) > 1e-6:
        raise InvalidInput(
            f"prevalence: found {list(prevalence)}, expected two or more shares above 0 that sum to 1. "
            "Give one share a class, e.g. 0.7,0.2,0.07,0.03."
        )


def _coefficient(statistic: str, raters: int) -> Coefficient:
    if statistic not in NOMINAL:
        raise InvalidInput(
            f"statistic: found {statistic!r}, expected one of {', '.join(NOMINAL)}. Overlap is planned for labels only."
        )
    if statistic in ONE_PAIR and raters != 2:
        raise InvalidInput(
            f"statistic: found {statistic} with {raters} raters, expected 2. "
            "Choose fleiss_kappa or krippendorff_alpha_nominal, or plan with two raters."
        )
    return NOMINAL[statistic]


def _answers(q: int, raters: int, *, ordered: bool) -> tuple[FloatArray, IntArray | None]:
    """Counts (n_patterns, q); if who answered what matters, the two answers, (n_patterns, 2), as well."""
    identity = np.eye(q)
    if ordered:
        cells = np.argwhere(np.ones((q, q))).astype(np.int64)
        return identity[cells[:, 0]] + identity[cells[:, 1]], cells
    chosen = np.array(list(combinations_with_replacement(range(q), raters)))
    return identity[chosen].sum(axis=1), None


def _probabilities(
    emission: FloatArray, prevalence: FloatArray, counts: FloatArray, cells: IntArray | None
) -> FloatArray:
    """(n_patterns,): annotators answer independently given the true class."""
    if cells is not None:
        pair: FloatArray = prevalence @ (emission[:, cells[:, 0]] * emission[:, cells[:, 1]])
        return np.asarray(pair / pair.sum(), dtype=np.float64)
    ways = np.exp(gammaln(counts.sum(axis=1) + 1) - gammaln(counts + 1).sum(axis=1))
    # One class at a time: (q, n_patterns, q) at once would be gigabytes at the limit.
    total = sum(
        share * np.prod(row[None, :] ** counts, axis=1) for share, row in zip(prevalence, emission, strict=True)
    )
    probability: FloatArray = np.asarray(ways * total, dtype=np.float64)
    return np.asarray(probability / probability.sum(), dtype=np.float64)


def _root(excess: Callable[[float], float], statistic: str, truth: float, *, low: float) -> float:
    """The skill at which the statistic takes the wanted value; it rises with the skill."""
    least, most = excess(low) + truth, excess(1.0) + truth
    if not least < truth < most:
        raise InvalidInput(
            f"truth: found {statistic} = {truth:g}, expected above {least:.3f} and below {most:.3f}, what this crowd can show. "
            "Correct the value or the prevalence."
        )
    return float(brentq(excess, low, 1.0, xtol=1e-10))
