"""`annotation-ops init`: a folder to start from."""

import json
import os
import shutil
import uuid
from pathlib import Path
from typing import get_args

import click

from annotation_ops.adapters.project_folder import odcs_schema
from annotation_ops.domain.errors import InvalidDocument
from annotation_ops.domain.project.contract import Media, TaskType
from annotation_ops.domain.project.parsing import FILES, parse_project
from annotation_ops.domain.project.reading import IDENTIFIER, IDENTIFIER_WORDS
from annotation_ops.scaffold import DEFAULT_MEDIA, render


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the annotation project; by default the name of DIR.")
@click.option("--task-type", type=click.Choice(get_args(TaskType)), default="classification", show_default=True)
@click.option("--media", type=click.Choice(get_args(Media)), help="By default text for spans and text, else image.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def init(directory: Path, name: str | None, task_type: str, media: str | None, as_json: bool) -> None:
    """Write a commented, valid annotation project into the new folder DIR.

    DIR gets workspace.yaml and dagster.yaml for the Dagster UI, and the project under projects/. A folder that holds anything
    is refused; on any fault nothing is left behind.

    Example: annotation-ops init my-project --task-type classification --media image
    """
    target = directory.absolute()
    name = _name(name if name is not None else target.name)
    _require_new(target, directory)
    files = render(name, task_type=task_type, media=media or DEFAULT_MEDIA.get(task_type, "image"))
    _require_sound(files, project=name)
    try:
        _write(files, target=target)
    except OSError as error:
        raise click.UsageError(f"{directory}: found {error.strerror}, expected a folder that can be written") from error
    _report(directory, name=name, files=sorted(files), as_json=as_json)


def _name(name: str) -> str:
    if not IDENTIFIER.fullmatch(name) or name.startswith((".", "-")):
        expected = f"{IDENTIFIER_WORDS}, beginning with a letter or digit"
        raise click.UsageError(f"name: found {name!r}, expected {expected}; give one with --name")
    return name


def _require_new(target: Path, shown: Path) -> None:
    if target.resolve() == Path.cwd().resolve():
        raise click.UsageError(f"{shown}: found the working folder, expected the name of a new one")
    if target.is_dir() and not any(target.iterdir()):
        return
    if os.path.lexists(target):
        found = "a folder with content" if target.is_dir() else "a file"
        raise click.UsageError(f"{shown}: found {found}, expected a new folder; nothing was written")


def _require_sound(files: dict[str, str], *, project: str) -> None:
    """Refuse combinations that make no sense, such as boxes in text, before anything is written."""
    texts = {kind: files[path] for kind, file in FILES.items() if (path := f"projects/{project}/{file}") in files}
    try:
        parse_project(texts, odcs_schema=odcs_schema())
    except InvalidDocument as error:
        raise click.UsageError(str(error)) from error


def _write(files: dict[str, str], *, target: Path) -> None:
    """Build beside the target and rename: the folder appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}"
    try:
        for file, text in files.items():
            path = staged / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        staged.rename(target)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _report(directory: Path, *, name: str, files: list[str], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"directory": str(directory), "project": name, "files": files}, indent=2))
        return
    for file in files:
        click.echo(f"wrote {directory / file}")
    click.echo(f"Next: cd {directory} && annotation-ops validate")
