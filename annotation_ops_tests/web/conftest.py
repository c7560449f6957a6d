"""The service over a deployment of its own."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from annotation_ops.bootstrap import Parts, build
from annotation_ops.domain.access import Role
from annotation_ops.services.access import create_token
from annotation_ops.settings import Settings
from annotation_ops.web.service import create_service
from annotation_ops_tests.fakes.clock import ManualClock
from annotation_ops_tests.services.workshop import SECOND, Workshop, digits
from annotation_ops_tests.web.loopback import serving

SECRETS = ("new-secret", "old-secret")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def parts(tmp_path: Path, clock: ManualClock) -> Iterator[Parts]:
    settings = Settings.from_environment({"ANNOTATION_OPS_HOME": str(tmp_path / "home")})
    opened = build(settings, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def tokens(parts: Parts, clock: ManualClock) -> dict[Role, str]:
    """A live token of every role."""
    made = {}
    for role in sorted(Role, key=lambda role: role is not Role.ADMIN):
        made[role] = create_token(
            f"the {role}", role, valid_for=timedelta(days=1), actor="setup", ledger=parts.ledger, now=clock.now()
        )
    return made


@pytest.fixture
def client(parts: Parts) -> Iterator[httpx.Client]:
    with serving(create_service(parts, {"digits": digits()}, secrets=SECRETS)) as one:
        yield one


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    one = Workshop.build(tmp_path / "shop", samples=6)
    one.reject()
    one.staff(accuracy=1.0)
    one.complete(SECOND)
    yield one
    one.ledger.close()


@pytest.fixture
def at_work(shop: Workshop, tmp_path: Path) -> Iterator[tuple[httpx.Client, Parts]]:
    """The service over a deployment with a rejected and a published attempt, and a client who is administrator."""
    home = shutil.copytree(shop.home, tmp_path / "home")
    opened = build(Settings.from_environment({"ANNOTATION_OPS_HOME": str(home)}), clock=shop.clock)
    token = create_token(
        "ada", Role.ADMIN, valid_for=timedelta(days=1), actor="setup", ledger=opened.ledger, now=shop.clock.now()
    )
    with serving(create_service(opened, {"digits": digits()}, secrets=SECRETS)) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        yield client, opened
    opened.close()
