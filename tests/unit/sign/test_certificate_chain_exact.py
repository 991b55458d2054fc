"""A CA of one's own: limits to the last one that is taken, and certificates that fail when somebody looks closer."""

from __future__ import annotations

import base64
import dataclasses

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from lamslsa.errors import FormatError
from lamslsa.sign import certificate_chain
from lamslsa.sign.certificate_chain import CertificateChainVerifier
from lamslsa.sign.interface import Material
from tests.unit.sign.test_certificate_chain import (
    NOW,
    Pair,
    authority,
    envelope,
    issue,
    refusal,
    signer,
    usage,
    verifier,
)

_P256 = bytes.fromhex("06082a8648ce3d030107")


@pytest.fixture(scope="module")
def root() -> Pair:
    return authority("root")


def test_how_much_pem_there_may_be(root: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = root.pem * 2
    monkeypatch.setattr(certificate_chain, "_MAX_PEM_BYTES", len(pem))
    monkeypatch.setattr(certificate_chain, "_MAX_AUTHORITIES", 2)
    CertificateChainVerifier.load(pem, at=NOW).verify(envelope(signer(root)))
    for name, limit in (("_MAX_PEM_BYTES", len(pem) - 1), ("_MAX_AUTHORITIES", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(certificate_chain, name, limit)
            with pytest.raises(FormatError) as caught:
                CertificateChainVerifier.load(pem, at=NOW)
            assert caught.value.reason == "ca-pem"


def test_a_ca_that_allows_no_other_below_it() -> None:
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    ca = issue("ca", None, (constraints, True), (usage("key_cert_sign"), True))
    verifier(ca).verify(envelope(signer(ca)))
    between = authority("between", ca)
    assert refusal(verifier(ca), envelope(signer(between), [between])) == "chain-path"


def test_an_impostor_goes_first(root: Pair) -> None:
    """Of two CAs with one name the first did not sign, which hides the second one as little as a chain's impostor."""
    verifier(authority("root"), root).verify(envelope(signer(root)))
    between = authority("between", root)
    verifier(root).verify(envelope(signer(between), [authority("between", root), between]))


@pytest.mark.parametrize("oid", [ExtensionOID.KEY_USAGE, ExtensionOID.SUBJECT_ALTERNATIVE_NAME])
def test_an_extension_that_cannot_be_read(root: Pair, oid: x509.ObjectIdentifier) -> None:
    leaf = issue("signer", root, (x509.UnrecognizedExtension(oid, b"junk"), False))
    assert refusal(verifier(root), envelope(leaf)) == "chain-certificate"


def test_a_key_that_cannot_be_read(root: Pair) -> None:
    leaf = signer(root)
    der = leaf.der.replace(_P256, _P256[:-1] + b"\x63")
    assert der != leaf.der
    presented = dataclasses.replace(envelope(leaf), material=Material(certificates=(der,)))
    assert refusal(verifier(root), presented) == "chain-certificate"
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
    with pytest.raises(FormatError) as caught:
        CertificateChainVerifier.load(pem, at=NOW)
    assert caught.value.reason == "chain-certificate"
