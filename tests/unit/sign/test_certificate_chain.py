"""A CA of one's own: what verifies, and one refusal per rule of lamslsa/sign/certificate_chain.py."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.sign.certificate_chain import CertificateChainVerifier
from lamslsa.sign.dsse import pae
from lamslsa.sign.interface import Envelope, Material
from lamslsa.statement import PAYLOAD_TYPE

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'
CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
CA = x509.BasicConstraints(ca=True, path_length=None)

Key = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def usage(*names: str) -> x509.KeyUsage:
    every = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: name in names for name in every})


def issue(
    name: str,
    issuer: Pair | None,
    *extensions: tuple[x509.ExtensionType, bool],
    key: Key = None,
    start: dt.datetime = NOW - DAY,
    end: dt.datetime = NOW + DAY,
    algorithm: hashes.SHA224 | hashes.SHA256 | None = None,
    **options: Any,
) -> Pair:
    """A certificate with exactly these extensions; issued by itself where no issuer is given."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    signing = issuer.key if issuer else key
    if isinstance(signing, ed25519.Ed25519PrivateKey):
        return Pair(certificate=builder.sign(signing, None), key=key)
    return Pair(certificate=builder.sign(signing, algorithm or hashes.SHA256(), **options), key=key)


def authority(name: str, issuer: Pair | None = None, *others: tuple[x509.ExtensionType, bool], **options: Any) -> Pair:
    return issue(name, issuer, (CA, True), (usage("key_cert_sign", "crl_sign"), True), *others, **options)


def signer(issuer: Pair, name: str = "signer", **options: Any) -> Pair:
    extensions = (usage("digital_signature"), True), (x509.ExtendedKeyUsage([CODE_SIGNING]), False)
    return issue(name, issuer, *extensions, **options)


HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


def envelope(leaf: Pair, others: Sequence[Pair] = (), payload: bytes = PAYLOAD) -> Envelope:
    signature = leaf.key.sign(pae(PAYLOAD_TYPE, payload), ec.ECDSA(HASHES[leaf.key.curve.name]))
    return Envelope(
        payload=payload,
        payload_type=PAYLOAD_TYPE,
        signature=signature,
        material=Material(certificates=(leaf.der, *(other.der for other in others))),
    )


def verifier(*authorities: Pair, at: dt.datetime = NOW) -> CertificateChainVerifier:
    return CertificateChainVerifier.load(b"".join(item.pem for item in authorities), at=at)


def refusal(known: CertificateChainVerifier, presented: Envelope) -> str:
    with pytest.raises(LamslsaError) as caught:
        known.verify(presented)
    return caught.value.reason


@pytest.fixture(scope="module")
def root() -> Pair:
    return authority("root")


@pytest.fixture(scope="module")
def intermediate(root: Pair) -> Pair:
    return authority("intermediate", root)


@pytest.fixture(scope="module")
def leaf(intermediate: Pair) -> Pair:
    return signer(intermediate)


# what verifies


def test_a_leaf_below_an_intermediate(root: Pair, intermediate: Pair, leaf: Pair) -> None:
    found = verifier(root).verify(envelope(leaf, [intermediate]))
    assert (found.signer, found.key_id, found.witnessed.times) == ("CN=signer (CN=intermediate)", "", ())


def test_a_leaf_below_the_ca_itself(intermediate: Pair, leaf: Pair) -> None:
    verifier(intermediate).verify(envelope(leaf))


def test_the_root_may_come_along(root: Pair, intermediate: Pair, leaf: Pair) -> None:
    verifier(root).verify(envelope(leaf, [intermediate, root]))


def test_intermediates_in_any_order(root: Pair) -> None:
    chain = [authority("one", root)]
    for name in ("two", "three"):
        chain.append(authority(name, chain[-1]))
    verifier(root).verify(envelope(signer(chain[-1]), chain))


def test_one_of_several_cas(root: Pair, intermediate: Pair, leaf: Pair) -> None:
    verifier(authority("other"), root, authority("root")).verify(envelope(leaf, [intermediate]))


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_curves(curve: ec.EllipticCurve) -> None:
    ca = authority("ca", key=ec.generate_private_key(curve))
    verifier(ca).verify(envelope(signer(ca, key=ec.generate_private_key(curve))))


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def test_an_rsa_ca(rsa_key: rsa.RSAPrivateKey) -> None:
    ca = authority("ca", key=rsa_key)
    verifier(ca).verify(envelope(signer(ca)))
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
    verifier(ca).verify(envelope(signer(ca, rsa_padding=pss)))


@pytest.mark.parametrize(
    "extensions",
    [
        [(usage("digital_signature"), True)],
        [(x509.ExtendedKeyUsage([CODE_SIGNING]), False)],
        [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False)],
        [(usage("digital_signature"), True), (CA, True)],
        [(usage("digital_signature"), True), (x509.SubjectAlternativeName([x509.RFC822Name("a@b.test")]), True)],
    ],
)
def test_leaves_that_may_sign(intermediate: Pair, extensions: list[tuple[x509.ExtensionType, bool]]) -> None:
    verifier(intermediate).verify(envelope(issue("signer", intermediate, *extensions)))


# (1) and the signature


def test_a_signature_of_a_key(root: Pair, intermediate: Pair, leaf: Pair) -> None:
    presented = replace(envelope(leaf), material=Material(key_hint="ab" * 32))
    assert refusal(verifier(root), presented) == "signature-key"


@pytest.mark.parametrize("der", [b"", b"junk", b"\x30\x00"])
def test_a_certificate_that_is_none(root: Pair, leaf: Pair, intermediate: Pair, der: bytes) -> None:
    for certificates in ((der,), (leaf.der, der), (leaf.der, intermediate.der, der)):
        presented = replace(envelope(leaf), material=Material(certificates=certificates))
        assert refusal(verifier(root), presented) == "chain-certificate"


def test_a_version_that_is_none(root: Pair, intermediate: Pair, leaf: Pair) -> None:
    versioned = leaf.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x2a", 1)
    assert versioned != leaf.der
    presented = replace(envelope(leaf), material=Material(certificates=(versioned, intermediate.der)))
    assert refusal(verifier(root), presented) == "chain-certificate"
    other = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(versioned) + b"-----END CERTIFICATE-----\n"
    with pytest.raises(FormatError) as caught:
        CertificateChainVerifier.load(other, at=NOW)
    assert caught.value.reason == "ca-pem"


def test_another_payload(root: Pair, intermediate: Pair, leaf: Pair) -> None:
    presented = replace(envelope(leaf, [intermediate]), payload=PAYLOAD + b" ")
    assert refusal(verifier(root), presented) == "signature"


def test_another_payload_type(root: Pair, intermediate: Pair, leaf: Pair) -> None:
    presented = replace(
        envelope(leaf, [intermediate]),
        payload_type="text/plain",
        signature=leaf.key.sign(pae("text/plain", PAYLOAD), ec.ECDSA(hashes.SHA256())),
    )
    assert refusal(verifier(root), presented) == "envelope-payload-type"


def test_the_signature_of_an_intermediate(root: Pair, intermediate: Pair, leaf: Pair) -> None:
    presented = replace(envelope(leaf, [intermediate]), signature=envelope(intermediate).signature)
    assert refusal(verifier(root), presented) == "signature"


def test_another_leaf_of_the_same_ca(root: Pair, intermediate: Pair, leaf: Pair) -> None:
    presented = replace(envelope(leaf, [intermediate]), signature=envelope(signer(intermediate)).signature)
    assert refusal(verifier(root), presented) == "signature"


def test_a_leaf_with_another_kind_of_key(intermediate: Pair) -> None:
    odd = signer(intermediate, key=ed25519.Ed25519PrivateKey.generate())
    material = Material(certificates=(odd.der,))
    presented = Envelope(payload=PAYLOAD, payload_type=PAYLOAD_TYPE, signature=b"x", material=material)
    assert refusal(verifier(intermediate), presented) == "chain-key"


# (2) the path


def test_another_root_of_the_same_name(intermediate: Pair, leaf: Pair, root: Pair) -> None:
    assert refusal(verifier(authority("root")), envelope(leaf, [intermediate, root])) == "chain-path"


def test_an_intermediate_of_the_same_name(root: Pair, leaf: Pair) -> None:
    assert refusal(verifier(root), envelope(leaf, [authority("intermediate", root)])) == "chain-path"


def test_no_intermediate(root: Pair, leaf: Pair) -> None:
    assert refusal(verifier(root), envelope(leaf)) == "chain-path"


def test_a_leaf_that_certifies_itself(root: Pair) -> None:
    own = issue("root", None, (usage("digital_signature"), True))
    assert refusal(verifier(root), envelope(own)) == "chain-path"
    assert refusal(verifier(root), envelope(own, [own])) == "chain-path"


def test_the_ca_as_the_signer(root: Pair) -> None:
    assert refusal(verifier(root), envelope(root)) == "chain-path"


def test_a_ring(root: Pair) -> None:
    one = authority("one")
    two = authority("two", one)
    again = authority("one", two, key=one.key)
    assert refusal(verifier(root), envelope(signer(again), [again, two])) == "chain-path"


def test_other_hashes(intermediate: Pair) -> None:
    weak = signer(intermediate, algorithm=hashes.SHA224())
    assert refusal(verifier(intermediate), envelope(weak)) == "chain-path"


def test_weak_rsa() -> None:
    ca = authority("ca", key=rsa.generate_private_key(65537, 1024))
    assert refusal(verifier(ca), envelope(signer(ca))) == "chain-path"


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP256K1()), ed25519.Ed25519PrivateKey.generate()], ids=["k1", "ed25519"]
)
def test_other_keys_of_issuers(root: Pair, key: Key) -> None:
    odd = authority("odd", root, key=key)
    assert refusal(verifier(root), envelope(signer(odd), [odd])) == "chain-path"


# (3) issuers and windows


@pytest.mark.parametrize(
    "extensions",
    [
        pytest.param([], id="nothing"),
        pytest.param([(usage("key_cert_sign"), True)], id="no basic constraints"),
        pytest.param([(x509.BasicConstraints(ca=False, path_length=None), True)], id="no CA"),
        pytest.param([(CA, True), (usage("digital_signature"), True)], id="may not certify"),
        pytest.param([(CA, True), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)], id="servers"),
        pytest.param(
            [(CA, True), (x509.NameConstraints(None, [x509.DNSName("a.test")]), False)], id="name constraints"
        ),
        pytest.param(
            [(CA, True), (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.9.9"), b""), True)], id="critical"
        ),
    ],
)
def test_intermediates_that_may_not_issue(root: Pair, extensions: list[tuple[x509.ExtensionType, bool]]) -> None:
    odd = issue("odd", root, *extensions)
    assert refusal(verifier(root), envelope(signer(odd), [odd])) == "chain-path"


def test_a_leaf_as_an_intermediate(root: Pair, intermediate: Pair, leaf: Pair) -> None:
    assert refusal(verifier(root), envelope(signer(leaf), [leaf, intermediate])) == "chain-path"


def test_a_ca_without_key_usage_may_issue(root: Pair) -> None:
    bare = issue("bare", root, (CA, True))
    verifier(root).verify(envelope(signer(bare), [bare]))


def test_path_length() -> None:
    root = issue("root", None, (x509.BasicConstraints(ca=True, path_length=1), True))
    one = authority("one", root)
    two = authority("two", one)
    verifier(root).verify(envelope(signer(one), [one]))
    assert refusal(verifier(root), envelope(signer(two), [two, one])) == "chain-path"


def test_an_unknown_restriction_on_the_leaf(intermediate: Pair) -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.9.9"), b"")
    usual = (usage("digital_signature"), True)
    verifier(intermediate).verify(envelope(issue("signer", intermediate, usual, (unknown, False))))
    odd = issue("signer", intermediate, usual, (unknown, True))
    assert refusal(verifier(intermediate), envelope(odd)) == "chain-path"


@pytest.mark.parametrize("place", ["root", "intermediate", "leaf"])
@pytest.mark.parametrize("window", [(NOW - 2 * DAY, NOW - DAY), (NOW + DAY, NOW + 2 * DAY)], ids=["past", "future"])
def test_windows(place: str, window: tuple[dt.datetime, dt.datetime]) -> None:
    dates: dict[str, Any] = {name: {"start": NOW - DAY, "end": NOW + DAY} for name in ("root", "intermediate", "leaf")}
    dates[place] = {"start": window[0], "end": window[1]}
    root = authority("root", **dates["root"])
    middle = authority("intermediate", root, **dates["intermediate"])
    presented = envelope(signer(middle, **dates["leaf"]), [middle])
    assert refusal(verifier(root), presented) == "chain-window"


def test_a_window_is_judged_at_the_time_given(root: Pair, intermediate: Pair, leaf: Pair) -> None:
    presented = envelope(leaf, [intermediate])
    for at in (NOW - DAY, NOW + DAY):
        verifier(root, at=at).verify(presented)
    for at in (NOW - DAY - dt.timedelta(seconds=1), NOW + DAY + dt.timedelta(seconds=1)):
        assert refusal(verifier(root, at=at), presented) == "chain-window"


# (4) the leaf


@pytest.mark.parametrize(
    "extensions",
    [
        pytest.param([], id="says nothing"),
        pytest.param([(usage("key_agreement"), True)], id="agreement"),
        pytest.param([(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)], id="servers"),
        pytest.param(
            [(usage("digital_signature"), True), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)],
            id="signs data, clients only",
        ),
        pytest.param(
            [(usage("key_agreement"), True), (x509.ExtendedKeyUsage([CODE_SIGNING]), False)], id="code, agreement only"
        ),
    ],
)
def test_leaves_that_may_not_sign(intermediate: Pair, extensions: list[tuple[x509.ExtensionType, bool]]) -> None:
    odd = issue("signer", intermediate, *extensions)
    assert refusal(verifier(intermediate), envelope(odd)) == "chain-usage"


# the CAs of the user


def load_reason(pem: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        CertificateChainVerifier.load(pem, at=NOW)
    return caught.value.reason


def test_the_certificate_of_a_signer_is_no_ca(leaf: Pair) -> None:
    assert load_reason(leaf.pem) == "ca-certificate"


def test_one_that_is_no_ca_among_others(root: Pair, leaf: Pair) -> None:
    assert load_reason(root.pem + leaf.pem) == "ca-certificate"


def test_a_private_key_among_the_cas(root: Pair) -> None:
    private = root.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert load_reason(root.pem + private) == "ca-private-key"


@pytest.mark.parametrize("pem", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_pem(pem: bytes) -> None:
    assert load_reason(pem) == "ca-pem"


def test_another_block_among_the_cas(root: Pair) -> None:
    assert load_reason(root.pem + b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n") == "ca-pem"


def test_too_many_cas(root: Pair) -> None:
    assert load_reason(root.pem * 65) == "ca-pem"
    assert load_reason(root.pem + b"\n" * 300_000) == "ca-pem"


def test_an_error_is_one_of_ours(root: Pair, leaf: Pair) -> None:
    for position in range(0, len(leaf.der), 7):
        changed = leaf.der[:position] + bytes([leaf.der[position] ^ 0x55]) + leaf.der[position + 1 :]
        presented = replace(envelope(leaf), material=Material(certificates=(changed, changed)))
        with pytest.raises((FormatError, VerificationError)):
            verifier(root).verify(presented)
