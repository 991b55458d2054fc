"""A certificate authority for identities (Fulcio's API v2) and its certificate transparency log.

Specifications: github.com/sigstore/fulcio docs/oid-info.md (extensions), certificate-specification.md; RFC 6962 (SCT).
"""

from __future__ import annotations

import base64
import datetime as dt
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from lamslsa._der import element, octets
from lamslsa.testing.sigstore._http import RefusedError, Reply, Request, Route, json_reply, object_of
from lamslsa.testing.sigstore._pki import Authority, PublicKey, fingerprint, key_usage, make_root, pem, sign
from lamslsa.testing.sigstore.clock import Clock
from lamslsa.testing.sigstore.faults import Faults
from lamslsa.testing.sigstore.oidc import Issuer

__all__ = ["CertificateAuthority", "TransparencyLog"]

_ARC: Final = "1.3.6.1.4.1.57264.1"
_SCT_LIST: Final = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_UTF8_STRING: Final = 0x0C
_GITHUB: Final = "https://github.com/"
# Claims of GitHub: arcs of the extensions that hold them bare (deprecated), and as UTF8String after a prefix.
_EXTENSIONS: Final[tuple[tuple[str, int | None, int | None, str], ...]] = (
    ("event_name", 2, 20, ""),
    ("sha", 3, 13, ""),
    ("workflow", 4, None, ""),
    ("repository", 5, 12, _GITHUB),
    ("ref", 6, 14, ""),
    ("job_workflow_ref", None, 9, _GITHUB),
    ("job_workflow_sha", None, 10, ""),
    ("runner_environment", None, 11, ""),
    ("repository_id", None, 15, ""),
    ("repository_owner", None, 16, _GITHUB),
    ("repository_owner_id", None, 17, ""),
    ("workflow_ref", None, 18, _GITHUB),
    ("workflow_sha", None, 19, ""),
    ("repository_visibility", None, 22, ""),
)


class TransparencyLog:
    """Promises to log precertificates (RFC 6962 section 3.2); it keeps none.

    Args:
        clock: dates promises.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """What its promises are verified with."""
        return self._key.public_key()

    def promise(self, precertificate: bytes, issuer: ec.EllipticCurvePublicKey) -> bytes:
        """The SCT over a TBSCertificate, as the list that a certificate embeds (section 3.3)."""
        milliseconds = int(self.clock.now().timestamp() * 1000)
        signed = struct.pack("!BBQH", 0, 0, milliseconds, 1) + fingerprint(issuer)
        signed += len(precertificate).to_bytes(3, "big") + precertificate + b"\0\0"
        signature = sign(self._key, signed)
        promise = b"\0" + fingerprint(self.public_key) + struct.pack("!QH", milliseconds, 0)
        promise += b"\4\3" + struct.pack("!H", len(signature)) + signature  # SHA-256, ECDSA
        entries = struct.pack("!H", len(promise)) + promise
        return octets(struct.pack("!H", len(entries)) + entries)


class CertificateAuthority:
    """Binds a key to the identity of a token, for a few minutes.

    Args:
        issuer: whose tokens it accepts.
        faults: what goes wrong.
        clock: dates certificates, and says whether a token is valid.
        log: promises to log them.
        lifetime: of certificates.
    """

    def __init__(
        self, issuer: Issuer, faults: Faults, clock: Clock, log: TransparencyLog, *, lifetime: dt.timedelta
    ) -> None:
        self.clock = clock
        self.lifetime = lifetime
        self.log = log
        self._issuer = issuer
        self._faults = faults
        root = make_root("sigstore-root", now=clock.now(), path_length=1)
        self._authority = root.below("sigstore-intermediate", path_length=0, now=clock.now())
        self._foreign = make_root("sigstore-intermediate", now=clock.now(), path_length=0)
        self._foreign_log = TransparencyLog(log.clock)
        self.chain = (self._authority.certificate, root.certificate)

    @property
    def routes(self) -> tuple[Route, ...]:
        """What it answers."""
        return (
            Route(endpoint="fulcio", method="POST", path="/api/v2/signingCert", answer=self._answer),
            Route(endpoint="trust-bundle", method="GET", path="/api/v2/trustBundle", answer=self._trust_bundle),
        )

    def _trust_bundle(self, _: Request) -> Reply:
        return json_reply({"chains": [{"certificates": [pem(certificate) for certificate in self.chain]}]})

    def _answer(self, request: Request) -> Reply:
        asked = object_of(request.body)
        token = request.bearer or asked.get("credentials", {}).get("oidcIdentityToken", "")
        claims = self._issuer.verify(token, at=self.clock.now())
        csr = x509.load_pem_x509_csr(base64.b64decode(asked["certificateSigningRequest"]))
        if not csr.is_signature_valid:
            raise RefusedError("The signature supplied in the request could not be verified")
        key = csr.public_key()
        if not isinstance(key, PublicKey):
            raise RefusedError("The public key supplied in the request is of no supported type")
        certificates = (self.issue(key, claims), *self.chain)
        chain = {"certificates": [pem(certificate) for certificate in certificates]}
        return json_reply({"signedCertificateEmbeddedSct": {"chain": chain}}, status=201)

    def issue(self, key: PublicKey, claims: Mapping[str, Any]) -> x509.Certificate:
        """A certificate for the identity that these claims name."""
        if self._faults.lies("certificate-other-identity"):
            claims = {"iss": claims["iss"], "sub": "https://ci.example.test/somebody-else"}
        if self._faults.lies("certificate-other-issuer"):
            claims = {**claims, "iss": "https://issuer.example"}
        if self._faults.lies("certificate-other-key"):
            key = ec.generate_private_key(ec.SECP256R1()).public_key()
        authority = self._foreign if self._faults.lies("certificate-foreign") else self._authority
        builder = self._builder(key, claims, authority)
        if self._faults.lies("sct-missing"):
            return builder.sign(authority.key, hashes.SHA384())
        promised = builder
        if self._faults.lies("sct-other-certificate"):
            promised = self._builder(key, {**claims, "sub": "https://other.example", "email": None}, authority)
        log = self._foreign_log if self._faults.lies("sct-foreign") else self.log
        precertificate = promised.sign(authority.key, hashes.SHA384()).tbs_certificate_bytes
        promise = log.promise(precertificate, authority.key.public_key())
        builder = builder.add_extension(x509.UnrecognizedExtension(_SCT_LIST, promise), critical=False)
        return builder.sign(authority.key, hashes.SHA384())

    def _builder(self, key: PublicKey, claims: Mapping[str, Any], authority: Authority) -> x509.CertificateBuilder:
        start = self.clock.now().replace(microsecond=0)
        builder = x509.CertificateBuilder(
            subject_name=x509.Name([]),
            issuer_name=authority.certificate.subject,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=start,
            not_valid_after=start + self.lifetime,
        )
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
        name = x509.SubjectAlternativeName([_identity(claims)])
        builder = (
            builder.add_extension(key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(identifier, critical=False)
            .add_extension(name, critical=True)  # RFC 5280 section 4.2.1.6, as the subject is empty
        )
        for arc, value in _extensions(claims):
            extension = x509.UnrecognizedExtension(ObjectIdentifier(f"{_ARC}.{arc}"), value)
            builder = builder.add_extension(extension, critical=False)
        return builder


def _identity(claims: Mapping[str, Any]) -> x509.GeneralName:
    """Who signs: the person's verified address, the workflow of GitHub, or else the subject of the token."""
    if claims.get("email"):
        if claims.get("email_verified") is not True:
            raise RefusedError("expected a verified email address", status=401)
        return x509.RFC822Name(claims["email"])
    if "job_workflow_ref" in claims:
        return x509.UniformResourceIdentifier(f"{_GITHUB}{claims['job_workflow_ref']}")
    return x509.UniformResourceIdentifier(claims["sub"])


def _extensions(claims: Mapping[str, Any]) -> Iterator[tuple[int, bytes]]:
    """Arc and value of each extension."""
    yield 1, claims["iss"].encode()
    yield 8, _utf8(claims["iss"])
    for claim, bare, encoded, prefix in _EXTENSIONS:
        if claim in claims:
            if bare is not None:
                yield bare, str(claims[claim]).encode()
            if encoded is not None:
                yield encoded, _utf8(f"{prefix}{claims[claim]}")
    if {"repository", "run_id", "run_attempt"} <= claims.keys():
        run = f"actions/runs/{claims['run_id']}/attempts/{claims['run_attempt']}"
        yield 21, _utf8(f"{_GITHUB}{claims['repository']}/{run}")


def _utf8(text: str) -> bytes:
    return element(_UTF8_STRING, text.encode())
