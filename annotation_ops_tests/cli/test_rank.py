import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from annotation_ops.cli.rank import rank
from annotation_ops.domain.errors import InvalidInput


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    path = tmp_path / "predictions.csv"
    rows = [(f"s{i:02d}", "ab"[i % 2], i / 40, 1 - i / 40) for i in range(20)]
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("sample_id", "scanner", "p_cat", "p_dog"), *rows])
    return path


def test_it_writes_the_ranking_and_says_what_it_did(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "next.csv"

    result = CliRunner().invoke(
        rank, [str(predictions), "--budget", "4", "--slice-column", "scanner", "--random-share", "0", "--out", str(out)]
    )

    assert result.exit_code == 0, result.output
    assert "4 of 20 samples ranked" in result.output
    assert "class_balanced_margin" in result.output
    assert "slice a: 2 ranked of 10 eligible" in result.output
    with out.open() as stream:
        assert {row["sample_id"] for row in csv.DictReader(stream)} == {"s16", "s17", "s18", "s19"}


def test_json_is_one_document(predictions: Path, tmp_path: Path) -> None:
    arguments = [
        str(predictions),
        "--budget",
        "30",
        "--strategy",
        "margin",
        "--out",
        str(tmp_path / "o.jsonl"),
        "--json",
    ]

    result = CliRunner().invoke(rank, arguments)

    report = json.loads(result.output)
    assert (report["ranked"], report["requested"], report["strategy"]) == (20, 30, "margin")
    assert sum(report["histogram"]) == 20


def test_a_pool_smaller_than_the_budget_is_said(predictions: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(rank, [str(predictions), "--budget", "30", "--out", str(tmp_path / "o.csv")])

    assert "10 short of the budget of 30" in result.output


def test_an_unknown_strategy_lists_the_known_ones(predictions: Path) -> None:
    result = CliRunner().invoke(rank, [str(predictions), "--budget", "3", "--strategy", "magic", "--out", "o.csv"])

    assert result.exit_code == 2
    assert "margin_kmeans" in result.output


def test_bad_input_raises_the_error_that_main_turns_into_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id\n1\n")

    result = CliRunner().invoke(rank, [str(tmp_path / "p.csv"), "--budget", "3", "--out", str(tmp_path / "o.csv")])

    assert isinstance(result.exception, InvalidInput)
    assert "p.csv: found columns id, expected sample_id" in str(result.exception)


def test_the_installed_command_ends_with_2_and_one_message_for_bad_input(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "annotation_ops.cli.main", "rank", str(tmp_path / "none.csv"), "--budget", "3"]

    done = subprocess.run([*command, "--out", str(tmp_path / "o.csv")], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_the_help_shows_an_example() -> None:
    assert "Example: annotation-ops rank" in CliRunner().invoke(rank, ["--help"]).output
