import pytest

from annotation_ops.adapters.mlops.function_trigger import FunctionTrigger
from annotation_ops.domain.errors import InvalidInput, TransientError
from annotation_ops.ports.training_trigger import TrainingRequest
from annotation_ops_tests.adapters.mlops.mlflow_bench import SQLALCHEMY_21, MlflowBench
from annotation_ops_tests.contracts.model_tracking import EXPERIMENT, MODEL

pytestmark = SQLALCHEMY_21

TRAININGS = "annotation_ops_tests.adapters.mlops.trainings"


def trigger(bench: MlflowBench, function: str, *, module: str = TRAININGS) -> FunctionTrigger:
    return FunctionTrigger(f"{module}:{function}", tracking=bench.tracking, model=MODEL, experiment=EXPERIMENT)


def request(key: str = "k1") -> TrainingRequest:
    return TrainingRequest(
        request_key=key,
        project="digits",
        label_commit="c0ffee",
        features_uri="/lake/label_features",
        features_version=3,
        parameters={},
    )


def trained(bench: MlflowBench) -> int:
    runs = bench.client.search_runs([bench.experiment_id], "tags.trained_on = 'c0ffee'")
    return len(runs)


def test_the_declared_function_trains_and_registers(mlflow_bench: MlflowBench) -> None:
    receipt = trigger(mlflow_bench, "train").submit(request())

    latest = mlflow_bench.tracking.latest_model(MODEL)
    assert latest is not None
    assert (receipt.model_version, receipt.run_id) == (latest.version, latest.run_id)
    assert mlflow_bench.client.get_run(receipt.run_id).data.tags["annotation_ops.request_key"] == "k1"


def test_the_same_request_never_trains_twice(mlflow_bench: MlflowBench) -> None:
    first = trigger(mlflow_bench, "train").submit(request())

    second = trigger(mlflow_bench, "train").submit(request())

    assert second == first
    assert trained(mlflow_bench) == 1


def test_another_request_trains_again(mlflow_bench: MlflowBench) -> None:
    first = trigger(mlflow_bench, "train").submit(request())
    second = trigger(mlflow_bench, "train").submit(request("k2"))

    assert first.run_id != second.run_id
    assert trained(mlflow_bench) == 2


def test_a_training_that_broke_off_is_started_anew(mlflow_bench: MlflowBench) -> None:
    with pytest.raises(TransientError, match="fell off the bus"):
        trigger(mlflow_bench, "break_off").submit(request())

    assert trigger(mlflow_bench, "train").submit(request()).model_version == "1"


@pytest.mark.parametrize(
    ("module", "function", "message"),
    [
        (TRAININGS, "no_such_function", "cannot be imported"),
        ("no_such_package.at_all", "train", "cannot be imported"),
        (TRAININGS, "NOT_A_FUNCTION", "a int, expected a function"),
        (TRAININGS, "", "expected package.module:function"),
        (TRAININGS, "return_nothing", "expected a TrainingReceipt"),
    ],
)
def test_an_entry_point_that_is_none_says_so(
    mlflow_bench: MlflowBench, module: str, function: str, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        trigger(mlflow_bench, function, module=module).submit(request())
