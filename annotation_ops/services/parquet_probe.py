"""Decodes untrusted Parquet columns under a memory bound and says whether they fit: a program, run as a child process.

`python -m annotation_ops.services.parquet_probe FILE LIMIT_BYTES ROWS COLUMN...` prints nothing and exits 0 when every
batch of ROWS rows stayed under LIMIT_BYTES; 3 with a sentence on stderr when one did not; anything else is a crash.
"""

import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

TOO_LARGE = 3

_ROOM = 3
"""Address space granted per byte of the limit: a growing buffer exists twice while it is copied, plus the page."""


def main(arguments: Sequence[str]) -> int:
    path, limit, rows, *columns = arguments
    _bound_memory(_ROOM * int(limit))
    try:
        return _decode(path, limit=int(limit), rows=int(rows), columns=columns)
    except (MemoryError, pa.ArrowMemoryError):
        print("a column needs more memory than allowed", file=sys.stderr)
        return TOO_LARGE


def _bound_memory(extra: int) -> None:
    """Limits the address space to what the loaded libraries hold plus `extra`."""
    statm = Path("/proc/self/statm")
    held = int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 1 << 30
    resource.setrlimit(resource.RLIMIT_AS, (held + extra, held + extra))


def _decode(path: str, *, limit: int, rows: int, columns: Sequence[str]) -> int:
    with pq.ParquetFile(path, pre_buffer=False, memory_map=False) as file:
        for column in columns:
            for batch in file.iter_batches(batch_size=rows, columns=[column], use_threads=False):
                if batch.nbytes > limit:
                    print(f"column {column}: {rows} rows take {batch.nbytes} bytes", file=sys.stderr)
                    return TOO_LARGE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
