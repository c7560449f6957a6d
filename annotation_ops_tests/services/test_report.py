from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from annotation_ops.domain.batches import BatchPurpose, BatchState, parse_attempt_key
from annotation_ops.domain.errors import NotFound
from annotation_ops.domain.project.criteria import MixCriteria
from annotation_ops.domain.records import Assignment, AssignmentPurpose, AssignmentState
from annotation_ops.services.govern import override
from annotation_ops.services.report import collect_batch_report, collect_project_report
from annotation_ops_tests.services.report_bench import Bench, moment

PEOPLE = ("ann", "bob", "cyd")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench.build(tmp_path, people=PEOPLE)
    yield made
    made.ledger.close()


def rejected_then_passed(bench: Bench) -> tuple[str, str]:
    bench.history(1, rejected=(0,), tasks=100)
    first, second = (one.key for one in bench.ledger.attempts(bench.project.name))
    return first, second


def test_a_rejected_attempt_is_rework_of_its_batch(bench: Bench) -> None:
    first, second = rejected_then_passed(bench)

    report = collect_batch_report(bench.project, second, ledger=bench.ledger, price=0.5)

    assert [(row.key, row.outcome) for row in report.history] == [(first, "FAIL"), (second, "PASS")]
    assert (report.cost.judgements, report.cost.rework_share) == (600, 0.5)
    assert (report.cost.accepted_labels, report.cost.cost_per_label) == (98, 300 / 98)


def test_a_batch_id_means_its_newest_attempt(bench: Bench) -> None:
    first, second = rejected_then_passed(bench)

    assert collect_batch_report(bench.project, first, ledger=bench.ledger).key == first
    assert collect_batch_report(bench.project, first[:-3], ledger=bench.ledger).key == second


def test_an_unknown_batch_is_answered_with_those_that_exist(bench: Bench) -> None:
    first, second = rejected_then_passed(bench)

    with pytest.raises(NotFound, match=f"batch '2026-x' of digits: not found; the newest are {first}, {second}"):
        collect_batch_report(bench.project, "2026-x", ledger=bench.ledger)


def test_the_evidence_is_that_of_the_verdict_document(bench: Bench) -> None:
    _, second = rejected_then_passed(bench)

    report = collect_batch_report(bench.project, second, ledger=bench.ledger)

    (recorded,) = (v for v in bench.ledger.verdicts(bench.project.name) if v.attempt == 2)
    statistic, share = report.evidence
    assert (statistic.name, statistic.line, statistic.margin) == ("krippendorff_alpha_nominal", 0.85, 0.05)
    assert statistic.measured.document() == recorded.document["statistics"]["krippendorff_alpha_nominal"]
    assert (share.at_most, share.measured.document()) == (True, recorded.document["share_below"])
    assert dict(report.statistics).keys() == recorded.document["statistics"].keys()


def test_keys_that_later_verdicts_bring_are_shown_and_empty_ones_are_not(bench: Bench) -> None:
    key = bench.batch(0)
    bench.annotate(key)
    bench.judge(key)

    extras = dict(collect_batch_report(bench.project, key, ledger=bench.ledger).extras)

    assert extras["contract"] == {"tasks": 60, "unanswered": 0, "quarantined": 0}
    assert {"gold_score", "label_mix", "audit"} & extras.keys() == set()


def test_an_attempt_in_people_s_hands_has_a_report_without_a_verdict(bench: Bench) -> None:
    key = bench.batch(0)
    bench.annotate(key, tasks=5)

    report = collect_batch_report(bench.project, key, ledger=bench.ledger)

    assert (report.verdict, report.evidence, report.statistics) == (None, (), ())
    assert report.cost.judgements == 15
    assert report.cost.cost_per_label is None
    assert {row.annotator_id for row in report.heat.rows} == set(PEOPLE)
    assert len(report.pairs.people) == 3


def test_an_attempt_nobody_touched_has_a_report(bench: Bench) -> None:
    report = collect_batch_report(bench.project, bench.batch(0), ledger=bench.ledger)

    assert (report.heat.rows, report.pairs.n_pairs, report.confusions.rows, report.mix.n) == ((), 0, (), 0)
    assert report.cost.hours is None


def test_a_person_who_overrides_is_named_beside_what_the_judge_found(bench: Bench) -> None:
    key = bench.batch(0)
    bench.annotate(key, skill=0.6)
    bench.judge(key)
    override(
        bench.project,
        key,
        outcome="PASS",
        actor="mia",
        reason="Blurred scans, seen by two seniors.",
        ledger=bench.ledger,
        now=moment(0, 1) + timedelta(hours=8),
    )

    report = collect_batch_report(bench.project, key, ledger=bench.ledger)

    assert report.verdict is not None
    assert (report.verdict.outcome, report.verdict.judged_by) == ("PASS", "person:mia")
    assert report.verdict.note == "Blurred scans, seen by two seniors."
    assert report.reasons[0][0] == "agreement_too_low"
    assert [(row.outcome, row.by_person, row.in_force) for row in report.verdicts][-1] == ("PASS", True, True)
    (point,) = collect_project_report(bench.project, ledger=bench.ledger).trend
    assert (point.outcome, point.by_person) == ("PASS", True)


def test_judgements_asked_for_because_of_an_answer_cost_but_do_not_enter_agreement(bench: Bench) -> None:
    key = bench.batch(0)
    bench.annotate(key, tasks=10)
    batch_id, number = parse_attempt_key(key)
    at = moment(0, 1)
    late = [
        Assignment(t.task_key, "cyd", AssignmentState.DONE, {}, at, purpose=AssignmentPurpose.ADAPTIVE)
        for t in bench.ledger.tasks(bench.project.name, batch_id, number)
    ]
    with bench.ledger.transaction(actor="system", at=at) as tx:
        tx.add_assignments(late)
        tx.audit("overlap.raised", key, {})

    report = collect_batch_report(bench.project, key, ledger=bench.ledger)

    assert report.pairs.people == ("ann", "bob")
    assert report.cost.judgements == 30


def test_labels_of_an_older_taxonomy_are_shown_behind_the_present_ones(bench: Bench) -> None:
    key = bench.batch(0)
    bench.annotate(key)
    bench.judge(key)
    taxonomy = bench.project.taxonomy
    today = replace(bench.project, taxonomy=replace(taxonomy, labels=taxonomy.labels[1:]))

    assert collect_batch_report(today, key, ledger=bench.ledger).heat.labels == ("dog", "fox", "cat")


def test_earlier_accepted_batches_stand_beside_the_label_mix(bench: Bench) -> None:
    bench.history(3, rejected=(1,), tasks=100)
    *_, last = bench.ledger.attempts(bench.project.name)

    mix = collect_batch_report(bench.project, last.key, ledger=bench.ledger).mix

    accepted = [v for v in bench.ledger.verdicts(bench.project.name) if v.outcome == "PASS"]
    assert len(accepted) == 3
    assert 190 <= mix.n_earlier <= 200
    assert sum(row.earlier or 0.0 for row in mix.rows) == pytest.approx(1.0)


def test_a_project_without_a_batch_has_a_report(bench: Bench) -> None:
    report = collect_project_report(bench.project, ledger=bench.ledger)

    assert (report.n_batches, report.as_of, report.trend, report.annotators) == (0, None, (), ())
    assert report.cost.rework_share is None
    assert report.crowd.reason == "no_overlap"


def test_a_project_adds_its_batches_up(bench: Bench) -> None:
    bench.history(4, rejected=(1,), tasks=100)

    report = collect_project_report(bench.project, ledger=bench.ledger)

    assert report.outcomes == {"PASS": 4, "FAIL": 1}
    assert (report.cost.judgements, report.cost.rework_share) == (1500, 0.2)
    assert sum(row.judgements for row in report.cost_by_batch) == 1500
    assert sum(row.judgements for row in report.annotators) == 1500
    assert [row.name for row in report.cost_by_cohort] == ["north", "south", "west"]
    assert sum(row.accepted_labels for row in report.cost_by_cohort) == pytest.approx(4 * 98)
    assert [point.outcome for point in report.trend] == ["PASS", "FAIL", "PASS", "PASS", "PASS"]
    assert report.trend == tuple(sorted(report.trend, key=lambda point: point.at))


def test_an_audit_costs_judgements_and_is_no_point_of_the_trend(bench: Bench) -> None:
    bench.history(1, tasks=100)
    key = bench.batch(2, purpose=BatchPurpose.AUDIT)
    bench.annotate(key, tasks=20, overlap=1)

    report = collect_project_report(bench.project, ledger=bench.ledger)

    assert (report.cost.judgements, len(report.trend)) == (320, 1)


def test_a_report_is_as_of_the_newest_record(bench: Bench) -> None:
    bench.history(2, tasks=100)
    before = collect_project_report(bench.project, ledger=bench.ledger).as_of
    bench.incident(5)

    after = collect_project_report(bench.project, ledger=bench.ledger).as_of

    assert before == moment(1, 1) + timedelta(hours=6)
    assert after == moment(5, 1) + timedelta(days=1)


def test_judgements_without_a_lead_time_are_counted_and_named_as_missing_from_the_hours(bench: Bench) -> None:
    key = bench.batch(0)
    bench.annotate(key, tasks=10, seconds=None)
    other = bench.batch(1)
    bench.annotate(other, tasks=10)

    cost = collect_project_report(bench.project, ledger=bench.ledger).cost

    assert (cost.judgements, cost.untimed) == (60, 30)
    assert cost.hours is not None
    assert cost.judgements_per_hour == pytest.approx(30 / cost.hours)


def test_judgements_that_an_adaptive_policy_did_not_ask_for_are_saved_against_the_batch_s_overlap(bench: Bench) -> None:
    first = bench.batch(0)
    bench.annotate(first, tasks=40, overlap=2)
    bench.annotate(bench.batch(1), tasks=10, overlap=3)

    saved = collect_batch_report(bench.project, first, ledger=bench.ledger).savings
    whole = collect_project_report(bench.project, ledger=bench.ledger).savings

    assert saved is not None
    assert (saved.n_tasks, saved.judgements, saved.fixed, saved.saved, saved.per_task) == (40, 80, 120, 40, 2.0)
    assert whole is not None
    assert (whole.fixed, whole.saved, whole.share) == (150, 40, 40 / 150)


def test_nothing_counts_as_saved_while_people_still_answer_nor_in_an_audit(bench: Bench) -> None:
    open_one = bench.batch(0)
    bench.annotate(open_one, tasks=10, overlap=1)
    bench.annotate(bench.batch(1, purpose=BatchPurpose.AUDIT), tasks=10, overlap=1)
    batch_id, number = parse_attempt_key(open_one)
    with bench.ledger.transaction(actor="system", at=moment(1, 1)) as tx:
        tx.move_attempt(
            batch_id,
            number,
            project=bench.project.name,
            expect={BatchState.COMPLETE},
            to=BatchState.IN_ANNOTATION,
            at=moment(1, 1),
        )
        tx.audit("batch.reopened", open_one, {})

    assert collect_batch_report(bench.project, open_one, ledger=bench.ledger).savings is None
    assert collect_project_report(bench.project, ledger=bench.ledger).savings is None


def test_the_mix_over_time_stands_beside_the_expectation_of_the_criteria(bench: Bench) -> None:
    expected = {"cat": 0.5, "dog": 0.3, "fox": 0.2}
    mix = MixCriteria(tuple(expected.items()), alpha=0.01, min_effect=0.2)
    bench.project = replace(bench.project, criteria=replace(bench.project.criteria, label_mix=mix))
    bench.history(1, tasks=100)

    assert collect_project_report(bench.project, ledger=bench.ledger).mix.expected == expected
