"""Every agreement statistic that applies to categorical judgements, with intervals."""

from collections.abc import Mapping

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
from annotation_ops.domain.quality.agreement.people import annotator_agreements, pair_agreements, task_agreement
from annotation_ops.domain.quality.agreement.report import DRAWS, AgreementReport, ClassAgreement
from annotation_ops.domain.quality.agreement.resampling import Observed, drawn, observe
from annotation_ops.domain.quality.judgements import FloatArray, Judgements
from annotation_ops.domain.quality.statistic import Statistic, undefined, with_draws


def agreement(
    judgements: Judgements, *, confidence: float = 0.95, seed: int, draws: int = DRAWS, ordered: bool = False
) -> AgreementReport:
    """Agreement of a batch; `ordered` adds the statistics that use the order of the categories.

    The same judgements and seed give the same bytes, whatever the order of rows and the names of tasks or annotators.
    Raises InvalidInput when `confidence` is not inside (0, 1) or `draws` is not positive.
    """
    _check(confidence, draws)
    observed = observe(judgements, seed=seed)
    coefficients: dict[str, Coefficient] = {**NOMINAL, **(ORDINAL if ordered else {})}
    reasons = {name: _missing(name, judgements, observed) for name in coefficients}
    usable = {name: coefficient for name, coefficient in coefficients.items() if reasons[name] is None}
    values = {name: _value(coefficient, observed) for name, coefficient in usable.items()}
    draws_of, by_class = _draw(usable, observed, seed=seed, draws=draws)
    n = observed.n_overlap
    statistics = {
        name: _statistic(values.get(name), draws_of.get(name), reasons[name], confidence=confidence, n=n)
        for name in coefficients
    }
    classes, class_draws = _classes(judgements, observed, by_class, confidence=confidence)
    return AgreementReport(
        task_type="ordinal" if ordered else "classification",
        n_tasks=len(judgements.tasks),
        n_overlap_tasks=n,
        n_annotators=len(judgements.annotators),
        n_judgements=judgements.n_judgements,
        statistics=statistics,
        prevalence_index=_value(prevalence_index, observed) if judgements.tasks else None,
        bias_index=_value(bias_index, observed) if observed.paired else None,
        classes=classes,
        tasks=judgements.tasks,
        task_agreement=task_agreement(judgements),
        pairs=pair_agreements(judgements, confidence=confidence),
        annotators=annotator_agreements(judgements, confidence=confidence),
        draws={name: draws_of[name] for name, statistic in statistics.items() if statistic.value is not None},
        class_draws=class_draws,
    )


def _check(confidence: float, draws: int) -> None:
    if not 0.0 < confidence < 1.0:
        raise InvalidInput(f"confidence: found {confidence}, expected a number between 0 and 1. Use 0.95.")
    if draws < 1:
        raise InvalidInput(f"draws: found {draws}, expected at least 1. Use {DRAWS}.")


def _missing(name: str, judgements: Judgements, observed: Observed) -> str | None:
    """Why a statistic cannot be computed at all, before looking at chance agreement."""
    if not judgements.tasks:
        return "no_judgements"
    if observed.n_overlap == 0:
        return "no_overlap"
    if name in ONE_PAIR and not observed.paired:
        return "not_two_annotators"
    return None


def _value(coefficient: Coefficient, observed: Observed) -> float:
    return float(coefficient(observed.sums, observed.weight[None, :])[0])


def _draw(
    coefficients: Mapping[str, Coefficient], observed: Observed, *, seed: int, draws: int
) -> tuple[dict[str, FloatArray], FloatArray]:
    """Draws of each coefficient, (draws,), and of every class agreement, (draws, n_categories)."""
    if not coefficients:
        return {}, np.empty((0, observed.sums.n_categories))
    parts: dict[str, list[FloatArray]] = {name: [] for name in coefficients}
    classes: list[FloatArray] = []
    for part in drawn(observed, seed=seed, draws=draws):
        for name, coefficient in coefficients.items():
            parts[name].append(coefficient(part.sums, part.weights))
        classes.append(part.class_agreement)
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
    judgements: Judgements, observed: Observed, draws: FloatArray, *, confidence: float
) -> tuple[tuple[ClassAgreement, ...], dict[str, FloatArray]]:
    used = observed.weight @ observed.sums.answers
    tasks = observed.weight @ observed.sums.present
    values = class_agreement(observed.sums, observed.weight[None, :])[0]
    classes, kept = [], {}
    for at, label in enumerate(judgements.categories):
        if used[at] == 0:
            classes.append(ClassAgreement(label, 0, undefined("class_unused", n=0)))
            continue
        # A class that a draw gives no weight at all says nothing about agreement on it.
        kept[label] = _finite(draws[:, at])
        statistic = with_draws(float(values[at]), draws=kept[label], confidence=confidence, n=round(float(tasks[at])))
        classes.append(ClassAgreement(label, round(float(used[at])), statistic))
    return tuple(classes), kept
