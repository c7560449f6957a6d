import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.planning.audit_estimate import Auditor, error_rates, estimate_audit
from annotation_ops.domain.quality.planning.audit_plan import plan_audit, upper_bound
from annotation_ops.domain.quality.planning.audit_sample import AuditItem, draw_audit

Drawn = list[tuple[str, float, bool]]


def even(n: int, errors: int, *, share: float) -> Drawn:
    return [("all", share, at < errors) for at in range(n)]


def test_one_stratum_has_the_exact_bound_of_the_lot() -> None:
    result = estimate_audit(even(54, 1, share=54 / 500), lot=500, tolerable=0.05, confidence=0.95)

    assert (result.n, result.errors) == (54, 1)
    assert result.error_rate.value == pytest.approx(1 / 54)
    assert result.upper_bound == pytest.approx(upper_bound(1, 54, lot=500, confidence=0.95))
    assert result.upper_bound == result.error_rate.high


def test_an_audit_ends_in_yes_no_or_not_settled() -> None:
    results = [estimate_audit(even(60, e, share=0.06), lot=1_000, tolerable=0.05, confidence=0.95) for e in (0, 3, 9)]

    assert [one.accepted for one in results] == [True, None, False]
    assert results[0].reason == (
        "0 of 60 audited labels are wrong: with 95% confidence at most 4.7% of all are, within the 5.0% allowed."
    )
    assert "neither shown nor excluded" in results[1].reason
    assert "above the 5.0% allowed" in results[2].reason


def test_nothing_audited_shows_nothing() -> None:
    result = estimate_audit([], lot=100, tolerable=0.05, confidence=0.95)

    assert (result.accepted, result.upper_bound, result.error_rate.reason) == (None, 1.0, "not_audited")


def test_labels_weigh_by_what_they_stand_for() -> None:
    drawn = [("big", 0.1, True)] * 1 + [("big", 0.1, False)] * 9 + [("small", 1.0, True)] * 10

    result = estimate_audit(drawn, lot=110, tolerable=0.5, confidence=0.95)

    assert result.error_rate.value == pytest.approx((10 + 10) / 110)
    assert [name for name, _ in result.strata] == ["big", "small"]
    assert result.strata[0][1].value == pytest.approx(0.1)


@pytest.mark.parametrize("n", [120, 500, 2_000])
def test_no_error_in_a_planned_and_stratified_audit_is_accepted(n: int) -> None:
    chance = random.Random(n)
    items = [AuditItem(f"t{at}", (f"a{int(chance.random() ** 2 * 5)}",), f"c{chance.randrange(3)}") for at in range(n)]
    drawn = draw_audit(items, size=plan_audit(n, tolerable=0.05).size, seed=3)

    result = estimate_audit(
        [(one.stratum, one.inclusion_probability, False) for one in drawn], lot=n, tolerable=0.05, confidence=0.95
    )

    assert result.accepted


def covered(n: int, bad: set[str], items: list[AuditItem], *, times: int) -> float:
    size, hits = plan_audit(n, tolerable=0.05).size, 0
    for seed in range(times):
        drawn = [
            (one.stratum, one.inclusion_probability, one.task_key in bad)
            for one in draw_audit(items, size=size, seed=seed)
        ]
        bound = estimate_audit(drawn, lot=n, tolerable=0.05, confidence=0.95).upper_bound
        hits += bound >= len(bad) / n - 1e-9
    return hits / times


@pytest.mark.parametrize("where", ["anywhere", "one person", "evenly"])
def test_the_bound_holds_wherever_the_errors_are(where: str) -> None:
    n, chance = 500, random.Random(1)
    items = [
        AuditItem(f"t{at:04}", (f"a{int(chance.random() ** 2 * 4)}",), f"c{chance.randrange(2)}") for at in range(n)
    ]
    by_person = [item.task_key for item in sorted(items, key=lambda item: (item.annotators, item.label))]
    choice = {
        "anywhere": chance.sample(by_person, 30),
        "one person": by_person[-30:],
        "evenly": by_person[:: n // 30][:30],
    }

    # 250 audits: three standard errors below 95 %.
    assert covered(n, set(choice[where]), items, times=250) >= 0.91


def test_rates_by_person_use_only_their_labels() -> None:
    drawn = [("s", 0.5, True), ("s", 0.5, False), ("s", 0.5, False)]

    found = dict(error_rates(drawn, ["ann", "ann", "bob"], confidence=0.95))

    assert found["ann"].value == 0.5
    assert (found["bob"].value, found["bob"].n) == (0.0, 1)
    assert found["bob"].high == pytest.approx(0.95)
    with pytest.raises(InvalidInput, match="groups: found 1, expected 3"):
        error_rates(drawn, ["ann"], confidence=0.95)


@given(n=st.integers(1, 80), share=st.floats(0.02, 1.0), data=st.data())
def test_bounds_enclose_the_estimate_and_fall_with_fewer_errors(n: int, share: float, data: st.DataObject) -> None:
    errors = data.draw(st.integers(0, n))
    size = max(n, round(n / share))

    result = estimate_audit(even(n, errors, share=n / size), lot=size, tolerable=0.05, confidence=0.95)

    assert result.error_rate.low is not None
    assert result.error_rate.value is not None
    assert 0.0 <= result.error_rate.low <= result.error_rate.value <= result.upper_bound <= 1.0
    if errors:
        fewer = estimate_audit(even(n, errors - 1, share=n / size), lot=size, tolerable=0.05, confidence=0.95)
        assert fewer.upper_bound <= result.upper_bound


def test_a_fallible_auditor_is_corrected_for() -> None:
    plain = estimate_audit(even(200, 30, share=0.1), lot=2_000, tolerable=0.05, confidence=0.95)
    doubted = estimate_audit(
        even(200, 30, share=0.1), lot=2_000, tolerable=0.05, confidence=0.95, auditor=Auditor(0.9, 0.95)
    )

    assert doubted.error_rate.value == pytest.approx((0.15 + 0.95 - 1) / 0.85)
    assert doubted.upper_bound < plain.upper_bound
    with pytest.raises(InvalidInput, match="no better than a coin"):
        Auditor(0.5, 0.5)


@pytest.mark.parametrize(
    ("drawn", "lot", "said"),
    [
        ([("s", 0.0, False)], 10, "audited label 1: found inclusion probability 0.0"),
        ([("s", 1.0, False)] * 3, 2, "lot: found 2"),
    ],
)
def test_draws_that_cannot_be_are_refused(drawn: Drawn, lot: int, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        estimate_audit(drawn, lot=lot, tolerable=0.05, confidence=0.95)


def test_the_document_has_no_nan_and_every_stratum() -> None:
    document = estimate_audit(even(10, 1, share=0.1), lot=100, tolerable=0.05, confidence=0.95).document()

    assert document["accepted"] is None
    assert [row["stratum"] for row in document["strata"]] == ["all"]
    assert document["error_rate"]["value"] == 0.1
