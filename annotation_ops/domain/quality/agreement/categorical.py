"""Every agreement statistic that applies to categorical judgements, with intervals."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.coefficients import (
    NOMINAL,
    ONE_PAIR,
    ORDINAL,
    Coefficient,
    bias_index,
    class_agreement,
    prevalence_index,
)
from annotation_ops.domain.quality.agreement.patterns import Patterns, drawn_weights, patterns_of, with_prior
from annotation_ops.domain.quality.agreement.people import (
    AnnotatorAgreement,
    PairAgreement,
    annotator_agreements,
    pair_agreements,
)
from annotation_ops.domain.quality.judgements import FloatArray, Judgements
from annotation_ops.domain.quality.statistic import Statistic, documents, rounded, undefined, with_draws
from annotation_ops.domain.records import JsonObject

DRAWS = 2000
"""Draws per interval: the standard error of a 95% bound is then 0.06 of the posterior's standard deviation."""


@dataclass(frozen=True, slots=True)
class ClassAgreement:
    """How often another annotator gives the class too, where one did."""

    label: str
    n_judgements: int
    """Judgements naming the class, on overlapping tasks."""
    agreement: Statistic

    def document(self) -> JsonObject:
        return {"label": self.label, "n_judgements": self.n_judgements, "agreement": self.agreement.document()}


@dataclass(frozen=True, slots=True)
class AgreementReport:
    task_type: str
    """`classification`, or `ordinal` when the order of the categories was used."""
    n_tasks: int
    n_overlap_tasks: int
    """Tasks with two judgements or more: all that agreement can rest on."""
    n_annotators: int
    n_judgements: int
    statistics: Mapping[str, Statistic]
    """By the names of docs/interface.md."""
    prevalence_index: float | None
    """0 = categories equally frequent, 1 = one category only; None without judgements."""
    bias_index: float | None
    """Half the summed difference of two annotators' category shares; None unless exactly two share tasks."""
    classes: tuple[ClassAgreement, ...]
    pairs: tuple[PairAgreement, ...]
    annotators: tuple[AnnotatorAgreement, ...]
    draws: Mapping[str, FloatArray] = field(compare=False, repr=False)
    """Posterior draws of every defined statistic, (n_draws,)."""
    class_draws: Mapping[str, FloatArray] = field(compare=False, repr=False)
    """Posterior draws of every defined class agreement, (n_draws,)."""

    def probability_at_least(self, name: str, threshold: float) -> float | None:
        """Posterior probability that a statistic reaches the threshold; None where it is undefined."""
        return share_at_least(self.draws.get(name), threshold)

    def class_probability_at_least(self, label: str, threshold: float) -> float | None:
        """The same for the agreement on one class."""
        return share_at_least(self.class_draws.get(label), threshold)

    def document(self) -> JsonObject:
        """The agreement JSON of docs/interface.md; floats rounded, never NaN."""
        return {
            "task_type": self.task_type,
            "n_tasks": self.n_tasks,
            "n_overlap_tasks": self.n_overlap_tasks,
            "n_annotators": self.n_annotators,
            "n_judgements": self.n_judgements,
            "statistics": documents(self.statistics.items()),
            "prevalence_index": rounded(self.prevalence_index),
            "bias_index": rounded(self.bias_index),
            "classes": [item.document() for item in self.classes],
            "pairs": [item.document() for item in self.pairs],
            "annotators": [item.document() for item in self.annotators],
        }


def share_at_least(draws: FloatArray | None, threshold: float) -> float | None:
    return None if draws is None else float(np.mean(draws >= threshold))


def agreement(
    judgements: Judgements, *, confidence: float = 0.95, seed: int, draws: int = DRAWS, ordered: bool = False
) -> AgreementReport:
    """Agreement of a batch; `ordered` adds the statistics that use the order of the categories.

    The same judgements and seed give the same bytes, whatever the order of rows and the names of tasks or annotators.
    Raises InvalidInput when `confidence` is not inside (0, 1) or `draws` is not positive.
    """
    _check(confidence, draws)
    patterns = patterns_of(judgements)
    coefficients: dict[str, Coefficient] = {**NOMINAL, **(ORDINAL if ordered else {})}
    reasons = {name: _missing(name, judgements, patterns) for name in coefficients}
    usable = {name: coefficient for name, coefficient in coefficients.items() if reasons[name] is None}
    values = {name: _observed(coefficient, patterns) for name, coefficient in usable.items()}
    drawn, by_class = _draw(usable, patterns, seed=seed, draws=draws)
    n = patterns.n_overlap
    statistics = {
        name: _statistic(values.get(name), drawn.get(name), reasons[name], confidence=confidence, n=n)
        for name in coefficients
    }
    classes, class_draws = _classes(judgements, patterns, by_class, confidence=confidence)
    return AgreementReport(
        task_type="ordinal" if ordered else "classification",
        n_tasks=len(judgements.tasks),
        n_overlap_tasks=n,
        n_annotators=len(judgements.annotators),
        n_judgements=judgements.n_judgements,
        statistics=statistics,
        prevalence_index=_observed(prevalence_index, patterns) if judgements.tasks else None,
        bias_index=_observed(bias_index, patterns) if patterns.cells is not None else None,
        classes=classes,
        pairs=pair_agreements(judgements, confidence=confidence),
        annotators=annotator_agreements(judgements, confidence=confidence),
        draws={name: drawn[name] for name, statistic in statistics.items() if statistic.value is not None},
        class_draws=class_draws,
    )


def _check(confidence: float, draws: int) -> None:
    if not 0.0 < confidence < 1.0:
        raise InvalidInput(f"confidence: found {confidence}, expected a number between 0 and 1. Use 0.95.")
    if draws < 1:
        raise InvalidInput(f"draws: found {draws}, expected at least 1. Use {DRAWS}.")


def _missing(name: str, judgements: Judgements, patterns: Patterns) -> str | None:
    """Why a statistic cannot be computed at all, before looking at chance agreement."""
    if not judgements.tasks:
        return "no_judgements"
    if patterns.n_overlap == 0:
        return "no_overlap"
    if name in ONE_PAIR and patterns.cells is None:
        return "not_two_annotators"
    return None


def _observed(coefficient: Coefficient, patterns: Patterns) -> float:
    return float(coefficient(patterns, patterns.weight[None, :])[0])


def _draw(
    coefficients: Mapping[str, Coefficient], patterns: Patterns, *, seed: int, draws: int
) -> tuple[dict[str, FloatArray], FloatArray]:
    """Draws of each coefficient, (draws,), and of every class agreement, (draws, n_categories)."""
    if not coefficients:
        return {}, np.empty((0, patterns.n_categories))
    widened = with_prior(patterns)
    parts: dict[str, list[FloatArray]] = {name: [] for name in coefficients}
    classes: list[FloatArray] = []
    for weights in drawn_weights(widened, seed=seed, draws=draws):
        for name, coefficient in coefficients.items():
            parts[name].append(coefficient(widened, weights))
        classes.append(class_agreement(widened, weights))
    return {name: _finite(np.concatenate(part)) for name, part in parts.items()}, np.concatenate(classes)


def _finite(draws: FloatArray) -> FloatArray:
    return draws[np.isfinite(draws)]


def _statistic(
    value: float | None, draws: FloatArray | None, reason: str | None, *, confidence: float, n: int
) -> Statistic:
    if value is None or draws is None:
        return undefined(reason or "no_overlap", n=n)
    if not np.isfinite(value) or not len(draws):
        return undefined("single_category", n=n)
    return with_draws(value, draws=draws, confidence=confidence, n=n)


def _classes(
    judgements: Judgements, patterns: Patterns, draws: FloatArray, *, confidence: float
) -> tuple[tuple[ClassAgreement, ...], dict[str, FloatArray]]:
    shared = patterns.size >= 2
    used = (patterns.weight[:, None] * patterns.counts)[shared].sum(axis=0)
    tasks = (patterns.weight[:, None] * (patterns.counts > 0))[shared].sum(axis=0)
    values = class_agreement(patterns, patterns.weight[None, :])[0]
    classes, kept = [], {}
    for at, label in enumerate(judgements.categories):
        if used[at] == 0:
            classes.append(ClassAgreement(label, 0, undefined("class_unused", n=0)))
            continue
        # A class that a draw gives no weight at all says nothing about agreement on it.
        kept[label] = _finite(draws[:, at])
        statistic = with_draws(float(values[at]), draws=kept[label], confidence=confidence, n=int(tasks[at]))
        classes.append(ClassAgreement(label, int(used[at]), statistic))
    return tuple(classes), kept
