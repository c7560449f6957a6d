import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.criteria import Criteria
from annotation_ops.domain.project.taxonomy import Label, Taxonomy
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.quality.verdict.gates import FEW_POSITIVES, Outcome
from annotation_ops.domain.quality.verdict.judge import Verdict, judge
from annotation_ops_tests.domain.quality.crowds import crowd, of_table

CRITERIA = Criteria(
    version="1.0.0",
    statistic="cohen_kappa",
    threshold=0.85,
    mode="evidence",
    margin=0.05,
    confidence=0.95,
    max_share_below=1.0,
    task_threshold=0.5,
    critical_class_agreement=0.7,
    min_confidence=0.8,
    consensus="weighted_vote",
    min_overlap_tasks=10,
)


def taxonomy(q: int = 2, *, critical: str = "", ordered: bool = False) -> Taxonomy:
    return Taxonomy("1.0.0", tuple(Label(str(i), "", str(i) in critical) for i in range(q)), ordered)


def verdict(table: list[list[int]], *, critical: str = "", seed: int = 1, **changes: object) -> Verdict:
    criteria = replace(CRITERIA, **changes)
    return judge(of_table(table), criteria=criteria, taxonomy=taxonomy(len(table), critical=critical), seed=seed)


def codes(found: Verdict) -> list[str]:
    return [reason.code for reason in found.reasons]


@pytest.mark.parametrize(
    ("mode", "table", "outcome"),
    [
        ("point", [[93, 7], [7, 93]], Outcome.PASS),
        ("point", [[92, 8], [8, 92]], Outcome.FAIL),
        ("evidence", [[93, 7], [7, 93]], Outcome.INSUFFICIENT),
        ("evidence", [[198, 2], [2, 198]], Outcome.PASS),
        ("evidence", [[80, 20], [20, 80]], Outcome.FAIL),
        ("not_worse", [[190, 10], [10, 190]], Outcome.PASS),
        ("not_worse", [[186, 14], [14, 186]], Outcome.PASS),
        ("evidence", [[186, 14], [14, 186]], Outcome.INSUFFICIENT),
        ("not_worse", [[92, 8], [8, 92]], Outcome.INSUFFICIENT),
        ("not_worse", [[19, 1], [1, 19]], Outcome.INSUFFICIENT),
        ("not_worse", [[80, 20], [20, 80]], Outcome.FAIL),
    ],
)
def test_each_mode_decides_as_it_is_documented(mode, table, outcome) -> None:
    assert verdict(table, mode=mode).outcome is outcome


def test_an_estimate_exactly_on_the_threshold_reaches_it() -> None:
    found = verdict([[21, 4], [4, 21]], mode="point", threshold=0.68)

    assert found.statistics["cohen_kappa"].value == np.nextafter(0.68, 0.0)
    assert found.outcome is Outcome.PASS


@pytest.mark.parametrize("mode", ["point", "not_worse", "evidence"])
@pytest.mark.parametrize("table", [[[970, 10], [10, 10]], [[980, 10], [10, 0]], [[980, 2], [1, 0]]])
@pytest.mark.parametrize("statistic", ["cohen_kappa", "gwet_ac1", "percent_agreement", "krippendorff_alpha_nominal"])
def test_on_paradox_tables_kappa_alone_does_not_fail_and_ac1_alone_does_not_pass(mode, table, statistic) -> None:
    found = verdict(table, mode=mode, statistic=statistic)

    assert found.outcome is Outcome.INSUFFICIENT
    assert found.paradox
    assert any("class '1'" in reason.text for reason in found.reasons)


@pytest.mark.parametrize("statistic", ["cohen_kappa", "gwet_ac1"])
def test_a_critical_rare_class_that_annotators_never_agree_on_fails_the_batch(statistic) -> None:
    found = verdict([[980, 10], [10, 0]], statistic=statistic, critical="1")

    assert found.outcome is Outcome.FAIL
    assert codes(found)[0] == "class_agreement_too_low"


def test_under_the_paradox_a_rare_class_must_be_proven_even_where_estimates_decide() -> None:
    found = verdict([[300, 1], [0, 2]], mode="point")

    assert found.classes[1].measured.agreement.value == pytest.approx(0.8)
    assert (found.outcome, found.classes[1].outcome) == (Outcome.INSUFFICIENT, Outcome.INSUFFICIENT)


def test_the_second_paradox_table_fails_only_while_ac1_is_low_as_well() -> None:
    table = [[80, 10], [5, 5]]

    low, high = (verdict(table, mode="point", threshold=threshold) for threshold in (0.85, 0.80))

    assert (low.outcome, high.outcome) == (Outcome.FAIL, Outcome.INSUFFICIENT)
    assert codes(high)[0] == "prevalence_paradox"


def test_a_rare_class_with_sound_agreement_passes_although_kappa_does_not_settle() -> None:
    table = [[2000, 3], [3, 30]]

    alone, shown = (verdict(table, threshold=0.95, mode=mode) for mode in ("not_worse", "evidence"))

    assert alone.statistics["cohen_kappa"].value == pytest.approx(0.9076, abs=1e-3)
    assert (alone.outcome, alone.paradox) == (Outcome.PASS, True)
    assert (shown.outcome, shown.paradox) == (Outcome.INSUFFICIENT, True), "the rare class is not shown to reach 0.95"


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [("not_worse", Outcome.INSUFFICIENT), ("evidence", Outcome.INSUFFICIENT), ("point", Outcome.PASS)],
)
def test_a_perfect_kappa_on_two_rare_answers_is_not_evidence(mode, outcome) -> None:
    found = verdict([[60, 0], [0, 2]], mode=mode)

    assert found.statistics["cohen_kappa"].value == 1.0
    assert found.outcome is outcome
    assert ("few_minority_answers" in codes(found)) == (mode == "evidence")


@pytest.mark.parametrize("mode", ["point", "not_worse", "evidence"])
def test_one_category_only_passes_by_proof_and_never_by_an_undefined_kappa(mode) -> None:
    proven, unproven = verdict([[100, 0], [0, 0]], mode=mode), verdict([[12, 0], [0, 0]], mode=mode)
    critical = verdict([[100, 0], [0, 0]], mode=mode, critical="1")

    assert proven.statistics["cohen_kappa"].reason == "single_category"
    assert proven.probability is None
    by_proof = Outcome.INSUFFICIENT if mode == "evidence" else Outcome.PASS
    assert [proven.outcome, unproven.outcome, critical.outcome] == [
        by_proof,
        Outcome.INSUFFICIENT,
        Outcome.INSUFFICIENT,
    ]
    assert "class_not_shown" in codes(critical)


def test_too_few_overlapping_tasks_are_insufficient_however_well_they_agree() -> None:
    found = verdict([[5, 0], [0, 4]], mode="point")

    assert (found.outcome, codes(found)) == (Outcome.INSUFFICIENT, ["too_few_overlap_tasks"])
    assert "9 of 9 tasks" in found.reasons[0].text
    assert found.statistics["cohen_kappa"].value == 1.0


@pytest.mark.parametrize("rows", [[], [("t", "a", "0")], [("t1", "a", "0"), ("t2", "b", "1")]])
def test_batches_without_overlap_are_insufficient_even_when_no_minimum_is_set(rows) -> None:
    judgements = Judgements.from_rows(rows, categories="01")

    found = judge(
        judgements, criteria=replace(CRITERIA, min_overlap_tasks=0, mode="point"), taxonomy=taxonomy(), seed=1
    )

    assert (found.outcome, codes(found)) == (Outcome.INSUFFICIENT, ["too_few_overlap_tasks"])
    json.dumps(found.document(), allow_nan=False)


def test_kappa_among_three_annotators_is_undefined_and_says_what_to_choose() -> None:
    _, judgements = crowd(np.random.default_rng(1), kinds=[1.0] * 3, n=50, k=3, prevalence=[0.5, 0.5])

    found = judge(judgements, criteria=replace(CRITERIA, mode="point"), taxonomy=taxonomy(), seed=1)

    assert found.outcome is Outcome.INSUFFICIENT
    assert "choose fleiss_kappa" in found.reasons[0].text


def test_too_many_disputed_tasks_fail_the_whole_batch_and_are_named() -> None:
    found = verdict([[93, 7], [7, 93]], mode="point", max_share_below=0.06)

    assert (found.outcome, codes(found)) == (Outcome.FAIL, ["disputed_tasks_many", "agreement_reached"])
    assert len(found.tasks_below) == 14
    assert found.tasks_below[0] == "t00093"


def test_the_share_below_is_known_exactly_when_every_task_overlaps_and_uncertain_otherwise() -> None:
    rows = [(f"t{t:03}", name, "1" if t == 0 and name == "b" else "0") for t in range(20) for name in "ab"]
    alone = [(f"u{t:03}", "a", "0") for t in range(80)]
    criteria = replace(CRITERIA, max_share_below=0.10, statistic="percent_agreement", threshold=0.5)

    census, sample = (
        judge(Judgements.from_rows(r, categories="01"), criteria=criteria, taxonomy=taxonomy(), seed=1)
        for r in (rows, rows + alone)
    )

    assert (census.share_below.low, census.share_below.value, census.share_below.high) == (0.05, 0.05, 0.05)
    assert sample.share_below.value == 0.05
    assert sample.share_below.high is not None
    assert sample.share_below.high > 0.10
    assert "disputed_tasks_few" in codes(census)
    assert "disputed_tasks_not_settled" in codes(sample)


def test_a_critical_class_below_its_line_fails_a_batch_that_otherwise_passes() -> None:
    table = [[200, 0, 0], [0, 200, 12], [0, 12, 20]]

    lenient, guarded = (verdict(table, mode="point", critical=critical) for critical in ("", "2"))

    assert lenient.outcome is Outcome.PASS
    assert guarded.outcome is Outcome.FAIL
    assert "critical class '2'" in guarded.reasons[0].text
    assert guarded.classes[2].outcome is Outcome.FAIL


def test_one_quarrel_over_a_very_rare_critical_class_is_insufficient_and_not_a_failure() -> None:
    table = [[100, 0, 0], [0, 100, 1], [0, 0, 1]]
    assert table[2][2] + table[1][2] < FEW_POSITIVES

    found = verdict(table, mode="point", critical="2")

    assert (found.outcome, codes(found)[0]) == (Outcome.INSUFFICIENT, "class_agreement_not_settled")


def test_a_critical_class_nobody_used_is_mentioned_and_one_only_seen_alone_is_insufficient() -> None:
    rows = [(f"t{t:03}", name, str(t % 2)) for t in range(100) for name in "ab"]
    criteria = replace(CRITERIA, mode="point")

    unused, alone = (
        judge(Judgements.from_rows(r, categories="012"), criteria=criteria, taxonomy=taxonomy(3, critical="2"), seed=1)
        for r in (rows, [*rows, ("u", "a", "2")])
    )

    assert (unused.outcome, codes(unused)[-1]) == (Outcome.PASS, "critical_class_unused")
    assert (alone.outcome, codes(alone)[0]) == (Outcome.INSUFFICIENT, "class_not_shown")


def test_failure_beats_missing_evidence() -> None:
    found = verdict([[93, 7], [7, 93]], mode="evidence", max_share_below=0.01)

    assert codes(found)[:2] == ["disputed_tasks_many", "agreement_not_settled"]
    assert found.outcome is Outcome.FAIL


def test_the_document_has_the_names_of_the_interface_and_the_same_bytes_each_time() -> None:
    table = [[40, 9], [6, 45]]
    one = judge(of_table(table), criteria=CRITERIA, taxonomy=taxonomy(), seed=7, criteria_hash="abc").document()
    again = judge(of_table(table), criteria=CRITERIA, taxonomy=taxonomy(), seed=7, criteria_hash="abc").document()

    assert json.dumps(one, allow_nan=False) == json.dumps(again)
    assert one["verdict"] == "FAIL"
    assert one["criteria"] == {"version": "1.0.0", "hash": "abc"}
    assert set(one) >= {"reasons", "statistics", "classes", "annotators", "tasks_below", "share_below"}
    assert set(one["statistics"]["cohen_kappa"]) == {"value", "reason", "low", "high", "n"}
    assert set(one["reasons"][0]) == {"code", "text"}


def test_unknown_statistics_and_foreign_categories_are_refused() -> None:
    with pytest.raises(InvalidInput, match="found statistic 'kapa', expected one of percent_agreement"):
        verdict([[5, 0], [0, 5]], statistic="kapa")
    with pytest.raises(InvalidInput, match="expected those of taxonomy"):
        judge(of_table([[5, 0], [0, 5]]), criteria=CRITERIA, taxonomy=taxonomy(3), seed=1)


def test_weighted_kappa_can_judge_an_ordered_taxonomy_only() -> None:
    criteria = replace(CRITERIA, statistic="weighted_kappa_linear", mode="point")
    judgements = of_table([[50, 3, 0], [3, 50, 3], [0, 3, 50]])

    found = judge(judgements, criteria=criteria, taxonomy=taxonomy(3, ordered=True), seed=1)

    assert found.outcome is Outcome.PASS
    with pytest.raises(InvalidInput, match="weighted_kappa_linear"):
        judge(judgements, criteria=criteria, taxonomy=taxonomy(3), seed=1)


def test_the_evidence_gate_passes_and_fails_as_often_as_measured() -> None:
    """Balanced classes, 200 tasks, threshold 0.85: PASS .93 at a true kappa of .95; FAIL .82 and PASS 0 at .75."""
    generator = np.random.default_rng(11)
    seen: dict[float, list[Outcome]] = {0.75: [], 0.95: []}
    for kappa, outcomes in seen.items():
        cells = np.array([1 + kappa, 1 - kappa, 1 - kappa, 1 + kappa]) / 4
        for run in range(60):
            table = generator.multinomial(200, cells).reshape(2, 2)
            outcomes.append(verdict(table.tolist(), seed=run).outcome)

    assert seen[0.95].count(Outcome.PASS) / 60 == pytest.approx(0.93, abs=0.09)
    assert seen[0.75].count(Outcome.FAIL) / 60 == pytest.approx(0.82, abs=0.14)
    assert Outcome.PASS not in seen[0.75]
    assert Outcome.FAIL not in seen[0.95]


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.integers(0, 3), st.integers(0, 2)), max_size=24, unique_by=lambda r: r[:2]
    ),
    st.sampled_from(["point", "not_worse", "evidence"]),
    st.sampled_from(["cohen_kappa", "fleiss_kappa", "krippendorff_alpha_nominal", "gwet_ac1", "percent_agreement"]),
)
def test_no_batch_however_odd_breaks_the_judge_or_passes_on_an_undefined_statistic(rows, mode, statistic) -> None:
    judgements = Judgements.from_rows(((f"t{t}", f"a{a}", str(c)) for t, a, c in rows), categories="012")
    criteria = replace(CRITERIA, mode=mode, statistic=statistic, min_overlap_tasks=1)

    found = judge(judgements, criteria=criteria, taxonomy=taxonomy(3, critical="1"), seed=1)

    json.dumps(found.document(), allow_nan=False)
    assert found.reasons
    if found.statistics[statistic].value is None:
        assert found.outcome is not Outcome.PASS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rare", "tasks"), [(0.5, 100), (0.1, 100), (0.1, 400), (0.02, 100), (0.02, 400), (0.02, 1000)]
)
@pytest.mark.parametrize("truth", [0.75, 0.80])
def test_in_mode_evidence_at_most_one_bad_batch_in_twenty_passes(rare, tasks, truth) -> None:
    """Kappa .05 and .10 below the threshold of .85; 300 batches each, so 24 passes speak against 5 % (p < .02)."""
    same = truth * np.diag([1 - rare, rare]) + (1 - truth) * np.outer([1 - rare, rare], [1 - rare, rare])
    tables = np.random.default_rng(int(1000 * rare + tasks)).multinomial(tasks, same.ravel(), size=300)

    passed = sum(verdict(table.reshape(2, 2).tolist()).outcome is Outcome.PASS for table in tables)

    assert passed < 24
