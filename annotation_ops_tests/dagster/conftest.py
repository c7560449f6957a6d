"""A deployment of the digits project for each test. Migrating the ledger and MLflow takes seconds: once a session."""

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from annotation_ops.bootstrap import Parts
from annotation_ops_tests.dagster.deployment import FIRST_DAY, Deployment, Loop, deployment
from annotation_ops_tests.fakes.clock import ManualClock

STORES = ("ledger.sqlite", "mlflow.sqlite")


@pytest.fixture(scope="session")
def empty_stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("stores") / "home"
    with deployment(home, start=date(2026, 1, 5)).parts() as parts:
        assert parts.tracking.latest_model("none") is None
    return home


@pytest.fixture
def here(tmp_path: Path, empty_stores: Path) -> Deployment:
    """The digits project from its first day on, with nothing in it."""
    made = deployment(tmp_path / "home", start=FIRST_DAY)
    for name in STORES:
        shutil.copy(empty_stores / name, made.home / name)
    return made


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def parts(here: Deployment, clock: ManualClock) -> Iterator[Parts]:
    with here.parts(clock) as opened:
        yield opened


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def loop(here: Deployment, parts: Parts, instance: dg.DagsterInstance, clock: ManualClock) -> Loop:
    return Loop(here, parts, instance, clock)
