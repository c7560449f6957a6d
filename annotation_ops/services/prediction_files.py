"""Prediction files and id lists as streams of record batches, and rankings as files: Parquet, CSV, JSON lines by suffix.

Files are untrusted: Parquet passes `parquet_guard`; CSV and JSON lines are read in blocks of 4 MiB, and a row that does
not fit in a block is refused, so no file takes more memory than its columns of one block.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.parquet as pq

from annotation_ops.domain.errors import InvalidInput, NotFound, UnsafeInput
from annotation_ops.domain.selection.candidates import decoded
from annotation_ops.services.parquet_guard import MAX_COLUMNS, open_guarded

PREFIX = "p_"
LIST = "probs"
SUFFIXES = (".parquet", ".csv", ".jsonl", ".ndjson")

_BLOCK = 4 << 20


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file of rows: its column names, and its batches of any of them."""

    path: Path
    names: tuple[str, ...]
    text: frozenset[str]
    """Columns read as text whatever they look like: `007` is not 7."""
    schema: pa.Schema | None
    """Of a Parquet file."""

    def scan(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Batches of the columns. Raises InvalidInput (a missing column, a broken file), UnsafeInput."""
        missing = [name for name in columns if name not in self.names]
        if missing:
            raise InvalidInput(
                f"{self.path}: found columns {', '.join(self.names[:20])}, expected {', '.join(missing)} too."
            )
        self._check_types(columns)
        try:
            yield from self._batches(list(columns))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{self.path}: {error}; expected rows of columns {', '.join(columns)}.") from error

    def _check_types(self, columns: Sequence[str]) -> None:
        if self.schema is None:
            return
        for name in columns:
            kind = self.schema.field(name).type
            if not _fits(name, kind, text=name in self.text):
                wanted = "text" if name in self.text else "numbers" if name.startswith(PREFIX) else "lists of numbers"
                raise InvalidInput(f"{self.path}: column {name}: found type {kind}, expected {wanted}.")

    def _encoded(self, columns: Sequence[str]) -> list[str]:
        """Text columns that are cheaper to read as they are stored: as references to a few values."""
        schema = self.schema or pa.schema([])
        return [
            name for name in columns if name in self.text - {"sample_id"} and schema.field(name).type == pa.string()
        ]

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        if self.path.suffix == ".parquet":
            opened, rows = open_guarded(self.path, columns=columns, dictionary=self._encoded(columns))
            with opened as file:
                for batch in file.iter_batches(batch_size=rows, columns=columns, use_threads=False):
                    yield self._typed(batch)
            return
        for batch in _csv(self.path, columns, self.text) if self.path.suffix == ".csv" else self._json(columns):
            yield self._typed(batch.select(columns))

    def _json(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([(name, _json_type(name, self.text)) for name in columns])
        parse = pajson.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        with pajson.open_json(self.path, pajson.ReadOptions(block_size=_BLOCK, use_threads=False), parse) as reader:
            yield from reader

    def _typed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Ids that are numbers in a Parquet file become their decimal text."""
        if "sample_id" not in batch.schema.names:
            return batch
        ids = decoded(batch.column("sample_id"))
        if pa.types.is_integer(ids.type):
            ids = ids.cast(pa.string())
        return batch.set_column(batch.schema.get_field_index("sample_id"), "sample_id", ids)


def open_rows(path: Path, *, text: Sequence[str] = ()) -> RowFile:
    """Looks at the header of a file. Raises NotFound, InvalidInput (suffix, no sample_id), UnsafeInput."""
    if not path.is_file():
        raise NotFound(f"{path}: found no file.")
    if path.suffix not in SUFFIXES:
        raise InvalidInput(f"{path}: found suffix {path.suffix!r}, expected one of {', '.join(SUFFIXES)}.")
    names = column_names(path)
    if len(names) > MAX_COLUMNS:
        raise UnsafeInput(f"{path}: found {len(names)} columns, expected at most {MAX_COLUMNS}.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"{path}: found column {twice} more than once, expected each once.")
    if "sample_id" not in names:
        raise InvalidInput(f"{path}: found columns {', '.join(names[:20]) or 'none'}, expected sample_id among them.")
    schema = None
    if path.suffix == ".parquet":
        with open_guarded(path, columns=())[0] as file:
            schema = file.schema_arrow
    return RowFile(path, names, frozenset({"sample_id", *text}), schema)


def _fits(name: str, kind: pa.DataType, *, text: bool) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if text:
        binary = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
        ids = name == "sample_id" and any(test(kind) for test in binary)
        known = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_boolean)
        return ids or any(test(kind) for test in known)
    if not name.startswith(PREFIX):
        lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        if not any(test(kind) for test in lists):
            return False
        kind = kind.value_type
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def column_names(path: Path) -> tuple[str, ...]:
    """The names in the header, the schema or the first object. Raises InvalidInput when there is none to read."""
    if path.suffix == ".parquet":
        with open_guarded(path, columns=())[0] as file:
            return tuple(file.schema_arrow.names)
    with path.open("rb") as stream:
        try:
            first = stream.readline(_BLOCK).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{path}: line 1: {error}; expected UTF-8 text.") from error
    if path.suffix == ".csv":
        try:
            header = pacsv.read_csv(pa.py_buffer(first.encode()), pacsv.ReadOptions(use_threads=False))
        except pa.ArrowInvalid as error:
            raise InvalidInput(f"{path}: line 1: {error}; expected a header line.") from error
        return tuple(header.column_names)
    try:
        row = json.loads(first or "{}")
    except ValueError as error:
        raise InvalidInput(f"{path}: line 1: {error}; expected a JSON object a line.") from error
    if not isinstance(row, dict):
        raise InvalidInput(f"{path}: line 1: found {type(row).__name__}, expected a JSON object a line.")
    return tuple(row)


def _csv(path: Path, columns: list[str], text: frozenset[str]) -> Iterator[pa.RecordBatch]:
    types = {name: pa.string() if name in text else pa.float64() for name in columns}
    convert = pacsv.ConvertOptions(include_columns=columns, column_types=types)
    with pacsv.open_csv(path, pacsv.ReadOptions(block_size=_BLOCK, use_threads=False), convert_options=convert) as rows:
        yield from rows


def _json_type(name: str, text: frozenset[str]) -> pa.DataType:
    if name in text:
        return pa.string()
    return pa.float64() if name.startswith(PREFIX) else pa.list_(pa.float64())


def write_rows(path: Path, rows: pa.Table) -> None:
    """Writes a table by suffix, whole or not at all (temporary file in the same folder, then rename)."""
    if path.suffix not in SUFFIXES:
        raise InvalidInput(f"{path}: found suffix {path.suffix!r}, expected one of {', '.join(SUFFIXES)}.")
    if not path.parent.is_dir():
        raise NotFound(f"{path.parent}: found no such folder, expected one to write {path.name} into.")
    with _replacing(path) as temporary:
        if path.suffix == ".parquet":
            pq.write_table(rows, temporary)
        elif path.suffix == ".csv":
            pacsv.write_csv(rows, temporary)
        else:
            lines = (json.dumps(row, ensure_ascii=False, default=_text) + "\n" for row in rows.to_pylist())
            temporary.write_text("".join(lines), encoding="utf-8")


def _text(value: bytes) -> str:
    return value.hex()


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
