"""Judgements to test with: from tables, from grids with gaps, and from simulated crowds."""

from collections.abc import Sequence

import numpy as np

from annotation_ops.domain.quality.judgements import IntArray, Judgements

KRIPPENDORFF = (
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
)
"""4 observers x 12 units with gaps: the example of Krippendorff (2011)."""


SMALL_CROWD = (
    "2 1 1 2 1 . 2 . 0 0 0 1",
    "2 . 2 2 . 1 . . 0 0 2 2",
    "2 1 2 . 1 2 2 . 0 0 0 .",
    "2 1 1 1 1 1 0 0 0 0 0 2",
    "1 0 2 2 1 2 2 1 . . 2 .",
)
"""5 annotators x 12 tasks with gaps and 3 classes, simulated: what other packages were run on."""
SMALL_CROWD_PREDICTIONS = np.array(
    [
        [0.004, 0.222, 0.774], [0.11, 0.873, 0.017], [0.107, 0.329, 0.564], [0.065, 0.331, 0.604],
        [0.046, 0.502, 0.452], [0.085, 0.177, 0.738], [0.169, 0.164, 0.667], [0.507, 0.151, 0.342],
        [0.57, 0.41, 0.02], [0.599, 0.097, 0.304], [0.498, 0.402, 0.1], [0.269, 0.17, 0.561],
    ]
)  # fmt: skip


def of_table(table: Sequence[Sequence[int]]) -> Judgements:
    """Annotator `a` gives the row, `b` the column; categories are `0`, `1`, ..."""
    q = len(table)
    cells = [(i, j) for i in range(q) for j in range(q) for _ in range(table[i][j])]
    rows = [
        (f"t{number:05}", name, str(label))
        for number, cell in enumerate(cells)
        for name, label in zip("ab", cell, strict=True)
    ]
    return Judgements.from_rows(rows, categories=[str(i) for i in range(q)])


def of_grid(grid: Sequence[str], *, categories: Sequence[str]) -> Judgements:
    """One text an annotator, one word a task; a dot is no judgement."""
    rows = [
        (f"t{task:02}", f"a{annotator}", label)
        for annotator, line in enumerate(grid)
        for task, label in enumerate(line.split())
        if label != "."
    ]
    return Judgements.from_rows(rows, categories=categories)


def crowd(
    generator: np.random.Generator,
    *,
    kinds: Sequence[float | str],
    n: int,
    k: int,
    prevalence: Sequence[float],
) -> tuple[IntArray, Judgements]:
    """Truth and judgements of `n` tasks by `k` people each. A kind is an accuracy, `random` or `constant`."""
    q = len(prevalence)
    truth = generator.choice(q, n, p=prevalence)
    rows = []
    for task in range(n):
        for person in generator.choice(len(kinds), k, replace=False):
            kind = kinds[person]
            if kind == "random":
                label = generator.integers(q)
            elif kind == "constant" or isinstance(kind, str):
                label = 0
            else:
                right = generator.random() < kind
                label = truth[task] if right else (truth[task] + generator.integers(1, q)) % q
            rows.append((f"t{task:05}", f"a{person:03}", str(label)))
    return truth, Judgements.from_rows(rows, categories=[str(i) for i in range(q)])
