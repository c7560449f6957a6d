"""Against a real `mlflow server` process on loopback."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from annotation_ops.adapters.mlops.mlflow_tracking import MlflowTracking
from annotation_ops.domain.errors import TransientError
from annotation_ops_tests.adapters.mlops.mlflow_bench import SQLALCHEMY_21, MlflowBench
from annotation_ops_tests.adapters.mlops.test_mlflow_tracking import free_port
from annotation_ops_tests.contracts.model_tracking import COMMIT, EXPERIMENT, LABELS, MODEL, by_slice, drain

pytestmark = [pytest.mark.slow, SQLALCHEMY_21]

START_SECONDS = 300
"""Measured: 15 s on an idle machine, 190 s on one with twenty jobs."""

TRAINING = """
import sys
import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment(sys.argv[2])
model = LogisticRegression(max_iter=1000).fit(*load_iris(return_X_y=True))
with mlflow.start_run():
    mlflow.sklearn.log_model(
        model, name="model", registered_model_name=sys.argv[3], serialization_format="skops", pip_requirements=[]
    )
"""


def environment(home: Path) -> dict[str, str]:
    return os.environ | {
        "HOME": str(home),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "OMP_NUM_THREADS": "1",
    }


def wait_until_it_answers(uri: str, process: "subprocess.Popen[bytes]") -> None:
    tracking = MlflowTracking(uri)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            tracking.latest_model(MODEL)
        except TransientError:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(1)
        else:
            return


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = [
        "--backend-store-uri",
        f"sqlite:///{tmp_path / 'm.sqlite'}",
        "--artifacts-destination",
        str(tmp_path / "a"),
    ]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen([*command, *stores], stdout=log, stderr=log, env=environment(tmp_path), cwd=tmp_path)
        try:
            uri = f"http://127.0.0.1:{port}"
            wait_until_it_answers(uri, process)
            yield uri, process
        finally:
            process.terminate()
            process.wait(timeout=60)


def test_the_whole_port_works_over_http(server: tuple[str, "subprocess.Popen[bytes]"], tmp_path: Path) -> None:
    uri, process = server
    bench = MlflowBench(uri, tmp_path, server=True)

    run_id = bench.log_run({"accuracy": 0.9, "n": 40, "slice/scanner:b/accuracy": 0.5, "slice/scanner:b/n": 8})
    items, cursor = drain(bench.tracking)
    assert by_slice(items) == {("", "accuracy"): (0.9, 40), ("scanner:b", "accuracy"): (0.5, 8)}
    assert drain(bench.tracking, cursor) == ([], cursor)

    bench.tracking.tag_run(run_id, {"annotation_ops.incident": "abc"})
    assert bench.client.get_run(run_id).data.tags["annotation_ops.incident"] == "abc"

    first, second = (
        bench.tracking.log_label_commit(COMMIT, LABELS, experiment=EXPERIMENT, uri="/lake", lake_version=1)
        for _ in "12"
    )
    assert first == second

    subprocess.run(
        [sys.executable, "-c", TRAINING, uri, EXPERIMENT, MODEL],
        check=True, capture_output=True, env=environment(tmp_path), cwd=tmp_path, timeout=300,
    )  # fmt: skip
    latest = bench.tracking.latest_model(MODEL)
    assert latest is not None
    scores = bench.tracking.load_scorer(latest).predict_proba(np.array([[5.1, 3.5, 1.4, 0.2]]))
    assert scores.argmax() == 0

    process.terminate()
    process.wait(timeout=60)
    with pytest.raises(TransientError, match="did not answer"):
        drain(bench.tracking, cursor)
