"""From MLflow's metric history to observations: one a slice, metric and step."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from annotation_ops.ports.model_tracking import MetricObservation

_SLICED = re.compile(r"slice/(?P<slice>[^/:]+:.+)/(?P<metric>[^/]+)")
_OVERALL = re.compile(r"[^/]+")

COUNT = "n"
"""The metric that holds the number of samples behind the others of its slice."""

STORED_INFINITY = 1.7e308
"""MLflow's SQL store keeps the largest double in place of infinity."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Logged:
    """One point of a metric's history."""

    step: int
    timestamp: int
    """ms since 1970."""
    value: float


def parse_key(key: str) -> tuple[str, str] | None:
    """`slice/scanner:b/accuracy` -> ("scanner:b", "accuracy"); `accuracy` -> ("", "accuracy"); None for other names."""
    if match := _SLICED.fullmatch(key):
        return match["slice"], match["metric"]
    return ("", key) if _OVERALL.fullmatch(key) else None


def to_observations(
    histories: Mapping[str, Sequence[Logged]], *, model: str, model_version: str, run_id: str
) -> tuple[MetricObservation, ...]:
    """All observations of one run, by step, then name. All metrics of a step share its time: they are one evaluation.

    A step logged twice counts once, with its later value.
    """
    points = {
        parsed: {p.step: p for p in sorted(history, key=lambda p: p.timestamp)}
        for key, history in histories.items()
        if (parsed := parse_key(key)) is not None
    }
    times = _times([point for by_step in points.values() for point in by_step.values()])
    found = [
        MetricObservation(
            model=model,
            model_version=model_version,
            metric=metric,
            slice=name,
            value=_value(point.value),
            n=_count(points.get((name, COUNT), {}), step),
            observed_at=times[step],
            run_id=run_id,
        )
        for (name, metric), by_step in points.items()
        if metric != COUNT
        for step, point in by_step.items()
    ]
    return tuple(sorted(found, key=lambda o: (o.observed_at, o.slice, o.metric)))


def _times(points: Sequence[Logged]) -> dict[int, datetime]:
    """Each step's first timestamp, pushed on by 1 µs where steps were logged within one millisecond: times stay unique."""
    first: dict[int, int] = {}
    for point in points:
        first[point.step] = min(point.timestamp, first.get(point.step, point.timestamp))
    times: dict[int, datetime] = {}
    taken: set[datetime] = set()
    for step in sorted(first):
        at = EPOCH + timedelta(milliseconds=first[step])
        while at in taken:
            at += timedelta(microseconds=1)
        taken.add(at)
        times[step] = at
    return times


def _value(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) >= STORED_INFINITY else value


def _count(by_step: Mapping[int, Logged], step: int) -> int | None:
    """The count of the same step, or the only one the run logged."""
    point = by_step.get(step)
    if point is None and len(by_step) == 1:
        point = next(iter(by_step.values()))
    if point is None or not 0 <= point.value < STORED_INFINITY:
        return None
    return round(point.value)
