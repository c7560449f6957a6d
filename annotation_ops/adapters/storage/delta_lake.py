"""The lake as Delta tables on a folder or an S3-compatible bucket.

Reads go through deltalake's QueryBuilder: `DeltaTable.to_pyarrow_*` and `to_pandas` can abort the interpreter at exit
after a correct result, which a Dagster step reports as a failure.
"""

import json
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder, Schema, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, SchemaMismatchError, TableNotFoundError

from annotation_ops.adapters.storage.arrow_rows import fitted, literal, quoted, within
from annotation_ops.adapters.storage.s3 import refuse_unconditional_puts
from annotation_ops.domain.errors import InvalidInput, NotFound, PermanentError, TransientError
from annotation_ops.domain.records import JsonObject
from annotation_ops.domain.tables import TableSpec
from annotation_ops.ports.lake import Lake

ATTEMPTS = 12
"""Tries of one commit: two writers on one partition needed at most five; the pauses add up to about 15 s."""
RETENTION = "interval 90 days"
"""How long a pinned version stays readable; longer than any training or audit that pins one should take."""
ORPHAN_HOURS = 24
"""A data file no commit names is left alone this long: a writer may still be about to commit it."""
STALE = ("Invalid table version", "not found")
"""What a write says whose snapshot's log or files were erased in the meantime; a fresh snapshot mends it."""

T = TypeVar("T")


class DeltaLake(Lake):
    """One Delta table a `TableSpec` under `root` (a path or `s3://bucket/prefix`)."""

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        """`storage_options` as deltalake takes them: AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, ..."""
        self._root = root.rstrip("/") if "://" in root else str(Path(root).resolve())
        self._options = dict(storage_options) if storage_options else None

    def uri(self, table: TableSpec) -> str:
        """Where the table lies, for readers that speak Delta themselves."""
        return f"{self._root}/{table.name}"

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
        data = fitted(table, rows, partition=partition)
        properties = CommitProperties(
            custom_metadata={"note": json.dumps(note, sort_keys=True)},
            app_transactions=[Transaction(writer, sequence)],
        )

        def append(delta: DeltaTable) -> bool:
            committed = delta.transaction_version(writer)
            if committed is not None and committed >= sequence:
                return False
            write_deltalake(delta, data, mode="append", commit_properties=properties)
            return True

        return self._commit(table, append)

    def upsert(self, table: TableSpec, rows: pa.Table, *, partition: Mapping[str, str]) -> None:
        data = fitted(table, rows, partition=partition)
        if data.num_rows == 0:
            return
        same = [f"t.{quoted(name)} = s.{quoted(name)}" for name in table.key]
        predicate = " AND ".join([within(partition, alias="t."), *same])

        def merge(delta: DeltaTable) -> None:
            merger = delta.merge(data, predicate=predicate, source_alias="s", target_alias="t")
            merger.when_matched_update_all().when_not_matched_insert_all().execute()

        self._commit(table, merge)

    def overwrite_partition(self, table: TableSpec, rows: pa.Table, *, partition: Mapping[str, str]) -> None:
        data = fitted(table, rows, partition=partition)
        predicate = within(partition)

        def overwrite(delta: DeltaTable) -> None:
            write_deltalake(delta, data, mode="overwrite", predicate=predicate)

        self._commit(table, overwrite)

    def scan(
        self,
        table: TableSpec,
        *,
        partition: Mapping[str, str],
        columns: Sequence[str] | None = None,
        version: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        names = list(columns) if columns is not None else table.schema.names
        if not names or not set(names) <= set(table.schema.names):
            raise InvalidInput(f"{table.name}: found columns {names}, expected some of {table.schema.names}")
        predicate = within(partition, table=table)
        delta = self._open(table, version)
        schema = pa.schema([table.schema.field(name) for name in names])
        return iter(()) if delta is None else _batches(delta, schema, predicate)

    def version(self, table: TableSpec) -> int | None:
        delta = self._open(table)
        return None if delta is None else delta.version()

    def erase(self, table: TableSpec, *, project: str, column: str, values: Collection[str]) -> int:
        """See the port. The log is shortened to one checkpoint, so run it while no other writer is at work: one that
        committed within the same milliseconds gets TransientError. Copies kept by bucket versioning are not reached."""
        if column not in table.schema.names:
            raise InvalidInput(f"{table.name}: found column {column!r}, expected one of {table.schema.names}")
        if not values or self._open(table) is None:
            return 0
        wanted = ", ".join(literal(value) for value in sorted(values))
        predicate = f"{within({'project': project}, table=table)} AND {quoted(column)} IN ({wanted})"
        erased = self._commit(table, lambda delta: int(delta.delete(predicate)["num_deleted_rows"]))
        self._commit(table, _forget)
        return erased

    def maintain(self, table: TableSpec) -> int:
        """Merges small files and removes data beyond the retention; returns the number of files removed."""
        if self._open(table) is None:
            return 0
        self._commit(table, lambda delta: delta.optimize.compact())
        return self._commit(table, lambda delta: len(delta.vacuum(dry_run=False)))

    def check_conditional_put(self) -> None:
        """At start-up: refuses an S3 store on which racing commits would overwrite each other. Folders are always fine.

        Raises Unsupported, PermanentError, NotFound, TransientError.
        """
        if not self._root.startswith("s3://"):
            return
        import boto3

        options = {name.upper(): value for name, value in (self._options or {}).items()}
        client = boto3.client(
            "s3",
            endpoint_url=options.get("AWS_ENDPOINT_URL"),
            region_name=options.get("AWS_REGION"),
            aws_access_key_id=options.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=options.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=options.get("AWS_SESSION_TOKEN"),
        )
        place = urlsplit(self._root)
        prefix = place.path.strip("/")
        try:
            refuse_unconditional_puts(client, place.netloc, f"{prefix}/" if prefix else "")
        finally:
            client.close()

    def _open(self, table: TableSpec, version: int | None = None) -> DeltaTable | None:
        place = self.uri(table)
        try:
            with _faults(place):
                return DeltaTable(place, version=version, storage_options=self._options)
        except DeltaError as error:
            if version is None and isinstance(error, TableNotFoundError):
                return None
            if version is None:
                raise PermanentError(f"{place}: the table does not open: {error}") from error
            raise NotFound(f"{place}: version {version} does not exist or was erased") from error

    def _opened(self, table: TableSpec) -> DeltaTable:
        """The table, made when it is missing and widened by columns that its declaration gained. Any number of
        processes may do so at once: the losers get CommitFailedError and come again."""
        delta = self._open(table)
        if delta is None:
            with _faults(self.uri(table)):
                return DeltaTable.create(
                    self.uri(table),
                    table.schema,
                    mode="ignore",
                    partition_by=list(table.partition_by),
                    name=table.name,
                    configuration={
                        "delta.logRetentionDuration": RETENTION,
                        "delta.deletedFileRetentionDuration": RETENTION,
                    },
                    storage_options=self._options,
                )
        known = {field.name for field in delta.schema().fields}
        added = [field for field in Schema.from_arrow(table.schema).fields if field.name not in known]
        if added:
            delta.alter.add_columns(added)
        return delta

    def _commit(self, table: TableSpec, action: Callable[[DeltaTable], T]) -> T:
        """Runs the action on a fresh snapshot until it commits without a conflict."""
        place = self.uri(table)
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0.2, 1.0) * min(0.05 * 2**attempt, 3.0))
            try:
                with _faults(place):
                    return action(self._opened(table))
            except (CommitFailedError, TableNotFoundError) as error:
                conflict = str(error)
            except DeltaError as error:
                conflict = str(error)
                if not any(words in conflict for words in STALE):
                    raise PermanentError(f"{place}: {conflict}") from error
        raise TransientError(f"{place}: {ATTEMPTS} commits in a row lost to other writers; the last one: {conflict}")


def _batches(delta: DeltaTable, schema: pa.Schema, predicate: str) -> Iterator[pa.RecordBatch]:
    stored = {field.name for field in delta.schema().fields}
    shown = [quoted(name) if name in stored else f"NULL AS {quoted(name)}" for name in schema.names]
    sql = f"SELECT {', '.join(shown)} FROM lake WHERE {predicate}"
    try:
        with _faults(delta.table_uri):
            reader = pa.RecordBatchReader.from_stream(QueryBuilder().register("lake", delta).execute(sql))
            for batch in reader:
                yield batch.cast(schema)
    except (DeltaError, pa.ArrowException) as error:
        raise TransientError(
            f"{delta.table_uri}: the read broke off, perhaps data were erased under it: {error}"
        ) from error


def _forget(delta: DeltaTable) -> None:
    """Removes every byte that no row of the current version needs: data files, then log entries and their statistics.

    The second vacuum takes files of writers that died before they committed."""
    delta.alter.set_table_properties({"delta.logRetentionDuration": "interval 0 days"})
    delta.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    delta.vacuum(retention_hours=ORPHAN_HOURS, dry_run=False, enforce_retention_duration=False, full=True)
    delta.create_checkpoint()
    delta.cleanup_metadata()
    delta.alter.set_table_properties({"delta.logRetentionDuration": RETENTION})


@contextmanager
def _faults(place: str) -> Iterator[None]:
    """Storage and schema errors as this project's; conflicts and missing tables pass through to their handlers."""
    try:
        yield
    except SchemaMismatchError as error:
        raise InvalidInput(f"{place}: the rows do not fit the table: {error}") from error
    except OSError as error:
        raise TransientError(f"{place}: the storage did not answer: {error}") from error
