"""Strict CBOR: what it reads, cbor2 reads the same way, and one value has one spelling."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa.errors import FormatError
from lamslsa.evidence._cbor import Tagged, dumps, head, loads

INTEGERS = st.integers(-(2**64), 2**64 - 1)
VALUES: Any = st.recursive(
    INTEGERS | st.binary(max_size=40) | st.text(max_size=40) | st.booleans() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(INTEGERS | st.text(max_size=8), inner, max_size=4)
        | st.builds(Tagged, st.integers(600, 2**64 - 1), inner)
    ),
    max_leaves=12,
)


def encoded(value: Any) -> bytes:
    match value:
        case Tagged(tag, inner):
            return head(6, tag) + encoded(inner)
        case dict():
            return head(5, len(value)) + b"".join(encoded(key) + encoded(item) for key, item in value.items())
        case list():
            return head(4, len(value)) + b"".join(encoded(item) for item in value)
        case int() if abs(value) >= 2**63 and not isinstance(value, bool):
            return head(0, value) if value >= 0 else head(1, -1 - value)  # not as a bignum
        case _:
            return cbor2.dumps(value)


def refusal(data: str) -> str:
    with pytest.raises(FormatError) as caught:
        loads(bytes.fromhex(data), what="a test")
    return caught.value.reason


@given(value=VALUES)
def test_what_is_written_is_read(value: Any) -> None:
    assert loads(encoded(value), what="a test") == value


WRITTEN: Any = st.recursive(
    st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=300) | st.text(max_size=40) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=8) | st.integers(0, 99), inner),
    max_leaves=12,
)


@given(value=WRITTEN)
def test_what_we_write_is_what_cbor2_writes(value: Any) -> None:
    assert dumps(value) == cbor2.dumps(value)


def test_what_is_not_written() -> None:
    with pytest.raises(TypeError, match="float"):
        dumps({"a": [1.5]})


@given(data=st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    try:
        value = loads(data, what="a test")
    except FormatError:
        return
    assert encoded(value) == data


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (255, "18ff"),
        (256, "190100"),
        (65535, "19ffff"),
        (65536, "1a00010000"),
        (2**32 - 1, "1affffffff"),
        (2**32, "1b0000000100000000"),
    ],
)
def test_heads(number: int, text: str) -> None:
    assert head(0, number).hex() == text
    assert loads(bytes.fromhex(text), what="a test") == number


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "cbor-truncated"),
        ("18", "cbor-truncated"),
        ("41", "cbor-truncated"),
        ("6261", "cbor-truncated"),
        ("8101" + "00", "cbor-trailing"),
        ("81", "cbor-truncated"),
        ("9bffffffffffffffff", "cbor-truncated"),
        ("bb8000000000000000", "cbor-truncated"),
        ("5bffffffffffffffff", "cbor-truncated"),
        ("a201", "cbor-truncated"),
        ("a10102" * 2, "cbor-trailing"),
        ("c1", "cbor-truncated"),
        ("1817", "cbor-length"),
        ("3800", "cbor-length"),
        ("1900ff", "cbor-length"),
        ("580141", "cbor-length"),
        ("7800", "cbor-length"),
        ("9800", "cbor-length"),
        ("b800", "cbor-length"),
        ("d80100", "cbor-length"),
        ("1c", "cbor-indefinite"),
        ("1f", "cbor-indefinite"),
        ("5f40ff", "cbor-indefinite"),
        ("7f60ff", "cbor-indefinite"),
        ("9fff", "cbor-indefinite"),
        ("bfff", "cbor-indefinite"),
        ("ff", "cbor-indefinite"),
        ("f7", "cbor-simple"),
        ("e0", "cbor-simple"),
        ("f814", "cbor-simple"),
        ("f820", "cbor-simple"),
        ("f90014", "cbor-simple"),
        ("f93c00", "cbor-simple"),
        ("fa3f800000", "cbor-simple"),
        ("fb3ff0000000000000", "cbor-simple"),
        ("a1f500", "cbor-key"),
        ("a1f600", "cbor-key"),
        ("a1400000", "cbor-key"),
        ("a18000", "cbor-key"),
        ("a1c10000", "cbor-key"),
        ("a201000100", "cbor-duplicate-key"),
        ("a2616100616101", "cbor-duplicate-key"),
        ("61ff", "cbor-utf8"),
        ("63eda080", "cbor-utf8"),
        ("81" * 26, "cbor-depth"),
        ("a100" * 26, "cbor-depth"),
        ("c1" * 26, "cbor-depth"),
    ],
)
def test_refused(data: str, reason: str) -> None:
    assert refusal(data) == reason


@pytest.mark.parametrize("level", ["81", "a100", "c1"])
def test_depth_counts_every_level_once(level: str) -> None:
    loads(bytes.fromhex(level * 24 + "80"), what="a test")
    assert refusal(level * 25 + "80") == "cbor-depth"


def test_a_refusal_names_what_was_read() -> None:
    with pytest.raises(FormatError, match="in a test, got something else at byte 1"):
        loads(b"\x82", what="a test")


def test_depth_and_size() -> None:
    assert loads(b"\x81" * 24 + b"\x80", what="a test")
    assert refusal("81" * 25 + "80") == "cbor-depth"
    assert loads(b"\x42ab", what="a test", max_bytes=3) == b"ab"
    with pytest.raises(FormatError) as caught:
        loads(b"\x42ab", what="a test", max_bytes=2)
    assert caught.value.reason == "cbor-size"


def test_simple_values() -> None:
    assert loads(bytes.fromhex("83f4f5f6"), what="a test") == [False, True, None]
