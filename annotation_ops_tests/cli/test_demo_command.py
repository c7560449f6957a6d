"""`annotation-ops demo` before it starts; what it does is in annotation_ops_tests/demo."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from annotation_ops.cli.main import cli
from annotation_ops_tests.cli.test_main import run


def test_a_home_with_foreign_files_is_refused_and_untouched(tmp_path: Path) -> None:
    home = tmp_path / "thesis"
    home.mkdir()
    (home / "chapter.txt").write_text("years of work")

    done = run("demo", "--home", str(home), cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert f"{home}: found files that no demo wrote" in done.stderr
    assert "name another with --home" in done.stderr
    assert [(path.name, path.read_text()) for path in home.iterdir()] == [("chapter.txt", "years of work")]


def test_a_file_that_is_called_like_the_demo_s_mark_does_not_make_a_folder_a_demo(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text('{"seed": 0}')

    done = run("demo", "--home", str(tmp_path), cwd=tmp_path)

    assert done.returncode == 2
    assert (tmp_path / "demo.json").read_text() == '{"seed": 0}'


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("mine")

    done = run("demo", "--home", str(tmp_path / "home"), cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {tmp_path / 'home'}: found not a directory")
    assert (tmp_path / "home").read_text() == "mine"


@pytest.mark.parametrize("seed", ["-1", "one", "0.5"])
def test_a_seed_is_a_whole_number_from_zero(seed: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["demo", "--home", str(tmp_path / "home"), "--seed", seed])

    assert result.exit_code == 2
    assert not (tmp_path / "home").exists()
