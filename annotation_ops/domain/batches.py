"""What a batch is for, where an attempt at it stands, and the names of both."""

import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum


class BatchState(StrEnum):
    """Where one batch attempt stands. PLANNED -> IN_ANNOTATION -> COMPLETE -> PASSED | FAILED | INSUFFICIENT -> ..."""

    PLANNED = "planned"
    """Tasks are frozen in the ledger; nothing was sent yet."""
    IN_ANNOTATION = "in_annotation"
    """Every routable task is on the platform; people are working."""
    COMPLETE = "complete"
    """Every assignment has its annotation (or its annotator gave up and nobody is left to ask)."""
    PASSED = "passed"
    FAILED = "failed"
    INSUFFICIENT = "insufficient"
    """The evidence does not settle the verdict; overlap is topped up while the workflow allows it."""
    IN_REVIEW = "in_review"
    """Passed; reviewers look at the labels that workflow.yaml sends them."""
    IN_ADJUDICATION = "in_adjudication"
    """The judgements passed; adjudicators settle what is open."""
    IN_AUDIT = "in_audit"
    """The judgements passed; the verdict waits for the spot audit that the criteria ask for."""
    REQUEUED = "requeued"
    """FAILED, and the next attempt exists."""
    PUBLISHED = "published"
    """PASSED, and its gold labels are in the feature table."""
    ESCALATED = "escalated"
    """A person must act: the attempt or top-up limit is reached, nobody is left to ask, or the due time has passed."""
    HELD = "held"
    """A person stopped it; nothing is decided until it is released to where it was."""
    SETTLED = "settled"
    """An audit or a calibration whose result is recorded; nothing is published from it."""


class BatchPurpose(StrEnum):
    """Why a batch was made; it is part of the batch id."""

    ACTIVE = "active"
    """The day's ranking: uncertain samples, or the k-means cold start while no model exists."""
    RELABEL = "relabel"
    """Samples of the slices an incident names."""
    AUDIT = "audit"
    """A spot audit: seniors judge a stratified draw of labels blind."""
    CALIBRATION = "calibration"
    """Gold tasks that one person answers to be certified."""
    REVIEW = "review"
    """Labels of an attempt, shown to reviewers who had no part in them."""
    ADJUDICATION = "adjudication"
    """What an attempt left open, settled by people who see no earlier answer."""


STAGES: Mapping[BatchState, BatchPurpose] = {
    BatchState.IN_REVIEW: BatchPurpose.REVIEW,
    BatchState.IN_ADJUDICATION: BatchPurpose.ADJUDICATION,
    BatchState.IN_AUDIT: BatchPurpose.AUDIT,
}
"""State of an attempt that passed -> purpose of the batch it waits for."""

WITH_LABELS = frozenset({BatchPurpose.ACTIVE, BatchPurpose.RELABEL})
"""Purposes whose batches end in labels; the others measure people or labels that exist."""


def attempt_key(batch_id: str, number: int) -> str:
    """The name of one attempt: `2026-11-23-active-01.a2`."""
    return f"{batch_id}.a{number}"


def parse_attempt_key(key: str) -> tuple[str, int]:
    """`2026-11-23-active-01.a2` -> ("2026-11-23-active-01", 2). Raises ValueError on anything else."""
    batch_id, mark, number = key.rpartition(".a")
    if not (mark and batch_id and number.isdecimal()):
        raise ValueError(f"found {key!r}, expected <batch>.a<number>, e.g. 2026-11-23-active-01.a1")
    return batch_id, int(number)


def batch_id(day: date, purpose: BatchPurpose, number: int) -> str:
    """`2026-11-23-active-01`."""
    return f"{day.isoformat()}-{purpose}-{number:02d}"


def parse_batch_id(text: str) -> tuple[date, BatchPurpose]:
    """`2026-11-23-active-01` -> its day and purpose. Raises ValueError on anything else."""
    match = re.fullmatch(
        r"(\d{4}-\d{2}-\d{2})-(active-\d{2,}|relabel-\d{2,}|(?:audit|review|adjudication)-(?:active|relabel)-\d{2,}-\d+|audit-model-\d{2,}|calibration-.+-\d{2,})",
        text,
    )
    if match is None:
        raise ValueError(f"found {text!r}, expected <day>-<purpose>-<number>, e.g. 2026-11-23-active-01")
    return date.fromisoformat(match[1]), BatchPurpose(match[2].partition("-")[0])


def makes_labels(key: str) -> bool:
    """Whether an attempt ends in labels; audits and calibrations do not. Raises ValueError on anything but an attempt key."""
    return parse_batch_id(parse_attempt_key(key)[0])[1] in WITH_LABELS


def stage_batch_id(stage: BatchPurpose, key: str) -> str:
    """The review, adjudication or spot audit of one attempt: `2026-11-23-active-01.a2` -> `2026-11-23-audit-active-01-2`."""
    name, number = parse_attempt_key(key)
    return f"{name[:10]}-{stage.value}{name[10:]}-{number}"


def milestone_batch_id(day: date, model_version: int) -> str:
    """The audit of all labels a model version was trained on: `2026-11-23-audit-model-07`."""
    return f"{day.isoformat()}-audit-model-{model_version:02d}"


def staged_attempt(name: str) -> str | None:
    """The attempt a stage's batch is about; None for any other batch, also for an audit of all labels. The inverse of `stage_batch_id`."""
    match = re.fullmatch(r"(\d{4}-\d{2}-\d{2})-(?:audit|review|adjudication)-((?:active|relabel)-\d{2,})-(\d+)", name)
    return attempt_key(f"{match[1]}-{match[2]}", int(match[3])) if match else None


def calibration_batch_id(day: date, annotator_id: str, number: int) -> str:
    """`2026-11-23-calibration-ann-07-01`: the first calibration of that day for `ann-07`."""
    return f"{day.isoformat()}-calibration-{annotator_id}-{number:02d}"


def calibrated_annotator(name: str) -> str | None:
    """Whom a calibration batch is about; None for any other batch."""
    match = re.fullmatch(r"\d{4}-\d{2}-\d{2}-calibration-(.+)-\d{2,}", name)
    return match[1] if match else None
