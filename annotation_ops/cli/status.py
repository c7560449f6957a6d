"""`annotation-ops status`: where every batch stands."""

import json
from datetime import datetime
from typing import Any

import click

from annotation_ops.cli.deployment import declared_projects, deployment, named_project
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.workforce.status import AnnotatorStatus
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services.certification import calibration_results, standings
from annotation_ops.services.status import attempt_status


@click.command()
@click.argument("project", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def status(project: str | None, as_json: bool) -> None:
    """Batches by state and attempt, verdicts, people flagged by calibration, incidents and quarantine.

    Example: annotation-ops status digits
    """
    with deployment() as parts:
        chosen = [named_project(parts, project)] if project else declared_projects(parts)
        reports = [_report(declared, ledger=parts.ledger, now=parts.clock.now()) for declared in chosen]
    if as_json:
        click.echo(json.dumps(reports))
        return
    for report in reports:
        _print(report)


def _report(project: AnnotationProject, *, ledger: Ledger, now: datetime) -> dict[str, Any]:
    reasons: dict[str, int] = {}
    for item in ledger.quarantined(project.name):
        reasons[f"{item.kind}: {item.reason_code}"] = reasons.get(f"{item.kind}: {item.reason_code}", 0) + 1
    return {
        "project": project.name,
        "batches": [
            attempt_status(project, attempt, ledger=ledger).document() for attempt in ledger.attempts(project.name)
        ],
        "labels": sum(commit.n_labels for commit in ledger.label_commits(project.name)),
        "flagged": [
            {"annotator": one.annotator_id, "reason": one.reason, "needs": one.needs.value}
            for one in standings(project, results=calibration_results(project, ledger=ledger), now=now).values()
            if one.status is AnnotatorStatus.FLAGGED
        ],
        "incidents": [
            {"incident": i.incident_id, "state": i.state.value, "slices": list(i.slices), "batch": i.batch_id}
            for i in ledger.incidents(project.name)
        ],
        "quarantined": reasons,
    }


def _print(report: dict[str, Any]) -> None:
    click.echo(f"{report['project']}: {report['labels']} labels published")
    width = max([28, *(len(row["attempt"]) for row in report["batches"])])
    for row in report["batches"]:
        reason = f"  {row['reason']}" if row["reason"] else ""
        click.echo(f"  {row['attempt']:<{width}} {row['state']:<14} {row['verdict'] or '-':<13}{reason}")
    for row in report["flagged"]:
        click.echo(f"  {row['annotator']} is flagged: {row['reason']}; needs {row['needs']}")
    for row in report["incidents"]:
        click.echo(
            f"  incident {row['incident']}: {row['state']}, {', '.join(row['slices']) or 'all slices'}, batch {row['batch'] or '-'}"
        )
    for reason, count in sorted(report["quarantined"].items()):
        click.echo(f"  quarantined {count} x {reason}")
