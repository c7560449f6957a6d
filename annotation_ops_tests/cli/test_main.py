"""`annotation-ops` as a whole: what every command owes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from annotation_ops.cli.main import COMMANDS, cli

MAIN = (sys.executable, "-m", "annotation_ops.cli.main")
ANSWERS = {
    "agreement",
    "annotators calibrate",
    "annotators list",
    "annotators pack",
    "audit verify",
    "batch accept",
    "batch hold",
    "batch release",
    "batch requeue",
    "consensus",
    "demo",
    "init",
    "judge",
    "label-studio down",
    "label-studio up",
    "lineage",
    "plan audit",
    "plan overlap",
    "rank",
    "report",
    "status",
    "token create",
    "token list",
    "token revoke",
    "validate",
    "webhooks enable",
    "webhooks list",
    "webhooks redeliver",
    "webhooks test",
    "what-if",
}
"""Commands that answer with a document; `audit export` writes its answer to a file."""


def commands(group: click.Command = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if not isinstance(group, click.Group):
        yield path
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from commands(command, (*path, name))


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a shell starts it, with no variable but these."""
    kept = {"PATH": "/usr/bin:/bin", "HOME": str(cwd)}
    return subprocess.run(
        [*MAIN, *arguments], cwd=cwd, env=kept | environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("arguments", [["--help"], ["status", "--help"], ["demo", "--help"]], ids=" ".join)
def test_help_answers_without_loading_dagster_or_mlflow(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from annotation_ops.cli.main import main\n"
        f"sys.argv[1:] = {arguments}\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n"
        "    loaded = {'dagster', 'mlflow', 'deltalake', 'sklearn', 'pandas'} & set(sys.modules)\n"
        "    print(sorted(loaded), file=sys.stderr)\n"
        "    sys.exit(end.code)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)

    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert done.stdout.startswith("Usage: ")


def test_help_lists_every_command_with_a_sentence() -> None:
    result = CliRunner().invoke(cli, ["--help"])

    listed = dict(line.split(maxsplit=1) for line in result.output.partition("Commands:\n")[2].splitlines())
    assert set(listed) == set(COMMANDS)


@pytest.mark.parametrize("path", [*commands(), ("audit",), ("batch",)], ids=" ".join)
def test_the_help_of_every_command_shows_an_example_of_itself(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"])

    assert result.exit_code == 0
    example = " ".join(result.output.partition("Example:")[2].split())
    assert example.startswith(f"annotation-ops {' '.join(path)}")


def test_every_command_that_answers_has_json() -> None:
    with_json = {" ".join(path) for path in commands() if "--json" in CliRunner().invoke(cli, [*path, "--help"]).output}

    assert with_json == ANSWERS
    assert {" ".join(path) for path in commands()} - with_json == {"audit export", "serve"}


def test_an_unknown_command_is_wrong_use(tmp_path: Path) -> None:
    done = run("stauts", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert "No such command 'stauts'" in done.stderr


def test_a_setting_that_cannot_be_used_is_named_with_its_mend(tmp_path: Path) -> None:
    done = run("status", cwd=tmp_path, ANNOTATION_OPS_SEED="often")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: ANNOTATION_OPS_SEED: found 'often', expected a whole number of 0 or more, e.g. ANNOTATION_OPS_SEED=0\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_a_file_is_one_message_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("mine")

    done = run("status", cwd=tmp_path, ANNOTATION_OPS_HOME=str(tmp_path / "home"))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {tmp_path / 'home'}: found file exists, expected a place that can be used.")
    assert (tmp_path / "home").read_text() == "mine"


def test_a_password_in_the_ledger_s_address_is_not_shown(tmp_path: Path) -> None:
    done = run("status", cwd=tmp_path, ANNOTATION_OPS_LEDGER="postgresql://u:secret@127.0.0.1:1/db")

    assert done.returncode == 2
    assert "expected a reachable one. Check that the server runs" in done.stderr
    assert "secret" not in done.stderr
