"""Which labels came out, beside what was expected and what came out before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from annotation_ops.domain.quality.statistic import Statistic
from annotation_ops.domain.reporting.summary import AttemptSummary
from annotation_ops.domain.reporting.tallies import Tally, added_counts, proportions

MIX_LABELS = 24
"""Labels shown by name; the rare rest is counted."""
MIX_ATTEMPTS = 12
"""Newest attempts in the mix over time: what fits a printed page."""


@dataclass(frozen=True, slots=True)
class MixRow:
    label: str
    count: int
    share: Statistic
    expected: float | None
    """Share by the criteria; None where they name none."""
    earlier: float | None
    """Share in the attempts accepted before; None without any."""


@dataclass(frozen=True, slots=True)
class LabelMix:
    rows: tuple[MixRow, ...]
    """In taxonomy order."""
    labels_left_out: int
    n: int
    """Tasks with a consensus label."""
    n_earlier: int


@dataclass(frozen=True, slots=True)
class MixOverTime:
    keys: tuple[str, ...]
    """Attempts, oldest first."""
    attempts_left_out: int
    """Older ones."""
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    """(label, share in each attempt), in taxonomy order."""
    expected: Mapping[str, float]
    """Share by label that the newest criteria with an expectation name; empty when none do."""
    labels_left_out: int


def label_mix(
    summary: AttemptSummary, *, labels: Sequence[str], expected: Mapping[str, float], earlier: Sequence[AttemptSummary]
) -> LabelMix:
    """`earlier` are the attempts accepted before this one; the project's expectation is given by label."""
    counts = summary.label_counts
    n = sum(counts.values())
    before = added_counts(one.label_counts for one in earlier)
    n_before = sum(before.values())
    shares = proportions({label: Tally(float(counts.get(label, 0)), n) for label in labels}, confidence=0.95)
    shown = _most_frequent(labels, [counts, before])
    return LabelMix(
        rows=tuple(
            MixRow(
                label,
                counts.get(label, 0),
                shares[label],
                expected.get(label) if expected else None,
                before.get(label, 0) / n_before if n_before else None,
            )
            for label in shown
        ),
        labels_left_out=len(labels) - len(shown),
        n=n,
        n_earlier=n_before,
    )


def mix_over_time(attempts: Sequence[AttemptSummary], *, labels: Sequence[str]) -> MixOverTime:
    """Of the attempts that have labels, oldest first."""
    labelled = [one for one in attempts if one.with_labels and one.label_counts]
    shown = labelled[-MIX_ATTEMPTS:]
    names = _most_frequent(labels, [one.label_counts for one in shown])
    return MixOverTime(
        keys=tuple(one.key for one in shown),
        attempts_left_out=len(labelled) - len(shown),
        rows=tuple(
            (name, tuple(one.label_counts.get(name, 0) / sum(one.label_counts.values()) for one in shown))
            for name in names
        ),
        expected=_expected(labelled),
        labels_left_out=len(labels) - len(names),
    )


def _expected(attempts: Sequence[AttemptSummary]) -> Mapping[str, float]:
    declared = [one.criteria.label_mix for one in attempts if one.criteria and one.criteria.label_mix]
    return dict(declared[-1].expected) if declared else {}


def _most_frequent(labels: Sequence[str], counts: Sequence[Mapping[str, int]]) -> tuple[str, ...]:
    total = added_counts(counts)
    kept = set(sorted(labels, key=lambda label: -total.get(label, 0))[:MIX_LABELS])
    return tuple(label for label in labels if label in kept)
