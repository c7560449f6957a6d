"""The conductor: what is due now, decided from what the ledger says. Pure; the sensor is a shell around `decide`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from annotation_ops.domain.batches import (
    STAGES,
    WITH_LABELS,
    BatchPurpose,
    BatchState,
    attempt_key,
    batch_id,
    makes_labels,
    parse_batch_id,
    stage_batch_id,
)
from annotation_ops.domain.records import Attempt, Incident, IncidentState, content_key

Stage = Literal["dispatch", "collect", "judge", "top_up", "publish", "train"]

CLOCK_TOLERANCE = timedelta(seconds=2)
"""Two hosts kept by NTP differ by less."""

OPEN_STATES = frozenset(
    {
        BatchState.PLANNED,
        BatchState.IN_ANNOTATION,
        BatchState.COMPLETE,
        BatchState.FAILED,
        BatchState.PASSED,
        BatchState.INSUFFICIENT,
        *STAGES,
        BatchState.ESCALATED,
        BatchState.HELD,
    }
)
"""States that count against `workflow.max_open_batches`."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The newest ranking a batch can be planned from."""

    day: str
    n_ranked: int

    def as_cursor(self) -> str:
        return json.dumps({"day": self.day, "n_ranked": self.n_ranked}, sort_keys=True)

    @classmethod
    def from_cursor(cls, text: str) -> "Ranking":
        stored = json.loads(text)
        return cls(day=stored["day"], n_ranked=stored["n_ranked"])


@dataclass(frozen=True, slots=True)
class LoopState:
    """What the decision needs to know of one project."""

    project: str
    ranking: Ranking | None
    attempts: tuple[Attempt, ...]
    incidents: tuple[Incident, ...]
    batch_size: int
    max_open_batches: int
    last_recorded_at: datetime | None
    last_collected_at: datetime | None
    doorbell_at: datetime | None
    """When the platform last said that something happened there: a hint, that it says nothing means nothing."""
    last_commit: str | None
    last_trained_commit: str | None
    labels_since_training: int
    min_new_labels: int | None
    """None: no training is declared."""
    overlap: int = 1
    certified: int | None = None
    """How many certified people may judge one task; None where no certificate is asked for."""

    @property
    def waits_for_people(self) -> bool:
        """Too few are certified for any task, so sending work would only make it unroutable."""
        return self.certified is not None and self.certified < self.overlap


@dataclass(frozen=True, slots=True)
class Due:
    """One piece of due work. `run_key` is made of content, so a repeated decision launches nothing twice."""

    stage: Stage
    key: str
    """The attempt's partition key; "" for work that is not about one attempt."""
    run_key: str
    why: str


@dataclass(frozen=True, slots=True)
class Decision:
    due: tuple[Due, ...]
    idle: str
    """Why nothing is due, for the tick's skip message; "" when something is."""


def decide(state: LoopState, now: datetime, *, collect_every: timedelta) -> Decision:
    """What is due: planned -> dispatch, complete -> judge, not settled -> top up, failed -> the next attempt, to be reviewed,
    adjudicated or audited -> the batch that does it, passed -> publish, labels -> train.

    Work in people's hands is collected every `collect_every`, and at once when the doorbell rang. A clock that went back decides nothing; while too few people are
    certified, no work that makes labels is sent out.
    """
    if state.last_recorded_at is not None and now < state.last_recorded_at - CLOCK_TOLERANCE:
        return Decision(
            (),
            f"the clock went back: it says {now.isoformat()}, the ledger's newest entry is of "
            f"{state.last_recorded_at.isoformat()}; nothing is decided until the clock is right again",
        )
    due = [
        *_moves(state, now, collect_every),
        *_relabels(state),
        *_new_batch(state),
        *_training(state),
    ]
    if state.waits_for_people:
        due = [one for one in due if one.stage not in {"dispatch", "top_up"} or not makes_labels(one.key)]
    return Decision(tuple(due), "" if due else _idle(state))


def relabel_batch_id(incident: Incident, incidents: Sequence[Incident]) -> str:
    """The batch an incident asks for: numbered among the incidents of its day by time of opening."""
    same_day = sorted(
        (other for other in incidents if other.opened_at.date() == incident.opened_at.date()),
        key=lambda other: (other.opened_at, other.incident_id),
    )
    position = [other.incident_id for other in same_day].index(incident.incident_id)
    return batch_id(incident.opened_at.date(), BatchPurpose.RELABEL, position + 1)


def _moves(state: LoopState, now: datetime, collect_every: timedelta) -> list[Due]:
    due: list[Due] = []
    in_hands = 0
    known = {attempt.key for attempt in state.attempts}
    for attempt in state.attempts:
        match attempt.state:
            case BatchState.PLANNED:
                due.append(_due(state, "dispatch", attempt.key, "planned, not sent yet"))
            case BatchState.IN_ANNOTATION:
                in_hands += 1
            case BatchState.HELD if attempt.held_from is BatchState.IN_ANNOTATION:
                # People keep their tasks, and what they answer is collected.
                in_hands += 1
            case BatchState.COMPLETE:
                due.append(_due(state, "judge", attempt.key, "every annotation is in", _stamp(attempt.completed_at)))
            case BatchState.FAILED:
                following = attempt_key(attempt.batch_id, attempt.number + 1)
                due.append(
                    _due(
                        state,
                        "dispatch",
                        following,
                        f"attempt {attempt.number} was rejected: the whole batch goes back",
                    )
                )
            case BatchState.INSUFFICIENT:
                more = _due(
                    state,
                    "top_up",
                    attempt.key,
                    "the verdict is not settled: overlap is topped up",
                    _stamp(attempt.judged_at),
                )
                due.append(more)
            case waiting if waiting in STAGES:
                about = attempt_key(stage_batch_id(STAGES[waiting], attempt.key), 1)
                if about not in known:
                    due.append(
                        _due(state, "dispatch", about, f"{attempt.key} passed and goes to its {STAGES[waiting]}")
                    )
            case BatchState.PASSED:
                due.append(_due(state, "publish", attempt.key, "passed, not published yet", _stamp(attempt.judged_at)))
            case _:
                pass
    if in_hands and (why := _why_collect(state, now, collect_every)):
        held = f"{in_hands} batches are in people's hands"
        # As long as collecting fails it is the same piece of work, tried again after longer and longer waits.
        due.append(_due(state, "collect", "", f"{held}: {why}", _stamp(state.last_collected_at)))
    return due


def _why_collect(state: LoopState, now: datetime, collect_every: timedelta) -> str:
    """ "" when it is too soon."""
    last = state.last_collected_at
    if last is None or now - last >= collect_every:
        return "the interval has passed"
    return "the platform rang" if state.doorbell_at is not None and state.doorbell_at > last else ""


def _relabels(state: LoopState) -> list[Due]:
    return [
        _due(
            state,
            "dispatch",
            attempt_key(relabel_batch_id(incident, state.incidents), 1),
            f"incident {incident.incident_id}: {', '.join(incident.slices) or 'all slices'}",
        )
        for incident in state.incidents
        if incident.state is IncidentState.OPEN and incident.batch_id is None
    ]


def _new_batch(state: LoopState) -> list[Due]:
    """At most one new batch a tick, only from the newest ranking: a backfill of old days asks nobody for work."""
    ranking = state.ranking
    if ranking is None:
        return []
    active = sorted({a.batch_id for a in state.attempts if parse_batch_id(a.batch_id)[1] is BatchPurpose.ACTIVE})
    if len(_open(state)) >= state.max_open_batches:
        return []
    of_day = [name for name in active if name.startswith(ranking.day)]
    newest = active[-1][:10] if active else ""
    if newest > ranking.day or len(of_day) * state.batch_size >= ranking.n_ranked:
        return []
    day, _ = parse_batch_id(f"{ranking.day}-active-01")
    name = batch_id(day, BatchPurpose.ACTIVE, len(of_day) + 1)
    return [
        _due(
            state,
            "dispatch",
            attempt_key(name, 1),
            f"the ranking of {ranking.day} has samples that nobody was asked about",
        )
    ]


def _training(state: LoopState) -> list[Due]:
    if state.min_new_labels is None or state.last_commit is None or state.last_commit == state.last_trained_commit:
        return []
    relabelled = any(incident.state is IncidentState.RELABELLED for incident in state.incidents)
    if state.labels_since_training < state.min_new_labels and not relabelled:
        return []
    return [
        _due(state, "train", "", f"{state.labels_since_training} new labels since the last training", state.last_commit)
    ]


def _open(state: LoopState) -> set[str]:
    return {
        attempt.batch_id
        for attempt in state.attempts
        if attempt.state in OPEN_STATES and parse_batch_id(attempt.batch_id)[1] in WITH_LABELS
    }


def _idle(state: LoopState) -> str:
    counts = {name: sum(a.state is name for a in state.attempts) for name in BatchState}
    held = ", ".join(f"{count} {name.value.replace('_', ' ')}" for name, count in counts.items() if count)
    source = f"newest ranking {state.ranking.day}" if state.ranking else "nothing is ranked yet"
    people = f"{state.certified} certified people, a task takes {state.overlap}: labels wait for calibrations; "
    return f"nothing is due: {people if state.waits_for_people else ''}{source}; batch attempts: {held or 'none'}"


def _due(state: LoopState, stage: Stage, key: str, why: str, *content: str) -> Due:
    return Due(
        stage, key, f"{stage}:{key or state.project}:{content_key(state.project, stage, key, *content)[:12]}", why
    )


def _stamp(moment: datetime | None) -> str:
    return moment.isoformat() if moment is not None else ""
