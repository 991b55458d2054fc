"""A SIGSTRUCT is whole or refused, and says of a measurement no more than its masks fix."""

from __future__ import annotations

import datetime as dt
import hashlib
import struct
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.evidence.sgx.sigstruct import SIGSTRUCT_BYTES, verify

Make = Callable[..., bytes]

HEADER = bytes.fromhex("06000000e10000000000010000000000")
HEADER2 = bytes.fromhex("01010000600000006000000001000000")
ATTRIBUTES = bytes.fromhex("0400000000000000e700000000000000")
MASK = bytes.fromhex("ffffffffffffffff1bffffffffffffff")
RESERVED = (*range(44, 128), 910, 911, *range(992, 1008), *range(1028, 1040))


@pytest.fixture(scope="session")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=3, key_size=3072)


@pytest.fixture(scope="session")
def make(key: rsa.RSAPrivateKey) -> Make:
    """A signed SIGSTRUCT; ``patch`` changes bytes before it is signed."""

    def made(*, patch: dict[int, bytes] | None = None, signer: rsa.RSAPrivateKey = key) -> bytes:
        modulus = signer.public_key().public_numbers().n
        data = bytearray(SIGSTRUCT_BYTES)
        fields = {0: HEADER, 20: struct.pack("<I", 0x20261122), 24: HEADER2, 904: b"\xff" * 4, 928: ATTRIBUTES}
        fields |= {944: MASK, 960: b"\x11" * 32, 1024: struct.pack("<HH", 7, 3)}
        fields |= {128: modulus.to_bytes(384, "little"), 512: struct.pack("<I", 3)}
        for at, value in (fields | (patch or {})).items():
            data[at : at + len(value)] = value
        signature = signer.sign(bytes(data[:128] + data[900:1028]), padding.PKCS1v15(), hashes.SHA256())
        number = int.from_bytes(signature, "big")
        first = number * number // modulus
        second = (number**3 - first * number * modulus) // modulus
        for at, part in ((516, number), (1040, first), (1424, second)):
            data[at : at + 384] = part.to_bytes(384, "little")
        return bytes(data)

    return made


def changed(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def refusal(data: bytes) -> tuple[type[LamslsaError], str]:
    with pytest.raises(LamslsaError) as caught:
        verify(data)
    return type(caught.value), caught.value.reason


def test_what_it_says(make: Make, key: rsa.RSAPrivateKey) -> None:
    found = verify(make())
    modulus = key.public_key().public_numbers().n.to_bytes(384, "little")
    assert found.mr_enclave == b"\x11" * 32
    assert found.mr_signer == hashlib.sha256(modulus).digest()
    assert (found.isv_prod_id, found.isv_svn) == (7, 3)
    assert (found.attributes, found.attributes_mask) == (ATTRIBUTES, MASK)
    assert (found.misc_select, found.misc_mask) == (bytes(4), b"\xff" * 4)
    assert found.date == dt.date(2026, 11, 22)
    assert not found.debug
    assert found.open_bits == bytes.fromhex("0000000000000000e400000000000000")


def test_free_fields_are_free(make: Make) -> None:
    intel = make(patch={16: struct.pack("<I", 0x8086), 40: b"soft", 908: b"\x01\x01", 912: b"f" * 16, 1008: b"p" * 16})
    assert verify(intel).mr_enclave == b"\x11" * 32


def test_a_date_that_is_none(make: Make) -> None:
    for number in (0, 0x20261340, 0x2026ABCD, 0xFFFFFFFF):
        assert verify(make(patch={20: struct.pack("<I", number)})).date is None


@pytest.mark.parametrize("size", [0, 1, 1807, 1809, 3616])
def test_size(make: Make, size: int) -> None:
    assert refusal((make() * 2)[:size]) == (FormatError, "sigstruct-size")


@pytest.mark.parametrize("at", [0, 4, 15, 16, 19, 24, 39])
def test_headers(make: Make, at: int) -> None:
    assert refusal(make(patch={at: b"\x07"})) == (FormatError, "sigstruct-header")


@pytest.mark.parametrize("at", RESERVED)
def test_reserved_bytes(make: Make, at: int) -> None:
    assert refusal(changed(make(), at, b"\x80")) == (FormatError, "sigstruct-reserved")


@pytest.mark.parametrize(
    ("at", "value"),
    [(512, struct.pack("<I", 65537)), (512, bytes(4)), (128, bytes(384)), (511, b"\x7f"), (128, b"\x00")],
)
def test_key(make: Make, at: int, value: bytes) -> None:
    assert refusal(changed(make(), at, value)) == (FormatError, "sigstruct-key")


@pytest.mark.parametrize("at", [20, 40, 43, 900, 904, 908, 912, 928, 936, 944, 960, 991, 1008, 1024, 1026, 1027])
def test_a_signed_byte(make: Make, at: int) -> None:
    data = make()
    assert refusal(changed(data, at, bytes([data[at] ^ 1]))) == (VerificationError, "evidence-sigstruct-signature")


@pytest.mark.parametrize("at", [130, 300, 516, 899])
def test_key_or_signature_of_another(make: Make, at: int) -> None:
    data = make()
    assert refusal(changed(data, at, bytes([data[at] ^ 1]))) == (VerificationError, "evidence-sigstruct-signature")
    assert refusal(changed(data, 516, b"\xff" * 384)) == (VerificationError, "evidence-sigstruct-signature")


@pytest.mark.parametrize("at", [1040, 1423, 1424, 1807])
def test_quotients(make: Make, at: int) -> None:
    data = make()
    assert refusal(changed(data, at, bytes([data[at] ^ 1]))) == (VerificationError, "evidence-sigstruct-quotients")


@settings(max_examples=60)
@given(bit=st.integers(0, SIGSTRUCT_BYTES * 8 - 1))
def test_any_bit(make: Make, bit: int) -> None:
    data = bytearray(make())
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(LamslsaError):
        verify(bytes(data))


@given(data=st.binary(max_size=2000) | st.binary(min_size=SIGSTRUCT_BYTES, max_size=SIGSTRUCT_BYTES))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(LamslsaError):
        verify(data)


def test_the_measurement_by_default(make: Make) -> None:
    proposal = verify(make()).proposal()
    assert proposal.complete({}).parts == {
        "mrEnclave": "11" * 32,
        "mrSigner": proposal.parts["mrSigner"],
        "attributes": "05" + ATTRIBUTES.hex()[2:],
        "miscSelect": "00" * 4,
        "configId": "00" * 64,
    }
    assert proposal.minimum_svns == {"isvSvn": 3}
    assert proposal.tee == "sgx"


@pytest.mark.parametrize("attributes", ["05000000000000000300000000000000", "0500000000000000e700000000000000"])
def test_open_bits_may_be_given(make: Make, attributes: str) -> None:
    assert verify(make()).proposal().complete({"attributes": attributes}).parts["attributes"] == attributes


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("attributes", "0400000000000000e700000000000000"),  # an enclave that runs is initialised
        ("attributes", "0700000000000000e700000000000000"),  # debug
        ("attributes", "0500000000000000e600000000000000"),
        ("attributes", "0500000000000000e701000000000000"),
        ("attributes", "8500000000000000e700000000000000"),
        ("miscSelect", "00000001"),
    ],
)
def test_bits_that_the_mask_fixes(make: Make, part: str, value: str) -> None:
    with pytest.raises(FormatError) as caught:
        verify(make()).proposal().complete({part: value})
    assert caught.value.reason == "measurement-part-mask"


def test_no_mask_opens_debug_or_init(make: Make) -> None:
    proposal = verify(make(patch={944: bytes(16), 904: bytes(4)})).proposal()
    free = "05" + "ff" * 15
    assert proposal.complete({"attributes": free, "miscSelect": "ff" * 4}).parts["attributes"] == free
    for first in ("04", "07", "06"):
        with pytest.raises(FormatError) as caught:
            proposal.complete({"attributes": first + "00" * 15})
        assert caught.value.reason == "measurement-part-mask"


@pytest.mark.parametrize("part", ["mrEnclave", "mrSigner"])
def test_what_is_signed_is_not_given(make: Make, part: str) -> None:
    with pytest.raises(FormatError) as caught:
        verify(make()).proposal().complete({part: "33" * 32})
    assert caught.value.reason == "measurement-part-twice"


def test_a_debug_enclave_has_no_measurement(make: Make) -> None:
    found: Any = verify(make(patch={928: b"\x06"}))
    assert found.debug
    with pytest.raises(FormatError) as caught:
        found.proposal()
    assert caught.value.reason == "sigstruct-debug"
