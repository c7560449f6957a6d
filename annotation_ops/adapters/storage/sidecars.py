"""Metadata sidecars: `<key>.json` beside an object describes it and is not an object itself."""

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


def is_sidecar(key: str, *, exists: Callable[[str], bool]) -> bool:
    """Whether the key describes an existing object (and not another sidecar)."""
    base = key.removesuffix(SUFFIX)
    return base not in ("", key) and exists(base) and not is_sidecar(base, exists=exists)


def joined(
    listing: Iterable[ObjectInfo], *, prefix: str, start_after: str | None, exists: Callable[[str], bool]
) -> Iterator[ObjectInfo]:
    """Objects of a listing in key order, each joined with its sidecar.

    Only keys that start with K sort between K and `K.json`, so an object waits no longer than its own prefix lasts.
    `exists` is asked only about objects that the listing's start cut off.
    """
    waiting: dict[str, ObjectInfo] = {}
    for info in listing:
        while waiting and order(awaited := next(iter(waiting))) < order(info.key):
            yield waiting.pop(awaited)
        if info.key in waiting:
            waiting[info.key] = described(waiting[info.key], info)
        elif not (_is_cut_off(info.key, prefix, start_after) and is_sidecar(info.key, exists=exists)):
            waiting[sidecar_of(info.key)] = info
    yield from waiting.values()


def _is_cut_off(key: str, prefix: str, start_after: str | None) -> bool:
    """Whether the object this key may describe lies before the listing's start."""
    base = key.removesuffix(SUFFIX)
    unlisted = not base.startswith(prefix) or (start_after is not None and order(base) <= order(start_after))
    return base != key and unlisted
