"""Agreement of any kind of shape, from how much the shapes of two answers overlap.

Two answers to one task are compared through one-to-one matchings of their shapes, within a class, of maximal total
intersection over union (IoU). With n1 and n2 shapes:

- `mean_iou_penalised`: sum of IoU over matches / max(n1, n2), so a shape without partner counts 0;
- `f1_at_50`, `f1_at_75`: 2 matches / (n1 + n2), matching only pairs with IoU >= 0.5 or 0.75 (a matching of its own for
  each threshold); `f1_averaged`: mean over 0.50, 0.55, ... 0.95, the thresholds of COCO;
- `mean_dice` (regions): as `mean_iou_penalised`, with Dice = 2 IoU / (1 + IoU) of the same matches.

These count 1 where both answers found nothing; `both_empty_share` says how often that is. They are means over pairs of
answers of a task, then over tasks. Pooled over tasks, each pair of answers weighing 1 / pairs of its task, are:

- `mean_iou_matched`: mean IoU of matches that overlap at all;
- `label_agreement_on_matches`: share of equal labels among matches with IoU >= 0.5 made without regard to class;
- `panoptic_quality` (regions): sum of IoU / (TP + FP/2 + FN/2) of matches with IoU >= 0.5, mean over the classes that
  occur (Kirillov et al., CVPR 2019, arXiv 1801.00868); swapping the two answers swaps FP and FN, so it is symmetric;
- agreement on a class: 2 matches / (n1 + n2) of its shapes, IoU >= 0.5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from annotation_ops.domain.quality.agreement.answer_index import check_interval
from annotation_ops.domain.quality.agreement.answer_pairs import (
    EMPTY,
    AnswerPairs,
    annotator_agreements,
    pair_agreements,
    share,
    summable,
)
from annotation_ops.domain.quality.agreement.cluster_bootstrap import ratio_statistic
from annotation_ops.domain.quality.agreement.report import AgreementReport, ClassAgreement
from annotation_ops.domain.quality.agreement.shape_judgements import ShapeJudgements
from annotation_ops.domain.quality.agreement.shape_overlaps import Overlaps, matched_overlaps
from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, IntArray
from annotation_ops.domain.quality.statistic import Statistic, undefined

F1_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))

Ratio = tuple[FloatArray, FloatArray]
"""Numerator and denominator, by task."""


@dataclass(frozen=True, slots=True)
class PairScores:
    """Of each pair of answers, (n_pairs,) each."""

    both_empty: FloatArray
    iou: FloatArray
    """Sum over matches that overlap at all."""
    matches: FloatArray
    penalised: FloatArray
    dice: FloatArray
    f1: Mapping[float, FloatArray]
    found_at_50: FloatArray
    """Matches with IoU >= 0.5 whatever the class."""
    same_label_at_50: FloatArray


def shape_agreement(
    judgements: ShapeJudgements,
    overlaps: Overlaps,
    *,
    confidence: float,
    seed: int,
    draws: int,
    regions: bool = False,
) -> AgreementReport:
    """The report; `regions` adds Dice and panoptic quality.

    Raises InvalidInput when `confidence` is not inside (0, 1) or `draws` is not positive.
    """
    check_interval(confidence, draws)
    pairs = overlaps.pairs
    scores, at_50 = pair_scores(judgements, overlaps)
    ratios = _ratios(scores, pairs)
    classes = _class_ratios(judgements, overlaps, at_50)
    if regions:
        ratios["mean_dice"] = _task_mean(scores.dice, pairs), _ones(pairs)
        ratios["panoptic_quality"] = _panoptic_quality(classes, n_tasks=len(judgements.tasks))
    found = {
        name: _statistic(name, ratio, pairs, confidence=confidence, seed=seed, draws=draws)
        for name, ratio in ratios.items()
    }
    by_class, class_draws = _classes(judgements, classes, confidence=confidence, seed=seed, draws=draws)
    one = np.ones(len(pairs.first))
    people = {"mean_iou_penalised": (scores.penalised, one), "f1_at_50": (scores.f1[0.5], one)}
    return AgreementReport(
        task_type=judgements.task_type,
        n_tasks=len(judgements.tasks),
        n_overlap_tasks=int((pairs.size > 1).sum()),
        n_annotators=len(judgements.annotators),
        n_judgements=judgements.n_judgements,
        statistics={name: statistic for name, (statistic, _) in found.items()},
        prevalence_index=None,
        bias_index=None,
        classes=by_class,
        tasks=judgements.tasks,
        task_agreement=pairs.per_task(scores.penalised),
        pairs=pair_agreements(pairs, people, confidence=confidence),
        annotators=annotator_agreements(pairs, scores.penalised, confidence=confidence),
        draws={name: drawn for name, (statistic, drawn) in found.items() if statistic.value is not None},
        class_draws=class_draws,
    )


def pair_scores(judgements: ShapeJudgements, overlaps: Overlaps) -> tuple[PairScores, BoolArray]:
    """The scores of each pair, and which overlaps are matches with IoU >= 0.5 within a class."""
    pairs, count = overlaps.pairs, judgements.shapes_per_answer().astype(np.float64)
    first, second = count[pairs.first], count[pairs.second]
    larger, total = np.maximum(first, second), first + second
    same = judgements.label_index[overlaps.left] == judgements.label_index[overlaps.right]
    matched = matched_overlaps(judgements, overlaps, among=same)
    near = matched_overlaps(judgements, overlaps, among=overlaps.iou >= 0.5, preferred=same)
    at = {
        least: matched_overlaps(judgements, overlaps, among=same & (overlaps.iou >= least)) for least in F1_THRESHOLDS
    }
    iou = _sums(overlaps, matched, overlaps.iou)
    dice = _sums(overlaps, matched, 2.0 * overlaps.iou / (1.0 + overlaps.iou))
    scores = PairScores(
        both_empty=np.asarray(total == 0, dtype=np.float64),
        iou=iou,
        matches=_sums(overlaps, matched),
        penalised=share(iou, larger, empty=1.0),
        dice=share(dice, larger, empty=1.0),
        f1={least: share(2.0 * _sums(overlaps, chosen), total, empty=1.0) for least, chosen in at.items()},
        found_at_50=_sums(overlaps, near),
        same_label_at_50=_sums(overlaps, near & same),
    )
    return scores, at[0.5]


def _sums(overlaps: Overlaps, chosen: BoolArray, values: FloatArray | None = None) -> FloatArray:
    """Sums over the chosen overlaps of each pair, of 1 or of the values."""
    weights = None if values is None else summable(values[chosen])
    sums = np.bincount(overlaps.pair[chosen], weights=weights, minlength=len(overlaps.pairs.first))
    return sums.astype(np.float64)


def _ones(pairs: AnswerPairs) -> FloatArray:
    return (pairs.size > 1).astype(np.float64)


def _task_mean(values: FloatArray, pairs: AnswerPairs) -> FloatArray:
    """Mean over the pairs of each task, 0 for a task without one, (n_tasks,)."""
    return summable(np.where(pairs.size > 1, pairs.per_task(values), 0.0))


def _ratios(scores: PairScores, pairs: AnswerPairs) -> dict[str, Ratio]:
    per_task = {
        "mean_iou_penalised": scores.penalised,
        "f1_at_50": scores.f1[0.5],
        "f1_at_75": scores.f1[0.75],
        "f1_averaged": np.mean([scores.f1[least] for least in F1_THRESHOLDS], axis=0),
        "both_empty_share": scores.both_empty,
    }
    pooled = {
        "mean_iou_matched": (scores.iou, scores.matches),
        "label_agreement_on_matches": (scores.same_label_at_50, scores.found_at_50),
    }
    return {
        **{name: (_task_mean(values, pairs), _ones(pairs)) for name, values in per_task.items()},
        **{name: (_task_mean(part, pairs), _task_mean(whole, pairs)) for name, (part, whole) in pooled.items()},
    }


@dataclass(frozen=True, slots=True)
class _ClassRatio:
    """Of one class, on the shared tasks it occurs in, (n_tasks_of_class,) each but the first."""

    n_judgements: int
    """Answers that hold the class."""
    task: IntArray
    matches: FloatArray
    """2 matches with IoU >= 0.5, mean over the task's pairs."""
    iou: FloatArray
    """2 sums of their IoU."""
    total: FloatArray
    """n1 + n2, mean over the task's pairs."""


def _class_ratios(judgements: ShapeJudgements, overlaps: Overlaps, at_50: BoolArray) -> dict[int, _ClassRatio]:
    """Of each class that occurs on shared tasks, by its position."""
    n_tasks, pairs = len(judgements.tasks), overlaps.pairs
    task_of = judgements.answer_task[judgements.shape_answer]
    shared = np.flatnonzero(pairs.size[task_of] > 1)
    keys, shapes = np.unique(judgements.label_index[shared] * n_tasks + task_of[shared], return_counts=True)
    holding = np.unique(judgements.label_index[shared] * judgements.n_judgements + judgements.shape_answer[shared])
    answers = np.bincount(holding // max(judgements.n_judgements, 1), minlength=len(judgements.categories))
    label, task = np.divmod(keys, max(n_tasks, 1))
    chosen = np.flatnonzero(at_50)
    cell = np.searchsorted(
        keys, judgements.label_index[overlaps.left[chosen]] * n_tasks + task_of[overlaps.left[chosen]]
    )
    # Each answer is in (answers - 1) pairs, and a task has answers * (answers - 1) / 2 of them.
    size = pairs.size[task]
    per_pair = 4.0 / (size * (size - 1.0))
    matches = np.bincount(cell, minlength=len(keys)) * per_pair
    iou = np.bincount(cell, weights=summable(overlaps.iou[chosen]), minlength=len(keys)) * per_pair
    total = 2.0 * shapes / size
    bounds = np.searchsorted(label, np.arange(len(judgements.categories) + 1)).tolist()
    return {
        at: _ClassRatio(int(answers[at]), task[part], matches[part], iou[part], total[part])
        for at, part in enumerate(slice(*ends) for ends in pairwise(bounds))
        if part.start < part.stop
    }


def _panoptic_quality(classes: Mapping[int, _ClassRatio], *, n_tasks: int) -> Ratio:
    """The mean over classes of their ratios, written as one ratio of sums over tasks.

    Each class is scaled to the same total, so it weighs the same whatever its frequency.
    """
    numerator, denominator = np.zeros(n_tasks), np.zeros(n_tasks)
    shapes = sum(float(ratio.total.sum()) for ratio in classes.values())
    for ratio in classes.values():
        weight = shapes / len(classes) / ratio.total.sum()
        numerator[ratio.task] += weight * ratio.iou
        denominator[ratio.task] += weight * ratio.total
    return summable(numerator), summable(denominator)


def _statistic(
    name: str, ratio: Ratio, pairs: AnswerPairs, *, confidence: float, seed: int, draws: int
) -> tuple[Statistic, FloatArray]:
    if not len(pairs.size):
        return undefined("no_judgements", n=0), np.empty(0)
    shared = int((pairs.size > 1).sum())
    if shared and not (ratio[1] > 0).any():
        return undefined(EMPTY if name == "panoptic_quality" else "no_matches", n=shared), np.empty(0)
    return ratio_statistic(ratio[0], ratio[1], confidence=confidence, seed=seed, draws=draws)


def _classes(
    judgements: ShapeJudgements,
    ratios: Mapping[int, _ClassRatio],
    *,
    confidence: float,
    seed: int,
    draws: int,
) -> tuple[tuple[ClassAgreement, ...], dict[str, FloatArray]]:
    classes, kept = [], {}
    for at, label in enumerate(judgements.categories):
        if at not in ratios:
            classes.append(ClassAgreement(label, 0, undefined("class_unused", n=0)))
            continue
        ratio = ratios[at]
        matches, total = summable(ratio.matches), summable(ratio.total)
        statistic, kept[label] = ratio_statistic(matches, total, confidence=confidence, seed=seed, draws=draws)
        classes.append(ClassAgreement(label, ratio.n_judgements, statistic))
    return tuple(classes), kept
