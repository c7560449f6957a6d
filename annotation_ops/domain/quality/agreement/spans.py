"""Agreement on spans of text, with intervals by cluster bootstrap over documents.

Why F1 and no kappa: the number of places where nobody marks anything is undefined, and kappa goes to the F1 as it grows
(Hripcsak & Rothschild, JAMIA 12:296-298, 2005). The F1 of two annotators is their positive specific agreement.
"""

from collections.abc import Mapping

import numpy as np

from annotation_ops.domain.quality.agreement.answer_index import check_interval
from annotation_ops.domain.quality.agreement.answer_pairs import (
    EMPTY,
    AnswerPairs,
    annotator_agreements,
    answer_pairs,
    pair_agreements,
    share,
    summable,
)
from annotation_ops.domain.quality.agreement.cluster_bootstrap import ratio_statistic
from annotation_ops.domain.quality.agreement.report import DRAWS, AgreementReport, ClassAgreement
from annotation_ops.domain.quality.agreement.span_judgements import SpanJudgements
from annotation_ops.domain.quality.agreement.span_matching import (
    SpanGroups,
    equal_spans,
    overlap_of_spans,
    span_groups,
)
from annotation_ops.domain.quality.judgements import FloatArray
from annotation_ops.domain.quality.statistic import Statistic, undefined

Ratio = tuple[FloatArray, FloatArray]


def agreement_of_spans(
    judgements: SpanJudgements, *, confidence: float = 0.95, seed: int, draws: int = DRAWS
) -> AgreementReport:
    """`span_f1_exact`, `span_f1_overlap`, `exact_match` and the exact F1 of each class.

    span_f1_exact: 2 TP / (n1 + n2) over documents, a span counts when label, start and end are equal. span_f1_overlap: the
    same with the summed Jaccard overlap of the best one-to-one matching of spans of one label in place of TP. exact_match:
    share of document pairs with the same set of spans. With more than two annotators a document counts by the mean over its
    pairs, whatever their number. Documents where both found nothing say nothing about F1, and match exactly.
    Raises InvalidInput when `confidence` is not inside (0, 1), `draws` is not positive, or there are too many pairs.
    """
    check_interval(confidence, draws)
    pairs = answer_pairs(
        judgements.annotators,
        task_index=judgements.task_index,
        annotator_index=judgements.annotator_index,
        n_tasks=len(judgements.tasks),
    )
    groups = span_groups(judgements)
    ratios = _ratios(judgements, pairs, groups)
    exact = share(*ratios["span_f1_exact"], empty=1.0)
    drawn: dict[str, FloatArray] = {}
    statistics = {
        name: task_statistic(name, ratio, pairs, drawn, confidence=confidence, seed=seed, draws=draws)
        for name, ratio in ratios.items()
    }
    classes, class_draws = _classes(judgements, pairs, groups, confidence=confidence, seed=seed, draws=draws)
    return AgreementReport(
        task_type="spans",
        n_tasks=len(judgements.tasks),
        n_overlap_tasks=int((pairs.size > 1).sum()),
        n_annotators=len(judgements.annotators),
        n_judgements=judgements.n_judgements,
        statistics=statistics,
        prevalence_index=None,
        bias_index=None,
        classes=classes,
        tasks=judgements.tasks,
        task_agreement=pairs.per_task(exact),
        pairs=pair_agreements(
            pairs, {name: ratios[name] for name in ("span_f1_exact", "span_f1_overlap")}, confidence=confidence
        ),
        annotators=annotator_agreements(pairs, exact, confidence=confidence),
        draws=drawn,
        class_draws=class_draws,
    )


def _ratios(judgements: SpanJudgements, pairs: AnswerPairs, groups: SpanGroups) -> Mapping[str, Ratio]:
    """Numerator and denominator of each statistic, (n_pairs,) each."""
    spans = np.bincount(judgements.judgement_index, minlength=judgements.n_judgements).astype(np.float64)
    both = spans[pairs.first] + spans[pairs.second]
    equal = 2.0 * equal_spans(judgements, pairs, groups)
    overlap = 2.0 * overlap_of_spans(judgements, pairs, groups)
    same = (equal == both).astype(np.float64)
    return {
        "span_f1_exact": (equal, both),
        "span_f1_overlap": (overlap, both),
        "exact_match": (same, np.ones(len(both))),
    }


def task_statistic(
    name: str,
    ratio: Ratio,
    pairs: AnswerPairs,
    drawn: dict[str, FloatArray],
    *,
    confidence: float,
    seed: int,
    draws: int,
) -> Statistic:
    """A ratio of sums over tasks, each task by the mean over its pairs; its draws are added to `drawn`."""
    overlapping = pairs.size > 1
    if not len(pairs.size):
        return undefined("no_judgements", n=0)
    if not overlapping.any():
        return undefined("no_overlap", n=0)
    numerator, denominator = (summable(pairs.per_task(part)[overlapping]) for part in ratio)
    statistic, draws_of_it = ratio_statistic(numerator, denominator, confidence=confidence, seed=seed, draws=draws)
    if statistic.value is None:
        return undefined(EMPTY, n=int(overlapping.sum()))
    drawn[name] = draws_of_it
    return statistic


def _classes(
    judgements: SpanJudgements,
    pairs: AnswerPairs,
    groups: SpanGroups,
    *,
    confidence: float,
    seed: int,
    draws: int,
) -> tuple[tuple[ClassAgreement, ...], dict[str, FloatArray]]:
    """Exact F1 of each class. Equal spans of a task are counted as groups: g annotators make g (g - 1) / 2 pairs."""
    q = len(judgements.categories)
    at = np.flatnonzero(np.diff(groups.group, prepend=-1))
    codes, place = np.unique(groups.task_label, return_inverse=True)
    equal = np.bincount(place[at], weights=groups.size * (groups.size - 1.0), minlength=len(codes))
    spans = np.bincount(place, minlength=len(codes)).astype(np.float64)
    size = pairs.size[codes // q].astype(np.float64)
    shared = size > 1
    numerator = np.divide(2.0 * equal, size * (size - 1.0), out=np.zeros(len(codes)), where=shared)
    denominator = np.where(shared, 2.0 * spans / size, 0.0)
    named = _naming(judgements, pairs)
    classes, drawn = [], {}
    for label, name in enumerate(judgements.categories):
        mine = (codes % q == label) & shared
        if not mine.any():
            classes.append(ClassAgreement(name, 0, undefined("class_unused", n=0)))
            continue
        statistic, drawn[name] = ratio_statistic(
            summable(numerator[mine]), summable(denominator[mine]), confidence=confidence, seed=seed, draws=draws
        )
        classes.append(ClassAgreement(name, int(named[label]), statistic))
    return tuple(classes), drawn


def _naming(judgements: SpanJudgements, pairs: AnswerPairs) -> FloatArray:
    """Judgements on overlapping tasks that hold a span of each class, (n_categories,)."""
    q = len(judgements.categories)
    code = judgements.judgement_index * q + judgements.label_index
    # Sorted already; np.unique would hash three million codes for seconds.
    held = code[np.diff(code, prepend=-1) != 0]
    shared = pairs.size[judgements.task_index[held // q]] > 1
    return np.bincount(held[shared] % q, minlength=q).astype(np.float64)
