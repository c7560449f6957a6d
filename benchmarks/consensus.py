"""Consensus and adaptive overlap against gold: real crowds where given, simulated ones always; and speed.

    python benchmarks/consensus.py [--data DIR] [--vader SDIST] [--reps N] [--peer PYTHON] [--full]

`--data`: folders with answer.csv (or label.csv) and truth.csv. `--vader`: vaderSentiment-3.3.2.tar.gz. `--peer`: a Python
with crowd-kit, to time its Dawid-Skene. k = 2, 3, 5 judgements a task are drawn at random, `--reps` times; then all.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from crowds import NO_GOLD, Crowd, confusing, folders, movie_snippets, score, simulated

from annotation_ops.domain.project.workflow import AdaptiveOverlap
from annotation_ops.domain.quality.consensus.calibration import sharpened, sharpness_on_gold
from annotation_ops.domain.quality.consensus.dawid_skene import dawid_skene
from annotation_ops.domain.quality.consensus.ensemble import ensemble
from annotation_ops.domain.quality.consensus.methods import posterior
from annotation_ops.domain.quality.consensus.ratings import Ratings
from annotation_ops.domain.quality.judgements import FloatArray
from annotation_ops.domain.quality.planning.adaptive_overlap import further, start_overlap

METHODS = ("majority", "weighted_vote", "one_coin", "dawid_skene", "hierarchical_dawid_skene", "ensemble")
OVERLAPS = (2, 3, 5, None)
GOLD_TASKS = 50
"""Tasks with a known label on which the last column of the calibration table is fitted; scored on the others."""
Scores = dict[tuple[str, int | None, str], list[tuple[float, float, float]]]


def measured(crowd: Crowd, k: int | None, scores: Scores) -> None:
    judgements = crowd.judgements()
    counts = judgements.counts()
    for method in METHODS:
        found, _ = posterior(judgements, counts, method=method)
        scores.setdefault((crowd.name, k, method), []).append(score(found, crowd.truth))
    plain = ensemble(judgements, calibrate=False).posterior
    scores.setdefault((crowd.name, k, "uncalibrated"), []).append(score(plain, crowd.truth))
    gold = np.flatnonzero(crowd.truth != NO_GOLD)
    fitted = np.random.default_rng(0).choice(gold, min(GOLD_TASKS, len(gold) // 2), replace=False)
    exponent = sharpness_on_gold(plain[fitted], crowd.truth[fitted])
    rest = np.setdiff1d(gold, fitted)
    mended = sharpened(plain[rest], exponent)
    scores.setdefault((crowd.name, k, "on gold"), []).append(score(mended, crowd.truth[rest]))


def table(scores: Scores, title: str) -> None:
    """Accuracy of majority and the difference of each method, then means."""
    mean = {key: np.mean(values, axis=0) for key, values in scores.items()}
    cells = sorted({key[:2] for key in mean}, key=lambda cell: (cell[0], cell[1] or 99))
    columns = METHODS[1:]
    print(f"\n## {title}: accuracy of majority, and points above or below it\n")
    print("| crowd | k | majority | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 3))
    for name, k in cells:
        base = mean[name, k, "majority"][0]
        differences = (f"{100 * (mean[name, k, m][0] - base):+.1f}" for m in columns)
        print(f"| {name} | {k or 'all'} | {base:.3f} | " + " | ".join(differences) + " |")
    print("\n| k | crowds | what | " + " | ".join((*METHODS, "uncalibrated", "on gold")) + " |\n|" + "---|" * 11)
    for k in dict.fromkeys(k for _, k in sorted(cells, key=lambda cell: cell[1] or 99)):
        names = [name for name, overlap in cells if overlap == k]
        for number, what in enumerate(("accuracy", "NLL", "ECE")):
            values = (
                f"{np.mean([mean[name, k, m][number] for name in names]):.3f}"
                for m in (*METHODS, "uncalibrated", "on gold")
            )
            print(f"| {k or 'all'} | {len(names)} | {what} | " + " | ".join(values) + " |")
    worst = {m: min((mean[n, k, m][0] - mean[n, k, "majority"][0], n, k or "all") for n, k in cells) for m in columns}
    print(
        "\nworst against majority: " + "; ".join(f"{m} {100 * v:+.2f} ({n}, k={k})" for m, (v, n, k) in worst.items())
    )


def consensus_tables(crowds: Sequence[Crowd], reps: int) -> None:
    if crowds:
        scores: Scores = {}
        for crowd in crowds:
            with_gold = crowd.per_task()[crowd.truth != NO_GOLD]
            for k in OVERLAPS:
                if k is not None and (with_gold > k).mean() < 0.05:
                    continue
                for rep in range(reps if k else 1):
                    measured(crowd.at_most(k, 100 + rep), k, scores)
        table(scores, "Real crowds")
    scores = {}
    for seed in range(max(2 * reps, 6)):
        for k, crowd in simulated(seed):
            measured(crowd, k, scores)
    table(scores, "Simulated crowds")


def replayed(
    crowd: Crowd, policy: AdaptiveOverlap | int, seed: int, predictions: FloatArray | None
) -> tuple[float, float]:
    """Judgements a task and accuracy of the ensemble when people answer in a random order."""
    turn = crowd.shuffled(seed)
    start = policy if isinstance(policy, int) else start_overlap(policy)
    wanted = np.full(len(crowd.truth), start)
    while True:
        seen = crowd.only(turn[:, 3] < wanted[turn[:, 0]], seed)
        judgements = seen.judgements()
        more = () if isinstance(policy, int) else further(judgements, policy=policy, predictions=predictions)
        extra = {int(one.task_id[1:]): one.judgements for one in more}
        grown = wanted.copy()
        for task, number in extra.items():
            grown[task] = min(wanted[task] + number, crowd.per_task()[task])
        if (grown == wanted).all():
            break
        wanted = grown
    if predictions is not None:
        found, _ = posterior(judgements, judgements.counts(), method="model_assisted", predictions=predictions)
    else:
        found = ensemble(judgements).posterior
    gold = crowd.truth != NO_GOLD
    return float(seen.per_task()[gold].mean()), score(found, crowd.truth)[0]


def _policy(name: str, *, settled_at: float = 0.75, confidence: float = 0.7, blind: float = 0.0) -> AdaptiveOverlap:
    return AdaptiveOverlap(name, cap=7, settled_at=settled_at, model_confidence=confidence, blind_share=blind)


POLICIES: dict[str, AdaptiveOverlap | int] = {
    **{f"fixed {k}": k for k in (2, 3, 5, 7)},
    "two_plus_one": _policy("two_plus_one"),
    "lead_two": _policy("lead_two"),
    **{f"posterior {tau}": _policy("posterior", settled_at=tau) for tau in (0.65, 0.75, 0.85)},
}


def overlap_table(crowds: Sequence[Crowd], reps: int) -> None:
    deep = [crowd for crowd in crowds if crowd.per_task()[crowd.truth != NO_GOLD].mean() >= 4.5]
    if not deep:
        return
    print(f"\n## Adaptive overlap, cap 7: mean of {len(deep)} real crowds, {reps} orders\n")
    print("| policy | judgements a task | accuracy |\n|---|---|---|")
    for name, policy in POLICIES.items():
        runs = [replayed(crowd, policy, 200 + rep, None) for crowd in deep for rep in range(reps)]
        spent, accuracy = np.mean(runs, axis=0)
        print(f"| {name} | {spent:.2f} | {accuracy:.3f} |")


def out_of_fold(crowd: Crowd, seed: int) -> FloatArray:
    """TF-IDF and logistic regression, trained on one judgement a task of the other folds."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import KFold

    first = crowd.at_most(1, seed).rows[:, 2]
    features = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit_transform(crowd.texts)
    found = np.full((len(first), crowd.n_categories), 1e-3)
    for train, test in KFold(10, shuffle=True, random_state=0).split(features):
        model = LogisticRegression(C=10.0, max_iter=500).fit(features[train], first[train])
        found[np.ix_(test, model.classes_)] += model.predict_proba(features[test])
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def model_table(crowd: Crowd, reps: int) -> None:
    seeds = range(200, 200 + reps)
    predictions = {seed: out_of_fold(crowd, seed) for seed in seeds}
    alone = np.mean([score(predictions[seed], crowd.truth)[0] for seed in seeds])
    print(f"\n## Movie snippets with a classifier (TF-IDF, logistic regression, out of fold; alone {alone:.3f})\n")
    print(
        "| k | " + " | ".join(("majority", "one_coin", "ensemble", "model_assisted", "crowdlab")) + " |\n|" + "---|" * 6
    )
    for k in (1, 2, 3, 5):
        means = []
        for method in ("majority", "one_coin", "ensemble", "model_assisted", "crowdlab"):
            runs = []
            for seed in seeds:
                judgements = crowd.at_most(k, seed).judgements()
                found, _ = posterior(judgements, judgements.counts(), method=method, predictions=predictions[seed])
                runs.append(score(found, crowd.truth)[0])
            means.append(f"{np.mean(runs):.4f}")
        print(f"| {k} | " + " | ".join(means) + " |")
    print("\n| policy | judgements a task | accuracy |\n|---|---|---|")
    assisted = {
        f"model_assisted {c}, blind {b:.0%}": _policy("model_assisted", confidence=c, blind=b)
        for c, b in ((0.5, 0.0), (0.7, 0.0), (0.7, 0.1), (0.9, 0.0))
    }
    plain = {name: POLICIES[name] for name in ("fixed 2", "fixed 3", "fixed 5", "two_plus_one", "lead_two")}
    for name, policy in {**plain, **assisted}.items():
        runs = [replayed(crowd, policy, seed, predictions[seed] if name in assisted else None) for seed in seeds]
        spent, accuracy = np.mean(runs, axis=0)
        print(f"| {name} | {spent:.2f} | {accuracy:.4f} |")


CROWD_KIT = """
import sys, time, numpy as np, pandas as pd
from crowdkit.aggregation import DawidSkene
rows = np.load(sys.argv[1])
frame = pd.DataFrame(rows, columns=["task", "worker", "label"])
def run(n):
    start = time.process_time(); DawidSkene(n_iter=n, tol=-1e9).fit(frame); return time.process_time() - start
print((run(3) - run(1)) / 2)
"""


def speed(peer: str | None, tasks: int) -> None:
    crowd = confusing(0, tasks=33_334, k=3, people=500, classes=10)
    judgements = crowd.judgements()
    print("\n## Speed, CPU seconds\n\n| what | CPU s |\n|---|---|")
    for method in METHODS:
        seconds = _cpu(lambda method=method: posterior(judgements, judgements.counts(), method=method))
        print(f"| 100,000 judgements, 500 people, 10 classes: {method} | {seconds:.2f} |")
    crowd = confusing(0, tasks=tasks, k=3, people=500, classes=10)
    ratings = Ratings.of(crowd.judgements())
    three, one = (_cpu(lambda n=n: dawid_skene(ratings, rounds=n, settled=0.0)) for n in (3, 1))
    ours = (three - one) / 2
    print(f"| {tasks:,} tasks x 3, one iteration of dawid_skene | {ours:.3f} |")
    if peer:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            np.save(f"{folder}/rows.npy", crowd.rows)
            told = subprocess.run(
                [peer, "-c", CROWD_KIT, f"{folder}/rows.npy"], capture_output=True, text=True, check=True
            )
        theirs = float(told.stdout)
        print(f"| the same, crowd-kit | {theirs:.3f} ({theirs / ours:.0f} x) |")


def _cpu(work: object) -> float:
    assert callable(work)
    taken = []
    for _ in range(3):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--vader", type=Path)
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--peer", help="a Python that has crowd-kit")
    parser.add_argument("--full", action="store_true", help="10 draws, 1,000,000 tasks for timing")
    chosen = parser.parse_args(arguments)
    reps = 10 if chosen.full else chosen.reps
    crowds = list(folders(chosen.data)) if chosen.data else []
    snippets = movie_snippets(chosen.vader) if chosen.vader else None
    every = crowds + ([snippets] if snippets else [])
    consensus_tables(every, reps)
    overlap_table(every, min(reps, 3))
    if snippets:
        model_table(snippets, 5)
    speed(chosen.peer, 1_000_000 if chosen.full else 200_000)


if __name__ == "__main__":
    main(sys.argv[1:])
