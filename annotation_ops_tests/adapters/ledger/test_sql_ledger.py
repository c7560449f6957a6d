"""What is particular to the SQL ledger: its errors, its schema's versions, its cost in statements."""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from annotation_ops.adapters.storage.ledger.database import parse_url
from annotation_ops.adapters.storage.ledger.migrate import MIGRATIONS
from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger
from annotation_ops.adapters.storage.ledger.tables import METADATA
from annotation_ops.domain.audit import verify
from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.errors import AnnotationOpsError, Conflict, InvalidInput, PermanentError, TransientError
from annotation_ops_tests.contracts.ledger_records import (
    BATCH,
    NOW,
    SECOND,
    VERDICT,
    annotation,
    assignment,
    everything,
    fill,
    plan,
    task,
)
from annotation_ops_tests.postgres import new_database, run_outside_transaction


@pytest.fixture
def ledger(sqlite_url: str) -> Iterator[SqlLedger]:
    with SqlLedger(sqlite_url) as ledger:
        ledger.initialise()
        yield ledger


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("ledger.sqlite", "no URL"),
        ("mysql://host/db", "mysql"),
        ("sqlite://", "no file"),
        ("sqlite:///:memory:", "no file"),
    ],
)
def test_an_address_that_cannot_be_a_ledger_is_refused_with_examples(url: str, found: str) -> None:
    with pytest.raises(InvalidInput, match=found) as caught:
        SqlLedger(url)

    assert "sqlite:///folder/ledger.sqlite" in str(caught.value)


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+pg8000", "postgresql+psycopg2"])
def test_postgres_is_spoken_through_pg8000(driver: str) -> None:
    assert parse_url(f"{driver}://me:secret@host/db").drivername == "postgresql+pg8000"


def test_a_ledger_that_is_not_there_is_a_conflict_and_is_not_created(tmp_path: Path) -> None:
    with SqlLedger(f"sqlite:///{tmp_path / 'mistyped.sqlite'}") as ledger:
        with pytest.raises(Conflict, match=r"mistyped\.sqlite.*initialise"):
            ledger.batches("digits")
        with pytest.raises(Conflict, match="initialise"), ledger.transaction(actor="a", at=NOW):
            pass

    assert list(tmp_path.iterdir()) == []


def test_a_database_without_the_tables_is_a_conflict(tmp_path: Path) -> None:
    path = tmp_path / "empty.sqlite"
    path.touch()

    with SqlLedger(f"sqlite:///{path}") as ledger, pytest.raises(Conflict, match="no such table"):
        ledger.cursor("c")


def test_a_file_that_is_no_database_is_a_permanent_error(tmp_path: Path) -> None:
    path = tmp_path / "letter.sqlite"
    path.write_text("Dear reader, " * 1000)

    with SqlLedger(f"sqlite:///{path}") as ledger:
        with pytest.raises(PermanentError, match="not a database"):
            ledger.cursor("c")
        with pytest.raises(PermanentError, match="not a database"):
            ledger.initialise()


@pytest.mark.parametrize("name", ["with space.sqlite", "100%25.sqlite", "what?#.sqlite", "ü.sqlite"])
def test_any_file_name_can_be_a_ledger(tmp_path: Path, name: str) -> None:
    url = sa.URL.create("sqlite", database=str(tmp_path / name)).render_as_string()
    with SqlLedger(url) as ledger:
        ledger.initialise()
        fill(ledger)

    assert (tmp_path / name).stat().st_size > 0


@pytest.mark.usefixtures("ledger")
def test_the_file_is_its_owner_s_alone_and_the_write_ahead_log_is_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_writer_that_gets_no_turn_is_a_transient_error(ledger: SqlLedger, sqlite_url: str) -> None:
    with (
        SqlLedger(sqlite_url, lock_timeout_seconds=0) as other,
        ledger.transaction(actor="a", at=NOW),
        pytest.raises(TransientError, match="locked"),
        other.transaction(actor="b", at=NOW),
    ):
        pass


def test_readers_see_the_last_commit_while_one_writes(ledger: SqlLedger, sqlite_url: str) -> None:
    fill(ledger)
    with SqlLedger(sqlite_url, lock_timeout_seconds=0) as reader:
        before = everything(reader)
        with ledger.transaction(actor="a", at=NOW + SECOND) as unit:
            unit.set_cursor("collect:digits", "later")
            unit.audit("cursor.moved", "c", {})
            assert everything(reader) == before

        assert reader.cursor("collect:digits") == "later"


@pytest.mark.postgres
def test_a_writer_that_gets_no_turn_on_postgres_is_a_transient_error(postgres_url: str) -> None:
    with (
        SqlLedger(postgres_url) as one,
        SqlLedger(postgres_url, lock_timeout_seconds=1) as other,
        one.transaction(actor="a", at=NOW),
        pytest.raises(TransientError, match="locked"),
        other.transaction(actor="b", at=NOW),
    ):
        pass


@pytest.mark.postgres
def test_postgres_faults_are_classified(server_url: str, postgres_url: str) -> None:
    with SqlLedger(new_database(server_url)) as empty, pytest.raises(Conflict, match="initialise"):
        empty.cursor("c")
    missing = sa.engine.make_url(server_url).set(database="nowhere").render_as_string()
    with SqlLedger(missing) as nowhere, pytest.raises(PermanentError, match="nowhere"):
        nowhere.cursor("c")
    with SqlLedger(postgres_url) as kept:
        assert kept.cursor("c") is None
        run_outside_transaction(server_url, TERMINATE_OTHERS)
        assert kept.cursor("c") is None


TERMINATE_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'ledger%%'"


@pytest.mark.postgres
def test_a_connection_lost_in_the_middle_is_a_transient_error_and_leaves_nothing(
    server_url: str, postgres_url: str
) -> None:
    with SqlLedger(postgres_url) as ledger:
        with pytest.raises(TransientError):
            lose_connection_in_the_middle(ledger, server_url)

        assert ledger.cursor("c") is None
        fill(ledger)


def lose_connection_in_the_middle(ledger: SqlLedger, server_url: str) -> None:
    with ledger.transaction(actor="a", at=NOW) as unit:
        unit.set_cursor("c", "1")
        unit.audit("cursor.moved", "c", {})
        run_outside_transaction(server_url, TERMINATE_OTHERS)


def test_a_server_that_is_not_there_is_a_transient_error_without_the_password() -> None:
    url = "postgresql://me:s3cret@/db?unix_sock=/nonexistent/.s.PGSQL.5432"
    with SqlLedger(url) as ledger, pytest.raises(TransientError) as caught:
        ledger.cursor("c")

    assert "s3cret" not in str(caught.value)
    assert "me:***@" in str(caught.value)


def test_errors_of_the_caller_pass_through_as_they_are(ledger: SqlLedger) -> None:
    with pytest.raises(sqlite3.OperationalError, match="mine"), ledger.transaction(actor="a", at=NOW):
        raise sqlite3.OperationalError("mine")


def test_a_number_beyond_64_bits_is_refused(ledger: SqlLedger) -> None:
    plan(ledger)

    with pytest.raises(AnnotationOpsError, match="64 bits"), ledger.transaction(actor="a", at=NOW) as unit:
        unit.move_attempt(BATCH.batch_id, 2**70, project="digits", expect=(), to=BatchState.PASSED, at=NOW)


def test_a_ledger_made_by_a_newer_version_is_refused(ledger: SqlLedger, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(Conflict, match="9999"):
        ledger.initialise()


def test_initialising_again_keeps_everything(ledger: SqlLedger) -> None:
    fill(ledger)
    before = everything(ledger)

    ledger.initialise()

    assert everything(ledger) == before


def test_a_ledger_of_the_first_version_is_migrated_with_all_that_is_in_it(sqlite_url: str) -> None:
    with SqlLedger(sqlite_url) as ledger:
        ledger.initialise()
        fill(ledger)
        later = replace(VERDICT, criteria="2.0.0+e", judged_at=NOW + SECOND)
        override = replace(
            VERDICT, outcome="PASS", judged_by="person:lead", reason="checked", judged_at=NOW + 2 * SECOND
        )
        with ledger.transaction(actor="a", at=NOW + 2 * SECOND) as unit:
            for verdict in (later, override):
                unit.add_verdict("digits", verdict)
            unit.audit("verdict.recorded", BATCH.batch_id, {})
        before = everything(ledger)
    make_version_1(sqlite_url)

    with SqlLedger(sqlite_url) as ledger:
        ledger.initialise()

        assert everything(ledger) == {**before, "verdicts": (VERDICT, replace(later, in_force=False), override)}
        assert verify(ledger.audit_entries()) is None
    assert differences(sqlite_url) == []


def make_version_1(url: str) -> None:
    """The same rows in the schema of the first version."""
    new = sa.create_engine(url, poolclass=sa.NullPool)
    old = sa.create_engine(f"{url}.old", poolclass=sa.NullPool)
    with old.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    with new.connect() as source, old.begin() as target:
        kept = sa.MetaData()
        kept.reflect(target)
        for table in kept.sorted_tables:
            if table.name != "alembic_version":
                columns = ", ".join(f'"{column.name}"' for column in table.columns)
                rows = source.execute(sa.text(f"SELECT {columns} FROM {table.name}")).mappings().all()
                if rows:
                    target.execute(table.insert(), [dict(row) for row in rows])
    new.dispose()
    old.dispose()
    file = Path(url.removeprefix("sqlite:///"))
    for path in file.parent.glob(f"{file.name}*"):
        if not path.name.endswith(".old"):
            path.unlink()
    file.with_name(f"{file.name}.old").rename(file)


@pytest.mark.usefixtures("ledger")
def test_the_migrations_make_the_declared_schema_on_sqlite(sqlite_url: str) -> None:
    assert differences(sqlite_url) == []


@pytest.mark.postgres
def test_the_migrations_make_the_declared_schema_on_postgres(postgres_url: str) -> None:
    assert differences(parse_url(postgres_url).render_as_string(hide_password=False)) == []


def differences(url: str) -> list[Any]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA)


def test_a_closed_ledger_may_be_used_again(ledger: SqlLedger) -> None:
    ledger.close()
    ledger.close()
    fill(ledger)

    assert verify(ledger.audit_entries()) is None


def test_ten_thousand_rows_take_a_bounded_number_of_statements(ledger: SqlLedger) -> None:
    plan(ledger, tasks=1)
    tasks = [task(position) for position in range(10_000)]

    with counting() as adding, ledger.transaction(actor="a", at=NOW) as unit:
        unit.add_tasks("digits", tasks)
        unit.add_assignments([assignment(each, "ann-1") for each in tasks])
        unit.add_annotations([annotation(each, "ann-1") for each in tasks])
        for each in tasks:
            unit.audit("annotation.collected", each.task_key, {})
    with counting() as reading:
        assert len(ledger.tasks("digits", BATCH.batch_id, 1)) == 10_000
        assert len(ledger.assignments("digits", BATCH.batch_id)) == 10_000
        assert len(ledger.annotations("digits", BATCH.batch_id, 1)) == 10_000

    # Ten of a thousand keys for what is there, three times, and twice for what it refers to.
    assert len(adding) < 75
    assert len(reading) == 3 * len(["BEGIN", "SELECT"])


@contextmanager
def counting() -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
