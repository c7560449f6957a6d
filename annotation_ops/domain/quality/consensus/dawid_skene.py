"""Dawid-Skene: a confusion matrix for each annotator and a posterior for each task, estimated together by EM.

Dawid & Skene, J R Stat Soc C 28 (1979) 20-28, doi 10.2307/2346806. `pooling` draws each annotator's matrix to a shared
one (a hierarchical model of fixed strength): with few judgements a person, free matrices fit noise and rare classes vanish.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from scipy.sparse import csr_matrix

from annotation_ops.domain.errors import UnsafeInput
from annotation_ops.domain.quality.consensus.ratings import (
    FLOOR,
    PARAMETER_DIGITS,
    ClassPrior,
    Ratings,
    class_prior,
    shares,
    softmax,
)
from annotation_ops.domain.quality.judgements import FloatArray

PooledTo: TypeAlias = Literal["crowd", "coin"]
"""crowd: the confusion matrix of all together. coin: one accuracy for all and errors spread evenly, which cannot collapse."""

MAX_ROUNDS = 100
SETTLED = 1e-3
"""No parameter moves by more than this: stop."""
SMOOTHING = 0.01
"""Added to each cell of a confusion matrix: a cell never seen is unlikely, not impossible."""
POOLING = 4.0
"""Judgements a class by which an annotator's row is drawn to the shared one."""
MAX_CELLS = 50_000_000
"""annotators x classes x classes; at most 400 MB a copy."""
BLOCK = 16_384
"""Tasks at a time: with 10 classes 1.3 MB, which stays in the cache between the two steps of EM."""


@dataclass(frozen=True, slots=True)
class Confusions:
    posterior: FloatArray = field(repr=False)
    """(n_tasks, q)."""
    prior: FloatArray
    """P(class), (q,), sums to 1."""
    confusion: FloatArray = field(repr=False)
    """P(given | true) by annotator, true, given: (n_annotators, q, q); rows sum to 1."""
    rounds: int
    settled: bool
    """False when the rounds ran out first."""


def dawid_skene(
    ratings: Ratings,
    *,
    smoothing: float = SMOOTHING,
    pooling: float = 0.0,
    pooled_to: PooledTo = "crowd",
    prior: ClassPrior = "estimated",
    rounds: int = MAX_ROUNDS,
    settled: float = SETTLED,
) -> Confusions:
    """EM in log space from the vote shares.

    `smoothing` counts are added to each cell, `pooling` counts to each row in proportion to the shared row. Raises
    UnsafeInput above MAX_CELLS.
    """
    _check_size(ratings)
    blocks, counts = list(_blocks(ratings)), ratings.counts()
    posterior = shares(counts)
    mass = sum(
        (cells.T @ posterior[part] for part, cells in blocks), np.zeros((blocks[0][1].shape[1], counts.shape[1]))
    )
    given = _given(mass, ratings, smoothing=smoothing, pooling=pooling, pooled_to=pooled_to)
    share = class_prior(posterior, counts, prior)
    done, moved = 0, np.inf
    while done < rounds and moved >= settled:
        done += 1
        mass = _expect(blocks, np.log(given), np.log(share), into=posterior)
        before, given = given, _given(mass, ratings, smoothing=smoothing, pooling=pooling, pooled_to=pooled_to)
        share_before, share = share, class_prior(posterior, counts, prior)
        moved = max(float(np.abs(given - before).max()), float(np.abs(share - share_before).max()))
    q = ratings.n_categories
    confusion = given.reshape(ratings.n_annotators, q, q).transpose(0, 2, 1)
    return Confusions(posterior, share, confusion, done, moved < settled)


def log_scores(ratings: Ratings, fitted: Confusions) -> FloatArray:
    """Log prior plus log-likelihood of each task under each class, (n_tasks, q): what a rating adds can be taken off."""
    q = ratings.n_categories
    log_given = np.log(fitted.confusion).transpose(0, 2, 1).reshape(-1, q)
    return np.vstack([cells @ log_given for _, cells in _blocks(ratings)]) + np.log(fitted.prior)


def _check_size(ratings: Ratings) -> None:
    cells = ratings.n_annotators * ratings.n_categories**2
    if cells > MAX_CELLS:
        raise UnsafeInput(
            f"dawid_skene: found {ratings.n_annotators} annotators and {ratings.n_categories} categories, {cells} cells of "
            f"confusion matrices, expected at most {MAX_CELLS}. Use one_coin, or weighted_vote."
        )


def _blocks(ratings: Ratings) -> Iterator[tuple[slice, csr_matrix]]:
    """Tasks x (annotator, given label) cells: how often, a block of tasks at a time."""
    ordered = bool((np.diff(ratings.task) >= 0).all())
    order = slice(None) if ordered else np.argsort(ratings.task, kind="stable")
    task = ratings.task[order]
    cell = (ratings.annotator * ratings.n_categories + ratings.label)[order].astype(np.int32)
    ends = np.searchsorted(task, np.arange(ratings.n_tasks + 1), side="left")
    width = ratings.n_annotators * ratings.n_categories
    for start in range(0, max(ratings.n_tasks, 1), BLOCK):
        stop = min(start + BLOCK, ratings.n_tasks)
        first, last = ends[start], ends[stop]
        pointers = (ends[start : stop + 1] - first).astype(np.int32)
        ones = np.ones(last - first)
        yield slice(start, stop), csr_matrix((ones, cell[first:last], pointers), shape=(stop - start, width))


def _expect(
    blocks: list[tuple[slice, csr_matrix]], log_given: FloatArray, log_share: FloatArray, *, into: FloatArray
) -> FloatArray:
    """E-step: overwrites `into` with the posterior and returns its mass by (annotator, given) cell and true class."""
    mass = np.zeros_like(log_given)
    for part, cells in blocks:
        into[part] = softmax(cells @ log_given + log_share)
        mass += cells.T @ into[part]
    return mass


def _given(mass: FloatArray, ratings: Ratings, *, smoothing: float, pooling: float, pooled_to: PooledTo) -> FloatArray:
    """M-step: P(given | true), (n_annotators * given, true); sums to 1 over the given labels of each annotator."""
    q = ratings.n_categories
    by_person = mass.reshape(ratings.n_annotators, q, q)
    if pooling:
        by_person = by_person + pooling * _shared(by_person.sum(axis=0), pooled_to, smoothing=smoothing)
    by_person = np.maximum(by_person + smoothing, FLOOR)
    given = by_person / by_person.sum(axis=1, keepdims=True)
    return np.asarray(np.maximum(np.round(given, PARAMETER_DIGITS), FLOOR).reshape(-1, q), dtype=np.float64)


def _shared(mass: FloatArray, pooled_to: PooledTo, *, smoothing: float) -> FloatArray:
    """P(given | true) of everybody, given x true; columns sum to 1."""
    q = len(mass)
    if pooled_to == "crowd":
        crowd = mass + np.eye(q) + smoothing
        return np.asarray(crowd / crowd.sum(axis=0), dtype=np.float64)
    # One right answer in 1.4 is a weak belief that people are right more often than not.
    right = (float(np.trace(mass)) + 1.0) / (float(mass.sum()) + 1.4)
    coin = np.full((q, q), (1.0 - right) / max(q - 1, 1))
    np.fill_diagonal(coin, right)
    return coin
