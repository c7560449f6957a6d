"""Dagster's own storage, set up once before its processes start.

Dagster creates its tables in whichever process comes first, without a lock: webserver, daemon and code server started
together on an empty home can leave `alembic_version` with two heads, after which every start fails.
"""

import sys
from contextlib import redirect_stdout
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from annotation_ops.domain.errors import TransientError

LOCK_SECONDS = 300
"""Creating the storage takes a few seconds; this leaves room for the migration of a long history."""


def initialise_instance(home: Path) -> None:
    """Creates the folder when missing, and the instance's storage, or migrates it to the installed Dagster.

    Reads `dagster.yaml` in `home` when there is one. Any number of processes may call it at once; they take turns.
    Raises TransientError when another process holds the lock for over 5 minutes.
    """
    home.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(home / ".initialise.lock", timeout=LOCK_SECONDS):
            _open_and_migrate(home)
    except Timeout as error:
        raise TransientError(
            f"{home}: found another process setting up Dagster's storage for over {LOCK_SECONDS} s, expected a turn. "
            "Wait for that process or stop it, then try again."
        ) from error


def _open_and_migrate(home: Path) -> None:
    done_by = home / ".initialised-by"
    with dg.DagsterInstance.from_config(str(home)) as instance:
        # Migrating opens the database of every past run: only after another version of Dagster was installed.
        if not done_by.exists() or done_by.read_text() != dg.__version__:
            with redirect_stdout(sys.stderr):
                instance.upgrade()
            done_by.write_text(dg.__version__)
