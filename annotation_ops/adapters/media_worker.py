"""The decoder's child: one image at a time from a socket on standard input, under hard limits.

It runs as a script in an isolated interpreter and imports nothing of this package, so that it starts in a few dozen
milliseconds and has nothing to lose. Frames: request `<op, width, height, length>` + body, answer `<status, length>` + payload.
"""

import io
import json
import os
import resource
import socket
import struct
import sys

from PIL import Image, ImageOps

REQUEST = struct.Struct("<cIIQ")
ANSWER = struct.Struct("<cQ")
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
"""Pillow's other readers are rarely needed and less travelled; one of them starts Ghostscript."""
CORRUPT = (OSError, SyntaxError, ValueError, EOFError, struct.error, LookupError, TypeError, ArithmeticError)
"""What Pillow's readers raise on broken files; anything else ends this process, which the parent reports."""


class TooBigError(Exception):
    """The header promises more pixels than the limit."""


def main() -> None:
    memory, max_pixels = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    Image.MAX_IMAGE_PIXELS = None
    with socket.socket(fileno=os.dup(0)) as channel:
        while header := receive(channel, REQUEST.size):
            operation, width, height, length = REQUEST.unpack(header)
            status, payload = answer(operation, receive(channel, length), width, height, max_pixels)
            channel.sendall(ANSWER.pack(status, len(payload)) + payload)


def receive(channel: socket.socket, length: int) -> bytes:
    """Exactly `length` bytes; fewer when the parent is gone."""
    chunks = []
    while length and (chunk := channel.recv(min(length, 1 << 20))):
        chunks.append(chunk)
        length -= len(chunk)
    return b"".join(chunks)


def answer(operation: bytes, body: bytes, width: int, height: int, max_pixels: int) -> tuple[bytes, bytes]:
    try:
        return b"k", probe(body, max_pixels) if operation == b"p" else grey(body, width, height, max_pixels)
    except MemoryError:
        return b"u", b"decoding needs more memory than the limit"
    except TooBigError as error:
        return b"u", str(error).encode()
    except CORRUPT as error:
        return b"c", (str(error) or type(error).__name__)[:200].encode("utf-8", "replace")


def opened(body: bytes, max_pixels: int) -> Image.Image:
    """The image, decoded whole once its header stays below the limit. Verifying checks PNG's sums and end, which
    decoding does not; it uses the image up."""
    image = Image.open(io.BytesIO(body), formats=FORMATS)
    if image.width * image.height > max_pixels:
        raise TooBigError(f"the header says {image.width} x {image.height} pixels, more than {max_pixels}")
    image.verify()
    image = Image.open(io.BytesIO(body), formats=FORMATS)
    image.load()
    return image


def probe(body: bytes, max_pixels: int) -> bytes:
    image = opened(body, max_pixels)
    return json.dumps({"format": image.format, "width": image.width, "height": image.height}).encode()


def grey(body: bytes, width: int, height: int, max_pixels: int) -> bytes:
    image = ImageOps.exif_transpose(opened(body, max_pixels))
    if image.mode.startswith("I"):
        # 16-bit greys: clipping at 255 would turn nearly everything white.
        image = image.convert("I").point(lambda value: value * (1 / 257))
    image = image.convert("L")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return image.tobytes()


if __name__ == "__main__":
    main()
