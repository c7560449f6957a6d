"""The model tracker: what models exist, how they perform, which labels trained them (MLflow first)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotation_ops.domain.records import LabelCommit


@dataclass(frozen=True, slots=True)
class ModelVersion:
    name: str
    version: str
    run_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MetricObservation:
    """One logged value, e.g. `slice/scanner:b/accuracy`; `n` from `slice/scanner:b/n` of the same run and step."""

    model: str
    model_version: str
    metric: str
    """`accuracy` ..."""
    slice: str
    """`scanner:b`; "" is overall."""
    value: float
    """May be NaN: that is an alarm for the reader, never "fine"."""
    n: int | None
    observed_at: datetime
    run_id: str


@dataclass(frozen=True, slots=True)
class ObservationPage:
    items: tuple[MetricObservation, ...]
    next_cursor: str
    """Opaque; reading again from an old cursor may repeat items, never skips one."""


class Scorer(ABC):
    """A model that gives class probabilities and was loaded without running foreign code."""

    classes: tuple[str, ...]

    @abstractmethod
    def predict_proba(self, features: NDArray[np.float64] | Sequence[str]) -> NDArray[np.float64]:
        """Shape (n, len(classes)); rows sum to 1. Features: an (n, d) matrix for images, n strings for text."""


class ModelTracking(ABC):
    """Errors: TransientError when the tracker cannot be reached; NotFound; UnsafeInput for a model that is not safe to load."""

    @abstractmethod
    def latest_model(self, name: str) -> ModelVersion | None:
        """The version of the registered model in production: alias `production` if set, else the newest."""

    @abstractmethod
    def load_scorer(self, model: ModelVersion) -> Scorer:
        """Loads by skops only, with no trusted type beyond scikit-learn's and NumPy's own."""

    @abstractmethod
    def observations(self, *, experiment: str, model: str, since: str | None) -> ObservationPage:
        """Metric values of finished runs tagged `annotation_ops.model=<model>` since the cursor, oldest first."""

    @abstractmethod
    def log_label_commit(
        self, commit: LabelCommit, labels: pa.Table, *, experiment: str, uri: str, lake_version: int
    ) -> str:
        """Logs the commit as an MLflow dataset with its digest; returns the run id. The same commit gives the same run."""

    @abstractmethod
    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags on a run, e.g. the incident it tripped. Repeating changes nothing. Raises NotFound."""
