import io
import os
import resource
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from annotation_ops.adapters.media_decoder import ChildDecoder
from annotation_ops.domain.errors import InvalidInput, UnsafeInput
from annotation_ops.ports.media import MediaInfo


@pytest.fixture(scope="module")
def decoder() -> Iterator[ChildDecoder]:
    decoder = ChildDecoder(timeout=30)
    yield decoder
    decoder.close()


def encoded(image: Image.Image, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@cache
def bomb(side: int, *, colour: int = 0) -> bytes:
    """A valid PNG of side x side pixels and a few kB: every row is zero. `colour` 0 is grey, 2 is RGB."""
    header = struct.pack(">IIBBBBB", side, side, 8, colour, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + side * (3 if colour == 2 else 1))
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


SMALL = encoded(Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_an_image_is_known_by_its_content(decoder: ChildDecoder, form: str) -> None:
    body = encoded(Image.new("L", (5, 3)), form)

    assert decoder.probe(body, media="image") == MediaInfo(f"image/{form.lower()}", width=5, height=3)


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"fLaC\x00", "audio/flac"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\x00\x00\x00\x18ftypisom", "video/mp4"),
        (b"\x00\x00\x00\x18ftypM4A ", "audio/mp4"),
        (b"%PDF-1.7", "application/pdf"),
        (b"PK\x03\x04", "application/zip"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "application/octet-stream"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "application/octet-stream"),
    ],
)
def test_other_media_are_recognised_and_stay_opaque(decoder: ChildDecoder, body: bytes, media_type: str) -> None:
    assert decoder.probe(body, media="image") == MediaInfo(media_type)


def test_an_image_in_a_text_project_is_an_image_not_text(decoder: ChildDecoder) -> None:
    assert decoder.probe(SMALL, media="text") == MediaInfo("image/png")


def test_text_is_counted_in_characters_not_bytes(decoder: ChildDecoder) -> None:
    assert decoder.probe("zoë 日本\n".encode(), media="text") == MediaInfo("text/plain", characters=7)


@pytest.mark.parametrize("body", [b"", b"caf\xe9", b"a\x00b", b"\x1b[31mred", b"\xff\xfeh\x00i\x00"])
def test_what_is_not_utf8_text_is_refused(decoder: ChildDecoder, body: bytes) -> None:
    with pytest.raises(InvalidInput):
        decoder.probe(body, media="text")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        SMALL[:40],
        SMALL[:-20],
        SMALL[:45] + b"\x00\x00\x00\x00" + SMALL[49:],
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
    ],
)
def test_an_image_that_is_cut_off_or_damaged_is_refused(decoder: ChildDecoder, body: bytes) -> None:
    with pytest.raises(InvalidInput):
        decoder.probe(body, media="image")


def test_an_image_bomb_is_refused_by_its_header_at_once(decoder: ChildDecoder) -> None:
    body = bomb(20_000)
    assert len(body) < 400_000
    decoder.probe(SMALL, media="image")
    start = time.perf_counter()

    with pytest.raises(UnsafeInput, match="20000 x 20000 pixels"):
        decoder.probe(body, media="image")

    assert time.perf_counter() - start < 1.0


def test_an_image_below_the_pixel_limit_that_needs_too_much_memory_is_refused_and_the_next_one_decodes() -> None:
    tight = ChildDecoder(memory=300 << 20, timeout=30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    body = bomb(9_900, colour=2)

    for _ in range(2):
        with pytest.raises(UnsafeInput):
            tight.probe(body, media="image")
        assert tight.probe(SMALL, media="image").width == 8
    tight.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10


def test_an_image_that_takes_too_long_is_stopped_and_the_next_one_decodes() -> None:
    hasty = ChildDecoder(timeout=0.25)
    body = bomb(9_900, colour=2)

    with pytest.raises(UnsafeInput, match="longer than"):
        hasty.probe(body, media="image")
    patient = ChildDecoder(timeout=30)
    assert patient.probe(SMALL, media="image").width == 8
    hasty.close()
    patient.close()


def test_a_child_that_was_killed_is_replaced(decoder: ChildDecoder) -> None:
    decoder.probe(SMALL, media="image")
    assert decoder._child is not None
    decoder._child.process.kill()
    decoder._child.process.wait()

    assert decoder.probe(SMALL, media="image").width == 8


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.integers(0, len(SMALL) - 1), value=st.integers(0, 255), form=st.sampled_from(["PNG", "GIF", "TIFF", "JPEG"])
)
def test_a_damaged_byte_gives_an_answer_or_a_refusal(decoder: ChildDecoder, at: int, value: int, form: str) -> None:
    body = bytearray(encoded(Image.open(io.BytesIO(SMALL)), form))
    body[at % len(body)] = value

    try:
        assert decoder.probe(bytes(body), media="image").media_type
    except (InvalidInput, UnsafeInput):
        assert decoder.probe(SMALL, media="image").width == 8


def test_grey_pixels_of_an_image_of_that_size_are_its_own_values(decoder: ChildDecoder) -> None:
    pixels = decoder.grey_pixels(SMALL, width=8, height=8)

    assert pixels.dtype == np.float64
    np.testing.assert_array_equal(pixels, np.arange(64) * 4 / 255)


def test_a_larger_image_is_scaled_row_major(decoder: ChildDecoder) -> None:
    image = np.zeros((40, 20), dtype=np.uint8)
    image[:20] = 255

    pixels = decoder.grey_pixels(encoded(Image.fromarray(image)), width=2, height=4)

    np.testing.assert_allclose(pixels, [1, 1, 1, 1, 0, 0, 0, 0], atol=0.15)


def test_sixteen_bit_greys_keep_their_range(decoder: ChildDecoder) -> None:
    image = Image.fromarray(np.array([[0, 32_768, 65_535]], dtype=np.uint16))

    np.testing.assert_allclose(decoder.grey_pixels(encoded(image), width=3, height=1), [0, 0.5, 1], atol=0.005)


def test_colour_is_weighted_to_grey(decoder: ChildDecoder) -> None:
    pixels = decoder.grey_pixels(encoded(Image.new("RGB", (1, 1), (0, 255, 0))), width=1, height=1)

    assert pixels[0] == pytest.approx(0.587, abs=0.005)


def test_closing_ends_the_child_and_may_be_repeated() -> None:
    decoder = ChildDecoder()
    decoder.probe(SMALL, media="image")
    assert decoder._child is not None
    process = decoder._child.process

    decoder.close()
    decoder.close()

    assert process.returncode is not None


def test_a_decoder_left_open_ends_with_its_process_without_a_warning() -> None:
    code = (
        "import sys\n"
        "from annotation_ops.adapters.media_decoder import ChildDecoder\n"
        "decoder = ChildDecoder()\n"
        "decoder.probe(sys.stdin.buffer.read(), media='image')\n"
        "print(decoder._child.process.pid)\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code], input=SMALL, capture_output=True, check=True
    )

    assert done.stderr == b""
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)
