"""Bulk tables: Arrow in, Arrow out, on a folder or a bucket."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence

import pyarrow as pa

from annotation_ops.domain.records import JsonObject
from annotation_ops.domain.tables import TableSpec


class Lake(ABC):
    """Tables are made on first write; a reader of a table that was never written gets no rows, with its schema.

    `partition` arguments are column -> literal for a prefix of `partition_by`, always including `project`.
    Errors: TransientError after its own bounded, jittered retries of a commit conflict; InvalidInput when rows do not fit
    the schema or their partition columns differ from `partition`.
    """

    @abstractmethod
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
        """Appends the rows unless `writer` already committed `sequence` or a later one; True when it wrote.

        The check and the write use the same snapshot, so two writers racing on one (writer, sequence) commit once.
        `note` is stored in the commit's metadata.
        """

    @abstractmethod
    def upsert(self, table: TableSpec, rows: pa.Table, *, partition: Mapping[str, str]) -> None:
        """Inserts rows, replacing those with the same key inside the partition. An empty table changes nothing."""

    @abstractmethod
    def overwrite_partition(self, table: TableSpec, rows: pa.Table, *, partition: Mapping[str, str]) -> None:
        """Replaces everything in the partition by the rows, in one commit. Idempotent."""

    @abstractmethod
    def scan(
        self,
        table: TableSpec,
        *,
        partition: Mapping[str, str],
        columns: Sequence[str] | None = None,
        version: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Record batches of the partition at constant memory; order is unspecified."""

    def read(
        self,
        table: TableSpec,
        *,
        partition: Mapping[str, str],
        columns: Sequence[str] | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """All rows of the partition in memory; order is unspecified."""
        names = list(columns) if columns is not None else table.schema.names
        batches = list(self.scan(table, partition=partition, columns=columns, version=version))
        return pa.Table.from_batches(batches, pa.schema([table.schema.field(name) for name in names]))

    @abstractmethod
    def version(self, table: TableSpec) -> int | None:
        """The current version number, for pinning a read; None when the table was never written."""

    @abstractmethod
    def erase(self, table: TableSpec, *, project: str, column: str, values: Collection[str]) -> int:
        """Removes the rows and their bytes from data, log and history; returns the row count. Older versions become unreadable."""
