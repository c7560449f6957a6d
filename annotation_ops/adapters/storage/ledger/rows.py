"""Records to rows and back, one pair of functions a table."""

from dataclasses import asdict
from typing import TypeAlias

from sqlalchemy.engine import RowMapping

from annotation_ops.adapters.storage.ledger.codec import (
    Stored,
    day,
    escaped_text,
    json_text,
    json_value,
    microseconds,
    moment,
    optional_microseconds,
    optional_moment,
    optional_number,
    optional_text,
    text,
)
from annotation_ops.domain.access import AccessToken, Role
from annotation_ops.domain.batches import BatchPurpose, BatchState
from annotation_ops.domain.records import (
    SYSTEM_ACTOR,
    Annotation,
    Assignment,
    AssignmentPurpose,
    AssignmentState,
    Attempt,
    Batch,
    DocumentVersions,
    Incident,
    IncidentState,
    LabelCommit,
    Quarantined,
    Review,
    Task,
    VerdictRecord,
    content_key,
)

Row: TypeAlias = dict[str, Stored]


def batch_row(batch: Batch) -> Row:
    place = f"batch {batch.batch_id}"
    return {
        "project": text(batch.project, place),
        "batch_id": text(batch.batch_id, place),
        "day": batch.day.isoformat(),
        "purpose": str(batch.purpose),
        "versions": json_text(asdict(batch.versions), f"{place}: versions"),
        "overlap": int(batch.overlap),
        "created_at": microseconds(batch.created_at, f"{place}: created_at"),
        "model_version": optional_text(batch.model_version, place),
        "incident_id": optional_text(batch.incident_id, place),
    }


def batch_of(row: RowMapping) -> Batch:
    return Batch(
        batch_id=row["batch_id"],
        project=row["project"],
        day=day(row["day"]),
        purpose=BatchPurpose(row["purpose"]),
        versions=DocumentVersions(**json_value(row["versions"])),
        overlap=row["overlap"],
        created_at=moment(row["created_at"]),
        model_version=row["model_version"],
        incident_id=row["incident_id"],
    )


def attempt_row(attempt: Attempt) -> Row:
    place = f"attempt {attempt.key}"
    return {
        "project": text(attempt.project, place),
        "batch_id": text(attempt.batch_id, place),
        "number": int(attempt.number),
        "state": str(attempt.state),
        "planned_at": microseconds(attempt.planned_at, f"{place}: planned_at"),
        "due_at": optional_microseconds(attempt.due_at, f"{place}: due_at"),
        "dispatched_at": optional_microseconds(attempt.dispatched_at, f"{place}: dispatched_at"),
        "completed_at": optional_microseconds(attempt.completed_at, f"{place}: completed_at"),
        "judged_at": optional_microseconds(attempt.judged_at, f"{place}: judged_at"),
        "published_at": optional_microseconds(attempt.published_at, f"{place}: published_at"),
        "state_reason": text(attempt.state_reason, place),
        "held_from": None if attempt.held_from is None else str(attempt.held_from),
    }


def attempt_of(row: RowMapping) -> Attempt:
    return Attempt(
        batch_id=row["batch_id"],
        number=row["number"],
        project=row["project"],
        state=BatchState(row["state"]),
        planned_at=moment(row["planned_at"]),
        due_at=optional_moment(row["due_at"]),
        dispatched_at=optional_moment(row["dispatched_at"]),
        completed_at=optional_moment(row["completed_at"]),
        judged_at=optional_moment(row["judged_at"]),
        published_at=optional_moment(row["published_at"]),
        state_reason=row["state_reason"],
        held_from=None if row["held_from"] is None else BatchState(row["held_from"]),
    )


def task_row(project: str, task: Task) -> Row:
    place = f"task {task.task_key}"
    return {
        "task_key": text(task.task_key, place),
        "project": text(project, place),
        "batch_id": text(task.batch_id, place),
        "attempt": int(task.attempt),
        "sample_id": text(task.sample_id, place),
        "digest": text(task.digest, place),
        "uri": text(task.uri, place),
        "position": int(task.position),
        "slices": json_text(dict(task.slices), f"{place}: slices"),
        "selection_reason": text(task.selection_reason, place),
        "inclusion_probability": optional_number(task.inclusion_probability, f"{place}: inclusion_probability"),
        "uncertainty": optional_number(task.uncertainty, f"{place}: uncertainty"),
        "platform_task_id": optional_text(task.platform_task_id, place),
        "unroutable_reason": optional_text(task.unroutable_reason, place),
    }


def task_of(row: RowMapping) -> Task:
    return Task(
        task_key=row["task_key"],
        batch_id=row["batch_id"],
        attempt=row["attempt"],
        sample_id=row["sample_id"],
        digest=row["digest"],
        uri=row["uri"],
        position=row["position"],
        slices=json_value(row["slices"]),
        selection_reason=row["selection_reason"],
        inclusion_probability=row["inclusion_probability"],
        uncertainty=row["uncertainty"],
        platform_task_id=row["platform_task_id"],
        unroutable_reason=row["unroutable_reason"],
    )


def assignment_row(assignment: Assignment) -> Row:
    place = f"assignment of task {assignment.task_key} to {assignment.annotator_id}"
    return {
        "task_key": text(assignment.task_key, place),
        "annotator_id": text(assignment.annotator_id, place),
        "state": str(assignment.state),
        "explain": json_text(assignment.explain, f"{place}: explain"),
        "assigned_at": microseconds(assignment.assigned_at, f"{place}: assigned_at"),
        "due_at": optional_microseconds(assignment.due_at, f"{place}: due_at"),
        "purpose": str(assignment.purpose),
    }


def assignment_of(row: RowMapping) -> Assignment:
    return Assignment(
        task_key=row["task_key"],
        annotator_id=row["annotator_id"],
        state=AssignmentState(row["state"]),
        explain=json_value(row["explain"]),
        assigned_at=moment(row["assigned_at"]),
        due_at=optional_moment(row["due_at"]),
        purpose=AssignmentPurpose(row["purpose"]),
    )


def annotation_row(annotation: Annotation) -> Row:
    place = f"annotation {annotation.annotation_key}"
    return {
        "annotation_key": text(annotation.annotation_key, place),
        "task_key": text(annotation.task_key, place),
        "annotator_id": text(annotation.annotator_id, place),
        "value": json_text(annotation.value, f"{place}: value"),
        "submitted_at": microseconds(annotation.submitted_at, f"{place}: submitted_at"),
        "collected_at": microseconds(annotation.collected_at, f"{place}: collected_at"),
        "lead_time_seconds": optional_number(annotation.lead_time_seconds, f"{place}: lead_time_seconds"),
        "platform_annotation_id": text(annotation.platform_annotation_id, place),
        "revision": int(annotation.revision),
        "deleted": bool(annotation.deleted),
    }


def annotation_of(row: RowMapping) -> Annotation:
    return Annotation(
        annotation_key=row["annotation_key"],
        task_key=row["task_key"],
        annotator_id=row["annotator_id"],
        value=json_value(row["value"]),
        submitted_at=moment(row["submitted_at"]),
        collected_at=moment(row["collected_at"]),
        lead_time_seconds=row["lead_time_seconds"],
        platform_annotation_id=row["platform_annotation_id"],
        revision=row["revision"],
        deleted=row["deleted"],
    )


def review_row(review: Review) -> Row:
    place = f"review {review.review_key}"
    return {
        "review_key": text(review.review_key, place),
        "annotation_key": text(review.annotation_key, place),
        "reviewer_id": text(review.reviewer_id, place),
        "decision": text(review.decision, place),
        "comment": text(review.comment, place),
        "reviewed_at": microseconds(review.reviewed_at, f"{place}: reviewed_at"),
    }


def review_of(row: RowMapping) -> Review:
    return Review(
        review_key=row["review_key"],
        annotation_key=row["annotation_key"],
        reviewer_id=row["reviewer_id"],
        decision=row["decision"],
        comment=row["comment"],
        reviewed_at=moment(row["reviewed_at"]),
    )


def verdict_row(project: str, verdict: VerdictRecord) -> Row:
    place = f"verdict on {verdict.batch_id}.a{verdict.attempt}"
    judged_at = microseconds(verdict.judged_at, f"{place}: judged_at")
    return {
        "project": text(project, place),
        "batch_id": text(verdict.batch_id, place),
        "attempt": int(verdict.attempt),
        "outcome": text(verdict.outcome, place),
        "criteria": text(verdict.criteria, place),
        "document": json_text(verdict.document, f"{place}: document"),
        "judged_at": judged_at,
        "judged_by": text(verdict.judged_by, place),
        "reason": text(verdict.reason, place),
        "override": "" if verdict.judged_by == SYSTEM_ACTOR else f"{judged_at} {verdict.judged_by}",
        "evidence": text(verdict.evidence, place),
        "in_force": bool(verdict.in_force),
    }


def verdict_of(row: RowMapping) -> VerdictRecord:
    return VerdictRecord(
        batch_id=row["batch_id"],
        attempt=row["attempt"],
        outcome=row["outcome"],
        criteria=row["criteria"],
        document=json_value(row["document"]),
        judged_at=moment(row["judged_at"]),
        judged_by=row["judged_by"],
        reason=row["reason"],
        evidence=row["evidence"],
        in_force=row["in_force"],
    )


def quarantine_row(item: Quarantined) -> Row:
    place = f"quarantined {item.kind} {item.key[:80]!r}"
    body = json_text(item.body, f"{place}: body")
    return {
        "project": text(item.project, place),
        "kind": text(item.kind, place),
        "key": escaped_text(item.key),
        "content": content_key(text(item.reason_code, place), escaped_text(item.reason), body),
        "reason_code": item.reason_code,
        "reason": escaped_text(item.reason),
        "body": body,
        "at": microseconds(item.at, f"{place}: at"),
    }


def quarantined_of(row: RowMapping) -> Quarantined:
    return Quarantined(
        kind=row["kind"],
        key=row["key"],
        project=row["project"],
        reason_code=row["reason_code"],
        reason=row["reason"],
        body=json_value(row["body"]),
        at=moment(row["at"]),
    )


def label_commit_row(commit: LabelCommit) -> Row:
    place = f"label commit {commit.commit_id}"
    return {
        "project": text(commit.project, place),
        "commit_id": text(commit.commit_id, place),
        "batch_id": text(commit.batch_id, place),
        "attempt": int(commit.attempt),
        "n_labels": int(commit.n_labels),
        "parent": optional_text(commit.parent, place),
        "committed_at": microseconds(commit.committed_at, f"{place}: committed_at"),
    }


def label_commit_of(row: RowMapping) -> LabelCommit:
    return LabelCommit(
        commit_id=row["commit_id"],
        project=row["project"],
        batch_id=row["batch_id"],
        attempt=row["attempt"],
        n_labels=row["n_labels"],
        parent=row["parent"],
        committed_at=moment(row["committed_at"]),
    )


def incident_row(incident: Incident) -> Row:
    place = f"incident {incident.incident_id}"
    return {
        "incident_id": text(incident.incident_id, place),
        "project": text(incident.project, place),
        "model": text(incident.model, place),
        "model_version": text(incident.model_version, place),
        "metric": text(incident.metric, place),
        "slices": json_text(list(incident.slices), f"{place}: slices"),
        "state": str(incident.state),
        "opened_at": microseconds(incident.opened_at, f"{place}: opened_at"),
        "evidence": json_text(incident.evidence, f"{place}: evidence"),
        "run_id": optional_text(incident.run_id, place),
        "batch_id": optional_text(incident.batch_id, place),
        "closed_at": optional_microseconds(incident.closed_at, f"{place}: closed_at"),
        "outcome": json_text(incident.outcome, f"{place}: outcome"),
    }


def incident_of(row: RowMapping) -> Incident:
    return Incident(
        incident_id=row["incident_id"],
        project=row["project"],
        model=row["model"],
        model_version=row["model_version"],
        metric=row["metric"],
        slices=tuple(json_value(row["slices"])),
        state=IncidentState(row["state"]),
        opened_at=moment(row["opened_at"]),
        evidence=json_value(row["evidence"]),
        run_id=row["run_id"],
        batch_id=row["batch_id"],
        closed_at=optional_moment(row["closed_at"]),
        outcome=json_value(row["outcome"]),
    )


def access_token_row(token: AccessToken) -> Row:
    place = f"access token of {token.name}"
    return {
        "token_hash": text(token.token_hash, place),
        "name": text(token.name, place),
        "role": str(token.role),
        "created_at": microseconds(token.created_at, f"{place}: created_at"),
        "expires_at": microseconds(token.expires_at, f"{place}: expires_at"),
        "revoked_at": optional_microseconds(token.revoked_at, f"{place}: revoked_at"),
    }


def access_token_of(row: RowMapping) -> AccessToken:
    return AccessToken(
        token_hash=row["token_hash"],
        name=row["name"],
        role=Role(row["role"]),
        created_at=moment(row["created_at"]),
        expires_at=moment(row["expires_at"]),
        revoked_at=optional_moment(row["revoked_at"]),
    )
