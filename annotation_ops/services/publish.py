"""Publishing: the consensus of a PASS attempt becomes gold labels, a label commit and rows of the feature table.

The commit's time is recorded before the rows are written, so publishing again after a crash gives the same bytes. A late
correction appends rows with a higher `label_revision`; nothing is overwritten.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from annotation_ops import __version__
from annotation_ops.domain.batches import BatchPurpose, BatchState, makes_labels, parse_attempt_key, stage_batch_id
from annotation_ops.domain.errors import Conflict, InvalidDocument
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.criteria import parse_criteria
from annotation_ops.domain.records import SYSTEM_ACTOR, Attempt, Batch, IncidentState, LabelCommit, Task, VerdictRecord
from annotation_ops.domain.tables import GOLD_LABELS, LABEL_FEATURES, RAW_SAMPLES
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger
from annotation_ops.ports.model_tracking import ModelTracking
from annotation_ops.services.judge import verdict_in_force
from annotation_ops.services.published_labels import known_answer
from annotation_ops.services.spot_audit import disputed
from annotation_ops.services.stages import Label, labels_of

TEST_SHARE_PERCENT = 20
"""Share of samples whose stable hash puts them into the `test` split."""


@dataclass(frozen=True, slots=True)
class PublishReport:
    key: str
    commit_id: str
    labels: int
    rows_written: int
    """Feature rows appended now; 0 when everything was there."""
    needs_human: int
    """Ties, labels below the criteria's confidence and tasks without an answer: not published, waiting for a person."""
    lake_version: int
    tracking_run: str


def write_gold(project: AnnotationProject, key: str, *, ledger: Ledger, lake: Lake) -> tuple[int, int]:
    """Writes the consensus of a PASS attempt to gold_labels; returns (tasks, of which a person must settle).

    Writes nothing for an attempt whose verdict in force is not PASS, and nothing for an audit or a calibration.
    """
    verdict = verdict_in_force(project.name, key, ledger=ledger)
    if verdict is None or verdict.outcome != "PASS" or not makes_labels(key):
        return 0, 0
    project = _as_judged(project, verdict, ledger=ledger)
    batch_id, number = parse_attempt_key(key)
    tasks = ledger.tasks(project.name, batch_id, number)
    labels = {label.task.task_key: label for label in labels_of(project, key, ledger=ledger)}
    open_ones = disputed(project, stage_batch_id(BatchPurpose.AUDIT, key), ledger=ledger)
    rows = [
        _gold_row(project, task, labels.get(task.task_key), disputed=(task.sample_id, task.digest) in open_ones)
        for task in tasks
        if known_answer(task) is None
    ]
    table = pa.Table.from_pylist(rows, GOLD_LABELS.schema)
    lake.overwrite_partition(GOLD_LABELS, table, partition={"project": project.name, "batch_id": batch_id})
    return len(rows), sum(row["needs_human"] for row in rows)


def _gold_row(project: AnnotationProject, task: Task, label: Label | None, *, disputed: bool) -> dict[str, Any]:
    """One task; a task that nobody answered, or nobody could be asked about, waits for a person like a tie."""
    value = label.answer.value if label is not None else None
    return {
        "project": project.name,
        "batch_id": task.batch_id,
        "attempt": task.attempt,
        "sample_id": task.sample_id,
        "digest": task.digest,
        "task_key": task.task_key,
        "label": value.get("label") if value is not None else None,
        "value": json.dumps(value, sort_keys=True),
        "confidence": label.confidence if label is not None else 0.0,
        "n_annotators": label.answer.n_annotators if label is not None else 0,
        "method": label.source if label is not None and label.source != "consensus" else project.criteria.consensus,
        "needs_human": disputed or label is None or label.open,
    }


def _as_judged(project: AnnotationProject, verdict: VerdictRecord, *, ledger: Ledger) -> AnnotationProject:
    """The project under the criteria of its verdict: what passed is published as it was judged, whenever that is."""
    if verdict.criteria == project.versions.criteria:
        return project
    version = verdict.criteria.partition("+")[0]
    parsed = parse_criteria(ledger.document_body(project.name, "criteria", version))
    if parsed.record is None:
        raise InvalidDocument(parsed.faults)
    return replace(project, criteria=parsed.record)


def publish_attempt(
    project: AnnotationProject,
    key: str,
    *,
    ledger: Ledger,
    lake: Lake,
    tracking: ModelTracking,
    lake_uri: str,
    now: datetime,
) -> PublishReport:
    """Publishes the attempt. Raises Conflict unless its verdict in force is PASS; TransientError when a store is down."""
    batch_id, number = parse_attempt_key(key)
    if ledger.attempt(project.name, batch_id, number).state is BatchState.HELD:
        raise Conflict(
            f"{key}: found the state held, expected passed; release it first (`annotation-ops batch release`)"
        )
    verdict = verdict_in_force(project.name, key, ledger=ledger)
    if verdict is None or verdict.outcome != "PASS":
        found = verdict.outcome if verdict else "no verdict"
        raise Conflict(f"{key}: found {found}, expected PASS; only a batch that passed is published")
    project = _as_judged(project, verdict, ledger=ledger)
    commits = ledger.label_commits(project.name)
    _, unsettled = write_gold(project, key, ledger=ledger, lake=lake)
    attempt = ledger.attempt(project.name, batch_id, number)
    labels = _label_rows(project, attempt, verdict, ledger=ledger, lake=lake)
    commit = _commit(project, attempt, labels, commits, ledger=ledger, now=now)
    written, revision = _append(project, attempt, labels, commit, ledger=ledger, lake=lake)
    version = lake.version(LABEL_FEATURES) or 0
    table = pa.Table.from_pylist(labels, _COMMIT_SCHEMA)
    run_id = tracking.log_label_commit(
        commit,
        table,
        experiment=project.monitor.experiment if project.monitor else project.name,
        uri=f"{lake_uri}/{LABEL_FEATURES.name}",
        lake_version=version,
    )
    _mark_published(project, attempt, commit, revision=revision, ledger=ledger, now=now)
    return PublishReport(key, commit.commit_id, len(labels), written, unsettled, version, run_id)


_COMMIT_SCHEMA = pa.schema(
    [
        field
        for field in LABEL_FEATURES.schema
        if field.name not in {"created_timestamp", "label_revision", "is_deleted", "label_commit"}
    ]
)
"""What a label commit is made of: the feature row without what publishing itself adds."""


def _label_rows(
    project: AnnotationProject, attempt: Attempt, verdict: VerdictRecord, *, ledger: Ledger, lake: Lake
) -> list[dict[str, Any]]:
    """The canonical rows of the commit, ordered by sample."""
    batch = ledger.batch(project.name, attempt.batch_id)
    labels = labels_of(project, attempt.key, ledger=ledger)
    captured = _captured(project, {label.task.sample_id for label in labels}, lake=lake)
    open_ones = disputed(project, stage_batch_id(BatchPurpose.AUDIT, attempt.key), ledger=ledger)
    rows = [
        _label_row(project, batch, verdict, label, captured_at=captured.get(label.task.sample_id))
        for label in labels
        if not label.open and (label.task.sample_id, label.task.digest) not in open_ones
    ]
    return sorted(rows, key=lambda row: str(row["entity_id"]))


def _label_row(
    project: AnnotationProject,
    batch: Batch,
    verdict: VerdictRecord,
    label: Label,
    *,
    captured_at: datetime | None,
) -> dict[str, Any]:
    task, answer = label.task, label.answer
    return {
        "project": project.name,
        "entity_id": task.sample_id,
        "event_timestamp": verdict.judged_at,
        "sample_timestamp": captured_at,
        "task_type": project.contract.task_type,
        "label": answer.value.get("label") if answer.value else None,
        "label_json": json.dumps(answer.value, sort_keys=True),
        "confidence": None if label.confidence is None else round(label.confidence, 9),
        "agreement": None if answer.agreement is None else round(answer.agreement, 9),
        "n_annotators": answer.n_annotators,
        "annotators": list(label.people),
        "gold_source": label.source,
        "contract_version": batch.versions.contract,
        "taxonomy_version": batch.versions.taxonomy,
        "guideline_version": batch.versions.guideline,
        "criteria_version": verdict.criteria,
        "batch_id": batch.batch_id,
        "attempt": verdict.attempt,
        "verdict": verdict.outcome,
        "source_uri": task.uri,
        "content_digest": task.digest,
        "slices": json.dumps(dict(task.slices), sort_keys=True),
        "model_version": batch.model_version,
        "uncertainty": task.uncertainty,
        "inclusion_probability": task.inclusion_probability,
        "selection_reason": task.selection_reason,
        "split": split_of(task.sample_id),
        "code_version": __version__,
    }


def split_of(sample_id: str) -> str:
    """`train` or `test` by a stable hash, so a sample never changes sides."""
    return "test" if int(hashlib.sha256(sample_id.encode()).hexdigest()[:8], 16) % 100 < TEST_SHARE_PERCENT else "train"


def _captured(project: AnnotationProject, samples: set[str], *, lake: Lake) -> Mapping[str, datetime | None]:
    columns = ["sample_id", "captured_at"]
    found: dict[str, datetime | None] = {}
    for batch in lake.scan(RAW_SAMPLES, partition={"project": project.name}, columns=columns):
        found.update((row["sample_id"], row["captured_at"]) for row in batch.to_pylist() if row["sample_id"] in samples)
    return found


def _commit(
    project: AnnotationProject,
    attempt: Attempt,
    labels: Sequence[Mapping[str, Any]],
    commits: Sequence[LabelCommit],
    *,
    ledger: Ledger,
    now: datetime,
) -> LabelCommit:
    """The attempt's newest label commit if it is of exactly these rows, else a new one.

    `commits` are those known before the answers were read: a run that was overtaken then finds its own old commit
    instead of putting old answers on top of a correction.
    """
    earlier = [known for known in commits if (known.batch_id, known.attempt) == (attempt.batch_id, attempt.number)]
    before = earlier[-2].commit_id if len(earlier) > 1 else ""
    if earlier and earlier[-1].commit_id == _commit_id(attempt, labels, before=before):
        return earlier[-1]
    commit_id = _commit_id(attempt, labels, before=earlier[-1].commit_id if earlier else "")
    for known in ledger.label_commits(project.name):
        if known.commit_id == commit_id:
            return known
    commit = LabelCommit(
        commit_id=commit_id,
        project=project.name,
        batch_id=attempt.batch_id,
        attempt=attempt.number,
        n_labels=len(labels),
        parent=commits[-1].commit_id if commits else None,
        committed_at=now,
    )
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        tx.add_label_commit(commit)
        tx.audit("labels.committed", attempt.key, {"project": project.name, "commit": commit_id, "labels": len(labels)})
    return commit


def _commit_id(attempt: Attempt, labels: Sequence[Mapping[str, Any]], *, before: str) -> str:
    """The attempt's commit before it is hashed too: a correction that is taken back is a commit of its own."""
    content = {"attempt": attempt.key, "before": before, "rows": labels}
    canonical = json.dumps(content, sort_keys=True, default=lambda value: value.isoformat(), separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _append(
    project: AnnotationProject,
    attempt: Attempt,
    labels: Sequence[Mapping[str, Any]],
    commit: LabelCommit,
    *,
    ledger: Ledger,
    lake: Lake,
) -> tuple[int, int]:
    """Appends what this commit changes against the attempt's earlier commits; returns (rows written, revision)."""
    of_attempt = [
        known
        for known in ledger.label_commits(project.name)
        if (known.batch_id, known.attempt) == (attempt.batch_id, attempt.number)
    ]
    revision = 1 + [known.commit_id for known in of_attempt].index(commit.commit_id)
    current = _published(project, attempt, before_revision=revision, lake=lake)
    fresh = [row for row in labels if current.get(str(row["entity_id"]), {}).get("label_json") != row["label_json"]]
    stays = {str(row["entity_id"]) for row in labels}
    gone = [row for entity, row in current.items() if entity not in stays]
    stamped = [
        {
            **row,
            "created_timestamp": commit.committed_at,
            "label_revision": revision,
            "is_deleted": deleted,
            "label_commit": commit.commit_id,
        }
        for rows, deleted in ((fresh, False), (gone, True))
        for row in rows
    ]
    wrote = lake.append_once(
        LABEL_FEATURES,
        pa.Table.from_pylist(stamped, LABEL_FEATURES.schema),
        partition={"project": project.name},
        writer=f"features:{project.name}:{attempt.key}",
        sequence=revision,
        note={"label_commit": commit.commit_id, "batch": attempt.key},
    )
    return (len(stamped) if wrote else 0), revision


def _published(
    project: AnnotationProject, attempt: Attempt, *, before_revision: int, lake: Lake
) -> dict[str, dict[str, Any]]:
    """entity_id -> its newest row of this attempt before the revision, deleted ones left out."""
    newest: dict[str, dict[str, Any]] = {}
    if before_revision == 1:
        return newest
    for batch in lake.scan(LABEL_FEATURES, partition={"project": project.name}):
        for row in batch.to_pylist():
            mine = (row["batch_id"], row["attempt"]) == (attempt.batch_id, attempt.number)
            if mine and row["label_revision"] < before_revision:
                known = newest.get(row["entity_id"])
                if known is None or known["label_revision"] < row["label_revision"]:
                    newest[row["entity_id"]] = row
    return {entity: row for entity, row in newest.items() if not row["is_deleted"]}


def _mark_published(
    project: AnnotationProject, attempt: Attempt, commit: LabelCommit, *, revision: int, ledger: Ledger, now: datetime
) -> None:
    if ledger.attempt(project.name, attempt.batch_id, attempt.number).state is BatchState.PUBLISHED:
        return
    batch = ledger.batch(project.name, attempt.batch_id)
    incident = next((i for i in ledger.incidents(project.name) if i.incident_id == batch.incident_id), None)
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        tx.move_attempt(
            attempt.batch_id,
            attempt.number,
            project=project.name,
            expect={BatchState.PASSED},
            to=BatchState.PUBLISHED,
            at=now,
        )
        if incident is not None and incident.state is IncidentState.OPEN:
            tx.put_incident(replace(incident, state=IncidentState.RELABELLED))
        tx.audit(
            "labels.published",
            attempt.key,
            {"project": project.name, "commit": commit.commit_id, "labels": commit.n_labels, "revision": revision},
        )
