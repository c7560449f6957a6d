"""False alarms and power of the degradation monitor, by simulation of the shipped code.

    python benchmarks/false_alarms.py              # the tables of docs/monitoring.md, about 10 minutes on one core
    python benchmarks/false_alarms.py --series 500 # a quick look

Each series is one model version: a baseline, then 10 windows in which nothing changed (false alarms), or 3 windows with a
10-point drop (power). Seeded, so the tables come out the same everywhere.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from annotation_ops.domain.monitoring.degradation import Observation, Standing
from annotation_ops.domain.monitoring.slices import find_fallen

START = datetime(2026, 1, 1, tzinfo=UTC)
RATE = 0.01
FLAT_WINDOWS = 10
BASELINES = (5, 10, 20)


@dataclass(frozen=True, slots=True)
class Noise:
    """A flat metric. `daily` is the standard deviation of its true value between days, drawn from `shape`."""

    title: str
    level: float
    n: int
    daily: float = 0.0
    shape: str = "normal"
    n_logged: bool = True

    def draw(self, rng: np.random.Generator, length: int) -> list[Observation]:
        truth = np.clip(self.level + self._days(rng, length), 0.0, 1.0)
        values = rng.binomial(self.n, truth) / self.n
        return observations(values.tolist(), self.n if self.n_logged else None)

    def _days(self, rng: np.random.Generator, length: int) -> np.ndarray:
        if self.shape == "beta" and self.daily > 0:
            size = self.level * (1 - self.level) / self.daily**2 - 1
            return rng.beta(self.level * size, (1 - self.level) * size, length) - self.level
        if self.shape == "t3":
            return rng.standard_t(3, length) * self.daily / math.sqrt(3)
        if self.shape == "uniform":
            return rng.uniform(-1, 1, length) * self.daily * math.sqrt(3)
        return rng.normal(0, self.daily, length)


PROMISED = (
    Noise("counting only, 0.90, n 200", 0.90, 200),
    Noise("counting only, 0.98, n 50", 0.98, 50),
    Noise("counting only, 0.60, n 30", 0.60, 30),
    Noise("days of +-1 point (beta), 0.90, n 200", 0.90, 200, 0.01, "beta"),
    Noise("days of +-2 points (beta), 0.90, n 200", 0.90, 200, 0.02, "beta"),
    Noise("days of +-4 points (beta), 0.90, n 200", 0.90, 200, 0.04, "beta"),
    Noise("days of +-2 points (normal), 0.90, n 2000", 0.90, 2000, 0.02),
    Noise("days of +-2 points (uniform), 0.90, n 2000", 0.90, 2000, 0.02, "uniform"),
    Noise("days of +-2 points (beta), 0.95, n 500", 0.95, 500, 0.02, "beta"),
    Noise("n not logged, counting, 0.90, n 200", 0.90, 200, n_logged=False),
    Noise("n not logged, counting, 0.98, n 50", 0.98, 50, n_logged=False),
    Noise("n not logged, days of +-4 points (beta), 0.90", 0.90, 100, 0.04, "beta", n_logged=False),
)
"""Cells in which fewer than 1 % of the windows may trip."""

BEYOND = (
    Noise("rare bad days (Student t, 3 df) of +-3 points, 0.90", 0.90, 2000, 0.03, "t3"),
    Noise("days of +-9.5 points (beta), 0.90, n 200", 0.90, 200, 0.095, "beta"),
    Noise("days of +-3 points at the ceiling (beta), 0.98", 0.98, 100, 0.031, "beta"),
)
"""Cells with long lower tails that a short baseline cannot show; the rate is stated, not promised."""


def observations(values: Sequence[float], n: int | None) -> list[Observation]:
    return [Observation(float(v), n, START + timedelta(days=i)) for i, v in enumerate(values)]


def trips(history: Sequence[Observation], *, baseline: int, min_drop: float) -> bool:
    (finding,) = find_fallen({"": history}, baseline_observations=baseline, false_alarm_rate=RATE, min_drop=min_drop)
    return finding.standing is Standing.FELL


def flat_rate(noise: Noise, *, baseline: int, series: int, seed: int, min_drop: float) -> tuple[float, float]:
    """Share of flat windows that trip, and its standard error (by series: windows of one series share a baseline)."""
    rng = np.random.default_rng(seed)
    shares = []
    for _ in range(series):
        drawn = noise.draw(rng, baseline + FLAT_WINDOWS)
        ends = range(baseline + 1, len(drawn) + 1)
        shares.append(sum(trips(drawn[:end], baseline=baseline, min_drop=min_drop) for end in ends) / FLAT_WINDOWS)
    return float(np.mean(shares)), float(np.std(shares) / math.sqrt(series))


def power(level: float, *, n: int, drop: float, baseline: int, series: int, seed: int) -> list[float]:
    """Share of series that tripped by the 1st, 2nd, 3rd window after a step of `drop`."""
    rng = np.random.default_rng(seed)
    caught = np.zeros(3)
    for _ in range(series):
        values = np.concatenate([rng.binomial(n, level, baseline), rng.binomial(n, level - drop, 3)]) / n
        drawn = observations(values.tolist(), n)
        hits = [trips(drawn[: baseline + 1 + k], baseline=baseline, min_drop=0.03) for k in range(3)]
        caught += np.logical_or.accumulate(hits)
    return [float(share) for share in caught / series]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=20261123)
    chosen = parser.parse_args()
    print("Flat metric, windows that trip at false_alarm_rate 1 %, min_drop 0 (se in brackets)\n")
    print("| noise | " + " | ".join(f"baseline {b}" for b in BASELINES) + " |")
    print("|---|" + "---|" * len(BASELINES))
    worst = 0.0
    for noise in (*PROMISED, *BEYOND):
        cells = [flat_rate(noise, baseline=b, series=chosen.series, seed=chosen.seed, min_drop=0.0) for b in BASELINES]
        worst = max(worst, *(rate for rate, _ in cells)) if noise in PROMISED else worst
        title = noise.title if noise in PROMISED else f"(beyond) {noise.title}"
        print(f"| {title} | " + " | ".join(f"{100 * r:.2f} % ({100 * e:.2f})" for r, e in cells) + " |", flush=True)
    print(f"\nWorst promised cell: {100 * worst:.2f} %\n\nA 10-point drop caught within 1 / 2 / 3 windows\n")
    sizes = (5, 8, 10, 15, 20, 30)
    print("| from | n | " + " | ".join(f"baseline {b}" for b in sizes) + " |\n|---|---|" + "---|" * len(sizes))
    for level in (0.95, 0.90, 0.85):
        for n in (100, 200, 400):
            cells = [
                power(level, n=n, drop=0.1, baseline=b, series=max(200, chosen.series // 5), seed=chosen.seed)
                for b in sizes
            ]
            shown = " | ".join(" / ".join(f"{100 * share:.0f}" for share in cell) for cell in cells)
            print(f"| {level:.2f} | {n} | {shown} |", flush=True)
    raise SystemExit(0 if worst < RATE else 1)


if __name__ == "__main__":
    main()
