"""Timestamps and log entries beside the signature of a managed key, judged by the parts of a trusted root.

Rules:
- A timestamp (RFC 3161) is over the signature, by an authority of the root within the period that the root gives. The
  same one twice counts once.
- A log entry is proven to be included under a checkpoint that a log of the root has signed, and what it logs is this
  key, this signature and this payload (``dsse`` 0.0.1), envelope (``hashedrekord`` 0.0.2) or file (``hashedrekord``).
  Its log is the one that it names, and the root gives that log's key for one of the times that are known; where none
  is, without an end.
- An integrated time counts only under the log's promise (SET), in the two kinds of Rekor v1, within the period of the
  log's key: Rekor v2 makes no promise, and then a time in the entry is nobody's word.

This module imports Sigstore (about a second): import it where something is verified.
"""

# ruff: noqa: SLF001 - the client offers no other way to verify an entry that stands beside a key; the version is pinned

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from rfc3161_client import decode_timestamp_response
from sigstore.models import TransparencyLogEntry
from sigstore_models.rekor.v1 import TransparencyLogEntry as EntryModel

from lamslsa import _codec
from lamslsa.errors import LamslsaError, VerificationError
from lamslsa.sign.dsse import pae
from lamslsa.sign.interface import Envelope, SignedMessage, TrustedTime, Witnessed
from lamslsa.sign.keyless._boundary import refusing, told
from lamslsa.sign.keyless._parts import RootParts, no_timestamp

__all__ = ["witness"]

_MAX_BODY_BYTES: Final = 1024 * 1024


class _Algorithm(NamedTuple):
    """How Sigstore's algorithm registry names what a key on a curve signs with."""

    details: str
    digest: str
    hash: str


_ALGORITHMS: Final = {
    "secp256r1": _Algorithm("PKIX_ECDSA_P256_SHA_256", "SHA2_256", "sha256"),
    "secp384r1": _Algorithm("PKIX_ECDSA_P384_SHA_384", "SHA2_384", "sha384"),
    "secp521r1": _Algorithm("PKIX_ECDSA_P521_SHA_512", "SHA2_512", "sha512"),
}


def witness(root: RootParts, bundle: Envelope | SignedMessage, public_pem: bytes) -> Witnessed:
    """What the root's authorities and logs say of a signature; what counts for nothing is told in the message."""
    times: set[TrustedTime] = set()
    objections: list[str] = []
    logged = False
    for stamp in dict.fromkeys(bundle.material.timestamps):
        try:
            times.add(_stamped(root, stamp, bundle.signature))
        except LamslsaError as err:
            objections.append(str(err))
    for entry in bundle.material.log_entries:
        try:
            integrated = _logged(root, entry, bundle, public_pem, [time.at for time in times])
        except LamslsaError as err:
            objections.append(str(err))
            continue
        logged = True
        if integrated is not None:
            times.add(integrated)
    return Witnessed(times=tuple(sorted(times)), logged=logged, message="; ".join(objections))


def _stamped(root: RootParts, stamp: bytes, signature: bytes) -> TrustedTime:
    with refusing(no_timestamp):
        return TrustedTime(at=root.stamped(decode_timestamp_response(stamp), signature), source="timestamp")


def _logged(
    root: RootParts,
    value: Mapping[str, Any],
    bundle: Envelope | SignedMessage,
    public_pem: bytes,
    stamped: Sequence[dt.datetime],
) -> TrustedTime | None:
    """The integrated time of an entry about this signature, if anybody vouches for it.

    Raises:
        VerificationError: it is not in a log of the root, or about something else, or of a log that the root gives for
            none of the times that are known.
    """
    with refusing(_no_entry):
        entry = TransparencyLogEntry(EntryModel.from_json(_codec.dumps(dict(value))))
        entry._verify(root.rekor_keyring())
        body = _codec.loads(entry._inner.canonicalized_body, max_bytes=_MAX_BODY_BYTES)
        kind = (body["kind"], body["apiVersion"])
        key = load_pem_public_key(public_pem)
        same = isinstance(key, ec.EllipticCurvePublicKey) and _is_about(kind, body["spec"], bundle, key)
    if not same:
        raise VerificationError(
            f"expected a log entry about this key, signature and content, got one of kind {kind!r:.80} about others",
            reason="witness-log-other",
        )
    log_id, promised = entry._inner.log_id.key_id, _promised(entry, kind[1])
    known = [*stamped, *([promised] if promised else [])]
    if not root.speaks(log_id, known):
        raise VerificationError(
            "expected a log whose key the trusted root gives for the time of the signature, got one for another or "
            "none that is known",
            reason="witness-log-period",
        )
    return TrustedTime(at=promised, source="log") if promised and root.speaks(log_id, [promised]) else None


def _promised(entry: TransparencyLogEntry, version: str) -> dt.datetime | None:
    """The integrated time, where the log's promise is over it: Rekor v2 makes none."""
    seconds = entry._inner.integrated_time
    if not seconds or entry._inner.inclusion_promise is None or version != "0.0.1":
        return None
    with refusing(_no_entry):
        return dt.datetime.fromtimestamp(seconds, tz=dt.UTC)


def _no_entry(err: BaseException) -> VerificationError:
    return VerificationError(
        f"expected a log entry included in a log of the trusted root, got {told(err)}", reason="witness-log"
    )


def _is_about(
    kind: tuple[str, str], spec: Any, bundle: Envelope | SignedMessage, key: ec.EllipticCurvePublicKey
) -> bool:
    """Whether the body of an entry says exactly this; the kind is the body's, which the log has signed."""
    signature = _codec.encode_base64(bundle.signature)
    match kind, bundle:
        case ("dsse", "0.0.1"), Envelope(payload=payload):
            hashed = {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
            (signed,) = spec["signatures"]  # the envelope's own hash is over JSON that nobody has any more
            return (spec["payloadHash"], signed["signature"]) == (hashed, signature) and _is_key(
                signed["verifier"], key
            )
        case ("hashedrekord", "0.0.1"), SignedMessage(sha256=str(sha256)):
            hashed = {"algorithm": "sha256", "value": sha256}
            signed = spec["signature"]
            return (spec["data"], signed["content"]) == ({"hash": hashed}, signature) and _is_key(
                signed["publicKey"]["content"], key
            )
        case ("hashedrekord", "0.0.2"), Envelope(payload=payload, payload_type=payload_type):
            algorithm = _ALGORITHMS[key.curve.name]
            digest = hashlib.new(algorithm.hash, pae(payload_type, payload)).digest()
            return bool(spec == _record(algorithm, digest, signature, key))
        case ("hashedrekord", "0.0.2"), SignedMessage(sha256=str(sha256)):
            # a key on another curve signs another digest than the one that is known here
            return bool(spec == _record(_ALGORITHMS["secp256r1"], bytes.fromhex(sha256), signature, key))
        case _:
            return False


def _record(algorithm: _Algorithm, digest: bytes, signature: str, key: ec.EllipticCurvePublicKey) -> dict[str, Any]:
    """A ``hashedRekordV002`` of Rekor v2 (rekor-v2-spec §6.1.4), in its JSON form."""
    raw = _codec.encode_base64(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return {
        "hashedRekordV002": {
            "data": {"algorithm": algorithm.digest, "digest": _codec.encode_base64(digest)},
            "signature": {
                "content": signature,
                "verifier": {"keyDetails": algorithm.details, "publicKey": {"rawBytes": raw}},
            },
        }
    }


def _is_key(text: str, key: ec.EllipticCurvePublicKey) -> bool:
    """Whether base64 of PEM is this key, however the PEM is written."""
    return load_pem_public_key(_codec.decode_base64(text, what="the key of a log entry")) == key
