"""How often a batch is accepted: the gates that people build by hand against the verdict's, on simulated batches.

    python benchmarks/gates.py [--full] [--batches 500] [--naive 4000] [--judged 200]

Threshold 0.85. Annotators know the answer or guess by prevalence, which gives every pair the stated kappa. First the point
estimate and the lower one-sided 95% Wald bound (Fleiss, Cohen, Everitt, Psychol Bull 72:323-327, 1969); then `decide` in the modes
evidence and not_worse, also for three annotators and four classes; then whole verdicts by `judge`, where class guards and the
kappa paradox take part; last, what topping up an undecided batch does to all that.
"""

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np

from annotation_ops.domain.project.criteria import Criteria, parse_criteria
from annotation_ops.domain.project.taxonomy import Label, Taxonomy
from annotation_ops.domain.quality.agreement.coefficients import NOMINAL
from annotation_ops.domain.quality.agreement.intervals import drawn_weights, with_prior
from annotation_ops.domain.quality.agreement.patterns import Patterns
from annotation_ops.domain.quality.judgements import FloatArray, IntArray, Judgements
from annotation_ops.domain.quality.planning.crowd_model import Crowd
from annotation_ops.domain.quality.verdict.gates import Outcome, decide
from annotation_ops.domain.quality.verdict.judge import judge

THRESHOLD = 0.85
TRUTHS = (0.75, 0.80, 0.85, 0.90, 0.95)
BAD = (0.75, 0.80)
DRAWS = 1000
SKEWED = (0.7, 0.2, 0.07, 0.03)


@dataclass(frozen=True, slots=True)
class Setting:
    statistic: str
    raters: int
    prevalence: tuple[float, ...]
    tasks: int

    @property
    def title(self) -> str:
        shares = "/".join(f"{share:g}" for share in self.prevalence)
        return f"{self.statistic}, {self.raters} annotators, {shares}, {self.tasks} tasks"

    def patterns(self, truth: float) -> Patterns:
        crowd = Crowd(prevalence=self.prevalence, raters=self.raters, model="chance")
        return crowd.patterns(self.statistic, truth=truth)


def two(rare: float, tasks: int) -> Setting:
    return Setting("cohen_kappa", 2, (1.0 - rare, rare), tasks)


GOLDEN_CELLS = ((0.5, 50), (0.5, 100), (0.5, 200), (0.5, 400), (0.1, 100), (0.1, 400), (0.02, 100), (0.02, 1000))
NAIVE = tuple(two(*cell) for cell in GOLDEN_CELLS)
OURS = tuple(two(*cell) for cell in (*GOLDEN_CELLS[:7], (0.02, 400), GOLDEN_CELLS[7])) + tuple(
    Setting(statistic, 3, prevalence, tasks)
    for statistic in ("fleiss_kappa", "krippendorff_alpha_nominal")
    for prevalence in ((0.5, 0.5), SKEWED, (0.98, 0.02))
    for tasks in (50, 200)
)


def criteria(statistic: str, mode: str) -> Criteria:
    parsed = parse_criteria(f"version: 1.0.0\nstatistic: {statistic}\nthreshold: {THRESHOLD}\nmode: {mode}\n")
    if parsed.record is None:
        raise SystemExit(str(parsed.faults))
    return parsed.record


def naive(tables: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Kappa, its standard error and whether it is defined, each (k,), of k tables (k, q, q)."""
    p = tables / tables.sum(axis=(1, 2), keepdims=True)
    n, q = tables.sum(axis=(1, 2)), tables.shape[1]
    rows, columns = p.sum(axis=2), p.sum(axis=1)
    agreed, chance = np.trace(p, axis1=1, axis2=2), (rows * columns).sum(axis=1)
    defined = chance < 1.0 - 1e-12
    left = np.where(defined, 1.0 - chance, 1.0)
    kappa = (agreed - chance) / left
    eye = np.eye(q, dtype=bool)
    same = p[:, eye] * (1.0 - (rows + columns) * (1.0 - kappa)[:, None]) ** 2
    crossed = np.where(eye, 0.0, p * (columns[:, :, None] + rows[:, None, :]) ** 2).sum(axis=(1, 2))
    variance = same.sum(axis=1) + (1.0 - kappa) ** 2 * crossed - (kappa - chance * (1.0 - kappa)) ** 2
    return kappa, np.sqrt(np.maximum(variance, 0.0) / n) / left, defined


def naive_acceptance(setting: Setting, truth: float, *, batches: int, seed: int) -> tuple[float, float, float]:
    """Share of the batches that the point and the Wald gate accept, and share without a kappa, which neither accepts."""
    patterns, q = setting.patterns(truth), len(setting.prevalence)
    drawn = np.random.default_rng(seed).multinomial(setting.tasks, patterns.weight, size=batches)
    tables = np.zeros((batches, q, q))
    if patterns.cells is None:
        raise SystemExit("two annotators needed")
    tables[:, patterns.cells[:, 0], patterns.cells[:, 1]] = drawn
    kappa, error, defined = naive(tables)
    point = (defined & (kappa >= THRESHOLD)).mean()
    wald = (defined & (kappa - 1.645 * error >= THRESHOLD)).mean()
    return float(point), float(wald), float((~defined).mean())


def batch_of(patterns: Patterns, table: IntArray) -> Patterns:
    seen = table > 0
    cells = None if patterns.cells is None else patterns.cells[seen]
    return Patterns(patterns.counts[seen], table[seen].astype(np.float64), cells)


def decided(setting: Setting, truth: float, *, batches: int, seed: int) -> dict[str, list[Outcome]]:
    """Outcomes of `decide` by mode; an undefined statistic is INSUFFICIENT."""
    patterns, coefficient = setting.patterns(truth), NOMINAL[setting.statistic]
    rules = {mode: criteria(setting.statistic, mode) for mode in ("evidence", "not_worse")}
    outcomes: dict[str, list[Outcome]] = {mode: [] for mode in rules}
    tables = np.random.default_rng(seed).multinomial(setting.tasks, patterns.weight, size=batches)
    for number, table in enumerate(tables):
        batch = batch_of(patterns, table)
        value = float(coefficient(batch, batch.weight[None, :])[0])
        widened = with_prior(batch)
        draws = coefficient(widened, np.concatenate(list(drawn_weights(widened, seed=number, draws=DRAWS))))
        draws = draws[np.isfinite(draws)]
        for mode, rule in rules.items():
            known = np.isfinite(value) and len(draws) > 0
            said = decide(value, draws=draws, threshold=THRESHOLD, criteria=rule) if known else Outcome.INSUFFICIENT
            outcomes[mode].append(said)
    return outcomes


def topped_up(setting: Setting, truth: float, *, mode: str, looks: int, batches: int, seed: int) -> list[Outcome]:
    """Outcomes of `decide` asked again after each of `looks` - 1 top-ups of as many tasks while it is undecided."""
    patterns, coefficient, rule = setting.patterns(truth), NOMINAL[setting.statistic], criteria(setting.statistic, mode)
    generator = np.random.default_rng(seed)
    outcomes = []
    for number in range(batches):
        table = np.zeros(len(patterns.weight), dtype=np.int64)
        said = Outcome.INSUFFICIENT
        for look in range(looks):
            table = table + generator.multinomial(setting.tasks, patterns.weight)
            batch = batch_of(patterns, table)
            value = float(coefficient(batch, batch.weight[None, :])[0])
            widened = with_prior(batch)
            drawn = np.concatenate(list(drawn_weights(widened, seed=number * looks + look, draws=DRAWS)))
            draws = coefficient(widened, drawn)
            draws = draws[np.isfinite(draws)]
            if np.isfinite(value) and len(draws):
                said = decide(value, draws=draws, threshold=THRESHOLD, criteria=rule)
            if said is not Outcome.INSUFFICIENT:
                break
        outcomes.append(said)
    return outcomes


def judgements_of(patterns: Patterns, table: IntArray) -> Judgements:
    q = patterns.n_categories
    rows = []
    for task, at in enumerate(np.repeat(np.arange(len(table)), table)):
        labels = (
            patterns.cells[at]
            if patterns.cells is not None
            else np.repeat(np.arange(q), patterns.counts[at].astype(int))
        )
        rows += [(f"t{task:05d}", f"a{rater}", str(label)) for rater, label in enumerate(labels)]
    return Judgements.from_rows(rows, categories=[str(label) for label in range(q)])


def judged(
    setting: Setting, truth: float, *, mode: str, batches: int, seed: int, share: bool
) -> tuple[list[Outcome], int]:
    """Whole verdicts, and how many of those that passed did so by the paradox branch.

    Without `share` the rule on disputed tasks is switched off, so that only the statistic and the classes decide.
    """
    rule = criteria(setting.statistic, mode)
    rule = rule if share else replace(rule, max_share_below=1.0)
    patterns = setting.patterns(truth)
    taxonomy = Taxonomy("1.0.0", tuple(Label(str(at), "", False) for at in range(len(setting.prevalence))), False)
    tables = np.random.default_rng(seed).multinomial(setting.tasks, patterns.weight, size=batches)
    verdicts = [
        judge(judgements_of(patterns, table), criteria=rule, taxonomy=taxonomy, seed=number)
        for number, table in enumerate(tables)
    ]
    by_paradox = sum(one.paradox and one.outcome is Outcome.PASS for one in verdicts)
    return [one.outcome for one in verdicts], by_paradox


def share_of(outcomes: list[Outcome], wanted: Outcome) -> float:
    return sum(one is wanted for one in outcomes) / len(outcomes)


def shown(value: float) -> str:
    return f"{value:.2f}".replace("0.", ".", 1) if value < 1 else "1"


def head(first: str) -> None:
    print(f"\n| {first} | " + " | ".join(f"{truth:.2f}" for truth in TRUTHS) + " |")
    print("|---" * (1 + len(TRUTHS)) + "|")


def print_naive(batches: int) -> None:
    head("accepted by the point estimate / by the lower Wald bound; true kappa")
    for setting in NAIVE:
        found = [naive_acceptance(setting, truth, batches=batches, seed=1) for truth in TRUTHS]
        undefined = f" ({found[-1][2]:.0%} undefined)" if found[-1][2] > 0.005 else ""
        cells = " | ".join(f"{shown(point)}/{shown(wald)}" for point, wald, _ in found)
        print(f"| {setting.title}{undefined} | {cells} |", flush=True)


def print_ours(batches: int, *, full: bool) -> float:
    """Prints PASS/FAIL and returns the largest share of bad batches that pass in mode evidence."""
    worst = 0.0
    found = {
        setting: [decided(setting, truth, batches=batches, seed=2) for truth in TRUTHS]
        for setting in (OURS if full else OURS[1:-1:2])
    }
    for mode in ("evidence", "not_worse"):
        head(f"PASS/FAIL by the statistic alone, mode {mode}; true value")
        for setting, outcomes in found.items():
            pairs = [(share_of(one[mode], Outcome.PASS), share_of(one[mode], Outcome.FAIL)) for one in outcomes]
            if mode == "evidence":
                worst = max(worst, pairs[TRUTHS.index(BAD[-1])][0], pairs[0][0])
            print(f"| {setting.title} | " + " | ".join(f"{shown(one)}/{shown(two)}" for one, two in pairs) + " |")
    return worst


JUDGED = (
    two(0.5, 100), two(0.1, 100), two(0.1, 400), two(0.02, 100), two(0.02, 400), two(0.02, 1000),
    Setting("fleiss_kappa", 3, (0.98, 0.02), 400),
    Setting("krippendorff_alpha_nominal", 2, SKEWED, 200),
    Setting("krippendorff_alpha_nominal", 2, (0.9, 0.05, 0.03, 0.02), 400),
    Setting("gwet_ac1", 2, (0.8, 0.2), 200),
)  # fmt: skip


def print_judged(batches: int, *, full: bool) -> float:
    worst = 0.0
    for mode in ("evidence", "not_worse") if full else ("evidence",):
        head(f"PASS (of which by the paradox branch)/FAIL by the whole verdict, mode {mode}; true value")
        for setting in JUDGED if full else JUDGED[1:6:2]:
            cells = []
            for truth in TRUTHS:
                said, paradox = judged(setting, truth, mode=mode, batches=batches, seed=3, share=False)
                passed = share_of(said, Outcome.PASS)
                if mode == "evidence" and truth in BAD:
                    worst = max(worst, passed)
                cells.append(f"{shown(passed)} ({shown(paradox / batches)})/{shown(share_of(said, Outcome.FAIL))}")
            print(f"| {setting.title} | " + " | ".join(cells) + " |", flush=True)
    return worst


TOPPED_UP = (two(0.5, 50), two(0.5, 100), two(0.1, 100), two(0.02, 200), Setting("cohen_kappa", 2, SKEWED, 100))
LOOKS = 4


def print_topped_up(batches: int) -> float:
    worst = 0.0
    for mode in ("evidence", "not_worse"):
        head(f"PASS/FAIL by the statistic at {LOOKS} looks, each with as many tasks more, mode {mode}; true value")
        for setting in TOPPED_UP:
            cells = []
            for truth in TRUTHS:
                said = topped_up(setting, truth, mode=mode, looks=LOOKS, batches=batches, seed=4)
                passed = share_of(said, Outcome.PASS)
                if mode == "evidence" and truth in BAD:
                    worst = max(worst, passed)
                cells.append(f"{shown(passed)}/{shown(share_of(said, Outcome.FAIL))}")
            print(f"| {setting.title} | " + " | ".join(cells) + " |", flush=True)
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="every cell and both modes of the whole verdict")
    parser.add_argument("--batches", type=int, default=500)
    parser.add_argument("--naive", type=int, default=4_000)
    parser.add_argument("--judged", type=int, default=200)
    given = parser.parse_args()
    started = time.process_time()
    print_naive(given.naive)
    alone = print_ours(given.batches, full=given.full)
    whole = print_judged(given.judged, full=given.full)
    again = print_topped_up(given.batches if given.full else given.judged)
    print(
        f"\nBad batches (true value 0.80 or less) that pass in mode evidence, in the worst cell: {alone:.1%} by the statistic"
    )
    print(f"alone, {whole:.1%} by the whole verdict, {again:.1%} by the statistic at {LOOKS} looks.")
    print(f"{time.process_time() - started:.0f} CPU seconds")


if __name__ == "__main__":
    main()
