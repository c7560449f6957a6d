"""`annotation-ops audit` from a shell's point of view: output and exit codes."""

import hashlib
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger
from annotation_ops.cli.audit import audit
from annotation_ops.domain.audit import verify
from annotation_ops.domain.records import AuditEntry

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of three audit entries."""
    path = tmp_path / "ledger.sqlite"
    with SqlLedger(f"sqlite:///{path}") as ledger:
        ledger.initialise()
        with ledger.transaction(actor="system", at=NOW) as unit:
            for number in range(3):
                unit.audit("batch.planned", f"b{number}", {"tasks": number})
    return path


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner(env=env).invoke(audit, arguments)


def tamper(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def head_of(path: Path) -> str:
    return str(json.loads(run("verify", "--ledger", f"sqlite:///{path}", "--json").stdout)["head"])


def test_a_whole_chain_answers_zero_and_shows_its_head(path: Path) -> None:
    result = run("verify", "--ledger", f"sqlite:///{path}")

    assert result.exit_code == 0
    assert result.stdout == f"whole: 3 entries, head {head_of(path)}\n"


def test_a_changed_entry_answers_one_and_names_it(path: Path) -> None:
    tamper(path, "UPDATE audit SET body = replace(body, 'b1', 'b9') WHERE seq = 2")

    result = run("verify", "--ledger", f"sqlite:///{path}")

    assert result.exit_code == 1
    assert result.stdout.startswith("broken: audit entry 2 changed: ")


def test_json_names_the_fault_for_machines(path: Path) -> None:
    tamper(path, "DELETE FROM audit WHERE seq = 1")

    result = run("verify", "--ledger", f"sqlite:///{path}", "--json")

    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert (answer["whole"], answer["fault"]["seq"], answer["fault"]["kind"]) == (False, 1, "missing")


@pytest.mark.parametrize("seq", [0, -5])
def test_an_entry_put_before_the_first_is_found(path: Path, seq: int) -> None:
    tamper(path, f"INSERT INTO audit SELECT {seq}, body, hash FROM audit WHERE seq = 1")

    assert run("verify", "--ledger", f"sqlite:///{path}").exit_code == 1


def test_a_cut_tail_is_found_with_the_head_seen_earlier(path: Path) -> None:
    head = head_of(path)
    tamper(path, "DELETE FROM audit WHERE seq = 3")

    assert run("verify", "--ledger", f"sqlite:///{path}").exit_code == 0
    result = run("verify", "--ledger", f"sqlite:///{path}", "--expect-head", head)
    assert result.exit_code == 1
    assert "audit entry 3 truncated" in result.stdout


def test_the_head_seen_earlier_still_fits_after_the_chain_grew(path: Path) -> None:
    head = head_of(path)
    with SqlLedger(f"sqlite:///{path}") as ledger, ledger.transaction(actor="a", at=NOW) as unit:
        unit.audit("e", "s", {})

    assert run("verify", "--ledger", f"sqlite:///{path}", "--expect-head", head).exit_code == 0


def test_a_misspelt_head_answers_two(path: Path) -> None:
    result = run("verify", "--ledger", f"sqlite:///{path}", "--expect-head", "3")

    assert result.exit_code == 2
    assert "SEQ:HASH" in result.stderr


def test_no_ledger_answers_two_and_creates_none(tmp_path: Path) -> None:
    result = run("verify", env={"ANNOTATION_OPS_HOME": str(tmp_path / "nowhere"), "ANNOTATION_OPS_LEDGER": None})

    assert result.exit_code == 2
    assert "nowhere" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_environment_names_the_ledger(path: Path) -> None:
    by_url = {"ANNOTATION_OPS_LEDGER": f"sqlite:///{path}", "ANNOTATION_OPS_HOME": "/nonexistent"}
    by_home = {"ANNOTATION_OPS_LEDGER": None, "ANNOTATION_OPS_HOME": str(path.parent)}

    assert run("verify", env=by_url).exit_code == 0
    assert run("verify", env=by_home).exit_code == 0


def test_an_export_can_be_verified_without_the_ledger(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit.jsonl"

    result = run("export", "--ledger", f"sqlite:///{path}", "--out", str(out))

    assert result.exit_code == 0
    entries = [AuditEntry(**json.loads(line)) for line in out.read_text().splitlines()]
    assert [entry.seq for entry in entries] == [1, 2, 3]
    assert all(hashlib.sha256(entry.body.encode()).hexdigest() == entry.hash for entry in entries)
    assert verify(entries) is None


def test_an_export_to_a_folder_that_is_not_there_answers_two(path: Path, tmp_path: Path) -> None:
    result = run("export", "--ledger", f"sqlite:///{path}", "--out", str(tmp_path / "no" / "audit.jsonl"))

    assert result.exit_code == 2
    assert "expected a file that can be written" in result.stderr


def test_a_failed_export_leaves_the_earlier_one(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit.jsonl"
    run("export", "--ledger", f"sqlite:///{path}", "--out", str(out))
    before = out.read_text()

    result = run("export", "--ledger", f"sqlite:///{tmp_path / 'none.sqlite'}", "--out", str(out))

    assert result.exit_code == 2
    assert out.read_text() == before
