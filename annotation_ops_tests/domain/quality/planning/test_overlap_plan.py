import pytest

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.planning.crowd_model import Crowd
from annotation_ops.domain.quality.planning.gate_simulation import Gate, simulate
from annotation_ops.domain.quality.planning.overlap_plan import OverlapPlan, plan_overlap

MODES = ("point", "not_worse", "evidence")
PAIR = Crowd(prevalence=(0.5, 0.5))


def gate(mode: str = "point", **changes: float) -> Gate:
    return Gate(statistic="cohen_kappa", threshold=0.85, mode=mode, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plan() -> OverlapPlan:
    return plan_overlap(gate("evidence"), crowd=PAIR, truth=0.95, power=0.8, seed=1)


def test_the_planned_number_reaches_the_power_and_a_tenth_less_does_not(plan: OverlapPlan) -> None:
    assert plan.tasks is not None
    assert plan.at_truth.passes.value >= 0.8
    fewer = simulate(
        PAIR.patterns("cohen_kappa", truth=0.95), tasks=round(plan.tasks * 0.9), gate=gate("evidence"), seed=9
    )
    assert fewer.passes.value < 0.8


def test_a_kappa_of_95_is_shown_four_times_in_five_by_some_130_tasks(plan: OverlapPlan) -> None:
    assert plan.tasks == pytest.approx(130, rel=0.2)


def test_the_harder_the_promise_the_more_tasks() -> None:
    patterns = PAIR.patterns("cohen_kappa", truth=0.9)

    powers = [simulate(patterns, tasks=100, gate=gate(mode), seed=0).passes.value for mode in MODES]

    assert powers == sorted(powers, reverse=True)
    assert powers[0] - powers[1] > 0.05
    assert powers[1] - powers[2] > 0.05


def test_a_bad_batch_seldom_passes_and_the_rate_is_stated() -> None:
    plan = plan_overlap(gate("evidence"), crowd=PAIR, truth=0.95, tasks=150, seed=1)

    assert plan.bad_truth == pytest.approx(0.80)
    assert plan.at_bad is not None
    assert plan.at_bad.passes.value <= 0.02


def test_when_the_most_is_too_few_the_plan_says_what_it_would_achieve() -> None:
    plan = plan_overlap(gate("evidence"), crowd=PAIR, truth=0.88, max_tasks=100, price=0.5, seed=1)

    assert plan.tasks is None
    assert plan.judged == 100
    assert 0 < plan.at_truth.passes.value < 0.9
    assert plan.cost == 50.0


def test_the_cost_is_that_of_the_judgements_beyond_the_first() -> None:
    crowd = Crowd(prevalence=(0.7, 0.3), raters=3)
    fleiss = Gate(statistic="fleiss_kappa", threshold=0.85, mode="point")

    plan = plan_overlap(fleiss, crowd=crowd, truth=0.92, tasks=50, price=0.04, seed=0)

    assert (plan.extra_judgements, plan.cost) == (100, pytest.approx(4.0))


def test_rare_classes_tell_how_many_tasks_bring_ten_of_them() -> None:
    plan = plan_overlap(gate(), crowd=Crowd(prevalence=(0.7, 0.2, 0.07, 0.03)), truth=0.92, tasks=100, seed=0)

    assert plan.rare_class_tasks == 334
    assert plan.prevalence_index == pytest.approx(0.6173, abs=1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_no_number_of_tasks_shows_what_is_not_so(mode: str) -> None:
    with pytest.raises(InvalidInput, match="No number of tasks suffices"):
        plan_overlap(gate(mode), crowd=PAIR, truth=0.85, seed=0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"truth": 1.0}, "truth: found 1"),
        ({"power": 0.3}, "power: found 0.3"),
        ({"tasks": 0}, "tasks: found 0"),
        ({"price": -1.0}, "price: found -1"),
        ({"max_tasks": 3}, "max tasks: found 3, expected at least the 20"),
    ],
)
def test_values_out_of_range_are_refused(arguments: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        plan_overlap(gate(), **{"crowd": PAIR, "truth": 0.9, "seed": 0, **arguments})  # type: ignore[arg-type]


def test_the_document_has_no_nan_and_names_its_assumptions() -> None:
    document = plan_overlap(gate("point"), crowd=PAIR, truth=0.9, tasks=100, seed=0).document()

    assert document["model"] == "chance"
    assert document["margin"] is None
    assert document["at_truth"]["PASS"]["probability"] == pytest.approx(0.88, abs=0.02)
    assert document["cost"] is None
