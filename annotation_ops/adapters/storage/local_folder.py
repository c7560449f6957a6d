"""Raw objects in a folder."""

import errno
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from annotation_ops.adapters.storage.sidecars import described, is_sidecar, joined, order, sidecar_of
from annotation_ops.domain.errors import InvalidInput, NotFound, PermanentError, TransientError, UnsafeInput
from annotation_ops.domain.ingestion import SIDECAR_LIMIT, parse_metadata
from annotation_ops.ports.object_store import ObjectInfo, ObjectStore

TEMPORARY = ".annotation_ops-"
"""Prefix of files under construction; a listing skips them."""
UNUSABLE = frozenset({errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO})
"""A loop of links, a name that no file can have, a socket."""


class LocalFolder(ObjectStore):
    """A folder as an object store: nothing outside it is read or written, whatever a key or a symbolic link says.

    User metadata live in a sidecar, `<key>.json`, which is not an object itself.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def uri(self, key: str) -> str:
        return (self._root / self._checked(key)).as_uri()

    def key_of(self, uri: str) -> str:
        address = urlsplit(uri)
        path = Path(unquote(address.path))
        if address.scheme != "file" or not path.is_relative_to(self._root):
            raise InvalidInput(f"{uri}: found an address elsewhere, expected one below {self._root.as_uri()}")
        return self._checked(path.relative_to(self._root).as_posix())

    def list(self, prefix: str = "", *, start_after: str | None = None) -> Iterator[ObjectInfo]:
        folder = prefix.rpartition("/")[0]
        if folder:
            self._checked(folder)
        found = self._walk(f"{folder}/" if folder else "", prefix, start_after)
        return joined(found, prefix=prefix, start_after=start_after, exists=self._exists)

    def head(self, key: str) -> tuple[ObjectInfo, Mapping[str, str]]:
        with self._open(key) as file:
            info = _info(key, os.fstat(file))
        if is_sidecar(sidecar_of(key), exists=self._exists) and self._exists(sidecar_of(key)):
            with self._open(sidecar_of(key)) as file:
                sidecar = _info(sidecar_of(key), os.fstat(file))
                body = _read(file, SIDECAR_LIMIT + 1)
            return described(info, sidecar), parse_metadata(body)
        return info, {}

    def read(self, key: str, *, max_bytes: int) -> bytes:
        with self._open(key) as file:
            body = _read(file, max_bytes + 1)
        if len(body) > max_bytes:
            raise UnsafeInput(f"{key}: found more bytes than allowed, expected at most {max_bytes}")
        return body

    def put(self, key: str, body: bytes, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        path = self._inside(key)
        sidecar = self._inside(sidecar_of(key))
        with _faults(key):
            path.parent.mkdir(parents=True, exist_ok=True)
            if metadata:
                _replace(sidecar, json.dumps(dict(metadata), sort_keys=True, ensure_ascii=False).encode())
            elif metadata is not None:
                sidecar.unlink(missing_ok=True)
            _replace(path, body)
        return self.head(key)[0]

    def _walk(self, folder: str, prefix: str, start_after: str | None) -> Iterator[ObjectInfo]:
        """Entries below `folder` ("" or `.../`) in bytewise key order: a folder sorts as its name with a slash."""
        try:
            with os.scandir(self._root / folder) as entries:
                names = sorted(
                    (f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name for entry in entries),
                    key=order,
                )
        except (FileNotFoundError, NotADirectoryError):
            return
        after = order(start_after) if start_after is not None else b""
        for name in names:
            key = folder + name
            if name.endswith("/"):
                wanted = key.startswith(prefix) or prefix.startswith(key)
                if wanted and (order(key) > after or after.startswith(order(key))):
                    yield from self._walk(key, prefix, start_after)
            elif key.startswith(prefix) and order(key) > after and not name.startswith(TEMPORARY):
                yield from self._entry(key)

    def _entry(self, key: str) -> Iterator[ObjectInfo]:
        try:
            yield _info(key, (self._root / key).lstat())
        except FileNotFoundError:
            return

    def _exists(self, key: str) -> bool:
        return os.path.lexists(self._root / key)

    def _checked(self, key: str) -> str:
        if not key or "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
            raise UnsafeInput(f"found key {key[:80]!r}, expected plain segments separated by '/'")
        return key

    def _inside(self, key: str) -> Path:
        """The path of a key with its folder's links followed. Raises UnsafeInput when that leaves the root."""
        path = self._root / self._checked(key)
        with _faults(key):
            parent = Path(os.path.realpath(path.parent))
        if not parent.is_relative_to(self._root):
            raise UnsafeInput(f"{key}: its folder is a link out of {self._root}; expected objects inside it")
        return parent / path.name

    @contextmanager
    def _open(self, key: str) -> Iterator[int]:
        """A descriptor of a regular file inside the root; never blocks on a pipe."""
        with _faults(key):
            path = Path(os.path.realpath(self._inside(key)))
            if not path.is_relative_to(self._root):
                raise UnsafeInput(f"{key}: a link out of {self._root}; expected objects inside it")
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise UnsafeInput(f"{key}: found a folder, pipe or device, expected a file")
                yield file
            finally:
                os.close(file)


@contextmanager
def _faults(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"{key}: no such object in the folder") from error
    except (NotADirectoryError, IsADirectoryError) as error:
        raise NotFound(f"{key}: found a folder where an object was expected, or the reverse") from error
    except PermissionError as error:
        raise PermanentError(
            f"{key}: {error.strerror}; make the folder readable (and writable) for this user"
        ) from error
    except OSError as error:
        kind = UnsafeInput if error.errno in UNUSABLE else TransientError
        raise kind(f"{key}: {error.strerror}") from error


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(
        key=key,
        size=status.st_size,
        etag=f"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}",
        modified_at=datetime.fromtimestamp(status.st_mtime, tz=UTC),
    )


def _read(file: int, limit: int) -> bytes:
    chunks: list[bytes] = []
    while limit and (chunk := os.read(file, min(limit, 1 << 20))):
        chunks.append(chunk)
        limit -= len(chunk)
    return b"".join(chunks)


def _replace(path: Path, body: bytes) -> None:
    """Writes the whole file or nothing: a temporary file beside it, flushed to disk, then renamed."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=TEMPORARY, delete=False) as file:
        try:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
