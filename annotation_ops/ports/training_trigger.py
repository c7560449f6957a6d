"""Starting a training of the user's own pipeline on a label commit."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    request_key: str
    """Idempotency key: the same key never trains twice."""
    project: str
    label_commit: str
    features_uri: str
    """Where the label_features table lies."""
    features_version: int
    """The pinned table version to train on."""
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TrainingReceipt:
    request_key: str
    run_id: str
    """The tracker's run, or the pipeline's own id."""
    model_version: str | None
    """Filled when training already finished and registered a model."""


class TrainingTrigger(ABC):
    @abstractmethod
    def submit(self, request: TrainingRequest) -> TrainingReceipt:
        """Starts (or finds) the training for this key. Raises TransientError, PermanentError."""
