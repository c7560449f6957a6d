"""Training functions as a user would write them, called by the tests through their entry point."""

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from annotation_ops.adapters.mlops.function_trigger import TrainingContext
from annotation_ops.domain.errors import TransientError
from annotation_ops.ports.training_trigger import TrainingReceipt, TrainingRequest

NOT_A_FUNCTION = 5


def train(request: TrainingRequest, context: TrainingContext) -> TrainingReceipt:
    client = MlflowClient(tracking_uri=context.tracking_uri, registry_uri=context.registry_uri)
    experiment = client.get_experiment_by_name(context.experiment)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(context.experiment)
    run = client.create_run(experiment_id, tags=dict(context.run_tags) | {"trained_on": request.label_commit})
    try:
        client.create_registered_model(context.model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(context.model, source="file:///nowhere", run_id=run.info.run_id)
    client.set_terminated(run.info.run_id)
    return TrainingReceipt(request.request_key, run.info.run_id, str(made.version))


def break_off(_: TrainingRequest, context: TrainingContext) -> TrainingReceipt:
    """Starts a tagged run and dies in it."""
    client = MlflowClient(tracking_uri=context.tracking_uri, registry_uri=context.registry_uri)
    experiment = client.get_experiment_by_name(context.experiment)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(context.experiment)
    client.create_run(experiment_id, tags=dict(context.run_tags))
    raise TransientError("the GPU fell off the bus")


def return_nothing(_: TrainingRequest, __: TrainingContext) -> None:
    """Forgets its receipt."""
