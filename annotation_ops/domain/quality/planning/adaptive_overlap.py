"""Adaptive overlap: which tasks need another judgement, and which are settled already.

Judgements asked for *because* the first ones disagreed must not enter agreement statistics: their number depends on the
answers. Averaged by task they bias agreement upwards (under two_plus_one a disputed task goes from 0 to at least 1/3 when
there are two classes, and an agreed one stays at 1); pooled over pairs they bias it downwards (a disputed task counts three
times). Agreement rests on the first `start_overlap` judgements of each task only; the consensus may use all. Their purpose
must be recorded when they are asked for, because nothing in the answers tells it later.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.workflow import AdaptiveOverlap
from annotation_ops.domain.quality.consensus.ensemble import ensemble
from annotation_ops.domain.quality.consensus.model_assisted import check_predictions
from annotation_ops.domain.quality.judgements import FloatArray, IntArray, Judgements

MOST = 100
"""No workflow asks for more judgements a task than this."""
FIRST = {"two_plus_one": 2, "lead_two": 2, "posterior": 2, "model_assisted": 1}
"""Judgements of every task before anything is decided."""
LEAD = 2
"""Votes by which the leading label must lead."""


@dataclass(frozen=True, slots=True)
class MoreJudgements:
    task_id: str
    judgements: int
    """How many to ask for now, at least 1."""
    reason: str


@dataclass(frozen=True, slots=True)
class Savings:
    n_tasks: int
    judgements: int
    """Given."""
    fixed: int
    """What the fixed overlap would have taken."""
    saved: int
    """Negative when more were spent."""
    share: float | None
    """Saved of the fixed; None without a task."""
    per_task: float | None
    """Mean judgements a task; None without a task."""


def start_overlap(policy: AdaptiveOverlap, overlap: int = MOST) -> int:
    """Judgements every task starts with: all of `overlap` when it is fixed, else the policy's first ones."""
    return min(FIRST.get(policy.policy, overlap), overlap)


def further(
    judgements: Judgements, *, policy: AdaptiveOverlap, predictions: FloatArray | None = None
) -> tuple[MoreJudgements, ...]:
    """Which tasks need how many more judgements now, in task order; empty when all are settled or at the cap.

    Ask again with the new judgements until it is empty. Deterministic: only answers, predictions and task ids count.
    `predictions` (n_tasks, q) are out-of-fold class probabilities, a row of NaN where there is none; without a prediction
    model_assisted is lead_two. Raises InvalidInput on predictions of another shape or that are no probabilities.
    """
    if policy.policy == "fixed" or not judgements.tasks:
        return ()
    match policy.policy:
        case "two_plus_one":
            wanted = _two_plus_one(judgements)
        case "lead_two":
            wanted = _lead_two(judgements)
        case "posterior":
            wanted = _posterior(judgements, policy)
        case _:
            wanted = _model_assisted(judgements, policy, predictions)
    return tuple(_capped(judgements, wanted, policy))


def savings(judgements: Judgements, *, fixed_overlap: int) -> Savings:
    """Judgements spent against the same number on every task. Raises InvalidInput on an overlap below 1."""
    if fixed_overlap < 1:
        raise InvalidInput(
            f"fixed_overlap: found {fixed_overlap}, expected at least 1. Name the overlap to compare with."
        )
    tasks, spent = len(judgements.tasks), judgements.n_judgements
    fixed = tasks * fixed_overlap
    if not tasks:
        return Savings(0, 0, 0, 0, None, None)
    return Savings(tasks, spent, fixed, fixed - spent, (fixed - spent) / fixed, spent / tasks)


_Wanted = tuple[IntArray, list[str]]
"""Per task how many more, and the reasons by task."""


def _capped(judgements: Judgements, wanted: _Wanted, policy: AdaptiveOverlap) -> Iterator[MoreJudgements]:
    more = np.minimum(wanted[0], policy.cap - judgements.per_task())
    for task in np.flatnonzero(more > 0).tolist():
        yield MoreJudgements(judgements.tasks[task], int(more[task]), wanted[1][task])


def _two_plus_one(judgements: Judgements) -> _Wanted:
    size, lead = judgements.per_task(), _lead(judgements.counts())
    wanted = np.where(size < 2, 2 - size, np.where((size == 2) & (lead == 0), 1, 0))
    return wanted, [
        "the first two judgements disagree" if n >= 2 else "fewer than two judgements" for n in size.tolist()
    ]


def _lead_two(judgements: Judgements) -> _Wanted:
    size, lead = judgements.per_task(), _lead(judgements.counts())
    # With no lead, two further answers are needed in any case: asking for both at once saves a round.
    return np.maximum(LEAD - lead, 0), [
        f"the leading label leads by {ahead} of {LEAD} votes after {n}"
        for ahead, n in zip(lead.tolist(), size.tolist(), strict=True)
    ]


def _posterior(judgements: Judgements, policy: AdaptiveOverlap) -> _Wanted:
    counts, size = judgements.counts(), judgements.per_task()
    sure = np.where(counts > 0, ensemble(judgements).posterior, 0.0).max(axis=1)
    first = FIRST["posterior"]
    # A posterior that is exactly at the limit counts as settled whatever the last digit says.
    unsettled = np.round(sure, 9) < policy.settled_at
    wanted = np.where(size < first, first - size, unsettled.astype(np.int64))
    return wanted, [
        f"fewer than {first} judgements"
        if n < first
        else f"the leading label is {p:.2f} probable, below {policy.settled_at:g}"
        for n, p in zip(size.tolist(), sure.tolist(), strict=True)
    ]


def _model_assisted(judgements: Judgements, policy: AdaptiveOverlap, predictions: FloatArray | None) -> _Wanted:
    wanted, reasons = _lead_two(judgements)
    if predictions is None:
        return wanted, reasons
    known = np.nan_to_num(check_predictions(judgements, predictions, gaps=True), nan=0.0)
    counts, size = judgements.counts(), judgements.per_task()
    favourite = known.argmax(axis=1)
    sure = known.max(axis=1) >= max(policy.model_confidence, 1e-9)
    confirmed = (size == 1) & sure & (counts[np.arange(len(size)), favourite] == 1)
    for task in np.flatnonzero(confirmed).tolist():
        blind = _blindly_audited(judgements.tasks[task], share=policy.blind_share)
        wanted[task] = int(blind)
        reasons[task] = "blind audit of a task that one judgement and the model settled"
    return wanted, reasons


def _blindly_audited(task_id: str, *, share: float) -> bool:
    """Drawn by a hash of the id alone, so that the same tasks are drawn whenever and wherever this is asked."""
    digest = hashlib.sha256(f"blind audit:{task_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _lead(counts: FloatArray) -> IntArray:
    """Votes of the most frequent label ahead of the next, (n_tasks,)."""
    if counts.shape[1] == 1:
        return counts[:, 0].astype(np.int64)
    top = np.partition(counts, -2, axis=1)[:, -2:]
    return np.asarray(top[:, 1] - top[:, 0], dtype=np.int64)
