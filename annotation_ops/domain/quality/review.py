"""Which labels of a batch a reviewer looks at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from annotation_ops.domain.records import content_key


@dataclass(frozen=True, slots=True)
class ReviewRules:
    """A label is reviewed when it is drawn at random or any of the rules names it."""

    share: float
    """Of all labels, drawn at random: it says how often labels are wrong that nothing makes suspicious."""
    agreement_below: float = 0.0
    """Labels with which the judgements agree less than this, 0 to 1."""
    classes: tuple[str, ...] = ()
    """Labels of these classes, always."""
    answered_after: timedelta | None = None
    """Labels whose last judgement came later than this after the batch was sent out: hard ones are put off."""


@dataclass(frozen=True, slots=True)
class Reviewable:
    """What the rules look at in one label."""

    task_key: str
    label: str | None
    """The class; None where an answer is no single label."""
    agreement: float | None
    """Of the judgements with the label, 0 to 1; None with a single judgement."""
    answered_after: timedelta


def to_review(labels: Sequence[Reviewable], rules: ReviewRules, *, draw: str) -> dict[str, str]:
    """Task key -> why: `random`, `disagreement`, `class` or `age`, the first that fits.

    The draw takes ceil(share x labels) of all of them, those with the smallest hash of `draw` and the task key, so it is the same
    whenever it is made.
    """
    by_hash = sorted(labels, key=lambda label: content_key("review", draw, label.task_key))
    drawn = {label.task_key for label in by_hash[: math.ceil(rules.share * len(labels) - 1e-9)]}
    found = {label.task_key: "random" if label.task_key in drawn else _suspicion(label, rules) for label in labels}
    return {task_key: why for task_key, why in found.items() if why}


def _suspicion(label: Reviewable, rules: ReviewRules) -> str:
    if label.agreement is not None and label.agreement < rules.agreement_below:
        return "disagreement"
    if label.label in rules.classes:
        return "class"
    return "age" if rules.answered_after is not None and label.answered_after > rules.answered_after else ""
