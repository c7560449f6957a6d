import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from deltalake import DeltaTable

from annotation_ops.adapters.storage.delta_lake import DeltaLake
from annotation_ops.domain.errors import TransientError
from annotation_ops.domain.tables import MODEL_PERFORMANCE, PREDICTIONS, TableSpec
from annotation_ops.ports.lake import Lake
from annotation_ops_tests.contracts.lake import LakeContract, LakePlace, hear, ids, tell
from annotation_ops_tests.contracts.lake_writer import PARTITION, predictions
from annotation_ops_tests.s3 import S3Server, s3_server

TOKEN = "subject-7f3a9c"

READ_AND_END = """
import sys
from annotation_ops.adapters.storage.delta_lake import DeltaLake
from annotation_ops.domain.tables import PREDICTIONS
lake = DeltaLake(sys.argv[1])
partition = {"project": "digits"}
next(iter(lake.scan(PREDICTIONS, partition=partition)))
print(lake.read(PREDICTIONS, partition=partition).num_rows)
"""


class TestDeltaLakeInAFolder(LakeContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> LakePlace:
        return LakePlace(str(tmp_path / "lake"))

    @pytest.fixture
    def lake(self, place: LakePlace) -> Lake:
        return DeltaLake(place.root)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as started:
        yield started


class TestDeltaLakeInABucket(LakeContract):
    ROUNDS = 4

    @pytest.fixture
    def place(self, server: S3Server) -> LakePlace:
        return LakePlace(f"s3://{server.bucket()}/lake", server.storage_options)

    @pytest.fixture
    def lake(self, place: LakePlace) -> Lake:
        return DeltaLake(place.root, place.options)

    def test_no_object_of_the_bucket_holds_an_erased_value(self, server: S3Server) -> None:
        bucket, client = server.bucket(), server.client()
        _write_and_erase(DeltaLake(f"s3://{bucket}/lake", server.storage_options))

        keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]]
        bodies = [client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
        assert keys
        assert not any(TOKEN.encode() in body for body in bodies)


def _write_and_erase(lake: DeltaLake) -> None:
    for model in ("1", "2", "3"):
        lake.upsert(PREDICTIONS, predictions([TOKEN, "kept", f"m{model}"], model=model), partition=PARTITION)
    assert lake.erase(PREDICTIONS, project="digits", column="sample_id", values=[TOKEN]) == 1
    assert ids(lake, PARTITION) == ["kept", "m1", "m2", "m3"]


def test_no_file_holds_an_erased_value(tmp_path: Path) -> None:
    _write_and_erase(DeltaLake(str(tmp_path)))

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert [path.name for path in files if TOKEN.encode() in path.read_bytes()] == []


def test_an_erasure_that_died_half_way_is_finished_by_the_next(tmp_path: Path) -> None:
    lake = DeltaLake(str(tmp_path))
    lake.upsert(PREDICTIONS, predictions([TOKEN, "kept"]), partition=PARTITION)
    DeltaTable(lake.uri(PREDICTIONS)).delete(f"sample_id = '{TOKEN}'")

    assert lake.erase(PREDICTIONS, project="digits", column="sample_id", values=[TOKEN]) == 0

    assert not any(TOKEN.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


class _ErasedUnderneath(DeltaLake):
    """Another process erases between this writer's snapshot and its commit."""

    erased = False

    def _open(self, table: TableSpec, version: int | None = None) -> DeltaTable | None:
        delta = super()._open(table, version)
        if not self.erased:
            self.erased = True
            DeltaLake(self._root).erase(table, project="digits", column="sample_id", values=["a"])
        return delta


def test_a_commit_whose_snapshot_was_erased_is_written_again_not_lost(tmp_path: Path) -> None:
    DeltaLake(str(tmp_path)).upsert(PREDICTIONS, predictions(["a", "b"]), partition=PARTITION)

    _ErasedUnderneath(str(tmp_path)).upsert(PREDICTIONS, predictions(["c"]), partition=PARTITION)

    assert ids(DeltaLake(str(tmp_path)), PARTITION) == ["b", "c"]


def test_a_writer_killed_at_any_moment_loses_nothing_acknowledged_and_repeats_nothing(tmp_path: Path) -> None:
    place = LakePlace(str(tmp_path / "lake"))
    acknowledged: set[int] = set()
    number = 0
    for kill in range(3):
        with place.writer(f"w{kill}") as process:
            for _ in range(kill + 1):
                number += 1
                tell(process, f"append {number}")
                hear(process)
                acknowledged.add(number)
            tell(process, f"append {number + 1}")
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.004 * kill)
        number += 1
    with place.writer("last") as process:
        tell(process, f"append {number + 1}")
        assert hear(process)

    runs = DeltaLake(place.root).read(MODEL_PERFORMANCE, partition={"project": "digits"}).column("run_id").to_pylist()
    assert len(runs) == len(set(runs))
    assert {f"run-{done}" for done in acknowledged | {number + 1}} <= set(runs)


def test_a_table_is_created_once_by_threads_that_start_together(tmp_path: Path) -> None:
    lake = DeltaLake(str(tmp_path))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: lake.upsert(PREDICTIONS, predictions([f"t{n}"]), partition=PARTITION), range(4)))

    assert ids(lake, PARTITION) == ["t0", "t1", "t2", "t3"]
    assert (
        DeltaTable(lake.uri(PREDICTIONS)).metadata().configuration["delta.logRetentionDuration"] == "interval 90 days"
    )


def test_an_erasure_keeps_the_retention_of_later_versions(tmp_path: Path) -> None:
    lake = DeltaLake(str(tmp_path))
    _write_and_erase(lake)

    assert (
        DeltaTable(lake.uri(PREDICTIONS)).metadata().configuration["delta.logRetentionDuration"] == "interval 90 days"
    )


def test_ten_processes_that_read_all_end_well(tmp_path: Path) -> None:
    lake = DeltaLake(str(tmp_path))
    lake.upsert(PREDICTIONS, predictions([f"s{n}" for n in range(20_000)]), partition=PARTITION)

    codes = []
    for _ in range(5):
        pair = [
            subprocess.Popen([sys.executable, "-c", READ_AND_END, str(tmp_path)], stdout=subprocess.DEVNULL)
            for _ in range(2)
        ]
        codes += [process.wait() for process in pair]
    assert codes == [0] * 10


def test_maintenance_merges_small_files_and_keeps_rows_and_pinned_versions(tmp_path: Path) -> None:
    lake = DeltaLake(str(tmp_path))
    for n in range(4):
        lake.upsert(PREDICTIONS, predictions([f"s{n}"]), partition=PARTITION)
    pinned = lake.version(PREDICTIONS)

    removed = lake.maintain(PREDICTIONS)

    assert removed == 0, "nothing is older than 90 days"
    assert len(DeltaTable(lake.uri(PREDICTIONS)).file_uris()) == 1
    assert ids(lake, PARTITION) == ids(lake, PARTITION, pinned) == ["s0", "s1", "s2", "s3"]


def test_a_bucket_that_does_not_answer_is_a_transient_error() -> None:
    options = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "max_retries": "0",
    }
    with pytest.raises(TransientError, match="did not answer"):
        DeltaLake("s3://bucket/lake", options).read(PREDICTIONS, partition=PARTITION)
