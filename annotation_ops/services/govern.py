"""Governing: a person overrides a verdict, with a reason that the audit trail keeps."""

from datetime import datetime

from annotation_ops.domain.batches import STAGES, BatchState, parse_attempt_key
from annotation_ops.domain.errors import Conflict, InvalidInput
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.records import SYSTEM_ACTOR, Attempt, VerdictRecord
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services.judge import verdict_in_force

SETTLED_BY_PERSON = {"PASS": BatchState.PASSED, "FAIL": BatchState.FAILED}


def override(
    project: AnnotationProject, key: str, *, outcome: str, actor: str, reason: str, ledger: Ledger, now: datetime
) -> Attempt:
    """Records a person's verdict (PASS or FAIL) on an INSUFFICIENT, ESCALATED or rejected attempt, or one that waits for a stage; the evidence stays.

    Raises InvalidInput for an empty reason, the system's own name or another outcome; Conflict in any other state and for an attempt that
    was never judged.
    """
    _require_person(actor, reason)
    if outcome not in SETTLED_BY_PERSON:
        raise InvalidInput(f"found outcome {outcome!r}, expected {' or '.join(SETTLED_BY_PERSON)}")
    batch_id, number = parse_attempt_key(key)
    attempt = ledger.attempt(project.name, batch_id, number)
    allowed = {BatchState.INSUFFICIENT, *STAGES, BatchState.ESCALATED, BatchState.FAILED}
    if attempt.state not in allowed:
        found, expected = attempt.state, ", ".join(sorted(allowed))
        raise Conflict(
            f"{key}: found state {found}, expected one of {expected}; only an undecided, rejected or not yet published attempt is overridden"
        )
    earlier = verdict_in_force(project.name, key, ledger=ledger)
    if earlier is None:
        raise Conflict(f"{key}: nobody judged it yet, so there is no verdict to override")
    record = VerdictRecord(
        batch_id,
        number,
        outcome,
        earlier.criteria,
        earlier.document,
        now,
        judged_by=f"person:{actor}",
        reason=reason,
        evidence=earlier.evidence,
    )
    with ledger.transaction(actor=f"person:{actor}", at=now) as tx:
        tx.add_verdict(project.name, record)
        tx.move_attempt(
            batch_id, number, project=project.name, expect=allowed, to=SETTLED_BY_PERSON[outcome], at=now, reason=reason
        )
        tx.audit(
            "verdict.overridden",
            key,
            {"project": project.name, "from": earlier.outcome, "to": outcome, "reason": reason},
        )
    return ledger.attempt(project.name, batch_id, number)


NOT_HELD = frozenset({BatchState.PUBLISHED, BatchState.REQUEUED, BatchState.SETTLED, BatchState.HELD})
"""States in which there is nothing left to stop."""


def hold(project: AnnotationProject, key: str, *, actor: str, reason: str, ledger: Ledger, now: datetime) -> Attempt:
    """Stops an attempt where it is: nothing is sent, judged or published until it is released. People who work on it keep their
    tasks, and what they answer is collected. Raises InvalidInput without a person and a reason, Conflict when nothing is left to stop."""
    _require_person(actor, reason)
    return _move(
        project,
        key,
        "batch.held",
        expect=frozenset(BatchState) - NOT_HELD,
        to=BatchState.HELD,
        actor=actor,
        reason=reason,
        ledger=ledger,
        now=now,
    )


def release(project: AnnotationProject, key: str, *, actor: str, reason: str, ledger: Ledger, now: datetime) -> Attempt:
    """Lets a held attempt go on from where it was. Raises InvalidInput without a person and a reason, Conflict when it is not held."""
    _require_person(actor, reason)
    came_from = ledger.attempt(project.name, *parse_attempt_key(key)).held_from
    return _move(
        project,
        key,
        "batch.released",
        expect=frozenset({BatchState.HELD}),
        to=came_from or BatchState.HELD,
        actor=actor,
        reason=reason,
        ledger=ledger,
        now=now,
    )


def _move(
    project: AnnotationProject,
    key: str,
    event: str,
    *,
    expect: frozenset[BatchState],
    to: BatchState,
    actor: str,
    reason: str,
    ledger: Ledger,
    now: datetime,
) -> Attempt:
    batch_id, number = parse_attempt_key(key)
    before = ledger.attempt(project.name, batch_id, number).state
    with ledger.transaction(actor=f"person:{actor}", at=now) as tx:
        tx.move_attempt(batch_id, number, project=project.name, expect=expect, to=to, at=now, reason=reason)
        tx.audit(event, key, {"project": project.name, "from": before.value, "to": to.value, "reason": reason})
    return ledger.attempt(project.name, batch_id, number)


def _require_person(actor: str, reason: str) -> None:
    if not reason.strip() or not actor.strip() or actor == SYSTEM_ACTOR:
        raise InvalidInput(
            f"found actor {actor!r} and reason {reason!r}, expected a person and a reason; pass --reason with a sentence "
            "an auditor understands"
        )
