"""The demo's training, as a user would write it: labels from the feature table, a scikit-learn model into MLflow.

`monitor.yaml` names `train`; the training trigger calls it with a pinned version of the table.
"""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from annotation_ops.adapters.mlops.function_trigger import TrainingContext
from annotation_ops.bootstrap import object_store, open_lake
from annotation_ops.demo import digits
from annotation_ops.domain.tables import LABEL_FEATURES
from annotation_ops.ports.training_trigger import TrainingReceipt, TrainingRequest
from annotation_ops.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

Matrix = NDArray[np.float64]
MAX_BYTES = 262_144
"""As the contract says."""


def train(request: TrainingRequest, context: TrainingContext) -> TrainingReceipt:
    """Trains on the seed set and every published label, and registers the model."""
    settings = Settings.from_environment(os.environ)
    lake = open_lake(request.features_uri.rpartition("/")[0], settings)
    rows = lake.read(LABEL_FEATURES, partition={"project": request.project}, version=request.features_version)
    newest = newest_labels(rows.to_pylist())
    world = digits.load(seed=settings.seed)
    seed_x, seed_y = world.pixels[list(world.seed_set)], [world.labels[index] for index in world.seed_set]
    x = np.vstack([seed_x, *[read_pixels(str(row["source_uri"]), settings) for row in newest]])
    y = [*seed_y, *[str(row["label"]) for row in newest]]
    run_id, version = register(fit(x, y), n_labels=len(y), context=context)
    return TrainingReceipt(request.request_key, run_id, version)


def newest_labels(rows: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """The newest revision of every entity's label, deleted ones left out, ordered by entity."""
    newest: dict[str, Mapping[str, object]] = {}
    for row in sorted(rows, key=lambda row: (str(row["event_timestamp"]), int(str(row["label_revision"])))):
        newest[str(row["entity_id"])] = row
    return [newest[entity] for entity in sorted(newest) if not newest[entity]["is_deleted"]]


def read_pixels(uri: str, settings: Settings) -> Matrix:
    """The image behind a `file://` or `s3://` URI, shape (64,), 0..1."""
    folder, _, name = unquote(uri).rpartition("/")
    body = object_store(folder, settings).read(name, max_bytes=MAX_BYTES)
    with Image.open(io.BytesIO(body)) as image:
        return np.asarray(image.convert("L"), dtype=np.float64).reshape(-1) / 255.0


def fit(x: Matrix, y: Sequence[str]) -> Pipeline:
    """Logistic regression on scaled pixels: x shape (n, 64)."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000)).fit(x, list(y))


def _create_experiment(client: "MlflowClient", context: TrainingContext) -> str:
    """Beside the embedded tracker's database, if it is one: MLflow's own default is the current directory."""
    embedded = context.tracking_uri.startswith("sqlite:///")
    folder = Path(context.tracking_uri.removeprefix("sqlite:///")).parent / "mlartifacts" / context.experiment
    return client.create_experiment(context.experiment, artifact_location=str(folder) if embedded else None)


def register(model: Pipeline, *, n_labels: int, context: TrainingContext) -> tuple[str, str]:
    """Logs the model with skops, which stores no code, and registers it; returns (run id, version)."""
    import mlflow
    from mlflow import MlflowClient

    mlflow.set_tracking_uri(context.tracking_uri)
    mlflow.set_registry_uri(context.registry_uri)
    client = MlflowClient(context.tracking_uri, context.registry_uri)
    experiment = client.get_experiment_by_name(context.experiment)
    experiment_id = experiment.experiment_id if experiment else _create_experiment(client, context)
    run = client.create_run(experiment_id, run_name="training", tags=dict(context.run_tags))
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_param("n_labels", n_labels)
        info = mlflow.sklearn.log_model(model, name="model", serialization_format="skops", pip_requirements=[])
    if not client.search_registered_models(f"name = '{context.model}'"):
        client.create_registered_model(context.model)
    version = client.create_model_version(context.model, info.model_uri, run_id=run.info.run_id, model_id=info.model_id)
    return run.info.run_id, str(version.version)
