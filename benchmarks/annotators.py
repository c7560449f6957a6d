"""Annotators: do the intervals hold, are the worst found, how often is somebody flagged or alarmed for nothing?

    python benchmarks/annotators.py [--only coverage,finding,drift,flags,calibration,cohorts] [--full] [--data DIR]

Simulated crowds unless --data names a folder of crowd data sets (`<name>/answer.csv` with question,worker,answer and
`<name>/truth.csv` with question,truth). Each figure is compared with what a user would take instead, in the same run:
agreement with the others of the task, accuracy on gold alone, a fixed-size test repeated at every look.
"""

import argparse
import csv
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy.stats import binom, rankdata

from annotation_ops.domain.quality.agreement.people import annotator_agreements
from annotation_ops.domain.quality.judgements import FloatArray, IntArray, Judgements
from annotation_ops.domain.workforce.calibration import CalibrationRules, round_power
from annotation_ops.domain.workforce.cohorts import Equivalence, GoldScore, compare_cohorts
from annotation_ops.domain.workforce.drift import drift
from annotation_ops.domain.workforce.flags import FlagRules, assess
from annotation_ops.domain.workforce.reference import left_out_reference
from annotation_ops.domain.workforce.skill import AnnotatorSkill, skill
from annotation_ops.domain.workforce.status import AnnotatorStatus

SKEWED = (0.7, 0.2, 0.07, 0.03)


def crowd(
    generator: np.random.Generator,
    *,
    people: int,
    tasks: int,
    each: int,
    prevalence: tuple[float, ...],
    accuracy: FloatArray | None = None,
) -> tuple[Judgements, IntArray, FloatArray]:
    """Judgements, truth (tasks,), and confusion (people, class, answer).

    Skills are Beta with mean .85 (5 % below .6) unless given; a person's classes vary around it, and errors prefer one class.
    """
    q = len(prevalence)
    skills = generator.beta(6.8, 1.2, people) if accuracy is None else accuracy
    confusion = np.empty((people, q, q))
    for person in range(people):
        for label in range(q):
            right = skills[person]
            if accuracy is None:
                right = np.clip(generator.beta(right * 20 + 0.01, (1 - right) * 20 + 0.01), 0.01, 0.995)
            wrong = np.ones(q)
            wrong[(label + 1) % q] += 2
            wrong[label] = 0
            confusion[person, label] = (1 - right) * wrong / wrong.sum()
            confusion[person, label, label] = right
    truth = generator.choice(q, tasks, p=prevalence)
    chosen = np.sort(generator.random((tasks, people)).argsort(axis=1)[:, :each], axis=1)
    task_index, who = np.repeat(np.arange(tasks), each), chosen.ravel()
    steps = confusion[who, truth[task_index]].cumsum(axis=1)
    labels = (steps < generator.random(len(who))[:, None]).sum(axis=1).clip(0, q - 1)
    judgements = Judgements(
        tuple(f"t{number:06}" for number in range(tasks)),
        tuple(f"a{number:05}" for number in range(people)),
        tuple(map(str, range(q))),
        task_index.astype(np.int64),
        who.astype(np.int64),
        labels.astype(np.int64),
    )
    return judgements, truth.astype(np.int64), confusion


def some_gold(
    generator: np.random.Generator, judgements: Judgements, truth: IntArray, share: float
) -> dict[str, str] | None:
    known = generator.random(len(truth)) < share
    return {
        task: str(label)
        for task, label, kept in zip(judgements.tasks, truth.tolist(), known.tolist(), strict=True)
        if kept
    } or None


def coverage(full: bool) -> None:
    runs = 60 if full else 12
    print("\n## Coverage of 95 % intervals, and of plain agreement with the others\n")
    print("| classes | people, tasks, judgements a task | gold | accuracy | by class | width | agreement's interval |")
    print("|---|---|---|---|---|---|---|")
    for prevalence in ((0.5, 0.5), (0.25,) * 4, SKEWED, (0.1,) * 10):
        for people, tasks, each in ((12, 100, 2), (12, 200, 3), (40, 600, 3), (40, 600, 5)):
            for share in (0.0, 0.2):
                generator = np.random.default_rng(7)
                found = np.zeros(6)
                for _ in range(runs):
                    drawn = crowd(generator, people=people, tasks=tasks, each=each, prevalence=prevalence)
                    gold = some_gold(generator, drawn[0], drawn[1], share)
                    found += _covered(drawn[0], drawn[2], gold, np.array(prevalence))
                hit, asked, class_hit, class_asked, width, naive = found.tolist()
                name = f"{len(prevalence)}{' skewed' if prevalence == SKEWED else ''}"
                print(
                    f"| {name} | {people}, {tasks}, {each} | {share:.0%} | {hit / asked:.3f} | "
                    f"{class_hit / class_asked:.3f} | {width / asked:.2f} | {naive / asked:.3f} |",
                    flush=True,
                )


def _covered(
    judgements: Judgements, confusion: FloatArray, gold: dict[str, str] | None, prevalence: FloatArray
) -> list[float]:
    hit = asked = class_hit = class_asked = width = naive = 0.0
    agreements = annotator_agreements(judgements, confidence=0.95)
    for at, person in enumerate(skill(judgements, gold=gold)):
        if person.accuracy.low is None or person.accuracy.high is None:
            continue
        right = np.diag(confusion[at])
        true = float(prevalence @ right)
        asked += 1
        hit += person.accuracy.low <= true <= person.accuracy.high
        width += person.accuracy.high - person.accuracy.low
        agreement = agreements[at].agreement
        naive += agreement.low is not None and agreement.high is not None and agreement.low <= true <= agreement.high
        for label, item in enumerate(person.classes):
            if item.accuracy.low is not None and item.accuracy.high is not None:
                class_asked += 1
                class_hit += item.accuracy.low <= right[label] <= item.accuracy.high
    return [hit, asked, class_hit, class_asked, width, naive]


def area(bad: FloatArray, score: FloatArray) -> float:
    """Area under the ROC curve of a low score finding the bad."""
    ranks = rankdata(-score)
    positives, negatives = bad.sum(), (1 - bad).sum()
    return float((ranks[bad > 0].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def finding(full: bool, data: Path | None) -> None:
    runs = 20 if full else 5
    sources: dict[str, Callable[[np.random.Generator, int], tuple[Judgements, dict[str, str], dict[str, float]]]] = {
        "simulated, 60 people": _simulated
    }
    for folder in sorted(data.iterdir()) if data else []:
        loaded = _real(folder)
        if loaded is not None:
            sources[folder.name] = loaded
    print("\n## Finding the worst 15 %: area under the ROC curve, 20 % of the tasks gold\n")
    print("| data | judgements each | agreement with others | gold alone | skill, no gold | skill |")
    print("|---|---|---|---|---|---|")
    rows: dict[int, list[FloatArray]] = {10: [], 20: [], 40: []}
    for name, draw in sources.items():
        for each, real in rows.items():
            generator = np.random.default_rng(3)
            areas = np.mean([_areas(generator, *draw(generator, each)) for _ in range(runs)], axis=0)
            if name in {folder.name for folder in (data.iterdir() if data else [])}:
                real.append(areas)
            print(f"| {name} | {each} | {' | '.join(f'{one:.3f}' for one in areas)} |", flush=True)
    for each, real in rows.items():
        if real:
            print(f"| mean of real | {each} | {' | '.join(f'{one:.3f}' for one in np.mean(real, axis=0))} |")


def _simulated(generator: np.random.Generator, each: int) -> tuple[Judgements, dict[str, str], dict[str, float]]:
    people = 60
    judgements, truth, confusion = crowd(
        generator, people=people, tasks=people * each // 5, each=5, prevalence=(0.25,) * 4
    )
    right = {name: float(np.diag(confusion[at]).mean()) for at, name in enumerate(judgements.annotators)}
    return judgements, {task: str(label) for task, label in zip(judgements.tasks, truth, strict=True)}, right


def _real(
    folder: Path,
) -> Callable[[np.random.Generator, int], tuple[Judgements, dict[str, str], dict[str, float]]] | None:
    if not (folder / "answer.csv").is_file() or not (folder / "truth.csv").is_file():
        return None
    answers = {(row[0], row[1]): row[2] for row in list(csv.reader((folder / "answer.csv").open()))[1:]}
    truth = {row[0]: row[1] for row in list(csv.reader((folder / "truth.csv").open()))[1:]}
    categories = sorted(set(answers.values()) | set(truth.values()))
    counts: dict[str, list[int]] = {}
    for (task, person), label in answers.items():
        if task in truth:
            counts.setdefault(person, []).append(int(label == truth[task]))
    known = {person: statistics.fmean(hits) for person, hits in counts.items() if len(hits) >= 40}
    if len(categories) > 20 or len(known) < 15:
        return None

    def draw(generator: np.random.Generator, each: int) -> tuple[Judgements, dict[str, str], dict[str, float]]:
        rows: list[tuple[str, str, str]] = []
        used: dict[str, int] = {}
        keys = list(answers)
        for at in generator.permutation(len(keys)).tolist():
            task, person = keys[at]
            if used.get("t" + task, 0) < 5 and used.get("p" + person, 0) < each:
                rows.append((task, person, answers[task, person]))
                used["t" + task] = used.get("t" + task, 0) + 1
                used["p" + person] = used.get("p" + person, 0) + 1
        return Judgements.from_rows(rows, categories=categories), truth, known

    return draw


def _areas(
    generator: np.random.Generator, judgements: Judgements, truth: dict[str, str], right: dict[str, float]
) -> list[float]:
    gold = {task: truth[task] for task in judgements.tasks if task in truth and generator.random() < 0.2}
    others = {one.annotator_id: one.agreement.value or 0.0 for one in annotator_agreements(judgements, confidence=0.95)}
    alone, informed = (_values(skill(judgements, gold=known)) for known in (None, gold))
    tested = _gold_accuracy(judgements, gold)
    people = [name for name in judgements.annotators if name in right]
    line = np.quantile([right[name] for name in people], 0.15)
    bad = np.array([float(right[name] <= line) for name in people])
    return [
        area(bad, np.array([scores.get(name, 0.0) for name in people])) for scores in (others, tested, alone, informed)
    ]


def _values(skills: tuple[AnnotatorSkill, ...]) -> dict[str, float]:
    return {person.annotator_id: person.accuracy.value or 0.0 for person in skills}


def _gold_accuracy(judgements: Judgements, gold: dict[str, str]) -> dict[str, float]:
    position = {name: at for at, name in enumerate(judgements.categories)}
    known = np.array([position[gold[task]] if task in gold else -1 for task in judgements.tasks])
    answer = known[judgements.task_index]
    people = len(judgements.annotators)
    asked = np.bincount(judgements.annotator_index, weights=answer >= 0, minlength=people)
    hit = np.bincount(judgements.annotator_index, weights=answer == judgements.label_index, minlength=people)
    mean = hit.sum() / max(asked.sum(), 1)
    return dict(zip(judgements.annotators, ((hit + 2 * mean) / (asked + 2)).tolist(), strict=True))


def alarms(full: bool) -> None:
    people = 2000 if full else 400
    generator = np.random.default_rng(11)
    print("\n## Drift: share of people ever alarmed, at 5 %\n")
    print("| constant accuracy | 300 judgements | 1,500 judgements | e-BH at the end | binomial test at every tenth |")
    print("|---|---|---|---|---|")
    for accuracy in (0.99, 0.95, 0.9, 0.8, 0.65, 0.5):
        histories = (generator.random((people, 1500)) < accuracy).astype(float)
        short, long = (_alarmed(histories[:, :n]) for n in (300, 1500))
        print(
            f"| {accuracy} | {short[0]:.3f} | {long[0]:.3f} | {long[1]:.3f} | {_repeated_test(histories[:, :300]):.3f} |"
        )
    soft = generator.beta(8, 1.5, (people, 600))
    learning = generator.random((people, 400)) < 0.6 + 0.35 * (1 - np.exp(-np.arange(400) / 60))
    print(f"| mean .84, fractional | {_alarmed(soft[:, :300])[0]:.3f} | {_alarmed(soft)[0]:.3f} (600) | | |")
    print(f"| learning, .6 to .95 | {_alarmed(learning.astype(float))[0]:.3f} (400) | | | |")
    print(
        "\n| fall of .95 after | to | judgements to the alarm: median, 80 % | found within 300 | one of 40 people (e-BH) |"
    )
    print("|---|---|---|---|---|")
    for before in (50, 100, 300, 1000):
        for after in (0.85, 0.8, 0.7):
            _power(generator, before, after, people // 4)


def _alarmed(histories: FloatArray) -> tuple[float, float]:
    found = drift({f"a{at:05}": tuple(row) for at, row in enumerate(histories.tolist())})
    return statistics.fmean(one.alarmed_at is not None for one in found), statistics.fmean(
        one.drifting for one in found
    )


def _repeated_test(histories: FloatArray) -> float:
    """A one-sided binomial test against the rate of the first 100, at every tenth judgement since."""
    rate = (histories[:, :100].sum(axis=1) + 0.5) / 101
    ever = np.zeros(len(histories), dtype=bool)
    for end in range(110, histories.shape[1] + 1, 10):
        right = histories[:, 100:end].sum(axis=1)
        ever |= binom.cdf(right, end - 100, rate) <= 0.05
    return float(ever.mean())


def _power(generator: np.random.Generator, before: int, after: float, people: int) -> None:
    head, tail = generator.random((people, before)) < 0.95, generator.random((people, 300)) < after
    history = np.concatenate([head, tail], axis=1).astype(float)
    found = drift({f"a{at:05}": tuple(row) for at, row in enumerate(history.tolist())})
    delay = np.array([one.alarmed_at - before if one.alarmed_at else 10_000 for one in found])
    median, most = np.quantile(delay, (0.5, 0.8)).tolist()
    # Among 40 people of whom one drifts, e-BH needs 40 / 0.05.
    alone = statistics.fmean(one.e_value >= 800 for one in found)
    shown = [f"{value:.0f}" if value <= 300 else ">300" for value in (median, most)]
    print(f"| {before} | {after} | {shown[0]}, {shown[1]} | {np.mean(delay <= 300):.2f} | {alone:.2f} |", flush=True)


def flags(full: bool) -> None:
    runs = 60 if full else 12
    print("\n## Flags: minimum .80, 40 people, 3 judgements a task, 20 % gold\n")
    print(
        "| judgements each | nobody below: flagged | 6 of 40 at .60: found | share of flags unfounded | at .80 exactly |"
    )
    print("|---|---|---|---|---|")
    rules = FlagRules(minimum=0.8)
    for each in (15, 30, 60, 120):
        generator = np.random.default_rng(5)
        fine = _flagged(generator, runs, each, np.full(40, 0.9), rules)
        mixed = _flagged(generator, runs, each, np.concatenate([np.full(6, 0.6), np.full(34, 0.9)]), rules)
        edge = _flagged(generator, runs, each, np.full(40, 0.8), rules)
        unfounded = mixed[6:].sum() / max(mixed.sum(), 1e-9)
        print(
            f"| {each} | {fine.mean():.4f} | {mixed[:6].mean():.2f} | {unfounded:.3f} | {edge.mean():.4f} |", flush=True
        )


def _flagged(
    generator: np.random.Generator, runs: int, each: int, accuracy: FloatArray, rules: FlagRules
) -> FloatArray:
    """Share of runs in which each person is flagged."""
    people = len(accuracy)
    total = np.zeros(people)
    for _ in range(runs):
        judgements, truth, _ = crowd(
            generator, people=people, tasks=people * each // 3, each=3, prevalence=(0.25,) * 4, accuracy=accuracy
        )
        found = assess(skill(judgements, gold=some_gold(generator, judgements, truth, 0.2)), rules=rules)
        total += [one.status is AnnotatorStatus.FLAGGED for one in found]
    return total / runs


def calibration() -> None:
    print("\n## A calibration round: passes from, fails up to, and who passes (exact)\n")
    skills = (0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
    print(f"| gold tasks | passes from | fails up to | {' | '.join(f'skill {one}' for one in skills)} |")
    print(f"|---|---|---|{'---|' * len(skills)}")
    for size in (20, 40, 60, 100, 200):
        powers = [round_power(rules=CalibrationRules(), truth=one, size=size) for one in skills]
        row = " | ".join(f"{one.pass_probability:.2f}" for one in powers)
        print(f"| {size} | {powers[0].pass_from} | {powers[0].fail_up_to} | {row} |")


def cohorts(full: bool) -> None:
    runs = 4000 if full else 800
    print("\n## Two cohorts, 40 gold tasks, margin .05, mean .90, people's standard deviation .04\n")
    print("| people each | true difference | equivalent | different | difference found by pooling judgements |")
    print("|---|---|---|---|---|")
    for people in (4, 10, 20, 40):
        for difference in (0.0, 0.05, 0.1):
            generator = np.random.default_rng(2)
            outcomes = [_cohort_run(generator, people, difference) for _ in range(runs)]
            equivalent = statistics.fmean(one[0] is Equivalence.EQUIVALENT for one in outcomes)
            different = statistics.fmean(one[1] for one in outcomes)
            pooled = statistics.fmean(one[2] for one in outcomes)
            print(
                f"| {people} | {difference:.2f} | {equivalent:.3f} | {different:.3f} | {pooled:.3f} |",
                flush=True,
            )


def _cohort_run(generator: np.random.Generator, people: int, difference: float) -> tuple[Equivalence, bool, bool]:
    n, scores, cohort, totals = 40, [], {}, []
    for name, mean in (("east", 0.9), ("west", 0.9 - difference)):
        weight = mean * (1 - mean) / 0.04**2 - 1
        right = generator.binomial(n, generator.beta(mean * weight, (1 - mean) * weight, people))
        totals.append(int(right.sum()))
        for at, hits in enumerate(right.tolist()):
            scores.append(GoldScore(f"{name}{at}", hits, n))
            cohort[f"{name}{at}"] = name
    pair = compare_cohorts(scores, cohorts=cohort, margin=0.05).comparisons[0]
    size = people * n
    share = sum(totals) / (2 * size)
    z = (totals[0] - totals[1]) / size / max(np.sqrt(2 * share * (1 - share) / size), 1e-9)
    return pair.outcome, (pair.p_different or 0.0) <= 0.05, bool(abs(z) > 1.96)


def speed() -> None:
    print("\n## CPU seconds\n")
    print("| judgements, people, classes | agreement with others | skill | skill / agreement |")
    print("|---|---|---|---|")
    for people, tasks, q in ((300, 33_000, 4), (3000, 100_000, 10)):
        judgements, _, _ = crowd(np.random.default_rng(1), people=people, tasks=tasks, each=3, prevalence=(1 / q,) * q)
        plain, ours = (_seconds(work) for work in (_agreement_of(judgements), _skill_of(judgements)))
        print(f"| {judgements.n_judgements:,}, {people:,}, {q} | {plain:.2f} | {ours:.2f} | {ours / plain:.0f} |")


def _agreement_of(judgements: Judgements) -> Callable[[], object]:
    return lambda: annotator_agreements(judgements, confidence=0.95)


def _skill_of(judgements: Judgements) -> Callable[[], object]:
    return lambda: skill(judgements, reference=left_out_reference(judgements, gold=None))


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def chosen(only: str) -> Iterator[str]:
    names = ("coverage", "finding", "drift", "flags", "calibration", "cohorts", "speed")
    yield from (name for name in names if not only or name in only.split(","))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    for name in chosen(given.only):
        start = time.process_time()
        {
            "coverage": lambda: coverage(given.full),
            "finding": lambda: finding(given.full, given.data),
            "drift": lambda: alarms(given.full),
            "flags": lambda: flags(given.full),
            "calibration": calibration,
            "cohorts": lambda: cohorts(given.full),
            "speed": speed,
        }[name]()
        print(f"\n({name}: {time.process_time() - start:.0f} CPU s)")


if __name__ == "__main__":
    main()
