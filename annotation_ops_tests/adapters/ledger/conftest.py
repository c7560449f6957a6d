from collections.abc import Iterator
from pathlib import Path

import pytest

from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger
from annotation_ops_tests.postgres import new_database, postgres_server


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def initialised_template(server_url: str) -> str:
    url = new_database(server_url)
    with SqlLedger(url) as ledger:
        ledger.initialise()
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def postgres_url(server_url: str, initialised_template: str) -> str:
    """A database of its own, with the ledger's tables."""
    return new_database(server_url, template=initialised_template)
