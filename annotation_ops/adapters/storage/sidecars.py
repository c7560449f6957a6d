"""Metadata sidecars: `<key>.json` beside an object describes it and is not an object itself."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from annotation_ops.ports.object_store import ObjectInfo

SUFFIX = ".json"


def order(key: str) -> bytes:
    """The sort key of object keys: bytewise."""
    return key.encode("utf-8", "surrogateescape")


def sidecar_of(key: str) -> str:
    return f"{key}{SUFFIX}"


def described(info: ObjectInfo, sidecar: ObjectInfo | None) -> ObjectInfo:
    """The object with an etag that also changes when its sidecar does: late or mended metadata count as a change."""
    return info if sidecar is None else replace(info, etag=f"{info.etag}+{sidecar.etag}")


def without_sidecars(listing: Iterable[ObjectInfo], *, is_sidecar: Callable[[str], bool]) -> Iterator[ObjectInfo]:
    """Objects of a listing in key order, each joined with its sidecar.

    Only keys that start with K sort between K and `K.json`, so an object waits no longer than its own prefix lasts.
    `is_sidecar` is asked for `.json` keys whose object is not in the listing (cut off by its start).
    """
    waiting: deque[ObjectInfo] = deque()
    for info in listing:
        while waiting and not _may_precede(waiting[0].key, info.key):
            yield waiting.popleft()
        at = next((at for at, other in enumerate(waiting) if sidecar_of(other.key) == info.key), None)
        if at is not None:
            waiting[at] = described(waiting[at], info)
        elif not (info.key.endswith(SUFFIX) and is_sidecar(info.key)):
            waiting.append(info)
    yield from waiting


def _may_precede(key: str, current: str) -> bool:
    """Whether the sidecar of `key` can still come at or after `current`."""
    return order(current) <= order(sidecar_of(key))


