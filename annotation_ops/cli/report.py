"""`annotation-ops report`: one HTML file on a batch or a whole project, for people."""

import json
from pathlib import Path

import click

from annotation_ops.cli.deployment import deployment, named_project


@click.command()
@click.argument("project")
@click.option(
    "--batch", "key", metavar="KEY", help="An attempt (2026-01-05-active-01.a2), or a batch: its newest attempt."
)
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The HTML file to write.")
@click.option("--price", type=click.FloatRange(min=0), default=1.0, show_default=True, help="What one judgement costs.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def report(project: str, key: str | None, out: Path, price: float, as_json: bool) -> None:
    """Write a report as one file that needs no server, no script and no network.

    Without --batch it is about the whole project. The same records give the same bytes.

    \b
    Example:
      annotation-ops report digits --batch 2026-01-05-active-01 --out batch.html
    """
    from annotation_ops.adapters.reports.html import batch_html, project_html
    from annotation_ops.services.report import collect_batch_report, collect_project_report

    with deployment() as parts:
        declared = named_project(parts, project)
        if key is None:
            whole = collect_project_report(declared, ledger=parts.ledger, price=price)
            text, as_of = project_html(whole), whole.as_of
            told: dict[str, object] = {
                "batches": whole.n_batches,
                "attempts": whole.n_attempts,
                "verdicts": dict(whole.outcomes),
            }
        else:
            one = collect_batch_report(declared, key, ledger=parts.ledger, price=price)
            text, as_of = batch_html(one), one.as_of
            told = {"attempt": one.key, "verdict": one.verdict.outcome if one.verdict else None}
    _write(out, text)
    about = f"{project} {told['attempt']}" if key else project
    moment = as_of.isoformat() if as_of else None
    if as_json:
        click.echo(json.dumps({"file": str(out), "project": project, **told, "as_of": moment}))
    else:
        click.echo(f"wrote {out}: {about}, as of {moment or 'the beginning'}")


def _write(out: Path, text: str) -> None:
    """Beside `out` first, so that a report is either whole or not there."""
    part = out.with_name(out.name + ".part")
    part.write_text(text, encoding="utf-8", newline="\n")
    part.replace(out)
