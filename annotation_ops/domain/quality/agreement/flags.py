"""Whom, which pair and which class to look at: agreement below the rest's, with the false discovery rate controlled.

One-sided hypergeometric (Fisher's exact) tests of the tasks agreed on against those of the rest, adjusted by Benjamini and
Hochberg, J R Stat Soc B 57:289-300 (1995): of those flagged, at most `rate` are expected to be there by chance alone.
A task counts once, with the share of the others who agree, rounded up: what varies less than a yes or no, and judgements
that depend on each other within a task, make the test cautious. Tasks must be dealt out without regard to difficulty;
somebody who is given the hard ones agrees less without working less well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import false_discovery_control, hypergeom

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.people import annotator_counts, pair_table
from annotation_ops.domain.quality.agreement.report import ClassAgreement
from annotation_ops.domain.quality.judgements import FloatArray, Judgements
from annotation_ops.domain.quality.statistic import rounded
from annotation_ops.domain.records import JsonObject

MIN_SHARED_TASKS = 20
"""Below this nobody is flagged: 20 tasks tell 0.9 from 0.6 nine times in ten, and fewer mostly tell chance."""

FlagOutcome = Literal["below_the_rest", "as_the_rest", "too_few_tasks", "no_rest"]


@dataclass(frozen=True, slots=True)
class Flag:
    """What the test says of one annotator, pair of annotators, or class."""

    subject: tuple[str, ...]
    """One annotator or label, or the two annotators of a pair."""
    outcome: FlagOutcome
    """`no_rest`: nobody to compare with, as with two annotators only."""
    agreement: float | None
    rest: float | None
    """Agreement of all others among themselves."""
    p_value: float | None
    adjusted: float | None
    """p-value after Benjamini-Hochberg; None unless tested."""
    n: int
    """Shared tasks."""

    def document(self) -> JsonObject:
        return {
            "subject": list(self.subject),
            "outcome": self.outcome,
            "agreement": rounded(self.agreement),
            "rest": rounded(self.rest),
            "p_value": rounded(self.p_value),
            "adjusted": rounded(self.adjusted),
            "n": self.n,
        }


def flag_annotators(
    judgements: Judgements, *, rate: float = 0.05, min_shared_tasks: int = MIN_SHARED_TASKS
) -> tuple[Flag, ...]:
    """Every annotator against the agreement of the others among themselves, ordered by id."""
    agreeing, n = annotator_counts(judgements)
    rest_agreeing, rest_n = _others_among_themselves(judgements)
    subjects = [(name,) for name in judgements.annotators]
    return _flags(subjects, agreeing, n, rest_agreeing, rest_n, rate=rate, least=min_shared_tasks)


def flag_pairs(
    judgements: Judgements, *, rate: float = 0.05, min_shared_tasks: int = MIN_SHARED_TASKS
) -> tuple[Flag, ...]:
    """Every pair that shares `min_shared_tasks` against all other pairs, ordered by the two ids."""
    table = pair_table(judgements, confidence=0.95)
    names = table.annotators
    enough = np.flatnonzero(table.n >= min_shared_tasks)
    subjects = [
        (names[one], names[other])
        for one, other in zip(table.first[enough].tolist(), table.second[enough].tolist(), strict=True)
    ]
    agreeing, n = table.agreeing[enough], table.n[enough]
    rest = float(table.agreeing.sum()) - agreeing, float(table.n.sum()) - n
    return _flags(subjects, agreeing, n, *rest, rate=rate, least=min_shared_tasks)


def flag_classes(
    classes: Sequence[ClassAgreement], *, rate: float = 0.05, min_shared_tasks: int = MIN_SHARED_TASKS
) -> tuple[Flag, ...]:
    """Every class of an agreement report against the other classes, in taxonomy order."""
    n = np.array([item.agreement.n for item in classes], dtype=np.float64)
    agreeing = n * np.array([item.agreement.value or 0.0 for item in classes], dtype=np.float64)
    subjects = [(item.label,) for item in classes]
    rest = agreeing.sum() - agreeing, n.sum() - n
    return _flags(subjects, agreeing, n, *rest, rate=rate, least=min_shared_tasks)


def _others_among_themselves(judgements: Judgements) -> tuple[FloatArray, FloatArray]:
    """For each annotator, over tasks where two others judged or the annotator did not: the sum of the share of their
    pairs that agree, and the number of those tasks; each (n_annotators,)."""
    size = judgements.per_task().astype(np.float64)
    same = judgements.agreeing().astype(np.float64)
    agreeing = np.bincount(judgements.task_index, weights=same, minlength=len(size))
    share = np.divide(agreeing, size * (size - 1.0), out=np.zeros(len(size)), where=size > 1)
    m, own = size[judgements.task_index], judgements.annotator_index
    # Ordered agreeing pairs without this judgement: its own `same` pairs fall away in both directions.
    left = agreeing[judgements.task_index] - 2.0 * same
    among = np.divide(left, (m - 1.0) * (m - 2.0), out=np.zeros(len(m)), where=m > 2)
    people = len(judgements.annotators)
    change = np.bincount(own, weights=among - share[judgements.task_index], minlength=people)
    lost = np.bincount(own[m == 2], minlength=people)
    return (share.sum() + change).astype(np.float64), ((size > 1).sum() - lost).astype(np.float64)


def _flags(
    subjects: Sequence[tuple[str, ...]],
    agreeing: FloatArray,
    n: FloatArray,
    rest_agreeing: FloatArray,
    rest_n: FloatArray,
    *,
    rate: float,
    least: int,
) -> tuple[Flag, ...]:
    if not 0.0 < rate < 1.0:
        raise InvalidInput(f"rate: found {rate}, expected a number between 0 and 1. Use 0.05.")
    tested = (n >= max(least, 1)) & (rest_n >= 1)
    p_value = np.full(len(n), np.nan)
    p_value[tested] = _fisher(agreeing[tested], n[tested], rest_agreeing[tested], rest_n[tested])
    adjusted = np.full(len(n), np.nan)
    if tested.any():
        adjusted[tested] = false_discovery_control(p_value[tested], method="bh")
    return tuple(
        Flag(
            subject,
            _outcome(float(adjusted[at]), rate) if tested[at] else "no_rest" if n[at] >= least else "too_few_tasks",
            float(agreeing[at] / n[at]) if n[at] else None,
            float(rest_agreeing[at] / rest_n[at]) if rest_n[at] >= 1 else None,
            float(p_value[at]) if tested[at] else None,
            float(adjusted[at]) if tested[at] else None,
            int(n[at]),
        )
        for at, subject in enumerate(subjects)
    )


def _outcome(adjusted: float, rate: float) -> FlagOutcome:
    return "below_the_rest" if adjusted <= rate else "as_the_rest"


def _fisher(agreeing: FloatArray, n: FloatArray, rest_agreeing: FloatArray, rest_n: FloatArray) -> FloatArray:
    """Probability of so few agreed tasks if they fell on subject and rest alike; fractions are rounded for the subject."""
    own = np.minimum(np.ceil(np.round(agreeing, 9)), n)
    rest = np.clip(np.floor(np.round(rest_agreeing, 9)), 0.0, rest_n)
    p_value: FloatArray = hypergeom.cdf(own, n + rest_n, own + rest, n)
    # The far tail of the distribution may come out a rounding above 1.
    return np.clip(p_value, 0.0, 1.0)
