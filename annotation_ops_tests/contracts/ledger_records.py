"""Records for the ledger's contract suite: one small world of a project, a batch, its tasks and people."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

from annotation_ops.domain.batches import BatchPurpose, BatchState
from annotation_ops.domain.records import (
    Annotation,
    Assignment,
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
    task_key,
)
from annotation_ops.ports.ledger import Ledger

NOW = datetime(2026, 11, 23, 9, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)
KOLKATA = timezone(timedelta(hours=5, minutes=30))
VERSIONS = DocumentVersions("1.0.0+a", "1.0.0+b", "1.0.0+c", "1.0.0+d", "1.0.0+e", "1.0.0+f", "1.0.0+g")
BATCH = Batch(
    batch_id="2026-11-23-active-01",
    project="digits",
    day=date(2026, 11, 23),
    purpose=BatchPurpose.ACTIVE,
    versions=VERSIONS,
    overlap=3,
    created_at=NOW,
    model_version="7",
)
ATTEMPT = Attempt(BATCH.batch_id, 1, "digits", BatchState.PLANNED, planned_at=NOW)
VERDICT = VerdictRecord(
    batch_id=BATCH.batch_id,
    attempt=1,
    outcome="FAIL",
    criteria="1.0.0+d",
    document={"verdict": "FAIL", "statistics": {"krippendorff_alpha_nominal": {"value": 0.1 + 0.2, "n": 10}}},
    judged_at=NOW,
)
COMMIT = LabelCommit("c" * 64, "digits", BATCH.batch_id, 1, n_labels=10, parent=None, committed_at=NOW)
INCIDENT = Incident(
    incident_id="i1",
    project="digits",
    model="digits-model",
    model_version="7",
    metric="accuracy",
    slices=("scanner:b", "writer:ø"),
    state=IncidentState.OPEN,
    opened_at=NOW,
    evidence={"before": 0.95, "after": 0.7, "n": 200},
    run_id="r1",
)
REFUSED = Quarantined(
    kind="annotation",
    key="42",
    project="digits",
    reason_code="unknown_label",
    reason="found 'eleven', expected a label of the taxonomy",
    body={"label": "eleven", "note": "nul \x00 and lone \ud800 surrogate"},
    at=NOW,
)


def task(position: int, *, attempt: int = 1, project: str = "digits", batch_id: str = BATCH.batch_id) -> Task:
    sample_id = f"scan-{position:05d}"
    return Task(
        task_key=task_key(project, batch_id, attempt, sample_id, "d" * 64),
        batch_id=batch_id,
        attempt=attempt,
        sample_id=sample_id,
        digest="d" * 64,
        uri=f"file:///objects/{sample_id}.png",
        position=position,
        slices={"scanner": "b", "writer": "Zoë"},
        selection_reason="uncertain",
        inclusion_probability=0.1,
        uncertainty=1 / 3,
    )


def assignment(of: Task, annotator_id: str, *, state: AssignmentState = AssignmentState.OPEN) -> Assignment:
    explain = {"rules": ["qualified"], "load": 3, "posterior": 0.87}
    return Assignment(of.task_key, annotator_id, state, explain, assigned_at=NOW, due_at=NOW + 3600 * SECOND)


def annotation(
    of: Task, annotator_id: str, *, label: str = "7", revision: int = 1, deleted: bool = False
) -> Annotation:
    return Annotation(
        annotation_key=f"{of.task_key}-{annotator_id}-{revision}",
        task_key=of.task_key,
        annotator_id=annotator_id,
        value={"label": label},
        submitted_at=NOW.astimezone(KOLKATA),
        collected_at=NOW + 5 * SECOND,
        lead_time_seconds=12.345678901234567,
        platform_annotation_id=str(revision),
        revision=revision,
        deleted=deleted,
    )


def review(of: Annotation, key: str = "r1") -> Review:
    return Review(key, of.annotation_key, "reviewer-1", "corrected", "a 1, not a 7: “hook” missing", NOW)


def plan(ledger: Ledger, *, tasks: int = 3, project: str = "digits", batch: Batch = BATCH) -> tuple[Task, ...]:
    """A planned batch with its first attempt and tasks, as the plan service writes it."""
    made = tuple(task(position, project=project, batch_id=batch.batch_id) for position in range(tasks))
    with ledger.transaction(actor="system", at=NOW) as unit:
        unit.add_batch(replace(batch, project=project))
        unit.add_attempt(replace(ATTEMPT, batch_id=batch.batch_id, project=project))
        unit.add_tasks(project, made)
        unit.audit("batch.planned", batch.batch_id, {"tasks": tasks})
    return made


def fill(ledger: Ledger) -> None:
    """At least one row in every table."""
    first, *_ = plan(ledger)
    with ledger.transaction(actor="ann-1", at=NOW + SECOND) as unit:
        unit.add_assignments([assignment(first, "ann-1")])
        unit.add_annotations([annotation(first, "ann-1"), annotation(first, "ann-2")])
        unit.add_review(review(annotation(first, "ann-1")))
        unit.add_verdict("digits", VERDICT)
        unit.add_document_version("digits", "guideline", "1.0.0", "h" * 64, "# Ziffern\n„genau“ lesen\n")
        unit.quarantine(REFUSED)
        unit.add_label_commit(COMMIT)
        unit.put_incident(INCIDENT)
        unit.set_cursor("collect:digits", "2026-11-23T09:00:00Z/42")
        unit.audit("annotation.collected", first.task_key, {"count": 2, "who": ["ann-1", "ann-2"]})


def everything(ledger: Ledger) -> dict[str, object]:
    """All that the ledger's reads give back for the project of `fill`."""
    return {
        "batches": ledger.batches("digits"),
        "attempts": ledger.attempts("digits"),
        "tasks": ledger.tasks("digits", BATCH.batch_id, 1),
        "assignments": ledger.assignments("digits", BATCH.batch_id),
        "annotations": ledger.annotations("digits", BATCH.batch_id, 1),
        "reviews": ledger.reviews("digits", BATCH.batch_id, 1),
        "verdicts": ledger.verdicts("digits"),
        "documents": ledger.document_body("digits", "guideline", "1.0.0"),
        "quarantined": ledger.quarantined("digits"),
        "commits": ledger.label_commits("digits"),
        "incidents": ledger.incidents("digits"),
        "cursor": ledger.cursor("collect:digits"),
        "audit": ledger.audit_entries(),
    }
