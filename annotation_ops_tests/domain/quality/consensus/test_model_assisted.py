import numpy as np
import pytest

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.consensus.ensemble import ensemble
from annotation_ops.domain.quality.consensus.methods import consensus
from annotation_ops.domain.quality.consensus.model_assisted import model_assisted
from annotation_ops_tests.domain.quality.crowds import crowd, of_grid

SKILLED = (0.9, 0.85, 0.8, 0.75, 0.7, 0.65)


def _predictions(generator, truth, *, right: float):
    favourite = np.where(
        generator.random(len(truth)) < right, truth, (truth + generator.integers(1, 3, len(truth))) % 3
    )
    return np.where(np.eye(3)[favourite] > 0, right, (1 - right) / 2)


@pytest.mark.parametrize("k", [2, 3])
def test_a_good_model_is_heard_and_helps(k) -> None:
    generator = np.random.default_rng(k)
    truth, judgements = crowd(generator, kinds=SKILLED, n=500, k=k, prevalence=(0.4, 0.3, 0.3))

    found = model_assisted(judgements, predictions=_predictions(generator, truth, right=0.9))

    alone = (found.crowd.posterior.argmax(axis=1) == truth).mean()
    assert found.weight >= 0.5
    assert (found.posterior.argmax(axis=1) == truth).mean() > alone + 0.02


def test_a_model_that_guesses_is_hardly_heard() -> None:
    generator = np.random.default_rng(0)
    truth, judgements = crowd(generator, kinds=SKILLED, n=500, k=3, prevalence=(0.4, 0.3, 0.3))
    noise = _predictions(generator, generator.permutation(truth), right=0.9)

    found = model_assisted(judgements, predictions=noise)

    assert found.weight == 0.0
    assert found.posterior == pytest.approx(ensemble(judgements).posterior, abs=1e-6)


def test_a_task_without_a_prediction_keeps_the_posterior_of_the_crowd() -> None:
    generator = np.random.default_rng(1)
    truth, judgements = crowd(generator, kinds=SKILLED, n=300, k=3, prevalence=(0.4, 0.3, 0.3))
    predictions = _predictions(generator, truth, right=0.9)
    predictions[7] = np.nan

    found = model_assisted(judgements, predictions=predictions)

    assert found.weight > 0
    assert found.posterior[7] == pytest.approx(found.crowd.posterior[7], abs=1e-6)


def test_the_model_alone_elects_no_label_that_nobody_gave() -> None:
    judgements = of_grid(("x x x", "x y .", "x . ."), categories="xyz")

    items = consensus(judgements, method="model_assisted", predictions=np.tile([0.001, 0.001, 0.998], (3, 1)))

    assert [item.label for item in items if not item.tie] == ["x"] * sum(not item.tie for item in items)
    assert items[0].label == "x"


@pytest.mark.parametrize(
    ("predictions", "told"),
    [
        (None, "found none"),
        (np.full((2, 2), 0.5), r"found shape \(2, 2\), expected \(3, 2\)"),
        (np.array([[0.5, 0.5], [0.9, 0.5], [0.5, 0.5]]), r"row 2 \(task 't01'\)"),
        (np.array([[0.5, 0.5], [0.5, 0.5], [1.5, -0.5]]), r"row 3 \(task 't02'\)"),
        (np.array([[0.5, np.nan], [0.5, 0.5], [0.5, 0.5]]), r"row 1 \(task 't00'\)"),
    ],
)
@pytest.mark.parametrize("method", ["model_assisted", "crowdlab"])
def test_unusable_predictions_are_refused_with_their_row(method, predictions, told) -> None:
    judgements = of_grid(("x y x", "x x y"), categories="xy")

    with pytest.raises(InvalidInput, match=told):
        consensus(judgements, method=method, predictions=predictions)
