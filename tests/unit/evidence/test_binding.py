from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa.errors import FormatError
from lamslsa.evidence.binding import device_nonce, report_data

ONE, TWO, THREE = (hashlib.sha256(text).hexdigest() for text in (b"statement one", b"statement two", b"device report"))
NONCE = bytes(range(32))
digests = st.lists(st.binary(min_size=32, max_size=32).map(bytes.hex), min_size=1, max_size=5)
nonces = st.binary(min_size=16, max_size=64)


def spelled_out(nonce: bytes, devices: list[str], statements: list[str]) -> bytes:
    """formats.md, word by word."""
    message = b"https://lamslsa.dev/report-data/v1" + b"\x0a"
    message += (3).to_bytes(4, "big")
    message += hashlib.sha256(nonce).digest()
    message += len(devices).to_bytes(4, "big") + b"".join(bytes.fromhex(item) for item in devices)
    message += len(statements).to_bytes(4, "big") + b"".join(bytes.fromhex(item) for item in statements)
    return hashlib.sha512(message).digest()


def test_known_answers() -> None:
    """Frozen: computed once by hand (printf and sha512sum); a change here is a new version of the format."""
    assert report_data(bytes(16), statements=["00" * 32]).hex() == (
        "21f9a5b5df2e87d130786f22cdbc5fe1e52c321cf3ae4a4c18a52a990d8cf69e84dda4618d58d0b3266364ca07751bc21fa74226a51843cad435d1627562bb6f"
    )
    assert report_data(NONCE, device_evidence=[THREE], statements=[ONE, TWO]).hex() == (
        "d3d9feb6fbed8b7a38f1f9c050c3d3718798ed37a3a2df15823e3b2aa83d8e818621e1f1242a2a23660dbf60fd867af15cf972515ca856e31674d93f9d64f58e"
    )
    assert (
        device_nonce(NONCE, statements=[ONE, TWO]).hex()
        == "9c27e877b6fe1a3dcb85b4485cb3ddb23ee8ce4cded9f915df158cafc4ee4531"
    )


def test_as_the_format_says() -> None:
    assert report_data(NONCE, statements=[ONE]) == spelled_out(NONCE, [], [ONE])
    assert report_data(NONCE, device_evidence=[THREE], statements=[ONE, TWO]) == spelled_out(NONCE, [THREE], [ONE, TWO])
    expected = hashlib.sha256(
        b"https://lamslsa.dev/device-nonce/v1\n"
        + hashlib.sha256(NONCE).digest()
        + struct.pack(">I", 1)
        + bytes.fromhex(ONE)
    )
    assert device_nonce(NONCE, statements=[ONE]) == expected.digest()


@given(nonces, digests, st.lists(st.binary(min_size=32, max_size=32).map(bytes.hex), max_size=3))
def test_agrees_with_the_spelled_out_form(nonce: bytes, statements: list[str], devices: list[str]) -> None:
    assert report_data(nonce, device_evidence=devices, statements=statements) == spelled_out(nonce, devices, statements)


@given(nonces, digests, nonces, digests)
def test_equal_only_for_equal_inputs(a: bytes, one: list[str], b: bytes, two: list[str]) -> None:
    assert (report_data(a, statements=one) == report_data(b, statements=two)) == ((a, one) == (b, two))


def test_order_membership_and_place_count() -> None:
    base = report_data(NONCE, statements=[ONE, TWO])
    others = {
        report_data(NONCE, statements=[TWO, ONE]),
        report_data(NONCE, statements=[ONE]),
        report_data(NONCE, statements=[ONE, TWO, TWO]),
        report_data(NONCE, device_evidence=[ONE], statements=[TWO]),
        report_data(NONCE[:-1] + b"\xff", statements=[ONE, TWO]),
        device_nonce(NONCE, statements=[ONE, TWO]),
    }
    assert len(others) == 6
    assert base not in others


@pytest.mark.parametrize("size", [0, 15, 65])
def test_nonce_size(size: int) -> None:
    for call in (report_data, device_nonce):
        with pytest.raises(FormatError) as caught:
            call(bytes(size), statements=[ONE])
        assert caught.value.reason == "evidence-nonce"


@pytest.mark.parametrize("size", [16, 64])
def test_nonce_size_edges(size: int) -> None:
    assert len(report_data(bytes(size), statements=[ONE])) == 64


def test_no_statement() -> None:
    for call in (report_data, device_nonce):
        with pytest.raises(FormatError) as caught:
            call(NONCE, statements=[])
        assert caught.value.reason == "evidence-binding-count"


def test_too_many() -> None:
    assert report_data(NONCE, statements=[ONE] * 1024)
    with pytest.raises(FormatError):
        report_data(NONCE, statements=[ONE] * 1025)
    with pytest.raises(FormatError):
        report_data(NONCE, device_evidence=[ONE] * 65, statements=[ONE])


@pytest.mark.parametrize("bad", ["", ONE.upper(), ONE[:-1], ONE + "0", "sha256:" + ONE, " " + ONE[1:], ONE[:-1] + "\n"])
def test_digest_spelling(bad: str) -> None:
    with pytest.raises(FormatError) as caught:
        report_data(NONCE, statements=[ONE, bad])
    assert caught.value.reason == "digest"
    with pytest.raises(FormatError):
        report_data(NONCE, device_evidence=[bad], statements=[ONE])
    with pytest.raises(FormatError):
        device_nonce(NONCE, statements=[bad])
