import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.coefficients import NOMINAL
from annotation_ops.domain.quality.planning.crowd_model import Crowd, CrowdModel, equal_shares

MODELS: tuple[CrowdModel, ...] = ("chance", "symmetric")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("statistic", "raters"),
    [
        ("cohen_kappa", 2),
        ("gwet_ac1", 2),
        ("percent_agreement", 3),
        ("fleiss_kappa", 4),
        ("krippendorff_alpha_nominal", 5),
    ],
)
def test_the_patterns_of_a_crowd_have_the_wanted_value(statistic: str, raters: int, model: CrowdModel) -> None:
    patterns = Crowd(prevalence=(0.6, 0.3, 0.1), raters=raters, model=model).patterns(statistic, truth=0.83)

    assert patterns.weight.sum() == pytest.approx(1.0)
    value = NOMINAL[statistic](patterns, patterns.weight[None, :] * 1e9)[0]
    assert value == pytest.approx(0.83, abs=1e-7)


@given(truth=st.floats(0.05, 0.95), rare=st.floats(0.01, 0.5))
def test_guessing_by_class_frequency_gives_the_binary_model_behind_kappa(truth: float, rare: float) -> None:
    patterns = Crowd(prevalence=(rare, 1.0 - rare)).patterns("cohen_kappa", truth=truth)

    assert patterns.cells is not None
    both = patterns.weight[(patterns.cells == 0).all(axis=1)][0]
    assert both == pytest.approx(rare**2 + truth * rare * (1 - rare), abs=1e-8)


def test_symmetric_errors_make_a_rare_class_look_more_frequent() -> None:
    prevalence = (0.95, 0.05)
    shares = {}
    for model in MODELS:
        patterns = Crowd(prevalence=prevalence, model=model).patterns("cohen_kappa", truth=0.7)
        shares[model] = float(patterns.weight @ patterns.counts[:, 1]) / 2

    assert shares["chance"] == pytest.approx(0.05)
    assert shares["symmetric"] > 0.055


def test_patterns_of_three_raters_are_multisets_with_the_multinomial_weights() -> None:
    patterns = Crowd(prevalence=(0.5, 0.5), raters=3).patterns("fleiss_kappa", truth=0.25)

    # Skill 1/2: given the class, an annotator names it with probability 3/4.
    expected = {(3, 0): 0.5 * (27 + 1) / 64, (2, 1): 0.5 * (27 + 9) / 64, (1, 2): 0.5 * 36 / 64, (0, 3): 0.5 * 28 / 64}
    found = {
        tuple(row): w for row, w in zip(patterns.counts.astype(int).tolist(), patterns.weight.tolist(), strict=True)
    }
    assert found == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("prevalence", "raters", "said"),
    [
        ((0.5, 0.6), 2, "sum to 1"),
        ((1.0, 0.0), 2, "above 0"),
        ((1.0,), 2, "two or more"),
        ((0.5, 0.5), 1, "raters: found 1"),
        (equal_shares(30), 5, "Merge rare classes"),
    ],
)
def test_a_crowd_that_cannot_be_is_refused(prevalence: tuple[float, ...], raters: int, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Crowd(prevalence=prevalence, raters=raters)


def test_one_class_leaves_nothing_to_plan() -> None:
    with pytest.raises(InvalidInput, match="classes: found 1, expected 2"):
        equal_shares(1)


def test_statistics_that_cannot_be_planned_are_refused_with_those_that_can() -> None:
    crowd = Crowd(prevalence=(0.5, 0.5), raters=3)

    with pytest.raises(InvalidInput, match=r"found 'mean_iou_matched', expected one of percent_agreement"):
        crowd.patterns("mean_iou_matched", truth=0.9)
    with pytest.raises(InvalidInput, match="Choose fleiss_kappa"):
        crowd.patterns("cohen_kappa", truth=0.9)


def test_a_value_no_crowd_can_have_is_refused_with_the_range() -> None:
    with pytest.raises(InvalidInput, match=r"percent_agreement = 0.3, expected above 0.500"):
        Crowd(prevalence=(0.5, 0.5)).patterns("percent_agreement", truth=0.3)


def test_many_categories_stay_within_memory() -> None:
    patterns = Crowd(prevalence=equal_shares(60)).patterns("cohen_kappa", truth=0.9)

    assert patterns.weight.shape == (3600,)
    assert np.isclose(patterns.weight.sum(), 1.0)
