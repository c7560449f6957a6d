"""The service over a deployment of its own."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from annotation_ops.bootstrap import Parts, build
from annotation_ops.settings import Settings
from annotation_ops.web.service import create_service
from annotation_ops_tests.fakes.clock import ManualClock
from annotation_ops_tests.services.workshop import digits
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
def client(parts: Parts) -> Iterator[httpx.Client]:
    with serving(create_service(parts, {"digits": digits()}, secrets=SECRETS)) as one:
        yield one
