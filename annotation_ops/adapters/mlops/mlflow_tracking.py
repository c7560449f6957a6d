"""MLflow as the model tracker, over `MlflowClient` alone: no global tracking address, no active run.

What a monitored run must carry (docs/monitoring.md): tags `annotation_ops.model` and `annotation_ops.model_version`;
metrics `accuracy` and `n` overall, `slice/<name>:<value>/accuracy` and `slice/<name>:<value>/n` by slice; status FINISHED.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from annotation_ops.adapters.mlops.metric_history import EPOCH, Logged, parse_key, to_observations
from annotation_ops.adapters.mlops.mlflow_connection import MlflowConnection
from annotation_ops.adapters.mlops.skops_scorer import MAX_DESCRIPTION_BYTES, MAX_MODEL_BYTES, model_file, read_scorer
from annotation_ops.domain.errors import InvalidInput, NotFound, UnsafeInput
from annotation_ops.domain.records import LabelCommit
from annotation_ops.ports.model_tracking import MetricObservation, ModelTracking, ModelVersion, ObservationPage, Scorer

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion as MlflowModelVersion

MODEL_TAG = "annotation_ops.model"
MODEL_VERSION_TAG = "annotation_ops.model_version"
LABEL_COMMIT_TAG = "annotation_ops.label_commit"
PRODUCTION = "production"
UNVERSIONED = "unversioned"

PAGE_RUNS = 50
"""Runs behind one page of observations; the history of each metric is a request of its own."""

OVERLAP_MS = 3_600_000
"""1 h: a run's end time is written by the clock of the machine it ran on, and may arrive late."""

DIGEST_LENGTH = 36
"""MLflow's limit; the whole commit id stands in the run's tag."""


@dataclass(frozen=True, slots=True)
class _Cursor:
    """The latest end time read, and which runs within the overlap were read already."""

    end: int
    seen: Mapping[str, int]
    """run id -> end time, ms."""

    @classmethod
    def parse(cls, text: str | None) -> "_Cursor":
        if not text:
            return cls(0, {})
        try:
            stored = json.loads(text)
            return cls(int(stored["end"]), {str(run): int(end) for run, end in stored["seen"].items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(f"found cursor {text[:80]!r}, expected one that observations() returned") from error

    @property
    def horizon(self) -> int:
        return self.end - OVERLAP_MS

    def advanced(self, runs: list["Run"]) -> "_Cursor":
        ends = dict(self.seen) | {run.info.run_id: int(run.info.end_time) for run in runs}
        end = max([self.end, *ends.values()])
        return _Cursor(end, {run: at for run, at in ends.items() if at > end - OVERLAP_MS})

    def text(self) -> str:
        return json.dumps({"end": self.end, "seen": self.seen}, sort_keys=True)


class MlflowTracking(ModelTracking):
    """`tracking_uri` as MLflow takes it: `http(s)://...`, `sqlite:///...`; the registry is the same one unless named."""

    def __init__(
        self,
        tracking_uri: str,
        registry_uri: str | None = None,
        *,
        artifact_root: str | None = None,
        page_runs: int = PAGE_RUNS,
    ) -> None:
        """`artifact_root`: where experiments made here keep their artifacts; None leaves it to the tracking server."""
        self.connection = MlflowConnection(tracking_uri, registry_uri)
        self._artifact_root = artifact_root
        self._page_runs = page_runs

    def latest_model(self, name: str) -> ModelVersion | None:
        with self.connection.client() as client:
            found = _newest_ready(client, name)
        if found is None:
            return None
        return ModelVersion(
            name=name,
            version=str(found.version),
            run_id=found.run_id or "",
            created_at=EPOCH + timedelta(milliseconds=found.creation_timestamp),
        )

    def load_scorer(self, model: ModelVersion) -> Scorer:
        with self.connection.client() as client, tempfile.TemporaryDirectory() as folder:
            uri = client.get_model_version_download_uri(model.name, model.version)
            where = f"model {model.name} version {model.version}"
            sizes = self._sizes(uri)
            description = self._fetch(uri, "MLmodel", sizes, folder, limit=MAX_DESCRIPTION_BYTES, where=where)
            name = model_file(description, where=where)
            data = self._fetch(uri, name, sizes, folder, limit=MAX_MODEL_BYTES, where=where)
        return read_scorer(data, where=f"{where}/{name}")

    def _sizes(self, uri: str) -> dict[str, int | None]:
        """File name -> size of what lies directly in the model folder."""
        import mlflow.artifacts

        entries = mlflow.artifacts.list_artifacts(artifact_uri=uri, tracking_uri=self.connection.tracking_uri)
        return {entry.path.rpartition("/")[2]: entry.file_size for entry in entries if not entry.is_dir}

    def _fetch(
        self, uri: str, name: str, sizes: Mapping[str, int | None], folder: str, *, limit: int, where: str
    ) -> bytes:
        import mlflow.artifacts

        if name not in sizes:
            raise NotFound(f"{where}: found {sorted(sizes)}, expected a file {name}")
        if (sizes[name] or 0) > limit:
            raise UnsafeInput(f"{where}/{name}: found {sizes[name]} bytes, expected at most {limit}")
        fetched = mlflow.artifacts.download_artifacts(
            artifact_uri=f"{uri.rstrip('/')}/{name}",
            dst_path=folder,
            tracking_uri=self.connection.tracking_uri,
            registry_uri=self.connection.registry_uri,
        )
        path = Path(fetched)
        if path.stat().st_size > limit:
            raise UnsafeInput(f"{where}/{name}: found {path.stat().st_size} bytes, expected at most {limit}")
        return path.read_bytes()

    def observations(self, *, experiment: str, model: str, since: str | None) -> ObservationPage:
        """Runs by end time; a run may arrive up to 1 h late, measured by end time, and is still read."""
        cursor = _Cursor.parse(since)
        items: list[MetricObservation] = []
        with self.connection.client() as client:
            runs = list(_unread(client, experiment, model, cursor, limit=self._page_runs))
            for run in runs:
                items.extend(_observations_of(client, run, model))
        if not runs:
            return ObservationPage((), since or "")
        return ObservationPage(tuple(sorted(items, key=lambda o: o.observed_at)), cursor.advanced(runs).text())

    def log_label_commit(
        self, commit: LabelCommit, labels: pa.Table, *, experiment: str, uri: str, lake_version: int
    ) -> str:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        columns = [{"name": field.name, "type": str(field.type), "required": True} for field in labels.schema]
        dataset = Dataset(
            name=f"{commit.project}/{commit.batch_id}.a{commit.attempt}",
            digest=commit.commit_id[:DIGEST_LENGTH],
            source_type="delta_table",
            source=json.dumps({"path": uri, "delta_table_version": lake_version}, sort_keys=True),
            schema=json.dumps({"mlflow_colspec": columns}),
            profile=json.dumps({"num_rows": labels.num_rows, "label_commit": commit.commit_id}),
        )
        with self.connection.client() as client:
            experiment_id = _experiment(client, experiment, self._artifact_root)
            run_id = _labels_run(client, experiment_id, commit)
            client.log_inputs(run_id, datasets=[DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
            client.set_terminated(run_id)
        return run_id

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        with self.connection.client() as client:
            present = client.get_run(run_id).data.tags
            for key, value in tags.items():
                if present.get(key) != value:
                    client.set_tag(run_id, key, value)

    def finished_run(self, *, experiment: str, tag: str, value: str) -> str | None:
        """The id of the oldest finished run with this tag, or None."""
        with self.connection.client() as client:
            found = client.get_experiment_by_name(experiment)
            if found is None:
                return None
            runs = client.search_runs(
                [found.experiment_id],
                f"tags.`{tag}` = {quoted(value)} and attributes.status = 'FINISHED'",
                order_by=["attributes.start_time ASC"],
                max_results=1,
            )
        return str(runs[0].info.run_id) if runs else None

    def version_of_run(self, name: str, run_id: str) -> str | None:
        """The version of the registered model that a run made, or None."""
        with self.connection.client() as client:
            made = client.search_model_versions(f"name = {quoted(name)} and run_id = {quoted(run_id)}", max_results=1)
        return str(made[0].version) if made else None


def quoted(value: str) -> str:
    """A literal of MLflow's search language, which knows no escape. Raises InvalidInput for a value with a quote."""
    if "'" in value:
        raise InvalidInput(f"found {value!r}, expected a name without quotes. MLflow cannot search for it.")
    return f"'{value}'"


def _newest_ready(client: "MlflowClient", name: str) -> "MlflowModelVersion | None":
    from mlflow.exceptions import MlflowException

    try:
        registered = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    if PRODUCTION in registered.aliases:
        return client.get_model_version(name, str(registered.aliases[PRODUCTION]))
    versions = client.search_model_versions(f"name = {quoted(name)}", order_by=["version_number DESC"], max_results=20)
    return next((version for version in versions if version.status == "READY"), None)


def _unread(client: "MlflowClient", experiment: str, model: str, cursor: _Cursor, *, limit: int) -> Iterator["Run"]:
    """The oldest unread finished runs, at most `limit` of them."""
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return
    count, token = 0, None
    while True:
        page = client.search_runs(
            [found.experiment_id],
            f"tags.`{MODEL_TAG}` = {quoted(model)} and attributes.status = 'FINISHED' "
            f"and attributes.end_time > {cursor.horizon}",
            order_by=["attributes.end_time ASC"],
            max_results=limit,
            page_token=token,
        )
        for run in page:
            if run.info.run_id not in cursor.seen and count < limit:
                count += 1
                yield run
        token = page.token
        if not token or count >= limit:
            return


def _observations_of(client: "MlflowClient", run: "Run", model: str) -> tuple[MetricObservation, ...]:
    run_id = run.info.run_id
    histories = {
        key: [Logged(point.step, point.timestamp, point.value) for point in client.get_metric_history(run_id, key)]
        for key in run.data.metrics
        if parse_key(key) is not None
    }
    version = run.data.tags.get(MODEL_VERSION_TAG, UNVERSIONED)
    return to_observations(histories, model=model, model_version=version, run_id=run_id)


def _experiment(client: "MlflowClient", name: str, artifact_root: str | None) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = f"{artifact_root}/{name}" if artifact_root is not None else None
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException as error:
        raced = client.get_experiment_by_name(name) if error.error_code == "RESOURCE_ALREADY_EXISTS" else None
        if raced is None:
            raise
        return str(raced.experiment_id)


def _labels_run(client: "MlflowClient", experiment_id: str, commit: LabelCommit) -> str:
    """The run of this commit: found by its tag, or created."""
    runs = client.search_runs(
        [experiment_id],
        f"tags.`{LABEL_COMMIT_TAG}` = {quoted(commit.commit_id)}",
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    if runs:
        return str(runs[0].info.run_id)
    tags = {
        LABEL_COMMIT_TAG: commit.commit_id,
        "annotation_ops.project": commit.project,
        "annotation_ops.kind": "labels",
    }
    run = client.create_run(experiment_id, tags=tags, run_name=f"labels {commit.batch_id}.a{commit.attempt}")
    return str(run.info.run_id)
