"""DSSE envelopes in Sigstore bundles v0.3: bytes to `Envelope` and back. Nothing is verified here.

Rules:
- The media type is v0.3 exactly; every other version is refused by name.
- The verification material names the signer in exactly one way, ``publicKey``, ``certificate`` or
  ``x509CertificateChain``; beside it only transparency log entries and timestamps may stand. Any other part is foreign
  and refuses the bundle. A bundle with ``certificate`` (keyless) has exactly one log entry, others at most one.
- Exactly one signature: with two, a reader could be shown one signer while another one is verified.
- The key hint is base64(SHA-256(DER SubjectPublicKeyInfo)), as cosign has it, or hex(SHA-256(PEM)), as model_signing
  has it; its first release wrote the PEM itself (``rawBytes``), of which only that digest is taken: a bundle never
  brings the key that it is verified with. A signature's ``keyid`` is absent, null, empty or the hint.
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

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from lamslsa import _codec
from lamslsa.errors import FormatError
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
BUNDLE_SUFFIX: Final = ".sigstore.json"
LINES_SUFFIX: Final = ".intoto.jsonl"
SIGNATURE_SUFFIX: Final = ".sig"
"""Of a bundle that OpenSSF model signing wrote."""

_FAMILY: Final = "application/vnd.dev.sigstore.bundle"
_MAX_SIGNATURE_BYTES: Final = 1024
_DIGEST_BYTES: Final = 32
_MAX_KEY_BYTES: Final = 16 * 1024
_MAX_CERTIFICATE_BYTES: Final = 32 * 1024
_MAX_CERTIFICATES: Final = 8
_MAX_TIMESTAMPS: Final = 4  # a bundle has one; each costs a verification
_MAX_TIMESTAMP_BYTES: Final = 64 * 1024
_HEX_HINT: Final = re.compile(r"[0-9a-f]{64}")
_SIGNER_PARTS: Final = ("publicKey", "certificate", "x509CertificateChain")
_BUNDLE_PARTS: Final = frozenset({"mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature"})
_MATERIAL_PARTS: Final = frozenset({*_SIGNER_PARTS, "tlogEntries", "timestampVerificationData"})


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
    message = _object(bundle["messageSignature"], "messageSignature")
    stated = message.get("messageDigest")
    sha256 = None
    if stated is not None:
        stated = _object(stated, "messageDigest")
        if stated.get("algorithm") != "SHA2_256":
            raise FormatError("expected a messageDigest of SHA2_256, got another", reason="bundle-shape")
        text = _text(stated.get("digest"), "the digest of the message")
        sha256 = _codec.decode_base64(text, what="the digest of the message", max_bytes=_DIGEST_BYTES).hex()
        if len(sha256) != 2 * _DIGEST_BYTES:
            raise FormatError(
                f"expected {_DIGEST_BYTES} bytes of digest, got {len(sha256) // 2}", reason="bundle-message-digest"
            )
    signature = _text(message.get("signature"), "signature")
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
    bundle = _object(value, "a bundle")
    if bundle.get("mediaType") != MEDIA_TYPE:
        raise FormatError(
            f"expected media type {MEDIA_TYPE}, got {bundle.get('mediaType')!r:.100}", reason="bundle-media-type"
        )
    _refuse_foreign(bundle, _BUNDLE_PARTS, "the bundle")
    return bundle, _parse_material(bundle.get("verificationMaterial"))


def _parse_material(value: Any) -> Material:
    material = _object(value, "verificationMaterial")
    _refuse_foreign(material, _MATERIAL_PARTS, "verificationMaterial")
    ways = [part for part in _SIGNER_PARTS if part in material]
    if len(ways) != 1:
        raise FormatError(
            f"expected exactly one of {', '.join(_SIGNER_PARTS)}, got {', '.join(ways) or 'none'}",
            reason="bundle-signer",
        )
    entries = _array(material.get("tlogEntries", []), "tlogEntries")
    if len(entries) > 1 or ("certificate" in material and not entries):
        raise FormatError(f"expected one log entry, got {len(entries)}", reason="bundle-log-entries")
    return Material(
        key_hint=_parse_hint(material["publicKey"]) if "publicKey" in material else "",
        certificates=_parse_certificates(material),
        log_entries=tuple(_object(entry, "a log entry") for entry in entries),
        timestamps=_parse_timestamps(material.get("timestampVerificationData")),
    )


def _parse_hint(value: Any) -> str:
    named = _object(value, "publicKey")
    if "hint" not in named and "rawBytes" in named:
        return _codec.sha256_hex(_bytes(named, "rawBytes", "publicKey", _MAX_KEY_BYTES))
    hint = _text(named.get("hint"), "the hint of publicKey")
    if _HEX_HINT.fullmatch(hint):
        return hint
    try:
        size = len(_codec.decode_base64(hint, what="the hint of publicKey", max_bytes=_DIGEST_BYTES))
    except FormatError:
        size = -1
    if size != _DIGEST_BYTES:
        raise FormatError(
            f"expected base64(SHA-256(public key)) as the hint of publicKey, got {hint[:80]!r}",
            reason="bundle-key-hint",
        )
    return hint


def _parse_certificates(material: Mapping[str, Any]) -> tuple[bytes, ...]:
    if "certificate" in material:
        chain: Sequence[Any] = [material["certificate"]]
    elif "x509CertificateChain" in material:
        chain = _array(_object(material["x509CertificateChain"], "a chain").get("certificates"), "certificates")
        if not 1 <= len(chain) <= _MAX_CERTIFICATES:
            raise FormatError(
                f"expected 1 to {_MAX_CERTIFICATES} certificates, got {len(chain)}", reason="bundle-certificates"
            )
    else:
        return ()
    return tuple(_bytes(item, "rawBytes", "a certificate", _MAX_CERTIFICATE_BYTES) for item in chain)


def _parse_timestamps(value: Any) -> tuple[bytes, ...]:
    if value is None:
        return ()
    stamps = _array(_object(value, "timestampVerificationData").get("rfc3161Timestamps", []), "rfc3161Timestamps")
    if len(stamps) > _MAX_TIMESTAMPS:
        raise FormatError(
            f"expected at most {_MAX_TIMESTAMPS} timestamps, got {len(stamps)}", reason="bundle-timestamps"
        )
    return tuple(_bytes(item, "signedTimestamp", "a timestamp", _MAX_TIMESTAMP_BYTES) for item in stamps)


def _parse_envelope(value: Any, material: Material, raw: bytes) -> Envelope:
    envelope = _object(value, "dsseEnvelope")
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise FormatError(
            f"expected payloadType {PAYLOAD_TYPE}, got {envelope.get('payloadType')!r:.100}",
            reason="envelope-payload-type",
        )
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        got = len(signatures) if isinstance(signatures, list) else "none"
        raise FormatError(f"expected exactly one signature, got {got}", reason="envelope-signatures")
    signature = _object(signatures[0], "a signature")
    keyid = "" if signature.get("keyid") is None else _text(signature["keyid"], "keyid")
    if keyid and keyid != material.key_hint:
        raise FormatError(
            f"expected keyid {material.key_hint or 'empty'}, the hint of publicKey, got {keyid[:80]!r}",
            reason="envelope-keyid",
        )
    return Envelope(
        payload=_codec.decode_base64(
            _text(envelope.get("payload"), "payload"), what="payload", max_bytes=MAX_BUNDLE_BYTES
        ),
        payload_type=PAYLOAD_TYPE,
        signature=_codec.decode_base64(_text(signature.get("sig"), "sig"), what="sig", max_bytes=_MAX_SIGNATURE_BYTES),
        material=material,
        raw=raw,
    )


def _refuse_foreign(value: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    for part in value:
        if part not in known:
            raise FormatError(f"expected no foreign part in {where}, got {part[:80]!r}", reason="bundle-foreign-part")


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FormatError(f"expected an object as {what}, got {_kind(value)}", reason="bundle-shape")
    return value


def _array(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise FormatError(f"expected an array as {what}, got {_kind(value)}", reason="bundle-shape")
    return value


def _bytes(value: Any, name: str, what: str, limit: int) -> bytes:
    return _codec.decode_base64(_text(_object(value, what).get(name), name), what=what, max_bytes=limit)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise FormatError(f"expected a string as {what}, got {_kind(value)}", reason="bundle-shape")
    return value


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"another type ({type(value).__name__})"
