"""Drift alarm: has an annotator's accuracy fallen since they began? It may be asked after every judgement.

The evidence is a Bayes factor: the likelihood of the history under a mixture of falls (when, from what, to what) over its
likelihood under a constant accuracy, unknown with Jeffreys' prior. While the accuracy is constant the Bayes factor is a
test martingale, so it ever reaches 1/a with probability at most a (Ville), whenever and however often one looks, without
any baseline period. The bound holds on average over Jeffreys' prior (Hendriksen, de Heide, Gruenwald, Bayesian Analysis
16:961-989, 2021); measured at single accuracies from .5 to .99 it holds at each (docs/annotators.md). Dividing by the largest
likelihood instead would prove it for each, and needs twice the judgements to find a fall.

Values between 0 and 1 (a probability of being right, a score of boxes) count as that part of a right answer: their
likelihood ratio (p1/p)^x ((1-p1)/(1-p))^(1-x) is convex in x, hence on average no larger than that of right and wrong
answers with the same mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from scipy.special import betaln

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.judgements import FloatArray, IntArray, Judgements
from annotation_ops.domain.quality.statistic import Statistic, jeffreys, rounded, undefined
from annotation_ops.domain.records import JsonObject
from annotation_ops.domain.workforce.false_discovery import e_benjamini_hochberg
from annotation_ops.domain.workforce.reference import Reference

LEVELS = np.sin(np.linspace(0.0, np.pi / 2, 27)[1:-1]) ** 2
"""Accuracies the mixture considers: evenly spaced where the standard error is even."""
LARGER_STEP = 0.8
"""A fall by one level more is this much as likely."""
SMALLEST_FALL = 0.04
"""Smaller falls are not looked for; the power for larger ones is worth more."""
CHANGE_RATE = 0.2
"""The change comes after judgement t with chance CHANGE_RATE / (t + 1): none is ever too late to be found."""
LATEST_LOG_E = 700.0
"""Beyond it an e-value no longer fits a double; it is evidence enough."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One annotator's history."""

    annotator_id: str
    n: int
    """Judgements in the history."""
    e_value: float
    """Evidence for a fall now: how many times likelier than a constant accuracy. 1 without a history."""
    alarmed_at: int | None
    """After this many judgements the evidence first reached 1 / false_alarm_rate; None if it never did."""
    drifting: bool
    """The evidence now stands among all annotators, at this false discovery rate (e-BH)."""
    since: int | None
    """Likeliest number of judgements before the fall; None unless `drifting` or `alarmed_at`."""
    before: Statistic
    after: Statistic
    """Accuracy before and after `since`, undefined (`no_drift`) where that is None. The split was chosen where the two differ
    most, so take the difference as an upper bound."""

    def document(self) -> JsonObject:
        return {
            "annotator_id": self.annotator_id,
            "n": self.n,
            "e_value": rounded(self.e_value),
            "alarmed_at": self.alarmed_at,
            "drifting": self.drifting,
            "since": self.since,
            "before": self.before.document(),
            "after": self.after.document(),
        }


def drift(
    histories: Mapping[str, Sequence[float]],
    *,
    false_alarm_rate: float = 0.05,
    confidence: float = 0.95,
) -> tuple[Drift, ...]:
    """One entry an annotator, ordered by id.

    A history is the correctness of the annotator's judgements in the order they were made, each within [0, 1]: 0 or 1
    against gold, else P(right) by left-out consensus (see `histories`). `false_alarm_rate` bounds, for one annotator, the
    chance of ever reaching `alarmed_at` while nothing changes; for all, the expected share of false `drifting` at any one
    look. Raises InvalidInput for a value outside [0, 1] or a rate outside (0, 1).
    """
    for name, share in (("false_alarm_rate", false_alarm_rate), ("confidence", confidence)):
        if not 0 < share < 1:
            raise InvalidInput(f"{name}: found {share}, expected a number between 0 and 1.")
    people = sorted(histories)
    values, lengths = _matrix(people, histories)
    evidence = _log_e_values(values, lengths)
    now = evidence[np.arange(len(people)), lengths]
    found = e_benjamini_hochberg(np.exp(np.minimum(now, LATEST_LOG_E)), rate=false_alarm_rate)
    reached = evidence >= -np.log(false_alarm_rate)
    first = np.where(reached.any(axis=1), reached.argmax(axis=1), -1)
    return tuple(
        _finding(
            name,
            values[at, : lengths[at]],
            e_value=float(np.exp(min(now[at], LATEST_LOG_E))),
            alarmed_at=int(first[at]) if first[at] > 0 else None,
            drifting=bool(found[at]),
            confidence=confidence,
        )
        for at, name in enumerate(people)
    )


def histories(
    judgements: Judgements, *, reference: Reference, made_at: Mapping[tuple[str, str], datetime]
) -> dict[str, tuple[float, ...]]:
    """Each annotator's correctness in order of time, from the reference each judgement is no part of.

    `made_at` is (task_id, annotator_id) -> time; judgements made at the same time come in order of task id. What has no
    reference is left out; an annotator without any has an empty history. Raises InvalidInput for a missing time.
    """
    correctness = np.where(reference.informed, reference.correctness(judgements), -1.0).tolist()
    found: dict[str, list[tuple[datetime, str, float]]] = {name: [] for name in judgements.annotators}
    for task_at, annotator_at, value in zip(
        judgements.task_index.tolist(), judgements.annotator_index.tolist(), correctness, strict=True
    ):
        task, annotator = judgements.tasks[task_at], judgements.annotators[annotator_at]
        if (task, annotator) not in made_at:
            raise InvalidInput(
                f"judgement of annotator {annotator!r} on task {task!r}: found no time, expected one in `made_at`. "
                "Drift needs the order in which judgements were made."
            )
        if value >= 0:
            found[annotator].append((made_at[task, annotator], task, value))
    return {name: tuple(value for _, _, value in sorted(rows)) for name, rows in found.items()}


def _matrix(people: Sequence[str], histories: Mapping[str, Sequence[float]]) -> tuple[FloatArray, IntArray]:
    lengths = np.array([len(histories[name]) for name in people], dtype=np.int64)
    values = np.zeros((len(people), int(lengths.max(initial=0))))
    for at, name in enumerate(people):
        history = np.asarray(histories[name], dtype=np.float64)
        outside = np.flatnonzero(~((history >= 0) & (history <= 1)))
        if len(outside):
            raise InvalidInput(
                f"history of {name!r}: found {float(history[outside[0]])} as judgement {int(outside[0]) + 1}, "
                "expected a number from 0 (wrong) to 1 (right)."
            )
        values[at, : len(history)] = history
    return values, lengths


def _log_e_values(values: FloatArray, lengths: IntArray) -> FloatArray:
    """After 0, 1, ... judgements, (people, longest + 1); minus infinity beyond a person's own length."""
    people, longest = values.shape
    evidence = np.full((people, longest + 1), -np.inf)
    evidence[:, 0] = 0.0
    order = np.argsort(-lengths, kind="stable")
    mixture = _Mixture(people)
    right = np.zeros(people)
    for step in range(longest):
        # People with the longest histories first: those still under way are always the first `active`.
        active = int((lengths > step).sum())
        value = values[order[:active], step]
        right[:active] += value
        log_mixture = mixture.observe(value)
        evidence[order[:active], step + 1] = log_mixture - _constant(right[:active], step + 1)
    return evidence


def _constant(right: FloatArray, n: int) -> FloatArray:
    """Log-likelihood under a constant accuracy with Jeffreys' prior."""
    found: FloatArray = betaln(right + 0.5, n - right + 0.5) - betaln(0.5, 0.5)
    return found


class _Mixture:
    """Forward probabilities of "not fallen yet" at each level and "fallen" between two; lives inside one call."""

    def __init__(self, people: int) -> None:
        size = len(LEVELS)
        steps = np.arange(size)[:, None] - np.arange(size)[None, :]
        allowed = (LEVELS[None, :] <= LEVELS[:, None] - SMALLEST_FALL) * LARGER_STEP ** np.maximum(steps, 0)
        fallen = allowed / np.maximum(allowed.sum(axis=1, keepdims=True), 1e-300)
        self._starts = np.where(allowed.any(axis=1), 1.0, 0.0)
        self._starts /= self._starts.sum()
        self._lower = fallen
        self._before = np.tile(self._starts, (people, 1))
        self._after = np.zeros((people, size, size))
        self._log = np.zeros(people)
        self._seen = 0

    def observe(self, value: FloatArray) -> FloatArray:
        """Log-likelihood of the history so far, after one more judgement of the first len(value) people."""
        n = len(value)
        likelihood = LEVELS ** value[:, None] * (1.0 - LEVELS) ** (1.0 - value[:, None])
        moved = CHANGE_RATE / (self._seen + 1) if self._seen else 0.0
        before, after = self._before[:n], self._after[:n]
        after += moved * before[:, :, None] * self._lower
        after *= likelihood[:, None, :]
        before *= (1.0 - moved) * likelihood
        total = before.sum(axis=1) + after.sum(axis=(1, 2))
        before /= total[:, None]
        after /= total[:, None, None]
        self._log[:n] += np.log(total)
        self._seen += 1
        return self._log[:n].copy()


def _finding(
    name: str,
    history: FloatArray,
    *,
    e_value: float,
    alarmed_at: int | None,
    drifting: bool,
    confidence: float,
) -> Drift:
    since = _likeliest_split(history) if drifting or alarmed_at is not None else None
    before, after = undefined("no_drift", n=0), undefined("no_drift", n=0)
    if since is not None:
        before, after = (_accuracy(part, confidence) for part in (history[:since], history[since:]))
    return Drift(name, len(history), e_value, alarmed_at, drifting, since, before, after)


def _likeliest_split(history: FloatArray) -> int | None:
    """Where two constant accuracies, the second one lower, explain the history best."""
    n = len(history)
    if n < 2:
        return None
    first = np.arange(1, n)
    right = history.cumsum()
    head, tail = right[:-1], right[-1] - right[:-1]
    score = _split_likelihood(head, first) + _split_likelihood(tail, n - first)
    score = np.where(tail / (n - first) < head / first, score, -np.inf)
    return int(score.argmax()) + 1 if np.isfinite(score).any() else None


def _split_likelihood(right: FloatArray, n: IntArray) -> FloatArray:
    share = np.clip(right / n, 1e-12, 1.0 - 1e-12)
    found: FloatArray = right * np.log(share) + (n - right) * np.log(1.0 - share)
    return found


def _accuracy(part: FloatArray, confidence: float) -> Statistic:
    n = len(part)
    right = np.array([part.sum()])
    low, high = jeffreys(right, trials=np.array([float(n)]), confidence=confidence)
    return Statistic(float(right[0]) / n, None, float(low[0]), float(high[0]), n)
