"""Which labels an auditor sees: a seeded draw that reaches every annotator and every class."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.records import content_key

DRAWS_A_STRATUM = 2
"""On average, at least: thinner strata would cost more in rounding up than they show."""

LEAST_RISK = 0.01
"""Expected error rate assumed of everybody at least: who never erred is still looked at."""


@dataclass(frozen=True, slots=True)
class AuditItem:
    """One finished label."""

    task_key: str
    annotators: tuple[str, ...]
    """Who labelled it; they may not audit it."""
    label: str


@dataclass(frozen=True, slots=True)
class AuditDraw:
    """One label to audit; the probabilities stay with it, the estimate needs them."""

    task_key: str
    stratum: str
    inclusion_probability: float


def draw_audit(
    items: Sequence[AuditItem], *, size: int, seed: int, risk: Mapping[str, float] | None = None
) -> tuple[AuditDraw, ...]:
    """At least `size` labels (all, if there are no more), ordered by task key, whatever the order of the items.

    Strata are annotator x class, or only annotators, only classes, or none: the first of these with at most half as many
    strata as draws. A label of several people belongs to the one of them with the fewest labels. No stratum is sampled more thinly
    than size / labels, so the guarantee of the plan holds wherever the errors are; rounding up costs up to one draw more a
    stratum. `risk`, an expected error rate by annotator, moves draws to where errors are likely (Neyman 1934), which finds
    more of them and loosens the bound of the whole lot.
    Raises InvalidInput on a repeated task key, a size below 1 or a risk outside [0, 1].
    """
    _check(items, size, risk or {})
    strata = _strata(items, size)
    importance = {name: len(members) * _spread(members, risk) for name, members in strata.items()}
    share = min(size, len(items)) / max(sum(importance.values()), LEAST_RISK)
    drawn = []
    for name, members in strata.items():
        count = min(len(members), ceil(round(importance[name] * share, 9)))
        keys = sorted((item.task_key for item in members), key=lambda key: content_key("audit", str(seed), key))
        drawn += [AuditDraw(key, name, count / len(keys)) for key in keys[:count]]
    return tuple(sorted(drawn, key=lambda one: one.task_key))


def _check(items: Sequence[AuditItem], size: int, risk: Mapping[str, float]) -> None:
    if size < 1:
        raise InvalidInput(f"size: found {size}, expected 1 or more. Take the size of the audit plan.")
    times = Counter(item.task_key for item in items)
    repeated = next((key for key, count in times.items() if count > 1), None)
    if repeated is not None:
        raise InvalidInput(
            f"items: found task {repeated!r} {times[repeated]} times, expected once. Keep its final label."
        )
    for name, rate in risk.items():
        if not 0.0 <= rate <= 1.0:
            raise InvalidInput(f"risk of {name!r}: found {rate:g}, expected an error rate from 0 to 1. Correct it.")


def _strata(items: Sequence[AuditItem], size: int) -> dict[str, list[AuditItem]]:
    load = Counter(name for item in items for name in item.annotators)

    def person(item: AuditItem) -> str:
        return min(item.annotators, key=lambda name: (load[name], name), default="")

    for by_person, by_label in ((True, True), (True, False), (False, True), (False, False)):
        found: defaultdict[tuple[str, str], list[AuditItem]] = defaultdict(list)
        for item in items:
            found[(person(item) if by_person else "", item.label if by_label else "")].append(item)
        if DRAWS_A_STRATUM * len(found) <= size:
            break
    return {_name(*key): members for key, members in found.items()}


def _name(annotator: str, label: str) -> str:
    named = [f"annotator={annotator}"] * bool(annotator) + [f"class={label}"] * bool(label)
    return " ".join(named) or "all"


def _spread(members: Sequence[AuditItem], risk: Mapping[str, float] | None) -> float:
    """Expected standard deviation of an error in the stratum; 1 where nothing is expected."""
    if risk is None:
        return 1.0
    rates = [max([risk.get(name, LEAST_RISK) for name in item.annotators], default=LEAST_RISK) for item in members]
    rate = min(max(sum(rates) / len(rates), LEAST_RISK), 1.0 - LEAST_RISK)
    return sqrt(rate * (1.0 - rate))
