"""Categorical agreement at scale: this package, statsmodels, krippendorff and a scikit-learn loop, each in its own process.

    python benchmarks/agreement.py [--tasks 200000] [--repeat 3] [--full]

The data: 3 judgements a task, 500 annotators (fewer below a million tasks, so that a pair shares 24), 10 classes, guesses
by 15%. CPU seconds are those of the work alone, after imports and loading; peak memory is that of the whole process, data
included. Peers start from the labels as a tasks x 3 table, this package from judgements. The scikit-learn loop finds the
shared tasks of every pair, then runs over PAIRS_TRIED of the pairs that share 20 and is extrapolated to all of those.
`--full` is 1,000,000 tasks, and this package alone on 10,000,000.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from annotation_ops.domain.quality.judgements import Judgements

PEOPLE, CLASSES, EACH = 500, 10, 3
MIN_SHARED = 20
PAIRS_TRIED = 400
BLOCK = 500_000
LIMITS = {"seconds": 2.5, "mb": 700.0, "pairs": 300.0, "alpha": 20.0, "alpha_memory": 4.0}


class Measured(NamedTuple):
    seconds: float
    mb: float
    value: float


def make(folder: Path, tasks: int) -> None:
    """Writes who.npy and labels.npy, (tasks, 3), each row in order of annotator."""
    generator = np.random.default_rng(0)
    # As many tasks a pair at every size up to a million.
    people = round(PEOPLE * min(1.0, tasks / 1_000_000) ** 0.5)
    shape = (tasks, EACH)
    who = np.lib.format.open_memmap(folder / "who.npy", "w+", np.int64, shape)
    labels = np.lib.format.open_memmap(folder / "labels.npy", "w+", np.int64, shape)
    for start in range(0, tasks, BLOCK):
        n = min(BLOCK, tasks - start)
        who[start : start + n] = different_people(generator, n, people)
        truth, guess = generator.integers(CLASSES, size=(n, 1)), generator.integers(CLASSES, size=(n, EACH))
        labels[start : start + n] = np.where(generator.random((n, EACH)) < 0.85, truth, guess)


def different_people(generator: np.random.Generator, n: int, people: int) -> np.ndarray:
    """Three of `people` for each of `n` tasks, ascending, none twice."""
    who = np.sort(generator.integers(people, size=(n, EACH)), axis=1)
    while len(twice := np.flatnonzero((np.diff(who, axis=1) == 0).any(axis=1))):
        who[twice] = np.sort(generator.integers(people, size=(len(twice), EACH)), axis=1)
    return who


def loaded(folder: Path) -> Judgements:
    who, labels = np.load(folder / "who.npy"), np.load(folder / "labels.npy")
    return Judgements(
        tuple(f"task-{task:08d}" for task in range(len(who))),
        tuple(f"person-{person:03d}" for person in range(int(who.max()) + 1)),
        tuple(str(label) for label in range(CLASSES)),
        np.repeat(np.arange(len(who)), EACH),
        who.ravel(),
        labels.ravel(),
    )


def construction(folder: Path) -> tuple[float, float]:
    """From three Arrow columns of text in order of task, as a file has them."""
    import pyarrow as pa

    who, labels = np.load(folder / "who.npy").ravel(), np.load(folder / "labels.npy").ravel()
    ids = pa.array([f"task-{task:08d}" for task in range(len(who) // EACH)])
    columns = (
        ids.take(pa.array(np.repeat(np.arange(len(ids)), EACH))),
        pa.array([f"person-{person:03d}" for person in range(PEOPLE)]).take(pa.array(who)),
        pa.array([str(label) for label in range(CLASSES)]).take(pa.array(labels)),
    )
    start = time.process_time()
    found = Judgements.from_columns(*columns, categories=[str(label) for label in range(CLASSES)])
    return time.process_time() - start, float(found.n_judgements)


def everything(folder: Path) -> tuple[float, float]:
    """All nominal statistics with intervals, by class, task, annotator and pair."""
    from annotation_ops.domain.quality.agreement.categorical import agreement

    judgements = loaded(folder)
    start = time.process_time()
    report = agreement(judgements, seed=1)
    return time.process_time() - start, report.statistics["krippendorff_alpha_nominal"].value or 0.0


def our_pairs(folder: Path) -> tuple[float, float]:
    """Cohen's kappa with an interval for every pair, in arrays; the value is the mean over pairs of MIN_SHARED tasks."""
    from annotation_ops.domain.quality.agreement.people import pair_table

    judgements = loaded(folder)
    start = time.process_time()
    table = pair_table(judgements, confidence=0.95)
    kappa = table.kappa()
    return time.process_time() - start, float(np.nanmean(kappa[table.n >= MIN_SHARED]))


def _our_value(folder: Path, name: str) -> tuple[float, float]:
    from annotation_ops.domain.quality.agreement.coefficients import NOMINAL
    from annotation_ops.domain.quality.agreement.patterns import patterns_of

    judgements = loaded(folder)
    start = time.process_time()
    patterns = patterns_of(judgements)
    value = float(NOMINAL[name](patterns, patterns.weight[None, :])[0])
    return time.process_time() - start, value


def our_alpha(folder: Path) -> tuple[float, float]:
    return _our_value(folder, "krippendorff_alpha_nominal")


def our_fleiss(folder: Path) -> tuple[float, float]:
    return _our_value(folder, "fleiss_kappa")


def krippendorff(folder: Path) -> tuple[float, float]:
    from krippendorff import alpha

    labels = np.load(folder / "labels.npy").T
    start = time.process_time()
    value = float(alpha(labels, level_of_measurement="nominal"))
    return time.process_time() - start, value


def statsmodels(folder: Path) -> tuple[float, float]:
    from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

    labels = np.load(folder / "labels.npy")
    start = time.process_time()
    value = float(fleiss_kappa(aggregate_raters(labels, n_cat=CLASSES)[0]))
    return time.process_time() - start, value


def scikit_learn(folder: Path) -> tuple[float, float]:
    """Seconds extrapolated from PAIRS_TRIED pairs to all pairs of MIN_SHARED tasks; the value is the mean of those tried."""
    from sklearn.metrics import cohen_kappa_score

    who, labels = np.load(folder / "who.npy"), np.load(folder / "labels.npy")
    sides = [(i, j) for i in range(EACH) for j in range(i + 1, EACH)]
    code = np.concatenate([who[:, i] * PEOPLE + who[:, j] for i, j in sides])
    answers = [np.concatenate([labels[:, pair[side]] for pair in sides]) for side in (0, 1)]
    start = time.process_time()
    order = np.argsort(code, kind="stable")
    _, first, n = np.unique(code[order], return_index=True, return_counts=True)
    enough = np.flatnonzero(n >= MIN_SHARED)
    grouping = time.process_time() - start
    tried = np.random.default_rng(0).choice(enough, min(PAIRS_TRIED, len(enough)), replace=False)
    start = time.process_time()
    kappas = []
    for pair in tried:
        at = order[first[pair] : first[pair] + n[pair]]
        kappas.append(cohen_kappa_score(answers[0][at], answers[1][at], labels=range(CLASSES)))
    each = (time.process_time() - start) / max(1, len(tried))
    return grouping + each * len(enough), float(np.mean(kappas))


WAYS: dict[str, Callable[[Path], tuple[float, float]]] = {
    "ours: from Arrow columns": construction,
    "ours: everything, with intervals": everything,
    "ours: Fleiss": our_fleiss,
    "statsmodels: Fleiss": statsmodels,
    "ours: Krippendorff": our_alpha,
    "krippendorff": krippendorff,
    "ours: kappa of all pairs": our_pairs,
    "scikit-learn loop, extrapolated": scikit_learn,
}
OURS = [way for way in WAYS if way.startswith("ours")]


def run_way(way: str, folder: Path) -> None:
    seconds, value = WAYS[way](folder)
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, value)


def measure(way: str, folder: Path, repeat: int) -> Measured:
    runs = []
    for _ in range(repeat):
        command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
        environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": ":".join(sys.path)}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        runs.append(Measured(*map(float, done.stdout.split())))
    return Measured(*(statistics.median(column) for column in zip(*runs, strict=True)))


def measured(tasks: int, ways: list[str], repeat: int) -> dict[str, Measured]:
    with tempfile.TemporaryDirectory(prefix="agreement-") as name:
        # Made in a process of its own: a child's peak memory starts from its parent's.
        subprocess.run([sys.executable, __file__, "--make", name, "--tasks", str(tasks)], check=True)
        results = {way: measure(way, Path(name), repeat) for way in ways}
    print(f"\n{tasks:,} tasks x {EACH} judgements, median of {repeat}\n")
    print("| way | CPU s | peak MB | value |\n|---|---|---|---|")
    for way, found in results.items():
        print(f"| {way} | {found.seconds:.2f} | {found.mb:.0f} | {found.value:.6f} |")
    return results


def ratios(found: dict[str, Measured]) -> None:
    everything_, alpha, peer = (
        found["ours: everything, with intervals"],
        found["ours: Krippendorff"],
        found["krippendorff"],
    )
    fleiss = found["statsmodels: Fleiss"].seconds / found["ours: Fleiss"].seconds
    pairs = found["scikit-learn loop, extrapolated"].seconds / found["ours: kappa of all pairs"].seconds
    rows = [
        ("everything, CPU s", everything_.seconds, f"<= {LIMITS['seconds']} at 1M"),
        ("everything, peak MB", everything_.mb, f"<= {LIMITS['mb']:.0f} at 1M"),
        ("all pairs, x faster than scikit-learn", pairs, f">= {LIMITS['pairs']:.0f}"),
        ("Krippendorff, x faster than krippendorff", peer.seconds / alpha.seconds, f">= {LIMITS['alpha']:.0f}"),
        ("Krippendorff, x less memory", peer.mb / alpha.mb, f">= {LIMITS['alpha_memory']:.0f}"),
        ("Fleiss, x faster than statsmodels", fleiss, "none set"),
    ]
    print("\n| | measured | target |\n|---|---|---|")
    for name, value, target in rows:
        print(f"| {name} | {value:.2f} | {target} |")
    same = max(abs(found["ours: Fleiss"].value - found["statsmodels: Fleiss"].value), abs(alpha.value - peer.value))
    print(f"\nlargest difference from the peers' values: {same:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=200_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--way", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.make:
        make(given.make, given.tasks)
        return
    if given.way:
        run_way(given.way, given.folder)
        return
    found = measured(1_000_000 if given.full else given.tasks, list(WAYS), given.repeat)
    ratios(found)
    if given.full:
        large = measured(10_000_000, OURS, 1)
        print("\nCPU of 10M tasks over that of 1M, 10 is linear:")
        for way in OURS:
            print(f"  {way}: {large[way].seconds / found[way].seconds:.1f}")


if __name__ == "__main__":
    main()
