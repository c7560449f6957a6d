"""The REST API. Every route names the permission it needs; what it answers comes from the services."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.routing import APIRoute

from annotation_ops.domain.access import Actor, Permission
from annotation_ops.domain.audit import verify
from annotation_ops.domain.batches import BatchState, parse_attempt_key
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.quality.agreement.measure import measure
from annotation_ops.domain.records import Attempt
from annotation_ops.services.annotators import report_workforce
from annotation_ops.services.audit_trail import HeadWatch, entries_of
from annotation_ops.services.govern import hold, override, release
from annotation_ops.services.judgements import AT_RANDOM, asked_for, judgements_of
from annotation_ops.services.lineage import label_lineage
from annotation_ops.services.status import AttemptStatus, attempt_status, deadline
from annotation_ops.web.access import Needs
from annotation_ops.web.deployment import Deployment, served
from annotation_ops.web.documents import (
    AuditEntryDocument,
    BatchDocument,
    ChainDocument,
    DeadlineDocument,
    DecisionDocument,
    LineageDocument,
    Problem,
    ProjectDocument,
    Reason,
    VerdictDocument,
)

MOST = 1000
"""Rows a page."""

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,100}$", description="an annotation project")]
Key = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9._-]{1,200}\.a[0-9]{1,6}$", description="a batch attempt: <batch>.a<number>")
]
Here = Annotated[Deployment, Depends(served)]
After = Annotated[int, Query(ge=0, le=2**53, description="skip this many, or the entries up to this number")]
Limit = Annotated[int, Query(ge=1, le=MOST)]

PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "the body cannot be read"},
    401: {"model": Problem, "description": "no valid access token"},
    403: {"model": Problem, "description": "the token's role does not grant it"},
    404: {"model": Problem, "description": "no such thing"},
    408: {"model": Problem, "description": "the body took too long to arrive"},
    409: {"model": Problem, "description": "the state is another than this needs"},
    413: {"model": Problem, "description": "the body is too large"},
    503: {"model": Problem, "description": "a store or platform is down; try again later"},
}

api = APIRouter(prefix="/api/v1", responses=PROBLEMS)


def _needs(permission: Permission) -> Any:
    return Depends(Needs(permission))


@api.get("/projects", tags=["projects"], dependencies=[_needs(Permission.READ_BATCHES)])
def projects(here: Here) -> list[ProjectDocument]:
    """Every annotation project, with the versions of its documents."""
    return [
        ProjectDocument(
            project=one.name,
            task_type=one.contract.task_type,
            platform=one.workflow.platform,
            versions=asdict(one.versions),
        )
        for one in here.projects.values()
    ]


@api.get("/projects/{project}/batches", tags=["batches"], dependencies=[_needs(Permission.READ_BATCHES)])
def batches(project: Name, here: Here, after: After = 0, limit: Limit = 100) -> list[BatchDocument]:
    """Batch attempts by name, each with where it stands."""
    declared = here.project(project)
    attempts = here.parts.ledger.attempts(declared.name)[after : after + limit]
    return [_batch(attempt_status(declared, one, ledger=here.parts.ledger)) for one in attempts]


@api.get("/projects/{project}/batches/{key}", tags=["batches"], dependencies=[_needs(Permission.READ_BATCHES)])
def batch(project: Name, key: Key, here: Here) -> BatchDocument:
    """Where one attempt stands."""
    declared = here.project(project)
    return _batch(attempt_status(declared, _attempt(here, declared, key), ledger=here.parts.ledger))


@api.get("/projects/{project}/batches/{key}/verdicts", tags=["batches"], dependencies=[_needs(Permission.READ_BATCHES)])
def verdicts(project: Name, key: Key, here: Here) -> list[VerdictDocument]:
    """Every verdict on the attempt, the oldest first; of those in force the last one holds."""
    declared = here.project(project)
    attempt = _attempt(here, declared, key)
    return [
        VerdictDocument(
            outcome=one.outcome,
            criteria=one.criteria,
            judged_at=one.judged_at.isoformat(),
            judged_by=one.judged_by,
            reason=one.reason,
            in_force=one.in_force,
            document=one.document,
        )
        for one in here.parts.ledger.verdicts(declared.name, attempt.batch_id)
        if one.attempt == attempt.number
    ]


@api.get(
    "/projects/{project}/batches/{key}/agreement", tags=["batches"], dependencies=[_needs(Permission.READ_BATCHES)]
)
def agreement(project: Name, key: Key, here: Here) -> dict[str, Any]:
    """The agreement document of the judgements so far, as `annotation-ops agreement --json` gives it, of those that were asked for without
    looking at an answer; 422 before the first one."""
    declared = here.project(project)
    attempt = _attempt(here, declared, key)
    of = (declared.name, attempt.batch_id, attempt.number)
    at_random = asked_for(here.parts.ledger.annotations(*of), here.parts.ledger.assignments(*of), purposes=AT_RANDOM)
    judged = judgements_of(declared, at_random)
    return measure(
        judged, confidence=declared.criteria.confidence, seed=0, ordered=declared.taxonomy.ordered
    ).document()


@api.post("/projects/{project}/batches/{key}/accept", tags=["decisions"])
def accept(
    project: Name, key: Key, why: Reason, here: Here, actor: Annotated[Actor, _needs(Permission.DECIDE_BATCH)]
) -> DecisionDocument:
    """Accepts an undecided or rejected attempt; it is published next."""
    return _override(here, project, key, "PASS", why, actor)


@api.post("/projects/{project}/batches/{key}/requeue", tags=["decisions"])
def requeue(
    project: Name, key: Key, why: Reason, here: Here, actor: Annotated[Actor, _needs(Permission.DECIDE_BATCH)]
) -> DecisionDocument:
    """Sends the whole batch back to other annotators as the next attempt."""
    return _override(here, project, key, "FAIL", why, actor)


@api.post("/projects/{project}/batches/{key}/hold", tags=["decisions"])
def hold_batch(
    project: Name, key: Key, why: Reason, here: Here, actor: Annotated[Actor, _needs(Permission.DECIDE_BATCH)]
) -> DecisionDocument:
    """Stops an attempt where it is."""
    return _stop(hold, here, project, key, why, actor)


@api.post("/projects/{project}/batches/{key}/release", tags=["decisions"])
def release_batch(
    project: Name, key: Key, why: Reason, here: Here, actor: Annotated[Actor, _needs(Permission.DECIDE_BATCH)]
) -> DecisionDocument:
    """Lets a held attempt go on."""
    return _stop(release, here, project, key, why, actor)


@api.get("/projects/{project}/annotators", tags=["people"], dependencies=[_needs(Permission.READ_PEOPLE)])
def annotators(project: Name, here: Here) -> dict[str, Any]:
    """Skill and standing of everybody, as `annotation-ops annotators list --json` gives it."""
    report = report_workforce(here.project(project), ledger=here.parts.ledger, now=here.parts.clock.now())
    return {"project": project, **report.document()}


@api.get("/projects/{project}/sla", tags=["batches"], dependencies=[_needs(Permission.READ_BATCHES)])
def sla(project: Name, here: Here) -> list[DeadlineDocument]:
    """The deadline of every attempt in people's hands, and how likely it is kept at the pace so far."""
    declared, parts = here.project(project), here.parts
    in_hands = parts.ledger.attempts(declared.name, states={BatchState.IN_ANNOTATION})
    found = [(one, deadline(declared, one, ledger=parts.ledger, now=parts.clock.now())) for one in in_hands]
    return [
        DeadlineDocument(
            attempt=one.key,
            due_at=one.due_at.isoformat() if one.due_at else "",
            missing=missing,
            status=seen.status.value,
            probability=seen.probability,
            likely_done_at=seen.likely_done_at.isoformat() if seen.likely_done_at else None,
            reason=seen.reason,
        )
        for one, (missing, seen) in found
    ]


@api.get("/projects/{project}/lineage", tags=["lineage"], dependencies=[_needs(Permission.READ_LINEAGE)])
def lineage(
    project: Name, sample: Annotated[str, Query(min_length=1, max_length=512)], here: Here
) -> list[LineageDocument]:
    """Every label that was published of a sample, the newest first, with the people, documents, model and bytes behind it."""
    rows = label_lineage(here.project(project), sample, ledger=here.parts.ledger, lake=here.parts.lake)
    return [LineageDocument.model_validate(row) for row in rows]


@api.get("/audit", tags=["audit"], dependencies=[_needs(Permission.READ_AUDIT)])
def audit(here: Here, after: After = 0, limit: Limit = 100) -> list[AuditEntryDocument]:
    """Entries of the audit chain after a number, in order."""
    entries = here.parts.ledger.audit_entries(after=after, limit=limit)
    return [AuditEntryDocument(seq=one.seq, body=one.body, hash=one.hash) for one in entries]


@api.get("/audit/verify", tags=["audit"], dependencies=[_needs(Permission.READ_AUDIT)])
def verify_audit(here: Here) -> ChainDocument:
    """Hashes the whole chain again and names the first entry that is not whole."""
    watch = HeadWatch(entries_of(here.parts.ledger))
    fault = verify(watch)
    head = str(watch.at) if watch.count else None
    return ChainDocument(whole=fault is None, entries=watch.count, head=head, fault=str(fault) if fault else None)


def permission_of(route: APIRoute) -> Permission | None:
    """What a route needs; None when it names nothing."""
    needs = [one.call for one in route.dependant.dependencies if isinstance(one.call, Needs)]
    return needs[0].permission if len(needs) == 1 else None


def _attempt(here: Deployment, project: AnnotationProject, key: str) -> Attempt:
    return here.parts.ledger.attempt(project.name, *parse_attempt_key(key))


def _batch(status: AttemptStatus) -> BatchDocument:
    return BatchDocument(**status.document())


def _override(here: Deployment, name: str, key: str, outcome: str, why: Reason, actor: Actor) -> DecisionDocument:
    project, parts = here.project(name), here.parts
    _attempt(here, project, key)
    moved = override(
        project, key, outcome=outcome, actor=actor.name, reason=why.reason, ledger=parts.ledger, now=parts.clock.now()
    )
    return DecisionDocument(attempt=key, state=moved.state.value, by=actor.name)


def _stop(
    change: Callable[..., Attempt], here: Deployment, name: str, key: str, why: Reason, actor: Actor
) -> DecisionDocument:
    project, parts = here.project(name), here.parts
    moved = change(project, key, actor=actor.name, reason=why.reason, ledger=parts.ledger, now=parts.clock.now())
    return DecisionDocument(attempt=key, state=moved.state.value, by=actor.name)
