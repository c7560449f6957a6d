"""How well each annotator answers, by class, with the evidence behind it.

Every judgement is compared with a reference it is no part of (see `reference`), which knows the right answer only
probably; the posterior (see `skill_posterior`) takes that into account. Its prior is the crowd's own spread of skill, so
three lucky answers do not make an expert.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.special import betainc, betaincinv

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.judgements import FloatArray, Judgements
from annotation_ops.domain.quality.statistic import Statistic, rounded, undefined
from annotation_ops.domain.records import JsonObject
from annotation_ops.domain.workforce.reference import Reference, left_out_reference
from annotation_ops.domain.workforce.skill_posterior import Posteriors, posteriors

LEAST_WEIGHT = 0.5
"""Expected judgements: a class with less evidence is `class_unused`, a confusion with less is not listed."""
REFERENCE_DOUBT = 0.6
"""Variance is this much larger, divided by the number of others on a task, where the reference is consensus: it is fitted to
the same people. Measured: the errors' variance is 1.3-1.6 times the posterior's with one other, 1.1-1.2 with four."""
NEGLIGIBLE = 1e-3
"""A class less probable than this says nothing about the skill in it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is believed about one probability, as beta distributions."""

    alpha: float
    beta: float
    """Under the crowd's prior."""
    own_alpha: float
    own_beta: float
    """Under Jeffreys' prior: the person's own judgements alone."""

    def probability_below(self, minimum: float) -> float:
        """P(skill < minimum), with the crowd's prior or without, whichever accuses less.

        So nobody is found wanting because the crowd is weak, nor by a few early slips in a strong one.
        """
        with_crowd, alone = betainc(self.alpha, self.beta, minimum), betainc(self.own_alpha, self.own_beta, minimum)
        return float(min(with_crowd, alone))


Belief: TypeAlias = tuple[Statistic, Evidence | None]


@dataclass(frozen=True, slots=True)
class ClassSkill:
    """How often the annotator names the class where it is the right answer."""

    label: str
    accuracy: Statistic
    """n is the expected number of the annotator's judgements on tasks of this class. `class_unused` without any."""
    evidence: Evidence | None
    """None exactly when `accuracy` is undefined."""

    def document(self) -> JsonObject:
        return {"label": self.label, "accuracy": self.accuracy.document()}


@dataclass(frozen=True, slots=True)
class Confusion:
    """What the annotator says instead."""

    label: str
    """The right answer."""
    answer: str
    count: float
    """Expected number of such errors; a whole number where all of it is on gold tasks."""

    def document(self) -> JsonObject:
        return {"label": self.label, "answer": self.answer, "count": rounded(self.count)}


@dataclass(frozen=True, slots=True)
class AnnotatorSkill:
    annotator_id: str
    n_judgements: int
    n_gold: int
    """Judgements on gold tasks."""
    n_consensus: int
    """Judgements compared with the other judgements of the task."""
    accuracy: Statistic
    """P(right answer) over the annotator's own mix of tasks; n is n_gold + n_consensus. Undefined: `no_overlap` (no gold
    and nobody else on the tasks), `two_annotators` (without gold nobody can say which of two is right),
    `single_category`."""
    evidence: Evidence | None
    """None exactly when `accuracy` is undefined."""
    classes: tuple[ClassSkill, ...]
    """In category order."""
    confusions: tuple[Confusion, ...]
    """Most frequent first, then in category order; none rarer than half an error."""

    def document(self) -> JsonObject:
        return {
            "annotator_id": self.annotator_id,
            "n_judgements": self.n_judgements,
            "n_gold": self.n_gold,
            "n_consensus": self.n_consensus,
            "accuracy": self.accuracy.document(),
            "classes": [item.document() for item in self.classes],
            "confusions": [item.document() for item in self.confusions],
        }


def skill(
    judgements: Judgements,
    *,
    gold: Mapping[str, str] | None = None,
    confidence: float = 0.95,
    reference: Reference | None = None,
) -> tuple[AnnotatorSkill, ...]:
    """Every annotator, ordered by id. Nothing is drawn at random, so there is no seed.

    `gold` is task_id -> right label; `reference` saves fitting it again when it is at hand. Raises InvalidInput for a
    confidence outside (0, 1) or a gold label that is no category.
    """
    if not 0 < confidence < 1:
        raise InvalidInput(f"confidence: found {confidence}, expected a number between 0 and 1, such as 0.95.")
    reference = reference or left_out_reference(judgements, gold=gold)
    reason = _why_undefined(judgements, reference)
    people = len(judgements.annotators)
    answered = np.bincount(judgements.annotator_index, minlength=people).tolist()
    seen = _Seen(judgements, reference, confidence)
    overall = seen.overall(reason)
    classes = [seen.of_class(column, reason) for column in range(len(judgements.categories))]
    return tuple(
        AnnotatorSkill(
            annotator_id=name,
            n_judgements=answered[at],
            n_gold=seen.golden[at],
            n_consensus=seen.compared[at] - seen.golden[at],
            accuracy=overall[at][0],
            evidence=overall[at][1],
            classes=tuple(
                ClassSkill(label, *column[at]) for label, column in zip(judgements.categories, classes, strict=True)
            ),
            confusions=_confusions(seen.expected[at], judgements.categories) if overall[at][1] else (),
        )
        for at, name in enumerate(judgements.annotators)
    )


def _why_undefined(judgements: Judgements, reference: Reference) -> str | None:
    if len(judgements.categories) == 1:
        return "single_category"
    unknowable = len(judgements.annotators) == 2 and not reference.informed.any()
    return "two_annotators" if unknowable and bool(judgements.overlapping().any()) else None


class _Seen:
    """The judgements that can be compared with a reference; lives inside one call of `skill`."""

    def __init__(self, judgements: Judgements, reference: Reference, confidence: float) -> None:
        kept = reference.informed
        self.confidence = confidence
        self.people, self.q = len(judgements.annotators), len(judgements.categories)
        self.who, self.said = judgements.annotator_index[kept], judgements.label_index[kept]
        self.prior = reference.posterior[kept]
        self.crowd = reference.crowd
        likelihood = reference.confusion[self.who, :, self.said]
        # P(class and answer): the reference's share of each class times how likely the answer is there.
        self.joint = self.prior * likelihood
        share = self.joint / np.maximum(self.joint.sum(axis=1, keepdims=True), 1e-300)
        cell = self.who * self.q + self.said
        size = self.people * self.q
        sums = [np.bincount(cell, weights=share[:, label], minlength=size) for label in range(self.q)]
        stacked = np.stack(sums).astype(np.float64)
        self.expected: FloatArray = stacked.reshape(self.q, self.people, self.q).transpose(1, 0, 2)
        self.compared = np.bincount(self.who, minlength=self.people).tolist()
        self.golden = np.bincount(self.who, weights=reference.on_gold[kept], minlength=self.people).astype(int).tolist()
        self.share = self.prior.sum(axis=0) / max(len(self.prior), 1)
        """Of each class."""
        unchecked = 1.0 - np.array(self.golden) / np.maximum(self.compared, 1)
        self.doubt = _crowd_variance(judgements) * unchecked**2
        """Variance of everybody's accuracy together, where consensus is all there is; (people,)."""
        others = np.bincount(
            self.who, weights=judgements.per_task()[judgements.task_index[kept]] - 1.0, minlength=self.people
        ) / np.maximum(self.compared, 1)
        self.inflation = 1.0 + REFERENCE_DOUBT * unchecked / np.maximum(others, 1.0)

    def overall(self, reason: str | None) -> list[Belief]:
        """Wrong answers are spread as the crowd's are."""
        if reason is not None or not len(self.who):
            return [(undefined(reason or "no_overlap", n=0), None)] * self.people
        errors = self.crowd * (1.0 - np.eye(self.q))
        errors /= errors.sum(axis=1, keepdims=True)
        wrong = np.einsum("nc,cn->n", self.prior, errors[:, self.said])
        right = self.prior[np.arange(len(self.said)), self.said]
        found = posteriors(
            self.who, right=right, wrong=wrong, people=self.people, inflation=self.inflation, shared_variance=self.doubt
        )
        return self._beliefs(found, [float(n) for n in self.compared], least=1.0, reason="no_overlap")

    def of_class(self, column: int, reason: str | None) -> list[Belief]:
        """Where the reference holds the class possible; the other classes' rows are as the reference has them."""
        judged = self.expected[:, column].sum(axis=1)
        if reason is not None or not len(self.who):
            return [(undefined(reason or "no_overlap", n=0), None)] * self.people
        possible = self.prior[:, column] > NEGLIGIBLE
        said = self.said[possible]
        own = self.prior[possible, column]
        rest = self.joint[possible].sum(axis=1) - self.joint[possible, column]
        errors = self.crowd[column] * (np.arange(self.q) != column)
        named = said == column
        right = np.where(named, own, 0.0) + rest
        wrong = np.where(named, 0.0, own * (errors / errors.sum())[said]) + rest
        doubt = self.doubt / max(self.share[column], 1e-3)
        found = posteriors(
            self.who[possible],
            right=right,
            wrong=wrong,
            people=self.people,
            inflation=self.inflation,
            shared_variance=doubt,
        )
        beliefs = self._beliefs(found, judged.tolist(), least=LEAST_WEIGHT, reason="class_unused")
        return [
            belief if self.compared[at] else (undefined("no_overlap", n=0), None) for at, belief in enumerate(beliefs)
        ]

    def _beliefs(self, found: Posteriors, n: list[float], *, least: float, reason: str) -> list[Belief]:
        tail = (1.0 - self.confidence) / 2.0
        value = (found.alpha / (found.alpha + found.beta)).tolist()
        low = betaincinv(found.alpha, found.beta, tail).tolist()
        high = betaincinv(found.alpha, found.beta, 1.0 - tail).tolist()
        columns = zip(
            *(part.tolist() for part in (found.alpha, found.beta, found.own_alpha, found.own_beta)), strict=True
        )
        return [
            (
                Statistic(value[at], None, min(low[at], value[at]), max(high[at], value[at]), max(round(n[at]), 1)),
                Evidence(*parameters),
            )
            if n[at] >= least
            else (undefined(reason, n=0), None)
            for at, parameters in enumerate(columns)
        ]


def _crowd_variance(judgements: Judgements) -> float:
    """Sampling variance of the crowd's mean accuracy p as its pairwise agreement a = p^2 + (1-p)^2/(q-1) tells it."""
    size = judgements.per_task()
    shared = size > 1
    n, q = int(shared.sum()), len(judgements.categories)
    if n < 2 or q == 1:
        return 0.25
    counts = judgements.counts()[shared]
    size = size[shared]
    share = ((counts**2).sum(axis=1) - size) / (size * (size - 1.0))
    # One task more, half agreed on: agreement that was perfect so far is not known exactly.
    mean = (float(share.sum()) + 0.5) / (n + 1.0)
    variance = (float(((share - mean) ** 2).sum()) + 0.25) / (n + 1.0) / n
    accuracy = 1.0 / q + np.sqrt(max(mean - 1.0 / q, 0.0) * (q - 1.0) / q)
    slope = 2.0 * accuracy - 2.0 * (1.0 - accuracy) / (q - 1.0)
    return float(min(variance / max(slope, 0.1) ** 2, 0.25))


def _confusions(errors: FloatArray, categories: tuple[str, ...]) -> tuple[Confusion, ...]:
    wrong = errors * (1.0 - np.eye(len(categories)))
    cells = np.argwhere(wrong >= LEAST_WEIGHT)
    counts = np.round(wrong[cells[:, 0], cells[:, 1]], 6)
    order = np.lexsort((cells[:, 1], cells[:, 0], -counts))
    return tuple(
        Confusion(categories[cells[at, 0]], categories[cells[at, 1]], float(counts[at])) for at in order.tolist()
    )
