"""One pass over a pool: counts, and the few rows that can still be ranked, at constant memory."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.selection.candidates import ID, UNCERTAINTY, Candidates
from annotation_ops.domain.selection.columns import floats, list_matrix
from annotation_ops.domain.selection.diversity import FRONT, ROUND
from annotation_ops.domain.selection.exclusion import ExclusionIndex
from annotation_ops.domain.selection.request import HISTOGRAM_BINS, PoolColumns, RankRequest
from annotation_ops.domain.selection.stable_hash import hash_ids, seed_word, seeded
from annotation_ops.domain.selection.uncertainty import Measure, Scores, score_columns, score_matrix

MAX_SLICE_VALUES = 1_000
MAX_CANDIDATES = 5_000_000
"""Kept rows over all slice values (and classes); about 1 GB at most."""
COLD_FRONT = 5_000
"""Rows, uniform over the pool, whose clusters stand for the pool while there is no model."""


class PoolScan:
    """Feed it every record batch with `read`; then `domain.selection.ranking` turns it into a ranking."""

    def __init__(self, columns: PoolColumns, request: RankRequest, *, excluded: ExclusionIndex | None) -> None:
        self.columns = columns
        self.request = request
        self.pool = self.excluded = self.unscorable = self.scored = 0
        self.histogram = np.zeros(HISTOGRAM_BINS, dtype=np.int64)
        self.slice_codes: dict[str, int] = {}
        self.slice_pool = np.zeros(0, dtype=np.int64)
        self.slice_eligible = np.zeros(0, dtype=np.int64)
        self.classes = len(columns.probabilities)
        self.id_type: pa.DataType | None = None
        self._index = excluded
        self._measure: Measure = request.strategy if request.strategy in ("entropy", "least_confidence") else "margin"
        carried = tuple(dict.fromkeys([*columns.carry, *([columns.slice] if columns.slice else []), UNCERTAINTY]))
        front = (FRONT - 1) * min(request.window, ROUND) if self.clusters else 0
        self._depth = request.budget + front + self.control_size(request.budget)
        self.active = Candidates(depth=self._depth, carry=carried)
        self._control_depth = self.control_size(request.budget)
        self.control = Candidates(depth=self._control_depth, carry=carried)
        self.uniform = Candidates(depth=self._depth + (COLD_FRONT if self.clusters else 0), carry=carried)
        self._control_seed = seed_word(request.seed, "control")
        self._uniform_seed = seed_word(request.seed, "uniform")

    @property
    def clusters(self) -> bool:
        return self.request.strategy == "margin_kmeans" and self.columns.embedding is not None

    @property
    def by_class(self) -> bool:
        """Whether candidates are kept by predicted class: the default strategy without embeddings."""
        return self.request.strategy == "margin_kmeans" and self.columns.embedding is None

    @property
    def eligible(self) -> int:
        return self.pool - self.excluded

    def control_size(self, budget: int) -> int:
        """Rows of the random control in a ranking of `budget` rows: the share, rounded half up."""
        if self.request.strategy == "random":
            return 0
        return int(np.floor(self.request.random_share * budget + 0.5))

    def needed(self) -> tuple[str, ...]:
        """Columns the pass reads."""
        columns = self.columns
        optional = [columns.probability_list, columns.slice, columns.digest]
        names = [ID, *columns.probabilities, *(name for name in optional if name), *columns.carry]
        return tuple(dict.fromkeys(names))

    def read(self, batch: pa.RecordBatch) -> None:
        """Takes one batch of rows into account. Raises InvalidInput for null ids or lists of unequal length."""
        if batch.num_rows == 0:
            return
        ids = batch.column(ID)
        if ids.null_count:
            row = self.pool + int(np.flatnonzero(ids.is_null().to_numpy(zero_copy_only=False))[0])
            raise InvalidInput(f"row {row} (0 first): found a null sample_id, expected a text. Give every row an id.")
        self.id_type = ids.type
        hashes = hash_ids(ids)
        allowed = self._allowed(batch, hashes)
        codes = self._slices(batch, allowed)
        scores = None if self.request.strategy == "random" else self._score(batch)
        uncertainty = np.full(batch.num_rows, np.nan) if scores is None else scores.uncertainty
        offered = batch.append_column(UNCERTAINTY, pa.array(uncertainty))
        if self._control_depth:
            self.control.add(offered, keys=seeded(hashes, seed=self._control_seed), eligible=allowed)
        known = self._count_scores(uncertainty, allowed)
        if scores is not None:
            groups, n_groups = self._groups(scores, codes)
            self.active.add(offered, keys=-uncertainty, eligible=known, groups=groups, n_groups=n_groups)
        if self.scored == 0:
            keys = seeded(hashes, seed=self._uniform_seed)
            self.uniform.add(offered, keys=keys, eligible=allowed, groups=codes, n_groups=max(1, len(self.slice_codes)))
        self._check_size()

    def _allowed(self, batch: pa.RecordBatch, hashes: NDArray[np.uint64]) -> NDArray[np.bool_] | None:
        """Mask of rows that are not excluded; None when no row is."""
        self.pool += batch.num_rows
        if self._index is None or len(self._index) == 0:
            return None
        digests = batch.column(self.columns.digest) if self.columns.digest else None
        excluded = self._index.matches(batch.column(ID), hashes=hashes, digests=digests)
        count = int(np.count_nonzero(excluded))
        self.excluded += count
        return ~excluded if count else None

    def _count_scores(self, uncertainty: NDArray[np.float64], allowed: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        """Mask of the eligible rows with a score; counts them, the others, and the histogram."""
        known = ~np.isnan(uncertainty)
        if allowed is not None:
            known &= allowed
        n_known = int(np.count_nonzero(known))
        eligible = len(known) if allowed is None else int(np.count_nonzero(allowed))
        self.scored += n_known
        if self.request.strategy != "random":
            self.unscorable += eligible - n_known
        values = uncertainty if n_known == len(known) else uncertainty[known]
        bins = np.minimum((values * HISTOGRAM_BINS).astype(np.int64), HISTOGRAM_BINS - 1)
        self.histogram += np.bincount(bins, minlength=HISTOGRAM_BINS)
        return known

    def _groups(self, scores: Scores, codes: NDArray[np.int64] | None) -> tuple[NDArray[np.int64] | None, int]:
        """Group code a row: slice, or slice x predicted class."""
        slices = max(1, len(self.slice_codes))
        if not self.by_class:
            return codes, slices
        groups = scores.predicted if codes is None else codes * self.classes + scores.predicted
        return groups, slices * self.classes

    def _score(self, batch: pa.RecordBatch) -> Scores | None:
        if self.columns.probabilities:
            wide = [floats(batch.column(name)) for name in self.columns.probabilities]
            return score_columns(wide, measure=self._measure, with_class=self.by_class)
        if self.columns.probability_list is None:
            return None
        matrix = self._matrix(batch.column(ID), batch.column(self.columns.probability_list))
        return None if matrix is None else score_matrix(matrix, measure=self._measure, with_class=self.by_class)

    def _matrix(self, ids: pa.Array, lists: pa.Array) -> NDArray[np.float64] | None:
        """Probabilities (n, classes) with NaN rows for null lists; None when every list is null."""
        matrix = list_matrix(ids, lists, width=self.classes or None, column=str(self.columns.probability_list))
        if matrix is not None:
            self.classes = matrix.shape[1]
        return matrix

    def _slices(self, batch: pa.RecordBatch, allowed: NDArray[np.bool_] | None) -> NDArray[np.int64] | None:
        """Code of each row's slice value; counts pool and eligible rows by value."""
        if self.columns.slice is None:
            return None
        column = batch.column(self.columns.slice)
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        values = [_slice_value(value) for value in encoded.dictionary.to_pylist()]
        for value in [*values, ""] if encoded.indices.null_count else values:
            self.slice_codes.setdefault(value, len(self.slice_codes))
        if len(self.slice_codes) > MAX_SLICE_VALUES:
            raise InvalidInput(
                f"column {self.columns.slice}: found more than {MAX_SLICE_VALUES} values, expected a slice. "
                "Name a column with few values, or leave the quota out."
            )
        table = np.array([self.slice_codes[value] for value in values] + [self.slice_codes.get("", 0)], dtype=np.int64)
        codes: NDArray[np.int64] = table[
            encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False).astype(np.int64)
        ]
        self.slice_pool = _accumulate(self.slice_pool, codes, len(self.slice_codes))
        self.slice_eligible = _accumulate(
            self.slice_eligible, codes if allowed is None else codes[allowed], len(self.slice_codes)
        )
        return codes

    def _check_size(self) -> None:
        groups = max(1, len(self.slice_codes)) * (max(1, self.classes) if self.by_class else 1)
        if groups * self._depth > MAX_CANDIDATES and groups > 1:
            raise InvalidInput(
                f"found {groups} quota groups for a budget of {self.request.budget}, expected at most "
                f"{MAX_CANDIDATES // self._depth}. Lower the budget, choose another slice or the strategy margin."
            )


def _slice_value(value: object) -> str:
    return "" if value is None else str(value)


def _accumulate(totals: NDArray[np.int64], codes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = np.bincount(codes, minlength=n)
    counts[: len(totals)] += totals
    return counts
