"""What a materialization shows in the UI: numbers that plot over partitions, tables, and a picture where it says more.

Text that came from outside is escaped: the UI renders Markdown.
"""

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import dagster as dg
import numpy as np
from numpy.typing import NDArray

from annotation_ops.bootstrap import Parts
from annotation_ops.defs import pictures
from annotation_ops.domain.batches import makes_labels, parse_attempt_key
from annotation_ops.domain.errors import AnnotationOpsError
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.quality.statistic import Statistic
from annotation_ops.domain.records import Task, VerdictRecord
from annotation_ops.domain.selection.request import RankReport
from annotation_ops.services.annotators import AnnotatorReport
from annotation_ops.services.calibration import CalibrationReport
from annotation_ops.services.dispatch import DispatchReport
from annotation_ops.services.ingest import IngestReport
from annotation_ops.services.judge import JudgeReport
from annotation_ops.services.manifest import object_keys
from annotation_ops.services.monitor import ObserveReport
from annotation_ops.services.predict import PredictReport
from annotation_ops.services.publish import PublishReport

Metadata: TypeAlias = dict[str, Any]

PICTURED = 24
"""Samples on a contact sheet."""


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> dg.MetadataValue:
    """A Markdown table; every cell is escaped."""
    lines = [header, ["---"] * len(header), *([_cell(value) for value in row] for row in rows)]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines))


def _cell(value: object) -> str:
    if value is None:
        return "–"
    text = " ".join((f"{value:.3f}" if isinstance(value, float) else str(value)).splitlines())
    return html.escape(text).replace("|", "&#124;").replace("[", "&#91;").replace("`", "&#96;")


def ingest_metadata(report: IngestReport) -> Metadata:
    refused = sorted(report.quarantined.items())
    return {
        "listed": report.listed,
        "new": report.new,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "registered": report.registered,
        "quarantined": sum(report.quarantined.values()),
        "bytes_read": report.bytes_read,
        "by_slice": table(["slice", "new samples"], sorted(report.by_slice.items())),
        **({"why_quarantined": table(["reason", "objects"], refused)} if refused else {}),
    }


def predict_metadata(report: PredictReport) -> Metadata:
    unreadable = [(left.sample_id, left.reason) for left in report.unreadable[:50]]
    return {
        "pool": report.pool,
        "scored": report.scored,
        "source": report.source,
        "model_version": report.model_version or "none yet",
        "left_out": len(report.unreadable),
        "log_rows_of_unknown_samples": report.unknown,
        "not_in_the_log": report.missing,
        **({"why_left_out": table(["sample", "reason"], unreadable)} if unreadable else {}),
    }


def rank_metadata(report: RankReport) -> Metadata:
    step = 1 / max(len(report.histogram), 1)
    longest = max([*report.histogram, 1])
    bins = [
        (f"{number * step:.2f}–{(number + 1) * step:.2f}", count, "█" * round(24 * count / longest))
        for number, count in enumerate(report.histogram)
        if count
    ]
    shown: Metadata = {
        "pool": report.pool,
        "already_in_a_batch": report.excluded,
        "unscorable": report.unscorable,
        "ranked": report.ranked,
        "random_control": report.random,
        "strategy": report.strategy,
        "why_this_strategy": report.strategy_reason,
        "uncertainty": table(["uncertainty", "samples", "share"], bins),
    }
    if report.slices:
        rows = [(s.value or "–", s.pool, s.eligible, s.ranked, s.shortfall) for s in report.slices]
        shown["slices"] = table(["slice", "pool", "free", "ranked", "short of its quota"], rows)
    return shown


def dispatch_metadata(project: AnnotationProject, report: DispatchReport, parts: Parts) -> Metadata:
    batch_id, number = parse_attempt_key(report.key)
    tasks = parts.ledger.tasks(project.name, batch_id, number)
    # What follows the brace is the label that a stage or a gold task is about: not for everybody to see.
    reasons = Counter(task.selection_reason.partition(":{")[0] for task in tasks)
    shown: Metadata = {
        "state": report.state.value,
        "tasks": len(tasks),
        "assignments": sum(report.load.values()),
        "people": len(report.load),
        "tasks_created": report.placed.created,
        "tasks_adopted_after_a_crash": report.placed.adopted,
        "unroutable": sum(report.unroutable.values()),
        "due_at": report.due_at.isoformat() if report.due_at else "not sent",
        "who_was_asked": table(["annotator", "tasks"], sorted(report.load.items())),
        "why_these_samples": table(["reason", "tasks"], reasons.most_common()),
    }
    if report.unroutable:
        shown["why_unroutable"] = table(["reason", "tasks"], sorted(report.unroutable.items()))
    if project.contract.media == "image" and (tiles := _tiles(project, tasks[:PICTURED], parts)):
        shown["samples"] = pictures.contact_sheet(tiles)
    return shown


def _tiles(project: AnnotationProject, tasks: Sequence[Task], parts: Parts) -> list[NDArray[np.float64]]:
    """Pictures of samples; one that can no longer be read is left out, which must not stop a dispatch."""
    keys = object_keys(project.name, [(task.sample_id, task.digest) for task in tasks], lake=parts.lake)
    store = parts.store(project)
    tiles = []
    for task in tasks:
        try:
            body = store.read(keys.get((task.sample_id, task.digest), ""), max_bytes=project.contract.max_bytes)
            tiles.append(parts.decoder.grey_pixels(body, width=pictures.TILE, height=pictures.TILE))
        except AnnotationOpsError:
            continue
    return tiles


def annotations_metadata(project: AnnotationProject, key: str, parts: Parts) -> Metadata:
    batch_id, number = parse_attempt_key(key)
    annotations = parts.ledger.annotations(project.name, batch_id, number)
    answers: dict[str, Counter[str]] = {}
    seconds: dict[str, list[float]] = {}
    for annotation in annotations:
        answers.setdefault(annotation.annotator_id, Counter())[str(annotation.value.get("label"))] += 1
        if annotation.lead_time_seconds is not None:
            seconds.setdefault(annotation.annotator_id, []).append(annotation.lead_time_seconds)
    rows = [
        (
            who,
            sum(counts.values()),
            _mean(seconds.get(who, [])),
            ", ".join(f"{k}: {v}" for k, v in counts.most_common(4)),
        )
        for who, counts in sorted(answers.items())
    ]
    return {
        "annotations": len(annotations),
        "people": len(answers),
        "revised_answers": sum(annotation.revision > 1 for annotation in annotations),
        "mean_seconds_per_task": _mean([value for values in seconds.values() for value in values]) or 0.0,
        "by_annotator": table(["annotator", "answers", "mean seconds", "most given"], rows),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def judge_metadata(project: AnnotationProject, report: JudgeReport, *, labels: int, unsettled: int) -> Metadata:
    document = report.document
    told: Metadata = {
        "verdict": report.outcome,
        "state": report.state.value,
        "reasons": table(["code", "why"], [(r["code"], r["text"]) for r in document["reasons"]]),
        "verdict_document": dg.MetadataValue.json(document),
    }
    if not makes_labels(report.key):
        return told
    statistics: Mapping[str, Mapping[str, Any]] = document["statistics"]
    criteria = project.criteria
    primary = statistics.get(criteria.statistic, {})
    rows = [(name, s["value"], s["low"], s["high"], s["n"], s["reason"]) for name, s in statistics.items()]
    shown: Metadata = {
        **told,
        "gold_labels": labels,
        "labels_for_a_human": unsettled,
        "statistics": table(["statistic", "value", "low", "high", "n", "undefined because"], rows),
        "classes": table(
            list(document["classes"][0]) if document["classes"] else ["class"],
            [[_flat(value) for value in row.values()] for row in document["classes"]],
        ),
        "evidence": pictures.evidence(statistics, primary=criteria.statistic, threshold=criteria.threshold),
    }
    if primary.get("value") is not None:
        shown[criteria.statistic] = float(primary["value"])
    return shown


def _flat(value: object) -> object:
    """A statistic inside a table cell: its value with the interval."""
    if isinstance(value, dict) and "value" in value:
        if value["value"] is None:
            return f"undefined: {value.get('reason')}"
        return (
            f"{value['value']:.3f} ({value['low']:.3f}–{value['high']:.3f})"
            if value.get("low") is not None
            else value["value"]
        )
    return value


def check_metadata(reports: Mapping[str, JudgeReport], in_force: Mapping[str, VerdictRecord | None]) -> Metadata:
    """One row a batch: the verdict in force beside the one under today's criteria."""
    rows = []
    for key, report in reports.items():
        force = in_force[key]
        recorded = force.outcome if force else "none"
        rows.append((key, recorded, report.outcome, "flips" if recorded != report.outcome else "same", _why(report)))
    flips = sum(row[3] == "flips" for row in rows)
    return {
        "batches": len(rows),
        "verdicts_that_flip": flips,
        "verdicts": table(["batch", "verdict in force", "under today's criteria", "change", "why"], rows),
    }


def _why(report: JudgeReport) -> str:
    return "; ".join(reason["text"] for reason in report.document["reasons"])


def annotators_metadata(report: CalibrationReport) -> Metadata:
    people = report.workforce.annotators
    standings = Counter(one.status.value for one in people)
    header = ["annotator", "cohort", "standing", "accuracy", "judgements", "why", "needs"]
    shown: Metadata = {
        **dict(sorted(standings.items())),
        "rounds_planned": len(report.planned),
        "gold_labels_to_test_with": report.n_gold,
        "people": table(header, [_person(one) for one in people]),
    }
    if report.planned:
        rows = [(one.due.annotator_id, one.key, one.due.need.value, len(one.plan.tasks)) for one in report.planned]
        shown["calibrations_planned"] = table(["annotator", "batch", "need", "gold tasks"], rows)
    if report.waiting:
        later = [(one.annotator_id, one.need.value, one.due_at.isoformat(), one.why) for one in report.waiting]
        shown["calibrations_waiting"] = table(["annotator", "need", "not before", "why"], later)
    if report.workforce.cohorts.comparisons:
        compared = [
            (" and ".join(one.cohorts), one.outcome.value, _interval(one.difference))
            for one in report.workforce.cohorts.comparisons
        ]
        shown["cohorts"] = table(["cohorts", "outcome", "difference in accuracy"], compared)
    packs = {f"training_pack_{name}": dg.MetadataValue.md(pack.markdown()) for name, pack in report.packs.items()}
    return {**shown, **packs}


def _person(one: AnnotatorReport) -> tuple[object, ...]:
    accuracy = _interval(one.skill.accuracy) if one.skill is not None else None
    judged = one.skill.n_judgements if one.skill is not None else 0
    standing = one.standing
    return one.annotator_id, one.cohort, standing.status.value, accuracy, judged, standing.reason, standing.needs.value


def _interval(found: Statistic) -> str:
    return (
        f"undefined: {found.reason}" if found.value is None else f"{found.value:.3f} ({found.low:.3f}–{found.high:.3f})"
    )


def publish_metadata(report: PublishReport) -> Metadata:
    return {
        "label_commit": report.commit_id,
        "labels": report.labels,
        "rows_appended_now": report.rows_written,
        "labels_for_a_human": report.needs_human,
        "feature_table_version": report.lake_version,
        "mlflow_run": report.tracking_run,
    }


def observe_metadata(report: ObserveReport) -> Metadata:
    rows = [
        (
            row.slice or "overall",
            row.model_version,
            row.n,
            row.baseline,
            row.now,
            row.drop,
            row.p_value,
            row.decision,
            row.reason,
        )
        for row in report.rows
    ]
    header = ["slice", "model", "n", "baseline", "now", "drop", "adjusted p", "decision", "why"]
    shown: Metadata = {
        "new_observations": report.observations,
        "incidents_opened": len(report.opened),
        "incidents_closed": len(report.closed),
        "slices": table(header, rows),
    }
    changed = [
        (i.incident_id, i.state.value, ", ".join(i.slices) or "all", i.run_id) for i in (*report.opened, *report.closed)
    ]
    if changed:
        shown["incidents"] = table(["incident", "state", "slices", "MLflow run"], changed)
    if report.alarms:
        shown["alarms"] = table(["values that are no numbers"], [[alarm] for alarm in report.alarms])
    overall = next((row.now for row in report.rows if not row.slice and row.now is not None), None)
    if overall is not None:
        shown[report.metric] = float(overall)
    return shown
