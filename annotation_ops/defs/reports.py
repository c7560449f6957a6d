"""Reports for people, written to the deployment's report store, and what the UI shows of them."""

from urllib.parse import unquote, urlsplit

import dagster as dg

from annotation_ops.bootstrap import Parts
from annotation_ops.defs.metadata import Metadata, table
from annotation_ops.domain.errors import AnnotationOpsError
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.reporting.cost import CostRow
from annotation_ops.domain.reporting.project_report import ProjectReport
from annotation_ops.services.report import collect_batch_report, collect_project_report

MOST_REPORTS = 20
"""Batch reports a run writes; a backfill over more is asked by `annotation-ops report` for those that matter."""
FLAGGED_SHOWN = 20


def write_batch_report(project: AnnotationProject, batch: str, parts: Parts) -> Metadata:
    """Writes `<project>/<attempt>.html`. The verdict stands without it, so a store that fails only leaves a note."""
    from annotation_ops.adapters.reports.html import batch_html

    report = collect_batch_report(project, batch, ledger=parts.ledger)
    try:
        written = _put(parts, f"{project.name}/{batch}.html", batch_html(report))
    except AnnotationOpsError as error:
        return {"report": f"not written: {error}"}
    rows = [("verdict", report.verdict.outcome if report.verdict else None), *_cost(report.cost)]
    return {**written, "report_summary": table(["", "all attempts of the batch"], rows)}


def write_project_report(project: AnnotationProject, parts: Parts) -> Metadata:
    """Writes `<project>/project.html`. Raises what the store raises: the file is all there is to it."""
    from annotation_ops.adapters.reports.html import project_html

    report = collect_project_report(project, ledger=parts.ledger)
    written = _put(parts, f"{project.name}/project.html", project_html(report))
    return {**written, **_project_summary(report)}


def _put(parts: Parts, key: str, html: str) -> Metadata:
    parts.reports.put(key, html.encode())
    address = parts.reports.uri(key)
    local = urlsplit(address).scheme == "file"
    # A browser follows no link from a page of a server to a file, but a path can be copied.
    link = dg.MetadataValue.path(unquote(urlsplit(address).path)) if local else dg.MetadataValue.url(address)
    return {"report": link, "report_bytes": len(html.encode())}


def _project_summary(report: ProjectReport) -> Metadata:
    flagged = [row for row in report.annotators if row.flagged]
    verdicts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(report.outcomes.items()))
    rows = [
        ("batches", report.n_batches),
        ("attempts", report.n_attempts),
        ("verdicts in force", verdicts or "none yet"),
        ("agreement of pairs", _or_why(report.crowd.value, str(report.crowd.reason).replace("_", " "))),
        *_cost(report.cost),
        ("saved by adaptive overlap", _share(report.savings.share if report.savings else None, "nothing answered yet")),
        ("annotators", len(report.annotators)),
        ("flagged for a look", len(flagged)),
        ("open incidents", sum(incident.closed_at is None for incident in report.incidents)),
    ]
    shown: Metadata = {
        "as_of": report.as_of.isoformat() if report.as_of else "nothing recorded yet",
        "summary": table(["", "project"], rows),
        "accepted_labels": report.cost.accepted_labels,
    }
    if report.cost.rework_share is not None:
        shown["rework_share"] = report.cost.rework_share
    if report.cost.cost_per_label is not None:
        shown["judgements_per_label"] = report.cost.cost_per_label
    if flagged:
        who = [
            (row.annotator_id, row.cohort, row.agreement.value, row.agreement.n, ", ".join([*row.flags, *row.raised]))
            for row in flagged[:FLAGGED_SHOWN]
        ]
        shown["flagged"] = table(["annotator", "cohort", "agreement", "shared tasks", "why"], who)
    return shown


def _cost(cost: CostRow) -> list[tuple[str, object]]:
    return [
        ("judgements", cost.judgements),
        ("accepted labels", round(cost.accepted_labels)),
        ("judgements per accepted label", _or_why(cost.cost_per_label, "no label was accepted")),
        ("rework share", _share(cost.rework_share, "no judgement yet")),
        ("hours of work", _or_why(cost.hours, "no judgement carries a lead time")),
    ]


def _or_why(value: float | None, why: str) -> str:
    return f"undefined: {why}" if value is None else f"{value:.2f}"


def _share(value: float | None, why: str) -> str:
    return f"undefined: {why}" if value is None else f"{100 * value:.1f}%"
