"""`annotation-ops audit`: checks the chain of what happened and hands out its evidence."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger
from annotation_ops.domain.audit import parse_checkpoint, verify
from annotation_ops.domain.errors import AnnotationOpsError
from annotation_ops.services.audit_trail import HeadWatch, entries_of

BAD_INPUT = 2


def default_ledger_url() -> str:
    """ANNOTATION_OPS_LEDGER, else `ledger.sqlite` in ANNOTATION_OPS_HOME (default `.annotation_ops`)."""
    home = Path(os.environ.get("ANNOTATION_OPS_HOME", ".annotation_ops"))
    return os.environ.get("ANNOTATION_OPS_LEDGER", f"sqlite:///{home.absolute() / 'ledger.sqlite'}")


def _ledger_option(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--ledger",
        "url",
        metavar="URL",
        help="The ledger's address; default ANNOTATION_OPS_LEDGER, else SQLite in the home.",
    )(command)


@click.group()
def audit() -> None:
    """Check the audit chain, or export it as evidence.

    Example: annotation-ops audit verify
    """


@audit.command("verify")
@_ledger_option
@click.option("--expect-head", metavar="SEQ:HASH", help="A head seen earlier: shows a cut tail or a rewritten chain.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def verify_command(url: str | None, expect_head: str | None, as_json: bool) -> None:
    """Re-hash every entry and name the first that is not whole.

    Exit code 0: whole; 1: broken; 2: wrong use or no ledger.

    \b
    Example:
      annotation-ops audit verify --expect-head 12:9f86d081884c7d65...
    """
    with _answering_errors():
        expected = parse_checkpoint(expect_head) if expect_head else None
        with SqlLedger(url or default_ledger_url()) as ledger:
            head = HeadWatch(entries_of(ledger))
            fault = verify(head, expect_head=expected)
    if as_json:
        found = {"seq": fault.seq, "kind": fault.kind.value, "text": fault.text} if fault else None
        click.echo(json.dumps({"whole": fault is None, "entries": head.count, "head": str(head.at), "fault": found}))
    else:
        click.echo(f"broken: {fault}" if fault else f"whole: {head.count} entries, head {head.at}")
    sys.exit(0 if fault is None else 1)


@audit.command("export")
@_ledger_option
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
def export_command(url: str | None, out: Path) -> None:
    """Write the chain as JSON lines: seq, the exact text that was hashed, and its hash.

    \b
    Example:
      annotation-ops audit export --out audit.jsonl
    """
    with _answering_errors(), SqlLedger(url or default_ledger_url()) as ledger:
        head = HeadWatch(entries_of(ledger))
        write_lines(out, head)
    click.echo(f"{out}: {head.count} entries, head {head.at}")


def write_lines(out: Path, entries: HeadWatch) -> None:
    """Writes to a file beside `out` first, so that an export is either whole or not there."""
    part = out.with_name(out.name + ".part")
    with part.open("w", encoding="utf-8", newline="\n") as lines:
        for entry in entries:
            lines.write(json.dumps({"seq": entry.seq, "body": entry.body, "hash": entry.hash}) + "\n")
    part.replace(out)


@contextmanager
def _answering_errors() -> Iterator[None]:
    try:
        yield
    except AnnotationOpsError as error:
        click.echo(str(error), err=True)
        sys.exit(BAD_INPUT)
    except OSError as error:
        click.echo(
            f"{error.filename}: found {error.strerror}, expected a file that can be written. Name another.", err=True
        )
        sys.exit(BAD_INPUT)
