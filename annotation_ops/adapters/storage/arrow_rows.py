"""Rows checked against a table's declaration, and the SQL literals that name a partition."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.tables import TableSpec


def literal(value: str) -> str:
    """A SQL string literal; standard SQL has no escape but the doubled quote."""
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def quoted(name: str) -> str:
    return f'"{name}"'


def within(partition: Mapping[str, str], *, alias: str = "", table: TableSpec | None = None) -> str:
    """`project = 'x' AND day = 'y'`. With a table, also checks that these are its leading partition columns."""
    if table is not None:
        check_partition(table, partition)
    return " AND ".join(f"{alias}{quoted(name)} = {literal(value)}" for name, value in partition.items())


def check_partition(table: TableSpec, partition: Mapping[str, str]) -> None:
    """Raises InvalidInput unless the columns lead `partition_by` and the values can name a partition."""
    leading = table.partition_by[: len(partition)]
    if not partition or set(leading) != set(partition):
        raise InvalidInput(
            f"{table.name}: found partition columns {sorted(partition)}, expected the first of {list(table.partition_by)}"
        )
    for name, value in partition.items():
        # Delta stores an empty partition value as null, so it could never be found again.
        if not value or "\0" in value:
            raise InvalidInput(f"{table.name}: partition column {name!r}: found {value!r}, expected text without NUL")


def fitted(table: TableSpec, rows: pa.Table, *, partition: Mapping[str, str]) -> pa.Table:
    """The rows in the declared column order and types. Raises InvalidInput naming the column that does not fit."""
    check_partition(table, partition)
    if sorted(rows.column_names) != sorted(table.schema.names):
        missing = sorted(set(table.schema.names) - set(rows.column_names))
        extra = sorted(set(rows.column_names) - set(table.schema.names))
        raise InvalidInput(f"{table.name}: columns missing: {missing}, unexpected: {extra}")
    columns = [_fitted_column(table, field, rows.column(field.name)) for field in table.schema]
    data = pa.Table.from_arrays(columns, schema=table.schema)
    for name, value in partition.items():
        if not pc.all(pc.equal(data.column(name), value), min_count=0).as_py():
            raise InvalidInput(f"{table.name}: column {name!r}: found other values than the partition's {value!r}")
    _check_keys(table, data)
    return data


def _fitted_column(table: TableSpec, field: pa.Field, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not (pa.types.is_null(column.type) or _kind(column.type) == _kind(field.type)):
        raise InvalidInput(f"{table.name}: column {field.name!r}: found {column.type}, expected {field.type}")
    if column.null_count and field.name in (*table.partition_by, *table.key):
        raise InvalidInput(f"{table.name}: column {field.name!r}: found {column.null_count} nulls in a key column")
    try:
        return column.cast(field.type)
    except pa.ArrowException as error:
        raise InvalidInput(f"{table.name}: column {field.name!r}: {error}") from error


def _kind(kind: pa.DataType) -> str:
    """Types that may be cast into each other without changing what they mean; the cast itself refuses losses."""
    if pa.types.is_dictionary(kind):
        return _kind(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list of {'any' if pa.types.is_null(kind.value_type) else _kind(kind.value_type)}"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "string"
    if pa.types.is_timestamp(kind):
        return f"timestamp {kind.tz}"
    if pa.types.is_integer(kind):
        return "integer"
    return "float" if pa.types.is_floating(kind) else str(kind)


def _check_keys(table: TableSpec, data: pa.Table) -> None:
    key = list(dict.fromkeys((*table.partition_by, *table.key)))
    distinct = data.group_by(key, use_threads=False).aggregate([]).num_rows
    if distinct != data.num_rows:
        raise InvalidInput(
            f"{table.name}: {data.num_rows - distinct} rows repeat a key, expected unique {list(table.key)}"
        )
