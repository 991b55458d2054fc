"""The plug points of signing: a signer makes a bundle of payload bytes, a verifier says if its identity signed one.

Who signed, when at the latest, and whether a log knows of it are verified here; whether that is good enough is for the
policy. Time is only what a timestamp authority or a log of the trusted root has signed, never a field of the bundle.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from lamslsa.errors import LamslsaError

__all__ = [
    "BundleVerifier",
    "Envelope",
    "Material",
    "Signature",
    "SignedMessage",
    "Signer",
    "TrustedRoot",
    "TrustedTime",
    "Witnessed",
    "most_telling",
]

_ANOTHER_SIGNER: Final = ("signature-key", "signature-identity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a bundle brings along to verify its signature with; nothing in it is authentic yet.

    Attributes:
        key_hint: names a managed key; empty where certificates say who signed. It only selects a key.
        certificates: DER, the signer's first; one in bundles of Sigstore, a chain where an organisation has its own CA.
        log_entries: JSON objects of the shape ``TransparencyLogEntry``.
        timestamps: RFC 3161 responses, DER.
    """

    key_hint: str = ""
    certificates: tuple[bytes, ...] = ()
    log_entries: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    timestamps: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A parsed Sigstore bundle with a DSSE envelope; nothing in it is authentic yet.

    Attributes:
        payload: the bytes that were signed.
        signature: the one signature; DER where the key is one of ECDSA.
        raw: the JSON bytes of the whole bundle.
    """

    payload: bytes
    payload_type: str
    signature: bytes
    material: Material
    raw: bytes = field(default=b"", repr=False)

    @property
    def key_hint(self) -> str:
        """The managed key that is said to have signed; empty where a certificate says who."""
        return self.material.key_hint


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedMessage:
    """A parsed Sigstore bundle with the signature of a file (``messageSignature``); nothing in it is authentic yet.

    Attributes:
        sha256: what the bundle says the file's digest is, hexadecimal; None where it says nothing.
    """

    sha256: str | None
    signature: bytes
    material: Material
    raw: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class TrustedTime:
    """A time at which the signature existed: an upper bound of when it was made.

    Attributes:
        at: timezone-aware.
        source: an RFC 3161 timestamp, or the integrated time of a Rekor v1 entry under its verified promise (SET).
    """

    at: dt.datetime
    source: Literal["timestamp", "log"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """What third parties of a trusted root say of a signature.

    Attributes:
        times: earliest first; empty where nothing trusted dates the signature.
        logged: whether an entry about this very signature is included in a log of the trusted root.
        message: why something that the bundle brings along counts for nothing; empty where all of it counts.
    """

    times: tuple[TrustedTime, ...] = ()
    logged: bool = False
    message: str = ""

    @property
    def timestamped(self) -> bool:
        """Whether a timestamp authority dates the signature (RFC 3161), whatever a log may say."""
        return any(time.source == "timestamp" for time in self.times)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """An authentic signature of one identity.

    Attributes:
        signer: who signed, for people: ``key BASE64`` or ``SUBJECT (ISSUER)``.
        key_id: of the managed key that signed; empty for a certificate.
        key_sha256: SHA-256 of the public key that signed, whether managed or in a certificate (DER
            SubjectPublicKeyInfo), hexadecimal; empty where nothing says, and then a list of denied keys refuses it.
    """

    signer: str
    key_id: str = ""
    key_sha256: str = ""
    witnessed: Witnessed = Witnessed()

    def made_by(self, keys: frozenset[str]) -> bool:
        """Whether one of these keys made it, as far as that can be ruled out: it may be any where nothing tells."""
        return bool(keys) and self.key_sha256 in {"", *keys}


class TrustedRoot(Protocol):
    """Timestamp authorities and transparency logs that the relying party trusts, for signatures of managed keys."""

    def witnessed(self, bundle: Envelope | SignedMessage, *, public_pem: bytes) -> Witnessed:
        """What third parties say of a signature that is known to verify under this key; raises nothing.

        A timestamp is over the signature. A log entry counts when it is included in a log of this root and says this
        key, this signature and this payload, envelope or file digest; one that does not counts for nothing.
        """
        ...


class Signer(Protocol):
    """Signs statements."""

    @property
    def identity(self) -> str:
        """Who signs, for people, in the words of `Signature.signer`."""
        ...

    def verifier(self) -> BundleVerifier:
        """Knows this signer: says whether a bundle is its own."""
        ...

    def sign(self, payload: bytes) -> bytes:
        """A Sigstore bundle v0.3 (JSON bytes) over the payload as in-toto statement.

        Raises:
            UnavailableError: a service that has to take part could not be reached, or refused.
        """
        ...


class BundleVerifier(Protocol):
    """Knows one identity."""

    def verify(self, envelope: Envelope) -> Signature:
        """Who signed the envelope, and since when it is known.

        Raises:
            VerificationError: not this identity. The reason ``signature-key`` (another key, or a certificate where a
                key is expected and the other way round) says that the bundle never claimed to be of this identity.
        """
        ...


def most_telling(errors: Sequence[LamslsaError]) -> LamslsaError:
    """Of several reasons why nobody signed, the one to show: that a signature is bad, before that it is another's."""
    return max(errors, key=lambda err: (err.reason not in _ANOTHER_SIGNER, err.reason == _ANOTHER_SIGNER[1]))
