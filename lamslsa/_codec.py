"""Strict JSON, base64 and digests: the one door through which untrusted bytes come in.

Rules:
- Size, depth and the number of brackets are capped before any work is done on the content.
- Refused: duplicate keys, ``NaN`` and ``Infinity``, numbers that overflow (``1e400``), integers beyond 2^53
  (RFC 8259 section 6: not interoperable), lone surrogates, invalid UTF-8, a byte order mark, trailing content.
- What goes out is finite, compact UTF-8 JSON; bytes that were signed are never serialised again.

>>> loads(b'{"a": [1, 2.5]}')
{'a': [1, 2.5]}
>>> loads(b'{"a": 1, "a": 2}')
Traceback (most recent call last):
    ...
lamslsa.errors.FormatError: expected unique keys, got "a" twice
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
from typing import Any, Final

from lamslsa.errors import FormatError

__all__ = [
    "MAX_DEPTH",
    "MAX_JSON_BYTES",
    "canonical",
    "canonical_string",
    "canonical_with_fractions",
    "decode_base64",
    "dumps",
    "encode_base64",
    "loads",
    "parse_digest",
    "sha256_hex",
]

MAX_JSON_BYTES: Final = 16 * 1024 * 1024
MAX_DEPTH: Final = 64
_MAX_INTEGER: Final = 2**53
_MAX_BRACKETS: Final = 1_000_000  # those in strings included; each list or object costs many times its bytes
_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_STRING_ENCODER: Final = json.JSONEncoder(ensure_ascii=False)
_HEX_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def _refuse_deep(data: bytes, max_depth: int) -> None:
    """Bound the nesting before the recursive parser sees it."""
    opening = data.count(b"[") + data.count(b"{")
    if opening <= max_depth:
        return
    if opening + data.count(b"]") + data.count(b"}") > _MAX_BRACKETS:
        raise FormatError(f"expected at most {_MAX_BRACKETS} brackets in JSON, got more", reason="json-brackets")
    brackets = _brackets(data)
    for _ in range(max_depth):  # each round takes away the innermost pairs, one level
        fewer = brackets.replace(b"[]", b"")
        if fewer == brackets:
            break
        brackets = fewer
    if len(brackets) > max_depth or b"[]" in brackets:
        raise FormatError(f"expected at most {max_depth} levels of JSON, got more", reason="json-depth")


def _brackets(data: bytes) -> bytes:
    """The brackets outside of strings in their order, braces as square ones: which closes which is for the parser."""
    # Without escaped backslashes first and escaped quotes then, every quote that is left begins or ends a string.
    unescaped = data.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in data else data
    return b"".join(unescaped.split(b'"')[::2]).translate(_SQUARE, _NO_BRACKETS)


def _quoted(text: str) -> str:
    return json.dumps(text if len(text) <= 80 else text[:80] + "…")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise FormatError(f"expected unique keys, got {_quoted(key)} twice", reason="json-duplicate-key")
            seen.add(key)
    return result


def _integer(text: str) -> int:
    if len(text) > 17 or abs(value := int(text)) > _MAX_INTEGER:
        raise FormatError(f"expected an integer of at most 2^53, got {text[:32]}", reason="json-integer")
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise FormatError(f"expected a finite number, got {text[:32]}", reason="json-number")
    return value


def _constant(text: str) -> float:
    raise FormatError(f"expected a finite number, got {text}", reason="json-number")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_number, parse_constant=_constant
)


def loads(data: bytes, *, max_bytes: int = MAX_JSON_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """Parse untrusted JSON bytes strictly.

    Raises:
        FormatError: the bytes break one of the rules of this module.
    """
    if len(data) > max_bytes:
        raise FormatError(f"expected at most {max_bytes} bytes of JSON, got {len(data)}", reason="json-size")
    _refuse_deep(data, max_depth)
    try:
        value = _DECODER.decode(data.decode("utf-8"))
        if _SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError:  # it holds the bytes, and an error that is kept would hold it
        raise FormatError("expected UTF-8 without lone surrogates, got other bytes", reason="json-utf8") from None
    except (ValueError, RecursionError) as err:
        raise FormatError(f"expected JSON, got {err}", reason="json-syntax") from None
    return value


def dumps(value: Any) -> bytes:
    """Serialise as compact UTF-8 JSON, keys in the order given.

    Raises:
        FormatError: a number that is not finite, or a lone surrogate.
    """
    return _serialise(value, sort_keys=False)


def _serialise(value: Any, *, sort_keys: bool) -> bytes:
    try:
        return json.dumps(
            value, ensure_ascii=False, allow_nan=False, sort_keys=sort_keys, separators=(",", ":")
        ).encode("utf-8")
    except UnicodeEncodeError as err:
        raise FormatError("expected text without lone surrogates, got some", reason="json-utf8") from err
    except ValueError as err:
        raise FormatError(f"expected finite numbers, got one that is not: {err}", reason="json-number") from err


def canonical(value: Any) -> bytes:
    """RFC 8785 (JCS) form of a document with ASCII keys and without fractions.

    For such documents ``json.dumps`` with sorted keys gives the very bytes of RFC 8785; a property test compares the
    two. Refused is where they would differ: floats, integers beyond 2^53 - 1 and keys that are not ASCII.

    >>> canonical({"b": 1, "a": "é"}).decode()
    '{"a":"é","b":1}'

    Raises:
        FormatError: not such a document.
    """
    _refuse_uncanonical(value)
    return _serialise(value, sort_keys=True)


def canonical_string(text: str) -> str:
    """RFC 8785 form of one string, as text: for documents of many parts that are put together from a template."""
    return _STRING_ENCODER.encode(text)


def _refuse_uncanonical(document: Any) -> None:
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, str) or value is None:
            continue
        if isinstance(value, dict):
            for key in value:
                if not (isinstance(key, str) and key.isascii()):
                    raise FormatError(f"expected an ASCII key, got {key!r:.80}", reason="canonical-key")
            pending += value.values()
        elif isinstance(value, list | tuple):
            pending += value
        elif not isinstance(value, int):
            raise FormatError(f"expected no fraction in a canonical document, got {value}", reason="canonical-float")
        elif abs(value) >= _MAX_INTEGER:
            raise FormatError("expected an integer below 2^53, got a larger one", reason="canonical-integer")


def encode_base64(data: bytes) -> str:
    """Standard base64 with padding (RFC 4648 section 4)."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str, *, what: str, max_bytes: int = MAX_JSON_BYTES) -> bytes:
    """Strict standard base64: the canonical alphabet, padding and no stray bits, so one value has one spelling.

    Raises:
        FormatError: not canonical base64, or longer than ``max_bytes`` once decoded.
    """
    if len(text) > 4 * ((max_bytes + 2) // 3):
        raise FormatError(f"expected at most {max_bytes} bytes in {what}, got more", reason="base64-size")
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as err:
        raise FormatError(f"expected base64 in {what}, got other characters", reason="base64") from err
    if len(data) > max_bytes:
        raise FormatError(f"expected at most {max_bytes} bytes in {what}, got more", reason="base64-size")
    if encode_base64(data) != text:
        raise FormatError(f"expected canonical base64 in {what}, got another spelling", reason="base64")
    return data


def canonical_with_fractions(value: Any) -> bytes:
    """RFC 8785 (JCS) form of any finite JSON document; slower than `canonical`, for configurations.

    >>> canonical_with_fractions({"rate": 1e-7, "all": 1.0})
    b'{"all":1,"rate":1e-7}'

    Raises:
        FormatError: a number that is not finite, an integer beyond 2^53 - 1, or a lone surrogate.
    """
    import rfc8785

    try:
        return rfc8785.dumps(value)
    except ValueError as err:
        raise FormatError(f"expected a document that RFC 8785 covers, got {err}", reason="canonical-value") from err


def sha256_hex(data: bytes) -> str:
    """Lower-case hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def parse_digest(text: str, *, what: str) -> str:
    """Take ``sha256:<64 lower-case hex>`` apart and return the hexadecimal part.

    Raises:
        FormatError: any other algorithm, length, case or prefix.
    """
    prefix, _, value = text.partition(":")
    if prefix != "sha256" or not _HEX_DIGEST.fullmatch(value):
        raise FormatError(
            f'expected "sha256:" and 64 lower-case hexadecimal digits in {what}, got {text[:80]!r}', reason="digest"
        )
    return value
