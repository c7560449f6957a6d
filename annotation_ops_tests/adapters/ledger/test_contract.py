"""The ledger's contract on SQLite, and on PostgreSQL where its embedded server is installed."""

from collections.abc import Iterator

import pytest

from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger
from annotation_ops_tests.contracts.ledger import LedgerContract
from annotation_ops_tests.contracts.ledger_records import everything, fill


class TestSqliteLedger(LedgerContract):
    @pytest.fixture
    def ledger(self, sqlite_url: str) -> Iterator[SqlLedger]:
        with SqlLedger(sqlite_url) as ledger:
            ledger.initialise()
            yield ledger


@pytest.mark.postgres
class TestPostgresLedger(LedgerContract):
    @pytest.fixture
    def ledger(self, postgres_url: str) -> Iterator[SqlLedger]:
        with SqlLedger(postgres_url) as ledger:
            yield ledger


@pytest.mark.postgres
def test_both_databases_give_identical_records_and_the_same_chain(sqlite_url: str, postgres_url: str) -> None:
    with SqlLedger(sqlite_url) as on_sqlite, SqlLedger(postgres_url) as on_postgres:
        on_sqlite.initialise()
        fill(on_sqlite)
        fill(on_postgres)

        assert everything(on_sqlite) == everything(on_postgres)
        assert repr(everything(on_sqlite)) == repr(everything(on_postgres))
