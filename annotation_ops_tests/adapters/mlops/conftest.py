"""A real MLflow on SQLite, without a server: MLflow's migrations run once a session, each test gets a copy of the file."""

import shutil
from pathlib import Path

import pytest

from annotation_ops_tests.adapters.mlops.mlflow_bench import MlflowBench


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "empty.sqlite"
    uri = f"sqlite:///{path}"
    MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
    return path


@pytest.fixture
def mlflow_bench(empty_mlflow: Path, tmp_path: Path) -> MlflowBench:
    shutil.copy(empty_mlflow, tmp_path / "mlflow.sqlite")
    return MlflowBench(f"sqlite:///{tmp_path / 'mlflow.sqlite'}", tmp_path / "artifacts")
