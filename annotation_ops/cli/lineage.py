"""`annotation-ops lineage`: where a label comes from."""

import json
import sys

import click

from annotation_ops.cli.deployment import deployment, named_project
from annotation_ops.services.lineage import label_lineage


@click.command()
@click.argument("sample")
@click.option("--project", required=True, help="Annotation project.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def lineage(sample: str, project: str, as_json: bool) -> None:
    """Every label that was published of a SAMPLE, the newest first: people, verdict, documents, model and bytes behind it.

    Exit code 1 when the sample has no label.

    Example: annotation-ops lineage 2026-01-05/digit-0007 --project digits
    """
    with deployment() as parts:
        rows = label_lineage(named_project(parts, project), sample, ledger=parts.ledger, lake=parts.lake)
    if as_json:
        click.echo(json.dumps(rows))
    for row in () if as_json else rows:
        gone = ", taken back" if row["deleted"] else ""
        click.echo(f"{row['sample']} revision {row['revision']}: {json.dumps(row['label'])} by {row['source']}{gone}")
        click.echo(f"  {row['attempt']}, {row['verdict']['outcome']} by criteria {row['verdict']['criteria']}")
        click.echo(f"  people {', '.join(row['annotators'])}; model {row['chosen']['model_version'] or '-'}")
        click.echo(f"  guideline {row['versions']['guideline']}, taxonomy {row['versions']['taxonomy']}")
        click.echo(f"  {row['raw']['uri']}, sha256 {row['raw']['digest']}")
        click.echo(f"  label commit {row['label_commit']}, audit entries {', '.join(map(str, row['audit_entries']))}")
    if not rows and not as_json:
        click.echo(f"{sample} has no published label in {project}")
    sys.exit(0 if rows else 1)
