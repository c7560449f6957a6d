"""The workflow: how a batch goes through people."""

from dataclasses import dataclass
from typing import Literal, cast, get_args

from annotation_ops.domain.project.reading import Parsed, Reader, parse_document

Strategy = Literal["margin_kmeans", "margin", "entropy", "least_confidence", "random"]
Platform = Literal["simulated"]


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
    platform: Platform


def parse_workflow(text: str, *, file: str = "workflow.yaml") -> Parsed[Workflow]:
    """`workflow.yaml` as a record, or every fault in it."""
    return parse_document(text, _read, file=file)


def _read(reader: Reader) -> Workflow:
    return Workflow(
        version=reader.version(),
        batch_size=reader.integer("batch_size", low=1, high=100_000),
        overlap=reader.integer("overlap", low=1, high=100),
        max_attempts=reader.integer("max_attempts", low=1, high=100, default=3),
        strategy=cast("Strategy", reader.choice("strategy", get_args(Strategy), default="margin_kmeans")),
        random_share=reader.number("random_share", low=0, high=1, default=0.1),
        slice_quota=reader.optional_identifier("slice_quota"),
        max_open_batches=reader.integer("max_open_batches", low=1, high=10_000, default=2),
        platform=cast("Platform", reader.choice("platform", get_args(Platform), default="simulated")),
    )
