"""A quick cut of benchmarks/false_alarms.py: the promise of the monitor, measured on every run of the suite."""

from dataclasses import dataclass

import numpy as np
import pytest

from annotation_ops.domain.monitoring.degradation import Observation, Standing
from annotation_ops.domain.monitoring.slices import find_fallen
from annotation_ops_tests.domain.monitoring.series import history

SERIES = 120
WINDOWS = 5


@dataclass(frozen=True, slots=True)
class Cell:
    level: float
    n: int
    daily: float
    n_logged: bool = True

    def draw(self, rng: np.random.Generator, length: int) -> list[Observation]:
        truth = np.full(length, self.level)
        if self.daily:
            size = self.level * (1 - self.level) / self.daily**2 - 1
            truth = rng.beta(self.level * size, (1 - self.level) * size, length)
        return history((rng.binomial(self.n, truth) / self.n).tolist(), self.n if self.n_logged else None)


def tripped(histories: dict[str, list[Observation]], *, baseline: int, min_drop: float = 0.0) -> bool:
    found = find_fallen(histories, baseline_observations=baseline, false_alarm_rate=0.01, min_drop=min_drop)
    return any(finding.standing is Standing.FELL for finding in found)


@pytest.mark.parametrize("baseline", [5, 10])
def test_fewer_than_one_percent_of_flat_windows_trip(baseline: int) -> None:
    rng = np.random.default_rng(5)
    cells = [Cell(0.9, 200, 0.0), Cell(0.98, 50, 0.0), Cell(0.9, 200, 0.02), Cell(0.9, 200, 0.0, n_logged=False)]
    hits = windows = 0
    for cell in cells:
        for _ in range(SERIES):
            drawn = cell.draw(rng, baseline + WINDOWS)
            for end in range(baseline + 1, len(drawn) + 1):
                hits += tripped({"": drawn[:end]}, baseline=baseline)
                windows += 1

    assert windows == len(cells) * SERIES * WINDOWS
    assert hits / windows < 0.01


def test_fewer_than_one_percent_of_flat_windows_trip_over_twelve_slices_together() -> None:
    rng = np.random.default_rng(6)
    cell = Cell(0.9, 100, 0.02)
    hits = 0
    for _ in range(200):
        hits += tripped({f"writer:{i}": cell.draw(rng, 11) for i in range(12)}, baseline=10)

    assert hits / 200 < 0.01


@pytest.mark.parametrize(("level", "baseline"), [(0.95, 10), (0.90, 20)])
def test_a_ten_point_drop_on_200_samples_is_caught_within_two_windows_nine_times_in_ten(
    level: float, baseline: int
) -> None:
    rng = np.random.default_rng(7)
    caught = 0
    for _ in range(200):
        drawn = Cell(level, 200, 0.0).draw(rng, baseline) + Cell(level - 0.1, 200, 0.0).draw(rng, 2)
        caught += any(tripped({"": drawn[: baseline + 1 + k]}, baseline=baseline, min_drop=0.03) for k in range(2))

    assert caught / 200 >= 0.9
