import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from annotation_ops.cli.main import cli
from annotation_ops.domain.errors import NotFound
from annotation_ops_tests.cli.test_main import run
from annotation_ops_tests.domain.project.examples import PROJECTS
from annotation_ops_tests.services.workshop import FIRST, SECOND, Workshop


def status(home: Path, *arguments: str, projects: Path = PROJECTS) -> Result:
    env = {"ANNOTATION_OPS_HOME": str(home), "ANNOTATION_OPS_PROJECTS": str(projects), "ANNOTATION_OPS_LEDGER": None}
    return CliRunner(env=env).invoke(cli, ["status", *arguments])


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    workshop = Workshop.build(tmp_path / "home")
    workshop.clock.set(datetime(2020, 1, 6, 12, tzinfo=UTC))
    yield workshop
    workshop.ledger.close()


def test_an_empty_deployment_shows_every_project_with_nothing_in_it(tmp_path: Path) -> None:
    result = status(tmp_path / "home")

    assert result.exit_code == 0
    assert result.stdout == "digits: 0 labels published\nreviews: 0 labels published\n"


def test_json_of_an_empty_deployment_is_one_document(tmp_path: Path) -> None:
    (report,) = json.loads(status(tmp_path / "home", "digits", "--json").stdout)

    assert report == {
        "project": "digits",
        "batches": [],
        "labels": 0,
        "flagged": [],
        "incidents": [],
        "quarantined": {},
    }


def test_a_batch_in_people_s_hands_has_no_verdict_yet(shop: Workshop) -> None:
    shop.send()

    (report,) = json.loads(status(shop.home, "digits", "--json").stdout)

    assert [(b["attempt"], b["state"], b["verdict"]) for b in report["batches"]] == [(FIRST, "in_annotation", None)]
    assert datetime.fromisoformat(report["batches"][0]["due_at"]) > shop.clock.now()


def test_a_rejected_attempt_and_the_published_one_after_it_are_shown_with_their_verdicts(shop: Workshop) -> None:
    shop.reject()
    shop.staff(accuracy=1.0)
    shop.complete(SECOND)

    result = status(shop.home, "digits")

    assert result.exit_code == 0
    first, *batches = result.stdout.splitlines()
    assert first == "digits: 6 labels published"
    assert [line.split()[:3] for line in batches] == [[FIRST, "requeued", "FAIL"], [SECOND, "published", "PASS"]]


def test_an_unknown_project_is_answered_with_those_that_exist(tmp_path: Path) -> None:
    result = status(tmp_path / "home", "digist")

    assert isinstance(result.exception, NotFound)
    assert str(result.exception) == "project 'digist': not found, expected one of digits, reviews"


def test_a_folder_without_projects_says_how_to_make_one(tmp_path: Path) -> None:
    result = status(tmp_path / "home", projects=tmp_path)

    assert isinstance(result.exception, NotFound)
    assert "make one with `annotation-ops init` or set ANNOTATION_OPS_PROJECTS" in str(result.exception)


def test_the_installed_command_takes_its_deployment_from_the_environment(shop: Workshop, tmp_path: Path) -> None:
    shop.complete()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    done = run(
        "status",
        "--json",
        cwd=elsewhere,
        ANNOTATION_OPS_LEDGER=f"sqlite:///{shop.home / 'ledger.sqlite'}",
        ANNOTATION_OPS_HOME=str(tmp_path / "other"),
        ANNOTATION_OPS_PROJECTS=str(PROJECTS),
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert [(r["project"], r["labels"]) for r in json.loads(done.stdout)] == [("digits", 6), ("reviews", 0)]
    assert list(elsewhere.iterdir()) == []
