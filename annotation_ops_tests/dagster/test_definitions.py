"""What Dagster sees of the declared projects."""

import json
import os
import pkgutil
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

from annotation_ops import defs
from annotation_ops.adapters.project_folder import load_project
from annotation_ops.defs.mount import AFTER_PUBLISHING, PEOPLE, PIPELINE, REPORTING, annotation_project_definitions
from annotation_ops.defs.resources import AnnotationOps
from annotation_ops_tests.dagster.deployment import OTHERS_WARNINGS
from annotation_ops_tests.dagster.server import ROOT

pytestmark = [*OTHERS_WARNINGS]

HEAVY = ("mlflow", "sklearn", "boto3", "deltalake", "matplotlib", "PIL")


def mounted(name: str) -> dg.Definitions:
    project = load_project(ROOT / "projects" / name)
    return dg.Definitions.merge(
        annotation_project_definitions(project), dg.Definitions(resources={"annotation_ops": AnnotationOps()})
    )


@pytest.mark.parametrize("name", ["digits", "reviews"])
def test_every_asset_has_an_owner_a_group_kinds_and_backfills_in_one_run(name: str) -> None:
    graph = mounted(name).resolve_asset_graph()

    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert key.path[0] == name
        assert all((node.owners, node.description, node.kinds))
        assert node.group_name == f"{name}_loop"
        assert node.backfill_policy == dg.BackfillPolicy.single_run()


def test_every_asset_module_is_mounted() -> None:
    found = {module.name for module in pkgutil.iter_modules(defs.__path__)}
    not_assets = {
        "declared",
        "jobs",
        "metadata",
        "mount",
        "partitions",
        "pictures",
        "reports",
        "resources",
        "schedules",
        "sensors",
    }

    mounted_modules = PIPELINE + PEOPLE + REPORTING + AFTER_PUBLISHING
    assert {module.__name__.rpartition(".")[2] for module in mounted_modules} == found - not_assets


def test_loading_the_definitions_imports_no_heavy_library() -> None:
    code = f"import annotation_ops.definitions, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    environment = {**os.environ, "ANNOTATION_OPS_PROJECTS": str(ROOT / "projects")}

    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == "[]"


def test_loading_and_serving_the_definitions_warns_of_nothing_beta_or_deprecated() -> None:
    code = """
import json, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import annotation_ops.definitions
    annotation_ops.definitions.defs.get_repository_def()
print(json.dumps([str(one.message) for one in caught if "Pydantic" not in one.category.__name__]))
"""
    environment = {**os.environ, "ANNOTATION_OPS_PROJECTS": str(ROOT / "projects")}

    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert json.loads(found.stdout) == []


def test_the_gate_is_one_blocking_check() -> None:
    assets = [asset for asset in mounted("digits").assets or () if isinstance(asset, dg.AssetsDefinition)]

    gates = [(spec.asset_key.path[-1], spec.name, spec.blocking) for asset in assets for spec in asset.check_specs]

    assert gates == [("qa_passed_labels", "batch_passed_qa", True)]


def test_each_step_of_the_pipeline_follows_the_one_before() -> None:
    graph = mounted("digits").resolve_asset_graph()
    order = [module.__name__.rpartition(".")[2] for module in PIPELINE + AFTER_PUBLISHING]

    parents = {
        key.path[-1]: {parent.path[-1] for parent in graph.get(key).parent_keys} for key in graph.get_all_asset_keys()
    }

    beside = {"annotators": {"label_features"}, "project_report": {"qa_passed_labels", "label_features"}}
    assert parents == {order[0]: set(), **{after: {before} for before, after in pairwise(order)}, **beside}


def test_a_project_with_dots_and_dashes_in_its_name_mounts(tmp_path: Path) -> None:
    folder = tmp_path / "invoices"
    folder.mkdir()
    for source in (ROOT / "projects" / "digits").iterdir():
        folder.joinpath(source.name).write_text(source.read_text())
    contract = folder / "contract.yaml"
    contract.write_text(re.sub(r"^id: digits.*$", "id: invoices-eu.v2", contract.read_text(), flags=re.M))

    repository = dg.Definitions.merge(
        annotation_project_definitions(load_project(folder)),
        dg.Definitions(resources={"annotation_ops": AnnotationOps()}),
    ).get_repository_def()

    assert "invoices_eu_v2_judge" in repository.job_names
    assert dg.AssetKey(["invoices-eu.v2", "label_features"]) in repository.asset_graph.get_all_asset_keys()


def test_two_projects_live_in_one_location() -> None:
    merged = dg.Definitions.merge(
        *(annotation_project_definitions(load_project(ROOT / "projects" / name)) for name in ("digits", "reviews")),
        dg.Definitions(resources={"annotation_ops": AnnotationOps()}),
    )

    dg.Definitions.validate_loadable(merged)
    sensors = {sensor.name for sensor in merged.get_repository_def().sensor_defs}
    assert {"digits_conductor", "reviews_conductor", "digits_degradation"} <= sensors
