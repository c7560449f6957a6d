"""Takes the next rows from the candidates: equal shares a slice value, and within one by the strategy."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotation_ops.domain.selection.candidates import GROUP, UNCERTAINTY
from annotation_ops.domain.selection.diversity import FRONT, ROUND, spread
from annotation_ops.domain.selection.pool import COLD_FRONT, PoolScan
from annotation_ops.domain.selection.quotas import equal_shares
from annotation_ops.domain.selection.stable_hash import seed_word


class Picker:
    """Holds the candidates that are left; every `pick` removes what it returns.

    `rows` are in (group, key, id) order: the order of keys within a group is the order of preference.
    """

    def __init__(
        self, rows: pa.Table | None, *, pool: PoolScan, strategy: str, embeddings: NDArray[np.float64] | None
    ) -> None:
        self._pool = pool
        self._strategy = strategy
        self._embeddings = embeddings
        self._width = pool.classes if pool.by_class and pool.scored else 1
        empty = np.zeros(0)
        groups = empty.astype(np.int64) if rows is None else rows.column(GROUP).to_numpy()
        uncertainty = empty if rows is None else rows.column(UNCERTAINTY).to_numpy()
        self._uncertainty = np.nan_to_num(uncertainty, nan=0.0)
        self._values = list(pool.slice_codes) or [""]
        self._left = {
            value: np.flatnonzero(groups // self._width == code).tolist() for code, value in enumerate(self._values)
        }
        self._groups = groups

    @property
    def available(self) -> int:
        return sum(len(rows) for rows in self._left.values())

    def pick(self, n: int, *, round_number: int) -> list[int]:
        """The next `n` rows (fewer when no more are left), the most uncertain first (a draw: in the order drawn)."""
        shares = equal_shares({value: len(rows) for value, rows in self._left.items()}, total=n)
        picked: list[int] = []
        for value in sorted(shares, key=str.encode):
            chosen = self._pick_from(self._left[value], shares[value], value=value, round_number=round_number)
            gone = set(chosen)
            self._left[value] = [row for row in self._left[value] if row not in gone]
            picked += chosen
        return sorted(picked, key=lambda row: -self._uncertainty[row])

    def chances(self, picked: Sequence[int]) -> list[float | None]:
        """Inclusion probability of each row of one window of a uniform draw: rows of its slice value drawn / eligible."""
        codes = [int(self._groups[row]) // self._width for row in picked]
        counts = np.bincount(codes, minlength=len(self._values))
        of_value = self._pool.slice_eligible if self._pool.slice_codes else np.array([self._pool.eligible])
        return [float(counts[code] / of_value[code]) for code in codes]

    def _pick_from(self, rows: list[int], n: int, *, value: str, round_number: int) -> list[int]:
        if self._strategy in ("margin_kmeans", "kmeans"):
            return self._spread(rows, n, seed=f"{value}/{round_number}")
        if self._strategy == "class_balanced_margin":
            return self._by_class(rows, n)
        return self._first(rows, n)

    def _first(self, rows: list[int], n: int) -> list[int]:
        """`rows` of one slice value are sorted by key already, unless they were kept by class."""
        if self._width == 1:
            return rows[:n]
        return sorted(rows, key=lambda row: -self._uncertainty[row])[:n]

    def _by_class(self, rows: list[int], n: int) -> list[int]:
        of_class: dict[str, list[int]] = {}
        for row in rows:
            of_class.setdefault(f"{self._groups[row] % self._width:06d}", []).append(row)
        shares = equal_shares({name: len(members) for name, members in of_class.items()}, total=n)
        return [row for name, members in of_class.items() for row in members[: shares[name]]]

    def _spread(self, rows: list[int], n: int, *, seed: str) -> list[int]:
        """k-means picks in rounds of at most 500, each from the front of what is left."""
        assert self._embeddings is not None
        left, picked = list(rows), list[int]()
        while len(picked) < n and left:
            k = min(ROUND, n - len(picked))
            front = left[: max(FRONT * k, COLD_FRONT if self._strategy == "kmeans" else 0)]
            weights = self._uncertainty[front] if self._strategy == "margin_kmeans" else np.ones(len(front))
            number = seed_word(self._pool.request.seed, "spread", seed, str(len(picked)))
            chosen = spread(self._embeddings[front], weights=weights, k=k, seed=number)
            taken = {front[index] for index in chosen}
            picked += [row for row in front if row in taken]
            left = [row for row in left if row not in taken]
        return picked
