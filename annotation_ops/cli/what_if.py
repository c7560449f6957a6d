"""`annotation-ops what-if`: past batches under other criteria."""

import json
from pathlib import Path

import click

from annotation_ops.cli.deployment import deployment, named_project
from annotation_ops.domain.errors import InvalidDocument
from annotation_ops.domain.project.criteria import parse_criteria
from annotation_ops.services.judgement_files import read_text
from annotation_ops.services.what_if import Rejudged
from annotation_ops.services.what_if import what_if as rejudge


@click.command("what-if")
@click.argument("project")
@click.option(
    "--criteria",
    "criteria_file",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="criteria.yaml to try.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def what_if(project: str, criteria_file: Path, as_json: bool) -> None:
    """Judge every past batch of PROJECT again under other criteria; nothing is recorded and nothing moves.

    Lists the verdicts that flip, with the label commits and model versions that rest on them.

    Example: annotation-ops what-if digits --criteria stricter.yaml
    """
    parsed = parse_criteria(read_text(criteria_file), file=str(criteria_file))
    if parsed.record is None:
        raise InvalidDocument(parsed.faults)
    with deployment() as parts:
        found = rejudge(named_project(parts, project), parsed.record, ledger=parts.ledger)
    if as_json:
        flips = sum(one.flips for one in found)
        click.echo(json.dumps({"project": project, "flips": flips, "batches": [one.document() for one in found]}))
        return
    click.echo(
        f"{sum(one.flips for one in found)} of {len(found)} verdicts flip under criteria {parsed.record.version}"
    )
    for one in found:
        if one.flips:
            click.echo(_line(one))


def _line(one: Rejudged) -> str:
    commits = ", ".join(commit[:12] for commit in one.label_commits) or "none"
    models = ", ".join(one.models) or "none"
    head = f"  {one.key}: {one.in_force} -> {one.what_if}; label commits: {commits}; models: {models}"
    return "\n".join([head, *(f"    {reason}" for reason in one.reasons[:2])])
