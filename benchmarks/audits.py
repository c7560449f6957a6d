"""Spot audits on simulated lots: does the upper bound hold, and how often is a bad lot accepted?

    python benchmarks/audits.py [--lots 500]

Lots of labels by people and classes of unequal size, audited as the product does it: `audit_size`, `draw_audit`, `estimate_audit`
with a tolerable error of 5 % at 95 %. Errors are spread evenly, or sit with one person, or in the rarest class.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.quality.planning.audit_estimate import Auditor, estimate_audit
from annotation_ops.domain.quality.planning.audit_plan import audit_size
from annotation_ops.domain.quality.planning.audit_sample import AuditItem, draw_audit

TOLERABLE, CONFIDENCE = 0.05, 0.95
PEOPLE = np.array([0.35, 0.25, 0.2, 0.15, 0.05])
CLASSES = np.array([0.6, 0.25, 0.12, 0.03])
LOTS = (100, 500, 5_000)
RATES = (0.01, 0.05, 0.08)
PLACES = ("evenly", "one person", "rarest class")
SEED = 7


@dataclass(frozen=True, slots=True)
class Tally:
    size: float
    held: float
    """Share of the lots whose true error rate is within the upper bound."""
    bound: float
    accepted: float
    rejected: float


def simulated(lot: int, rate: float, place: str, *, lots: int, auditor: Auditor | None = None) -> Tally:
    generator = np.random.default_rng([SEED, lot, int(1000 * rate), PLACES.index(place)])
    found = []
    for number in range(lots):
        who, label = generator.choice(5, lot, p=PEOPLE), generator.choice(4, lot, p=CLASSES)
        likely = {"evenly": np.ones(lot), "one person": who == 4, "rarest class": label == 3}[place] + 1e-6
        wrong = np.zeros(lot, dtype=bool)
        wrong[generator.choice(lot, round(rate * lot), replace=False, p=likely / likely.sum())] = True
        items = [AuditItem(f"t{at:05d}", (f"p{who[at]}",), str(label[at])) for at in range(lot)]
        size = audit_size(lot, tolerable=TOLERABLE, confidence=CONFIDENCE, floor=0.05)
        draws = draw_audit(items, size=size, seed=number)
        seen = wrong[[int(one.task_key[1:]) for one in draws]]
        if auditor is not None:
            says = generator.random(len(seen))
            seen = np.where(seen, says < auditor.sensitivity, says >= auditor.specificity)
        result = estimate_audit(
            [(one.stratum, one.inclusion_probability, bool(error)) for one, error in zip(draws, seen, strict=True)],
            lot=lot,
            tolerable=TOLERABLE,
            confidence=CONFIDENCE,
            auditor=auditor,
        )
        found.append((len(draws), wrong.mean() <= result.upper_bound + 1e-9, result.upper_bound, result.accepted))
    sizes, held, bounds, accepted = zip(*found, strict=True)
    return Tally(
        float(np.mean(sizes)),
        float(np.mean(held)),
        float(np.mean(bounds)),
        sum(one is True for one in accepted) / lots,
        sum(one is False for one in accepted) / lots,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lots", type=int, default=500)
    given = parser.parse_args()
    started = time.process_time()
    print("| lot | errors | where | audited | bound holds | mean bound | accepted | rejected |\n|" + "---|" * 8)
    for lot in LOTS:
        for rate in RATES:
            for place in PLACES:
                lots = given.lots if lot < 5_000 else given.lots // 10
                one = simulated(lot, rate, place, lots=lots)
                print(
                    f"| {lot:,} | {rate:.0%} | {place} | {one.size:.0f} | {one.held:.1%} | {one.bound:.1%} "
                    f"| {one.accepted:.1%} | {one.rejected:.1%} |",
                    flush=True,
                )
    print("\nAn auditor who overlooks one error in five and calls 2 % of right labels wrong, corrected (lot of 500):\n")
    print("| errors | bound holds | mean bound | accepted |\n|---|---|---|---|")
    for rate in RATES:
        one = simulated(500, rate, "evenly", lots=given.lots, auditor=Auditor(0.8, 0.98))
        print(f"| {rate:.0%} | {one.held:.1%} | {one.bound:.1%} | {one.accepted:.1%} |", flush=True)
    print(f"\n{time.process_time() - started:.0f} CPU seconds")


if __name__ == "__main__":
    main()
