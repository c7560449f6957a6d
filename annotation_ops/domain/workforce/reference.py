"""What the right answer was, for each judgement, from everything but that judgement.

The crowd is described by the confusion model of Dawid & Skene (J R Stat Soc C 28:20-28, 1979) in its hierarchical form:
each annotator's rows are drawn to the crowd's pooled rows. The reference of a judgement is the posterior of the task's
class given the *other* judgements of the task, or the known answer of a gold task. Real people err on the same tasks
more often than the model believes, which makes its posterior too sure; the others' votes are therefore tempered by the
exponent under which they predict the left-out judgements best.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, IntArray, Judgements

ROUNDS = 30
SETTLED = 1e-3
"""No task's posterior moves by more than this: stop. Skills then move by less than a tenth of their standard error."""
POOLED = 10.0
"""Weight, in judgements a class, of the crowd's rows in an annotator's rows while the reference is fitted. At 4, people who
disagree are told apart too boldly (coverage of the skill's interval 2 points lower); finding bad annotators is as good."""
TEMPERATURES = (1.0, 0.8, 0.6, 0.45, 0.3)
"""Exponents tried on the votes of the others."""
FLOOR = 1e-4
"""No answer is held impossible, so that one slip cannot rule a class out."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Aligned with the judgements it was made from."""

    posterior: FloatArray = field(repr=False)
    """(n_judgements, n_categories): P(class of the task) without the judgement itself; one-hot on gold tasks. The class
    prior where `informed` is false."""
    informed: BoolArray = field(repr=False)
    """(n_judgements,): somebody else judged the task, or its answer is known, and that can tell people apart."""
    on_gold: BoolArray = field(repr=False)
    """(n_judgements,): the answer is known."""
    confusion: FloatArray = field(repr=False)
    """(n_annotators, n_categories, n_categories): P(answer | class), rows sum to 1."""
    crowd: FloatArray = field(repr=False)
    """(n_categories, n_categories): the same for everybody pooled."""
    temperature: float

    def correctness(self, judgements: Judgements) -> FloatArray:
        """P(the answer is right) by the reference alone, (n_judgements,); meaningful where `informed`."""
        value: FloatArray = self.posterior[np.arange(judgements.n_judgements), judgements.label_index]
        return value


def left_out_reference(judgements: Judgements, *, gold: Mapping[str, str] | None) -> Reference:
    """The reference of every judgement. `gold` is task_id -> right label; tasks nobody judged are ignored.

    Without gold, two people (or one) cannot be told apart: nobody is informed by consensus then. Raises InvalidInput for
    a gold label that is no category.
    """
    known = gold_labels(judgements, gold=gold)
    size = judgements.per_task()
    model = _Model(judgements, known)
    posterior, prior = model.start()
    for _ in range(ROUNDS):
        before = posterior
        posterior = model.posterior(posterior, prior)
        prior = model.prior(posterior)
        if not len(size) or np.abs(posterior - before).max() < SETTLED:
            break
    crowd = model.maximise(posterior)
    reference, temperature = _tempered(model, posterior, prior)
    on_gold = known[judgements.task_index] >= 0
    reference[on_gold] = np.eye(model.q)[known[judgements.task_index[on_gold]]]
    several = len(judgements.annotators) > 2 or bool(on_gold.any())
    informed = on_gold | ((size[judgements.task_index] > 1) & several)
    return Reference(reference, informed, on_gold, model.confusion(), crowd, temperature)


def gold_labels(judgements: Judgements, *, gold: Mapping[str, str] | None) -> IntArray:
    """Position of each task's known label, -1 without one, (n_tasks,)."""
    position = {name: index for index, name in enumerate(judgements.categories)}
    for task, label in (gold or {}).items():
        if label not in position:
            raise InvalidInput(
                f"gold task {task!r}: found label {label!r}, expected one of {', '.join(map(repr, position))}. "
                "Correct the gold label or take the task out of the gold set."
            )
    known = gold or {}
    return np.array([position[known[task]] if task in known else -1 for task in judgements.tasks], dtype=np.int64)


class _Model:
    """The confusion model of one set of judgements; lives inside one call."""

    def __init__(self, judgements: Judgements, known: IntArray) -> None:
        self.judgements = judgements
        self.known = known
        self.q = len(judgements.categories)
        self.people = len(judgements.annotators)
        self.starts = np.flatnonzero(np.diff(judgements.task_index, prepend=-1))
        self.cell = judgements.annotator_index * self.q + judgements.label_index
        self.total = np.zeros((self.people, self.q, self.q))

    def start(self) -> tuple[FloatArray, FloatArray]:
        """Vote shares, each class half a vote ahead."""
        counts = self.judgements.counts() + 0.5 / self.q
        shares = self._with_gold(counts / counts.sum(axis=1, keepdims=True))
        return shares, np.full(self.q, 1.0 / self.q)

    def maximise(self, posterior: FloatArray) -> FloatArray:
        """Takes the annotators' confusion from these posteriors of the tasks; the crowd's is returned."""
        expected = self.expected(posterior[self.judgements.task_index])
        pooled = expected.sum(axis=0) + np.full((self.q, self.q), 0.5 / self.q) + np.eye(self.q)
        crowd: FloatArray = pooled / pooled.sum(axis=1, keepdims=True)
        self.total = expected + POOLED * crowd
        return crowd

    def confusion(self) -> FloatArray:
        found: FloatArray = np.maximum(self.total / self.total.sum(axis=2, keepdims=True), FLOOR)
        return found

    def prior(self, posterior: FloatArray) -> FloatArray:
        # One task more of each class: a class that nobody gives any more would never come back.
        prior = posterior.sum(axis=0) + 1.0
        share: FloatArray = prior / prior.sum()
        return share

    def expected(self, weights: FloatArray) -> FloatArray:
        """Sums of per-judgement class weights (n_judgements, q) as (n_annotators, class, answer)."""
        shape = self.people * self.q
        sums = [np.bincount(self.cell, weights=weights[:, label], minlength=shape) for label in range(self.q)]
        return np.stack(sums, axis=1).astype(np.float64).reshape(self.people, self.q, self.q).transpose(0, 2, 1)

    def evidence(self, posterior: FloatArray) -> FloatArray:
        """Log-likelihood of each judgement under each class, (n_judgements, q), by its annotator's *other* tasks.

        With the task itself in, people who see few tasks of a class confirm their own answers: of two people on ten classes,
        a quarter of the 95 % intervals missed.
        """
        who, own = self.judgements.annotator_index, posterior[self.judgements.task_index]
        named = self.total[who, :, self.judgements.label_index] - own
        found: FloatArray = np.log(np.maximum(named / (self.total.sum(axis=2)[who] - own), FLOOR))
        return found

    def summed(self, evidence: FloatArray) -> FloatArray:
        """The evidence on each task, (n_tasks, q)."""
        if not len(self.starts):
            return np.zeros((0, self.q))
        total: FloatArray = np.add.reduceat(evidence, self.starts, axis=0)
        return total

    def posterior(self, before: FloatArray, prior: FloatArray) -> FloatArray:
        """Of the tasks, (n_tasks, q), after one round of EM."""
        self.maximise(before)
        return self._with_gold(normalised(np.log(prior) + self.summed(self.evidence(before))))

    def _with_gold(self, posterior: FloatArray) -> FloatArray:
        golden = self.known >= 0
        posterior[golden] = np.eye(self.q)[self.known[golden]]
        return posterior


def _tempered(model: _Model, tasks: FloatArray, prior: FloatArray) -> tuple[FloatArray, float]:
    """The left-out posterior at the temperature that predicts the left-out judgements best."""
    evidence = model.evidence(tasks)
    others = model.summed(evidence)[model.judgements.task_index] - evidence
    likelihood = np.exp(evidence)
    asked = (model.judgements.per_task() > 1)[model.judgements.task_index]
    best, score, chosen = normalised(np.log(prior) + others), -np.inf, 1.0
    if not asked.any():
        return best, chosen
    for temperature in TEMPERATURES:
        posterior = normalised(np.log(prior) + temperature * others)
        predicted = float(np.log((posterior * likelihood).sum(axis=1)[asked]).sum())
        if predicted > score:
            best, score, chosen = posterior, predicted, temperature
    return best, chosen


def normalised(logarithms: FloatArray) -> FloatArray:
    """Rows of log-weights as probabilities."""
    if not len(logarithms):
        return logarithms
    weights = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))
    shares: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    return shares
