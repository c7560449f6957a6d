"""What agreement looks like, whatever the task type: statistics with intervals, by class, pair, annotator and task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from annotation_ops.domain.quality.agreement.reliability import interval_doubt
from annotation_ops.domain.quality.judgements import FloatArray
from annotation_ops.domain.quality.statistic import Statistic, documents, rounded
from annotation_ops.domain.records import JsonObject

CATEGORICAL = ("classification", "ordinal")
"""Task types whose answer is one label."""

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
class PairAgreement:
    """Two annotators on the tasks they share; only pairs that share a task exist."""

    annotators: tuple[str, str]
    statistics: Mapping[str, Statistic]
    """`percent_agreement` and `cohen_kappa` of labels; the task type's own statistics of shapes, spans and texts."""

    def document(self) -> JsonObject:
        return {"annotators": list(self.annotators), **documents(self.statistics.items())}


@dataclass(frozen=True, slots=True)
class AnnotatorAgreement:
    """One annotator against all others on the same tasks, own judgement left out."""

    annotator_id: str
    n_judgements: int
    agreement: Statistic
    """Mean over tasks of the agreement with each of the others: the share who gave the same label, or the mean
    per-task statistic of shapes, spans and texts."""

    def document(self) -> JsonObject:
        return {
            "annotator_id": self.annotator_id,
            "n_judgements": self.n_judgements,
            "agreement": self.agreement.document(),
        }


@dataclass(frozen=True, slots=True)
class AgreementReport:
    task_type: str
    """A task type of the contract."""
    n_tasks: int
    n_overlap_tasks: int
    """Tasks with two judgements or more: all that agreement can rest on."""
    n_annotators: int
    n_judgements: int
    statistics: Mapping[str, Statistic]
    """By the names of docs/interface.md."""
    prevalence_index: float | None
    """0 = categories equally frequent, 1 = one category only; None without judgements, and where tasks have no one label."""
    bias_index: float | None
    """Half the summed difference of two annotators' category shares; None unless exactly two share tasks."""
    classes: tuple[ClassAgreement, ...]
    tasks: tuple[str, ...]
    task_agreement: FloatArray = field(compare=False, repr=False)
    """(n_tasks,) in the order of `tasks`, within [0, 1]: the share of annotator pairs that agree, or the mean over pairs
    of the per-task statistic; NaN for tasks with one judgement."""
    pairs: Sequence[PairAgreement]
    annotators: tuple[AnnotatorAgreement, ...]
    draws: Mapping[str, FloatArray] = field(compare=False, repr=False)
    """Posterior draws of every defined statistic, (n_draws,)."""
    class_draws: Mapping[str, FloatArray] = field(compare=False, repr=False)
    """Posterior draws of every defined class agreement, (n_draws,)."""

    @property
    def doubt(self) -> str | None:
        """Why the intervals of kappas and alphas cannot be taken at their word, or None; see `interval_doubt`."""
        answers = np.array([item.n_judgements for item in self.classes], dtype=np.float64)
        if self.task_type not in CATEGORICAL or not answers.sum():
            return None
        return interval_doubt(answers, tasks=self.n_overlap_tasks)

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
            "interval_doubt": self.doubt,
            "classes": [item.document() for item in self.classes],
            "pairs": [item.document() for item in self.pairs],
            "annotators": [item.document() for item in self.annotators],
        }


def share_at_least(draws: FloatArray | None, threshold: float) -> float | None:
    return None if draws is None else float(np.mean(draws >= threshold))
