import pytest

from annotation_ops_tests.contracts.annotation_platform import AnnotationPlatformContract


@pytest.mark.slow
class TestLabelStudio(AnnotationPlatformContract):
    """On the real server."""
