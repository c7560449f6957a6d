"""Where raw data and scores come from."""

from dataclasses import dataclass
from datetime import date
from typing import Literal


@dataclass(frozen=True, slots=True)
class RawSource:
    uri: str
    """`s3://bucket/prefix`, `file:///...` or a path relative to the data root (ANNOTATION_OPS_DATA)."""
    start: date
    """First daily partition."""
    day_prefix: str
    """strftime pattern under the prefix that holds one day's objects, e.g. `%Y-%m-%d/`; "" = by modification time."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """Scores by a registered model, or a prediction log as it is (one of the two)."""

    model: str | None
    """Registered model name."""
    features: Literal["pixels", "text"] | None
    width: int
    height: int
    """Images are scored as width x height grey pixels, row-major, 0..1."""
    log_uri: str | None
    """Folder or bucket prefix with `<day>.parquet` prediction logs, shape of docs/interface.md."""


@dataclass(frozen=True, slots=True)
class Sources:
    version: str
    raw: RawSource
    scoring: Scoring
