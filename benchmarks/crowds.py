"""Crowds to measure consensus on: folders of real judgements with gold, rated movie snippets, simulated people."""

import ast
import csv
import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from annotation_ops.domain.quality.judgements import FloatArray, IntArray, Judgements

NO_GOLD = -1
SKILLED = (0.95, 0.9, 0.88, 0.85, 0.82, 0.8, 0.78, 0.75, 0.72, 0.7)
SPAMMERS = {"clean": (), "spam": ("random", "constant", "random", "constant", "random"), "constant": ("constant",) * 5}
"""With SKILLED, a third of the crowd: those who answer by lot, and those who always give the first class."""
PREVALENCES = {
    "90:10": (0.9, 0.1),
    "97:3": (0.97, 0.03),
    "70:20:7:3": (0.7, 0.2, 0.07, 0.03),
    "4 even": (0.25,) * 4,
    "10 even": (0.1,) * 10,
}
SNIPPET_BLOCKS = 60
"""Of 353 blocks of 30 snippets, spread over the file: 1,800 tasks."""


@dataclass(frozen=True, slots=True)
class Crowd:
    name: str
    rows: IntArray
    """(n, 3): task, annotator, label; sorted; one row a judgement."""
    truth: IntArray
    """(n_tasks,), NO_GOLD where unknown."""
    n_annotators: int
    n_categories: int
    texts: tuple[str, ...] = ()

    def at_most(self, k: int | None, seed: int) -> "Crowd":
        """At most k judgements a task, drawn at random."""
        return self if k is None else self.only(self.shuffled(seed)[:, 3] < k, seed)

    def shuffled(self, seed: int) -> IntArray:
        """The rows with a fourth column: their turn on their task, in a random order."""
        order = np.random.default_rng(seed).permutation(len(self.rows))
        rows = self.rows[order]
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        starts = np.searchsorted(rows[:, 0], rows[:, 0])
        return np.column_stack([rows, np.arange(len(rows)) - starts])

    def only(self, chosen: np.ndarray, seed: int) -> "Crowd":
        rows = self.shuffled(seed)[chosen][:, :3]
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        return Crowd(self.name, rows, self.truth, self.n_annotators, self.n_categories, self.texts)

    def judgements(self) -> Judgements:
        tasks = tuple(f"t{task:07}" for task in np.unique(self.rows[:, 0]))
        people, annotator = np.unique(self.rows[:, 1], return_inverse=True)
        names = tuple(f"a{person:07}" for person in people)
        categories = tuple(f"{label:03}" for label in range(self.n_categories))
        task = np.unique(self.rows[:, 0], return_inverse=True)[1]
        return Judgements(tasks, names, categories, task.astype(np.int64), annotator.astype(np.int64), self.rows[:, 2])

    def per_task(self) -> IntArray:
        return np.bincount(self.rows[:, 0], minlength=len(self.truth))


def folders(root: Path) -> Iterator[Crowd]:
    """Every folder below that has `answer.csv` or `label.csv` (task, worker, label) and `truth.csv` (task, label).

    Columns count by position; of a worker who answered twice the last answer stays.
    """
    for truth in sorted(root.rglob("truth.csv")):
        for name in ("answer.csv", "label.csv"):
            if (truth.parent / name).exists():
                yield _folder(truth.parent.name, _table(truth.parent / name), dict(_table(truth)))
                break


def _table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [row for row in list(csv.reader(file))[1:] if row]


def _folder(name: str, answers: Sequence[Sequence[str]], truth: dict[str, str]) -> Crowd:
    last = {(row[0], row[1]): row[2] for row in answers}
    tasks, people = sorted({task for task, _ in last}), sorted({person for _, person in last})
    labels = sorted({*last.values(), *truth.values()})
    place = [{value: index for index, value in enumerate(values)} for values in (tasks, people, labels)]
    rows = sorted((place[0][task], place[1][person], place[2][label]) for (task, person), label in last.items())
    gold = [place[2][truth[task]] if task in truth else NO_GOLD for task in tasks]
    return Crowd(name, np.array(rows), np.array(gold), len(people), len(labels))


def movie_snippets(sdist: Path) -> Crowd:
    """Snippets of the vaderSentiment 3.3.2 source distribution, rated -4 to +4, as negative, neutral, positive.

    Blocks of 30 rows share their raters by column. Gold is the most frequent class of the 15 to 29 ratings, which
    include those judged here; a tie has none.
    """
    with tarfile.open(sdist) as outer:
        inner = next(member for member in outer if member.name.endswith("hutto_ICWSM_2014.tar.gz"))
        packed = outer.extractfile(inner)
        assert packed is not None
        with tarfile.open(fileobj=io.BytesIO(packed.read())) as data:
            ratings = [ast.literal_eval(line.split("\t")[3]) for line in _lines(data, "anonDataRatings")]
            texts = [line.split("\t")[2] for line in _lines(data, "GroundTruth")]
    rows: list[tuple[int, int, int]] = []
    gold, chosen, person = [], [], 0
    for block in np.linspace(0, len(ratings) // 30 - 1, SNIPPET_BLOCKS).astype(int):
        for line in range(block * 30, block * 30 + 30):
            classes = [1 + (value > 0) - (value < 0) for value in ratings[line]]
            votes = np.bincount(classes, minlength=3)
            gold.append(int(votes.argmax()) if (votes == votes.max()).sum() == 1 else NO_GOLD)
            rows += [(len(chosen), person + column, label) for column, label in enumerate(classes)]
            chosen.append(texts[line])
        person += 30
    return Crowd("movie snippets", np.array(rows), np.array(gold), person, 3, tuple(chosen))


def _lines(data: tarfile.TarFile, part: str) -> list[str]:
    file = data.extractfile(f"hutto_ICWSM_2014/movieReviewSnippets_{part}.txt")
    assert file is not None
    return [line for line in file.read().decode("utf-8-sig").splitlines() if line.strip()]


def simulated(seed: int, *, tasks: int = 300, overlaps: Sequence[int] = (2, 3, 5)) -> Iterator[tuple[int, Crowd]]:
    """Ten skilled people with and without five spammers, on even and rare classes; yields (k, crowd)."""
    generator = np.random.default_rng(seed)
    for classes, prevalence in PREVALENCES.items():
        for kind, spammers in SPAMMERS.items():
            for k in overlaps:
                yield k, _people(f"{classes} {kind}", generator, (*SKILLED, *spammers), tasks, k, prevalence)


def _people(
    name: str, generator: np.random.Generator, kinds: Sequence[float | str], n: int, k: int, prevalence: Sequence[float]
) -> Crowd:
    q = len(prevalence)
    truth = generator.choice(q, n, p=prevalence)
    who = np.argsort(generator.random((n, len(kinds))), axis=1)[:, :k]
    skill = np.array([kind if isinstance(kind, float) else 0.0 for kind in kinds])[who]
    right = generator.random((n, k)) < skill
    wrong = (truth[:, None] + generator.integers(1, q, (n, k))) % q
    labels = np.where(right, truth[:, None], wrong)
    lot = np.array([kind == "random" for kind in kinds])[who]
    labels = np.where(lot, generator.integers(0, q, (n, k)), labels)
    labels = np.where(np.array([kind == "constant" for kind in kinds])[who], 0, labels)
    rows = np.column_stack([np.repeat(np.arange(n), k), who.ravel(), labels.ravel()])
    return Crowd(name, rows[np.lexsort((rows[:, 1], rows[:, 0]))], truth, len(kinds), q)


def confusing(seed: int, *, tasks: int, k: int, people: int, classes: int) -> Crowd:
    """A large crowd for timing."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, tasks)
    who = generator.integers(0, people, (tasks, k))
    who = np.sort((who[:, :1] + np.cumsum(1 + who % max(people // k - 1, 1), axis=1)) % people, axis=1)
    right = generator.random((tasks, k)) < generator.uniform(0.6, 0.95, people)[who]
    labels = np.where(right, truth[:, None], (truth[:, None] + generator.integers(1, classes, (tasks, k))) % classes)
    rows = np.column_stack([np.repeat(np.arange(tasks), k), who.ravel(), labels.ravel()])
    return Crowd("timing", rows, truth, people, classes)


def score(posterior: FloatArray, truth: IntArray) -> tuple[float, float, float]:
    """Accuracy (leaders of equal probability share a point), negative log-likelihood, expected calibration error."""
    from annotation_ops.domain.quality.consensus.calibration import calibration_error

    known = truth != NO_GOLD
    posterior, truth = posterior[known], truth[known]
    top = posterior.max(axis=1)
    leading = posterior >= top[:, None] - 1e-9
    each = np.arange(len(truth))
    right = leading[each, truth] / leading.sum(axis=1)
    loss = -np.log(np.maximum(posterior[each, truth], 1e-4)).mean()
    return float(right.mean()), float(loss), calibration_error(top, right)
