"""Lineage of a label: from the row of the feature table back to the people, documents, model and bytes it came from."""

import json
from datetime import datetime
from typing import Any

from annotation_ops.domain.batches import attempt_key
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.records import JsonObject
from annotation_ops.domain.tables import LABEL_FEATURES
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services.audit_trail import entries_of
from annotation_ops.services.judge import verdict_in_force


def label_lineage(project: AnnotationProject, sample_id: str, *, ledger: Ledger, lake: Lake) -> list[JsonObject]:
    """Every row that the feature table holds of a sample, the newest first, each with what it rests on. Empty for a sample without one."""
    if lake.version(LABEL_FEATURES) is None:
        return []
    rows = [
        row
        for batch in lake.scan(LABEL_FEATURES, partition={"project": project.name})
        for row in batch.to_pylist()
        if row["entity_id"] == sample_id
    ]
    rows.sort(key=lambda row: (row["event_timestamp"], row["label_revision"]), reverse=True)
    entries = _audit_entries({attempt_key(row["batch_id"], row["attempt"]) for row in rows}, ledger=ledger)
    return [_document(project, row, entries, ledger=ledger) for row in rows]


def _document(
    project: AnnotationProject, row: dict[str, Any], entries: dict[str, list[int]], *, ledger: Ledger
) -> JsonObject:
    key = attempt_key(row["batch_id"], row["attempt"])
    verdict = verdict_in_force(project.name, key, ledger=ledger)
    task = next(
        (
            one
            for one in ledger.tasks(project.name, row["batch_id"], row["attempt"])
            if one.sample_id == row["entity_id"]
        ),
        None,
    )
    history = ledger.annotation_history(task.task_key) if task is not None else ()
    return {
        "sample": row["entity_id"],
        "label": json.loads(row["label_json"]),
        "deleted": row["is_deleted"],
        "revision": row["label_revision"],
        "published_at": _iso(row["created_timestamp"]),
        "label_commit": row["label_commit"],
        "source": row["gold_source"],
        "confidence": row["confidence"],
        "attempt": key,
        "verdict": {
            "outcome": row["verdict"],
            "criteria": row["criteria_version"],
            "judged_by": verdict.judged_by if verdict is not None else None,
            "reason": verdict.reason if verdict is not None else None,
        },
        "versions": {
            name: row[f"{name}_version"] for name in ("contract", "taxonomy", "guideline", "criteria", "code")
        },
        "annotators": list(row["annotators"]),
        "judgements": [
            {
                "annotator": a.annotator_id,
                "revision": a.revision,
                "value": a.value,
                "submitted_at": _iso(a.submitted_at),
            }
            for a in history
        ],
        "chosen": {
            "why": row["selection_reason"],
            "model_version": row["model_version"],
            "uncertainty": row["uncertainty"],
            "inclusion_probability": row["inclusion_probability"],
        },
        "raw": {"uri": row["source_uri"], "digest": row["content_digest"]},
        "audit_entries": entries.get(key, []),
    }


def _audit_entries(keys: set[str], *, ledger: Ledger) -> dict[str, list[int]]:
    """Attempt key -> numbers of the audit entries about it."""
    found: dict[str, list[int]] = {key: [] for key in keys}
    for entry in entries_of(ledger) if keys else ():
        subject = json.loads(entry.body)["subject"]
        if subject in found:
            found[subject].append(entry.seq)
    return found


def _iso(moment: datetime) -> str:
    return moment.isoformat()
