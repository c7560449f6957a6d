"""Media decoding in a child process that may die without taking anything along."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import unicodedata
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotation_ops.adapters import media_worker
from annotation_ops.domain.errors import InvalidInput, TransientError, UnsafeInput
from annotation_ops.domain.project.contract import Media
from annotation_ops.ports.media import MediaDecoder, MediaInfo

IMAGE_TYPES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
}
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PAR1", "application/vnd.apache.parquet"),
)
OPAQUE = "application/octet-stream"


def media_type(body: bytes) -> str | None:
    """MIME type by signature; None when there is none (text has none)."""
    if body[:2] == b"BM" and body[6:10] == b"\0\0\0\0":
        return "image/bmp"
    return next((kind for at, mark, kind in _SIGNATURES if body[at : at + len(mark)] == mark), None)


def _characters(body: bytes) -> int:
    """Code points of a UTF-8 text. Raises InvalidInput when it is none."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"found byte {body[error.start]:#04x} at {error.start}, expected UTF-8 text") from None
    if "\0" in text or any(unicodedata.category(c) == "Cc" and c not in "\t\n\r\f" for c in text[:4096]):
        raise InvalidInput("found control characters, expected text")
    return len(text)


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    channel: socket.socket
    owner: int
    """Process id of the parent: a forked copy of the decoder must not share the socket."""


def _end(child: _Child) -> None:
    child.channel.close()
    if child.owner == os.getpid():
        child.process.kill()
        child.process.wait()


class ChildDecoder(MediaDecoder):
    """Images are decoded by one persistent child under an address-space limit and a deadline; text is decoded here.

    The child is started at the first image and again after it died. It is a plain subprocess, not a
    `multiprocessing` one, so it also works inside daemonic workers. An item that kills two children in a row is unsafe.
    """

    def __init__(self, *, max_pixels: int = 100_000_000, memory: int = 1 << 30, timeout: float = 10.0) -> None:
        """`max_pixels` is read from the header before decoding; `memory` in bytes; `timeout` in seconds an item."""
        self._limits = (str(memory), str(max_pixels))
        self._timeout = timeout
        self._child: _Child | None = None
        self._finalizer: weakref.finalize[[_Child], ChildDecoder] | None = None
        self._lock = threading.Lock()

    def probe(self, body: bytes, *, media: Media) -> MediaInfo:
        if not body:
            raise InvalidInput("found 0 bytes, expected content")
        found = media_type(body)
        if found is None and media == "text":
            return MediaInfo("text/plain", characters=_characters(body))
        if found is None or media != "image" or not found.startswith("image/"):
            return MediaInfo(found or OPAQUE)
        facts = json.loads(self._ask(b"p", body))
        return MediaInfo(IMAGE_TYPES[facts["format"]], width=facts["width"], height=facts["height"])

    def grey_pixels(self, body: bytes, *, width: int, height: int) -> NDArray[np.float64]:
        pixels = np.frombuffer(self._ask(b"g", body, width, height), dtype=np.uint8)
        return pixels / 255.0

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _ask(self, operation: bytes, body: bytes, width: int = 0, height: int = 0) -> bytes:
        request = media_worker.REQUEST.pack(operation, width, height, len(body))
        with self._lock:
            for last in (False, True):
                try:
                    status, payload = self._exchange(self._ready(), request, body)
                    break
                except TimeoutError:
                    self._drop()
                    raise UnsafeInput(f"decoding took longer than {self._timeout:g} s; it was stopped") from None
                except (OSError, EOFError):
                    self._drop()
                    if last:
                        raise UnsafeInput("decoding ended the decoder process twice (memory limit or crash)") from None
        if status == b"k":
            return payload
        raise (UnsafeInput if status == b"u" else InvalidInput)(f"the image does not decode: {payload.decode()}")

    def _exchange(self, child: _Child, request: bytes, body: bytes) -> tuple[bytes, bytes]:
        deadline = time.monotonic() + self._timeout
        child.channel.settimeout(self._timeout)
        child.channel.sendall(request)
        child.channel.sendall(body)
        status, length = media_worker.ANSWER.unpack(self._receive(child, media_worker.ANSWER.size, deadline))
        return status, self._receive(child, length, deadline)

    def _receive(self, child: _Child, length: int, deadline: float) -> bytes:
        received = bytearray()
        while len(received) < length:
            child.channel.settimeout(max(deadline - time.monotonic(), 0.001))
            chunk = child.channel.recv(min(length - len(received), 1 << 20))
            if not chunk:
                raise EOFError
            received += chunk
        return bytes(received)

    def _ready(self) -> _Child:
        if self._child is None or self._child.owner != os.getpid():
            self._drop()
            self._child = self._start()
            self._finalizer = weakref.finalize(self, _end, self._child)
        return self._child

    def _start(self) -> _Child:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-I", str(Path(media_worker.__file__)), *self._limits]
        try:
            with theirs:
                process = subprocess.Popen(
                    command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
        except OSError as error:
            ours.close()
            raise TransientError(f"the image decoder process did not start: {error}") from error
        return _Child(process, ours, os.getpid())

    def _drop(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
        self._child = self._finalizer = None
