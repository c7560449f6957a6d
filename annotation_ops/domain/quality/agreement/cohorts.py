"""Agreement within and between cohorts of annotators: a new team, a vendor, a shift, against the others."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.coefficients import NO_CHANCE_LEFT
from annotation_ops.domain.quality.judgements import FloatArray, IntArray, Judgements
from annotation_ops.domain.quality.statistic import Statistic, documents, jeffreys, undefined
from annotation_ops.domain.records import JsonObject


@dataclass(frozen=True, slots=True)
class CohortAgreement:
    """Two cohorts on the tasks both judged, or one cohort, named twice, on tasks that two of its people judged."""

    cohorts: tuple[str, str]
    statistics: Mapping[str, Statistic]
    """`percent_agreement`: mean over tasks of the share of agreeing pairs, one annotator from each cohort. `kappa`: the
    same corrected for chance by the label shares of each cohort; within one cohort that is Fleiss' kappa, between two the
    kappa of Vanbelle and Albert, Psychometrika 74:477-491 (2009). Shares are those of the tasks counted."""

    def document(self) -> JsonObject:
        return {"cohorts": list(self.cohorts), **documents(self.statistics.items())}


def agreement_by_cohort(
    judgements: Judgements, *, cohorts: Mapping[str, str], confidence: float = 0.95
) -> tuple[CohortAgreement, ...]:
    """Every cohort with itself and with each other one, ordered by name; `no_overlap` where no task was judged by both.

    `cohorts` maps annotator ids to cohorts; annotators who never judged are ignored. Raises InvalidInput when an
    annotator of the judgements has no cohort.
    """
    names, member = _members(judgements, cohorts)
    tasks, q = len(judgements.tasks), len(judgements.categories)
    found = []
    for one in range(len(names)):
        for other in range(one, len(names)):
            agreeing, tried = _pairs_of(judgements, member, one, other)
            share = np.divide(agreeing, tried, out=np.zeros(tasks), where=tried > 0)
            chance = _chance(judgements, member, tried > 0, (one, other), q)
            statistics = _statistics(share[tried > 0], chance, confidence=confidence)
            found.append(CohortAgreement((names[one], names[other]), statistics))
    return tuple(found)


def _members(judgements: Judgements, cohorts: Mapping[str, str]) -> tuple[tuple[str, ...], IntArray]:
    """Cohorts in order of name, and the cohort of every judgement."""
    missing = [name for name in judgements.annotators if name not in cohorts]
    if missing:
        raise InvalidInput(
            f"cohorts: found no cohort for annotator {missing[0]!r} ({len(missing)} such), expected one for everybody who "
            "judged. Add them to the workforce."
        )
    names = tuple(sorted({cohorts[name] for name in judgements.annotators}))
    at = {name: index for index, name in enumerate(names)}
    of_annotator = np.array([at[cohorts[name]] for name in judgements.annotators], dtype=np.int64)
    return names, of_annotator[judgements.annotator_index]


def _pairs_of(judgements: Judgements, member: IntArray, one: int, other: int) -> tuple[FloatArray, FloatArray]:
    """Agreeing pairs and all pairs with one annotator from each cohort, (n_tasks,)."""
    agreeing, tried = np.zeros(len(judgements.tasks)), np.zeros(len(judgements.tasks))
    for first, second in judgements.pair_blocks():
        low, high = np.minimum(member[first], member[second]), np.maximum(member[first], member[second])
        chosen = (low == one) & (high == other)
        first, second = first[chosen], second[chosen]
        task = judgements.task_index[first]
        same = judgements.label_index[first] == judgements.label_index[second]
        tried += np.bincount(task, minlength=len(tried))
        agreeing += np.bincount(task[same], minlength=len(tried))
    return agreeing, tried


def _chance(
    judgements: Judgements,
    member: IntArray,
    tried: np.ndarray[tuple[int], np.dtype[np.bool_]],
    two: tuple[int, int],
    q: int,
) -> float:
    """Sum over categories of the product of the two cohorts' mean shares on the tasks counted."""
    shares = []
    for cohort in two:
        mine = (member == cohort) & tried[judgements.task_index]
        task = judgements.task_index[mine]
        size = np.bincount(task, minlength=len(tried))
        shares.append(np.bincount(judgements.label_index[mine], weights=1.0 / size[task], minlength=q))
    return float(shares[0] @ shares[1]) / max(1, int(tried.sum())) ** 2


def _statistics(share: FloatArray, chance: float, *, confidence: float) -> Mapping[str, Statistic]:
    n = len(share)
    if not n:
        return {"percent_agreement": undefined("no_overlap", n=0), "kappa": undefined("no_overlap", n=0)}
    total = np.array([share.sum()])
    low, high = jeffreys(total, trials=np.array([float(n)]), confidence=confidence)
    observed = (float(total[0] / n), float(low[0]), float(high[0]))
    percent = Statistic(observed[0], None, observed[1], observed[2], n)
    if 1.0 - chance <= NO_CHANCE_LEFT:
        return {"percent_agreement": percent, "kappa": undefined("single_category", n=n)}
    value, below, above = ((bound - chance) / (1.0 - chance) for bound in observed)
    return {"percent_agreement": percent, "kappa": Statistic(value, None, max(below, -1.0), above, n)}
