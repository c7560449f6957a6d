"""Names, numbers and reasons as people read them."""

import re
from datetime import UTC, datetime

from annotation_ops.domain.quality.statistic import Statistic

TITLES = {
    "percent_agreement": "Percent agreement",
    "cohen_kappa": "Cohen's kappa",
    "weighted_kappa_linear": "Weighted kappa, linear",
    "weighted_kappa_quadratic": "Weighted kappa, quadratic",
    "fleiss_kappa": "Fleiss' kappa",
    "krippendorff_alpha_nominal": "Krippendorff's alpha, nominal",
    "krippendorff_alpha_ordinal": "Krippendorff's alpha, ordinal",
    "krippendorff_alpha_interval": "Krippendorff's alpha, interval",
    "gwet_ac1": "Gwet's AC1",
    "gwet_ac2": "Gwet's AC2",
    "mean_iou_matched": "Mean IoU of matches",
    "mean_iou_penalised": "Mean IoU, unmatched count as 0",
    "f1_at_50": "F1 at IoU 0.50",
    "f1_at_75": "F1 at IoU 0.75",
    "f1_averaged": "F1 averaged over IoU 0.50 to 0.95",
    "mean_dice": "Mean Dice",
    "panoptic_quality": "Panoptic quality",
    "span_f1_exact": "Span F1, exact",
    "span_f1_overlap": "Span F1, overlap",
    "brennan_prediger": "Brennan and Prediger's kappa",
    "share_below": "Tasks below the task threshold",
    "gold_score": "Score on gold tasks",
    "label_mix": "Label mix against the expectation",
    "audit": "Spot audit",
    "contract": "Contract check",
    "top_up": "Top-up that was ordered",
    "p_value": "p-value",
    "effect": "Cramer's V",
    "min_effect": "Smallest Cramer's V that matters",
    "df": "Degrees of freedom",
    "jensen_shannon": "Jensen-Shannon divergence, bits",
    "effective_n": "Effective n",
    "stability_index": "Population stability index",
    "stability_limit": "Its limit by chance",
    "errors": "Wrong labels found",
    "upper_bound": "Wrong labels, upper bound",
    "tolerable": "Wrong labels, tolerable",
    "agreement_scope": "What agreement was measured on",
    "adaptive": "Adaptive overlap",
    "below_the_others": "agrees less than the others",
    "little_evidence": "little evidence",
    "n": "n",
}
"""Machine name -> what a heading says; names that are not here are read with spaces for underscores."""

BECAUSE = {
    "no_judgements": "there are no judgements",
    "no_overlap": "no task was judged by two annotators",
    "not_two_annotators": "it needs exactly two annotators",
    "single_category": "everybody gave one and the same label, so agreement by chance is complete",
    "class_unused": "nobody used the class on a task that two people judged",
    "not_recorded": "the verdict does not record it",
}

AGREEMENT_IS = {
    "boxes": "mean_iou_penalised",
    "polygons": "mean_iou_penalised",
    "masks": "mean_iou_penalised",
    "spans": "span_f1_exact",
    "text": "exact_match",
}
"""Task type -> what agreement of two answers is, where answers are no labels that are the same or not."""

NOTHING = "–"

WIDELY_AGREED = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Lower ends of the steps of the agreement scale; the same in every report, so that colours compare."""
LARGE_SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5)
"""Lower ends of the steps of the share scale, the lowest step left out."""


def title(name: str) -> str:
    """`mean_iou_matched` -> `Mean IoU of matches`; unknown names read as a sentence."""
    plain = name.replace("_", " ").strip()
    return TITLES.get(name) or plain[:1].upper() + plain[1:]


def plain(text: str) -> str:
    """A code of ours (`chi_square`) in words; any other text as it is."""
    return text.replace("_", " ") if re.fullmatch(r"[a-z]+(_[a-z]+)+", text) else text


def in_words(text: str) -> str:
    """A sentence of the judge with the names of statistics as headings say them."""
    return re.sub(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b", lambda found: TITLES.get(found[0], found[0]), text)


def agreement_is(task_type: str) -> str:
    """A sentence for the tables of people; empty where two answers are simply the same label or not."""
    name = AGREEMENT_IS.get(task_type)
    return f"Agreement of two answers is: {title(name)}." if name else ""


def because(reason: str | None) -> str:
    return BECAUSE.get(reason or "", (reason or "not recorded").replace("_", " "))


def number(value: float | None, digits: int = 3) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 0) -> str:
    """Never rounded to 0% or 100% what is not."""
    if value is None:
        return NOTHING
    text = f"{100 * value:.{digits}f}"
    if value < 1 and float(text) >= 100:
        return f">{100 - 10**-digits:.{digits}f}%"
    if value > 0 and float(text) == 0:
        return f"<{10**-digits:.{digits}f}%"
    return f"{text}%"


def chance(value: float) -> str:
    """A probability estimated from draws: none that is exactly 0 or 1 is certain."""
    return "below 0.1%" if value < 0.001 else "above 99.9%" if value > 0.999 else percent(value, 1)


def count(value: float) -> str:
    """Thousands are separated by a thin space; fractions of a label are not shown."""
    return f"{value:,.0f}".replace(",", "\u202f")


def when(at: datetime | None) -> str:
    return NOTHING if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def interval(statistic: Statistic | None) -> str:
    if statistic is None or statistic.low is None or statistic.high is None:
        return ""
    return f"{statistic.low:.3f} to {statistic.high:.3f}"


def told(statistic: Statistic | None) -> str:
    """One line for a tooltip or a reader who does not see the colours."""
    if statistic is None:
        return "never given on a shared task"
    if statistic.value is None:
        return f"undefined: {because(statistic.reason)}"
    bounds = f" ({interval(statistic)})" if statistic.low is not None else ""
    return f"{statistic.value:.3f}{bounds}, {statistic.n} tasks"


def agreement_step(value: float | None) -> int:
    """0 to 6, the strongest colour for the least agreement; 0 for what is undefined."""
    if value is None:
        return 0
    return next((step for step, low in enumerate(WIDELY_AGREED) if value >= low), len(WIDELY_AGREED))


def share_step(value: float) -> int:
    """0 to 6, the strongest colour for the largest share."""
    return sum(value >= low for low in LARGE_SHARES)
