from __future__ import annotations

import contextlib
import datetime as dt
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa.errors import FormatError
from lamslsa.evidence.nitro.parse import MAX_DOCUMENT_BYTES, PROTECTED, parse, signed_bytes
from lamslsa.testing.simulated_nitro import PCRS, SimulatedNitroVendor

DATA = bytes(range(64))


@pytest.fixture(scope="module")
def document(nitro_vendor: SimulatedNitroVendor) -> bytes:
    return nitro_vendor.document(DATA, members={"nonce": b"nonce", "public_key": b"key"})


def test_every_member(nitro_vendor: SimulatedNitroVendor, document: bytes) -> None:
    parsed = parse(document)
    protected, unprotected, payload, signature = cbor2.loads(document)
    assert (protected, unprotected) == (PROTECTED, {})
    assert cbor2.loads(PROTECTED) == {1: -35}
    assert parsed.payload == payload
    assert parsed.signature == (int.from_bytes(signature[:48], "big"), int.from_bytes(signature[48:], "big"))
    assert parsed.module_id == "i-simulated-enc0"
    assert parsed.timestamp == nitro_vendor.now
    assert parsed.pcrs == PCRS
    assert parsed.chain == tuple(nitro_vendor.der(role) for role in ("leaf", "instance", "root"))
    assert parsed.root == nitro_vendor.root.der
    assert (parsed.user_data, parsed.nonce, parsed.public_key) == (DATA, b"nonce", b"key")
    assert parsed.parts == {"pcr0": "11" * 48, "pcr1": "12" * 48, "pcr2": "13" * 48, "pcr8": "00" * 48}


def test_milliseconds(nitro_vendor: SimulatedNitroVendor) -> None:
    parsed = parse(nitro_vendor.document(DATA, members={"timestamp": 1665651482136}))
    assert parsed.timestamp == dt.datetime(2022, 10, 13, 8, 58, 2, 136000, tzinfo=dt.UTC)
    assert parse(nitro_vendor.document(DATA, members={"timestamp": 1})).timestamp.year == 1970


@given(st.binary(max_size=70000))
def test_signed_bytes_are_the_structure_of_cose(payload: bytes) -> None:
    assert signed_bytes(payload) == cbor2.dumps(["Signature1", PROTECTED, b"", payload])


def test_an_independent_reader_finds_the_same(document: bytes) -> None:
    parsed = parse(document)
    members: dict[str, Any] = cbor2.loads(parsed.payload)
    assert cbor2.dumps(members) == parsed.payload
    assert members["pcrs"] == parsed.pcrs
    assert [members["certificate"], *members["cabundle"][::-1]] == list(parsed.chain)


def test_the_tag_changes_nothing(document: bytes) -> None:
    assert parse(b"\xd2" + document) == parse(document)


def test_every_truncation_is_refused(document: bytes) -> None:
    for length in range(len(document)):
        with pytest.raises(FormatError):
            parse(document[:length])


def test_a_byte_changes_what_is_said_or_is_refused(document: bytes) -> None:
    before = parse(document)
    for position in range(len(document)):
        changed = bytearray(document)
        changed[position] ^= 1
        with contextlib.suppress(FormatError):
            assert parse(bytes(changed)) != before


def test_size(nitro_vendor: SimulatedNitroVendor) -> None:
    with pytest.raises(FormatError) as caught:
        parse(bytes(MAX_DOCUMENT_BYTES + 1))
    assert caught.value.reason == "cbor-size"
    with pytest.raises(FormatError) as caught:
        parse(bytes(MAX_DOCUMENT_BYTES))
    assert caught.value.reason == "cbor-trailing"


@pytest.mark.parametrize("length", [1, 256])
def test_module_ids(nitro_vendor: SimulatedNitroVendor, length: int) -> None:
    assert parse(nitro_vendor.document(DATA, members={"module_id": "i" * length})).module_id == "i" * length


@pytest.mark.parametrize("count", [1, 8])
def test_bundles(nitro_vendor: SimulatedNitroVendor, count: int) -> None:
    bundle = [bytes([number]) * 1024 for number in range(count)]
    parsed = parse(nitro_vendor.document(DATA, members={"cabundle": bundle, "certificate": b"c"}))
    assert parsed.chain == (b"c", *bundle[::-1])


@given(st.binary(max_size=600))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        parse(data)


@given(st.binary(max_size=60), st.integers(0, 2000), st.booleans())
def test_any_bytes_inside_a_document(document: bytes, data: bytes, at: int, insert: bool) -> None:
    with contextlib.suppress(FormatError):
        parse(document[:at] + data + document[at if insert else at + len(data) :])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.binary(max_size=60) | st.text(max_size=10) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=4),
    max_leaves=8,
)
NAMES = ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle", "public_key", "user_data", "nonce"]


@given(st.sampled_from(NAMES), VALUES)
def test_any_value_of_a_member(nitro_vendor: SimulatedNitroVendor, name: str, value: Any) -> None:
    with contextlib.suppress(FormatError):
        parse(nitro_vendor.document(DATA, members={name: value}, dumps=cbor2.dumps))


@given(VALUES, st.integers(0, 3))
def test_any_value_of_a_part(document: bytes, value: Any, part: int) -> None:
    parts = cbor2.loads(document)
    parts[part] = value
    with contextlib.suppress(FormatError):
        parse(cbor2.dumps(parts))
