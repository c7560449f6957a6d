from collections.abc import Iterator
from pathlib import Path

import pytest

from annotation_ops_tests.services.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """Six samples, twelve people who are always right, nothing planned yet."""
    built = Workshop.build(tmp_path / "home")
    yield built
    built.ledger.close()


@pytest.fixture
def dozen(tmp_path: Path) -> Iterator[Workshop]:
    """Twelve samples: one of them may be disputed and the batch still passes."""
    built = Workshop.build(tmp_path / "home", samples=12)
    yield built
    built.ledger.close()
