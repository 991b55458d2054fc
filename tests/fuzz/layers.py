"""Formats of data and models, taken apart down to one part, which is changed, and closed again so that lengths,
checksums and canonical order fit.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from typing import Any, Final

from lamslsa.errors import FormatError
from lamslsa.measure.data.thrift import BINARY, I32, I64, LIST, STRUCT, TRUE, Budget, Reader, Struct, write

__all__ = ["LAYERS", "Change"]

Change = Callable[[bytes], bytes]
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_MAX_UNPACKED: Final = 2**20


def _parquet(data: bytes, change: Change, chooser: random.Random) -> bytes | None:
    """The footer, or the pages before it."""
    if data[:4] != b"PAR1" or data[-4:] != b"PAR1" or len(data) < 12:
        return None
    length = int.from_bytes(data[-8:-4], "little")
    if length > len(data) - 12:
        return None
    pages, footer = data[4 : -8 - length], data[-8 - length : -8]
    said = _thrift(footer, change, chooser) if chooser.random() < 0.7 else None
    if said is not None:
        footer = said
    elif chooser.random() < 0.5:
        footer = change(footer)
    else:  # as many bytes as before, so that offsets still lead somewhere
        pages = change(pages)[: len(pages)].ljust(len(pages), b"\0")
    return b"PAR1" + pages + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def _thrift(footer: bytes, change: Change, chooser: random.Random) -> bytes | None:
    """One field somewhere in the footer."""
    try:
        fields = Reader(footer, Budget(100_000)).struct()
        for _ in range(chooser.choice((1, 1, 2))):
            _change_struct(fields, change, chooser)
        return write(fields)
    except (FormatError, TypeError, ValueError):
        return None


def _change_struct(fields: Struct, change: Change, chooser: random.Random) -> None:
    if not fields or chooser.random() < 0.05:
        fields[chooser.randrange(1, 16)] = _a_field(chooser)
        return
    number = chooser.choice(list(fields))
    kind, value = fields[number]
    match chooser.randrange(12):
        case 0:
            del fields[number]
        case 1:
            fields[number] = _a_field(chooser)
        case _:
            fields[number] = (kind, _change_value(kind, value, change, chooser))


def _a_field(chooser: random.Random) -> tuple[int, Any]:
    """A field of a random type: numbers, texts, lists, structures, a byte."""
    fields: tuple[tuple[int, Any], ...] = (
        *((I32, 1), (I64, 2**40), (BINARY, b"age"), (TRUE, True), (3, 7)),
        *((LIST, (I32, [0, 3])), (LIST, (STRUCT, [])), (LIST, (LIST, [(I32, [1])])), (STRUCT, {1: (I32, 1)})),
    )
    return chooser.choice(fields)


def _change_value(kind: int, value: Any, change: Change, chooser: random.Random) -> Any:
    if kind == STRUCT:
        _change_struct(value, change, chooser)
    elif kind == LIST:
        element, items = value
        if items and chooser.random() < 0.8:
            number = chooser.randrange(len(items))
            items[number] = _change_value(element, items[number], change, chooser)
        elif items:
            items.insert(chooser.randrange(len(items)), chooser.choice(items))
    elif kind == BINARY:
        return chooser.choice((change(value), b"age", b"job", b""))
    elif isinstance(value, int) and kind in (I32, I64):
        near = (value - 1, value + 1, 0, 1, 2, 3, 4, 5, 6, 8, -1, value * 2, 2**31 - 1)
        return chooser.choice(near)
    return value


def _arrow(data: bytes, change: Change, chooser: random.Random) -> bytes | None:
    """The footer of a file, or what is before it."""
    if data[:6] != b"ARROW1" or data[-6:] != b"ARROW1" or len(data) < 24:
        return None
    length = int.from_bytes(data[-10:-6], "little")
    if length > len(data) - 18:
        return None
    body, footer = data[8 : -10 - length], data[-10 - length : -10]
    if chooser.random() < 0.3:
        footer = change(footer)
    else:
        body = change(body)[: len(body)].ljust(len(body), b"\0")
    return data[:8] + body + footer + len(footer).to_bytes(4, "little") + b"ARROW1"


def _safetensors(data: bytes, change: Change, chooser: random.Random) -> bytes | None:
    """The header, or the numbers."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 10 or length > len(data) - 8 or data[8:9] != b"{":
        return None
    header, body = data[8 : 8 + length], data[8 + length :]
    if chooser.random() < 0.7:
        header = change(header)
    else:
        body = change(body)
    return len(header).to_bytes(8, "little") + header + body


def _png(data: bytes, change: Change, chooser: random.Random) -> bytes | None:
    """One chunk, with its checksum; what is packed is unpacked before."""
    if not data.startswith(_PNG):
        return None
    chunks: list[tuple[bytes, bytes]] = []
    at = len(_PNG)
    while at + 12 <= len(data) and len(chunks) < 1000:
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return None
    number = chooser.randrange(len(chunks))
    kind, content = chunks[number]
    match chooser.randrange(8):
        case 0:
            del chunks[number]
        case 1:
            chunks.insert(number, (kind, content))
        case 2:
            chooser.shuffle(chunks)
        case 3:
            chunks[number] = (chooser.choice((b"IDAT", b"PLTE", b"tRNS", b"acTL", b"iCCP", b"zTXt", b"fdAT")), content)
        case _:
            chunks[number] = (kind, _repacked(content, change) if kind == b"IDAT" else change(content))
    closed = (
        struct.pack(">I", len(content)) + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
        for kind, content in chunks
    )
    return _PNG + b"".join(closed)


def _repacked(content: bytes, change: Change) -> bytes:
    try:
        return zlib.compress(change(zlib.decompressobj().decompress(content, _MAX_UNPACKED)))
    except zlib.error:
        return change(content)


def _onnx(data: bytes, change: Change, chooser: random.Random) -> bytes | None:
    """One field somewhere in the model, which is written canonically again."""
    if data[:1] != b"\x08":
        return None
    import onnx
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
        if not model.graph.node:
            return None
        _change_message(model, change, chooser)
        written: bytes = model.SerializeToString(deterministic=True)
        if chooser.random() < 0.05:  # names that are no UTF-8
            name = chooser.choice((b"Gemm", b"Softmax", b"probabilities", b"input", b"z"))
            written = written.replace(name, bytes([*name[:-1], 0xFF]))
    except (DecodeError, ValueError, TypeError, RuntimeError):
        return None
    return written


def _change_message(message: Any, change: Change, chooser: random.Random) -> None:
    """One field of it, or of a message in it."""
    from google.protobuf.descriptor import FieldDescriptor

    present = message.ListFields()
    if chooser.random() < 0.1 or not present:
        field = chooser.choice(list(message.DESCRIPTOR.fields))
    else:
        field = chooser.choice(present)[0]
    several = field.is_repeated if hasattr(field, "is_repeated") else field.label == FieldDescriptor.LABEL_REPEATED
    inner = field.type == FieldDescriptor.TYPE_MESSAGE
    value = getattr(message, field.name)
    if several:
        _change_items(value, inner, field, change, chooser)
    elif inner and chooser.random() < 0.95:
        _change_message(value, change, chooser)
    elif chooser.random() < 0.05 or inner:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, _scalar(value, change, chooser))


def _change_items(values: Any, inner: bool, field: Any, change: Change, chooser: random.Random) -> None:
    if not values:
        if inner:
            values.add()
        else:
            values.append(_scalar("" if field.cpp_type == field.CPPTYPE_STRING else 0, change, chooser))
        return
    number = chooser.randrange(len(values))
    match chooser.randrange(10):
        case 0:
            del values[number]
        case 1 if inner:
            values.add().CopyFrom(values[number])
        case 1:
            values.append(values[number])
        case _ if inner:
            _change_message(values[number], change, chooser)
        case _:
            values[number] = _scalar(values[number], change, chooser)


def _scalar(value: Any, change: Change, chooser: random.Random) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return chooser.choice((value - 1, value + 1, -value, 0, 1, 2, 7, 2**31 - 1, 2**40))
        case float():
            return chooser.choice((value + 1, -value, 0.0, 1e30, float("inf"), float("nan")))
        case str():
            known = ("", "input", "probabilities", "z", "w", "Softmax", "Gemm", "Relu", "Loop", "If", "ai.onnx.ml")
            return chooser.choice((*known, change(value.encode()).decode("utf-8", "replace")))
    return change(bytes(value))


LAYERS: Final = (_parquet, _arrow, _safetensors, _png, _onnx)
