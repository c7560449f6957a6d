"""Bad input at the doors: each is refused in words that help, nothing is lost and nothing is half-written."""

import json
import shutil
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from annotation_ops.adapters.media_decoder import ChildDecoder
from annotation_ops.adapters.mlops.mlflow_tracking import MlflowTracking
from annotation_ops.adapters.storage.local_folder import LocalFolder
from annotation_ops.cli.main import cli
from annotation_ops.domain.errors import InvalidDocument, TransientError, UnsafeInput
from annotation_ops.domain.project.sources import Scoring
from annotation_ops.domain.records import SYSTEM_ACTOR
from annotation_ops.domain.tables import PREDICTIONS, RAW_SAMPLES
from annotation_ops.services.monitor import observe
from annotation_ops.services.predict import predict_day
from annotation_ops_tests.cli.test_main import run
from annotation_ops_tests.dagster.deployment import OTHERS_WARNINGS, definitions, deployment
from annotation_ops_tests.domain.project.examples import PROJECTS
from annotation_ops_tests.fakes.clock import ManualClock
from annotation_ops_tests.services.ingest_bench import DAY, Bench, metadata, png
from annotation_ops_tests.services.loop import with_scoring
from annotation_ops_tests.services.workshop import DAY as SHOP_DAY
from annotation_ops_tests.services.workshop import Workshop

pytestmark = [*OTHERS_WARNINGS]


def status(home: Path, *, projects: Path = PROJECTS) -> Result:
    env = {"ANNOTATION_OPS_HOME": str(home), "ANNOTATION_OPS_PROJECTS": str(projects), "ANNOTATION_OPS_LEDGER": None}
    return CliRunner(env=env).invoke(cli, ["status", "digits", "--json"])


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    workshop = Workshop.build(tmp_path / "home")
    yield workshop
    workshop.ledger.close()


def test_broken_yaml_is_named_by_file_and_line_and_stops_before_any_work(tmp_path: Path) -> None:
    projects = tmp_path / "projects"
    shutil.copytree(PROJECTS / "digits", projects / "digits")
    (projects / "digits" / "criteria.yaml").write_text("version: 1.0.0\nstatistic: [unclosed\n")

    checked = CliRunner(env={"ANNOTATION_OPS_PROJECTS": str(projects)}).invoke(cli, ["validate"])
    used = status(tmp_path / "home", projects=projects)

    assert checked.exit_code == 2
    assert "criteria.yaml: line 3" in checked.stdout
    assert "found" in checked.stdout
    assert "expected" in checked.stdout
    assert isinstance(used.exception, InvalidDocument)
    assert "criteria.yaml: line 3" in str(used.exception)
    assert (
        CliRunner(env={"ANNOTATION_OPS_HOME": str(tmp_path / "home")})
        .invoke(cli, ["audit", "verify"])
        .stdout.startswith("whole: 0 entries")
    )


def test_contract_breakers_and_a_corrupt_image_are_counted_by_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    decoder = ChildDecoder()
    bench = Bench(tmp_path / "home", decoder)
    try:
        bench.fill(3)
        bench.put(f"{DAY}/corrupt.png", png(1)[:-20], metadata(1))
        bench.put(f"{DAY}/bare.png", png(2), None)
        bench.put(f"{DAY}/scanner.png", png(3), metadata(1) | {"scanner": "z"})

        bench.ingest()

        reasons = {item.key.rpartition("/")[2]: item.reason for item in bench.ledger.quarantined("digits")}
    finally:
        bench.ledger.close()
        decoder.close()
    (report,) = json.loads(status(bench.root).stdout)
    assert report["quarantined"] == {
        "sample: undecodable": 1,
        "sample: missing_metadata": 1,
        "sample: bad_metadata": 1,
    }
    assert len(bench.rows()) == 3
    assert all((bench.root / "raw" / f"{DAY}/{name}").exists() for name in reasons), "raw data stays where it is"
    assert "scanner" in reasons["scanner.png"]
    assert "expected" in reasons["scanner.png"]


def bomb(path: Path) -> Path:
    """Five kilobytes on disk, ten gigabytes of strings when read: a dictionary of one value, referred to 10,000 times."""
    strings = pa.DictionaryArray.from_arrays(pa.array(np.zeros(10_000, dtype=np.int32)), pa.array(["x" * (1 << 20)]))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.table({"sample_id": strings, **{f"p_{label}": [0.1] * 10_000 for label in range(10)}}),
        path,
        compression="zstd",
        store_schema=False,
        dictionary_pagesize_limit=2 << 20,
        write_statistics=False,
    )
    return path


def test_a_tiny_file_that_unpacks_to_gigabytes_ends_rank_with_2_and_writes_nothing(tmp_path: Path) -> None:
    source = bomb(tmp_path / "predictions.parquet")
    assert source.stat().st_size < 5_000

    done = run("rank", str(source), "--budget", "5", "--strategy", "random", "--out", "next.csv", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {source}: ")
    assert "expected" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.parquet"]


def test_such_a_file_as_prediction_log_is_refused_by_its_address_and_leaves_the_earlier_predictions(
    shop: Workshop,
) -> None:
    logs = LocalFolder(shop.home / "logs")
    path = bomb(shop.home / "logs" / f"{SHOP_DAY}.parquet")
    project = with_scoring(shop.project, Scoring(model=None, features=None, width=0, height=0, log_uri="logs"))
    partition = {"project": "digits", "day": SHOP_DAY.isoformat()}
    kept = {name: [None] for name in PREDICTIONS.schema.names} | {"sample_id": ["s000"]}
    kept |= {"project": ["digits"], "day": [SHOP_DAY.isoformat()]}
    shop.lake.overwrite_partition(PREDICTIONS, pa.table(kept, schema=PREDICTIONS.schema), partition=partition)

    with pytest.raises(UnsafeInput) as refused:
        predict_day(
            project,
            day=SHOP_DAY,
            lake=shop.lake,
            ledger=shop.ledger,
            tracking=None,
            store=logs,
            decoder=ChildDecoder(),
            logs=logs,
        )

    assert str(refused.value).startswith(f"{logs.uri(path.name)}: ")
    assert "expected" in str(refused.value)
    assert shop.lake.read(PREDICTIONS, partition=partition).column("sample_id").to_pylist() == ["s000"]


@pytest.fixture
def dead_mlflow() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def test_without_its_mlflow_server_a_day_is_not_scored_and_the_error_may_be_tried_again(
    shop: Workshop, dead_mlflow: str
) -> None:
    with pytest.raises(TransientError) as refused:
        predict_day(
            shop.project,
            day=SHOP_DAY,
            lake=shop.lake,
            ledger=shop.ledger,
            tracking=MlflowTracking(dead_mlflow),
            store=LocalFolder(shop.home),
            decoder=ChildDecoder(),
        )

    assert str(refused.value).startswith(f"MLflow at {dead_mlflow} did not answer")
    assert str(refused.value).endswith("expected a server. Start it, or set MLFLOW_TRACKING_URI.")
    partition = {"project": "digits", "day": SHOP_DAY.isoformat()}
    assert shop.lake.read(PREDICTIONS, partition=partition).num_rows == 0
    assert shop.lake.read(RAW_SAMPLES, partition=partition).num_rows == 6


def test_without_its_mlflow_server_watching_stands_still_and_loses_no_place(shop: Workshop, dead_mlflow: str) -> None:
    before = shop.ledger.audit_entries()

    with pytest.raises(TransientError, match="Start it, or set MLFLOW_TRACKING_URI"):
        observe(
            shop.project,
            tracking=MlflowTracking(dead_mlflow),
            lake=shop.lake,
            ledger=shop.ledger,
            now=shop.clock.now(),
        )

    assert shop.ledger.cursor("monitor:digits") is None
    assert shop.ledger.audit_entries() == before


def test_an_unknown_label_from_the_platform_is_kept_aside_with_its_reason_and_shown(shop: Workshop) -> None:
    shop.send()
    shop.work()
    shop.relabel(0, "seven")

    shop.collect()

    (item,) = shop.ledger.quarantined("digits", "annotation")
    assert item.reason.startswith("found label 'seven', expected one of 0, 1, 2")
    assert item.body["value"] == {"label": "seven"}
    (report,) = json.loads(status(shop.home).stdout)
    assert report["quarantined"] == {"annotation: unknown_label": 1}
    answers = {annotation.value["label"] for annotation in shop.annotations()}
    assert "seven" not in answers
    assert len(shop.annotations()) == 6 * shop.project.workflow.overlap - 1


def test_a_clock_that_went_back_makes_the_conductor_skip_with_both_times(tmp_path: Path) -> None:
    clock = ManualClock()
    here = deployment(tmp_path / "home", start=clock.now().date())
    with here.parts(clock) as parts, dg.DagsterInstance.ephemeral() as instance:
        with parts.ledger.transaction(actor=SYSTEM_ACTOR, at=clock.now()) as tx:
            tx.audit("test.entry", "digits", {})
        written = clock.now()
        clock.advance(-timedelta(minutes=10))
        context = dg.build_sensor_context(
            instance=instance, resources={"annotation_ops": parts}, sensor_name="digits_conductor"
        )

        result = definitions(here.project, parts).resolve_sensor_def("digits_conductor")(context)

    assert isinstance(result, dg.SensorResult)
    assert not result.run_requests
    said = str(getattr(result.skip_reason, "skip_message", result.skip_reason))
    assert said.startswith("the clock went back")
    assert written.isoformat() in said
    assert clock.now().isoformat() in said
