import numpy as np
import pytest

from annotation_ops.domain.quality.consensus.crowdlab import crowdlab
from annotation_ops.domain.quality.consensus.ratings import Ratings
from annotation_ops_tests.domain.quality.crowds import SMALL_CROWD, SMALL_CROWD_PREDICTIONS, of_grid


def test_quality_scores_are_those_of_cleanlab() -> None:
    # cleanlab 2.9.0, get_label_quality_multiannotator with its defaults.
    quality = [
        0.76369306, 0.83694391, 0.54820865, 0.62290336, 0.56888602, 0.67378564,
        0.67576841, 0.51337969, 0.62763997, 0.64698088, 0.53232686, 0.5290479,
    ]  # fmt: skip

    found = crowdlab(Ratings.of(of_grid(SMALL_CROWD, categories="012")), predictions=SMALL_CROWD_PREDICTIONS)

    assert found.label.tolist() == [2, 1, 2, 2, 1, 2, 2, 0, 0, 0, 0, 2]
    assert found.quality == pytest.approx(quality, abs=1e-8)
    assert found.model_weight == pytest.approx(2.0)
    assert found.annotator_weights == pytest.approx([0.3125, 0.230769231, 0.4, 0.0555555556, 1e-6], abs=1e-9)


def test_without_a_second_judgement_model_and_people_count_alike() -> None:
    ratings = Ratings.of(of_grid(("x y", ". ."), categories="xy"))

    found = crowdlab(ratings, predictions=np.array([[0.6, 0.4], [0.6, 0.4]]))

    assert found.posterior == pytest.approx(np.array([[0.8, 0.2], [0.3, 0.7]]))
