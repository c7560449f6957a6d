import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from annotation_ops.domain.errors import InvalidInput, UnsafeInput
from annotation_ops.services.parquet_guard import NESTED_ROWS, ROWS, open_guarded
from annotation_ops.services.parquet_pages import read_page_header, small_pages

MIB = 1 << 20


def _bomb(path: Path, *, length: int = MIB, rows: int = 10_000) -> Path:
    """One string of `length` characters, `rows` times: a dictionary of one value, and run-length encoded references."""
    references = pa.array(np.zeros(rows, dtype=np.int32))
    strings = pa.DictionaryArray.from_arrays(references, pa.array(["x" * length]))
    scores = pa.array(np.full(rows, 0.5))
    pq.write_table(
        pa.table({"sample_id": strings, "p_a": scores, "p_b": scores}),
        path,
        compression="zstd",
        store_schema=False,
        dictionary_pagesize_limit=2 * length,
        write_statistics=False,
    )
    return path


def _peak_and_answer(path: Path) -> tuple[int, str]:
    """Peak memory in bytes of a process that ranks the file, children included, and its last line."""
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from annotation_ops.domain.errors import AnnotationOpsError\n"
        "from annotation_ops.services.rank import rank_files\n"
        "source = Path(sys.argv[1])\n"
        "try:\n"
        "    rank_files(source, budget=5, strategy='margin', exclude=None, slice_column=None, random_share=0.1, seed=1,"
        " out=source.with_name('out.csv'))\n"
        "    answer = 'ranked'\n"
        "except AnnotationOpsError as error:\n"
        "    answer = f'{type(error).__name__}: {error}'\n"
        "who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)\n"
        "print(max(resource.getrusage(one).ru_maxrss for one in who), answer)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    peak, _, answer = done.stdout.strip().partition(" ")
    return int(peak) * 1024, answer


def test_a_small_file_of_ten_gigabytes_of_strings_is_refused_below_one_gibibyte_of_memory(tmp_path: Path) -> None:
    path = _bomb(tmp_path / "bomb.parquet")
    assert path.stat().st_size < 10_000

    peak, answer = _peak_and_answer(path)

    assert answer.startswith("UnsafeInput: ")
    assert str(path) in answer
    assert peak < 1024 * MIB


def test_a_prefix_bomb_is_refused(tmp_path: Path) -> None:
    ids = [f"{'x' * 50_000}{i:05d}" for i in range(4_000)]
    path = tmp_path / "prefixes.parquet"
    table = pa.table({"sample_id": ids, "p_a": [0.5] * 4_000, "p_b": [0.5] * 4_000})
    encoding = {"sample_id": "DELTA_BYTE_ARRAY", "p_a": "PLAIN", "p_b": "PLAIN"}
    pq.write_table(table, path, use_dictionary=False, column_encoding=encoding, write_statistics=False)
    del ids, table
    assert path.stat().st_size < 2 * MIB

    with pytest.raises(UnsafeInput):
        open_guarded(path, columns=["sample_id"])


def test_a_list_bomb_is_refused(tmp_path: Path) -> None:
    lists = pa.ListArray.from_arrays(pa.array([0, 40_000_000], pa.int32()), pa.array(np.zeros(40_000_000)))
    pq.write_table(pa.table({"sample_id": ["a"], "embedding": lists}), tmp_path / "l.parquet", compression="zstd")

    with pytest.raises(UnsafeInput):
        open_guarded(tmp_path / "l.parquet", columns=["embedding"])


def test_a_file_with_far_more_rows_than_bytes_is_refused(tmp_path: Path) -> None:
    path = _bomb(tmp_path / "rows.parquet", length=1, rows=6_000_000)

    with pytest.raises(UnsafeInput, match="found 6000000 rows in"):
        open_guarded(path, columns=["p_a"])


def test_the_other_columns_of_a_bomb_can_be_read(tmp_path: Path) -> None:
    file, rows = open_guarded(_bomb(tmp_path / "bomb.parquet"), columns=["p_a", "p_b"])

    assert sum(batch.num_rows for batch in file.iter_batches(batch_size=rows, columns=["p_a"])) == 10_000


def test_ids_and_scores_as_usual_writers_store_them_are_proven_small_without_decoding(tmp_path: Path) -> None:
    n = 100_000
    table = pa.table(
        {
            "sample_id": [f"sample-{i:09d}" for i in range(n)],
            "slice": ["ab"[i % 2] for i in range(n)],
            "p_a": np.ones(n),
        }
    )
    for version in ("1.0", "2.0"):
        for compression in ("none", "snappy", "zstd", "gzip"):
            path = tmp_path / f"{version}-{compression}.parquet"
            pq.write_table(table, path, compression=compression, data_page_version=version, row_group_size=30_000)
            with pq.ParquetFile(path) as file:
                assert all(small_pages(path, file, name) for name in table.column_names), path.name


def test_embeddings_of_four_thousand_dimensions_pass_in_smaller_batches(tmp_path: Path) -> None:
    table = pa.table({"sample_id": ["a"] * 10, "embedding": np.ones((10, 4096), np.float32).tolist()})
    pq.write_table(
        table.cast(pa.schema([("sample_id", pa.string()), ("embedding", pa.list_(pa.float32()))])),
        tmp_path / "e.parquet",
    )

    _, nested = open_guarded(tmp_path / "e.parquet", columns=["sample_id", "embedding"])
    _, flat = open_guarded(tmp_path / "e.parquet", columns=["sample_id"])

    assert (nested, flat) == (NESTED_ROWS, ROWS)


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    path = _bomb(tmp_path / "cut.parquet", length=10)
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(InvalidInput, match="no readable Parquet file"):
        open_guarded(path, columns=["p_a"])


def test_bytes_changed_at_random_never_take_the_process_down(tmp_path: Path) -> None:
    path = tmp_path / "changed.parquet"
    table = pa.table({"sample_id": [f"s{i}" for i in range(50)], "p_a": np.full(50, 0.5)})
    pq.write_table(table, path)
    body = path.read_bytes()
    rng = np.random.default_rng(0)

    for _ in range(60):
        changed = bytearray(body)
        for place in rng.integers(4, 400, 3):
            changed[place] = rng.integers(0, 256)
        path.write_bytes(bytes(changed))
        with pq.ParquetFile(path) as file:
            small_pages(path, file, "sample_id")


@pytest.mark.parametrize("raw", [b"", b"\x15", b"\xff" * 64, b"\x1c" * 64, b"\x15\x00\x15" + b"\xff" * 20])
def test_bytes_that_are_no_page_header_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        read_page_header(raw)


def test_the_memory_bound_of_the_child_does_not_touch_this_process() -> None:
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
