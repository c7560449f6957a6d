import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from annotation_ops.adapters.storage.delta_lake import DeltaLake
from annotation_ops.domain.errors import Conflict, InvalidInput, NotFound
from annotation_ops.domain.records import Incident, IncidentState
from annotation_ops.domain.tables import PREDICTIONS, RANKED_SAMPLES, RAW_SAMPLES
from annotation_ops.services.rank import rank_day, rank_files, rank_relabel, ranking_cursor
from annotation_ops_tests.fakes.lake import MemoryLake
from annotation_ops_tests.services.loop import DAY, BatchedSamples, ingest, project_of, raw

PARTITION = {"project": "pets", "day": DAY.isoformat()}
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def _predict(lake: MemoryLake, scores: Mapping[str, Sequence[float] | None], *, day: str = DAY.isoformat()) -> None:
    rows = [
        {"project": "pets", "day": day, "sample_id": sample, "digest": "d1", "model_version": "3", "probabilities": row}
        for sample, row in scores.items()
    ]
    for index, row in enumerate(rows):
        row["embedding"] = [float(index % 5), float(index)]
    table = pa.Table.from_pylist(rows, PREDICTIONS.schema)
    lake.overwrite_partition(PREDICTIONS, table, partition={"project": "pets", "day": day})


def _scores(n: int, *, seed: int = 0) -> dict[str, list[float]]:
    matrix = np.random.default_rng(seed).dirichlet(np.ones(3), n)
    return {f"s{i:03d}": row for i, row in enumerate(matrix.tolist())}


def _ranked(lake: MemoryLake) -> list[dict[str, object]]:
    return sorted(lake.read(RANKED_SAMPLES, partition=PARTITION).to_pylist(), key=lambda row: row["rank"])


@pytest.fixture
def lake() -> MemoryLake:
    lake = MemoryLake()
    ingest(lake, [raw(f"s{i:03d}", scanner="ab"[i % 2]) for i in range(100)])
    return lake


def test_the_ranking_is_deep_enough_for_every_batch_that_may_be_open(lake: MemoryLake) -> None:
    _predict(lake, _scores(100))

    report = rank_day(
        project_of(batch_size=10, max_open_batches=3), day=DAY, seed=1, lake=lake, ledger=BatchedSamples()
    )

    rows = _ranked(lake)
    assert [row["rank"] for row in rows] == list(range(30))
    assert report.ranked == 30
    assert (report.strategy, report.random) == ("margin_kmeans", 3)
    assert {row["model_version"] for row in rows} == {"3"}
    assert all(row["uri"] == f"mem://{row['sample_id']}.d1" for row in rows)
    assert all(json.loads(row["slices"])["scanner"] in "ab" for row in rows)


def test_ranking_a_day_again_gives_the_same_rows(lake: MemoryLake) -> None:
    _predict(lake, _scores(100))
    project = project_of()

    rank_day(project, day=DAY, seed=1, lake=lake, ledger=BatchedSamples())
    first = _ranked(lake)
    rank_day(project, day=DAY, seed=1, lake=lake, ledger=BatchedSamples())

    assert _ranked(lake) == first


def test_samples_in_a_batch_of_an_earlier_day_are_left_out_but_not_those_of_the_day_itself(lake: MemoryLake) -> None:
    _predict(lake, _scores(100))
    earlier = [(f"s{i:03d}", "d1") for i in range(85)]
    ledger = BatchedSamples({"2026-11-22": earlier, DAY.isoformat(): [("s099", "d1")]})

    report = rank_day(project_of(), day=DAY, seed=1, lake=lake, ledger=ledger)

    assert report.excluded == 85
    assert {row["sample_id"] for row in _ranked(lake)} == {f"s{i:03d}" for i in range(85, 100)}


def test_a_changed_object_may_be_asked_about_again(lake: MemoryLake) -> None:
    _predict(lake, _scores(20))
    ledger = BatchedSamples({"2026-11-22": [("s003", "older")]})

    report = rank_day(project_of(batch_size=20), day=DAY, seed=1, lake=lake, ledger=ledger)

    assert report.excluded == 0


def test_a_slice_quota_comes_from_the_raw_manifest(lake: MemoryLake) -> None:
    _predict(lake, _scores(100))
    project = project_of(slice_quota="scanner", random_share=0.0)

    report = rank_day(project, day=DAY, seed=1, lake=lake, ledger=BatchedSamples())

    assert [(share.value, share.ranked) for share in report.slices] == [("a", 10), ("b", 10)]


def test_before_any_model_the_stored_embeddings_are_covered_by_k_means(lake: MemoryLake) -> None:
    _predict(lake, dict.fromkeys(_scores(100)))

    report = rank_day(project_of(random_share=0.0), day=DAY, seed=1, lake=lake, ledger=BatchedSamples())

    assert report.strategy == "kmeans"
    assert {row["selection_reason"] for row in _ranked(lake)} == {"cold_start"}


def test_without_predictions_the_raw_manifest_is_drawn_from_uniformly(lake: MemoryLake) -> None:
    ingest(lake, [raw("later", day=DAY + timedelta(days=1))])

    report = rank_day(project_of(), day=DAY, seed=1, lake=lake, ledger=BatchedSamples())

    assert (report.pool, report.strategy) == (100, "random")
    assert {row["inclusion_probability"] for row in _ranked(lake)} == {0.1}
    assert {row["model_version"] for row in _ranked(lake)} == {None}


def test_predictions_of_a_sample_that_was_erased_are_a_conflict(lake: MemoryLake) -> None:
    _predict(lake, {"s001": [1.0, 0.0, 0.0], "ghost": [0.4, 0.3, 0.3]})

    with pytest.raises(Conflict, match="sample ghost"):
        rank_day(project_of(), day=DAY, seed=1, lake=lake, ledger=BatchedSamples())


def test_the_conductor_is_told_of_the_newest_ranking_once_and_never_of_an_older_one(lake: MemoryLake) -> None:
    ledger = BatchedSamples()
    project = project_of()

    rank_day(project, day=DAY, seed=1, lake=lake, ledger=ledger, now=NOW)
    told = dict(ledger.cursors)
    rank_day(project, day=DAY, seed=1, lake=lake, ledger=ledger, now=NOW)
    rank_day(project, day=DAY - timedelta(days=1), seed=1, lake=lake, ledger=ledger, now=NOW)

    assert json.loads(told[ranking_cursor("pets")]) == {"day": "2026-11-23", "n_ranked": 20}
    assert ledger.cursors == told
    assert ledger.audited == ["ranking.made"]


def test_two_days_with_one_seed_draw_different_controls(lake: MemoryLake) -> None:
    drawn = []
    for day in (DAY, DAY + timedelta(days=1)):
        project = project_of(strategy="random")
        rank_day(project, day=day, seed=1, lake=lake, ledger=BatchedSamples())
        partition = {"project": "pets", "day": day.isoformat()}
        drawn.append(set(lake.read(RANKED_SAMPLES, partition=partition)["sample_id"].to_pylist()))

    assert drawn[0] != drawn[1]


def test_the_delta_lake_gives_the_same_ranking_as_the_one_in_memory(lake: MemoryLake, tmp_path: Path) -> None:
    _predict(lake, _scores(100))
    delta = DeltaLake(str(tmp_path / "lake"))
    delta.upsert(RAW_SAMPLES, lake.read(RAW_SAMPLES, partition={"project": "pets"}), partition={"project": "pets"})
    delta.overwrite_partition(PREDICTIONS, lake.read(PREDICTIONS, partition=PARTITION), partition=PARTITION)
    project = project_of(slice_quota="scanner")

    rank_day(project, day=DAY, seed=1, lake=lake, ledger=BatchedSamples())
    rank_day(project, day=DAY, seed=1, lake=delta, ledger=BatchedSamples())

    assert _ranked(delta) == _ranked(lake)


class _Monitor:
    relabel_budget = 6


def _incident(*slices: str) -> Incident:
    return Incident("i1", "pets", "pets-model", "3", "accuracy", slices, IncidentState.OPEN, NOW, {}, "run")


def test_a_relabel_batch_holds_only_the_slices_of_its_incident(lake: MemoryLake) -> None:
    _predict(lake, _scores(100))
    _predict(lake, _scores(100), day="2026-11-20")
    project = replace(project_of(), monitor=_Monitor())
    ledger = BatchedSamples({DAY.isoformat(): [(f"s{i:03d}", "d1") for i in range(80)]})

    rows = rank_relabel(project, incident=_incident("scanner:b"), lake=lake, ledger=ledger, seed=1)

    assert len(rows) == 6
    assert all(int(row["sample_id"][1:]) % 2 == 1 and int(row["sample_id"][1:]) >= 80 for row in rows)
    assert {row["selection_reason"] for row in rows} <= {"relabel:scanner:b", "random_control"}
    assert sum(row["selection_reason"] == "random_control" for row in rows) == 1


def test_a_relabel_batch_without_predictions_is_drawn_from_the_slice(lake: MemoryLake) -> None:
    project = replace(project_of(), monitor=_Monitor())

    rows = rank_relabel(project, incident=_incident("scanner:a"), lake=lake, ledger=BatchedSamples(), seed=1)

    assert len(rows) == 6
    assert all(int(row["sample_id"][1:]) % 2 == 0 for row in rows)


def test_a_relabel_batch_needs_a_monitor(lake: MemoryLake) -> None:
    with pytest.raises(InvalidInput, match="no monitor"):
        rank_relabel(project_of(), incident=_incident(), lake=lake, ledger=BatchedSamples(), seed=1)


def _file(path: Path, n: int = 50, **changes: object) -> Path:
    matrix = np.random.default_rng(0).dirichlet(np.ones(3), n)
    columns = {"sample_id": [f"{i:03d}" for i in range(n)], "scanner": ["ab"[i % 2] for i in range(n)]}
    table = pa.table({**columns, **{f"p_{k}": matrix[:, k] for k in range(3)}, **changes})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        pacsv.write_csv(table, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    return path


def _rank_file(path: Path, out: Path, **changes: object) -> object:
    asked = {"budget": 10, "strategy": "margin", "exclude": None, "slice_column": "scanner"}
    return rank_files(path, **{**asked, "random_share": 0.1, "seed": 1, "out": out, **changes})


def _read(path: Path) -> list[dict[str, object]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".csv":
        options = pacsv.ConvertOptions(column_types={"sample_id": pa.string()})
        return pacsv.read_csv(path, convert_options=options).to_pylist()
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_every_format_gives_the_same_ranking_and_ids_keep_their_leading_zeros(tmp_path: Path, suffix: str) -> None:
    report = _rank_file(_file(tmp_path / "p.parquet"), tmp_path / "out.parquet")
    other = _rank_file(_file(tmp_path / f"p{suffix}"), tmp_path / f"out{suffix}")

    assert other == report
    assert [row["sample_id"] for row in _read(tmp_path / f"out{suffix}")] == [
        row["sample_id"] for row in _read(tmp_path / "out.parquet")
    ]
    assert all(len(row["sample_id"]) == 3 for row in _read(tmp_path / f"out{suffix}"))


def test_a_list_column_ranks_like_wide_columns(tmp_path: Path) -> None:
    wide = _file(tmp_path / "wide.parquet")
    rows = pq.read_table(wide)
    lists = [[row[f"p_{k}"] for k in range(3)] for row in rows.to_pylist()]
    pq.write_table(
        rows.select(["sample_id", "scanner"]).append_column("probs", pa.array(lists)), tmp_path / "l.parquet"
    )

    _rank_file(wide, tmp_path / "a.parquet")
    _rank_file(tmp_path / "l.parquet", tmp_path / "b.parquet")

    assert _read(tmp_path / "a.parquet") == _read(tmp_path / "b.parquet")


def test_ids_of_an_exclude_file_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "done.csv").write_text("sample_id,label\n" + "".join(f"{i:03d},x\n" for i in range(45)))

    report = _rank_file(_file(tmp_path / "p.parquet"), tmp_path / "o.jsonl", exclude=tmp_path / "done.csv")

    assert (report.excluded, report.ranked) == (45, 5)
    assert {row["sample_id"] for row in _read(tmp_path / "o.jsonl")} == {f"{i:03d}" for i in range(45, 50)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slice_column": "site"}, "expected the slice column site"),
        ({"budget": 0}, "found budget 0"),
        ({"random_share": 1.5}, "found a random share of 1.5"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        _rank_file(_file(tmp_path / "p.parquet"), tmp_path / "o.csv", **changes)

    assert [path.name for path in tmp_path.iterdir()] == ["p.parquet"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "id,p_a\n1,0.5\n", "expected sample_id among them"),
        ("p.csv", "sample_id,p_a,p_b\nx,0.5,high\n", "p.csv: In CSV column.*high"),
        ("p.csv", "sample_id,p_a,p_a\nx,0.5,0.5\n", "p_a more than once"),
        ("p.csv", "", "line 1"),
        ("p.jsonl", "[1]\n", "found list, expected a JSON object"),
        ("p.jsonl", '{"sample_id": "x", "p_a": "y", "p_b": 1}\n', "p.jsonl: JSON parse error"),
        ("p.parquet", "not parquet", "found no readable Parquet file"),
        ("p.txt", "x", "found suffix '.txt'"),
    ],
)
def test_a_broken_file_is_named_with_what_was_expected(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(InvalidInput, match=message):
        _rank_file(tmp_path / name, tmp_path / "o.csv", slice_column=None)

    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("p_0", ["high"] * 50, "column p_0: found type string, expected numbers"),
        ("scanner", [["a"]] * 50, "column scanner: found type list.*, expected text"),
        ("embedding", [1.0] * 50, "column embedding: found type double, expected lists of numbers"),
    ],
)
def test_a_parquet_column_of_another_type_is_named(
    tmp_path: Path, name: str, values: list[object], message: str
) -> None:
    path = _file(tmp_path / "p.parquet", **{name: values})

    with pytest.raises(InvalidInput, match=message):
        _rank_file(path, tmp_path / "o.csv", strategy="margin_kmeans")


def test_number_ids_and_number_slices_of_a_parquet_file_are_taken_as_text(tmp_path: Path) -> None:
    path = _file(tmp_path / "p.parquet", sample_id=list(range(50)), scanner=[i % 2 for i in range(50)])

    report = _rank_file(path, tmp_path / "o.jsonl")

    assert [share.value for share in report.slices] == ["0", "1"]
    assert all(isinstance(row["sample_id"], str) for row in _read(tmp_path / "o.jsonl"))


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nothing\.csv"):
        _rank_file(tmp_path / "nothing.csv", tmp_path / "o.csv")


def test_writing_replaces_the_earlier_ranking(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("old")

    _rank_file(_file(tmp_path / "p.csv"), tmp_path / "o.csv")

    assert len(_read(tmp_path / "o.csv")) == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.csv", "p.csv"]


def test_the_day_is_part_of_the_manifest_and_the_newest_version_wins() -> None:
    lake = MemoryLake()
    ingest(lake, [raw("x", digest="d1", day=date(2026, 11, 20)), raw("x", digest="d2", day=DAY), raw("y")])

    rank_day(project_of(), day=DAY, seed=1, lake=lake, ledger=BatchedSamples())

    assert {(row["sample_id"], row["digest"]) for row in _ranked(lake)} == {("x", "d2"), ("y", "d1")}
