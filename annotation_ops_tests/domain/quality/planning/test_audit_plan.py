import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.planning.audit_plan import (
    FLOOR_CAP,
    ROUNDING,
    audit_size,
    guarantee_size,
    plan_audit,
    upper_bound,
)


@pytest.mark.parametrize(("tolerable", "size"), [(0.01, 299), (0.02, 149), (0.05, 59), (0.10, 29)])
def test_without_an_end_no_error_among_so_many_proves_the_rate(tolerable: float, size: int) -> None:
    assert guarantee_size(None, tolerable=tolerable, confidence=0.95, allowed=0) == size


@pytest.mark.parametrize(("lot", "size"), [(100, 39), (200, 47), (500, 54), (1000, 56), (5000, 58)])
def test_a_lot_needs_fewer_the_smaller_it_is(lot: int, size: int) -> None:
    assert guarantee_size(lot, tolerable=0.05, confidence=0.95, allowed=0) == size


@given(lot=st.integers(5, 3_000), tolerable=st.floats(0.01, 0.4), allowed=st.integers(0, 2))
def test_a_guarantee_is_kept_and_one_task_less_would_break_it(lot: int, tolerable: float, allowed: int) -> None:
    size = guarantee_size(lot, tolerable=tolerable, confidence=0.95, allowed=allowed)

    bad = int(round(lot * tolerable, 9)) + 1
    if size is None:
        assert bad <= allowed
        return
    assert hypergeom.cdf(allowed, lot, bad, size) <= 0.05 + ROUNDING
    assert size == allowed + 1 or hypergeom.cdf(allowed, lot, bad, size - 1) > 0.05 + ROUNDING


@pytest.mark.parametrize(("lot", "tolerable", "confidence", "size"), [(6, 0.375, 0.95, 3), (10, 0.05, 0.9, 9)])
def test_a_risk_of_exactly_the_one_allowed_keeps_the_guarantee(
    lot: int, tolerable: float, confidence: float, size: int
) -> None:
    assert guarantee_size(lot, tolerable=tolerable, confidence=confidence, allowed=0) == size


@pytest.mark.parametrize(("errors", "size", "bound"), [(0, 50, 0.0582), (5, 80, 0.1269), (50, 50, 1.0)])
def test_without_an_end_the_bound_is_that_of_clopper_and_pearson(errors: int, size: int, bound: float) -> None:
    assert upper_bound(errors, size, lot=None, confidence=0.95) == pytest.approx(bound, abs=1e-4)


@given(lot=st.integers(20, 400), share=st.floats(0.05, 1.0), errors=st.integers(0, 5))
def test_the_bound_is_the_largest_rate_the_test_does_not_reject(lot: int, share: float, errors: int) -> None:
    size = max(6, round(share * lot))
    bad = round(upper_bound(errors, size, lot=lot, confidence=0.95) * lot)

    assert errors <= bad <= lot - (size - errors)
    assert hypergeom.cdf(errors, lot, bad, size) > 0.05 + ROUNDING
    assert bad == lot - (size - errors) or hypergeom.cdf(errors, lot, bad + 1, size) <= 0.05 + ROUNDING


def test_looking_at_everything_leaves_no_doubt() -> None:
    assert upper_bound(3, 60, lot=60, confidence=0.95) == 3 / 60


def test_the_floor_rules_large_lots_and_its_cap_very_large_ones() -> None:
    assert plan_audit(500, tolerable=0.05).size == 54
    assert plan_audit(4_000, tolerable=0.05).size == 200
    assert plan_audit(4_000, tolerable=0.05, floor_share=0.1).size == 400
    assert plan_audit(1_000_000, tolerable=0.05).size == FLOOR_CAP
    assert plan_audit(1_000_000, tolerable=0.002).size == 1_495


@given(lot=st.integers(1, 20_000), tolerable=st.floats(0.005, 0.5), floor=st.floats(0.0, 1.0))
def test_accepted_and_proven_within_the_tolerable_are_the_same(lot: int, tolerable: float, floor: float) -> None:
    plan = plan_audit(lot, tolerable=tolerable, floor_share=floor)

    assert 1 <= plan.size <= lot
    for proof in plan.proofs:
        if proof.errors < plan.size:
            assert proof.accepted == (proof.upper_bound <= tolerable + 1e-9)


def test_what_results_of_0_1_and_2_errors_would_prove_is_stated() -> None:
    plan = plan_audit(500, tolerable=0.05)

    assert [(one.errors, one.accepted) for one in plan.proofs] == [(0, True), (1, False), (2, False)]
    assert [round(one.upper_bound, 3) for one in plan.proofs] == [0.05, 0.08, 0.108]
    assert plan.guarantee_sizes == (54, 84, 110)
    assert plan.acceptance(0.01) == pytest.approx(0.56, abs=0.01)


def test_a_tiny_lot_is_audited_whole() -> None:
    plan = plan_audit(3, tolerable=0.05)

    assert (plan.size, plan.accept) == (3, 0)
    assert plan.guarantee_sizes == (3, None, None)


def test_the_service_asks_for_the_same_size() -> None:
    assert audit_size(4_000, tolerable=0.05, confidence=0.95, floor=0.1) == 400


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"lot": 0}, "lot: found 0"),
        ({"tolerable": 5.0}, "Write 5 % as 0.05"),
        ({"confidence": 1.0}, "confidence: found 1"),
    ],
)
def test_values_out_of_range_are_refused(arguments: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        plan_audit(**{"lot": 100, "tolerable": 0.05, **arguments})  # type: ignore[arg-type]


def test_the_document_names_the_sizes_and_proofs() -> None:
    document = plan_audit(100, tolerable=0.05).document()

    assert document["guarantee_sizes"] == {"0": 39, "1": 58, "2": 73}
    assert document["proofs"][0] == {"errors": 0, "upper_bound": 0.05, "accepted": True}
