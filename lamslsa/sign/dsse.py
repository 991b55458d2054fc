"""DSSE envelopes in Sigstore bundles v0.3: bytes to `Envelope` and back. Nothing is verified here.

Rules:
- The media type is v0.3 exactly; every other version is refused by name.
- What a signature is verified with is read by `lamslsa.sign._material`; foreign parts refuse the bundle.
- Exactly one signature: with two, a reader could be shown one signer while another one is verified.
- A signature's ``keyid`` is absent, null, empty or the hint of the key.
- Unknown fields inside the envelope are ignored, as DSSE asks of every consumer.
- In ``*.intoto.jsonl`` each line stands alone: a bad line is a result of its own and never hides another one. Blank
  lines, and JSON values that do not say they are a Sigstore bundle, are unknown lines and ignored. A line that is not
  JSON is a result too, so that damage is seen rather than passed over.

Specs: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md and
https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto

>>> pae("application/vnd.in-toto+json", b"{}")
b'DSSEv1 28 application/vnd.in-toto+json 2 {}'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from lamslsa import _codec
from lamslsa._bundle_names import BUNDLE_SUFFIX, LINES_SUFFIX, SIGNATURE_SUFFIX
from lamslsa.errors import FormatError
from lamslsa.sign._material import as_object, as_text, parse_material, refuse_foreign
from lamslsa.sign.interface import Envelope, Material, SignedMessage
from lamslsa.statement import PAYLOAD_TYPE

__all__ = [
    "BUNDLE_SUFFIX",
    "LINES_SUFFIX",
    "MAX_BUNDLE_BYTES",
    "MAX_LINES",
    "MEDIA_TYPE",
    "SIGNATURE_SUFFIX",
    "BundleResult",
    "make_bundle",
    "pae",
    "parse_bundle",
    "parse_bundles",
    "parse_message_bundle",
]

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
MAX_BUNDLE_BYTES: Final = 16 * 1024 * 1024
MAX_LINES: Final = 4096

_FAMILY: Final = "application/vnd.dev.sigstore.bundle"
_MAX_SIGNATURE_BYTES: Final = 1024
_DIGEST_BYTES: Final = 32
_BUNDLE_PARTS: Final = frozenset({"mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature"})


class BundleResult(NamedTuple):
    """What one bundle of a file came to: an envelope, or why it is none.

    Attributes:
        source: the file, and in ``*.intoto.jsonl`` the line after a colon, counted from 1.
    """

    source: str
    outcome: Envelope | FormatError


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE pre-authentication encoding: the bytes that a signature covers."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def make_bundle(
    payload: bytes,
    *,
    signature: bytes,
    key_hint: str,
    log_entries: Sequence[Mapping[str, Any]] = (),
    timestamps: Sequence[bytes] = (),
) -> bytes:
    """The bundle of an in-toto payload signed with a managed key, in the shape that cosign v3 reads.

    Raises:
        FormatError: larger than a reader would take.
    """
    material: dict[str, Any] = {"publicKey": {"hint": key_hint}, "tlogEntries": list(log_entries)}
    if timestamps:
        stamps = [{"signedTimestamp": _codec.encode_base64(stamp)} for stamp in timestamps]
        material["timestampVerificationData"] = {"rfc3161Timestamps": stamps}
    bundle = _codec.dumps(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": material,
            "dsseEnvelope": {
                "payload": _codec.encode_base64(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": _codec.encode_base64(signature), "keyid": key_hint}],
            },
        }
    )
    if len(bundle) > MAX_BUNDLE_BYTES:
        raise FormatError(
            f"expected a bundle of at most {MAX_BUNDLE_BYTES} bytes, got {len(bundle)}", reason="bundle-size"
        )
    return bundle


def parse_bundle(data: bytes) -> Envelope:
    """Parse the untrusted bytes of one Sigstore bundle v0.3 with an envelope.

    Raises:
        FormatError: with a reason that names the rule of this module.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise FormatError(
            f"expected a bundle of at most {MAX_BUNDLE_BYTES} bytes, got {len(data)}", reason="bundle-size"
        )
    return _parse_value(_codec.loads(data, max_bytes=MAX_BUNDLE_BYTES), data)


def parse_message_bundle(data: bytes) -> SignedMessage:
    """Parse the untrusted bytes of a Sigstore bundle v0.3 over a file, as ``cosign sign-blob`` writes it.

    Raises:
        FormatError: with a reason that names the rule of this module.
    """
    bundle, material = _parse_frame(_codec.loads(data, max_bytes=MAX_BUNDLE_BYTES))
    if "dsseEnvelope" in bundle or "messageSignature" not in bundle:
        raise FormatError("expected a messageSignature, got none or an envelope", reason="bundle-shape")
    message = as_object(bundle["messageSignature"], "messageSignature")
    stated = message.get("messageDigest")
    sha256 = None
    if stated is not None:
        stated = as_object(stated, "messageDigest")
        if stated.get("algorithm") != "SHA2_256":
            raise FormatError("expected a messageDigest of SHA2_256, got another", reason="bundle-shape")
        text = as_text(stated.get("digest"), "the digest of the message")
        sha256 = _codec.decode_base64(text, what="the digest of the message", max_bytes=_DIGEST_BYTES).hex()
        if len(sha256) != 2 * _DIGEST_BYTES:
            raise FormatError(
                f"expected {_DIGEST_BYTES} bytes of digest, got {len(sha256) // 2}", reason="bundle-message-digest"
            )
    signature = as_text(message.get("signature"), "signature")
    return SignedMessage(
        sha256=sha256,
        signature=_codec.decode_base64(signature, what="signature", max_bytes=_MAX_SIGNATURE_BYTES),
        material=material,
        raw=data,
    )


def parse_bundles(name: str, data: bytes) -> tuple[BundleResult, ...]:
    """Parse a file of bundles, each on its own; ``name`` is the file's name or path and decides the format.

    Raises:
        FormatError: the name has neither suffix, or there are more lines than the limit. What is wrong with a single
            bundle raises nothing and stands in its result.
    """
    if name.endswith((BUNDLE_SUFFIX, SIGNATURE_SUFFIX)):
        return (BundleResult(source=name, outcome=_outcome(data)),)
    if not name.endswith(LINES_SUFFIX):
        raise FormatError(
            f"expected a file named *{BUNDLE_SUFFIX}, *{LINES_SUFFIX} or *{SIGNATURE_SUFFIX}, got {name[-80:]!r}",
            reason="bundle-file-name",
        )
    lines = data.split(b"\n", MAX_LINES)
    if len(lines) > MAX_LINES:
        raise FormatError(f"expected at most {MAX_LINES} lines in {name}, got more", reason="bundle-lines")
    results = []
    for number, line in enumerate(lines, start=1):
        outcome = _line(line.strip())
        if outcome is not None:
            results.append(BundleResult(source=f"{name}:{number}", outcome=outcome))
    return tuple(results)


def _outcome(data: bytes) -> Envelope | FormatError:
    try:
        return parse_bundle(data)
    except FormatError as err:
        return err


def _line(line: bytes) -> Envelope | FormatError | None:
    """One line of several; None for an empty one, and for JSON that does not claim to be a Sigstore bundle."""
    if not line:
        return None
    if not line.startswith(b"{"):
        return FormatError("expected a JSON object a line, got something else", reason="bundle-line")
    try:
        value = _codec.loads(line, max_bytes=MAX_BUNDLE_BYTES)
        media_type = value.get("mediaType")
        return _parse_value(value, line) if isinstance(media_type, str) and media_type.startswith(_FAMILY) else None
    except FormatError as err:
        return err.with_traceback(None)


def _parse_value(value: Any, raw: bytes) -> Envelope:
    bundle, material = _parse_frame(value)
    if "messageSignature" in bundle:
        raise FormatError(
            "expected a DSSE envelope, got a messageSignature",
            reason="bundle-message-signature",
            hint="sign an in-toto statement about the file instead of the file",
        )
    return _parse_envelope(bundle.get("dsseEnvelope"), material, raw)


def _parse_frame(value: Any) -> tuple[Mapping[str, Any], Material]:
    bundle = as_object(value, "a bundle")
    if bundle.get("mediaType") != MEDIA_TYPE:
        raise FormatError(
            f"expected media type {MEDIA_TYPE}, got {bundle.get('mediaType')!r:.100}", reason="bundle-media-type"
        )
    refuse_foreign(bundle, _BUNDLE_PARTS, "the bundle")
    return bundle, parse_material(bundle.get("verificationMaterial"))


def _parse_envelope(value: Any, material: Material, raw: bytes) -> Envelope:
    envelope = as_object(value, "dsseEnvelope")
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise FormatError(
            f"expected payloadType {PAYLOAD_TYPE}, got {envelope.get('payloadType')!r:.100}",
            reason="envelope-payload-type",
        )
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        got = len(signatures) if isinstance(signatures, list) else "none"
        raise FormatError(f"expected exactly one signature, got {got}", reason="envelope-signatures")
    signature = as_object(signatures[0], "a signature")
    keyid = "" if signature.get("keyid") is None else as_text(signature["keyid"], "keyid")
    if keyid and keyid != material.key_hint:
        raise FormatError(
            f"expected keyid {material.key_hint or 'empty'}, the hint of publicKey, got {keyid[:80]!r}",
            reason="envelope-keyid",
        )
    return Envelope(
        payload=_codec.decode_base64(
            as_text(envelope.get("payload"), "payload"), what="payload", max_bytes=MAX_BUNDLE_BYTES
        ),
        payload_type=PAYLOAD_TYPE,
        signature=_codec.decode_base64(
            as_text(signature.get("sig"), "sig"), what="sig", max_bytes=_MAX_SIGNATURE_BYTES
        ),
        material=material,
        raw=raw,
    )
