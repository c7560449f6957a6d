"""Agreement period by period: the series behind a trend plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.categorical import agreement
from annotation_ops.domain.quality.agreement.report import DRAWS
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.quality.statistic import Statistic, documents
from annotation_ops.domain.records import JsonObject


@dataclass(frozen=True, slots=True)
class PeriodAgreement:
    period: str
    n_tasks: int
    statistics: Mapping[str, Statistic]
    """As in the agreement report; undefined, with the reason, where the period is too thin."""

    def document(self) -> JsonObject:
        return {"period": self.period, "n_tasks": self.n_tasks, **documents(self.statistics.items())}


def agreement_over_time(
    judgements: Judgements,
    *,
    periods: Mapping[str, str] | Sequence[str],
    seed: int,
    confidence: float = 0.95,
    draws: int = DRAWS,
    ordered: bool = False,
) -> tuple[PeriodAgreement, ...]:
    """Agreement of each period, in order of its name: write periods so that they sort, as 2026-03 or 2026-W09.

    `periods` maps task ids to periods, or gives one for every judgement in the order of `judgements`; judgements of one
    task in different periods are then never compared. Raises InvalidInput when a task or a judgement has no period.
    """
    label = _of_judgements(judgements, periods)
    names, which = np.unique(label, return_inverse=True)
    found = []
    for at, name in enumerate(names.tolist()):
        part = judgements.selected(which == at)
        report = agreement(part, confidence=confidence, seed=seed, draws=draws, ordered=ordered)
        found.append(PeriodAgreement(name, len(part.tasks), report.statistics))
    return tuple(found)


def _of_judgements(
    judgements: Judgements, periods: Mapping[str, str] | Sequence[str]
) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    if isinstance(periods, Mapping):
        missing = [task for task in judgements.tasks if task not in periods]
        if missing:
            raise InvalidInput(
                f"periods: found none for task {missing[0]!r} ({len(missing)} such), expected one for every task judged. "
                "Add them, or select the tasks that have one."
            )
        return np.array([periods[task] for task in judgements.tasks], dtype=np.str_)[judgements.task_index]
    if len(periods) != judgements.n_judgements:
        raise InvalidInput(
            f"periods: found {len(periods)}, expected one for each of {judgements.n_judgements} judgements. "
            "Give them in the order of the judgements, or by task."
        )
    return np.array(periods, dtype=np.str_)
