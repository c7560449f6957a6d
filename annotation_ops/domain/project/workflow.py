"""The workflow: how a batch goes through people."""

from dataclasses import dataclass
from typing import Literal

Strategy = Literal["margin_kmeans", "margin", "entropy", "least_confidence", "random"]


@dataclass(frozen=True, slots=True)
class Workflow:
    version: str
    batch_size: int
    overlap: int
    """Independent judgements a task."""
    max_attempts: int
    """After this many rejected attempts a person decides."""
    strategy: Strategy
    random_share: float
    """Share of every batch drawn at random, with stored inclusion probability."""
    slice_quota: str | None
    """Slice name whose values get equal shares of the batch; None for no quota."""
    max_open_batches: int
    """No new batch is planned from a ranking while this many attempts are unpublished."""
    platform: Literal["simulated"]
