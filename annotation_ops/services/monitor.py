"""Monitoring: metrics since the last look are kept, tested, and become at most one incident for each cause.

Order of writing: lake (idempotent), then incident + cursor + audit in one ledger transaction, then the tag on the tracker's
run. A crash between any two repeats from the old cursor or tags again; it neither loses nor doubles an incident.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from annotation_ops.domain.errors import InvalidInput, NotFound
from annotation_ops.domain.monitoring.degradation import Observation, Standing
from annotation_ops.domain.monitoring.incident import (
    UNDER_WAY,
    Action,
    IncidentDecision,
    Window,
    close_if_over,
    decide_incident,
    judge_recovery,
)
from annotation_ops.domain.monitoring.slices import Finding, find_fallen
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.monitor import Monitor
from annotation_ops.domain.records import SYSTEM_ACTOR, Incident, JsonObject, Quarantined, content_key
from annotation_ops.domain.tables import MODEL_PERFORMANCE
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger, LedgerTransaction
from annotation_ops.ports.model_tracking import MetricObservation, ModelTracking

INCIDENT_TAG = "annotation_ops.incident"


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One slice of the newest window of its model version, as a person reads it."""

    slice: str
    """"" is overall."""
    model_version: str
    standing: Standing
    baseline: float | None
    now: float | None
    n: int | None
    drop: float | None
    p_value: float | None
    """Adjusted for the number of slices."""
    decision: str
    reason: str
    run_id: str
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class ObserveReport:
    project: str
    model: str
    metric: str
    observations: int
    """New ones, of every metric."""
    rows: tuple[SliceRow, ...]
    """The newest window, most correct answers lost first."""
    opened: tuple[Incident, ...]
    closed: tuple[Incident, ...]
    """RESOLVED or UNRESOLVED by what was seen now; `outcome` says why."""
    alarms: tuple[str, ...]
    """Values that are no numbers, in words: about the measurement, never answered with labels."""
    untagged: tuple[str, ...]
    """Runs that no longer exist at the tracker and so carry no incident tag."""
    cursor: str | None


@dataclass(frozen=True, slots=True)
class _Look:
    """One window with what was found and decided."""

    window: Window
    findings: tuple[Finding, ...]
    decision: IncidentDecision


_Series = Mapping[tuple[str, str], Sequence[Observation]]


def cursor_name(project: str) -> str:
    return f"monitor:{project}"


def monitor_of(project: AnnotationProject) -> Monitor:
    """Raises InvalidInput when the project declares no monitor."""
    if project.monitor is None:
        raise InvalidInput(
            f"{project.name}: found no monitor.yaml, expected one. Declare it, or do not watch this project."
        )
    return project.monitor


def pending_observations(project: AnnotationProject, *, tracking: ModelTracking, cursor: str | None) -> int:
    """How many observations wait behind the cursor; changes nothing. Raises TransientError when the tracker is away."""
    return len(_read_since(monitor_of(project), tracking, cursor)[0])


def observe(
    project: AnnotationProject, *, tracking: ModelTracking, lake: Lake, ledger: Ledger, now: datetime
) -> ObserveReport:
    """Reads what was logged since the last look, opens and closes incidents.

    Raises TransientError when the tracker is away (nothing moved), Conflict when the clock went back, InvalidInput
    without a declared monitor.
    """
    monitor = monitor_of(project)
    name = cursor_name(project.name)
    cursor = ledger.cursor(name)
    items, next_cursor = _read_since(monitor, tracking, cursor)
    lake.upsert(MODEL_PERFORMANCE, _table(project.name, items), partition={"project": project.name})
    series = _series(project.name, monitor, lake)
    incidents = ledger.incidents(project.name)
    looks = _look_at(project.name, monitor, items, series, incidents, now)
    opened = tuple(look.decision.incident for look in looks if look.decision.incident is not None)
    closed = _closed([*incidents, *opened], series, monitor, now)
    alarms = tuple(_alarms(project.name, monitor, looks, now))
    if next_cursor != cursor or closed:
        with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
            _record(tx, opened=opened, closed=closed, alarms=alarms)
            if next_cursor is not None:
                tx.set_cursor(name, next_cursor)
            details = {
                "project": project.name,
                "observations": len(items),
                "alarms": len(alarms),
                "cursor": next_cursor,
            }
            tx.audit("model.observed", project.name, details)
    return ObserveReport(
        project=project.name,
        model=monitor.model,
        metric=monitor.metric,
        observations=len(items),
        rows=_rows(project.name, monitor, series, looks),
        opened=opened,
        closed=closed,
        alarms=tuple(alarm.reason for alarm in alarms),
        untagged=_tag([*incidents, *opened], tracking),
        cursor=next_cursor,
    )


def _record(
    tx: LedgerTransaction, *, opened: Sequence[Incident], closed: Sequence[Incident], alarms: Sequence[Quarantined]
) -> None:
    for incident in opened:
        tx.put_incident(incident)
        tx.audit("incident.opened", incident.incident_id, _audit_details(incident))
    for incident in closed:
        tx.put_incident(incident)
        tx.audit(f"incident.{incident.state}", incident.incident_id, _audit_details(incident))
    for alarm in alarms:
        tx.quarantine(alarm)


def _read_since(
    monitor: Monitor, tracking: ModelTracking, cursor: str | None
) -> tuple[tuple[MetricObservation, ...], str | None]:
    found: dict[tuple[str, str, str, datetime], MetricObservation] = {}
    while True:
        page = tracking.observations(experiment=monitor.experiment, model=monitor.model, since=cursor)
        found |= {(item.run_id, item.metric, item.slice, item.observed_at): item for item in page.items}
        if page.next_cursor == (cursor or "") or not page.items:
            return tuple(found.values()), page.next_cursor or None
        cursor = page.next_cursor


def _table(project: str, items: Sequence[MetricObservation]) -> pa.Table:
    rows = [
        {
            "project": project,
            "model": item.model,
            "model_version": item.model_version,
            "metric": item.metric,
            "slice": item.slice,
            "value": item.value,
            "n": item.n,
            "observed_at": item.observed_at,
            "run_id": item.run_id,
        }
        for item in items
    ]
    return pa.Table.from_pylist(rows, schema=MODEL_PERFORMANCE.schema)


def _series(project: str, monitor: Monitor, lake: Lake) -> _Series:
    """(model version, slice) -> its observations of the watched metric, oldest first."""
    series: dict[tuple[str, str], list[Observation]] = {}
    for row in lake.read(MODEL_PERFORMANCE, partition={"project": project}).to_pylist():
        if (row["model"], row["metric"]) == (monitor.model, monitor.metric):
            observation = Observation(row["value"], row["n"], row["observed_at"], row["run_id"])
            series.setdefault((row["model_version"], row["slice"]), []).append(observation)
    for observations in series.values():
        observations.sort(key=lambda o: (o.observed_at, o.run_id))
    return series


def _look_at(
    project: str,
    monitor: Monitor,
    items: Sequence[MetricObservation],
    series: _Series,
    incidents: Sequence[Incident],
    now: datetime,
) -> tuple[_Look, ...]:
    """Every new window in the order of time, each decision knowing the ones before it."""
    known = {incident.incident_id for incident in incidents}
    current = [incident for incident in incidents if incident.model == monitor.model]
    windows = {
        Window(project, item.model_version, item.run_id, item.observed_at)
        for item in items
        if item.metric == monitor.metric
    }
    looks: list[_Look] = []
    for window in sorted(windows, key=lambda w: (w.observed_at, w.run_id)):
        findings = _find(window, series, monitor)
        decision = decide_incident(
            findings,
            window=window,
            open_incidents=current,
            last_incident_at=max((incident.opened_at for incident in current), default=None),
            now=now,
            monitor=monitor,
        )
        if decision.incident is not None and decision.incident.incident_id in known:
            decision = IncidentDecision(Action.NONE, f"incident {decision.incident.incident_id} was opened before")
        if decision.incident is not None:
            current.append(decision.incident)
        looks.append(_Look(window, findings, decision))
    return tuple(looks)


def _find(window: Window, series: _Series, monitor: Monitor) -> tuple[Finding, ...]:
    histories: dict[str, list[Observation]] = {}
    for (version, name), observations in series.items():
        if version != window.model_version:
            continue
        places = [
            i for i, o in enumerate(observations) if (o.run_id, o.observed_at) == (window.run_id, window.observed_at)
        ]
        if places:
            histories[name] = list(observations[: places[-1] + 1])
    return find_fallen(
        histories,
        baseline_observations=monitor.baseline_observations,
        false_alarm_rate=monitor.false_alarm_rate,
        min_drop=monitor.min_drop,
    )


def _closed(incidents: Sequence[Incident], series: _Series, monitor: Monitor, now: datetime) -> tuple[Incident, ...]:
    closed: list[Incident] = []
    for incident in incidents:
        if incident.state not in UNDER_WAY or (incident.model, incident.metric) != (monitor.model, monitor.metric):
            continue
        outcome = _recovered(incident, series, monitor, now) or close_if_over(
            incident, histories=_of_version(series, incident.model_version), monitor=monitor, now=now
        )
        if outcome is not None:
            closed.append(outcome)
    return tuple(closed)


def _recovered(incident: Incident, series: _Series, monitor: Monitor, now: datetime) -> Incident | None:
    tripped_at = datetime.fromisoformat(incident.evidence["observed_at"])
    newer = _newest_version(series, after=tripped_at, than=incident.model_version)
    if newer is None:
        return None
    before = _of_version(series, incident.model_version)
    return judge_recovery(
        incident,
        before={name: [o for o in side if o.observed_at >= tripped_at] for name, side in before.items()},
        after=_of_version(series, newer),
        after_version=newer,
        monitor=monitor,
        now=now,
    )


def _of_version(series: _Series, version: str) -> dict[str, Sequence[Observation]]:
    return {name: side for (of, name), side in series.items() if of == version}


def _newest_version(series: _Series, *, after: datetime, than: str) -> str | None:
    """The version observed last, of those first seen after `after` and not numbered below `than`."""
    spans: dict[str, tuple[datetime, datetime]] = {}
    for (version, _), side in series.items():
        first, last = spans.get(version, (side[0].observed_at, side[-1].observed_at))
        spans[version] = (min(first, side[0].observed_at), max(last, side[-1].observed_at))
    newer = [v for v, (first, _) in spans.items() if first > after and v != than and not _is_older(v, than)]
    return max(newer, key=lambda v: (spans[v][1], v), default=None)


def _is_older(version: str, than: str) -> bool:
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)


def _alarms(project: str, monitor: Monitor, looks: Sequence[_Look], now: datetime) -> list[Quarantined]:
    return [
        Quarantined(
            kind="metric",
            key=content_key("metric", finding.run_id, monitor.metric, finding.slice, finding.observed_at.isoformat()),
            project=project,
            reason_code="not_finite",
            reason=f"run {finding.run_id}, {finding.slice or 'overall'} {monitor.metric}: {finding.reason}",
            body={"run_id": finding.run_id, "slice": finding.slice, "value": str(finding.weighing.now)},
            at=now,
        )
        for look in looks
        for finding in look.findings
        if finding.standing is Standing.NOT_FINITE
    ]


def _audit_details(incident: Incident) -> JsonObject:
    """The audit chain holds no floats, so figures go in as text."""
    return {
        "project": incident.project,
        "model": incident.model,
        "model_version": incident.model_version,
        "metric": incident.metric,
        "slices": list(incident.slices),
        "run": incident.run_id,
        "budget": incident.evidence["budget"],
        "reason": incident.outcome.get("reason", "")
        or "; ".join(f"{name or 'overall'}: {e['reason']}" for name, e in incident.evidence["slices"].items()),
    }


def _rows(project: str, monitor: Monitor, series: _Series, looks: Sequence[_Look]) -> tuple[SliceRow, ...]:
    """Of the last window looked at now; without one, of the last window on record."""
    if looks:
        last = looks[-1]
    else:
        newest = max(
            ((o.observed_at, o.run_id, version) for (version, _), side in series.items() for o in side[-1:]),
            default=None,
        )
        if newest is None:
            return ()
        window = Window(project, newest[2], newest[1], newest[0])
        last = _Look(window, _find(window, series, monitor), IncidentDecision(Action.NONE, "nothing new"))
    return tuple(_row(finding, last) for finding in last.findings)


def _row(finding: Finding, look: _Look) -> SliceRow:
    weighing = finding.weighing
    fell = finding.standing is Standing.FELL
    word = "incident opened" if look.decision.action is Action.OPEN else "no incident"
    return SliceRow(
        slice=finding.slice,
        model_version=look.window.model_version,
        standing=finding.standing,
        baseline=weighing.baseline,
        now=weighing.now,
        n=weighing.n,
        drop=weighing.drop,
        p_value=finding.p_value,
        decision=word if fell else "none",
        reason=f"{finding.reason}; {look.decision.reason}" if fell else finding.reason,
        run_id=finding.run_id,
        observed_at=finding.observed_at,
    )


def _tag(incidents: Sequence[Incident], tracking: ModelTracking) -> tuple[str, ...]:
    """Tags the runs of every incident under way again: a crash after the last commit is mended here."""
    by_run: dict[str, list[str]] = {}
    for incident in incidents:
        if incident.run_id is not None and incident.state in UNDER_WAY:
            by_run.setdefault(incident.run_id, []).append(incident.incident_id)
    untagged: list[str] = []
    for run_id, ids in sorted(by_run.items()):
        try:
            tracking.tag_run(run_id, {INCIDENT_TAG: ",".join(sorted(ids))})
        except NotFound:
            untagged.append(run_id)
    return tuple(untagged)
