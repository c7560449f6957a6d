import numpy as np
import pytest

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.consensus.calibration import calibration_error, sharpened, sharpness_on_gold
from annotation_ops.domain.quality.consensus.ensemble import ensemble
from annotation_ops_tests.domain.quality.crowds import crowd

SKILLED = (0.95, 0.9, 0.88, 0.85, 0.82, 0.8, 0.78, 0.75, 0.72, 0.7)


def error_of(posterior, truth) -> float:
    return calibration_error(posterior.max(axis=1), (posterior.argmax(axis=1) == truth).astype(float))


@pytest.mark.parametrize("prevalence", [(0.25,) * 4, (0.7, 0.2, 0.07, 0.03)], ids=str)
def test_leaving_one_out_halves_the_error_of_timid_averages(prevalence) -> None:
    truth, judgements = crowd(np.random.default_rng(2), kinds=SKILLED, n=600, k=5, prevalence=prevalence)

    plain, calibrated = (ensemble(judgements, calibrate=flag) for flag in (False, True))

    assert calibrated.sharpness > 1.2
    assert error_of(calibrated.posterior, truth) < 0.6 * error_of(plain.posterior, truth)
    assert (calibrated.posterior.argmax(axis=1) == plain.posterior.argmax(axis=1)).all()


def test_below_four_judgements_a_task_nothing_is_sharpened_without_gold() -> None:
    _, judgements = crowd(np.random.default_rng(2), kinds=SKILLED, n=200, k=3, prevalence=(0.5, 0.5))

    assert ensemble(judgements).sharpness == 1.0


def test_fifty_gold_tasks_find_the_exponent_that_spoiled_a_posterior() -> None:
    generator = np.random.default_rng(0)
    honest = generator.dirichlet((1.0, 1.0, 1.0), 4000)
    truth = np.array([generator.choice(3, p=row) for row in honest])
    boastful = sharpened(honest, 3.0)

    found = sharpness_on_gold(boastful[:50], truth[:50])

    assert found == pytest.approx(1 / 3, abs=0.12)
    assert error_of(sharpened(boastful, found), truth) < 0.05 < error_of(boastful, truth)


def test_sharpening_keeps_the_order_and_the_sum() -> None:
    posterior = np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]])

    surer = sharpened(posterior, 2.0)

    assert surer.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert surer[0] == pytest.approx(np.array([0.36, 0.09, 0.01]) / 0.46)
    assert sharpened(posterior, 1.0) is posterior


def test_calibration_error_is_the_gap_between_saying_and_being_right() -> None:
    assert calibration_error(np.array([0.9, 0.9, 0.6, 0.6]), np.array([1.0, 1.0, 0.5, 0.5])) == pytest.approx(0.1)
    assert calibration_error(np.array([1.0, 1.0]), np.array([1.0, 1.0])) == 0.0


def test_no_gold_is_an_error_with_the_way_out() -> None:
    with pytest.raises(InvalidInput, match="found 0 labels for 0 posteriors"):
        sharpness_on_gold(np.empty((0, 2)), np.empty(0, dtype=np.int64))
    with pytest.raises(InvalidInput, match="found no task"):
        calibration_error(np.empty(0), np.empty(0))
