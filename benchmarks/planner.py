"""Stated power of `plan overlap` against the gate itself, on simulated batches.

    python benchmarks/planner.py          # ten cells, about a minute and a half
    python benchmarks/planner.py --full   # the table of docs/planning.md, about 7 minutes on one core

The planner judges thousands of batches at once with a posterior of its own making; here each batch goes through the functions of the
verdict: `with_prior`, `drawn_weights`, the coefficient and `decide`, 2,000 draws a batch. The planner's
batches begin with the same ones, which takes most of the chance out of the difference; draws are its own.
"""

import argparse
import math
import time
from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.project.criteria import Criteria, parse_criteria
from annotation_ops.domain.quality.agreement.coefficients import NOMINAL
from annotation_ops.domain.quality.agreement.intervals import drawn_weights, with_prior
from annotation_ops.domain.quality.agreement.patterns import Patterns
from annotation_ops.domain.quality.agreement.report import DRAWS
from annotation_ops.domain.quality.planning.crowd_model import Crowd
from annotation_ops.domain.quality.planning.gate_simulation import Gate, simulate
from annotation_ops.domain.quality.verdict.gates import Outcome, decide

PROMISED = 0.02
"""Points by which the stated power may differ."""

EVEN, SKEWED, RARE = (0.25,) * 4, (0.7, 0.2, 0.07, 0.03), (0.98, 0.02)


@dataclass(frozen=True, slots=True)
class Cell:
    statistic: str
    raters: int
    prevalence: tuple[float, ...]
    mode: str
    tasks: int
    truth: float

    def title(self) -> str:
        shares = "/".join(f"{share:.2g}" for share in self.prevalence[:4]) + (
            "/..." if len(self.prevalence) > 4 else ""
        )
        return f"{self.statistic} | {self.raters} | {shares} | {self.mode} | {self.tasks} | {self.truth:g}"


SHORT = (
    Cell("cohen_kappa", 2, (0.5, 0.5), "evidence", 200, 0.95),
    Cell("cohen_kappa", 2, EVEN, "evidence", 250, 0.92),
    Cell("cohen_kappa", 2, EVEN, "not_worse", 100, 0.92),
    Cell("cohen_kappa", 2, SKEWED, "evidence", 200, 0.92),
    Cell("cohen_kappa", 2, RARE, "not_worse", 400, 0.95),
    Cell("fleiss_kappa", 3, EVEN, "evidence", 100, 0.92),
    Cell("krippendorff_alpha_nominal", 5, SKEWED, "not_worse", 60, 0.9),
    Cell("gwet_ac1", 2, SKEWED, "evidence", 150, 0.92),
    Cell("percent_agreement", 2, EVEN, "not_worse", 100, 0.9),
    Cell("krippendorff_alpha_nominal", 2, EVEN, "point", 100, 0.9),
)
FULL = SHORT + tuple(
    Cell(statistic, raters, prevalence, mode, tasks, truth)
    for statistic, raters in (("cohen_kappa", 2), ("krippendorff_alpha_nominal", 3))
    for prevalence in ((0.5, 0.5), (0.9, 0.1), SKEWED, (0.1,) * 10)
    for mode, tasks, truth in (
        ("evidence", 100, 0.95),
        ("evidence", 400, 0.9),
        ("not_worse", 50, 0.9),
        ("evidence", 100, 0.8),
    )
)


def criteria_of(cell: Cell) -> Criteria:
    parsed = parse_criteria(f"version: 1.0.0\nstatistic: {cell.statistic}\nthreshold: 0.85\nmode: {cell.mode}\n")
    if parsed.record is None:
        raise SystemExit(f"criteria: {parsed.faults}")
    return parsed.record


def share_passed(patterns: Patterns, cell: Cell, *, batches: int, seed: int) -> float:
    """Share of batches that the verdict's own gate passes."""
    criteria, coefficient = criteria_of(cell), NOMINAL[cell.statistic]
    generator = np.random.default_rng(seed)
    passed = 0
    for number, table in enumerate(generator.multinomial(cell.tasks, patterns.weight, size=batches)):
        seen = table > 0
        cells = None if patterns.cells is None else patterns.cells[seen]
        batch = Patterns(patterns.counts[seen], table[seen].astype(np.float64), cells)
        value = float(coefficient(batch, batch.weight[None, :])[0])
        if not math.isfinite(value):
            continue
        draws = np.empty(0)
        if cell.mode != "point":
            widened = with_prior(batch)
            weights = np.concatenate(list(drawn_weights(widened, seed=number, draws=DRAWS)))
            draws = coefficient(widened, weights)
            draws = draws[np.isfinite(draws)]
        passed += decide(value, draws=draws, threshold=criteria.threshold, criteria=criteria) is Outcome.PASS
    return passed / batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--batches", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=20261124)
    given = parser.parse_args()
    print(
        "| statistic | raters | prevalence | mode | tasks | true value | planner | gate | difference | se | CPU s planner / gate |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    worst = 0.0
    for cell in FULL if given.full else SHORT:
        patterns = Crowd(prevalence=cell.prevalence, raters=cell.raters).patterns(cell.statistic, truth=cell.truth)
        gate = Gate(statistic=cell.statistic, threshold=0.85, mode=criteria_of(cell).mode)
        start = time.process_time()
        stated = simulate(patterns, tasks=cell.tasks, gate=gate, seed=given.seed).passes
        middle = time.process_time()
        found = share_passed(patterns, cell, batches=given.batches, seed=given.seed)
        end = time.process_time()
        own = stated.value * (1 - stated.value) / stated.error**2 if stated.error else math.inf
        error = math.sqrt(max(found * (1 - found) * (1 / given.batches - 1 / own), 0.0))
        worst = max(worst, abs(stated.value - found))
        print(
            f"| {cell.title()} | {stated.value:.3f} | {found:.3f} | {stated.value - found:+.3f} | {error:.3f} "
            f"| {middle - start:.1f} / {end - middle:.1f} |",
            flush=True,
        )
    print(f"\nLargest difference: {100 * worst:.1f} points (promised: {100 * PROMISED:.0f})")
    raise SystemExit(0 if worst <= PROMISED else 1)


if __name__ == "__main__":
    main()
