"""The one resource: all real parts, built from settings by bootstrap."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from annotation_ops.bootstrap import Parts, build
from annotation_ops.settings import Settings


class AnnotationOps(dg.ConfigurableResource[Parts]):
    """Ledger, lake, platform, model tracker and clock of this deployment, from environment variables.

    Pass a `Parts` of your own under the same key to mount the assets on other stores, or on fakes in a test.
    """

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Parts]:
        del context
        parts = build(Settings.from_environment(os.environ))
        try:
            yield parts
        finally:
            parts.close()
