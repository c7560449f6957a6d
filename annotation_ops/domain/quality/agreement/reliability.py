"""Where an interval cannot be taken at its word, told from the data alone."""

from annotation_ops.domain.quality.judgements import FloatArray

FEW_MINORITY_TASKS = 3.0
"""Below this a chance-corrected statistic rests on one or two tasks. Of batches of 30 tasks with a class of 2%, half show
one class only; the intervals of the others held the true kappa in 89% of the cases at worst, and in 93% or more with at
least three tasks' worth of answers outside the commonest class."""


def interval_doubt(answers: FloatArray, *, tasks: float) -> str | None:
    """Why the interval of a kappa or alpha may be wrong, or None: `few_minority_answers`.

    `answers` (n_categories,) are the judgements of each category on the `tasks` that two or more annotators judged.
    Percent agreement, AC1, AC2 and class agreement do not divide by the minority and need no such caution.
    """
    total = float(answers.sum())
    # No division: exactly three tasks' worth must not fall below it by rounding.
    if total <= 0.0 or tasks * (total - float(answers.max())) < FEW_MINORITY_TASKS * total:
        return "few_minority_answers"
    return None
