"""Raw objects: a folder or an S3-compatible bucket."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    key: str
    """Path relative to the store's root, `/`-separated."""
    size: int
    etag: str
    """Changes whenever the bytes change; opaque."""
    modified_at: datetime
    """UTC."""


class ObjectStore(ABC):
    """Reads are repeatable; `put` replaces whole objects, never half of one."""

    @abstractmethod
    def uri(self, key: str) -> str:
        """The full address of a key: `file:///...` or `s3://bucket/...`."""

    @abstractmethod
    def key_of(self, uri: str) -> str:
        """The key behind an address that `uri` gave. Raises InvalidInput for one outside of this store."""

    @abstractmethod
    def list(self, prefix: str = "", *, start_after: str | None = None) -> Iterator[ObjectInfo]:
        """Objects under the prefix in key order (bytewise), lazily, without re-listing what lies before `start_after`."""

    @abstractmethod
    def head(self, key: str) -> tuple[ObjectInfo, Mapping[str, str]]:
        """Info and user metadata of one object. Raises NotFound."""

    @abstractmethod
    def read(self, key: str, *, max_bytes: int) -> bytes:
        """The object's bytes. Raises NotFound; UnsafeInput when it is larger than `max_bytes`."""

    @abstractmethod
    def put(self, key: str, body: bytes, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Writes or replaces one object atomically."""
