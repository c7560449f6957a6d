"""A lake in memory that honours the port: tables made on first write, checked partitions, batches in any order."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.records import JsonObject
from annotation_ops.domain.tables import TableSpec
from annotation_ops.ports.lake import Lake


class MemoryLake(Lake):
    """`batch_rows` is the size of the batches a scan yields."""

    def __init__(self, *, batch_rows: int = 7) -> None:
        self._batch_rows = batch_rows
        self._tables: dict[str, pa.Table] = {}
        self._versions: dict[str, int] = {}
        self._sequences: dict[tuple[str, str], int] = {}

    def append_once(
        self,
        table: TableSpec,
        rows: pa.Table,
        *,
        partition: Mapping[str, str],
        writer: str,
        sequence: int,
        note: JsonObject,
    ) -> bool:
        if self._sequences.get((table.name, writer), -1) >= sequence:
            return False
        self._put(table, pa.concat_tables([self._all(table), self._fitted(table, rows, partition)]))
        self._sequences[table.name, writer] = sequence
        return True

    def upsert(self, table: TableSpec, rows: pa.Table, *, partition: Mapping[str, str]) -> None:
        if rows.num_rows == 0:
            return
        fitted = self._fitted(table, rows, partition)
        new = {tuple(row[name] for name in table.key) for row in fitted.to_pylist()}
        inside = self._inside(self._all(table), partition).to_pylist()
        kept = [
            row
            for row, within in zip(self._all(table).to_pylist(), inside, strict=True)
            if not (within and tuple(row[name] for name in table.key) in new)
        ]
        self._put(table, pa.concat_tables([pa.Table.from_pylist(kept, table.schema), fitted]))

    def overwrite_partition(self, table: TableSpec, rows: pa.Table, *, partition: Mapping[str, str]) -> None:
        fitted = self._fitted(table, rows, partition)
        others = self._all(table).filter(pc.invert(self._inside(self._all(table), partition)))
        self._put(table, pa.concat_tables([others, fitted]))

    def scan(
        self,
        table: TableSpec,
        *,
        partition: Mapping[str, str],
        columns: Sequence[str] | None = None,
        version: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        if version is not None:
            raise InvalidInput("this lake keeps no history")
        rows = self._all(table).filter(self._inside(self._all(table), partition))
        names = table.schema.names if columns is None else list(columns)
        yield from rows.select(names).combine_chunks().to_batches(max_chunksize=self._batch_rows)

    def version(self, table: TableSpec) -> int | None:
        return self._versions.get(table.name)

    def erase(self, table: TableSpec, *, project: str, column: str, values: Collection[str]) -> int:
        rows = self._all(table)
        wanted = pa.array(sorted(values), pa.string())
        gone = pc.and_(pc.equal(rows.column("project"), project), pc.is_in(rows.column(column), value_set=wanted))
        self._put(table, rows.filter(pc.invert(gone)))
        return int(pc.sum(gone).as_py() or 0)

    def _all(self, table: TableSpec) -> pa.Table:
        return self._tables.get(table.name, table.schema.empty_table())

    def _put(self, table: TableSpec, rows: pa.Table) -> None:
        self._tables[table.name] = rows
        self._versions[table.name] = self._versions.get(table.name, -1) + 1

    @staticmethod
    def _inside(rows: pa.Table, partition: Mapping[str, str]) -> pa.ChunkedArray:
        mask = pa.chunked_array([pa.array([True] * rows.num_rows, pa.bool_())])
        for name, value in partition.items():
            mask = pc.and_(mask, pc.equal(rows.column(name), value))
        return mask

    def _fitted(self, table: TableSpec, rows: pa.Table, partition: Mapping[str, str]) -> pa.Table:
        if set(partition) != set(table.partition_by[: len(partition)]) or "project" not in partition:
            raise InvalidInput(f"{table.name}: found partition {dict(partition)}, expected {table.partition_by}")
        if sorted(rows.column_names) != sorted(table.schema.names):
            raise InvalidInput(f"{table.name}: found columns {rows.column_names}, expected {table.schema.names}")
        fitted = rows.select(table.schema.names).cast(table.schema)
        if not pc.all(self._inside(fitted, partition), min_count=0).as_py():
            raise InvalidInput(f"{table.name}: found rows outside partition {dict(partition)}")
        return fitted
