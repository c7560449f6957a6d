"""The data contract: what an item and a label of this annotation project must look like (an ODCS 3.1 document)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

TaskType = Literal["classification", "ordinal", "boxes", "polygons", "masks", "spans", "text"]
Media = Literal["image", "text", "audio", "video"]


@dataclass(frozen=True, slots=True)
class MetadataField:
    """A metadata field of a raw item; values are compared as strings."""

    name: str
    required: bool
    pattern: str | None
    """Regular expression the whole value must match."""
    allowed: tuple[str, ...]
    """Closed set of values; empty = open."""
    slice: bool
    """Whether the field is a slice: monitored, quota'd, reported."""


@dataclass(frozen=True, slots=True)
class Contract:
    version: str
    project: str
    task_type: TaskType
    media: Media
    media_types: tuple[str, ...]
    """Accepted MIME types, found by content, not by file name."""
    max_bytes: int
    max_pixels: int
    max_characters: int
    metadata: tuple[MetadataField, ...]
    region_field: str | None
    """Metadata field that holds the item's region; None when the project has no residency rule."""
    allowed_regions: tuple[str, ...]
    subject_field: str | None
    sla: timedelta
    """From dispatch to the due time of a batch."""
    owner: str
    """`team:x` or an e-mail; becomes the Dagster owner."""

    @property
    def slice_fields(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.metadata if field.slice)
