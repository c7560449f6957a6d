"""The reports that runs write, and what the UI shows of them."""

from pathlib import Path

import dagster as dg

from annotation_ops.demo import digits
from annotation_ops_tests.dagster.deployment import OTHERS_WARNINGS, Loop, metadata_of

pytestmark = [*OTHERS_WARNINGS]

BATCH = "2026-11-23-active-01.a1"
POOL = digits.load(seed=0).pool


def shown_by(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    (only,) = metadata_of(result, "project_report").values()
    return only


def test_a_judged_batch_links_its_report_even_when_it_is_rejected(loop: Loop) -> None:
    loop.here.edit("criteria.yaml", "threshold: 0.85", "threshold: 0.999")
    loop.annotate(BATCH, POOL[:30])

    shown = metadata_of(loop.run("judge", BATCH), "qa_passed_labels")[BATCH]

    assert shown["report"] == str(loop.here.home / "reports" / "digits" / f"{BATCH}.html")
    text = Path(str(shown["report"])).read_text()
    assert "Judged on 2026-11-24" in text
    assert len(text.encode()) == shown["report_bytes"]
    assert "| judgements | 90 |" in str(shown["report_summary"])
    assert "| judgements per accepted label | undefined: no label was accepted |" in str(shown["report_summary"])


def test_the_project_s_report_is_an_asset_with_a_summary_that_gives_the_same_bytes_again(loop: Loop) -> None:
    loop.here.edit("criteria.yaml", "threshold: 0.85", "threshold: 0.1")
    loop.here.edit("criteria.yaml", "max_share_below: 0.10", "max_share_below: 0.90")
    loop.annotate(BATCH, POOL[:30])
    assert loop.run("judge", BATCH).success
    assert loop.run("publish", BATCH).success

    shown = shown_by(loop.run("report"))

    file = loop.here.home / "reports" / "digits" / "project.html"
    assert shown["report"] == str(file)
    first = file.read_bytes()
    assert b"Agreement over time, 1 attempts" in first
    assert "| verdicts in force | 1 PASS |" in str(shown["summary"])
    assert "| rework share | 0.0% |" in str(shown["summary"])
    assert "| saved by adaptive overlap | 0.0% |" in str(shown["summary"])
    loop.work()
    assert loop.run("report").success
    assert file.read_bytes() == first


def test_a_project_without_a_batch_has_a_report_that_says_what_is_undefined(loop: Loop) -> None:
    shown = shown_by(loop.run("report"))

    assert shown["as_of"] == "nothing recorded yet"
    assert "| rework share | undefined: no judgement yet |" in str(shown["summary"])
    assert "| agreement of pairs | undefined: no overlap |" in str(shown["summary"])


def test_a_store_that_refuses_the_report_leaves_a_note_and_the_verdict_stands(loop: Loop) -> None:
    loop.annotate(BATCH, POOL[:10])
    (loop.here.home / "reports").write_text("a file where the folder should be")

    result = loop.run("judge", BATCH)

    shown = metadata_of(result, "qa_passed_labels")[BATCH]
    assert str(shown["report"]).startswith("not written: ")
    assert [verdict.attempt for verdict in loop.parts.ledger.verdicts("digits")] == [1]
    assert not loop.run("report").success


def test_the_report_is_written_every_night(loop: Loop) -> None:
    schedule = loop.definitions.resolve_schedule_def("digits_daily_report")

    assert (schedule.cron_schedule, schedule.job_name) == ("45 0 * * *", "digits_report")
