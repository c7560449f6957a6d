"""Turns a pool into a ranked table: `margin_kmeans` by default, with a random control and slice quotas.

Order: in every window of `request.window` ranks (a batch) the random control has its share, spread evenly over the
ranks, and the rest is picked by the strategy, in equal shares a slice value. So the first batch taken from a ranking is
as good as one that was ranked alone, and the next one starts where it ended.

`inclusion_probability` of a row is the chance, before the draw, that its sample would be drawn into its window by the
uniform draw: (random rows of the window) / (eligible samples), for a ranking by `random` with a slice quota (rows of
the value in the window) / (eligible samples of the value). Several windows together: add them up. It is null on a row that
the strategy picked: its chance is unknown, and an estimate for the pool must leave it out.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.selection.candidates import GROUP, ID, KEY, UNCERTAINTY
from annotation_ops.domain.selection.columns import Scan, gather_embeddings
from annotation_ops.domain.selection.exclusion import ExclusionIndex
from annotation_ops.domain.selection.picking import Picker
from annotation_ops.domain.selection.pool import PoolScan
from annotation_ops.domain.selection.quotas import equal_shares
from annotation_ops.domain.selection.request import PoolColumns, RankReport, RankRequest, SliceShare

UNCERTAIN = "uncertain"
CONTROL = "random_control"
COLD_START = "cold_start"


@dataclass(frozen=True, slots=True)
class Ranking:
    """`rows`: rank (0 first), sample_id, carried columns, uncertainty, selection_reason, inclusion_probability, strategy."""

    rows: pa.Table
    report: RankReport


@dataclass(frozen=True, slots=True)
class _Slot:
    """One rank: a row of the control or of the picked rows, and its inclusion probability."""

    source: int
    row: int
    probability: float | None


def rank_pool(
    scan: Scan, *, columns: PoolColumns, request: RankRequest, excluded: ExclusionIndex | None = None
) -> Ranking:
    """Ranks a pool. Deterministic, independent of the order and the batches of the rows.

    Raises InvalidInput for null ids, an id twice among the candidates, unequal list lengths, too many slice values.
    """
    pool = PoolScan(columns, request, excluded=excluded)
    for batch in scan(pool.needed()):
        pool.read(batch)
    control, active = _control_rows(pool), _active_rows(pool)
    embeddings, flaw = None, ""
    if active is not None and pool.clusters and columns.embedding is not None:
        embeddings, flaw = gather_embeddings(scan, columns.embedding, active)
    strategy, reason = _strategy(pool, embedded=embeddings is not None, flaw=flaw)
    if strategy == "random":
        # The whole ranking is one uniform draw: a control apart would only muddle its inclusion probabilities.
        control = None
    active, embeddings = _without_control(active, embeddings, control)
    picker = Picker(active, pool=pool, strategy=strategy, embeddings=embeddings)
    slots, quotas = _slots(pool, picker, control, strategy)
    rows = _rows(pool, [control, active], slots, strategy)
    return Ranking(rows, _report(pool, rows, strategy, reason, quotas))


def _control_rows(pool: PoolScan) -> pa.Table | None:
    """The random control: the smallest seeded hashes of all eligible samples, scored or not."""
    rows = pool.control.sorted()
    if rows is None:
        return None
    _refuse_duplicates(rows)
    return rows.slice(0, pool.control_size(min(pool.request.budget, pool.eligible)))


def _active_rows(pool: PoolScan) -> pa.Table | None:
    """Candidates of the strategy in (group, key, id) order; some may be in the control too."""
    rows = (pool.active if pool.scored else pool.uniform).sorted()
    if rows is not None:
        _refuse_duplicates(rows)
    return rows


def _without_control(
    active: pa.Table | None, embeddings: NDArray[np.float64] | None, control: pa.Table | None
) -> tuple[pa.Table | None, NDArray[np.float64] | None]:
    """Candidates and their embeddings, without the samples of the control."""
    if active is None or control is None or control.num_rows == 0:
        return active, embeddings
    drawn = set(control.column(ID).to_pylist())
    free = np.array([sample not in drawn for sample in active.column(ID).to_pylist()])
    return active.filter(pa.array(free)), None if embeddings is None else embeddings[free]


def _refuse_duplicates(rows: pa.Table) -> None:
    ids = rows.column(ID)
    if len(ids.unique()) < len(ids):
        counts = ids.value_counts()
        twice = next(entry["values"].as_py() for entry in counts if entry["counts"].as_py() > 1)
        raise InvalidInput(
            f"sample {twice.decode(errors='replace')!r} occurs more than once, expected one row a sample. "
            "Keep its newest prediction."
        )


def _strategy(pool: PoolScan, *, embedded: bool, flaw: str) -> tuple[str, str]:
    """The strategy that can be followed, and why it is this one."""
    wanted = pool.request.strategy
    if wanted == "random":
        return "random", "requested"
    if pool.scored == 0:
        why = "no sample has usable class probabilities" if pool.eligible else "no sample is eligible"
        if embedded:
            return "kmeans", f"{why}: cold start from k-means centres of the embeddings"
        return "random", f"{why} and {flaw or 'embeddings are not used'}: cold start by uniform draw"
    if wanted == "margin_kmeans" and not embedded:
        if pool.by_class:
            return "class_balanced_margin", "there are no embeddings: margin, balanced over the predicted classes"
        return "margin", f"{flaw}: plain margin"
    return wanted, "requested"


def _slots(
    pool: PoolScan, picker: Picker, control: pa.Table | None, strategy: str
) -> tuple[list[_Slot], dict[str, int]]:
    """Every rank in order, and the equal share each slice value was due."""
    n_control = 0 if control is None else control.num_rows
    total = min(pool.request.budget, n_control + picker.available)
    is_control = [(p + 1) * n_control // total > p * n_control // total for p in range(total)]
    slots: list[_Slot] = []
    due = dict.fromkeys(pool.slice_codes, 0)
    drawn = 0
    for start in range(0, total, pool.request.window):
        flags = is_control[start : start + pool.request.window]
        picked = picker.pick(len(flags) - sum(flags), round_number=start // pool.request.window)
        for value, share in equal_shares(dict.fromkeys(due, len(flags)), total=len(flags) - sum(flags)).items():
            due[value] += share
        chances = picker.chances(picked) if strategy == "random" else [None] * len(picked)
        rest = iter(zip(picked, chances, strict=True))
        for flag in flags:
            if flag:
                slots.append(_Slot(0, drawn, sum(flags) / pool.eligible))
                drawn += 1
            else:
                row, chance = next(rest)
                slots.append(_Slot(1, row, chance))
    return slots, due


def _rows(pool: PoolScan, sources: list[pa.Table | None], slots: list[_Slot], strategy: str) -> pa.Table:
    present = [table for table in sources if table is not None]
    if not present:
        return _no_rows(pool)
    offset = 0 if sources[0] is None else sources[0].num_rows
    places = pa.array([slot.row if slot.source == 0 else offset + slot.row for slot in slots], pa.int64())
    uniform = [table.drop_columns([KEY, GROUP]) for table in present]
    taken = pa.concat_tables(uniform).take(places)
    cold = pool.scored == 0 and pool.request.strategy != "random"
    picked = COLD_START if cold else (CONTROL if strategy == "random" else UNCERTAIN)
    columns = {"rank": pa.array(np.arange(len(slots))), ID: taken.column(ID).cast(pool.id_type)}
    columns |= {name: taken.column(name) for name in taken.column_names if name not in (ID, UNCERTAINTY)}
    score = taken.column(UNCERTAINTY)
    columns[UNCERTAINTY] = pc.if_else(pc.is_nan(score), pa.scalar(None, pa.float64()), score)
    columns["selection_reason"] = pa.array([CONTROL if slot.source == 0 else picked for slot in slots], pa.string())
    columns["inclusion_probability"] = pa.array([slot.probability for slot in slots], pa.float64())
    columns["strategy"] = pa.array([strategy] * len(slots), pa.string())
    return pa.table(columns)


def _no_rows(pool: PoolScan) -> pa.Table:
    """A ranking of nothing: the fixed columns only; callers that carry more cast it to their own schema."""
    fields = [
        ("rank", pa.int64()),
        (ID, pool.id_type or pa.string()),
        (UNCERTAINTY, pa.float64()),
        ("selection_reason", pa.string()),
        ("inclusion_probability", pa.float64()),
        ("strategy", pa.string()),
    ]
    return pa.schema(fields).empty_table()


def _report(pool: PoolScan, rows: pa.Table, strategy: str, reason: str, due: dict[str, int]) -> RankReport:
    chance = rows.column("inclusion_probability")
    return RankReport(
        requested=pool.request.budget,
        pool=pool.pool,
        excluded=pool.excluded,
        unscorable=pool.unscorable,
        ranked=rows.num_rows,
        random=len(chance) - chance.null_count,
        strategy=strategy,
        strategy_reason=reason,
        histogram=tuple(int(count) for count in pool.histogram),
        slices=_slice_shares(pool, rows, due),
    )


def _slice_shares(pool: PoolScan, rows: pa.Table, due: dict[str, int]) -> tuple[SliceShare, ...]:
    name = pool.columns.slice
    if name is None or rows.num_rows == 0:
        return ()
    values = [value or "" for value in rows.column(name).to_pylist()]
    controlled = pc.equal(rows.column("selection_reason"), CONTROL).to_pylist()
    if rows.column("strategy")[0].as_py() == "random":
        controlled = [False] * len(values)
    ranked, picked = Counter(values), Counter(v for v, drawn in zip(values, controlled, strict=True) if not drawn)
    return tuple(
        SliceShare(
            value=value,
            pool=int(pool.slice_pool[code]),
            eligible=int(pool.slice_eligible[code]),
            ranked=ranked[value],
            quota=due[value],
            shortfall=max(0, due[value] - picked[value]),
        )
        for value, code in sorted(pool.slice_codes.items(), key=lambda entry: entry[0].encode())
    )
