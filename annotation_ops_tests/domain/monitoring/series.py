"""Short metric histories for the monitoring tests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from annotation_ops.domain.monitoring.degradation import Observation
from annotation_ops.domain.project.monitor import Monitor

START = datetime(2026, 11, 1, tzinfo=UTC)

STEADY = (0.90, 0.91, 0.89, 0.905, 0.895, 0.90, 0.915, 0.885, 0.90, 0.90)
"""A baseline of ten with no more spread than 200 samples explain."""


def history(values: Sequence[float], n: int | None = 200, *, start: datetime = START) -> list[Observation]:
    return [Observation(value, n, start + timedelta(days=i), f"run-{i}") for i, value in enumerate(values)]


def monitor(
    *, baseline_observations: int = 10, min_drop: float = 0.03, relabel_budget: int = 60, cooldown_hours: float = 24
) -> Monitor:
    return Monitor(
        version="1.0.0",
        model="digits",
        experiment="digits-production",
        metric="accuracy",
        baseline_observations=baseline_observations,
        false_alarm_rate=0.01,
        min_drop=min_drop,
        cooldown=timedelta(hours=cooldown_hours),
        relabel_budget=relabel_budget,
        training=None,
        min_new_labels=50,
    )
