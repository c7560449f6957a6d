import json
import math
import socket
import threading
import time

import pytest
from mlflow.entities import Metric

from annotation_ops.adapters.mlops.mlflow_tracking import MlflowTracking
from annotation_ops.domain.errors import InvalidInput, PermanentError, TransientError
from annotation_ops_tests.adapters.mlops.mlflow_bench import SQLALCHEMY_21, MlflowBench
from annotation_ops_tests.contracts.model_tracking import (
    COMMIT,
    EXPERIMENT,
    LABELS,
    MODEL,
    ModelTrackingContract,
    by_slice,
    drain,
)

pytestmark = SQLALCHEMY_21


class TestMlflowOnSqlite(ModelTrackingContract):
    @pytest.fixture
    def bench(self, mlflow_bench: MlflowBench) -> MlflowBench:
        return mlflow_bench


def test_every_step_is_one_evaluation_in_time_order(mlflow_bench: MlflowBench) -> None:
    mlflow_bench.log_points(
        [
            Metric("accuracy", 0.9, 5_000, 1),
            Metric("n", 300, 5_004, 1),
            Metric("accuracy", 0.8, 9_000, 2),
            Metric("n", 200, 8_990, 2),
        ]
    )

    items, _ = drain(mlflow_bench.tracking)

    assert [(item.value, item.n, item.observed_at.timestamp()) for item in items] == [(0.9, 300, 5.0), (0.8, 200, 8.99)]


def test_a_step_logged_twice_counts_once_with_its_later_value(mlflow_bench: MlflowBench) -> None:
    mlflow_bench.log_points([Metric("accuracy", 0.7, 6_000, 1), Metric("accuracy", 0.9, 5_000, 1)])

    items, _ = drain(mlflow_bench.tracking)

    assert [item.value for item in items] == [0.7]


def test_runs_that_are_not_finished_wait(mlflow_bench: MlflowBench) -> None:
    running = mlflow_bench.log_points([Metric("accuracy", 0.9, 5_000, 0)], status="RUNNING")
    mlflow_bench.log_points([Metric("accuracy", 0.1, 5_000, 0)], status="FAILED")
    items, cursor = drain(mlflow_bench.tracking)
    assert items == []

    mlflow_bench.client.set_terminated(running)

    assert [item.run_id for item in drain(mlflow_bench.tracking, cursor)[0]] == [running]


def test_a_run_that_finished_before_the_last_one_read_is_not_lost(mlflow_bench: MlflowBench) -> None:
    """Its end time was written by a machine whose clock is 20 minutes behind."""
    mlflow_bench.log_run({"accuracy": 0.9})
    _, cursor = drain(mlflow_bench.tracking)
    late = mlflow_bench.log_points([Metric("accuracy", 0.8, 5_000, 0)], status="RUNNING")
    mlflow_bench.client.set_terminated(late, end_time=int(time.time() * 1000) - 20 * 60_000)

    items, _ = drain(mlflow_bench.tracking, cursor)

    assert [item.run_id for item in items] == [late]


def test_more_runs_than_a_page_are_read_once_each(mlflow_bench: MlflowBench) -> None:
    runs = [mlflow_bench.log_run({"accuracy": 0.9}) for _ in range(8)]
    tracking = MlflowTracking(mlflow_bench.uri, page_runs=3)

    first = tracking.observations(experiment=EXPERIMENT, model=MODEL, since=None)
    items, _ = drain(tracking)

    assert len(first.items) == 3
    assert [item.run_id for item in items] == runs


def test_system_metrics_and_foreign_names_are_left_alone(mlflow_bench: MlflowBench) -> None:
    mlflow_bench.log_run({"system/cpu": 5.0, "slice/nonsense/accuracy": 0.1, "accuracy": 0.9})

    items, _ = drain(mlflow_bench.tracking)

    assert by_slice(items) == {("", "accuracy"): (0.9, None)}


@pytest.mark.parametrize("count", [math.nan, math.inf, -3.0])
def test_a_count_that_is_none_is_unknown(mlflow_bench: MlflowBench, count: float) -> None:
    mlflow_bench.log_run({"accuracy": 0.9, "n": count})

    items, _ = drain(mlflow_bench.tracking)

    assert [item.n for item in items] == [None]


@pytest.mark.parametrize("cursor", ["yesterday", '{"end": 5}', "[1]"])
def test_a_cursor_of_another_kind_is_refused(mlflow_bench: MlflowBench, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="expected one that"):
        mlflow_bench.tracking.observations(experiment=EXPERIMENT, model=MODEL, since=cursor)


def test_a_model_name_cannot_break_out_of_the_search(mlflow_bench: MlflowBench) -> None:
    mlflow_bench.log_run({"accuracy": 0.9})

    with pytest.raises(InvalidInput, match="without quotes"):
        mlflow_bench.tracking.observations(experiment=EXPERIMENT, model="x' or tags.a = 'b", since=None)


def test_the_production_alias_wins_over_the_newest_version(mlflow_bench: MlflowBench) -> None:
    first = mlflow_bench.register_version()
    mlflow_bench.register_version()
    mlflow_bench.client.set_registered_model_alias(MODEL, "production", first)

    latest = mlflow_bench.tracking.latest_model(MODEL)

    assert latest is not None
    assert latest.version == first


def test_a_label_commit_is_a_dataset_that_names_its_table_version(mlflow_bench: MlflowBench) -> None:
    for _ in range(2):
        run_id = mlflow_bench.tracking.log_label_commit(
            COMMIT, LABELS, experiment=EXPERIMENT, uri="/lake/gold_labels", lake_version=4
        )

    run = mlflow_bench.client.get_run(run_id)
    (dataset_input,) = run.inputs.dataset_inputs
    dataset = dataset_input.dataset
    assert dataset.name == "digits/2026-11-23-active-01.a2"
    assert COMMIT.commit_id.startswith(dataset.digest)
    assert json.loads(dataset.source) == {"delta_table_version": 4, "path": "/lake/gold_labels"}
    assert run.data.tags["annotation_ops.label_commit"] == COMMIT.commit_id
    assert run.info.status == "FINISHED"


def test_tags_are_set_and_setting_them_again_changes_nothing(mlflow_bench: MlflowBench) -> None:
    run_id = mlflow_bench.log_run({"accuracy": 0.9})

    for _ in range(2):
        mlflow_bench.tracking.tag_run(run_id, {"annotation_ops.incident": "abc"})

    assert mlflow_bench.client.get_run(run_id).data.tags["annotation_ops.incident"] == "abc"


def test_no_global_state_is_touched(mlflow_bench: MlflowBench) -> None:
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow_bench.tracking.log_label_commit(COMMIT, LABELS, experiment=EXPERIMENT, uri="/lake", lake_version=1)

    assert mlflow.get_tracking_uri() == before
    assert mlflow.active_run() is None


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_dead_port_is_a_transient_error_and_soon_and_shows_no_password() -> None:
    tracking = MlflowTracking(f"http://me:hunter2@127.0.0.1:{free_port()}")

    started = time.monotonic()
    with pytest.raises(TransientError, match=r"MLflow at http://127\.0\.0\.1:\d+ did not answer") as caught:
        tracking.latest_model(MODEL)

    assert time.monotonic() - started < 5
    assert "hunter2" not in str(caught.value)


def test_something_that_speaks_no_http_is_a_transient_error() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(1024)
                peer.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        speaker = threading.Thread(target=answer)
        speaker.start()
        with pytest.raises(TransientError, match="did not answer"):
            MlflowTracking(f"http://127.0.0.1:{port}").latest_model(MODEL)
        speaker.join()


def test_what_mlflow_refuses_is_permanent(mlflow_bench: MlflowBench) -> None:
    with pytest.raises(PermanentError) as caught:
        mlflow_bench.tracking.tag_run(mlflow_bench.log_run({"accuracy": 0.9}), {"a" * 300: "x"})

    assert not isinstance(caught.value, TransientError)
