"""A model tracker in memory, and one that cannot be reached."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotation_ops.domain.errors import NotFound, TransientError
from annotation_ops.domain.records import LabelCommit
from annotation_ops.ports.model_tracking import MetricObservation, ModelTracking, ModelVersion, ObservationPage, Scorer


class FixedScorer(Scorer):
    """Gives every sample the same probabilities."""

    def __init__(self, probabilities: Mapping[str, float]) -> None:
        self.classes = tuple(probabilities)
        self._row = np.array(list(probabilities.values()))

    def predict_proba(self, features: NDArray[np.float64] | Sequence[str]) -> NDArray[np.float64]:
        return np.tile(self._row, (len(features), 1))


class MemoryTracking(ModelTracking):
    """Observations are handed out `page_runs` runs at a time, in the order in which they were logged."""

    def __init__(
        self,
        *,
        models: Sequence[ModelVersion] = (),
        scorers: Mapping[str, Scorer] | None = None,
        page_runs: int = 2,
    ) -> None:
        self._models = list(models)
        self._scorers = dict(scorers or {})
        self._page_runs = page_runs
        self._logged: list[tuple[str, str, tuple[MetricObservation, ...]]] = []
        self._tags: dict[str, dict[str, str]] = {}
        self._commits: dict[tuple[str, str], str] = {}
        self._answers = True
        self.tag_calls = 0

    def go_away(self) -> None:
        self._answers = False

    def come_back(self) -> None:
        self._answers = True

    def log(self, experiment: str, model: str, items: Sequence[MetricObservation]) -> None:
        """One finished run with these observations."""
        self._logged.append((experiment, model, tuple(items)))
        for item in items:
            self._tags.setdefault(item.run_id, {})

    def lose_run(self, run_id: str) -> None:
        del self._tags[run_id]

    def tags(self, run_id: str) -> Mapping[str, str]:
        return dict(self._tags[run_id])

    def register(self, model: ModelVersion, scorer: Scorer | None = None) -> None:
        self._models.append(model)
        if scorer is not None:
            self._scorers[model.version] = scorer

    def latest_model(self, name: str) -> ModelVersion | None:
        self._ask()
        return next((model for model in reversed(self._models) if model.name == name), None)

    def load_scorer(self, model: ModelVersion) -> Scorer:
        self._ask()
        if model.version not in self._scorers:
            raise NotFound(f"model {model.name}: found no version {model.version}")
        return self._scorers[model.version]

    def observations(self, *, experiment: str, model: str, since: str | None) -> ObservationPage:
        self._ask()
        runs = [items for of, name, items in self._logged if (of, name) == (experiment, model)]
        start = int(since or "0")
        page = runs[start : start + self._page_runs]
        if not page:
            return ObservationPage((), since or "")
        return ObservationPage(tuple(item for items in page for item in items), str(start + len(page)))

    def log_label_commit(
        self, commit: LabelCommit, labels: pa.Table, *, experiment: str, uri: str, lake_version: int
    ) -> str:
        self._ask()
        run_id = self._commits.setdefault((experiment, commit.commit_id), f"labels-{len(self._commits) + 1}")
        self._tags.setdefault(run_id, {})["annotation_ops.label_commit"] = commit.commit_id
        return run_id

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._ask()
        if run_id not in self._tags:
            raise NotFound(f"found no run {run_id}")
        self._tags[run_id].update(tags)
        self.tag_calls += 1

    def _ask(self) -> None:
        if not self._answers:
            raise TransientError("the model tracker did not answer, expected a server. Start it.")


def observation(
    value: float,
    *,
    run_id: str,
    observed_at: datetime,
    slice: str = "",
    n: int | None = 200,
    model: str = "digits",
    model_version: str = "1",
    metric: str = "accuracy",
) -> MetricObservation:
    return MetricObservation(model, model_version, metric, slice, value, n, observed_at, run_id)
