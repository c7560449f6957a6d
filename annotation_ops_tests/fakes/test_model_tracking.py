from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from annotation_ops.adapters.mlops.metric_history import Logged, to_observations
from annotation_ops.domain.errors import TransientError
from annotation_ops.ports.model_tracking import ModelVersion
from annotation_ops_tests.contracts.model_tracking import EXPERIMENT, MODEL, ModelTrackingContract, TrackingBench
from annotation_ops_tests.fakes.model_tracking import FixedScorer, MemoryTracking

START = datetime(2026, 11, 23, tzinfo=UTC)


class MemoryBench(TrackingBench):
    def __init__(self) -> None:
        self.tracking: MemoryTracking = MemoryTracking()
        self._made = 0

    def log_run(self, metrics: Mapping[str, float], *, model_version: str = "1", model: str = MODEL) -> str:
        self._made += 1
        run_id = f"run-{self._made}"
        points = {key: [Logged(0, self._made, value)] for key, value in metrics.items()}
        items = to_observations(points, model=model, model_version=model_version, run_id=run_id)
        self.tracking.log(EXPERIMENT, model, items)
        return run_id

    def register_version(self) -> str:
        self._made += 1
        version = ModelVersion(MODEL, str(self._made), "run", START + timedelta(seconds=self._made))
        self.tracking.register(version)
        return version.version


class TestMemoryTracking(ModelTrackingContract):
    @pytest.fixture
    def bench(self) -> MemoryBench:
        return MemoryBench()


def test_a_tracker_that_went_away_answers_nothing() -> None:
    tracking = MemoryTracking()
    tracking.go_away()

    with pytest.raises(TransientError):
        tracking.latest_model(MODEL)


def test_a_fixed_scorer_gives_one_row_a_sample() -> None:
    scorer = FixedScorer({"7": 0.8, "3": 0.2})

    assert np.array_equal(scorer.predict_proba(["a", "b"]), [[0.8, 0.2], [0.8, 0.2]])
