"""`annotation-ops annotators`: where people stand, their calibrations and their training packs."""

import json
from pathlib import Path

import click

from annotation_ops.cli.deployment import deployment, named_project
from annotation_ops.domain.errors import NotFound
from annotation_ops.domain.quality.statistic import Statistic
from annotation_ops.services.annotators import AnnotatorReport, report_workforce, training_packs
from annotation_ops.services.calibration import CalibrationReport
from annotation_ops.services.calibration import calibrate as plan_calibrations

_PROJECT = click.argument("project")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.group()
def annotators() -> None:
    """Skill and standing of the people of a project, their calibrations and their training packs.

    Example: annotation-ops annotators list digits
    """


@annotators.command("list")
@_PROJECT
@_JSON
def list_annotators(project: str, as_json: bool) -> None:
    """Where everybody stands, how good their recent work is, and whether cohorts are equally good.

    Example: annotation-ops annotators list digits
    """
    with deployment() as parts:
        report = report_workforce(named_project(parts, project), ledger=parts.ledger, now=parts.clock.now())
    if as_json:
        click.echo(json.dumps({"project": project, **report.document()}))
        return
    click.echo(f"{'annotator':<20} {'cohort':<12} {'standing':<20} {'accuracy':<24} judgements")
    for one in report.annotators:
        click.echo(_row(one))
    for compared in report.cohorts.comparisons:
        difference = _shown(compared.difference)
        click.echo(f"cohorts {' and '.join(compared.cohorts)}: {compared.outcome.value}, difference {difference}")


@annotators.command()
@_PROJECT
@click.option("--annotator", "names", multiple=True, help="Only this person, now, whatever the standing; repeatable.")
@click.option("--dry-run", is_flag=True, help="Show the rounds without planning them.")
@_JSON
def calibrate(project: str, names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Plan the calibrations that are due; the conductor sends them like any other batch.

    Example: annotation-ops annotators calibrate digits --annotator ann-07
    """
    with deployment() as parts:
        report = plan_calibrations(
            named_project(parts, project),
            ledger=parts.ledger,
            lake=parts.lake,
            now=parts.clock.now(),
            only=names,
            dry_run=dry_run,
        )
    if as_json:
        click.echo(json.dumps({"project": project, "dry_run": dry_run, **report.document()}))
        return
    _print_rounds(report, dry_run=dry_run)


@annotators.command()
@_PROJECT
@click.argument("annotator")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Markdown file to write.")
@_JSON
def pack(project: str, annotator: str, out: Path, as_json: bool) -> None:
    """Write the training pack of ANNOTATOR: own errors, and the guideline sections that explain them.

    Example: annotation-ops annotators pack digits ann-07 --out ann-07.md
    """
    with deployment() as parts:
        declared = named_project(parts, project)
        if declared.workforce.person(annotator) is None:
            known = ", ".join(person.annotator_id for person in declared.workforce.annotators)
            raise NotFound(f"annotator {annotator!r}: not found in workforce.yaml, expected one of {known}")
        report = report_workforce(declared, ledger=parts.ledger, now=parts.clock.now())
        found = training_packs(declared, {annotator}, report=report, ledger=parts.ledger, lake=parts.lake)[annotator]
    out.write_text(found.markdown(), encoding="utf-8")
    errors = sum(len(lesson.errors) for lesson in found.lessons)
    if as_json:
        click.echo(json.dumps({"project": project, "out": str(out), **found.document()}))
        return
    click.echo(f"{len(found.lessons)} confusions with {errors} errors of {annotator} into {out}")


def _row(one: AnnotatorReport) -> str:
    accuracy = "-" if one.skill is None else _shown(one.skill.accuracy)
    judged = 0 if one.skill is None else one.skill.n_judgements
    line = f"{one.annotator_id:<20} {one.cohort:<12} {one.standing.status.value:<20} {accuracy:<24} {judged}"
    return f"{line}\n    {one.standing.code}: {one.standing.reason}; needs {one.standing.needs.value}"


def _shown(found: Statistic) -> str:
    if found.value is None:
        return f"undefined: {found.reason}"
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _print_rounds(report: CalibrationReport, *, dry_run: bool) -> None:
    verb = "would be planned" if dry_run else "planned"
    click.echo(f"{len(report.planned)} calibrations {verb}, {len(report.waiting)} wait")
    for one in report.planned:
        click.echo(f"  {one.key}: {len(one.plan.tasks)} gold tasks, {one.due.need.value}: {one.due.why}")
    if report.waiting and report.n_gold < report.n_wanted:
        click.echo(
            f"  {report.n_gold} published labels are sure enough to test people with, a round takes {report.n_wanted}: "
            "publish more batches, or lower calibration.size in workforce.yaml"
        )
    for late in report.waiting:
        click.echo(f"  {late.annotator_id} waits until {late.due_at:%Y-%m-%d %H:%M} UTC, {late.need.value}: {late.why}")
