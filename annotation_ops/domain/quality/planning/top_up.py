"""Topping up overlap while a verdict is not settled: how many judgements more, and on which tasks."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.project.workflow import TopUp
from annotation_ops.domain.quality.judgements import FloatArray
from annotation_ops.domain.records import JsonObject, content_key

LEAST = 10
"""Judgements. A smaller round costs a dispatch and settles next to nothing."""


@dataclass(frozen=True, slots=True)
class TopUpOrder:
    """What an unsettled verdict asks for."""

    round: int
    """1 for the first."""
    judgements: int
    """On tasks drawn at random, whatever was answered: they count for every statistic."""
    classes: tuple[str, ...]
    """Classes whose agreement is not settled; as many judgements again go to tasks where somebody gave one of them."""

    def document(self) -> JsonObject:
        return {"round": self.round, "judgements": self.judgements, "classes": list(self.classes)}


def order_top_up(
    *,
    draws: FloatArray | None,
    threshold: float,
    n: int,
    wanted: int,
    classes: Sequence[str],
    earlier_rounds: int,
    limits: TopUp,
) -> TopUpOrder | None:
    """The next round, or None when the limit of rounds is reached.

    `draws` are posterior draws of the deciding statistic (None when it is undefined) on `n` overlapping tasks. A posterior
    of standard deviation s, at distance d from the threshold, is settled at 95% once d > 1.645 s; s shrinks with the square
    root of the tasks, so n (1.645 s / d)^2 tasks would settle it, if the estimate stays where it is. `wanted` is what too
    few tasks lack.
    """
    if earlier_rounds >= limits.rounds:
        return None
    judgements = max(wanted, _missing(draws, threshold, n), LEAST)
    return TopUpOrder(earlier_rounds + 1, min(judgements, limits.tasks), tuple(classes))


def _missing(draws: FloatArray | None, threshold: float, n: int) -> int:
    if draws is None or not len(draws):
        return 0
    distance = max(abs(float(np.mean(draws)) - threshold), 1e-3)
    return int(min(np.ceil(n * ((1.645 * float(np.std(draws)) / distance) ** 2 - 1.0)), 1e6))


def draw_top_up(
    answers: Mapping[str, Collection[str]],
    *,
    at_random: Mapping[str, int],
    order: TopUpOrder,
    seed: int,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tasks that get one judgement more: drawn at random, and drawn among those where somebody gave an unsettled class.

    `answers` is task -> labels given so far; `at_random` is task -> judgements that do not depend on the answers (absent
    is 0). The first draw takes the tasks with the fewest of these, so that single judgements become pairs first, and
    never looks at an answer: it leaves agreement unbiased. The draws do not share tasks.
    """
    lottery = {task: content_key(str(seed), task) for task in answers}
    ranked = sorted(answers, key=lambda task: (at_random.get(task, 0), lottery[task]))
    drawn = tuple(ranked[: order.judgements])
    taken = set(drawn)
    named = [task for task in answers if task not in taken and not set(order.classes).isdisjoint(answers[task])]
    return drawn, tuple(sorted(named, key=lottery.__getitem__)[: order.judgements])
