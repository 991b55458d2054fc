"""A managed key whose signatures are witnessed: dated by a timestamp authority, entered into a transparency log.

Rules:
- What is asked for is got or signing fails: there is no bundle with less than was required.
- The timestamp comes first and the log last, since an entry in a log cannot be taken back.
- What the services answer counts when the trusted root says so, and is verified before the bundle is handed out.
- The signer's own verifier knows a bundle only with what is required: one that lacks it is signed again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from lamslsa import _codec
from lamslsa.errors import UnavailableError, VerificationError
from lamslsa.sign.dsse import make_bundle, parse_bundle
from lamslsa.sign.interface import Envelope, Signature, TrustedRoot, Witnessed
from lamslsa.sign.key import KeyVerifier
from lamslsa.sign.sources import ManagedSigner

__all__ = ["WitnessedSigner", "WitnessedVerifier", "Witnesses"]


class Witnesses(Protocol):
    """A timestamp authority and a transparency log; what they answer is not verified yet."""

    def timestamp(self, signature: bytes) -> bytes:
        """An RFC 3161 response over a signature, DER.

        Raises:
            UnavailableError: there is none to be had.
        """
        ...

    def log(self, payload: bytes, *, signature: bytes, envelope: bytes, public_pem: bytes) -> Mapping[str, Any]:
        """The log's entry of an envelope, a JSON object of the shape ``TransparencyLogEntry``.

        Raises:
            UnavailableError: there is none to be had.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessedVerifier:
    """Knows one key's signatures that have the witnesses asked for."""

    _inner: KeyVerifier
    _require_timestamp: bool
    _require_log: bool

    def verify(self, envelope: Envelope) -> Signature:
        """Who signed the envelope, and since when it is known.

        Raises:
            VerificationError: not this key, or without a witness that is required.
        """
        signature = self._inner.verify(envelope)
        if lacking := _lacking(signature.witnessed, timestamp=self._require_timestamp, log=self._require_log):
            raise VerificationError(f"expected {lacking}, got none that counts", reason="signature-unwitnessed")
        return signature


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessedSigner:
    """Signs with a managed key and has the signature witnessed.

    Attributes:
        signer: has the key.
        witnesses: are asked.
        root: says which witnesses count.
        require_timestamp: get a timestamp of RFC 3161.
        require_log: get an entry in a log; it is public and stays.
        consent: called before each entry; raises where the user does not want one.
    """

    signer: ManagedSigner
    witnesses: Witnesses = field(repr=False)
    root: TrustedRoot = field(repr=False)
    require_timestamp: bool
    require_log: bool
    consent: Callable[[], None] = field(repr=False)

    @property
    def identity(self) -> str:
        """Who signs, for people."""
        return self.signer.identity

    @property
    def key_id(self) -> str:
        """base64(SHA-256(DER SubjectPublicKeyInfo))."""
        return self.signer.key_id

    @property
    def public_pem(self) -> bytes:
        """What a policy names as this signer's key."""
        return self.signer.public_pem

    def verifier(self) -> WitnessedVerifier:
        """Knows this key's bundles that have the witnesses asked for."""
        return WitnessedVerifier(
            _inner=KeyVerifier.load(self.public_pem, self.root),
            _require_timestamp=self.require_timestamp,
            _require_log=self.require_log,
        )

    def sign_raw(self, payload: bytes) -> bytes:
        """The bare signature over the payload as in-toto statement, which nobody witnesses."""
        return self.signer.sign_raw(payload)

    def sign(self, payload: bytes) -> bytes:
        """A Sigstore bundle v0.3 (JSON bytes) over the payload as in-toto statement, with its witnesses.

        Raises:
            UnavailableError: a service could not be reached or refused, or its answer does not count.
            FormatError: the bundle would be larger than a reader takes.
        """
        signature = self.signer.sign_raw(payload)
        timestamps = [self.witnesses.timestamp(signature)] if self.require_timestamp else []
        bundle = make_bundle(payload, signature=signature, key_hint=self.key_id, timestamps=timestamps)
        self._refuse_less(bundle, timestamp=self.require_timestamp, log=False)
        if not self.require_log:
            return bundle
        self.consent()
        envelope = _codec.dumps(_codec.loads(bundle)["dsseEnvelope"])
        entry = self.witnesses.log(payload, signature=signature, envelope=envelope, public_pem=self.public_pem)
        logged = make_bundle(
            payload, signature=signature, key_hint=self.key_id, log_entries=[entry], timestamps=timestamps
        )
        self._refuse_less(logged, timestamp=self.require_timestamp, log=True)
        return logged

    def _refuse_less(self, bundle: bytes, *, timestamp: bool, log: bool) -> None:
        """Raise what a relying party would say of the witnesses, where they do not count."""
        witnessed = KeyVerifier.load(self.public_pem, self.root).verify(parse_bundle(bundle)).witnessed
        if lacking := _lacking(witnessed, timestamp=timestamp, log=log):
            raise UnavailableError(
                f"expected {lacking} that counts under the trusted root, got: {witnessed.message or 'none'}",
                reason="witness-not-trusted",
                hint="the services and the trusted root must be of one Sigstore",
            )


def _lacking(witnessed: Witnessed, *, timestamp: bool, log: bool) -> str:
    if timestamp and not witnessed.timestamped:
        return "a timestamp of RFC 3161"
    return "an entry in a transparency log" if log and not witnessed.logged else ""
