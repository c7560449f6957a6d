from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from annotation_ops.adapters.storage.ledger.database import parse_url
from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger
from annotation_ops.adapters.storage.ledger.tables import METADATA
from annotation_ops_tests.postgres import new_database, postgres_server


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def initialised_url(server_url: str) -> str:
    url = new_database(server_url)
    with SqlLedger(url) as ledger:
        ledger.initialise()
    return url


@pytest.fixture
def postgres_url(initialised_url: str) -> str:
    """A database with the ledger's tables, all empty; the same one each time, as creating one takes 0.3 s."""
    engine = sa.create_engine(parse_url(initialised_url), poolclass=sa.NullPool)
    with engine.begin() as connection:
        for table in reversed(METADATA.sorted_tables):
            connection.execute(sa.delete(table))
    return initialised_url
