"""Trusted roots of Sigstore, and what they say: who signed a keyless bundle, and when any signature existed.

Rules:
- A root is bytes that the relying party chose: the public-good one that comes with the installed client of Sigstore,
  or a ``trusted_root.json``. Nothing is fetched, and no cache or home folder is read. The clock decides nothing but
  that authorities and keys which the root gives only for the future are left out, as Sigstore's client does.
- What `SigstoreRoot.verify` returns was verified by Sigstore's own client from the very bytes of the bundle, and says
  what our reading of them said: payload type, payload, signature and certificate.
- Whose certificate it is, terms of a policy say; here any identity of the root's authorities is authentic.
- What the bundle brings along and what does not verify counts for nothing, and the result says so.

Sigstore's client takes about a second to import: it is on the first bundle that needs it.
"""

from __future__ import annotations

import importlib.util
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from lamslsa import _codec
from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.sign.interface import Envelope, SignedMessage, Witnessed
from lamslsa.sign.keyless._boundary import refusing, told
from lamslsa.sign.keyless.certificate import FulcioIdentity
from lamslsa.statement import PAYLOAD_TYPE

if TYPE_CHECKING:
    from lamslsa.sign.keyless._verifier import OpenedRoot, Verified

__all__ = ["MAX_ROOT_BYTES", "Certified", "SigstoreRoot"]

MAX_ROOT_BYTES: Final = 1024 * 1024
_MEDIA_TYPE: Final = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
_PARTS: Final = ("tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities")
_EMBEDDED: Final = "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """An authentic keyless signature.

    Attributes:
        certificate: the identity in the certificate whose key signed.
        witnessed: has at least one time, and is logged.
    """

    certificate: FulcioIdentity
    witnessed: Witnessed


class _Memo(NamedTuple):
    bundle: Envelope | SignedMessage
    sha256: bytes | None
    outcome: Certified | VerificationError


class SigstoreRoot:
    """The authorities and logs of one Sigstore instance that the relying party trusts.

    Attributes:
        raw: the bytes of ``trusted_root.json``.
        sha256: their digest, hexadecimal.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw: Final = raw
        self.sha256: Final = _codec.sha256_hex(raw)
        self._lock = threading.Lock()
        self._opened: OpenedRoot | None = None
        self._memo: _Memo | None = None

    def __repr__(self) -> str:
        return f"SigstoreRoot(sha256={self.sha256!r})"

    @classmethod
    def load(cls, data: bytes) -> SigstoreRoot:
        """Read the bytes of a ``trusted_root.json``.

        Raises:
            FormatError: something else.
        """
        root = _codec.loads(data, max_bytes=MAX_ROOT_BYTES)
        if not isinstance(root, dict) or root.get("mediaType") != _MEDIA_TYPE:
            raise FormatError(
                f"expected a trusted root of media type {_MEDIA_TYPE}, got another document",
                reason="trusted-root-media-type",
                hint="pass a trusted_root.json",
            )
        if not all(_is_list_of_objects(root.get(part, [])) for part in _PARTS):
            raise FormatError(
                f"expected lists of objects as {', '.join(_PARTS)}, got others", reason="trusted-root-shape"
            )
        if not any(root.get(part) for part in _PARTS):
            raise FormatError("expected authorities or logs in a trusted root, got none", reason="trusted-root-shape")
        return cls(data)

    @classmethod
    def embedded(cls) -> SigstoreRoot:
        """The public-good instance, as the installed client of Sigstore knows it; each call reads it anew.

        The client itself is not imported for it: who verifies keys alone never needs it.

        Raises:
            FormatError: there is none.
        """
        with refusing(_no_embedded_root):
            data = (_client_folder() / "_store" / _EMBEDDED / "trusted_root.json").read_bytes()
        return cls.load(data)

    def verify(self, envelope: Envelope) -> Certified:
        """Who signed a keyless bundle with an envelope, and when at the latest.

        STEPS:
            (1) the payload is said to be an in-toto statement;
            (2) Sigstore's client verifies the bytes of the bundle: a time, the certificate at that time, its promise
                of publication (SCT), the log entry, the signature, and that the entry is about this signature;
            (3) it read what we read, and it dated the signature.

        Several identities of a policy may ask about the same bundle: the last outcome is kept.

        Raises:
            VerificationError: it does not verify. The reasons ``signature-time``, ``signature-certificate``,
                ``signature-sct``, ``signature-log`` and ``signature`` name the step.
        """
        # (1): Sigstore's client takes any type
        if envelope.payload_type != PAYLOAD_TYPE:
            raise VerificationError(
                f"expected payloadType {PAYLOAD_TYPE}, got {envelope.payload_type[:80]!r}",
                reason="envelope-payload-type",
            )
        return self._verify_once(envelope, None)

    def verify_message(self, message: SignedMessage, sha256: bytes) -> Certified:
        """Who signed the file with this digest in a keyless bundle, and when at the latest.

        Raises:
            VerificationError: as `verify`.
        """
        return self._verify_once(message, sha256)

    def witnessed(self, bundle: Envelope | SignedMessage, *, public_pem: bytes) -> Witnessed:
        """What third parties say of a signature that is known to verify under this key; raises nothing."""
        from lamslsa.sign.keyless._witness import witness

        try:
            with refusing(_root_unread):
                return witness(self._open(), bundle, public_pem)
        except LamslsaError as err:
            return Witnessed(message=str(err))

    def _open(self) -> OpenedRoot:
        from lamslsa.sign.keyless._verifier import OpenedRoot

        with self._lock:
            if self._opened is None:
                with refusing(_root_unread):
                    self._opened = OpenedRoot(self.raw)
            return self._opened

    def _verify_once(self, bundle: Envelope | SignedMessage, sha256: bytes | None) -> Certified:
        memo = self._memo  # replaced as a whole: another thread's outcome is never joined with this bundle
        if memo is None or memo.sha256 != sha256 or memo.bundle != bundle:
            memo = _Memo(bundle, sha256, self._outcome(bundle, sha256))
            self._memo = memo
        if isinstance(memo.outcome, VerificationError):
            raise VerificationError(
                str(memo.outcome), reason=memo.outcome.reason, hint=memo.outcome.hint
            ) from memo.outcome
        return memo.outcome

    def _outcome(self, bundle: Envelope | SignedMessage, sha256: bytes | None) -> Certified | VerificationError:
        try:
            return self._verify(bundle, sha256)
        except FormatError as err:
            return VerificationError(str(err), reason=err.reason, hint=err.hint)
        except VerificationError as err:
            return err

    def _verify(self, bundle: Envelope | SignedMessage, sha256: bytes | None) -> Certified:
        from lamslsa.sign.keyless._verifier import verify_bundle

        # (2): from the bytes, so that nothing is written anew
        verified = verify_bundle(self._open(), bundle.raw, sha256=sha256)
        # (3): two readers of one JSON text must not differ
        if _seen(verified) != _read(bundle):
            raise VerificationError(
                "expected one reading of payload, signature and certificate, got another by Sigstore's client",
                reason="bundle-ambiguous",
            )
        return Certified(
            certificate=FulcioIdentity.parse(verified.certificate),
            witnessed=Witnessed(times=verified.times, logged=True, message=_uncounted(bundle, verified)),
        )


def _client_folder() -> Path:
    spec = importlib.util.find_spec("sigstore")  # a package that is not imported, as its parts would be by their names
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("sigstore is not installed")
    return Path(spec.submodule_search_locations[0])


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _seen(verified: Verified) -> tuple[str, bytes, bytes, tuple[bytes, ...]]:
    return verified.kind, verified.payload, verified.signature, (verified.certificate_der,)


def _read(bundle: Envelope | SignedMessage) -> tuple[str, bytes, bytes, tuple[bytes, ...]]:
    kind, payload = (bundle.payload_type, bundle.payload) if isinstance(bundle, Envelope) else ("", b"")
    return kind, payload, bundle.signature, bundle.material.certificates


def _uncounted(bundle: Envelope | SignedMessage, verified: Verified) -> str:
    """That timestamps of unknown authorities, or over something else, count for nothing."""
    counted = sum(time.source == "timestamp" for time in verified.times)
    brought = len(bundle.material.timestamps)
    if counted == brought:
        return ""
    return f"expected timestamps over the signature by authorities of the trusted root, got {counted} of {brought}"


def _root_unread(err: BaseException) -> VerificationError:
    return VerificationError(f"expected a trusted root that can be read, got {told(err)}", reason="trusted-root-unread")


def _no_embedded_root(err: BaseException) -> FormatError:
    return FormatError(
        f"expected the trusted root that comes with Sigstore's client, got {told(err)}",
        reason="trusted-root-missing",
        hint="pass --trusted-root FILE, or install sigstore anew",
    )
