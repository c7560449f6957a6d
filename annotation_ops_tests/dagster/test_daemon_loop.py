"""The loop without a hand on it: a real daemon, images that appear in a watched place, rows in the feature table."""

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars
import pytest
from deltalake.exceptions import TableNotFoundError

from annotation_ops.demo import digits
from annotation_ops.domain.batches import BatchState
from annotation_ops_tests.dagster.deployment import OTHERS_WARNINGS, Deployment, deployment
from annotation_ops_tests.dagster.server import DagsterServer, dagster_server
from annotation_ops_tests.s3 import KEYS, s3_server

pytestmark = [pytest.mark.slow, *OTHERS_WARNINGS]

SENSORS = ("digits_new_data", "digits_conductor", "digits_degradation")
PATIENCE_SECONDS = 300.0
IMAGES = 80


def experienced(here: Deployment) -> Deployment:
    """With people who know the form: a first batch is rarely rejected, and the time is the machinery's."""
    here.edit("simulation.yaml", "accuracy_times: 0.75", "accuracy_times: 1.0")
    here.edit("criteria.yaml", "threshold: 0.85", "threshold: 0.75")
    here.edit("criteria.yaml", "max_share_below: 0.10", "max_share_below: 0.30")
    return here


def feature_rows(uri: str, options: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """What anyone reads who knows nothing of this project: the Delta table behind the URI."""
    try:
        return polars.read_delta(uri, storage_options=dict(options or {})).to_dicts()
    except (TableNotFoundError, FileNotFoundError):
        return []


def drop_and_wait(here: Deployment, server: DagsterServer, uri: str, options: Mapping[str, str] | None = None) -> float:
    """Drops images into today's folder, touches nothing more, and returns the seconds until the first feature row."""
    server.start_sensors(*SENSORS)
    with here.parts() as parts:
        here.deliver(parts, digits.load(seed=0).pool[:IMAGES], day=datetime.now(UTC).date())
    dropped = time.monotonic()
    while time.monotonic() - dropped < PATIENCE_SECONDS:
        if feature_rows(uri, options):
            return time.monotonic() - dropped
        time.sleep(1.0)
    states = [(run["jobName"], run["status"]) for run in server.runs()]
    errors = {name: server.sensor_errors(name) for name in SENSORS}
    raise AssertionError(f"no feature row after {PATIENCE_SECONDS:g} s; runs: {states}; failed ticks: {errors}")


def failed_jobs(server: DagsterServer) -> list[str]:
    return [run["jobName"] for run in server.runs() if run["status"] == "FAILURE"]


def settle(server: DagsterServer) -> None:
    """Waits until no run is under way, so that what is judged next is not half done."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(run["status"] not in ("SUCCESS", "FAILURE", "CANCELED") for run in server.runs()):
        assert time.monotonic() < deadline, server.runs()
        time.sleep(1.0)


def check_outcome(here: Deployment, server: DagsterServer, rows: list[dict[str, Any]]) -> None:
    with here.parts() as parts:
        attempts = parts.ledger.attempts("digits")
        rejected = sum(
            attempt.state in (BatchState.FAILED, BatchState.ESCALATED) or attempt.number > 1 for attempt in attempts
        )
        assert any(attempt.state is BatchState.PUBLISHED for attempt in attempts), attempts
    failed = failed_jobs(server)
    assert set(failed) <= {"digits_judge"}
    assert len(failed) <= rejected
    assert {name: server.sensor_errors(name) for name in SENSORS} == {name: [] for name in SENSORS}
    truth = {
        str(digits.object_key(datetime.now(UTC).date(), index)): digits.load(seed=0).labels[index]
        for index in digits.load(seed=0).pool[:IMAGES]
    }
    right = sum(truth["/".join(row["source_uri"].split("/")[-2:])] == row["label"] for row in rows)
    assert len({row["entity_id"] for row in rows}) == len(rows)
    assert right >= 0.9 * len(rows)


def test_images_dropped_into_a_folder_become_feature_rows_and_nobody_touches_anything(tmp_path: Path) -> None:
    here = experienced(deployment(tmp_path / "home", start=datetime.now(UTC).date() - timedelta(days=2)))
    with dagster_server(here.home, here.environment) as server:
        seconds = drop_and_wait(here, server, f"{here.settings.lake}/label_features")
        settle(server)
        print(f"\nfolder: {seconds:.1f} s from the drop to the first feature row")
        check_outcome(here, server, feature_rows(f"{here.settings.lake}/label_features"))


def test_images_dropped_into_a_bucket_become_feature_rows_in_a_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with s3_server() as s3:
        bucket = s3.bucket()
        here = deployment(
            tmp_path / "home",
            start=datetime.now(UTC).date() - timedelta(days=2),
            ANNOTATION_OPS_DATA=f"s3://{bucket}/data",
            ANNOTATION_OPS_LAKE=f"s3://{bucket}/lake",
            ANNOTATION_OPS_S3_ENDPOINT=s3.endpoint,
            **KEYS,
        )
        experienced(here)
        lake = f"s3://{bucket}/lake/label_features"
        with dagster_server(here.home, here.environment) as server:
            seconds = drop_and_wait(here, server, lake, s3.storage_options)
            settle(server)
            print(f"\nbucket: {seconds:.1f} s from the drop to the first feature row")
            check_outcome(here, server, feature_rows(lake, s3.storage_options))
        assert not (here.home / "lake").exists()
        assert not (here.home / "data" / "digits").exists()
    assert os.environ["AWS_REGION"] == KEYS["AWS_REGION"]
