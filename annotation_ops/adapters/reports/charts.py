"""Where the marks of a chart go: data in, coordinates of an SVG view box out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from annotation_ops.domain.quality.statistic import Statistic
from annotation_ops.domain.reporting.batch_report import Evidence
from annotation_ops.domain.reporting.trends import TrendPoint

Scale: TypeAlias = Callable[[float], float]

LETTERED = 60
"""Points above which the marks of the trend lose their letters: they would touch."""
RIGHT = 990.0
"""Right end of the trend's plot; the last threshold is written beyond it."""
DATED = 12
"""Dates below the trend that do not run into each other."""


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class EvidenceChart:
    """View box 720 x 92."""

    ticks: tuple[Tick, ...]
    low: float | None
    high: float | None
    value: float | None
    line: float
    line_label_anchor: str
    zone: tuple[float, float] | None
    """Left end and width of the margin of indifference."""


@dataclass(frozen=True, slots=True)
class Mark:
    x: float
    y: float
    low: float | None
    high: float | None
    outcome: str
    defined: bool
    by_person: bool
    title: str


@dataclass(frozen=True, slots=True)
class Segment:
    """Neighbouring attempts measured by one statistic."""

    line: str
    band: str


@dataclass(frozen=True, slots=True)
class Threshold:
    left: float
    right: float
    y: float
    label: str
    last: bool


@dataclass(frozen=True, slots=True)
class TrendChart:
    """View box 1040 x 330; the plot spans x 46 to RIGHT and y 14 to 270."""

    ticks: tuple[Tick, ...]
    dates: tuple[Tick, ...]
    segments: tuple[Segment, ...]
    marks: tuple[Mark, ...]
    thresholds: tuple[Threshold, ...]
    lettered: bool
    size: float
    """Half the width of a mark."""


@dataclass(frozen=True, slots=True)
class Strip:
    """A row's interval on a shared scale; view box 150 x 16."""

    low: float | None
    high: float | None
    value: float | None
    line: float | None


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    height: float
    count: int
    label: str


def evidence_chart(evidence: Evidence) -> EvidenceChart:
    measured = evidence.measured
    known = [v for v in (measured.value, measured.low, measured.high) if v is not None]
    start, end = _span(known, evidence)
    to_x = _scale(start, end, 14.0, 706.0)
    zone = None
    if evidence.margin:
        edges = sorted((to_x(evidence.line), to_x(evidence.line + evidence.margin * (1 if evidence.at_most else -1))))
        zone = (edges[0], round(edges[1] - edges[0], 1))
    at = to_x(evidence.line)
    return EvidenceChart(
        ticks=tuple(Tick(to_x(value), f"{value:.1f}") for value in _tenths(start, end)),
        low=_placed(measured.low, to_x),
        high=_placed(measured.high, to_x),
        value=_placed(measured.value, to_x),
        line=at,
        line_label_anchor="end" if at > 600 else "start" if at < 120 else "middle",
        zone=zone,
    )


def trend_chart(points: Sequence[TrendPoint]) -> TrendChart:
    """One mark an attempt, evenly spaced; what is undefined stands on the axis."""
    known = [v for p in points if p.measured for v in (p.measured.value, p.measured.low) if v is not None]
    known += [p.threshold for p in points if p.threshold is not None]
    start = max(math.floor((min(known, default=0.0) - 0.02) * 10) / 10, -1.0)
    to_y = _scale(start, 1.0, 270.0, 14.0)
    step = (RIGHT - 46.0) / max(len(points), 1)
    xs = [round(46.0 + step * (n + 0.5), 1) for n in range(len(points))]
    every = max(1, math.ceil(len(points) / DATED))
    return TrendChart(
        ticks=tuple(Tick(to_y(value), f"{value:.1f}") for value in _tenths(start, 1.0)),
        dates=tuple(
            Tick(x, p.at.strftime("%Y-%m-%d")) for n, (x, p) in enumerate(zip(xs, points, strict=True)) if not n % every
        ),
        segments=tuple(_segments(points, xs, to_y)),
        marks=tuple(_mark(p, x, to_y) for p, x in zip(points, xs, strict=True)),
        thresholds=tuple(_thresholds(points, xs, to_y, step=step)),
        lettered=len(points) <= LETTERED,
        size=9.0 if len(points) <= LETTERED else 4.0,
    )


def strip(statistic: Statistic, *, start: float, line: float | None = None) -> Strip:
    """`start` is the left end of the scale, whose right end is 1."""
    to_x = _scale(start, 1.0, 5.0, 145.0)
    return Strip(
        low=_placed(statistic.low, to_x),
        high=_placed(statistic.high, to_x),
        value=_placed(statistic.value, to_x),
        line=_placed(line, to_x),
    )


def strip_start(statistics: Sequence[Statistic]) -> float:
    """A left end, in fifths, that shows every interval: 0 unless something is negative or everything is high."""
    ends = [s.low if s.low is not None else s.value for s in statistics if s.value is not None]
    return max(math.floor(min((end for end in ends if end is not None), default=0.0) * 5) / 5, -1.0)


def histogram(bins: Sequence[int]) -> tuple[Bar, ...]:
    """Ten bins of 0.1 in a view box of 520 x 150."""
    most = max([*bins, 1])
    width = 500.0 / len(bins)
    return tuple(
        Bar(
            x=round(10.0 + n * width, 1),
            y=round(122.0 - 100.0 * number / most, 1),
            height=round(100.0 * number / most, 1),
            count=number,
            label=f"{n / len(bins):.1f} to {(n + 1) / len(bins):.1f}",
        )
        for n, number in enumerate(bins)
    )


def _span(known: Sequence[float], evidence: Evidence) -> tuple[float, float]:
    if evidence.at_most:
        end = math.ceil((max([*known, evidence.line]) + 0.05) * 10) / 10
        return 0.0, min(1.0, max(end, 0.3))
    start = math.floor((min([*known, evidence.line - evidence.margin]) - 0.05) * 10) / 10
    return max(-1.0, min(start, 0.5)), 1.0


def _segments(points: Sequence[TrendPoint], xs: Sequence[float], to_y: Scale) -> list[Segment]:
    def drawn(at: int) -> str | None:
        measured = points[at].measured
        return points[at].statistic if measured is not None and measured.value is not None else None

    found = []
    for name, group in groupby(range(len(points)), key=drawn):
        run = list(group)
        if name is None or len(run) < 2:
            continue
        measured = [(xs[n], points[n].measured) for n in run]
        line = [(x, m.value) for x, m in measured if m and m.value is not None]
        low = [(x, m.low) for x, m in measured if m and m.low is not None]
        high = [(x, m.high) for x, m in measured if m and m.high is not None]
        found.append(Segment(_points(line, to_y), _points([*high, *low[::-1]], to_y)))
    return found


def _thresholds(points: Sequence[TrendPoint], xs: Sequence[float], to_y: Scale, *, step: float) -> list[Threshold]:
    found = []
    for threshold, group in groupby(range(len(points)), key=lambda n: points[n].threshold):
        run = list(group)
        if threshold is not None:
            left, right = (round(xs[0] + (edge - 0.5) * step, 1) for edge in (run[0], run[-1] + 1))
            found.append(Threshold(left, right, to_y(threshold), f"{threshold:g}", run[-1] == len(points) - 1))
    return found


def _mark(point: TrendPoint, x: float, to_y: Scale) -> Mark:
    measured = point.measured
    defined = measured is not None and measured.value is not None
    shown = f"{measured.value:.3f}" if measured is not None and measured.value is not None else "undefined"
    who = f", decided by {point.judged_by}" if point.by_person else ""
    return Mark(
        x=x,
        y=to_y(measured.value) if measured is not None and measured.value is not None else 270.0,
        low=_placed(measured.low, to_y) if measured else None,
        high=_placed(measured.high, to_y) if measured else None,
        outcome=point.outcome,
        defined=defined,
        by_person=point.by_person,
        title=f"{point.key}: {point.outcome}, {shown}{who}",
    )


def _points(coordinates: Sequence[tuple[float, float]], to_y: Scale) -> str:
    return " ".join(f"{x:g},{to_y(y):g}" for x, y in coordinates)


def _scale(start: float, end: float, first: float, last: float) -> Scale:
    """Values outside stop at the ends of the scale."""
    width = end - start or 1.0

    def place(value: float) -> float:
        return round(first + (last - first) * min(max((value - start) / width, 0.0), 1.0), 1)

    return place


def _placed(value: float | None, place: Scale) -> float | None:
    return None if value is None else place(value)


def _tenths(start: float, end: float) -> list[float]:
    """Round numbers from start to end: tenths, or fifths on a long scale."""
    step = 0.1 if end - start <= 0.7 else 0.2
    steps = round((end - start) / step)
    return [round(end - n * step, 1) + 0.0 for n in range(steps, -1, -1) if end - n * step >= start - 1e-9]
