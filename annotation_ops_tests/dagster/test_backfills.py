"""Backfills: one run over many partitions, of data and of verdicts."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from annotation_ops.demo import digits
from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.tables import GOLD_LABELS, LABEL_FEATURES, RANKED_SAMPLES, RAW_SAMPLES, TableSpec
from annotation_ops_tests.dagster.deployment import (
    FIRST_DAY,
    OTHERS_WARNINGS,
    QUIET,
    TODAY,
    Loop,
    deployment,
    metadata_of,
)
from annotation_ops_tests.dagster.server import ROOT, DagsterServer, dagster_server, open_instance, run_dagster
from annotation_ops_tests.fakes.clock import ManualClock

pytestmark = [*OTHERS_WARNINGS]

POOL = digits.load(seed=0).pool
DAYS = [FIRST_DAY + timedelta(days=offset) for offset in range((TODAY - FIRST_DAY).days + 1)]


def over_range(loop: Loop, stage: str, first: str, last: str) -> dg.ExecuteInProcessResult:
    """One run over a range of partitions, as `dagster asset materialize --partition-range` starts it."""
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return loop.definitions.resolve_job_def(f"digits_{stage}").execute_in_process(
        instance=loop.instance, tags=tags, raise_on_error=False, run_config=QUIET
    )


def rows(loop: Loop, table: TableSpec) -> pa.Table:
    keys = [(name, "ascending") for name in (*table.partition_by, *table.key)]
    return loop.parts.lake.read(table, partition={"project": "digits"}).sort_by(keys)


def test_twenty_days_are_one_run_and_running_it_again_gives_the_same_rows(loop: Loop) -> None:
    assert len(DAYS) == 20
    for number, day in enumerate(DAYS):
        loop.here.deliver(loop.parts, POOL[3 * number : 3 * number + 3], day=day)

    result = over_range(loop, "ingest", DAYS[0].isoformat(), DAYS[-1].isoformat())
    first = [rows(loop, table) for table in (RAW_SAMPLES, RANKED_SAMPLES)]
    again = over_range(loop, "ingest", DAYS[0].isoformat(), DAYS[-1].isoformat())

    assert result.success
    assert again.success
    arrived = metadata_of(result, "raw_samples")
    assert [arrived[day.isoformat()]["new"] for day in DAYS] == [3] * 20
    assert [metadata_of(again, "raw_samples")[day.isoformat()]["unchanged"] for day in DAYS] == [3] * 20
    assert [rows(loop, table) for table in (RAW_SAMPLES, RANKED_SAMPLES)] == first
    assert first[0].num_rows == 60


def test_past_batches_under_new_criteria_list_their_flips_and_move_nothing(loop: Loop) -> None:
    loop.here.edit("criteria.yaml", "threshold: 0.85", "threshold: 0.3")
    loop.here.edit("criteria.yaml", "max_share_below: 0.10", "max_share_below: 0.90")
    batches = ["2026-11-22-active-01.a1", "2026-11-23-active-01.a1"]
    for batch, indices, day in zip(batches, (POOL[:60], POOL[60:120]), DAYS[-2:], strict=True):
        loop.annotate(batch, indices, day=day)
        assert loop.run("judge", batch).success
        assert loop.run("publish", batch).success
    published = rows(loop, LABEL_FEATURES)
    loop.here.edit("criteria.yaml", "version: 1.0.0", "version: 1.1.0")
    loop.here.edit("criteria.yaml", "threshold: 0.3", "threshold: 0.999")

    result = over_range(loop, "judge", *batches)

    assert result.success, "a review is a warning, not a fault"
    (check,) = result.get_asset_check_evaluations()
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert check.metadata["verdicts_that_flip"].value == 2
    table = str(check.metadata["verdicts"].value)
    assert all(f"| {batch} | PASS | FAIL | flips |" in table for batch in batches)
    verdicts = loop.parts.ledger.verdicts("digits")
    assert [(v.outcome, v.criteria[:5]) for v in verdicts] == [("PASS", "1.0.0")] * 2 + [("FAIL", "1.1.0")] * 2
    assert {a.state for a in loop.parts.ledger.attempts("digits")} == {BatchState.PUBLISHED}
    assert rows(loop, LABEL_FEATURES) == published


def passed_and_published(loop: Loop) -> str:
    """A batch of the clock's day, judged under criteria that any batch meets."""
    loop.here.edit("criteria.yaml", "threshold: 0.85", "threshold: 0.3")
    loop.here.edit("criteria.yaml", "max_share_below: 0.10", "max_share_below: 0.90")
    day = loop.clock.now().date()
    batch = f"{day}-active-01.a1"
    loop.annotate(batch, POOL[:60], day=day)
    assert loop.run("judge", batch).success
    assert loop.run("publish", batch).success
    return batch


def tighten(loop: Loop) -> None:
    """Criteria 1.1.0: hard to meet, and another way to the consensus."""
    loop.here.edit("criteria.yaml", "version: 1.0.0", "version: 1.1.0")
    loop.here.edit("criteria.yaml", "threshold: 0.3", "threshold: 0.999")
    loop.here.edit("criteria.yaml", "consensus: weighted_vote", "consensus: majority")


def test_a_repeated_review_adds_no_verdict_and_gold_labels_stay_as_they_were_judged(loop: Loop) -> None:
    batch = passed_and_published(loop)
    gold = rows(loop, GOLD_LABELS)
    tighten(loop)

    for _ in range(2):
        assert over_range(loop, "judge", batch, batch).success

    assert [verdict.outcome for verdict in loop.parts.ledger.verdicts("digits")] == ["PASS", "FAIL"]
    assert set(gold.column("method").to_pylist()) == {"weighted_vote"}
    assert rows(loop, GOLD_LABELS) == gold


def wait_for(server: DagsterServer, runs: int) -> list[tuple[str, str]]:
    """Job and status of each run of a backfill, once so many of them ended."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        made = [run for run in server.runs() if "dagster/backfill" in run["tags"]]
        ended = [(run["jobName"], run["status"]) for run in made if run["status"] in ("SUCCESS", "FAILURE", "CANCELED")]
        if len(ended) >= runs:
            return ended
        time.sleep(1.0)
    raise AssertionError(server.runs())


@pytest.mark.slow
def test_the_command_line_queues_backfills_and_a_real_daemon_does_them(tmp_path: Path) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    days = [yesterday - timedelta(days=19 - number) for number in range(20)]
    here = deployment(tmp_path / "home", start=days[0])
    clock = ManualClock(datetime.now(UTC) - timedelta(days=2))
    with here.parts(clock) as parts, open_instance(here.home) as instance:
        loop = Loop(here, parts, instance, clock)
        batch = passed_and_published(loop)
        tighten(loop)
        for number, day in enumerate(days):
            here.deliver(parts, POOL[100 + 3 * number : 103 + 3 * number], day=day)
        states = parts.ledger.attempts("digits")
        gold = rows(loop, GOLD_LABELS)
    backfill = ["job", "backfill", "-w", str(ROOT / "workspace.yaml"), "--noprompt"]
    with dagster_server(here.home, here.environment) as server:
        of_days = ["-j", "digits_ingest", "--from", str(days[0]), "--to", str(days[-1])]
        of_batches = ["-j", "digits_judge", "--from", batch, "--to", batch]
        for options in (of_days, of_batches):
            said = run_dagster([*backfill, *options], server.environment, cwd=here.home)
            assert "Launched backfill job" in said.stdout
        ended = wait_for(server, runs=21)

    assert sorted(ended) == [("digits_ingest", "SUCCESS")] * 20 + [("digits_judge", "SUCCESS")]
    with here.parts(clock) as parts, open_instance(here.home) as instance:
        done = instance.get_materialized_partitions(dg.AssetKey(["digits", "raw_samples"]))
        assert {str(day) for day in days} <= done
        assert [verdict.outcome for verdict in parts.ledger.verdicts("digits")] == ["PASS", "FAIL"]
        assert parts.ledger.attempts("digits") == states
        assert rows(Loop(here, parts, instance, clock), GOLD_LABELS) == gold
