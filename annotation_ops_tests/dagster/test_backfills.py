"""Backfills: one run over many partitions, of data and of verdicts."""

from datetime import timedelta

import dagster as dg
import pyarrow as pa

from annotation_ops.demo import digits
from annotation_ops.domain.records import BatchState
from annotation_ops.domain.tables import LABEL_FEATURES, RANKED_SAMPLES, RAW_SAMPLES, TableSpec
from annotation_ops_tests.dagster.deployment import FIRST_DAY, OTHERS_WARNINGS, QUIET, TODAY, Loop, metadata_of

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
