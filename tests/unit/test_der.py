"""DER is written in its one spelling, as another implementation reads it."""

from __future__ import annotations

import pytest
from cryptography import x509

from lamslsa._der import element, integer, object_identifier, octets, sequence


@pytest.mark.parametrize(
    ("length", "head"),
    [(0, "0400"), (127, "047f"), (128, "048180"), (255, "0481ff"), (256, "04820100"), (65536, "0483010000")],
)
def test_lengths(length: int, head: str) -> None:
    assert octets(bytes(length)) == bytes.fromhex(head) + bytes(length)


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, "020100"), (127, "02017f"), (128, "02020080"), (255, "020200ff"), (256, "02020100")]
)
def test_integers_are_not_negative(value: int, encoded: str) -> None:
    assert integer(value).hex() == encoded


@pytest.mark.parametrize("dotted", ["1.2.840.113549.1.7.2", "2.16.840.1.101.3.4.2.1", "1.3.6.1.4.1.57264.1.15", "0.0"])
def test_object_identifiers(dotted: str) -> None:
    usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier(dotted)])
    assert sequence(object_identifier(dotted)) == usage.public_bytes()


def test_elements() -> None:
    assert sequence(element(0xA0, b"x"), octets(b"")) == bytes.fromhex("3005a001780400")
