"""Columns of Parquet, CSV and JSON lines files as Arrow tables, with every fault named by file, row and column.

Files are untrusted: Parquet passes `parquet_guard`; CSV and JSON lines are read in blocks of 4 MiB. The first row below a
header, or the first line of JSON, is row 1.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.parquet as pq

from annotation_ops.domain.errors import InvalidInput, NotFound, UnsafeInput
from annotation_ops.services.parquet_guard import MAX_COLUMNS, open_guarded
from annotation_ops.services.prediction_files import SUFFIXES, column_names

Kind: TypeAlias = Literal["id", "text", "label", "number", "flag", "numbers", "points"]
"""id, label: text, or whole numbers as Parquet stores them; a label takes few different values. numbers and points (pairs
of numbers) are lists, as JSON text in CSV."""

WRITTEN: Mapping[Kind, pa.DataType] = {
    "id": pa.string(),
    "text": pa.string(),
    "label": pa.string(),
    "number": pa.float64(),
    "flag": pa.bool_(),
    "numbers": pa.list_(pa.int64()),
    "points": pa.list_(pa.list_(pa.float64())),
}
EXPECTED: Mapping[Kind, str] = {
    "id": "text in quotes",
    "text": "text in quotes",
    "label": "text in quotes",
    "number": "a number",
    "flag": "true or false",
    "numbers": "a list of whole numbers",
    "points": "a list of pairs of numbers",
}
_JSON: Mapping[Kind, type | tuple[type, ...]] = {
    "id": str, "text": str, "label": str, "number": (int, float), "flag": bool, "numbers": list, "points": list,
}  # fmt: skip

_BLOCK = 4 << 20
_SHOWN = 20


def header(path: Path) -> tuple[str, ...]:
    """The column names. Raises NotFound, InvalidInput (suffix, an empty file, a name twice), UnsafeInput (too many)."""
    if not path.is_file():
        raise NotFound(f"{path}: found no file. Check the path.")
    if path.suffix not in SUFFIXES:
        raise InvalidInput(f"{path}: found suffix {path.suffix!r}, expected one of {', '.join(SUFFIXES)}.")
    if not path.stat().st_size:
        raise InvalidInput(f"{path}: found an empty file, expected a header and rows.")
    names = column_names(path)
    if len(names) > MAX_COLUMNS:
        raise UnsafeInput(f"{path}: found {len(names)} columns, expected at most {MAX_COLUMNS}.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(
            f"{path}: found column {twice[0]} more than once, expected each once. Remove one of the two."
        )
    return names


def require(path: Path, names: Sequence[str], wanted: Sequence[str], *, hint: str = "") -> None:
    """Raises InvalidInput when the names lack a wanted one."""
    missing = [name for name in wanted if name not in names]
    if missing:
        found = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        raise InvalidInput(f"{path}: found columns {found or 'none'}, expected {', '.join(missing)} too.{hint}")


def read_table(path: Path, kinds: Mapping[str, Kind]) -> pa.Table:
    """These columns, which the file has. Empty cells of a CSV are nulls; empty quotes are empty texts.

    Raises InvalidInput on a value of another kind, text that is not UTF-8, a broken file, or one without rows.
    """
    schema = _schema(path, kinds)
    try:
        table = pa.Table.from_batches(_batches(path, schema), schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        said = _fault(path, str(error), kinds)
        raise InvalidInput(f"{path}: {said}; expected UTF-8 rows of {', '.join(kinds)}.") from error
    if not table.num_rows:
        raise InvalidInput(f"{path}: found no rows, expected one at least.")
    return table.combine_chunks()


def _batches(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    if path.suffix == ".csv":
        convert = pacsv.ConvertOptions(
            include_columns=schema.names,
            column_types=schema,
            strings_can_be_null=True,
            null_values=[""],
            quoted_strings_can_be_null=False,
        )
        options = pacsv.ReadOptions(block_size=_BLOCK, use_threads=False)
        with pacsv.open_csv(path, options, convert_options=convert) as rows:
            yield from rows
    elif path.suffix == ".parquet":
        encoded = [item.name for item in schema if pa.types.is_dictionary(item.type)]
        opened, size = open_guarded(path, columns=schema.names, dictionary=encoded)
        with opened as file:
            yield from _stored(file, schema, size)
    else:
        parse = pajson.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        with pajson.open_json(path, pajson.ReadOptions(block_size=_BLOCK, use_threads=False), parse) as rows:
            for batch in rows:
                yield batch.select(schema.names)


def _stored(file: pq.ParquetFile, schema: pa.Schema, size: int) -> Iterator[pa.RecordBatch]:
    for batch in file.iter_batches(batch_size=size, columns=schema.names, use_threads=False):
        yield pa.RecordBatch.from_arrays([batch.column(item.name).cast(item.type) for item in schema], schema=schema)


def _schema(path: Path, kinds: Mapping[str, Kind]) -> pa.Schema:
    """The types the columns are read as. Raises InvalidInput on a Parquet column of another kind."""
    if path.suffix == ".parquet":
        with open_guarded(path, columns=())[0] as file:
            stored = file.schema_arrow
        return pa.schema(
            [(name, _as_stored(path, name, kind, stored.field(name).type)) for name, kind in kinds.items()]
        )
    listed = {name: kind in ("numbers", "points") and path.suffix == ".csv" for name, kind in kinds.items()}
    return pa.schema([(name, pa.string() if listed[name] else WRITTEN[kind]) for name, kind in kinds.items()])


def _as_stored(path: Path, name: str, kind: Kind, stored: pa.DataType) -> pa.DataType:
    plain = stored.value_type if pa.types.is_dictionary(stored) else stored
    text = pa.types.is_string(plain) or pa.types.is_large_string(plain)
    whole, lists = pa.types.is_integer(plain), pa.types.is_list(plain) or pa.types.is_large_list(plain)
    if kind == "label" and text:
        return pa.dictionary(pa.int32(), pa.string())
    fits = (
        pa.types.is_null(plain)
        or {
            "id": text or whole,
            "label": whole,
            "text": text,
            "number": whole or pa.types.is_floating(plain),
            "flag": pa.types.is_boolean(plain),
            "numbers": lists or text,
            "points": lists or text,
        }[kind]
    )
    if not fits:
        wanted = EXPECTED[kind].removesuffix(" in quotes")
        raise InvalidInput(f"{path}: column {name}: found type {stored}, expected {wanted}.")
    return plain if lists or (text and kind in ("numbers", "points")) else WRITTEN[kind]


def _fault(path: Path, message: str, kinds: Mapping[str, Kind]) -> str:
    """What Arrow complains of, in terms of the file."""
    if path.suffix in (".jsonl", ".ndjson"):
        return _first_bad_line(path, kinds) or message
    # Arrow counts the header as row 1.
    message = re.sub(r"Row #(\d+)", lambda match: f"row {int(match[1]) - 1}", message)
    column = re.search(r"In CSV column #(\d+)", message)
    return message.replace(column[0], f"column {column_names(path)[int(column[1])]}") if column else message


def _first_bad_line(path: Path, kinds: Mapping[str, Kind]) -> str:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                row = json.loads(line) if line.strip() else {}
            except ValueError as error:
                return f"row {number}: {error}"
            if not isinstance(row, dict):
                return f"row {number}: found {type(row).__name__}, expected an object"
            for name, kind in kinds.items():
                value = row.get(name)
                fits = isinstance(value, _JSON[kind]) and (kind == "flag" or not isinstance(value, bool))
                if value is not None and not fits:
                    return f"row {number}: found {name} {value!r:.60}, expected {EXPECTED[kind]}"
    return ""
