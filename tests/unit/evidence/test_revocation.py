"""Revocation lists that are held count for every certificate of their authority, and only for those."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from lamslsa.evidence.revocation import is_revoked, revocation_lists
from lamslsa.evidence.snp.collateral import render
from lamslsa.testing.simulated import SimulatedVendor

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
ROOT, CA, LEAF = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, by: ec.EllipticCurvePrivateKey, *, serial: int
) -> bytes:
    builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
    builder = builder.public_key(key.public_key()).serial_number(serial)
    builder = builder.not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
    return builder.sign(by, hashes.SHA256()).public_bytes(Encoding.DER)


PATH = (
    certificate("leaf", LEAF, "ca", CA, serial=7),
    certificate("ca", CA, "root", ROOT, serial=8),
    certificate("root", ROOT, "root", ROOT, serial=9),
)


def revoking(issuer: str, key: ec.EllipticCurvePrivateKey, *serials: int, issued: dt.datetime = NOW - DAY) -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(name(issuer))
    builder = builder.last_update(issued).next_update(issued + DAY)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(issued).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    "lists",
    [
        [revoking("ca", CA, 7)],
        [revoking("root", ROOT, 8)],
        [revoking("root", ROOT, 1, 2, 8, 3)],
        [b"noise", revoking("ca", CA), revoking("ca", CA, 7)],
        [revoking("other", CA, 7), revoking("ca", CA, 7)],
        [revoking("ca", LEAF, 7), revoking("ca", CA, 7)],
        [revoking("ca", CA, 7, issued=NOW + DAY), revoking("ca", CA, 7)],
        [revoking("ca", CA, 7, issued=NOW - 400 * DAY)],
        [revoking("ca", CA, 7, issued=NOW)],
    ],
)
def test_revoked(lists: Sequence[bytes]) -> None:
    assert is_revoked(PATH, lists, now=NOW)


@pytest.mark.parametrize(
    "lists",
    [
        [],
        [revoking("ca", CA)],
        [revoking("ca", CA, 8)],
        [revoking("root", ROOT, 7)],
        [revoking("ca", ROOT, 7)],
        [revoking("ca", LEAF, 7)],
        [revoking("other", CA, 7)],
        [revoking("ca", CA, 7, issued=NOW + dt.timedelta(seconds=1))],
        [b"", b"noise"],
    ],
)
def test_not_revoked(lists: Sequence[bytes]) -> None:
    assert not is_revoked(PATH, lists, now=NOW)


def test_lists_of_endorsements() -> None:
    dcap = revocation_lists(SimulatedVendor(NOW).collateral())
    assert len(dcap) == 2
    assert all(x509.load_der_x509_crl(der).last_update_utc <= NOW for der in dcap)
    assert revocation_lists(render(root=b"r", revocation_list=b"list")) == (b"list",)
    assert revocation_lists(render(root=b"r")) == ()
    assert revocation_lists(b"{}") == revocation_lists(b"") == ()


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(public_exponent=65537, key_size=2048), Ed25519PrivateKey.generate()]
)
def test_an_authority_with_another_kind_of_key_has_not_signed(key: rsa.RSAPrivateKey | Ed25519PrivateKey) -> None:
    builder = x509.CertificateBuilder().subject_name(name("ca")).issuer_name(name("ca")).public_key(key.public_key())
    builder = builder.serial_number(8).not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
    authority = builder.sign(key, hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey) else None)
    path = (PATH[0], authority.public_bytes(Encoding.DER))
    assert not is_revoked(path, [revoking("ca", CA, 7)], now=NOW)


def test_a_list_signed_with_an_algorithm_that_nobody_knows() -> None:
    """The name of ECDSA with SHA-256, twice in a list, with another last digit."""
    ecdsa = bytes.fromhex("06082a8648ce3d040302")
    changed = revoking("ca", CA, 7).replace(ecdsa, ecdsa[:-1] + b"\x7f")
    assert not is_revoked(PATH, [changed], now=NOW)
