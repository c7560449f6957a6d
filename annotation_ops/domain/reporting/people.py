"""What the people of a report look like: heat map by class, matrix of pairs, and the flags beside a name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from annotation_ops.domain.quality.statistic import Statistic
from annotation_ops.domain.reporting.cost import UNDECLARED
from annotation_ops.domain.reporting.tallies import Pair, Tallies, Tally, added, needs_attention, proportions
from annotation_ops.domain.workforce.false_discovery import benjamini_hochberg

HEAT_ROWS = 30
"""Annotators with a row of their own: what fits one printed page; the others share a strip."""
HEAT_COLUMNS = 24
"""Classes with a column of their own: what fits a page beside the names."""
MATRIX_PEOPLE = 14
"""Annotators in the pair matrix: wider does not fit a printed page."""
TELLING_SHARE = 0.25
"""Of the cells of a matrix that is not complete: with fewer that say anything it is not shown."""
LOWEST_PAIRS = 10
FEW_TASKS = 5
"""Fewer shared tasks say nothing worth a colour: the widest interval of 4 tasks spans more than half the scale."""
FEW_SHARED = 10
"""Shared tasks below which a person's agreement is called little evidence."""
FALSE_DISCOVERY_RATE = 0.05
QUICK = 0.5
"""Of the crowd's median seconds: less is called quick."""


@dataclass(frozen=True, slots=True)
class HeatRow:
    annotator_id: str
    overall: Statistic
    cells: tuple[Statistic | None, ...]
    """One a column; None where the annotator never gave the class on a shared task."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Agreement of each annotator with the others, by the class the annotator gave."""

    labels: tuple[str, ...]
    labels_left_out: int
    rows: tuple[HeatRow, ...]
    """Those most certain to agree little, first."""
    others: tuple[tuple[str, Statistic], ...]
    """Annotators without a row, in the same order, with their overall agreement."""
    everybody: tuple[Statistic | None, ...]
    """All annotators together, one a column."""


@dataclass(frozen=True, slots=True)
class PairRow:
    annotators: Pair
    agreement: Statistic


@dataclass(frozen=True, slots=True)
class PairMatrix:
    people: tuple[str, ...]
    """Everybody when they fit, else those who share the most tasks; empty when too few of their pairs share enough."""
    cells: tuple[tuple[Statistic | None, ...], ...]
    """Symmetric, (n_people, n_people); None on the diagonal and for two who share no task."""
    n_pairs: int
    """All pairs that share a task, shown or not."""
    complete: bool
    """Whether every pair is in the matrix."""
    histogram: tuple[int, ...]
    """All pairs with FEW_TASKS shared tasks or more by agreement, ten bins of 0.1."""
    lowest: tuple[PairRow, ...]
    """Those of them most certain to agree little."""


@dataclass(frozen=True, slots=True)
class CohortMatrix:
    """Agreement within and between cohorts, over all pairs of people."""

    cohorts: tuple[str, ...]
    people: tuple[int, ...]
    """Annotators of each cohort who share a task with somebody."""
    cells: tuple[tuple[Statistic | None, ...], ...]
    """Symmetric, (n_cohorts, n_cohorts); None where no two share a task. n is pairs of judgements, several of one task:
    there is no interval."""


def heat_map(tallies: Tallies, *, labels: Sequence[str], confidence: float) -> HeatMap:
    """`labels` in taxonomy order; those used most keep their column when there are too many. Without a tally by class, as for
    shapes, spans and texts, there is no column."""
    overall = proportions(tallies.by_annotator, confidence=confidence)
    cells = proportions(tallies.by_cell, confidence=confidence)
    shown = _most_used(tallies, labels)
    ranked = sorted(overall, key=lambda name: (*needs_attention(overall[name]), name))
    first, others = ranked[:HEAT_ROWS], ranked[HEAT_ROWS:]
    return HeatMap(
        labels=shown,
        labels_left_out=len(labels) - len(shown) if shown else 0,
        rows=tuple(HeatRow(n, overall[n], tuple(cells.get((n, label)) for label in shown)) for n in first),
        others=tuple((name, overall[name]) for name in others),
        everybody=_everybody(tallies, shown, confidence=confidence),
    )


def pair_matrix(tallies: Tallies, *, confidence: float) -> PairMatrix:
    """Everybody when they fit, else those who share the most tasks."""
    pairs = proportions(tallies.by_pair, confidence=confidence)
    shared: dict[str, int] = {}
    for pair, statistic in pairs.items():
        for name in pair:
            shared[name] = shared.get(name, 0) + statistic.n
    most = sorted(shared, key=lambda name: (-shared[name], name))[:MATRIX_PEOPLE]
    people = tuple(sorted(most))
    complete = len(shared) <= MATRIX_PEOPLE
    if not complete and _telling_share(pairs, people) < TELLING_SHARE:
        people = ()
    telling = {pair: statistic for pair, statistic in pairs.items() if statistic.n >= FEW_TASKS}
    values = [statistic.value for statistic in telling.values() if statistic.value is not None]
    bins, _ = np.histogram(np.array(values, dtype=np.float64), bins=10, range=(0.0, 1.0))
    lowest = sorted(telling, key=lambda pair: (*needs_attention(telling[pair]), pair))[:LOWEST_PAIRS]
    return PairMatrix(
        people=people,
        cells=tuple(tuple(pairs.get((min(a, b), max(a, b))) if a != b else None for b in people) for a in people),
        n_pairs=len(pairs),
        complete=complete,
        histogram=tuple(int(count) for count in bins),
        lowest=tuple(PairRow(pair, telling[pair]) for pair in lowest),
    )


def cohort_matrix(tallies: Tallies, *, cohorts: Mapping[str, str]) -> CohortMatrix:
    """Cohorts in order of their names; who has none is `not declared`."""
    sums: dict[Pair, Tally] = {}
    members: dict[str, set[str]] = {}
    for pair, tally in tallies.by_pair.items():
        first, second = sorted(cohorts.get(name) or UNDECLARED for name in pair)
        before = sums.get((first, second), Tally(0.0, 0))
        sums[first, second] = Tally(before.agreeing + tally.agreeing, before.n + tally.n)
        for name in pair:
            members.setdefault(cohorts.get(name) or UNDECLARED, set()).add(name)
    names = tuple(sorted(members))
    return CohortMatrix(
        names,
        tuple(len(members[name]) for name in names),
        tuple(tuple(_pooled(sums.get((min(a, b), max(a, b)))) for b in names) for a in names),
    )


def flags(tallies: Mapping[str, Tally], *, seconds: Mapping[str, float | None]) -> dict[str, tuple[str, ...]]:
    """What stands out about each annotator; a reason to look, not a judgement of the person.

    `below_the_others`: the posterior probability of agreeing as often as everybody together is small, with the false
    discovery rate over all annotators held at 5% (Benjamini and Hochberg 1995). `little_evidence`: few shared tasks.
    `quick`: median `seconds` below half the median of the annotators.
    """
    low = _below(tallies)
    usual = usual_seconds(seconds.values()) or 0.0
    found = {}
    for name, tally in tallies.items():
        pace = seconds.get(name)
        raised = {
            "below_the_others": name in low,
            "quick": pace is not None and pace < QUICK * usual,
            "little_evidence": tally.n < FEW_SHARED,
        }
        found[name] = tuple(flag for flag, up in raised.items() if up)
    return found


def usual_seconds(seconds: Iterable[float | None]) -> float | None:
    """The median over annotators; None when nobody's work was timed."""
    timed = [value for value in seconds if value is not None]
    return float(np.median(timed)) if timed else None


def _telling_share(pairs: Mapping[Pair, Statistic], people: Sequence[str]) -> float:
    """Of the cells of their matrix, the share with FEW_TASKS shared tasks or more."""
    chosen = set(people)
    telling = sum(pair[0] in chosen and pair[1] in chosen and s.n >= FEW_TASKS for pair, s in pairs.items())
    return telling / (len(people) * (len(people) - 1) / 2)


def _pooled(tally: Tally | None) -> Statistic | None:
    return Statistic(tally.agreeing / tally.n, None, None, None, tally.n) if tally is not None and tally.n else None


def _below(tallies: Mapping[str, Tally]) -> frozenset[str]:
    telling = {name: tally for name, tally in tallies.items() if tally.n >= FEW_SHARED}
    if len(telling) < 3:
        return frozenset()
    n = np.array([tally.n for tally in telling.values()], dtype=np.float64)
    agreeing = np.minimum(np.array([tally.agreeing for tally in telling.values()]), n)
    crowd = agreeing.sum() / n.sum()
    p = beta.sf(crowd, agreeing + 0.5, n - agreeing + 0.5)
    believed = benjamini_hochberg(p, rate=FALSE_DISCOVERY_RATE).tolist()
    return frozenset(name for name, low in zip(telling, believed, strict=True) if low)


def _most_used(tallies: Tallies, labels: Sequence[str]) -> tuple[str, ...]:
    if not tallies.by_cell:
        return ()
    used: dict[str, int] = {}
    for (_, label), tally in tallies.by_cell.items():
        used[label] = used.get(label, 0) + tally.n
    kept = sorted(labels, key=lambda label: -used.get(label, 0))[:HEAT_COLUMNS]
    return tuple(label for label in labels if label in set(kept))


def _everybody(tallies: Tallies, labels: Sequence[str], *, confidence: float) -> tuple[Statistic | None, ...]:
    """n counts judgements here: several of one task, so the intervals are too narrow and only the values are shown."""
    by_label = added(Tallies(by_annotator={label: tally}) for (_, label), tally in tallies.by_cell.items())
    found = proportions(by_label.by_annotator, confidence=confidence)
    return tuple(found.get(label) for label in labels)
