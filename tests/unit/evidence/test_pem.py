from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa.errors import FormatError
from lamslsa.evidence._pem import parse_chain, render_chain

DER = bytes(range(100))
PEM = render_chain([DER])


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=8))
def test_round_trip(certificates: list[bytes]) -> None:
    assert parse_chain(render_chain(certificates), what="a test") == tuple(certificates)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        assert render_chain(parse_chain(data, what="a test")) == data


def test_any_byte_changed() -> None:
    for position in range(len(PEM)):
        for bit in range(8):
            changed = bytearray(PEM)
            changed[position] ^= 1 << bit
            with contextlib.suppress(FormatError):
                assert parse_chain(bytes(changed), what="a test") != (DER,)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PEM + b"\n",
        b"\n" + PEM,
        PEM[:-1],
        PEM.replace(b"\n", b"\r\n"),
        PEM + b"text\n" + PEM,
        PEM.replace(b"CERTIFICATE", b"X509 CRL"),
        PEM.replace(b"\n", b"", 1),
        b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(DER) + b"\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n",
        PEM * 9,
    ],
)
def test_other_spellings(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        parse_chain(data, what="a test")
    assert caught.value.reason == "pem-chain"


@given(
    st.lists(st.binary(min_size=1, max_size=120), min_size=1, max_size=3),
    st.integers(0, 10_000),
    st.integers(0, 3),
    st.sampled_from([b"", b"=", b"\n", b"A", b"==", b"A\n", b"-"]),
)
def test_what_is_accepted_is_spelt_as_it_is_rendered(
    certificates: list[bytes], place: int, cut: int, put: bytes
) -> None:
    text = render_chain(certificates)
    at = place % len(text)
    changed = text[:at] + put + text[at + cut :]
    with contextlib.suppress(FormatError):
        assert render_chain(parse_chain(changed, what="a test")) == changed


@pytest.mark.parametrize("size", [1, 46, 47, 48, 49, 94, 95, 96, 97])
def test_a_line_has_64_characters_padding_included(size: int) -> None:
    text = render_chain([bytes(size)])
    assert parse_chain(text, what="a test") == (bytes(size),)
    for more in (b"=", b"==", b"AAAA"):
        with pytest.raises(FormatError):
            parse_chain(render_chain([bytes(48)]).replace(b"\n-----END", more + b"\n-----END"), what="a test")
