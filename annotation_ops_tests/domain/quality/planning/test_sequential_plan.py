import pytest

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.planning.crowd_model import Crowd
from annotation_ops.domain.quality.planning.gate_simulation import Gate, simulate
from annotation_ops.domain.quality.planning.sequential_plan import Looks, TopUpPlan, plan_top_up

PAIR = Crowd(prevalence=(0.5, 0.5))
EVIDENCE = Gate(statistic="cohen_kappa", threshold=0.85, mode="evidence")


@pytest.fixture(scope="module")
def plan() -> TopUpPlan:
    return plan_top_up(EVIDENCE, crowd=PAIR, truth=0.95, looks=Looks(first=50, step=50, cap=200), seed=1)


def test_looks_run_from_the_first_to_the_cap() -> None:
    assert Looks(first=50, step=40, cap=120).sizes == (50, 90, 120)
    assert Looks(first=50, step=40, cap=50).sizes == (50,)


def test_one_look_is_the_fixed_plan() -> None:
    once = plan_top_up(EVIDENCE, crowd=PAIR, truth=0.95, looks=Looks(first=150, step=1, cap=150), seed=1)
    fixed = simulate(PAIR.patterns("cohen_kappa", truth=0.95), tasks=150, gate=EVIDENCE, seed=2)

    assert once.plain.expected_tasks == 150.0
    assert once.plain.passes.value == pytest.approx(fixed.passes.value, abs=0.03)


def test_stopping_early_saves_tasks_and_keeps_the_power(plan: TopUpPlan) -> None:
    fixed = simulate(PAIR.patterns("cohen_kappa", truth=0.95), tasks=200, gate=EVIDENCE, seed=2)

    assert plan.plain.expected_tasks < 150
    assert plan.plain.passes.value >= fixed.passes.value - 0.02


def test_repeated_looks_pass_more_batches_at_the_threshold_than_promised(plan: TopUpPlan) -> None:
    assert plan.worst_truth == 0.85
    assert plan.plain_at_worst.passes.value > 0.05


def test_the_confidence_of_each_look_keeps_the_promise_of_one(plan: TopUpPlan) -> None:
    assert plan.confidence_per_look is not None
    assert 0.95 < plan.confidence_per_look < 1.0
    assert plan.adjusted_at_worst.passes.value <= 0.05
    assert plan.adjusted.passes.value > 0.7


def test_outcomes_add_up(plan: TopUpPlan) -> None:
    for one in (plan.plain, plan.plain_at_worst, plan.adjusted, plan.adjusted_at_worst):
        assert one.passes.value + one.fails.value + one.undecided.value == pytest.approx(1.0)
        assert 50 <= one.expected_tasks <= 200


def test_the_point_gate_promises_nothing_and_never_waits() -> None:
    point = Gate(statistic="cohen_kappa", threshold=0.85, mode="point")

    found = plan_top_up(point, crowd=PAIR, truth=0.95, looks=Looks(first=50, step=50, cap=200), seed=1)

    assert found.confidence_per_look is None
    assert found.plain.expected_tasks == 50.0


@pytest.mark.parametrize(("first", "step", "cap"), [(0, 5, 10), (20, 5, 10), (5, 0, 10), (1, 1, 100)])
def test_looks_that_cannot_be_are_refused(first: int, step: int, cap: int) -> None:
    with pytest.raises(InvalidInput, match="looks: found"):
        Looks(first=first, step=step, cap=cap)


def test_the_document_lists_the_looks(plan: TopUpPlan) -> None:
    assert plan.document()["looks"] == [50, 100, 150, 200]
