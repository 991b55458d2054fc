"""Mutations that know what they change: a layer is opened, something inside is changed, and the layer is closed again.

A flipped bit in a base64 string is refused as base64, and nothing behind it is ever reached. So ZIP, JSON, CBOR, DER,
PEM, XML, lines of text and the formats of `tests.fuzz.layers` are taken apart first, down to the bytes inside, and
lengths are made to fit again. Every so often bytes are changed as they stand instead, lengths among them.

The same chooser gives the same mutations.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import io
import json
import random
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from lamslsa._der import element
from lamslsa.errors import FormatError
from lamslsa.evidence import _cbor
from lamslsa.evidence._cbor import Tagged
from lamslsa.evidence._pem import render_chain
from tests.fuzz.layers import LAYERS

__all__ = ["Mutator", "encode_cbor", "join", "split"]

_MAX_DEPTH: Final = 6
_BLOCK: Final = re.compile(rb"-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=\n]+)-----END CERTIFICATE-----\n")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}){4,}")
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4}){2,}[A-Za-z0-9+/=]{0,4}")
_NUMBERS: Final = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x10000, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64)
_TAGS: Final = (0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x13, 0x16, 0x17, 0x18, 0x30, 0x31, 0x80, 0xA0, 0xA6)
_TEXTS: Final = (
    "",
    "0",
    "Revoked",
    "\u00e9",
    "\ud83d\ude00",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z",
    "a" * 300,
)
# Where quotes of SGX and TDX say how much follows: version 3, version 4, and 5 with either body.
_QUOTE_LENGTHS: Final = {3: (432,), 4: (632, 632 + 4 + 128 + 2), 5: (638, 638 + 4 + 128 + 2, 702, 702 + 4 + 128 + 2)}


def join(*parts: bytes) -> bytes:
    """Several inputs as one."""
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def split(data: bytes, count: int) -> list[bytes]:
    """The inputs again; whatever the bytes are, there are as many as asked for."""
    parts, at = [], 0
    for _ in range(count):
        start = at + 4
        at = start + int.from_bytes(data[at:start], "little")
        parts.append(data[start:at])
    return parts


def encode_cbor(value: Any) -> bytes:
    """The one spelling of a value that `_cbor.loads` takes."""
    match value:
        case bool() | None:
            return bytes((0xE0 | {False: 20, True: 21, None: 22}[value],))
        case int():
            return _cbor.head(1, -1 - value) if value < 0 else _cbor.head(0, value)
        case bytes():
            return _cbor.head(2, len(value)) + value
        case str():
            text = value.encode("utf-8", "replace")
            return _cbor.head(3, len(text)) + text
        case list():
            return _cbor.head(4, len(value)) + b"".join(map(encode_cbor, value))
        case dict():
            return _cbor.head(5, len(value)) + b"".join(encode_cbor(item) for pair in value.items() for item in pair)
        case Tagged():
            return _cbor.head(6, value.tag) + encode_cbor(value.value)
    raise TypeError(type(value))


class Mutator:
    """Mutates one kind of input.

    Args:
        chooser: where chance comes from.
        seeds: parts of them are spliced in.
        parts: how many inputs are joined into one.
    """

    def __init__(self, chooser: random.Random, *, seeds: Sequence[bytes] = (), parts: int = 1) -> None:
        self._chooser = chooser
        self._seeds = seeds
        self._parts = parts

    def mutate(self, data: bytes) -> bytes:
        """The input with one to three changes."""
        for _ in range(self._chooser.choice((1, 1, 1, 2, 3))):
            data = self._joined(data) if self._parts > 1 else self._layered(data, 0)
        return data

    def _joined(self, data: bytes) -> bytes:
        parts = split(data, self._parts)
        at = self._chooser.randrange(self._parts)
        if self._seeds and self._chooser.random() < 0.05:
            parts[at] = split(self._chooser.choice(self._seeds), self._parts)[at]
        else:
            parts[at] = self._layered(parts[at], 0)
        return join(*parts)

    def _layered(self, data: bytes, depth: int) -> bytes:
        if depth < _MAX_DEPTH and self._chooser.random() > 0.3:
            first = (self._zip, self._measured, self._json, self._cbor)
            layers = (*first, self._pem, self._der, self._xml, self._lines)
            with contextlib.suppress(RecursionError):  # input that nests deeper than it can be taken apart
                opened = (layer(data, depth + 1) for layer in layers)
                return next((changed for changed in opened if changed is not None), None) or self._flat(data)
        return self._flat(data)

    def _flat(self, data: bytes) -> bytes:
        """Bytes as they stand."""
        chooser, at = self._chooser, self._chooser.randrange(len(data) + 1)
        size = min(chooser.choice((1, 1, 2, 4, 8, 16, 64, 1024)), max(len(data) - at, 1))
        changed = bytearray(data)
        match chooser.randrange(10):
            case 0 | 1 if at < len(data):
                changed[at] ^= 1 << chooser.randrange(8)
            case 2 if at < len(data):
                changed[at] = chooser.randrange(256)
            case 3:
                del changed[at : at + size]
            case 4:
                changed[at:at] = changed[at : at + size]
            case 5:
                changed[at:at] = chooser.randbytes(size)
            case 6:
                del changed[at:]
            case 7:
                changed += chooser.choice((bytes(size), b"\xff" * size, chooser.randbytes(size)))
            case 8:
                self._write_number(changed, at)
            case 9 if self._seeds:
                other = chooser.choice(self._seeds)
                start = chooser.randrange(len(other) + 1)
                changed[at : at + size] = other[start : start + size]
            case _:
                changed[at : at + size] = chooser.randbytes(size)
        return bytes(changed)

    def _write_number(self, data: bytearray, at: int) -> None:
        """A number of up to 8 bytes: another one near it, or one at a limit."""
        size = self._chooser.choice((1, 2, 4, 8))
        order: Literal["little", "big"] = "little" if self._chooser.random() < 0.5 else "big"
        number = int.from_bytes(data[at : at + size], order)
        near = number + self._chooser.choice((-16, -4, -1, 1, 4, 16, len(data)))
        data[at : at + size] = (self._chooser.choice((near, *_NUMBERS)) % 256**size).to_bytes(size, order)

    def _measured(self, data: bytes, depth: int) -> bytes | None:
        """A format of data or of models."""
        for layer in LAYERS:
            changed = layer(data, lambda part: self._layered(part, depth), self._chooser)
            if changed is not None:
                return changed
        return None

    def _zip(self, data: bytes, depth: int) -> bytes | None:
        if not data.startswith(b"PK\x03\x04"):
            return None
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                pairs = [(item.filename, archive.read(item)) for item in archive.infolist() if item.file_size < 2**20]
        except Exception:  # noqa: BLE001 - whatever mutations have left of it
            return None
        if not pairs:
            return None
        buffer = io.BytesIO()
        method = self._chooser.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED))
        with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
            warnings.simplefilter("ignore")  # of names that are there twice
            for name, content in self._members(pairs, depth, list):
                if isinstance(name, str) and isinstance(content, bytes):
                    written = name.encode("utf-8", "replace").decode("utf-8")[:1000]
                    archive.writestr(zipfile.ZipInfo(written or "/"), content, method)
        return buffer.getvalue()

    def _json(self, data: bytes, depth: int) -> bytes | None:
        if not data.lstrip().startswith((b"{", b"[")):
            return None
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return None
        return json.dumps(self._value(value, depth), ensure_ascii=False).encode("utf-8", "replace")

    def _cbor(self, data: bytes, depth: int) -> bytes | None:
        if not data or data[0] >> 5 not in (4, 5, 6):
            return None
        try:
            value = _cbor.loads(data, what="input")
        except FormatError:
            return None
        return encode_cbor(self._value(value, depth))

    def _value(self, value: Any, depth: int) -> Any:
        """A value of JSON or CBOR with one change."""
        match value:
            case dict() if value:
                return self._members(list(value.items()), depth, dict)
            case list() if value:
                return self._members(list(enumerate(value)), depth, lambda pairs: [item for _, item in pairs])
            case Tagged():
                if self._chooser.random() < 0.15:
                    return self._chooser.choice((value.value, Tagged(self._chooser.randrange(600), value.value)))
                return Tagged(value.tag, self._value(value.value, depth))
            case str():
                return self._text(value, depth)
            case bytes():
                return self._layered(value, depth)
            case bool() | None:
                return self._chooser.choice((True, False, None))
            case int():
                other = self._chooser.choice((value - 1, value + 1, -value, *_NUMBERS))
                return max(-(2**64), min(2**64 - 1, other))
        return self._chooser.choice(("", 0, None, True, [], {}))

    def _members(self, pairs: list[tuple[Any, Any]], depth: int, close: Callable[[list[tuple[Any, Any]]], Any]) -> Any:
        at, other = self._chooser.randrange(len(pairs)), self._chooser.randrange(len(pairs))
        key, item = pairs[at]
        match self._chooser.randrange(12):
            case 0:
                del pairs[at]
            case 1:
                pairs[at] = (key, pairs[other][1])
            case 2:
                pairs[at], pairs[other] = (key, pairs[other][1]), (pairs[other][0], item)
            case 3:
                pairs.append((self._value(key, depth), item))
            case 4:
                pairs[at] = (key, self._chooser.choice(("", 0, None, True, [], {}, [item], {"a": item}, 2**40)))
            case _:
                pairs[at] = (key, self._value(item, depth))
        return close(pairs)

    def _text(self, text: str, depth: int) -> str:
        if self._chooser.random() < 0.1:
            return self._chooser.choice(_TEXTS)
        if _HEX.fullmatch(text):
            return self._layered(bytes.fromhex(text), depth).hex()
        if _BASE64.fullmatch(text):
            try:
                inside = base64.b64decode(text, validate=True)
            except binascii.Error:
                pass
            else:
                return base64.b64encode(self._layered(inside, depth)).decode()
        return self._layered(text.encode("utf-8", "replace"), depth).decode("utf-8", "replace")

    def _pem(self, data: bytes, depth: int) -> bytes | None:
        blocks = list(_BLOCK.finditer(data))
        if not blocks:
            return None
        match self._chooser.randrange(8):
            case 0:
                chosen = [block[0] for block in blocks]
                self._chooser.shuffle(chosen)
                body = b"".join(chosen[self._chooser.randrange(2) :])
                return self._fitted(data, blocks[0].start(), blocks[-1].end(), body)
            case 1:
                return self._fitted(data, blocks[0].start(), len(data), self._flat(data[blocks[0].start() :]))
        block = self._chooser.choice(blocks)
        try:
            der = base64.b64decode(block[1])
        except binascii.Error:
            return None
        return self._fitted(data, block.start(), block.end(), render_chain([self._layered(der, depth)]))

    @staticmethod
    def _fitted(data: bytes, start: int, end: int, body: bytes) -> bytes:
        """The body in place of what stood there; in a quote, the lengths before it fit again."""
        changed = bytearray(data[:start] + body + data[end:])
        first = data.find(b"-----BEGIN")
        grown = len(changed) - len(data)
        if first > 0 and grown:
            for at in (*_QUOTE_LENGTHS.get(int.from_bytes(data[:2], "little"), ()), first - 4):
                length = int.from_bytes(changed[at : at + 4], "little")
                if 0 < length <= len(data):
                    changed[at : at + 4] = max(length + grown, 0).to_bytes(4, "little")
        return bytes(changed)

    def _der(self, data: bytes, depth: int) -> bytes | None:
        items = _elements(data) if data[:1] in (b"\x30", b"\x31") else None
        return self._nodes(items, depth) if items else None

    def _nodes(self, items: list[tuple[int, bytes]], depth: int) -> bytes:
        at = self._chooser.randrange(len(items))
        tag, body = items[at]
        match self._chooser.randrange(16):
            case 0:
                del items[at]
            case 1:
                items.insert(at, items[at])
            case 2:
                self._chooser.shuffle(items)
            case 3:
                items[at] = (self._chooser.choice(_TAGS), body)
            case _:
                inside = _elements(body) if tag & 0x20 or tag == 0x04 else None
                lead = 1 if tag == 0x03 else 0
                if inside is None and lead:
                    inside = _elements(body[1:])
                items[at] = (tag, body[:lead] + self._nodes(inside, depth) if inside else self._flat(body))
        return b"".join(element(tag, body) for tag, body in items)

    def _xml(self, data: bytes, depth: int) -> bytes | None:
        if not data.startswith(b"<") or depth > 1:
            return None
        from lxml import etree

        try:
            return self._nodes_of_xml(etree.fromstring(data, parser=etree.XMLParser(resolve_entities=False)))
        except (etree.XMLSyntaxError, ValueError):
            return None

    def _nodes_of_xml(self, root: Any) -> bytes:
        """The elements with one change; some changes wrap what is signed into something that is not."""
        from lxml import etree

        nodes = [node for node in root.iter() if isinstance(node.tag, str)]
        node, other = self._chooser.choice(nodes), self._chooser.choice(nodes)
        match self._chooser.randrange(8):
            case 0 if node is not root:
                node.getparent().remove(node)
            case 1 | 2:
                copied = etree.fromstring(etree.tostring(node, with_tail=False))
                other.insert(self._chooser.randrange(len(other) + 1), copied)
            case 3:
                inside, root = root, etree.fromstring(etree.tostring(root))
                root.append(inside)
            case 4 if node.attrib:
                del node.attrib[self._chooser.choice(list(node.attrib))]
            case 5 if node.attrib:
                name = self._chooser.choice(list(node.attrib))
                node.set(name, _xml_text(self._text(node.get(name), _MAX_DEPTH)))
            case _:
                node.text = _xml_text(self._text(node.text or "", _MAX_DEPTH - 1))
        changed: bytes = etree.tostring(root)
        return changed

    def _lines(self, data: bytes, depth: int) -> bytes | None:
        lines = data.split(b"\n")
        if len(lines) < 3 or (not data.isascii() and b"\xe2\x80\x94" not in data):
            return None
        at, other = self._chooser.randrange(len(lines)), self._chooser.randrange(len(lines))
        match self._chooser.randrange(8):
            case 0:
                del lines[at]
            case 1:
                lines.insert(other, lines[at])
            case 2:
                lines[at], lines[other] = lines[other], lines[at]
            case _:
                words = re.split(rb"([ +])", lines[at])
                word = self._chooser.randrange(len(words))
                text = self._text(words[word].decode("utf-8", "replace"), depth)
                words[word] = text.encode("utf-8", "replace")
                lines[at] = b"".join(words)
        return b"\n".join(lines)


def _xml_text(text: str) -> str:
    return "".join(letter for letter in text if letter in "\t\n" or (" " <= letter <= "\ud7ff"))


def _elements(data: bytes) -> list[tuple[int, bytes]] | None:
    """The DER elements that follow one another; None where there is anything else."""
    items, at = [], 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1] if at + 1 < len(data) else 0x80, at + 2
        if length >= 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
            if not 1 <= size <= 4:
                return None
        if tag & 0x1F == 0x1F or at + length > len(data):
            return None
        items.append((tag, data[at : at + length]))
        at += length
    return items or None
