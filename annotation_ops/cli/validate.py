"""`annotation-ops validate`: is everything that was declared sound?"""

import json
from pathlib import Path

import click

from annotation_ops.adapters.project_folder import MARK, find_projects, load_project
from annotation_ops.domain.errors import Fault, InvalidDocument, NotFound
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.places import suggestion
from annotation_ops.domain.records import JsonObject

BAD_INPUT = 2


@click.command()
@click.argument("projects", nargs=-1, metavar="[PROJECT]...")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=Path("projects"),
    envvar="ANNOTATION_OPS_PROJECTS",
    show_default=True,
    show_envvar=True,
    help="Folder that holds the annotation projects.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def validate(projects: tuple[str, ...], root: Path, as_json: bool) -> None:
    """Check every declared document; print each fault with its place.

    PROJECT is a folder, or a name under the root; without any, all projects under the root are checked. The exit code is 0
    when all are sound and 2 otherwise.

    Example: annotation-ops validate digits
    """
    folders = [_folder(project, root) for project in projects] or list(find_projects(root))
    if not folders:
        raise click.UsageError(f"{root}: found no annotation project, expected folders with {MARK}; see `init`")
    reports = _check(folders)
    if as_json:
        click.echo(json.dumps({"valid": all(r["valid"] for r in reports), "projects": reports}, indent=2))
    else:
        for report in reports:
            _print(report)
    if not all(report["valid"] for report in reports):
        raise SystemExit(BAD_INPUT)


def _folder(project: str, root: Path) -> Path:
    """A path as it stands, else a name under the root."""
    named = root / project
    for folder in (named, Path(project)):
        if folder.is_dir():
            return folder
    near = suggestion(project, [path.name for path in find_projects(root)])
    raise click.UsageError(f"{project}: found neither a folder nor a project under {root}. {near}".rstrip())


def _check(folders: list[Path]) -> list[JsonObject]:
    reports: list[JsonObject] = []
    first: dict[str, Path] = {}
    for folder in folders:
        try:
            project = load_project(folder)
        except InvalidDocument as error:
            reports.append(_report(folder, faults=error.faults))
            continue
        except NotFound as error:
            raise click.UsageError(str(error)) from error
        other = first.setdefault(project.name, folder)
        reports.append(_report(folder, project=project, faults=_twice(project.name, other, folder)))
    return reports


def _twice(name: str, other: Path, folder: Path) -> tuple[Fault, ...]:
    if other.resolve() == folder.resolve():
        return ()
    return (Fault(MARK, "id", f"{name!r}, the id of {other} too", "an id of its own", "Rename one of the two."),)


def _report(folder: Path, *, faults: tuple[Fault, ...], project: AnnotationProject | None = None) -> JsonObject:
    return {
        "path": str(folder),
        "project": project.name if project else None,
        "valid": not faults,
        "faults": [
            {"file": f.file, "path": f.path, "found": f.found, "expected": f.expected, "mend": f.mend} for f in faults
        ],
        "documents": [
            {"kind": document.kind, "version": document.version, "hash": document.content_hash}
            for document in (project.documents if project else ())
        ],
    }


def _print(report: JsonObject) -> None:
    if report["valid"]:
        pins = ", ".join(f"{d['kind']} {d['version']}+{d['hash'][:12]}" for d in report["documents"])
        click.echo(f"{report['path']}: sound ({pins})")
        return
    count = len(report["faults"])
    click.echo(f"{report['path']}: {count} {'fault' if count == 1 else 'faults'}")
    for fault in report["faults"]:
        click.echo(f"  {Fault(**fault)}")
