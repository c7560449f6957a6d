import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from annotation_ops.cli.main import cli
from annotation_ops.domain.errors import NotFound
from annotation_ops_tests.cli.test_main import run
from annotation_ops_tests.domain.project.examples import PROJECTS
from annotation_ops_tests.services.workshop import FIRST, SECOND, Workshop


def report(home: Path, *arguments: str) -> Result:
    env = {"ANNOTATION_OPS_HOME": str(home), "ANNOTATION_OPS_PROJECTS": str(PROJECTS), "ANNOTATION_OPS_LEDGER": None}
    return CliRunner(env=env).invoke(cli, ["report", *arguments])


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    workshop = Workshop.build(tmp_path / "home")
    workshop.reject()
    workshop.staff(accuracy=1.0)
    workshop.complete(SECOND)
    yield workshop
    workshop.ledger.close()


def test_a_project_s_report_is_one_file(shop: Workshop, tmp_path: Path) -> None:
    out = tmp_path / "project.html"

    result = report(shop.home, "digits", "--out", str(out))

    assert result.exit_code == 0
    assert result.stdout.startswith(f"wrote {out}: digits, as of ")
    text = out.read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert FIRST in text
    assert SECOND in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "project.html"]


def test_a_batch_s_report_is_about_its_newest_attempt(shop: Workshop, tmp_path: Path) -> None:
    out = tmp_path / "batch.html"

    result = report(shop.home, "digits", "--batch", FIRST.removesuffix(".a1"), "--out", str(out), "--json")

    told = json.loads(result.stdout)
    assert (told["attempt"], told["verdict"], told["file"]) == (SECOND, "PASS", str(out))
    assert f"<h1>{SECOND}</h1>" in out.read_text()


def test_a_rejected_batch_is_no_failure_of_the_command(shop: Workshop, tmp_path: Path) -> None:
    result = report(shop.home, "digits", "--batch", FIRST, "--out", str(tmp_path / "f.html"), "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["verdict"] == "FAIL"


def test_a_price_turns_judgements_into_money(shop: Workshop, tmp_path: Path) -> None:
    out = tmp_path / "p.html"

    report(shop.home, "digits", "--out", str(out), "--price", "0.25")

    # 2 attempts x 6 tasks x 3 judgements = 36; 6 labels
    assert "One judgement costs 0.25." in out.read_text()
    assert "1.50" in out.read_text()


def test_an_unknown_batch_writes_nothing(shop: Workshop, tmp_path: Path) -> None:
    result = report(shop.home, "digits", "--batch", "nothing", "--out", str(tmp_path / "x.html"))

    assert isinstance(result.exception, NotFound)
    assert FIRST in str(result.exception)
    assert not (tmp_path / "x.html").exists()


def test_a_folder_that_is_not_there_is_wrong_use(shop: Workshop, tmp_path: Path) -> None:
    out = tmp_path / "nowhere" / "x.html"

    done = run(
        "report",
        "digits",
        "--out",
        str(out),
        cwd=tmp_path,
        ANNOTATION_OPS_HOME=str(shop.home),
        ANNOTATION_OPS_PROJECTS=str(PROJECTS),
    )

    assert done.returncode == 2
    assert "nowhere/x.html" in done.stderr
    assert "Traceback" not in done.stderr
