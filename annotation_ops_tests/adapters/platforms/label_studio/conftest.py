from collections.abc import Iterator
from itertools import count

import pytest

from annotation_ops.adapters.platforms.label_studio.local_server import LocalServer, RunningServer
from annotation_ops_tests.adapters.platforms.label_studio.bench import LabelStudioBench, server_in

NUMBERS = count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalServer, RunningServer]]:
    with server_in(tmp_path_factory.mktemp("label_studio")) as running:
        yield running


@pytest.fixture
def bench(server: tuple[LocalServer, RunningServer]) -> Iterator[LabelStudioBench]:
    """An annotation project of its own on the session's server."""
    one = LabelStudioBench(*server, name=f"digits-{next(NUMBERS)}")
    yield one
    one.close()
