import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger
from annotation_ops.domain.errors import Conflict, InvalidInput, TransientError
from annotation_ops.domain.monitoring.degradation import Standing
from annotation_ops.domain.records import SYSTEM_ACTOR, IncidentState
from annotation_ops.domain.tables import MODEL_PERFORMANCE
from annotation_ops.services.monitor import INCIDENT_TAG, ObserveReport, observe, pending_observations
from annotation_ops_tests.domain.monitoring.series import STEADY, monitor
from annotation_ops_tests.fakes.lake import MemoryLake
from annotation_ops_tests.fakes.model_tracking import MemoryTracking, observation
from annotation_ops_tests.services.loop import project_of

START = datetime(2026, 11, 1, 6, tzinfo=UTC)
PROJECT = replace(project_of(), name="digits", monitor=monitor())


@dataclass
class Watch:
    """A tracker, a ledger and a lake; `log` is one daily evaluation run."""

    tracking: MemoryTracking
    ledger: SqlLedger
    lake: MemoryLake
    days: int = 0

    def log(self, values: Mapping[str, float], *, n: int | None = 200, model_version: str = "1") -> str:
        run_id, at = f"run-{self.days}", START + timedelta(days=self.days)
        self.days += 1
        items = [
            observation(value, slice=name, n=n, run_id=run_id, observed_at=at, model_version=model_version)
            for name, value in values.items()
        ]
        self.tracking.log("digits-production", "digits", items)
        return run_id

    def log_baseline(self, *, model_version: str = "1") -> None:
        for value in STEADY:
            self.log({"": value, "scanner:a": value, "scanner:b": value}, model_version=model_version)

    def log_bad_day(self) -> str:
        return self.log({"": 0.85, "scanner:a": 0.90, "scanner:b": 0.70})

    def observe(self, *, later: timedelta = timedelta()) -> ObserveReport:
        now = START + timedelta(days=self.days) + later
        return observe(PROJECT, tracking=self.tracking, lake=self.lake, ledger=self.ledger, now=now)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    with SqlLedger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        ledger.initialise()
        yield Watch(MemoryTracking(page_runs=4), ledger, MemoryLake())


def test_a_degraded_slice_opens_one_incident_and_tags_its_run(watch: Watch) -> None:
    watch.log_baseline()
    run_id = watch.log_bad_day()

    report = watch.observe()

    (incident,) = report.opened
    assert incident.slices == ("scanner:b",)
    assert incident.run_id == run_id
    assert watch.ledger.incidents("digits") == (incident,)
    assert watch.tracking.tags(run_id) == {INCIDENT_TAG: incident.incident_id}
    assert [entry.body for entry in watch.ledger.audit_entries() if "incident.opened" in entry.body]


def test_the_report_reads_like_a_table_worst_slice_first(watch: Watch) -> None:
    watch.log_baseline()
    watch.log_bad_day()

    rows = watch.observe().rows

    assert [row.slice for row in rows] == ["scanner:b", "", "scanner:a"]
    worst = rows[0]
    assert (worst.standing, worst.now, worst.n, worst.decision) == (Standing.FELL, 0.70, 200, "incident opened")
    assert worst.baseline == pytest.approx(0.9)
    assert worst.drop == pytest.approx(0.2)
    assert "at most 60 tasks to relabel" in worst.reason


def test_looking_again_changes_nothing(watch: Watch) -> None:
    watch.log_baseline()
    watch.log_bad_day()
    watch.observe()
    entries, incidents = watch.ledger.audit_entries(), watch.ledger.incidents("digits")

    again = watch.observe()

    assert (again.observations, again.opened, again.closed) == (0, (), ())
    assert [row.slice for row in again.rows] == ["scanner:b", "", "scanner:a"]
    assert watch.ledger.audit_entries() == entries
    assert watch.ledger.incidents("digits") == incidents


def test_a_second_bad_day_is_the_same_incident(watch: Watch) -> None:
    watch.log_baseline()
    watch.log_bad_day()
    watch.observe()
    watch.log_bad_day()

    report = watch.observe()

    assert report.opened == ()
    assert "same cause" in report.rows[0].reason
    assert len(watch.ledger.incidents("digits")) == 1


def test_many_bad_days_read_at_once_open_one_incident(watch: Watch) -> None:
    watch.log_baseline()
    first = watch.log_bad_day()
    for _ in range(3):
        watch.log_bad_day()

    (incident,) = watch.observe().opened

    assert incident.run_id == first


def test_observations_are_kept_in_the_lake_once(watch: Watch) -> None:
    watch.log_baseline()
    watch.log({"": 0.9}, n=None)
    watch.observe()
    watch.observe()

    rows = watch.lake.read(MODEL_PERFORMANCE, partition={"project": "digits"}).to_pylist()

    assert len(rows) == 31
    assert sum(row["n"] is None for row in rows) == 1


def test_a_tracker_that_is_away_moves_nothing(watch: Watch) -> None:
    watch.log_baseline()
    watch.tracking.go_away()

    with pytest.raises(TransientError):
        watch.observe()

    assert watch.ledger.cursor("monitor:digits") is None
    watch.tracking.come_back()
    assert watch.observe().observations == 30


def test_a_tag_lost_in_a_crash_is_set_at_the_next_look(watch: Watch) -> None:
    watch.log_baseline()
    run_id = watch.log_bad_day()
    (incident,) = watch.observe().opened
    watch.tracking.tag_run(run_id, {INCIDENT_TAG: ""})

    watch.observe()

    assert watch.tracking.tags(run_id) == {INCIDENT_TAG: incident.incident_id}


def test_a_run_that_was_deleted_is_reported_not_fatal(watch: Watch) -> None:
    watch.log_baseline()
    run_id = watch.log_bad_day()
    watch.tracking.lose_run(run_id)

    assert watch.observe().untagged == (run_id,)


def test_a_value_that_is_no_number_is_an_alarm_and_costs_no_labels(watch: Watch) -> None:
    watch.log_baseline()
    run_id = watch.log({"": math.nan, "scanner:b": 0.90})

    report = watch.observe()

    assert report.opened == ()
    (alarm,) = report.alarms
    assert alarm.startswith(f"run {run_id}, overall accuracy: the logged value is nan")
    (kept,) = watch.ledger.quarantined("digits", "metric")
    assert kept.reason == alarm


def test_a_clock_that_went_back_is_refused_and_the_cursor_stays(watch: Watch) -> None:
    watch.log_baseline()
    with watch.ledger.transaction(actor=SYSTEM_ACTOR, at=START + timedelta(days=400)) as tx:
        tx.audit("test.later", "digits", {})

    with pytest.raises(Conflict):
        watch.observe()

    assert watch.ledger.cursor("monitor:digits") is None


def relabelled(watch: Watch) -> None:
    """The incident's batch is published."""
    (incident,) = watch.ledger.incidents("digits")
    now = START + timedelta(days=watch.days)
    with watch.ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        tx.put_incident(replace(incident, batch_id="2026-11-12-relabel-01", state=IncidentState.RELABELLED))
        tx.audit("label.published", "digits", {})


@pytest.mark.parametrize(("after", "expected"), [(0.90, IncidentState.RESOLVED), (0.71, IncidentState.UNRESOLVED)])
def test_after_the_retraining_the_slice_is_measured_again(watch: Watch, after: float, expected: IncidentState) -> None:
    watch.log_baseline()
    watch.log_bad_day()
    watch.observe()
    relabelled(watch)
    watch.log({"": 0.90, "scanner:b": after}, model_version="2")

    (closed,) = watch.observe().closed

    assert closed.state is expected
    assert closed.outcome["slices"]["scanner:b"]["after"] == pytest.approx(after)
    assert watch.ledger.incidents("digits") == (closed,)
    assert watch.observe().closed == ()


def test_an_older_version_measured_again_is_no_retraining(watch: Watch) -> None:
    watch.log_baseline(model_version="2")
    watch.log({"": 0.85, "scanner:b": 0.70}, model_version="2")
    watch.observe()
    relabelled(watch)
    watch.log({"": 0.60, "scanner:b": 0.60}, model_version="1")

    assert watch.observe().closed == ()


def test_a_new_version_starts_its_own_baseline(watch: Watch) -> None:
    watch.log_baseline()
    watch.log({"": 0.60, "scanner:b": 0.60}, model_version="2")

    report = watch.observe()

    assert {row.standing for row in report.rows} == {Standing.BASELINE}
    assert report.opened == ()


def test_what_waits_can_be_counted_without_touching_anything(watch: Watch) -> None:
    watch.log_baseline()

    assert pending_observations(PROJECT, tracking=watch.tracking, cursor=None) == 30
    watch.observe()
    cursor = watch.ledger.cursor("monitor:digits")
    assert pending_observations(PROJECT, tracking=watch.tracking, cursor=cursor) == 0


def test_a_project_without_a_monitor_is_not_watched(watch: Watch) -> None:
    unwatched = replace(PROJECT, monitor=None)

    with pytest.raises(InvalidInput, match=r"monitor\.yaml"):
        pending_observations(unwatched, tracking=watch.tracking, cursor=None)
