"""The repository's example projects as texts, and one-word edits of them."""

from functools import cache
from pathlib import Path

from annotation_ops.adapters.project_folder import odcs_schema
from annotation_ops.domain.errors import Fault, InvalidDocument
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.parsing import FILES, parse_project

PROJECTS = Path(__file__).parents[3] / "projects"


@cache
def _text(project: str, file: str) -> str:
    return (PROJECTS / project / file).read_text(encoding="utf-8")


def texts(project: str) -> dict[str, str]:
    """kind -> text of every document; nobody is told of what happens in the examples."""
    return {kind: _text(project, file) for kind, file in FILES.items() if kind != "webhooks"}


def kind_of(file: str) -> str:
    return next(kind for kind, name in FILES.items() if name == file)


def edited(file: str, old: str, new: str, *, project: str = "digits") -> dict[str, str]:
    """The project's texts with the first `old` in one file replaced; fails when the file does not hold it."""
    documents = texts(project)
    assert old in documents[kind_of(file)], f"{old!r} is not in {file}"
    documents[kind_of(file)] = documents[kind_of(file)].replace(old, new, 1)
    return documents


def parse(documents: dict[str, str]) -> AnnotationProject:
    return parse_project(documents, odcs_schema=odcs_schema())


def faults_of(documents: dict[str, str]) -> tuple[Fault, ...]:
    """What is wrong with the documents; empty when nothing is."""
    try:
        parse(documents)
    except InvalidDocument as error:
        return error.faults
    return ()
