"""Signing without a key of one's own: one identity token, one certificate, any number of statements.

Rules:
- The certificate is asked for when the first signature is, after `consent`: certificates stand in a public log, and a
  run that is in the store already needs none. Its key lives in this process and ends with it.
- What is signed are the bytes as given. A bundle is handed out when our own rules accept it: it parses, carries the
  same payload, and verifies under the trusted root as a relying party would verify it, with what was required.
- A timestamp that is required and missing ends the signature before its log entry is made. With a log of version 2 it
  always is: nothing else dates such a bundle.
- The certificate names the issuer of the token, and the subject where that follows from the token.
- There is no other mode to fall back to: what fails is raised. Whether token and certificate have expired is told by
  sigstore, which has the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography import x509

from lamslsa.errors import FormatError, LamslsaError, UnavailableError, VerificationError
from lamslsa.sign import _spki
from lamslsa.sign.dsse import parse_bundle
from lamslsa.sign.interface import Envelope, Signature
from lamslsa.sign.keyless._boundary import refusing, told
from lamslsa.sign.keyless.certificate import FulcioIdentity
from lamslsa.sign.keyless.config import TrustConfig
from lamslsa.sign.keyless.root import SigstoreRoot
from lamslsa.sign.keyless.services import open_services
from lamslsa.sign.keyless.tokens import Token

__all__ = ["KeylessSigner", "SessionVerifier", "open_session"]

_EXPIRED_HINT: Final = "run the command again: what is stored already is not signed again"


@contextmanager
def open_session(
    config: TrustConfig,
    token: Token,
    *,
    require_timestamp: bool,
    consent: Callable[[], None],
    note: Callable[[str], None],
) -> Iterator[KeylessSigner]:
    """A signer of the identity that a token tells, for as long as the context lasts.

    Args:
        config: the Sigstore that signs.
        token: who signs.
        require_timestamp: fail without a timestamp of RFC 3161.
        consent: called once, before anything becomes public; raises where the user does not want it.
        note: told what was not got and is not required.

    Raises:
        FormatError: the trusted root of the configuration is none.
        UnavailableError: a timestamp is required and there is no authority.
    """
    with open_services(config) as services:
        dated = require_timestamp or services.log_version > 1
        root = SigstoreRoot.load(config.trusted_root)
        yield KeylessSigner(
            token=token,
            root=root,
            context=services.context(config.root, root, require_timestamp=dated, note=note),
            require_timestamp=dated,
            consent=consent,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Issued:
    """A certificate, and what signs with its key."""

    identity: FulcioIdentity
    signer: Any = field(repr=False)


class KeylessSigner:
    """Signs statements as the identity of a token; made by `open_session`."""

    __slots__ = ("_certified", "_consent", "_context", "_require_timestamp", "_root", "_token")

    def __init__(
        self, *, token: Token, root: SigstoreRoot, context: Any, require_timestamp: bool, consent: Callable[[], None]
    ) -> None:
        self._token, self._root, self._context = token, root, context
        self._require_timestamp, self._consent = require_timestamp, consent
        self._certified: _Issued | None = None

    @property
    def identity(self) -> str:
        """Who signs, for people: as the certificate says, and before there is one as the token does."""
        return self._certified.identity.signer if self._certified else self._token.signer

    def verifier(self) -> SessionVerifier:
        """Knows this identity's bundles."""
        return SessionVerifier(_session=self)

    def own_identity(self) -> FulcioIdentity:
        """The identity of this session; the certificate is asked for where it does not follow from the token.

        Raises:
            LamslsaError: see `sign`.
        """
        if self._certified is None and self._token.identity is not None:
            return self._token.identity
        return self._certificate().identity

    def sign(self, payload: bytes) -> bytes:
        """A Sigstore bundle v0.3 (JSON bytes) over the payload as in-toto statement.

        Raises:
            UnavailableError: a service could not be reached or refused, or token or certificate have expired.
            VerificationError: what a service answered does not verify under the trusted root.
            FormatError: the payload is no in-toto statement, or the bundle would be larger than a reader takes.
        """
        from sigstore.dsse import Statement

        with refusing(_no_statement):
            statement = Statement(payload)
        certified = self._certificate()
        with refusing(_no_bundle):
            raw: bytes = certified.signer.sign_dsse(statement).to_json().encode("utf-8")
        try:
            envelope = parse_bundle(raw)
            if envelope.payload != payload:
                raise VerificationError("expected the payload in the bundle, got another one", reason="keyless-payload")
            self.authentic(envelope, certified.identity)
        except VerificationError:
            with refusing(_no_bundle):  # a certificate that has expired since explains it better
                certified.signer._signing_cert()  # noqa: SLF001 - raises where it has
            raise
        return raw

    def authentic(self, envelope: Envelope, expected: FulcioIdentity) -> Signature:
        """The signature of this identity over an envelope, verified as a relying party would.

        Raises:
            VerificationError: it is none, or lacks what is required.
        """
        certified = self._root.verify(envelope)
        if certified.certificate != expected:
            raise VerificationError(
                f"expected a signature of {expected.signer}, got one of {certified.certificate.signer[:200]}",
                reason="signature-identity",
            )
        if self._require_timestamp and not certified.witnessed.timestamped:
            got = certified.witnessed.message or "none"
            raise VerificationError(
                f"expected a timestamp of RFC 3161 that counts, got: {got}", reason="keyless-timestamp"
            )
        return Signature(
            signer=expected.signer,
            key_sha256=_spki.certificate_key_sha256(envelope.material.certificates[0]),
            witnessed=certified.witnessed,
        )

    def issuer(self) -> str:
        """The issuer that the certificate names."""
        return self._token.issuer

    def _certificate(self) -> _Issued:
        if self._certified is None:
            self._consent()
            self._certified = self._certify()
        return self._certified

    def _certify(self) -> _Issued:
        from sigstore.oidc import IdentityToken
        from sigstore.sign import Signer

        with refusing(_no_token):
            token = IdentityToken(self._token.secret)
        with refusing(_no_sct):
            signer = Signer(token, self._context)
            certificate: x509.Certificate = signer._signing_cert()  # noqa: SLF001 - the one it has just been given
        identity = FulcioIdentity.parse(certificate)
        expected = self._token.identity
        if identity.issuer != self._token.issuer or (expected is not None and identity.san != expected.san):
            raise VerificationError(
                f"expected a certificate for {self._token.signer}, got one for {identity.signer[:200]}",
                reason="certificate-identity",
                hint="the certificate authority reads tokens otherwise than Fulcio, or took this one for another",
            )
        return _Issued(identity=identity, signer=signer)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionVerifier:
    """Knows the bundles of one session's identity, from whichever session they are.

    The identity is issuer, subject and every field of `FulcioIdentity`, the commit included; the run and its attempt
    are none of them, so that a job that is started again goes on where it stopped.
    """

    _session: KeylessSigner

    def verify(self, envelope: Envelope) -> Signature:
        """Who signed the envelope, and since when it is known.

        Raises:
            VerificationError: not this identity, or without what this session requires.
            LamslsaError: the session has to know its identity first, see `KeylessSigner.sign`.
        """
        certificates = envelope.material.certificates
        if len(certificates) != 1:
            raise VerificationError(
                f"expected a signature of {self._session.identity}, got one of another kind", reason="signature-key"
            )
        try:
            claimed = FulcioIdentity.parse(x509.load_der_x509_certificate(certificates[0]))
        except (FormatError, ValueError) as err:
            raise VerificationError(
                "expected a certificate of Fulcio in the bundle, got another one", reason="signature-identity"
            ) from err
        if claimed.issuer != self._session.issuer() or claimed != (own := self._session.own_identity()):
            raise VerificationError(
                f"expected a signature of {self._session.identity}, got one of {claimed.signer[:200]}",
                reason="signature-identity",
            )
        return self._session.authentic(envelope, own)


def _no_statement(err: BaseException) -> LamslsaError:
    return FormatError(
        f"expected an in-toto statement that Sigstore takes, got {type(err).__name__}", reason="keyless-statement"
    )


def _no_token(err: BaseException) -> LamslsaError:
    if type(err.__cause__).__name__ == "ExpiredSignatureError" or "validity period" in str(err):
        return _token_expired()
    return FormatError(
        f"expected an identity token that Sigstore takes, got {type(err).__name__}",
        reason="token-not-taken",
        hint="tokens of this issuer may need another claim, for instance email",
    )


def _no_sct(err: BaseException) -> LamslsaError:
    return _expired(err) or VerificationError(
        f"expected a certificate that a trusted log has seen (SCT), got {told(err)}",
        reason="certificate-sct",
        hint="the certificate authority and the trusted root must be of one Sigstore",
    )


def _no_bundle(err: BaseException) -> LamslsaError:
    return _expired(err) or UnavailableError(
        f"expected a bundle from the services' answers, got {told(err)}", reason="keyless-bundle"
    )


def _expired(err: BaseException) -> UnavailableError | None:
    """What sigstore's errors without a text mean."""
    match type(err).__name__:
        case "ExpiredIdentity":
            return _token_expired()
        case "ExpiredCertificate":
            return UnavailableError(
                "expected a certificate that is still valid, got one that expired",
                reason="certificate-expired",
                hint=_EXPIRED_HINT,
            )
    return None


def _token_expired() -> UnavailableError:
    return UnavailableError(
        "expected an identity token that is still valid, got one that expired",
        reason="token-expired",
        hint=_EXPIRED_HINT,
    )
