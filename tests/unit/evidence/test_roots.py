from __future__ import annotations

import datetime as dt
import hashlib
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from lamslsa.errors import FormatError
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence.roots import (
    INTEL_SGX_ROOT,
    VENDOR_ROOTS,
    RootOf,
    is_any_vendor_root,
    is_vendor_root,
    load_root,
    root_of,
)
from lamslsa.testing.simulated import SimulatedVendor

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def certificate(key: Key, *, ca: bool | None = True, issuer: str = "root", signed_by: Key | None = None) -> bytes:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return builder.sign(signed_by or key, hashes.SHA256()).public_bytes(Encoding.DER)


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def test_intels_root_is_the_published_one() -> None:
    assert INTEL_SGX_ROOT.sha256 == "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
    assert hashlib.sha256(INTEL_SGX_ROOT.der).hexdigest() == INTEL_SGX_ROOT.sha256
    name = x509.load_der_x509_certificate(INTEL_SGX_ROOT.der).subject.rfc4514_string()
    assert name == "C=US,ST=CA,L=Santa Clara,O=Intel Corporation,CN=Intel SGX Root CA"
    assert set(VENDOR_ROOTS["sgx"]) == set(VENDOR_ROOTS["tdx"]) == {INTEL_SGX_ROOT.sha256}


def test_every_fingerprint_is_one_and_stands_for_one_kind_of_vendor() -> None:
    kinds: dict[str, set[str]] = {}
    for kind, roots in VENDOR_ROOTS.items():
        for fingerprint, name in roots.items():
            assert re.fullmatch(r"[0-9a-f]{64}", fingerprint)
            assert name
            kinds.setdefault(fingerprint, set()).add(kind)
    assert all(found in ({"sgx", "tdx"}, {next(iter(found))}) for found in kinds.values())


@pytest.mark.parametrize("kind", list(VENDOR_ROOTS))
def test_a_vendors_root_is_hardware_for_its_own_kind_only(kind: RootOf) -> None:
    for other, roots in VENDOR_ROOTS.items():
        for fingerprint in roots:
            assert is_vendor_root(fingerprint, of=kind) is (fingerprint in VENDOR_ROOTS[kind]), other
            assert is_any_vendor_root(fingerprint)


def test_only_vendors_are_vendors(vendor: SimulatedVendor) -> None:
    for fingerprint in (INTEL_SGX_ROOT.sha256.upper(), "", vendor.root.sha256):
        assert not is_any_vendor_root(fingerprint)
        assert not is_vendor_root(fingerprint, of="sgx")


def test_load_der_and_pem(vendor: SimulatedVendor) -> None:
    assert load_root(vendor.root.der) == vendor.root
    assert load_root(render_chain([vendor.root.der])) == vendor.root


def test_the_fingerprint_is_that_of_the_certificate(vendor: SimulatedVendor) -> None:
    assert root_of(vendor.root.der).sha256 == hashlib.sha256(vendor.root.der).hexdigest()


def test_pem_without_its_last_line_break(vendor: SimulatedVendor) -> None:
    assert load_root(render_chain([vendor.root.der]).removesuffix(b"\n")) == vendor.root


def refusals() -> dict[str, bytes]:
    key = p256()
    return {
        "empty": b"",
        "junk": b"junk",
        "pem junk": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "two": render_chain([certificate(key), certificate(key)]),
        "end entity": certificate(key, ca=False),
        "no constraints": certificate(key, ca=None),
        "another issuer": certificate(key, issuer="other"),
        "signed by another": certificate(key, signed_by=p256()),
        "P-521": certificate(ec.generate_private_key(ec.SECP521R1())),
        "RSA of 2048 bits": certificate(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        "trailing": certificate(key) + b"\0",
    }


@pytest.mark.parametrize("name", refusals())
def test_refused(name: str) -> None:
    with pytest.raises(FormatError) as caught:
        load_root(refusals()[name])
    assert caught.value.reason in ("root-certificate", "pem-chain")


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=3072),
    ],
    ids=["P-384", "RSA of 3072 bits"],
)
def test_keys_of_the_other_formats(key: Key) -> None:
    der = certificate(key)
    assert load_root(der).der == der


def test_size() -> None:
    with pytest.raises(FormatError, match="at most 16384 bytes") as caught:
        load_root(bytes(16 * 1024 + 1))
    assert caught.value.reason == "root-certificate"
    with pytest.raises(FormatError, match="expected a self-signed CA certificate"):
        load_root(bytes(16 * 1024))


def test_two_certificates_are_refused_for_being_two() -> None:
    key = p256()
    with pytest.raises(FormatError, match="expected exactly one certificate, got 2") as caught:
        load_root(render_chain([certificate(key), certificate(key)]))
    assert caught.value.reason == "root-certificate"


def test_an_intermediate_is_no_root(vendor: SimulatedVendor) -> None:
    with pytest.raises(FormatError):
        load_root(vendor.chain[1])


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(FormatError):
        load_root(data)
