"""One text a task, from the texts of several annotators."""

import math
from collections.abc import Mapping

import numpy as np

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.answer_pairs import AnswerPairs, answer_pairs
from annotation_ops.domain.quality.agreement.text_judgements import TextJudgements
from annotation_ops.domain.quality.agreement.texts import character_agreement, error_rate
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, IntArray

DIGITS = 9
"""Weighted distances closer than this are equal."""


def fuse_texts(judgements: TextJudgements, *, weights: Mapping[str, float] | None = None) -> tuple[FusedAnswer, ...]:
    """One answer a task, in the order of `judgements.tasks`: the text closest to all texts of the task.

    That is the one with the smallest weighted total of edit distances (a generalised median among the given texts), so a
    text that more than half of the weight wrote always wins. Two different texts that are equally close are a tie: no
    value, and a human. Texts are normalised as for agreement.
    Confidence: share of the weight that wrote exactly this text. Needs a human: a tie, or fewer than two annotators.
    Raises InvalidInput on weights that are not positive or lack an annotator, and when there are too many pairs.
    """
    pairs = answer_pairs(
        judgements.annotators,
        task_index=judgements.task_index,
        annotator_index=judgements.annotator_index,
        n_tasks=len(judgements.tasks),
    )
    weight = _weights(judgements, weights)[judgements.annotator_index]
    text = judgements.text_index
    rate = error_rate(judgements.characters(), text[pairs.first], text[pairs.second])
    distance = _spread(pairs, rate[0] / 2.0, weight)
    order = np.lexsort((text, np.round(distance, DIGITS), judgements.task_index))
    begin = np.searchsorted(judgements.task_index[order], np.arange(len(judgements.tasks)))
    best = order[begin]
    tied = _tied(judgements, np.round(distance, DIGITS), best)
    same = text == text[best][judgements.task_index]
    n_tasks = len(judgements.tasks)
    whole = np.bincount(judgements.task_index, weights=weight, minlength=n_tasks)
    support = np.bincount(judgements.task_index, weights=weight * same, minlength=n_tasks) / whole
    agreement = _agreement(pairs, judgements, best, character_agreement(rate))
    columns = (judgements.tasks, text[best], support, pairs.size, tied, agreement)
    return tuple(
        FusedAnswer(
            task,
            None if tie else {"text": judgements.texts[at]},
            min(confidence, 1.0),
            n,
            tie or n < 2,
            agreeing if n > 1 else None,
        )
        for task, at, confidence, n, tie, agreeing in zip(
            columns[0], *(column.tolist() for column in columns[1:]), strict=True
        )
    )


def _spread(pairs: AnswerPairs, distance: FloatArray, weight: FloatArray) -> FloatArray:
    """Weighted sum of the distances of each text to the others of its task, (n_judgements,)."""
    n = len(weight)
    total = np.bincount(pairs.first, weights=distance * weight[pairs.second], minlength=n)
    total += np.bincount(pairs.second, weights=distance * weight[pairs.first], minlength=n)
    return total.astype(np.float64)


def _tied(judgements: TextJudgements, distance: FloatArray, best: IntArray) -> BoolArray:
    """Tasks where another text is as close as the best, (n_tasks,)."""
    rival = distance == distance[best][judgements.task_index]
    rival &= judgements.text_index != judgements.text_index[best][judgements.task_index]
    return np.bincount(judgements.task_index, weights=rival, minlength=len(judgements.tasks)) > 0


def _agreement(pairs: AnswerPairs, judgements: TextJudgements, best: IntArray, close: FloatArray) -> FloatArray:
    """Mean over annotators of the character agreement with the best text, (n_tasks,)."""
    chosen = best[pairs.task]
    mine = (pairs.first == chosen) | (pairs.second == chosen)
    total = 1.0 + np.bincount(pairs.task[mine], weights=close[mine], minlength=len(judgements.tasks))
    return np.asarray(total / np.maximum(pairs.size, 1), dtype=np.float64)


def _weights(judgements: TextJudgements, weights: Mapping[str, float] | None) -> FloatArray:
    if weights is None:
        return np.ones(len(judgements.annotators))
    for name in judgements.annotators:
        if not 0.0 < weights.get(name, math.nan) < math.inf:
            raise InvalidInput(
                f"weights: found {weights.get(name)} for annotator {name!r}, expected a positive number. "
                "Give each annotator a weight, or leave out the judgements of this one."
            )
    return np.array([weights[name] for name in judgements.annotators], dtype=np.float64)
