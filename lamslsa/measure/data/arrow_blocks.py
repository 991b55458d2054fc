"""Where the messages of Arrow bytes lie, read without trust in them.

Specification: https://arrow.apache.org/docs/format/Columnar.html (encapsulated message format, IPC file format) and
https://github.com/apache/arrow/tree/main/format (Message.fbs, File.fbs); FlatBuffers as in
https://flatbuffers.dev/internals/.

Rules:
- A stream is one schema message, then dictionaries and record batches, then an end mark or the end; nothing follows.
- In a file the footer must list exactly the messages of the stream inside, so that whoever reads by the footer and
  whoever reads in order sees the same rows.
- The schema in the footer must have the same dictionaries as that of the stream; both are little-endian, and no field
  has children. (`lamslsa.measure.data.arrow` compares what else they say.)
- Messages are of version 5 and, the schema aside, carry no metadata of their own: there older writers say that buffers
  are packed.
- Packed buffers are refused: their unpacked size stands nowhere but in the buffers.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO, Final, NoReturn

from lamslsa.errors import FormatError
from lamslsa.measure.data import limits

__all__ = ["Block", "Blocks", "find_blocks"]

_MAGIC: Final = b"ARROW1"
_CONTINUATION: Final = b"\xff\xff\xff\xff"
_SCHEMA: Final = 1
_DICTIONARY: Final = 2
_BATCH: Final = 3
_VERSION_5: Final = 4
_MAX_METADATA: Final = limits.MAX_FOOTER_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A message: its offset, the size of its length and metadata, and of its body; the number of a dictionary.

    Attributes:
        dictionaries: of the fields in a schema, None for a field without.
    """

    kind: int
    number: int
    offset: int
    metadata: int
    body: int
    dictionaries: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """The stream in a file.

    Attributes:
        start: its offset, as ``end`` is of what follows the last message.
        batches: how many record batches it has.
        is_file: whether the bytes are of the file format.
    """

    is_file: bool
    start: int
    end: int
    batches: int


class _Table:
    """A FlatBuffers table; every offset is held against the size of the buffer."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._at = position
        self._slots = position - self._unpack("<i", position)
        self._size = self._unpack("<H", self._slots)

    @classmethod
    def root(cls, data: bytes) -> _Table:
        return cls(data, _unpack(data, "<I", 0))

    def number(self, slot: int, form: str, default: int = 0) -> int:
        offset = self._field(slot)
        return default if offset is None else self._unpack(form, offset)

    def table(self, slot: int) -> _Table | None:
        offset = self._field(slot)
        return None if offset is None else _Table(self._data, offset + self._unpack("<I", offset))

    def tables(self, slot: int) -> list[_Table]:
        """A vector of tables."""
        offset = self._field(slot)
        if offset is None:
            return []
        start = offset + self._unpack("<I", offset)
        count = self._unpack("<I", start)
        if count * 4 > len(self._data):
            _refuse("expected tables within the metadata, got more", "arrow-metadata")
        places = range(start + 4, start + 4 + 4 * count, 4)
        return [_Table(self._data, place + self._unpack("<I", place)) for place in places]

    def blocks(self, slot: int) -> list[tuple[int, int, int]]:
        """A vector of the structure ``Block``."""
        offset = self._field(slot)
        if offset is None:
            return []
        start = offset + self._unpack("<I", offset)
        count = self._unpack("<I", start)
        if count * 24 > len(self._data):
            _refuse("expected blocks within the footer, got more", "arrow-metadata")
        found = []
        for number in range(count):
            at = start + 4 + 24 * number
            found.append((self._unpack("<q", at), self._unpack("<i", at + 8), self._unpack("<q", at + 16)))
        return found

    def _field(self, slot: int) -> int | None:
        where = 4 + 2 * slot
        if where + 2 > self._size:
            return None
        offset = self._unpack("<H", self._slots + where)
        return self._at + offset if offset else None

    def _unpack(self, form: str, offset: int) -> int:
        return _unpack(self._data, form, offset)


def _unpack(data: bytes, form: str, offset: int) -> int:
    if not 0 <= offset <= len(data) - struct.calcsize(form):
        _refuse("expected offsets within the metadata, got others", "arrow-metadata")
    value: int = struct.unpack_from(form, data, offset)[0]
    return value


def find_blocks(stream: BinaryIO, size: int) -> Blocks:
    """Walk through the messages of a file or stream of ``size`` bytes.

    Raises:
        FormatError: the bytes break one of the rules of this module.
    """
    stream.seek(0)
    if stream.read(len(_MAGIC)) != _MAGIC:
        blocks, end = _walk(stream, 0, size)
        if end != size:
            _refuse("expected the end after the last message, got more", "arrow-end")
        return _summary(blocks, 0, end, is_file=False)
    stream.seek(max(0, size - 10))
    tail = stream.read(10)
    length = int.from_bytes(tail[:4], "little")
    if size < 24 or tail[4:] != _MAGIC or length > min(_MAX_METADATA, size - 18):
        _refuse("expected an Arrow file with its footer, got others", "arrow-magic")
    footer_at = size - 10 - length
    blocks, end = _walk(stream, 8, footer_at)
    stream.seek(footer_at)
    footer = _Table.root(stream.read(length))
    schema = footer.table(1)
    if not blocks or footer.number(0, "<h") != _VERSION_5 or schema is None:
        _refuse("expected a footer of version 5 with a schema behind messages, got others", "arrow-footer")
    if _dictionaries(schema) != blocks[0].dictionaries:
        _refuse("expected the schema of the footer to be that of the stream, got another", "arrow-footer")
    for kind, slot in ((_DICTIONARY, 2), (_BATCH, 3)):
        found = [(block.offset, block.metadata, block.body) for block in blocks if block.kind == kind]
        if footer.blocks(slot) != found:
            _refuse("expected a footer that lists the messages in their order, got another", "arrow-footer")
    if end != footer_at:
        _refuse("expected the footer after the last message, got others", "arrow-end")
    kinds = [block.kind for block in blocks]
    numbers = [block.number for block in blocks if block.kind == _DICTIONARY]
    if kinds != sorted(kinds) or len(set(numbers)) != len(numbers):
        _refuse("expected each dictionary once, before the record batches, got others", "arrow-dictionary")
    return _summary(blocks, 8, end, is_file=True)


def _summary(blocks: list[Block], start: int, end: int, *, is_file: bool) -> Blocks:
    return Blocks(is_file=is_file, start=start, end=end, batches=sum(block.kind == _BATCH for block in blocks))


def _walk(stream: BinaryIO, position: int, stop: int) -> tuple[list[Block], int]:
    blocks: list[Block] = []
    while position < stop:
        stream.seek(position)
        head = stream.read(8)
        length = int.from_bytes(head[4:], "little", signed=True)
        if len(head) != 8 or head[:4] != _CONTINUATION or not 0 <= length <= min(_MAX_METADATA, stop - position - 8):
            _refuse("expected an Arrow message, got others", "arrow-message")
        if length == 0:
            return blocks, position + 8
        block = _message(stream.read(length), position)
        if (block.kind == _SCHEMA) != (not blocks):
            _refuse("expected one schema, before everything else, got others", "arrow-message")
        position += block.metadata + block.body
        if not 0 <= block.body <= limits.MAX_MESSAGE_BYTES or position > stop:
            _refuse(f"expected messages of at most {limits.MAX_MESSAGE_BYTES} bytes, got others", "arrow-message")
        blocks.append(block)
    return blocks, position


def _message(metadata: bytes, offset: int) -> Block:
    message = _Table.root(metadata)
    kind = message.number(1, "<B")
    header = message.table(2)
    dictionaries: tuple[int | None, ...] = ()
    if header is None or kind not in (_SCHEMA, _DICTIONARY, _BATCH):
        _refuse(f"expected schema, dictionaries and record batches, got a message of type {kind}", "arrow-message")
    if message.number(0, "<h") != _VERSION_5:
        _refuse("expected messages of version 5, got another", "arrow-version", "write it with Arrow 1.0 or newer")
    if kind == _SCHEMA:
        dictionaries = _dictionaries(header)
    elif message.tables(4):
        _refuse("expected batches without metadata of their own, got some", "arrow-packed")
    number = 0
    if kind == _DICTIONARY:
        number = header.number(0, "<q")
        if header.number(2, "<B"):
            _refuse("expected whole dictionaries, got an addition to one", "arrow-dictionary")
        header = header.table(1)
    if kind != _SCHEMA and (header is None or header.table(3) is not None):
        _refuse(
            "expected buffers that are not packed, got packed ones",
            "arrow-packed",
            "write it without compression, or as Parquet",
        )
    return Block(
        kind=kind,
        number=number,
        offset=offset,
        metadata=8 + len(metadata),
        body=message.number(3, "<q"),
        dictionaries=dictionaries,
    )


def _dictionaries(schema: _Table) -> tuple[int | None, ...]:
    """The number of the dictionary of each field; None for a field without."""
    if schema.number(0, "<h"):
        _refuse("expected little-endian numbers, got others", "arrow-endianness")
    found: list[int | None] = []
    for field in schema.tables(1):
        if field.tables(5):
            _refuse("expected columns without nesting, got a nested one", "arrow-type")
        encoding = field.table(4)
        found.append(None if encoding is None else encoding.number(0, "<q"))
    return tuple(found)


def _refuse(message: str, reason: str, hint: str | None = None) -> NoReturn:
    raise FormatError(message, reason=reason, hint=hint)
