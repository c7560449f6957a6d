import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from dagster import DagsterInstance

from annotation_ops.adapters.platforms.simulated.declaration import load_simulation
from annotation_ops.adapters.project_folder import find_projects, load_project
from annotation_ops.cli.init import init
from annotation_ops.cli.validate import validate

REPOSITORY = Path(__file__).parents[2]


def run(*arguments):
    return CliRunner().invoke(init, [str(argument) for argument in arguments])


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_new_folder_holds_a_project_that_validate_accepts(tmp_path):
    result = run(tmp_path / "cats")

    assert result.exit_code == 0, result.output
    assert names(tmp_path / "cats")[:3] == [
        "dagster.yaml",
        "projects/cats/contract.yaml",
        "projects/cats/criteria.yaml",
    ]
    assert CliRunner().invoke(validate, ["--root", str(tmp_path / "cats" / "projects")]).exit_code == 0


@pytest.mark.parametrize(
    ("task_type", "media"),
    [
        ("classification", "image"),
        ("classification", "text"),
        ("classification", "audio"),
        ("ordinal", "video"),
        ("boxes", "image"),
        ("polygons", "image"),
        ("masks", "video"),
        ("spans", "text"),
        ("text", "audio"),
    ],
)
def test_every_task_type_starts_sound(tmp_path, task_type, media):
    assert run(tmp_path / "p", "--task-type", task_type, "--media", media).exit_code == 0
    project = load_project(tmp_path / "p" / "projects" / "p")

    assert (project.contract.task_type, project.contract.media) == (task_type, media)


def test_the_simulated_people_are_those_of_the_workforce(tmp_path):
    run(tmp_path / "p")
    folder = tmp_path / "p" / "projects" / "p"

    people = {person.annotator_id for person in load_project(folder).workforce.annotators}
    assert set(load_simulation(folder / "simulation.yaml").people) == people


@pytest.mark.parametrize("name", ["007", "null", "true", "1.0", "a.b-c_d"])
def test_a_name_that_looks_like_another_yaml_value_stays_a_name(tmp_path, name):
    assert run(tmp_path / "x", "--name", name).exit_code == 0
    [folder] = find_projects(tmp_path / "x" / "projects")

    assert (folder.name, load_project(folder).name) == (name, name)


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", ".x", "\u00e4", "x" * 129, "a\nb", "$name"])
def test_a_name_that_is_no_id_is_refused(tmp_path, name):
    result = run(tmp_path / "x", "--name", name)

    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_content_is_refused_and_left_alone(tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    result = run(tmp_path, "--name", "p")

    assert result.exit_code == 2
    assert "found a folder with content, expected a new folder; nothing was written" in result.stderr
    assert names(tmp_path) == ["kept.txt"]


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "p").write_text("mine")

    assert run(tmp_path / "p").exit_code == 2
    assert (tmp_path / "p").read_text() == "mine"


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "p").mkdir()

    assert run(tmp_path / "p").exit_code == 0
    assert len(names(tmp_path / "p")) == 12


def test_the_second_time_is_refused(tmp_path):
    run(tmp_path / "p")
    before = names(tmp_path / "p")

    assert run(tmp_path / "p").exit_code == 2
    assert names(tmp_path / "p") == before


def test_a_combination_without_sense_leaves_nothing_behind(tmp_path):
    result = run(tmp_path / "deep" / "p", "--task-type", "boxes", "--media", "text")

    assert result.exit_code == 2
    assert "expected image or video for the task type boxes" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_a_message_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    result = run(tmp_path / "file" / "p")

    assert result.exit_code == 2
    assert "expected a folder that can be written" in result.stderr


def test_json_names_the_files(tmp_path):
    report = json.loads(run(tmp_path / "p", "--json").stdout)

    assert report["project"] == "p"
    assert report["files"] == names(tmp_path / "p")


def test_the_settings_are_those_of_the_repository(tmp_path):
    run(tmp_path / "p")
    for file in ("dagster.yaml", "workspace.yaml"):
        written = yaml.safe_load((tmp_path / "p" / file).read_text())
        assert written == yaml.safe_load((REPOSITORY / file).read_text())


def test_dagster_accepts_the_settings(tmp_path):
    run(tmp_path / "p")
    with DagsterInstance.from_config(str(tmp_path / "p")) as instance:
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_poll_interval_seconds == 15
        assert instance.run_monitoring_start_timeout_seconds == 180
        assert instance.run_monitoring_max_runtime_seconds == 7200
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 3
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert not instance.telemetry_enabled
