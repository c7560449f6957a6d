"""Agreement on texts: exact match after normalisation, character and word error rates between annotators.

Neither annotator is the reference, so both are: an error rate is the edit distance over the mean of the two lengths, summed
over tasks (the two one-sided rates pooled). It exceeds 1 when one writes much and the other nothing.
"""

import numpy as np

from annotation_ops.domain.quality.agreement.answer_index import check_interval
from annotation_ops.domain.quality.agreement.answer_pairs import (
    annotator_agreements,
    answer_pairs,
    pair_agreements,
    share,
)
from annotation_ops.domain.quality.agreement.edit_distance import Sequences, edit_distances
from annotation_ops.domain.quality.agreement.report import DRAWS, AgreementReport
from annotation_ops.domain.quality.agreement.spans import Ratio, task_statistic
from annotation_ops.domain.quality.agreement.text_judgements import TextJudgements
from annotation_ops.domain.quality.judgements import FloatArray, IntArray


def agreement_of_texts(
    judgements: TextJudgements, *, confidence: float = 0.95, seed: int, draws: int = DRAWS
) -> AgreementReport:
    """`exact_match`, `character_error_rate` and `word_error_rate`; the two rates are errors: 0 is best.

    Texts are compared as `text_judgements.normalised` leaves them: Unicode NFC, white space collapsed, case kept. Characters
    are Unicode code points, words what white space separates. With more than two annotators a task counts by the mean over
    its pairs. The agreement of a task, and of an annotator, is 1 - min(1, character error rate).
    Raises InvalidInput when `confidence` is not inside (0, 1), `draws` is not positive, or there are too many pairs.
    """
    check_interval(confidence, draws)
    pairs = answer_pairs(
        judgements.annotators,
        task_index=judgements.task_index,
        annotator_index=judgements.annotator_index,
        n_tasks=len(judgements.tasks),
    )
    first, second = judgements.text_index[pairs.first], judgements.text_index[pairs.second]
    ratios: dict[str, Ratio] = {
        "exact_match": ((first == second).astype(np.float64), np.ones(len(first))),
        "character_error_rate": error_rate(judgements.characters(), first, second),
        "word_error_rate": error_rate(judgements.words(), first, second),
    }
    agreeing = character_agreement(ratios["character_error_rate"])
    drawn: dict[str, FloatArray] = {}
    statistics = {
        name: task_statistic(name, ratio, pairs, drawn, confidence=confidence, seed=seed, draws=draws)
        for name, ratio in ratios.items()
    }
    return AgreementReport(
        task_type="text",
        n_tasks=len(judgements.tasks),
        n_overlap_tasks=int((pairs.size > 1).sum()),
        n_annotators=len(judgements.annotators),
        n_judgements=judgements.n_judgements,
        statistics=statistics,
        prevalence_index=None,
        bias_index=None,
        classes=(),
        tasks=judgements.tasks,
        task_agreement=pairs.per_task(agreeing),
        pairs=pair_agreements(pairs, ratios, confidence=confidence),
        annotators=annotator_agreements(pairs, agreeing, confidence=confidence),
        draws=drawn,
        class_draws={},
    )


def error_rate(sequences: Sequences, first: IntArray, second: IntArray) -> Ratio:
    """Twice the edit distance, and the sum of the two lengths, of each pair of texts, (n_pairs,) each."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    codes, place = np.unique(low * len(sequences.lengths) + high, return_inverse=True)
    different = edit_distances(sequences, codes // len(sequences.lengths), codes % len(sequences.lengths))
    lengths = sequences.lengths.astype(np.float64)
    edits = 2.0 * different[place].astype(np.float64)
    return edits, lengths[first] + lengths[second]


def character_agreement(rate: Ratio) -> FloatArray:
    """1 - min(1, error rate); two empty texts agree."""
    return 1.0 - np.minimum(share(*rate, empty=0.0), 1.0)
