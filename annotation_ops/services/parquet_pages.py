"""Proves from page headers alone that a Parquet column decodes to a small size.

Decompressing a page fills exactly the size its header states, so headers bound the memory of a decode, unlike the
footer, whose totals nobody checks. Reading them costs microseconds a page, where decoding costs as much as the work itself.
Page layout: Apache Parquet format 2.11, `PageHeader` in Thrift's compact protocol.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

MAX_PAGE_BYTES = 16 << 20
MAX_VALUE_BYTES = 2_048
"""Longest dictionary value that is small: 65,536 rows of it take 128 MiB."""

_DICTIONARY_PAGE = 2
_DATA_PAGES = {0: 5, 3: 8}
"""Page type -> field of the header struct that holds number of values and encoding."""
_PLAIN = 0
_DICTIONARY_ENCODINGS = {2, 8}
_HEADER_BYTES = 8 << 10
"""A header is some 30 bytes, with statistics of long texts some hundred; a larger one is left to the probe."""


@dataclass(frozen=True, slots=True)
class _Page:
    kind: int
    uncompressed: int
    compressed: int
    encoding: int
    header_bytes: int


class _Unreadable(ValueError):
    """Bytes that are no page header."""


def small_pages(path: Path, file: pq.ParquetFile, column: str) -> bool:
    """Whether every page of a flat column is provably small; False proves nothing, the column has to be probed.

    Small: a page states at most 16 MiB; its values are stored plainly, or refer to a dictionary whose longest value
    is at most 2 kB, or are of fixed width.
    """
    kind = file.schema_arrow.field(column).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_nested(kind):
        return False
    leaves = [i for i in range(file.metadata.num_columns) if file.metadata.schema.column(i).path == column]
    if len(leaves) != 1:
        return False
    fixed = bool(pa.types.is_primitive(kind))
    if pa.types.is_fixed_size_binary(kind):
        fixed = kind.byte_width <= MAX_VALUE_BYTES
    try:
        with path.open("rb") as stream:
            return all(
                _small_chunk(stream, file.metadata.row_group(group).column(leaves[0]), fixed=fixed)
                for group in range(file.metadata.num_row_groups)
            )
    except _Unreadable:
        return False


def _small_chunk(stream: BinaryIO, chunk: pq.ColumnChunkMetaData, *, fixed: bool) -> bool:
    """`fixed` values cannot be longer than their type, whatever their encoding."""
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        start = min(start, chunk.dictionary_page_offset)
    end = start + chunk.total_compressed_size
    at = start
    while at < end:
        stream.seek(at)
        page = read_page_header(stream.read(min(_HEADER_BYTES, end - at)))
        if page.uncompressed > MAX_PAGE_BYTES:
            return False
        if not fixed and page.kind in _DATA_PAGES and page.encoding not in {_PLAIN, *_DICTIONARY_ENCODINGS}:
            return False
        if not fixed and page.kind == _DICTIONARY_PAGE:
            stream.seek(at + page.header_bytes)
            if not _short_values(stream.read(page.compressed), page, chunk):
                return False
        at += page.header_bytes + page.compressed
    return bool(at == end)


def _short_values(body: bytes, page: _Page, chunk: pq.ColumnChunkMetaData) -> bool:
    """Whether the longest byte array of a plain dictionary page is short."""
    if chunk.physical_type != "BYTE_ARRAY":
        return bool(page.uncompressed <= MAX_VALUE_BYTES)
    if page.uncompressed <= MAX_VALUE_BYTES:
        return True
    try:
        codec = chunk.compression.lower()
        raw = body if codec == "uncompressed" else pa.decompress(body, page.uncompressed, codec, asbytes=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _Unreadable(str(error)) from error
    at = 0
    while at + 4 <= len(raw):
        length = int.from_bytes(raw[at : at + 4], "little")
        if length > MAX_VALUE_BYTES:
            return False
        at += 4 + length
    return at == len(raw)


def read_page_header(raw: bytes) -> _Page:
    """Parses one `PageHeader`. Raises ValueError for anything else."""
    reader = _Compact(raw)
    fields = reader.struct(depth=0)
    inner = {_DICTIONARY_PAGE: 7, **_DATA_PAGES}.get(_integer(fields, 1))
    details = fields.get(inner) if inner is not None else {}
    if not isinstance(details, dict):
        raise _Unreadable("a page without its own header")
    kind = _integer(fields, 1)
    encoding = _integer(details, 4 if kind == 3 else 2) if details else -1
    page = _Page(kind, _integer(fields, 2), _integer(fields, 3), encoding, reader.at)
    if page.uncompressed < 0 or page.compressed < 0:
        raise _Unreadable("a page of negative size")
    return page


_Value = int | bytes | dict[int, "_Value"] | list["_Value"]


def _integer(fields: dict[int, "_Value"], number: int) -> int:
    value = fields.get(number)
    if not isinstance(value, int):
        raise _Unreadable(f"field {number} is missing")
    return value


class _Compact:
    """The part of Thrift's compact protocol that Parquet headers use."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self.at = 0

    def struct(self, *, depth: int) -> dict[int, "_Value"]:
        if depth > 8:
            raise _Unreadable("too deep")
        fields: dict[int, _Value] = {}
        number = 0
        while (head := self._byte()) != 0:
            delta, kind = head >> 4, head & 15
            number = number + delta if delta else self._zigzag()
            fields[number] = self._value(kind, depth=depth)
        return fields

    def _value(self, kind: int, *, depth: int) -> "_Value":
        if kind in (1, 2):
            return int(kind == 1)
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 7:
            return self._bytes(8)
        if kind == 8:
            return self._bytes(self._varint())
        if kind in (9, 10):
            head = self._byte()
            count = self._varint() if head >> 4 == 15 else head >> 4
            if count > len(self._raw):
                raise _Unreadable("a list longer than its bytes")
            return [self._value(head & 15, depth=depth + 1) for _ in range(count)]
        if kind == 12:
            return self.struct(depth=depth + 1)
        raise _Unreadable(f"type {kind}")

    def _byte(self) -> int:
        if self.at >= len(self._raw):
            raise _Unreadable("cut off")
        self.at += 1
        return self._raw[self.at - 1]

    def _bytes(self, length: int) -> bytes:
        if length > len(self._raw) - self.at:
            raise _Unreadable("cut off")
        self.at += length
        return self._raw[self.at - length : self.at]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise _Unreadable("a number too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
