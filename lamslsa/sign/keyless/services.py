"""The services of a Sigstore as a signer uses them, with every failure named by the service that failed.

Rules:
- Each request has a time limit; sigstore sets none for certificates and log entries.
- A timestamp answers its own request, and is judged under the trusted root before the log is told of the signature.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from lamslsa import _codec
from lamslsa.errors import UnavailableError, VerificationError
from lamslsa.sign.dsse import pae
from lamslsa.sign.interface import Envelope, Material, TrustedRoot
from lamslsa.sign.keyless.asking import AUTHORITY, LOG, TIMESTAMPS, asking
from lamslsa.sign.keyless.config import TrustConfig
from lamslsa.statement import PAYLOAD_TYPE

__all__ = ["Services", "open_services"]

_TIMEOUT_S: Final = 30


def _impatient(session: Any) -> None:
    """Give every request of a session a time limit, unless it brings one of its own."""
    session.request = functools.partial(session.request, timeout=_TIMEOUT_S)


class _Authorities:
    """Fulcio's client in the place where sigstore's signer asks for a certificate."""

    def __init__(self, inner: Any) -> None:
        _impatient(inner.session)
        self._inner = inner

    @property
    def signing_cert(self) -> _Authorities:
        return self

    def post(self, request: Any, token: Any) -> Any:
        with asking(AUTHORITY):
            response = self._inner.signing_cert.post(request, token)
            certified = response.cert.public_key()
        if certified != request.public_key():
            raise VerificationError(
                "expected a certificate over the key of the request, got one over another", reason="certificate-key"
            )
        return response


class _Log:
    """Rekor's client in the place where sigstore's signer asks for an entry."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def create_entry(self, request: Any) -> Any:
        with asking(LOG):
            return self._inner.create_entry(request)

    def _build_dsse_request(self, envelope: Any, certificate: Any) -> Any:
        return self._inner._build_dsse_request(  # noqa: SLF001 - what sigstore's signer itself calls here
            envelope=envelope, certificate=certificate
        )


def _stamp(client: Any, signature: bytes) -> Any:
    """Ask an authority; sigstore sends a nonce (RFC 3161 section 2.4.1) and does not look whether it comes back."""
    hooks = client._session.hooks["response"]  # noqa: SLF001 - only there request and answer are seen together
    if _refuse_other_nonce not in hooks:
        hooks.append(_refuse_other_nonce)
    return client.request_timestamp(signature)


def _refuse_other_nonce(response: Any, *_: Any, **__: Any) -> None:
    from rfc3161_client import decode_timestamp_response
    from rfc3161_client._rust import parse_timestamp_request  # the package has no public reader of requests

    try:
        answered = decode_timestamp_response(response.content).tst_info.nonce
    except ValueError:
        return  # no timestamp, which sigstore tells
    if answered != parse_timestamp_request(response.request.body).nonce:
        raise UnavailableError(
            "expected a timestamp that answers this request, got one of another nonce",
            reason="timestamp-nonce",
            hint="try again, or use another authority: this answer was made for somebody else",
        )


class _Timestamps:
    """A timestamp authority's client in the place where sigstore's signer asks for a timestamp."""

    def __init__(self, inner: Any, root: TrustedRoot, *, required: bool, note: Callable[[str], None]) -> None:
        self._inner, self._root, self._required, self._note = inner, root, required, note
        self.url = inner.url

    def request_timestamp(self, signature: bytes) -> Any:
        from sigstore._internal.timestamp import TimestampError

        try:
            with asking(TIMESTAMPS):
                response = _stamp(self._inner, signature)
                self._refuse_worthless(signature, response.as_bytes())
                return response
        except UnavailableError as err:
            if self._required:
                raise
            self._note(f"no timestamp: {err}")
            raise TimestampError(err.reason) from None

    def _refuse_worthless(self, signature: bytes, stamp: bytes) -> None:
        """Refuse what a relying party would not count, before the log is told of the signature."""
        dated = Envelope(payload=b"", payload_type="", signature=signature, material=Material(timestamps=(stamp,)))
        witnessed = self._root.witnessed(dated, public_pem=b"")
        if not witnessed.times:
            raise UnavailableError(
                f"expected a timestamp that counts under the trusted root, got: {witnessed.message}",
                reason="timestamp-not-trusted",
                hint="the services and the trusted root must be of one Sigstore",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The services of one trust configuration.

    Attributes:
        log_version: of Rekor's interface: entries of version 1 carry a promise with a time, those of 2 do not.
    """

    _authority: Any
    _log: Any
    _timestamps: tuple[Any, ...]
    log_version: int

    @classmethod
    def of(cls, config: TrustConfig) -> Services:
        """The services that a trust configuration selects."""
        from sigstore._internal.rekor.client import RekorClient

        signing = config.signing
        log = signing.get_tlogs()[0]
        _impatient(log._session)  # noqa: SLF001 - sigstore offers no other way to limit its time
        return cls(
            _authority=signing.get_fulcio(),
            _log=log,
            _timestamps=tuple(signing.get_tsas()),
            log_version=1 if isinstance(log, RekorClient) else 2,
        )

    def context(self, keys: Any, root: TrustedRoot, *, require_timestamp: bool, note: Callable[[str], None]) -> Any:
        """A signing context of sigstore over these services.

        Args:
            keys: sigstore's ``TrustedRoot``.
            root: ours over the same document; says which timestamps count.
            require_timestamp: fail without one.
            note: told why there is none, where none is required.

        Raises:
            UnavailableError: a timestamp is required and there is no authority.
        """
        from sigstore.sign import SigningContext

        if require_timestamp and not self._timestamps:
            raise _no_authority()
        clients: list[Any] = [
            _Timestamps(client, root, required=require_timestamp, note=note) for client in self._timestamps
        ]
        fulcio: Any = _Authorities(self._authority)
        rekor: Any = _Log(self._log)
        return SigningContext(fulcio=fulcio, rekor=rekor, trusted_root=keys, tsa_clients=clients)

    def close(self) -> None:
        """Close what is kept open to the services."""
        self._authority.session.close()
        for client in (self._log, *self._timestamps):
            client._session.close()  # noqa: SLF001 - sigstore closes none of them

    def timestamp(self, signature: bytes) -> bytes:
        """An RFC 3161 response over a signature, DER; it is not verified here.

        Raises:
            UnavailableError: there is no authority, or the first one that the configuration selects does not answer;
                another one is not asked.
        """
        if not self._timestamps:
            raise _no_authority()
        with asking(TIMESTAMPS):
            response: bytes = _stamp(self._timestamps[0], signature).as_bytes()
            return response

    def log(self, payload: bytes, *, signature: bytes, envelope: bytes, public_pem: bytes) -> Mapping[str, Any]:
        """Enter a managed key's envelope into the log; the entry is not verified here.

        Version 1 takes the envelope (``dsse`` 0.0.1), version 2 the hash of what was signed (``hashedrekord`` 0.0.2,
        rekor-v2-spec section 6.1.4).

        Raises:
            UnavailableError: the log does not answer, refuses, or answers nonsense.
        """
        with asking(LOG):
            request = (
                _dsse_entry(envelope, public_pem)
                if self.log_version == 1
                else _hashed_entry(payload, signature, public_pem)
            )
            entry = self._log.create_entry(request)
            value: Mapping[str, Any] = _codec.loads(entry._inner.to_json().encode())  # noqa: SLF001 - its only JSON
            return value


@contextmanager
def open_services(config: TrustConfig) -> Iterator[Services]:
    """The services that a trust configuration selects, closed when the context ends."""
    services = Services.of(config)
    try:
        yield services
    finally:
        services.close()


def _no_authority() -> UnavailableError:
    return UnavailableError(
        "expected a timestamp authority in the trust configuration, got none",
        reason="timestamp-authority-missing",
        hint="use a Sigstore that has one, or give up --require-timestamp where the log dates its entries",
    )


def _dsse_entry(envelope: bytes, public_pem: bytes) -> dict[str, Any]:
    content = {"envelope": envelope.decode("utf-8"), "verifiers": [base64.b64encode(public_pem).decode("ascii")]}
    return {"apiVersion": "0.0.1", "kind": "dsse", "spec": {"proposedContent": content}}


def _hashed_entry(payload: bytes, signature: bytes, public_pem: bytes) -> dict[str, Any]:
    spki = load_pem_public_key(public_pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.sha256(pae(PAYLOAD_TYPE, payload)).digest()
    verifier = {
        "publicKey": {"rawBytes": _codec.encode_base64(spki)},
        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
    }
    signed = {"content": _codec.encode_base64(signature), "verifier": verifier}
    return {"hashedRekordRequestV002": {"digest": _codec.encode_base64(digest), "signature": signed}}
