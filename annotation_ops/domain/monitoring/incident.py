"""When findings become an incident, when an incident closes by itself, and whether a retraining helped."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from statistics import NormalDist

from annotation_ops.domain.monitoring.degradation import RECENT_WINDOWS, Observation, Standing, pooled, total
from annotation_ops.domain.monitoring.slices import OVERALL, Finding
from annotation_ops.domain.project.monitor import Monitor
from annotation_ops.domain.records import Incident, IncidentState, JsonObject, content_key

CONFIDENCE = 0.95
"""Of the before/after interval."""

UNCOUNTED_NEEDED = 3
"""Observations without `n` that a recovery needs on either side: an interval from fewer spreads says nothing."""

UNDER_WAY = frozenset({IncidentState.OPEN, IncidentState.RELABELLED})


class Action(StrEnum):
    NONE = "none"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class IncidentDecision:
    """What to do about one window, in a word and a sentence; `incident` is filled for OPEN."""

    action: Action
    reason: str
    incident: Incident | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """One evaluation of one model version: what all slices' observations of one run and time have in common."""

    project: str
    model_version: str
    run_id: str
    observed_at: datetime


def incident_id(
    *, project: str, model: str, model_version: str, metric: str, slices: Sequence[str], run_id: str
) -> str:
    """The same degradation seen in the same run is the same incident, whoever looks and however often."""
    return content_key("incident", project, model, model_version, metric, run_id, *sorted(slices))


def decide_incident(
    findings: Sequence[Finding],
    *,
    window: Window,
    open_incidents: Sequence[Incident],
    last_incident_at: datetime | None,
    now: datetime,
    monitor: Monitor,
) -> IncidentDecision:
    """At most one incident for one window: slices an incident under way already names are its business, the overall
    metric is explained by any incident under way, and nothing opens within the cooldown."""
    fallen = [finding for finding in findings if finding.standing is Standing.FELL]
    if not fallen:
        return IncidentDecision(Action.NONE, "no slice fell")
    mine = [
        i for i in open_incidents if i.state in UNDER_WAY and (i.model, i.metric) == (monitor.model, monitor.metric)
    ]
    whole = next((incident for incident in mine if not incident.slices), None)
    if whole is not None:
        return IncidentDecision(Action.NONE, f"incident {whole.incident_id} is under way for the whole model")
    covered = {name for incident in mine for name in incident.slices} | ({OVERALL} if mine else set())
    fresh = [finding for finding in fallen if finding.slice not in covered]
    if not fresh:
        return IncidentDecision(Action.NONE, f"incident {mine[0].incident_id} is under way for the same cause")
    if last_incident_at is not None and now < last_incident_at + monitor.cooldown:
        return IncidentDecision(
            Action.NONE, f"cooling down until {(last_incident_at + monitor.cooldown).isoformat(timespec='seconds')}"
        )
    incident = _incident(fresh, window, now, monitor)
    named = ", ".join(incident.slices) or "the overall metric"
    return IncidentDecision(Action.OPEN, f"{named}: at most {monitor.relabel_budget} tasks to relabel", incident)


def _incident(fresh: Sequence[Finding], window: Window, now: datetime, monitor: Monitor) -> Incident:
    named = [finding for finding in fresh if finding.slice != OVERALL]
    slices = tuple(finding.slice for finding in named)
    return Incident(
        incident_id=incident_id(
            project=window.project,
            model=monitor.model,
            model_version=window.model_version,
            metric=monitor.metric,
            slices=slices,
            run_id=window.run_id,
        ),
        project=window.project,
        model=monitor.model,
        model_version=window.model_version,
        metric=monitor.metric,
        slices=slices,
        state=IncidentState.OPEN,
        opened_at=now,
        evidence={
            "observed_at": window.observed_at.isoformat(),
            "monitor": monitor.version,
            "false_alarm_rate": monitor.false_alarm_rate,
            "min_drop": monitor.min_drop,
            "budget": monitor.relabel_budget,
            "allocation": share_budget({f.slice: f.lost for f in named}, monitor.relabel_budget),
            "slices": {finding.slice: _evidence(finding) for finding in fresh},
        },
        run_id=window.run_id,
    )


def _evidence(finding: Finding) -> JsonObject:
    weighing = finding.weighing
    return {
        "baseline": weighing.baseline,
        "now": weighing.now,
        "n": weighing.n,
        "windows": weighing.windows,
        "drop": weighing.drop,
        "p_value": finding.p_value,
        "lost": finding.lost,
        "reason": finding.reason,
    }


def share_budget(lost: Mapping[str, float], budget: int) -> dict[str, int]:
    """Splits the budget in proportion to the correct answers lost; largest remainders get the odd tasks, ties by order."""
    whole = sum(lost.values())
    if not lost or whole <= 0:
        return {}
    exact = {name: budget * value / whole for name, value in lost.items()}
    shares = {name: math.floor(value) for name, value in exact.items()}
    odd = budget - sum(shares.values())
    for name in sorted(exact, key=lambda name: shares[name] - exact[name])[:odd]:
        shares[name] += 1
    return shares


def close_if_over(
    incident: Incident, *, histories: Mapping[str, Sequence[Observation]], monitor: Monitor, now: datetime
) -> Incident | None:
    """Closes an OPEN incident that no batch answers yet when the same model version came back by itself.

    Hysteresis: every slice's drop must be under half of `min_drop`, in the newest window and over the last few, so a
    metric that flaps around the threshold keeps its one incident. `histories` hold the incident's version only.
    """
    if incident.state is not IncidentState.OPEN or incident.batch_id is not None:
        return None
    tripped_at = datetime.fromisoformat(incident.evidence["observed_at"])
    drops: dict[str, float] = {}
    for name, evidence in incident.evidence["slices"].items():
        later = [o for o in histories.get(name, ()) if o.is_usable and o.observed_at > tripped_at][-RECENT_WINDOWS:]
        if not later:
            return None
        drops[name] = evidence["baseline"] - min(pooled(later), later[-1].value)
    if any(drop >= monitor.min_drop / 2 for drop in drops.values()):
        return None
    outcome: JsonObject = {"reason": "came back without a retraining", "drops": drops}
    return replace(incident, state=IncidentState.RESOLVED, closed_at=now, outcome=outcome)


@dataclass(frozen=True, slots=True)
class Recovery:
    """Before and after a retraining on one slice; the interval is of the gain (after - before), at 95 %."""

    slice: str
    baseline: float
    before: float
    after: float
    low: float
    high: float
    n_before: int | None
    n_after: int | None
    helped: bool

    @property
    def gain(self) -> float:
        return self.after - self.before

    @property
    def remaining(self) -> float:
        """How far the slice still is under the baseline that the degradation was measured against."""
        return self.baseline - self.after


def judge_recovery(
    incident: Incident,
    *,
    before: Mapping[str, Sequence[Observation]],
    after: Mapping[str, Sequence[Observation]],
    after_version: str,
    monitor: Monitor,
    now: datetime,
) -> Incident | None:
    """The incident closed as RESOLVED or UNRESOLVED, or None while there is too little to say.

    `before` are the degraded observations of the old version (from the tripping window on), `after` those of the newer
    one, both by slice ("" for overall). A slice is well when the gain's interval lies above 0 and less than `min_drop` is
    missing, or when less than half of `min_drop` is missing. All slices well: RESOLVED. Otherwise UNRESOLVED, but only
    once the relabel batch is published: a model trained without it proves nothing about it.
    """
    if incident.state not in UNDER_WAY:
        return None
    recoveries: list[Recovery] = []
    for name, evidence in incident.evidence["slices"].items():
        recovery = _recovery(name, evidence["baseline"], before.get(name, ()), after.get(name, ()), monitor.min_drop)
        if recovery is None:
            return None
        recoveries.append(recovery)
    resolved = all(recovery.helped for recovery in recoveries)
    if not resolved and incident.state is IncidentState.OPEN:
        return None
    outcome: JsonObject = {
        "model_version": after_version,
        "confidence": CONFIDENCE,
        "reason": "; ".join(_sentence(recovery) for recovery in recoveries),
        "slices": {recovery.slice: _outcome(recovery) for recovery in recoveries},
    }
    state = IncidentState.RESOLVED if resolved else IncidentState.UNRESOLVED
    return replace(incident, state=state, closed_at=now, outcome=outcome)


def _recovery(
    name: str, baseline: float, before: Sequence[Observation], after: Sequence[Observation], min_drop: float
) -> Recovery | None:
    old, new = ([o for o in side if o.is_usable] for side in (before, after))
    errors = [_standard_error(side) for side in (old, new)]
    if errors[0] is None or errors[1] is None:
        return None
    gain = pooled(new) - pooled(old)
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.hypot(errors[0], errors[1])
    remaining = baseline - pooled(new)
    helped = remaining < min_drop / 2 or (remaining < min_drop and gain > reach)
    return Recovery(
        name, baseline, pooled(old), pooled(new), gain - reach, gain + reach, total(old), total(new), helped
    )


def _standard_error(side: Sequence[Observation]) -> float | None:
    """Agresti-Coull's binomial error with counts; the error of the mean without; None when neither can be had."""
    size = total(side)
    if side and size is not None and all(0.0 <= o.value <= 1.0 for o in side):
        share = (pooled(side) * size + 2) / (size + 4)
        return math.sqrt(share * (1 - share) / (size + 4))
    if len(side) < UNCOUNTED_NEEDED:
        return None
    mean = math.fsum(o.value for o in side) / len(side)
    return math.sqrt(math.fsum((o.value - mean) ** 2 for o in side) / (len(side) - 1) / len(side))


def _outcome(recovery: Recovery) -> JsonObject:
    return {
        "baseline": recovery.baseline,
        "before": recovery.before,
        "after": recovery.after,
        "gain": recovery.gain,
        "low": recovery.low,
        "high": recovery.high,
        "n_before": recovery.n_before,
        "n_after": recovery.n_after,
        "helped": recovery.helped,
    }


def _sentence(recovery: Recovery) -> str:
    verdict = "recovered" if recovery.helped else "did not recover"
    return (
        f"{recovery.slice or 'overall'} {verdict}: {recovery.before:.3f} -> {recovery.after:.3f} "
        f"(gain {recovery.low:+.3f} to {recovery.high:+.3f}), baseline {recovery.baseline:.3f}"
    )
