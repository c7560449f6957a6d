"""What every asset of an annotation project shares: key prefix, group, owner, version, backfill policy."""

import re
from typing import Any, TypedDict

import dagster as dg

from annotation_ops import __version__
from annotation_ops.domain.project.annotation_project import AnnotationProject


def dagster_name(project: AnnotationProject, name: str) -> str:
    """`<project>_<name>` with what Dagster does not allow in names replaced: a project may be called `invoices.v2`."""
    return re.sub(r"[^A-Za-z0-9_]", "_", f"{project.name}_{name}")


class AssetArguments(TypedDict):
    key: dg.AssetKey
    group_name: str
    owners: list[str]
    kinds: set[str]
    code_version: str
    metadata: dict[str, Any]


def key(project: AnnotationProject, name: str) -> dg.AssetKey:
    """`<project>/<name>`."""
    return dg.AssetKey([project.name, name])


def declared(project: AnnotationProject, name: str, *, kinds: set[str]) -> AssetArguments:
    """The arguments of `dg.asset` that are the same for every asset of the project."""
    return AssetArguments(
        key=key(project, name),
        group_name=dagster_name(project, "loop"),
        owners=[project.contract.owner],
        kinds=kinds,
        code_version=__version__,
        metadata={
            "contract": project.pinned("contract"),
            "taxonomy": project.pinned("taxonomy"),
            "criteria": project.pinned("criteria"),
        },
    )


WHOLE_RANGE = dg.BackfillPolicy.single_run()
"""One run for a whole backfill: a run costs 0.7 s, a partition within one 0.17 s."""
