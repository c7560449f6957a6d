from pathlib import Path

import pytest

from annotation_ops_tests.adapters.platforms.simulated.bench import SimulatedBench
from annotation_ops_tests.contracts.annotation_platform import AnnotationPlatformContract, PlatformBench


class TestSimulatedPlatform(AnnotationPlatformContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> PlatformBench:
        return SimulatedBench(tmp_path / "platform.db")
