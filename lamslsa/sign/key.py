"""Managed keys: ECDSA over P-256 with SHA-256, the one algorithm that every client of Sigstore bundles reads.

Rules:
- What signs is on P-256. What is verified may also be on P-384 with SHA-384 or on P-521 with SHA-512, which OpenSSF
  model signing makes. Other types and curves are refused, and so is a private key where a public one is expected.
- A bundle names a key by base64(SHA-256(DER SubjectPublicKeyInfo)) or by hex(SHA-256(PEM)), the PEM as `cryptography`
  and OpenSSL write it; either only selects the key.
- Timestamps and log entries are judged only after the signature has verified, by a trusted root; without one they
  count for nothing, and the result says so.
- A file holds exactly one PEM block: with two, another reader might pick the other one.
- A passphrase must fit the file: with a key in the clear it is refused, so nobody takes that key for an
  encrypted one.

>>> from lamslsa.sign.dsse import parse_bundle
>>> pem = generate(None)
>>> signer = KeySigner.load(pem, None)
>>> envelope = parse_bundle(signer.sign(b"{}"))
>>> KeyVerifier.load(signer.public_pem).verify(envelope).signer == signer.identity
True
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from lamslsa import _codec
from lamslsa.errors import FormatError, VerificationError
from lamslsa.sign import _pkcs8, _spki
from lamslsa.sign.dsse import make_bundle, pae
from lamslsa.sign.interface import Envelope, Signature, SignedMessage, TrustedRoot, Witnessed
from lamslsa.statement import PAYLOAD_TYPE

__all__ = ["KeySigner", "KeyVerifier", "generate"]

_MAX_PEM_BYTES: Final = 16 * 1024
_ALGORITHM: Final = ec.ECDSA(hashes.SHA256())
_NO_ROOT: Final = "expected a trusted root to judge timestamps and log entries with, got none"
# FIPS 186-5 with the pairs of Sigstore's algorithm registry: one hash a curve, so that no bundle chooses
_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


def generate(passphrase: bytes | None) -> bytes:
    """A new private key as PKCS#8 PEM, encrypted when a passphrase is given.

    Raises:
        FormatError: the passphrase is empty.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    if passphrase is None:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _refuse_empty(passphrase)
    return _pkcs8.encrypt(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), passphrase)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySigner:
    """Signs statements with a private key; the key never shows in a repr.

    Attributes:
        key_id: base64(SHA-256(DER SubjectPublicKeyInfo)).
        public_pem: what a policy names as this signer's key.
    """

    key_id: str
    public_pem: bytes
    _key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def load(cls, pem: bytes, passphrase: bytes | None) -> KeySigner:
        """Read a private key in PKCS#8 PEM.

        Raises:
            FormatError: not one such key on P-256, or the passphrase does not fit it.
        """
        _refuse_framing(pem, "private key")
        if b" PUBLIC KEY-----" in pem:
            raise FormatError(
                "expected a private key, got a public key",
                reason="key-public",
                hint="pass the file with the private key",
            )
        encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in pem
        if encrypted and passphrase is None:
            raise FormatError(
                "expected a passphrase for an encrypted key, got none",
                reason="key-passphrase",
                hint="pass --passphrase-file",
            )
        if passphrase is not None:
            _refuse_empty(passphrase)
            if not encrypted:
                raise FormatError(
                    "expected an encrypted key to go with the passphrase, got a key in the clear",
                    reason="key-not-encrypted",
                    hint="leave the passphrase out, or make an encrypted key",
                )
        try:
            key = load_pem_private_key(pem, passphrase)
        except (ValueError, TypeError, UnsupportedAlgorithm) as err:
            if encrypted:
                raise FormatError(
                    "expected the passphrase of this key, got another one or a damaged file",
                    reason="key-passphrase",
                    hint="the passphrase file is read up to its first line end",
                ) from err
            raise FormatError("expected a private key in PKCS#8 PEM, got other bytes", reason="key-pem") from err
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise _other_key(key)
        public = key.public_key()
        return cls(key_id=_hint(public), public_pem=_pem(public), _key=key)

    @property
    def identity(self) -> str:
        """Who signs, for people."""
        return f"key {self.key_id}"

    def verifier(self) -> KeyVerifier:
        """Knows this key: says whether a bundle is its own."""
        return KeyVerifier(key_id=self.key_id, public_pem=self.public_pem, _key=self._key.public_key())

    def sign_raw(self, payload: bytes) -> bytes:
        """The bare signature over the payload as in-toto statement, ECDSA in DER: what services witness."""
        return self._key.sign(pae(PAYLOAD_TYPE, payload), _ALGORITHM)

    def sign(self, payload: bytes) -> bytes:
        """A Sigstore bundle v0.3 (JSON bytes) over the payload as in-toto statement.

        Raises:
            FormatError: the bundle would be larger than a reader takes.
        """
        return make_bundle(payload, signature=self.sign_raw(payload), key_hint=self.key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyVerifier:
    """Knows one public key.

    Attributes:
        key_id: base64(SHA-256(DER SubjectPublicKeyInfo)).
        public_pem: the key, as SubjectPublicKeyInfo.
    """

    key_id: str
    public_pem: bytes = field(repr=False)
    _key: ec.EllipticCurvePublicKey = field(repr=False, compare=False)
    _root: TrustedRoot | None = field(default=None, repr=False)

    @classmethod
    def load(cls, pem: bytes, root: TrustedRoot | None = None) -> KeyVerifier:
        """Read a public key in SubjectPublicKeyInfo PEM.

        Args:
            pem: the bytes of the file.
            root: judges the timestamps and log entries of what this key signed.

        Raises:
            FormatError: not one such key on P-256, P-384 or P-521.
        """
        _refuse_framing(pem, "public key")
        if b"PRIVATE KEY-----" in pem:
            raise FormatError(
                "expected a public key, got a private key",
                reason="key-private",
                hint="a private key stays with its signer; name the .pub file",
            )
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as err:
            raise FormatError("expected a public key in PEM, got other bytes", reason="key-pem") from err
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HASHES:
            raise _other_key(key)
        return cls(key_id=_hint(key), public_pem=_pem(key), _key=key, _root=root)

    def verify(self, envelope: Envelope) -> Signature:
        """That this key signed the envelope, and what the trusted root says of when.

        STEPS (DSSE v1.0.2, section "Protocol"):
            (1) the envelope names this key; the hint only selects, step 3 decides;
            (2) the payload is an in-toto statement, the one payload type that signers here sign;
            (3) the signature verifies over PAE(payloadType, payload);
            (4) the trusted root dates the signature and finds it in its logs.

        Raises:
            VerificationError: it did not.
        """
        # (1): only selects a key
        self._refuse_other_hint(envelope.key_hint)
        # (2): nothing else was ever signed with intent
        if envelope.payload_type != PAYLOAD_TYPE:
            raise VerificationError(
                f"expected payloadType {PAYLOAD_TYPE}, got {envelope.payload_type[:80]!r}",
                reason="envelope-payload-type",
            )
        # (3): the decision
        self._refuse_other_signature(envelope.signature, pae(envelope.payload_type, envelope.payload), "the payload")
        # (4): never a reason to refuse; whether it suffices is for the policy
        return self._signature(envelope)

    def verify_message(self, message: SignedMessage, content: bytes) -> Signature:
        """That this key signed a file with this content, and what the trusted root says of when.

        Raises:
            VerificationError: it did not.
        """
        self._refuse_other_hint(message.material.key_hint)
        self._refuse_other_signature(message.signature, content, "the file")
        return self._signature(dataclasses.replace(message, sha256=_codec.sha256_hex(content)))

    def verify_message_digest(self, message: SignedMessage, sha256: bytes) -> Signature:
        """That this key signed a file with this SHA-256, and what the trusted root says of when.

        Raises:
            VerificationError: it did not, or the key is one that signs another digest (``signature-digest``).
        """
        self._refuse_other_hint(message.material.key_hint)
        if not isinstance(self._key.curve, ec.SECP256R1):
            raise VerificationError(
                f"expected the file, which a key on {self._key.curve.name} signs by another digest, got its SHA-256",
                reason="signature-digest",
            )
        algorithm = ec.ECDSA(Prehashed(hashes.SHA256()))
        self._refuse_other_signature(message.signature, sha256, "the file", algorithm)
        return self._signature(dataclasses.replace(message, sha256=sha256.hex()))

    def _refuse_other_hint(self, hint: str) -> None:
        got = hint.encode("utf-8")
        names = (self.key_id.encode("ascii"), _codec.sha256_hex(self.public_pem).encode("ascii"))
        if not any(hmac.compare_digest(got, name) for name in names):
            raise VerificationError(
                f"expected a signature of key {self.key_id}, got one of {hint[:80] or 'a certificate'}",
                reason="signature-key",
            )

    def _refuse_other_signature(
        self, signature: bytes, signed: bytes, what: str, algorithm: ec.ECDSA | None = None
    ) -> None:
        try:
            self._key.verify(signature, signed, algorithm or ec.ECDSA(_HASHES[self._key.curve.name]))
        except InvalidSignature as err:
            raise VerificationError(
                f"expected a signature of key {self.key_id} over {what}, got one that does not verify",
                reason="signature",
            ) from err

    def _signature(self, bundle: Envelope | SignedMessage) -> Signature:
        material = bundle.material
        witnessed = Witnessed()
        if material.log_entries or material.timestamps:
            witnessed = (
                self._root.witnessed(bundle, public_pem=self.public_pem) if self._root else Witnessed(message=_NO_ROOT)
            )
        return Signature(
            signer=f"key {self.key_id}",
            key_id=self.key_id,
            key_sha256=_spki.key_sha256(self._key),
            witnessed=witnessed,
        )


def _refuse_empty(passphrase: bytes) -> None:
    if not passphrase:
        raise FormatError("expected a passphrase, got an empty one", reason="key-passphrase")


def _refuse_framing(pem: bytes, what: str) -> None:
    if len(pem) > _MAX_PEM_BYTES:
        raise FormatError(f"expected a {what} of at most {_MAX_PEM_BYTES} bytes, got {len(pem)}", reason="key-size")
    blocks = pem.count(b"-----BEGIN ")
    if blocks != 1:
        raise FormatError(f"expected exactly one PEM block with a {what}, got {blocks}", reason="key-pem")


def _other_key(key: object) -> FormatError:
    curve = getattr(getattr(key, "curve", None), "name", None)
    got = f"curve {curve}" if curve else type(key).__name__
    return FormatError(
        f"expected an ECDSA key on P-256, got {got}", reason="key-type", hint="make one with: lamslsa keygen"
    )


def _pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _hint(key: ec.EllipticCurvePublicKey) -> str:
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return _codec.encode_base64(hashlib.sha256(der).digest())
