"""What every lake must do, races between processes included."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from annotation_ops.domain.errors import InvalidInput, NotFound
from annotation_ops.domain.tables import LABEL_FEATURES, MODEL_PERFORMANCE, PREDICTIONS, TABLES, TableSpec
from annotation_ops.ports.lake import Lake
from annotation_ops_tests.contracts.lake_writer import PARTITION, metrics, predictions


@dataclass(frozen=True)
class LakePlace:
    """Where a lake lies, for the processes of a test."""

    root: str
    options: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def writer(self, name: str) -> Iterator[subprocess.Popen[str]]:
        """A started writer process; see lake_writer.main."""
        command = [sys.executable, "-m", "annotation_ops_tests.contracts.lake_writer"]
        with tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(
                [*command, self.root, json.dumps(dict(self.options)), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                yield process
            finally:
                process.kill()
                process.communicate()


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> bool:
    """Whether the writer says that it wrote."""
    assert process.stdout is not None
    return bool(json.loads(process.stdout.readline().split()[1]))


def ids(lake: Lake, partition: Mapping[str, str], version: int | None = None) -> list[str]:
    column = lake.read(PREDICTIONS, partition=partition, columns=["sample_id"], version=version).column("sample_id")
    return sorted(column.to_pylist())


class LakeContract:
    """Subclasses give `place` (empty) and `lake` on it."""

    ROUNDS = 8

    @pytest.fixture
    def place(self) -> LakePlace:
        raise NotImplementedError

    @pytest.fixture
    def lake(self, place: LakePlace) -> Lake:
        raise NotImplementedError

    def test_a_table_never_written_has_no_rows_its_schema_and_no_version(self, lake: Lake) -> None:
        for table in TABLES:
            rows = lake.read(table, partition={"project": "digits"})

            assert (rows.num_rows, rows.schema, lake.version(table)) == (0, table.schema, None)

    def test_every_type_comes_back_as_it_went_in(self, lake: Lake) -> None:
        row = dict.fromkeys(LABEL_FEATURES.schema.names) | {
            "project": "digits",
            "entity_id": "zoë's 'id' -- ; %",
            "event_timestamp": datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=UTC),
            "label_revision": 2**60,
            "is_deleted": False,
            "confidence": 0.1 + 0.2,
            "annotators": ["a", "b"],
        }
        rows = pa.Table.from_pylist([row], schema=LABEL_FEATURES.schema)

        lake.upsert(LABEL_FEATURES, rows, partition={"project": "digits"})

        assert lake.read(LABEL_FEATURES, partition={"project": "digits"}).equals(rows)

    def test_overwriting_a_partition_replaces_it_and_only_it(self, lake: Lake) -> None:
        other = {"project": "digits", "day": "2026-11-24"}
        lake.overwrite_partition(PREDICTIONS, predictions(["a", "b"]), partition=PARTITION)
        lake.overwrite_partition(PREDICTIONS, predictions(["z"], day="2026-11-24"), partition=other)

        lake.overwrite_partition(PREDICTIONS, predictions(["c"]), partition=PARTITION)

        assert (ids(lake, PARTITION), ids(lake, other), ids(lake, {"project": "digits"})) == (["c"], ["z"], ["c", "z"])

    def test_overwriting_by_no_rows_empties_the_partition(self, lake: Lake) -> None:
        lake.overwrite_partition(PREDICTIONS, predictions(["a"]), partition=PARTITION)

        lake.overwrite_partition(PREDICTIONS, predictions([]), partition=PARTITION)

        assert ids(lake, PARTITION) == []

    def test_upsert_replaces_equal_keys_within_the_partition_only(self, lake: Lake) -> None:
        other = {"project": "reviews", "day": "2026-11-23"}
        lake.upsert(PREDICTIONS, predictions(["a", "b"], model="1"), partition=PARTITION)
        lake.upsert(PREDICTIONS, predictions(["a"], model="1", project="reviews"), partition=other)

        lake.upsert(PREDICTIONS, predictions(["b", "c"], model="2"), partition=PARTITION)

        rows = lake.read(PREDICTIONS, partition=PARTITION, columns=["sample_id", "model_version"]).to_pylist()
        assert {row["sample_id"]: row["model_version"] for row in rows} == {"a": "1", "b": "2", "c": "2"}
        assert len(rows) == 3
        assert ids(lake, other) == ["a"]

    def test_upserting_no_rows_commits_nothing(self, lake: Lake) -> None:
        lake.upsert(PREDICTIONS, predictions([]), partition=PARTITION)

        assert lake.version(PREDICTIONS) is None

    def test_a_pinned_version_stays_readable(self, lake: Lake) -> None:
        lake.overwrite_partition(PREDICTIONS, predictions(["a"]), partition=PARTITION)
        pinned = lake.version(PREDICTIONS)
        lake.overwrite_partition(PREDICTIONS, predictions(["b"]), partition=PARTITION)

        assert (ids(lake, PARTITION, pinned), ids(lake, PARTITION)) == (["a"], ["b"])

    def test_a_version_that_does_not_exist_is_not_found(self, lake: Lake) -> None:
        with pytest.raises(NotFound):
            lake.read(PREDICTIONS, partition=PARTITION, version=0)
        lake.overwrite_partition(PREDICTIONS, predictions(["a"]), partition=PARTITION)
        with pytest.raises(NotFound):
            lake.read(PREDICTIONS, partition=PARTITION, version=99)

    def test_a_partition_may_be_named_by_any_text(self, lake: Lake) -> None:
        projects = ["it's", "a/b=c %20", "naïve ümlaut", "x' OR '1'='1", "..", "\\'", "日本"]
        lake.upsert(PREDICTIONS, predictions(["other"]), partition=PARTITION)
        for project in projects:
            day = {"project": project, "day": "2026-11-23"}
            lake.upsert(PREDICTIONS, predictions([f"of {project}"], project=project), partition=day)
        lake.overwrite_partition(PREDICTIONS, predictions([], project="it's"), partition={"project": "it's"})

        found = [ids(lake, {"project": project}) for project in projects]
        assert found == [[], *([f"of {project}"] for project in projects[1:])]
        assert ids(lake, PARTITION) == ["other"]

    def test_rows_that_do_not_fit_are_refused_and_nothing_is_written(self, lake: Lake) -> None:
        good = predictions(["a"])
        at = good.schema.get_field_index("model_version")
        refused: list[tuple[pa.Table, Mapping[str, str], str]] = [
            (good, {"project": "digits", "day": "2026-11-24"}, "other values"),
            (good, {"day": "2026-11-23"}, "expected the first of"),
            (good, {}, "expected the first of"),
            (good, {"project": "", "day": "2026-11-23"}, "without NUL"),
            (good.drop_columns(["digest"]), PARTITION, "missing"),
            (good.append_column("extra", pa.array(["x"])), PARTITION, "unexpected"),
            (good.set_column(at, "model_version", pa.array([1])), PARTITION, "int64"),
            (predictions(["a", "a"]), PARTITION, "repeat a key"),
            (good.set_column(2, "sample_id", pa.nulls(1, pa.string())), PARTITION, "nulls"),
        ]
        for rows, partition, words in refused:
            for write in (lake.upsert, lake.overwrite_partition):
                with pytest.raises(InvalidInput, match=words):
                    write(PREDICTIONS, rows, partition=partition)
        assert lake.version(PREDICTIONS) is None

    def test_reading_a_column_that_does_not_exist_is_refused(self, lake: Lake) -> None:
        with pytest.raises(InvalidInput, match="colour"):
            lake.read(PREDICTIONS, partition=PARTITION, columns=["colour"])

    def test_a_column_declared_later_is_null_in_old_rows_and_stored_in_new_ones(self, lake: Lake) -> None:
        old = TableSpec("grown", pa.schema([("project", pa.string()), ("k", pa.string())]), ("project",), ("k",))
        new = TableSpec("grown", old.schema.append(pa.field("n", pa.int64())), ("project",), ("k",))
        here = {"project": "p"}
        lake.upsert(old, pa.Table.from_pylist([{"project": "p", "k": "1"}], schema=old.schema), partition=here)

        assert lake.read(new, partition=here).column("n").to_pylist() == [None]
        lake.upsert(new, pa.Table.from_pylist([{"project": "p", "k": "2", "n": 7}], schema=new.schema), partition=here)
        assert sorted(lake.read(new, partition=here).column("n").to_pylist(), key=str) == [7, None]

    def test_a_sequence_is_appended_once(self, lake: Lake) -> None:
        def append(sequence: int) -> bool:
            return lake.append_once(
                MODEL_PERFORMANCE,
                metrics(f"run-{sequence}"),
                partition={"project": "digits"},
                writer="w",
                sequence=sequence,
                note={"run": "1"},
            )

        assert [append(1), append(1), append(3), append(2), append(4)] == [True, False, True, False, True]
        runs = lake.read(MODEL_PERFORMANCE, partition={"project": "digits"}).column("run_id").to_pylist()
        assert sorted(runs) == ["run-1", "run-3", "run-4"]

    def test_processes_racing_on_one_sequence_append_it_once(self, lake: Lake, place: LakePlace) -> None:
        with place.writer("a") as first, place.writer("b") as second:
            winners = []
            for number in range(1, self.ROUNDS + 1):
                tell(first, f"append {number}")
                tell(second, f"append {number}")
                winners.append([hear(first), hear(second)].count(True))

        rows = lake.read(MODEL_PERFORMANCE, partition={"project": "digits"}).column("run_id").to_pylist()
        assert winners == [1] * self.ROUNDS
        assert sorted(rows) == sorted(f"run-{number}" for number in range(1, self.ROUNDS + 1))

    def test_processes_upserting_the_same_new_keys_leave_no_duplicate(self, lake: Lake, place: LakePlace) -> None:
        with place.writer("a") as first, place.writer("b") as second:
            for number in range(self.ROUNDS):
                tell(first, f"upsert {number}")
                tell(second, f"upsert {number}")
                assert hear(first)
                assert hear(second)

        expected = sorted(f"s{number}-{at}" for number in range(self.ROUNDS) for at in range(3))
        assert ids(lake, PARTITION) == expected

    def test_erased_rows_are_gone_and_the_rest_stays(self, lake: Lake) -> None:
        other = {"project": "reviews", "day": "2026-11-23"}
        lake.upsert(PREDICTIONS, predictions(["a", "b", "it's"]), partition=PARTITION)
        lake.upsert(PREDICTIONS, predictions(["a"], project="reviews"), partition=other)

        erased = lake.erase(PREDICTIONS, project="digits", column="sample_id", values=["a", "it's", "never there"])

        assert erased == 2
        assert (ids(lake, PARTITION), ids(lake, other)) == (["b"], ["a"])
        assert lake.erase(PREDICTIONS, project="digits", column="sample_id", values=["a"]) == 0

    def test_after_an_erasure_older_versions_are_gone_and_writing_goes_on(self, lake: Lake) -> None:
        lake.overwrite_partition(PREDICTIONS, predictions(["a"]), partition=PARTITION)
        pinned = lake.version(PREDICTIONS)
        lake.erase(PREDICTIONS, project="digits", column="sample_id", values=["a"])

        with pytest.raises(NotFound, match="erased"):
            lake.read(PREDICTIONS, partition=PARTITION, version=pinned)
        lake.upsert(PREDICTIONS, predictions(["b"]), partition=PARTITION)
        assert ids(lake, PARTITION) == ["b"]

    def test_an_erasure_does_not_forget_what_was_appended(self, lake: Lake) -> None:
        def append() -> bool:
            return lake.append_once(
                MODEL_PERFORMANCE, metrics("r"), partition={"project": "digits"}, writer="w", sequence=1, note={}
            )

        append()
        lake.erase(MODEL_PERFORMANCE, project="digits", column="run_id", values=["other"])

        assert append() is False

    def test_erasing_from_a_table_never_written_removes_nothing(self, lake: Lake) -> None:
        assert lake.erase(PREDICTIONS, project="digits", column="sample_id", values=["a"]) == 0
        with pytest.raises(InvalidInput, match="colour"):
            lake.erase(PREDICTIONS, project="digits", column="colour", values=["a"])
