"""Training by calling a function of the user's own package."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from annotation_ops.adapters.mlops.mlflow_tracking import MlflowTracking
from annotation_ops.domain.errors import InvalidInput
from annotation_ops.ports.training_trigger import TrainingReceipt, TrainingRequest, TrainingTrigger

REQUEST_TAG = "annotation_ops.request_key"


@dataclass(frozen=True, slots=True)
class TrainingContext:
    """Where the function logs its run and registers its model; it must not rely on MLflow's global state."""

    tracking_uri: str
    registry_uri: str
    model: str
    """Registered model name."""
    experiment: str
    run_tags: Mapping[str, str]
    """To be set when the run is created: by them a repeated request finds the finished run."""


class FunctionTrigger(TrainingTrigger):
    """Calls `package.module:function(request, context)`, which returns a TrainingReceipt when training is finished.

    A finished run with the request's key is returned instead of a second training; a run that broke off does not count.
    Errors of the function itself pass through, with their traceback.
    """

    def __init__(self, entry_point: str, *, tracking: MlflowTracking, model: str, experiment: str) -> None:
        self._entry_point = entry_point
        self._tracking = tracking
        self._model = model
        self._experiment = experiment

    def submit(self, request: TrainingRequest) -> TrainingReceipt:
        """Raises InvalidInput for an entry point that is none or does not return a receipt; TransientError."""
        earlier = self._tracking.finished_run(experiment=self._experiment, tag=REQUEST_TAG, value=request.request_key)
        if earlier is not None:
            return TrainingReceipt(request.request_key, earlier, self._tracking.version_of_run(self._model, earlier))
        receipt = load_function(self._entry_point)(request, self._context(request))
        if not isinstance(receipt, TrainingReceipt) or receipt.request_key != request.request_key:
            raise InvalidInput(
                f"{self._entry_point}: found {receipt!r}, expected a TrainingReceipt with request_key {request.request_key}"
            )
        self._tracking.tag_run(receipt.run_id, {REQUEST_TAG: request.request_key})
        return receipt

    def _context(self, request: TrainingRequest) -> TrainingContext:
        connection = self._tracking.connection
        return TrainingContext(
            tracking_uri=connection.tracking_uri,
            registry_uri=connection.registry_uri,
            model=self._model,
            experiment=self._experiment,
            run_tags={REQUEST_TAG: request.request_key, "annotation_ops.label_commit_trained": request.label_commit},
        )


def load_function(entry_point: str) -> Callable[[TrainingRequest, TrainingContext], object]:
    """Imports `package.module:function`. Raises InvalidInput when there is no such module or function."""
    module_name, mark, name = entry_point.partition(":")
    if not (module_name and mark and name):
        raise InvalidInput(f"monitor.yaml: training: found {entry_point!r}, expected package.module:function")
    try:
        function: object = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise InvalidInput(
            f"monitor.yaml: training: found {entry_point!r}, which cannot be imported ({error}). Install its package, or "
            "put its folder on PYTHONPATH."
        ) from error
    if not callable(function):
        raise InvalidInput(
            f"monitor.yaml: training: found {entry_point!r}, a {type(function).__name__}, expected a function"
        )
    return function
