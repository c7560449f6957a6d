"""Refuses Parquet files that would decode to absurd sizes, before this process decodes anything of them.

A 514-byte file can hold 10 GB of strings, and its metadata does not have to say so. Three gates: what the footer says
(rows, columns, bytes), how much a file of this size can honestly hold, and a child process with bounded memory that
decodes every needed column whose size is not fixed by its type (strings, lists), or whose pages expand a lot.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from annotation_ops.domain.errors import InvalidInput, TransientError, UnsafeInput
from annotation_ops.services.parquet_pages import small_pages

ROWS = 65_536
"""Rows decoded at once, here and in the child."""

NESTED_ROWS = 8_192
"""The same when lists are among the columns."""

BATCH_BYTES = 128 << 20
"""Memory one column may take for that many rows: ids of 2 kB, float32 embeddings of 4,096 dimensions."""

MAX_COLUMNS = 10_000
ROWS_PER_BYTE = 20
"""Unique ids never compress below a twentieth of a byte a row; a file with more rows only costs time."""

_FREE_ROWS = 1_000_000
_CPU_SECONDS = 120


def open_guarded(path: Path, *, columns: Sequence[str], dictionary: Sequence[str] = ()) -> tuple[pq.ParquetFile, int]:
    """The file, safe for reading `columns` in batches of at most the given rows; columns in `dictionary` stay encoded.

    Raises UnsafeInput for a file whose content is out of proportion, InvalidInput for one that is not Parquet.
    """
    try:
        file = pq.ParquetFile(path, pre_buffer=False, read_dictionary=list(dictionary))
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidInput(f"{path}: found no readable Parquet file ({error}), expected one.") from error
    _check_footer(path, file)
    suspects = [name for name in columns if name in file.schema_arrow.names and not small_pages(path, file, name)]
    kinds = [file.schema_arrow.field(name).type for name in suspects]
    rows = NESTED_ROWS if any(pa.types.is_nested(kind) for kind in kinds) else ROWS
    if suspects:
        _probe(path, suspects, rows=rows)
    return file, rows


def _check_footer(path: Path, file: pq.ParquetFile) -> None:
    size, rows, width = path.stat().st_size, file.metadata.num_rows, file.metadata.num_columns
    if width > MAX_COLUMNS:
        raise UnsafeInput(f"{path}: found {width} columns, expected at most {MAX_COLUMNS}.")
    if rows < 0 or rows > _FREE_ROWS + ROWS_PER_BYTE * size:
        raise UnsafeInput(f"{path}: found {rows} rows in {size} bytes, expected at most {ROWS_PER_BYTE} rows a byte.")


def _probe(path: Path, columns: Sequence[str], *, rows: int) -> None:
    program = [sys.executable, "-m", "annotation_ops.services.parquet_probe"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    try:
        done = subprocess.run(
            [*program, str(path), str(BATCH_BYTES), str(rows), *columns],
            capture_output=True,
            text=True,
            timeout=_CPU_SECONDS,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnsafeInput(
            f"{path}: decoding took more than {_CPU_SECONDS} s, expected less; split the file."
        ) from error
    except OSError as error:
        raise TransientError(f"{path}: the decoding process could not be started: {error}") from error
    if done.returncode == 0:
        return
    why = (done.stderr.strip().splitlines() or [f"the decoder ended with {done.returncode}"])[-1]
    if "ArrowInvalid" in why or "OSError" in why:
        raise InvalidInput(f"{path}: {why}; expected readable Parquet columns {', '.join(columns)}.")
    raise UnsafeInput(
        f"{path}: {why}, expected at most {BATCH_BYTES >> 20} MiB for {rows} rows of a column. "
        "The file is a decompression bomb or holds values that do not belong into predictions."
    )
