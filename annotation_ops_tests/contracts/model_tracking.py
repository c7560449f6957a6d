"""What every adapter of the model tracking port must do.

Subclass `ModelTrackingContract` and give it a fixture `bench`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from annotation_ops.domain.errors import NotFound
from annotation_ops.domain.records import LabelCommit
from annotation_ops.ports.model_tracking import MetricObservation, ModelTracking, ModelVersion

EXPERIMENT = "digits-production"
MODEL = "digits"

COMMIT = LabelCommit(
    commit_id="c0ffee" * 10 + "beef",
    project="digits",
    batch_id="2026-11-23-active-01",
    attempt=2,
    n_labels=2,
    parent=None,
    committed_at=datetime(2026, 11, 23, 12, tzinfo=UTC),
)
LABELS = pa.table({"sample_id": ["s1", "s2"], "label": ["7", "3"]})

PAGE_LIMIT = 200
"""A tracker that pages for ever fails instead of hanging."""


class TrackingBench(ABC):
    """A tracker under test, and the hands of whoever trains and evaluates."""

    tracking: ModelTracking

    @abstractmethod
    def log_run(self, metrics: Mapping[str, float], *, model_version: str = "1", model: str = MODEL) -> str:
        """One finished run of the experiment with these metrics, e.g. `slice/scanner:b/accuracy`; its id."""

    @abstractmethod
    def register_version(self) -> str:
        """A further version of the registered model; its number."""


def drain(tracking: ModelTracking, since: str | None = None) -> tuple[list[MetricObservation], str | None]:
    """Every observation behind the cursor, and the cursor at the end."""
    found: list[MetricObservation] = []
    for _ in range(PAGE_LIMIT):
        page = tracking.observations(experiment=EXPERIMENT, model=MODEL, since=since)
        if not page.items and page.next_cursor == (since or ""):
            return found, since
        found += page.items
        since = page.next_cursor
    raise AssertionError(f"more than {PAGE_LIMIT} pages")


def by_slice(items: Sequence[MetricObservation]) -> dict[tuple[str, str], tuple[float, int | None]]:
    return {(item.slice, item.metric): (item.value, item.n) for item in items}


class ModelTrackingContract:
    def test_a_slice_metric_comes_with_its_own_count(self, bench: TrackingBench) -> None:
        run = bench.log_run(
            {"accuracy": 0.9, "n": 400, "slice/scanner:b/accuracy": 0.75, "slice/scanner:b/n": 40}, model_version="3"
        )

        items, _ = drain(bench.tracking)

        assert by_slice(items) == {("", "accuracy"): (0.9, 400), ("scanner:b", "accuracy"): (0.75, 40)}
        assert {(item.run_id, item.model_version) for item in items} == {(run, "3")}
        assert len({item.observed_at for item in items}) == 1

    def test_nothing_comes_twice_and_nothing_is_left_out_across_pages(self, bench: TrackingBench) -> None:
        runs = [bench.log_run({"accuracy": 0.9, "n": 10 + i}) for i in range(5)]

        items, cursor = drain(bench.tracking)

        assert [item.run_id for item in items] == runs
        assert drain(bench.tracking, cursor) == ([], cursor)
        late = bench.log_run({"accuracy": 0.8, "n": 5})
        assert [item.run_id for item in drain(bench.tracking, cursor)[0]] == [late]

    def test_another_models_runs_are_not_seen(self, bench: TrackingBench) -> None:
        bench.log_run({"accuracy": 0.1}, model="somebody-elses")

        assert drain(bench.tracking) == ([], None)

    def test_a_value_that_is_no_number_arrives_as_one(self, bench: TrackingBench) -> None:
        bench.log_run({"accuracy": math.nan, "n": 10, "slice/scanner:b/accuracy": math.inf})

        items, _ = drain(bench.tracking)

        found = by_slice(items)
        assert math.isnan(found["", "accuracy"][0])
        assert found["scanner:b", "accuracy"] == (math.inf, None)

    def test_an_unknown_model_has_no_latest_version(self, bench: TrackingBench) -> None:
        assert bench.tracking.latest_model("nobody-registered-this") is None

    def test_the_newest_version_is_the_latest(self, bench: TrackingBench) -> None:
        bench.register_version()
        second = bench.register_version()

        latest = bench.tracking.latest_model(MODEL)

        assert isinstance(latest, ModelVersion)
        assert (latest.name, latest.version) == (MODEL, second)

    def test_the_same_label_commit_gives_the_same_run(self, bench: TrackingBench) -> None:
        first, second = (
            bench.tracking.log_label_commit(COMMIT, LABELS, experiment=EXPERIMENT, uri="/lake/gold", lake_version=4)
            for _ in range(2)
        )

        assert first == second

    def test_a_missing_run_cannot_be_tagged(self, bench: TrackingBench) -> None:
        with pytest.raises(NotFound):
            bench.tracking.tag_run("0" * 32, {"annotation_ops.incident": "x"})
