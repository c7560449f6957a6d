import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from annotation_ops.adapters.project_folder import load_project
from annotation_ops.cli.main import cli
from annotation_ops.domain.errors import NotFound
from annotation_ops.services.calibration import calibrate
from annotation_ops_tests.domain.project.examples import PROJECTS
from annotation_ops_tests.services.workshop import EASY_CRITERIA, Workshop, without_stages

RULES = "version: 1.0.0\ncalibration: {size: 6, minimum: 0.9, margin: 0.6, class_minimum: 0.1}"


@pytest.fixture
def projects(tmp_path: Path) -> Path:
    folder = tmp_path / "projects"
    without_stages(shutil.copytree(PROJECTS / "digits", folder / "digits"))
    criteria, workforce = folder / "digits" / "criteria.yaml", folder / "digits" / "workforce.yaml"
    text = criteria.read_text()
    for found, put in EASY_CRITERIA.items():
        text = text.replace(found, put)
    criteria.write_text(text)
    workforce.write_text(workforce.read_text().replace("version: 1.0.0", RULES, 1))
    return folder


@pytest.fixture
def shop(tmp_path: Path, projects: Path) -> Iterator[Workshop]:
    workshop = Workshop.build(tmp_path / "home", project=load_project(projects / "digits"), samples=40)
    workshop.complete()
    yield workshop
    workshop.ledger.close()


def annotators(shop: Workshop, *arguments: str, command: str = "annotators") -> Result:
    env = {
        "ANNOTATION_OPS_HOME": str(shop.home),
        "ANNOTATION_OPS_PROJECTS": str(shop.home.parent / "projects"),
        "ANNOTATION_OPS_LEDGER": None,
    }
    return CliRunner(env=env).invoke(cli, [command, *arguments])


def fail_the_round(shop: Workshop, name: str) -> None:
    shop.staff(accuracy=0.0)
    (one,) = calibrate(shop.project, ledger=shop.ledger, lake=shop.lake, now=shop.clock.now(), only=(name,)).planned
    shop.dispatch(one.key)
    shop.work()
    shop.collect()
    shop.judge(one.key)


def test_a_list_says_for_everybody_where_they_stand_and_what_they_need(shop: Workshop) -> None:
    fail_the_round(shop, "ann-03")

    result = annotators(shop, "list", "digits")

    assert result.exit_code == 0
    assert re.search(r"ann-03 +north +flagged", result.stdout)
    assert (
        "calibration_failed: the round of 2026-11-23 shows less than the required skill; needs training"
        in result.stdout
    )
    assert result.stdout.count("needs onboarding") == 11


def test_json_has_skill_standing_and_cohorts(shop: Workshop) -> None:
    document = json.loads(annotators(shop, "list", "digits", "--json").stdout)

    first = document["annotators"][0]
    assert (first["annotator_id"], first["standing"]["status"]) == ("ann-01", "uncertified")
    assert first["skill"]["accuracy"]["value"] > 0.9
    assert document["cohorts"] == []


def test_calibrations_are_planned_once_and_a_dry_run_plans_none(shop: Workshop) -> None:
    dry = annotators(shop, "calibrate", "digits", "--dry-run")
    done = annotators(shop, "calibrate", "digits")
    again = json.loads(annotators(shop, "calibrate", "digits", "--json").stdout)

    assert dry.stdout.startswith("12 calibrations would be planned, 0 wait\n")
    assert done.stdout.startswith("12 calibrations planned, 0 wait\n")
    assert ": 6 gold tasks, onboarding: no calibration round yet" in done.stdout
    assert again["planned"] == []


def test_one_person_is_calibrated_by_name(shop: Workshop) -> None:
    document = json.loads(annotators(shop, "calibrate", "digits", "--annotator", "ann-07", "--json").stdout)

    assert [one["annotator_id"] for one in document["planned"]] == ["ann-07"]
    with pytest.raises(NotFound, match="annotator 'nobody': not found"):
        CliRunner().invoke(
            cli,
            ["annotators", "calibrate", "digits", "--annotator", "nobody"],
            env={"ANNOTATION_OPS_HOME": str(shop.home), "ANNOTATION_OPS_PROJECTS": str(shop.home.parent / "projects")},
            catch_exceptions=False,
        )


def test_too_little_gold_says_how_much_is_there_and_what_a_round_takes(shop: Workshop) -> None:
    workforce = shop.home.parent / "projects" / "digits" / "workforce.yaml"
    workforce.write_text(workforce.read_text().replace("size: 6", "size: 60"))

    result = annotators(shop, "calibrate", "digits")

    assert result.stdout.startswith("0 calibrations planned, 12 wait\n")
    assert "40 published labels are sure enough to test people with, a round takes 60" in result.stdout


def test_a_training_pack_is_a_page_of_the_persons_own_errors(shop: Workshop, tmp_path: Path) -> None:
    fail_the_round(shop, "ann-03")
    out = tmp_path / "ann-03.md"

    result = annotators(shop, "pack", "digits", "ann-03", "--out", str(out))

    assert re.fullmatch(rf"\d confusions with \d errors of ann-03 into {re.escape(str(out))}\n", result.stdout)
    page = out.read_text()
    assert page.splitlines()[0].replace("\\", "") == "# Training pack for ann-03"
    assert "You said" in page


def test_status_names_the_people_who_are_flagged(shop: Workshop) -> None:
    fail_the_round(shop, "ann-03")

    text = annotators(shop, "digits", command="status").stdout
    document = json.loads(annotators(shop, "digits", "--json", command="status").stdout)

    assert "  ann-03 is flagged: the round of 2026-11-23 shows less than the required skill; needs training" in text
    assert document[0]["flagged"] == [
        {
            "annotator": "ann-03",
            "reason": "the round of 2026-11-23 shows less than the required skill",
            "needs": "training",
        }
    ]
