"""The hands of whoever trains and evaluates with MLflow."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from annotation_ops.adapters.mlops.mlflow_tracking import MlflowTracking
from annotation_ops_tests.contracts.model_tracking import EXPERIMENT, MODEL, TrackingBench

SQLALCHEMY_21 = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
"""MLflow 3.17 declares one relation in a way that SQLAlchemy 2.1 deprecates."""


class MlflowBench(TrackingBench):
    def __init__(self, uri: str, artifacts: Path, *, server: bool = False) -> None:
        self.uri = uri
        self.artifacts = artifacts
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self.tracking: MlflowTracking = MlflowTracking(uri, artifact_root=None if server else str(artifacts))
        self._server = server

    @property
    def experiment_id(self) -> str:
        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        location = None if self._server else str(self.artifacts / EXPERIMENT)
        return str(self.client.create_experiment(EXPERIMENT, artifact_location=location))

    def log_run(self, metrics: Mapping[str, float], *, model_version: str = "1", model: str = MODEL) -> str:
        at = int(time.time() * 1000)
        points = [Metric(key, value, at, 0) for key, value in metrics.items()]
        return self.log_points(points, model_version=model_version, model=model)

    def log_points(
        self, points: Sequence[Metric], *, model_version: str = "1", model: str = MODEL, status: str = "FINISHED"
    ) -> str:
        tags = {"annotation_ops.model": model, "annotation_ops.model_version": model_version}
        run_id = str(self.client.create_run(self.experiment_id, tags=tags).info.run_id)
        self.client.log_batch(run_id, metrics=points)
        if status != "RUNNING":
            self.client.set_terminated(run_id, status)
        # End times have a resolution of 1 ms, and the order of runs within one is not defined.
        time.sleep(0.002)
        return run_id

    def register_version(self) -> str:
        return self.register_folder("somewhere")

    def register_folder(self, name: str) -> str:
        """Registers what lies in `artifacts/<name>`, as nobody's training would have to."""
        try:
            self.client.create_registered_model(MODEL)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        made = self.client.create_model_version(MODEL, source=(self.artifacts / name).as_uri())
        return str(made.version)
