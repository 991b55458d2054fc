"""The verification material of a Sigstore bundle: who is said to have signed, and what third parties say of it.

Rules:
- It names the signer in exactly one way, ``publicKey``, ``certificate`` or ``x509CertificateChain``; beside it only
  transparency log entries and timestamps may stand. Any other part is foreign and refuses the bundle. A bundle with
  ``certificate`` (keyless) has exactly one log entry, others at most one.
- The key hint is base64(SHA-256(DER SubjectPublicKeyInfo)), as cosign has it, or hex(SHA-256(PEM)), as model_signing
  has it; its first release wrote the PEM itself (``rawBytes``), of which only that digest is taken: a bundle never
  brings the key that it is verified with.

Spec: https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.sign.interface import Material

__all__ = ["as_array", "as_object", "as_text", "parse_material", "refuse_foreign"]

_DIGEST_BYTES: Final = 32
_MAX_KEY_BYTES: Final = 16 * 1024
_MAX_CERTIFICATE_BYTES: Final = 32 * 1024
_MAX_CERTIFICATES: Final = 8
_MAX_TIMESTAMPS: Final = 4  # a bundle has one; each costs a verification
_MAX_TIMESTAMP_BYTES: Final = 64 * 1024
_HEX_HINT: Final = re.compile(r"[0-9a-f]{64}")
_SIGNER_PARTS: Final = ("publicKey", "certificate", "x509CertificateChain")
_MATERIAL_PARTS: Final = frozenset({*_SIGNER_PARTS, "tlogEntries", "timestampVerificationData"})


def parse_material(value: Any) -> Material:
    """Read the ``verificationMaterial`` of a bundle; nothing in it is authentic yet.

    Raises:
        FormatError: it breaks one of the rules of this module.
    """
    material = as_object(value, "verificationMaterial")
    refuse_foreign(material, _MATERIAL_PARTS, "verificationMaterial")
    ways = [part for part in _SIGNER_PARTS if part in material]
    if len(ways) != 1:
        raise FormatError(
            f"expected exactly one of {', '.join(_SIGNER_PARTS)}, got {', '.join(ways) or 'none'}",
            reason="bundle-signer",
        )
    entries = as_array(material.get("tlogEntries", []), "tlogEntries")
    if len(entries) > 1 or ("certificate" in material and not entries):
        raise FormatError(f"expected one log entry, got {len(entries)}", reason="bundle-log-entries")
    return Material(
        key_hint=_parse_hint(material["publicKey"]) if "publicKey" in material else "",
        certificates=_parse_certificates(material),
        log_entries=tuple(as_object(entry, "a log entry") for entry in entries),
        timestamps=_parse_timestamps(material.get("timestampVerificationData")),
    )


def _parse_hint(value: Any) -> str:
    named = as_object(value, "publicKey")
    if "hint" not in named and "rawBytes" in named:
        return _codec.sha256_hex(_bytes(named, "rawBytes", "publicKey", _MAX_KEY_BYTES))
    hint = as_text(named.get("hint"), "the hint of publicKey")
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
        chain = as_array(as_object(material["x509CertificateChain"], "a chain").get("certificates"), "certificates")
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
    stamps = as_array(as_object(value, "timestampVerificationData").get("rfc3161Timestamps", []), "rfc3161Timestamps")
    if len(stamps) > _MAX_TIMESTAMPS:
        raise FormatError(
            f"expected at most {_MAX_TIMESTAMPS} timestamps, got {len(stamps)}", reason="bundle-timestamps"
        )
    return tuple(_bytes(item, "signedTimestamp", "a timestamp", _MAX_TIMESTAMP_BYTES) for item in stamps)


def refuse_foreign(value: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """Refuse an object with parts that are not known here.

    Raises:
        FormatError: there is one.
    """
    for part in value:
        if part not in known:
            raise FormatError(f"expected no foreign part in {where}, got {part[:80]!r}", reason="bundle-foreign-part")


def as_object(value: Any, what: str) -> dict[str, Any]:
    """The value, if it is an object; else a FormatError that says what was expected."""
    if not isinstance(value, dict):
        raise FormatError(f"expected an object as {what}, got {_kind(value)}", reason="bundle-shape")
    return value


def as_array(value: Any, what: str) -> list[Any]:
    """The value, if it is an array; else a FormatError that says what was expected."""
    if not isinstance(value, list):
        raise FormatError(f"expected an array as {what}, got {_kind(value)}", reason="bundle-shape")
    return value


def _bytes(value: Any, name: str, what: str, limit: int) -> bytes:
    return _codec.decode_base64(as_text(as_object(value, what).get(name), name), what=what, max_bytes=limit)


def as_text(value: Any, what: str) -> str:
    """The value, if it is a string; else a FormatError that says what was expected."""
    if not isinstance(value, str):
        raise FormatError(f"expected a string as {what}, got {_kind(value)}", reason="bundle-shape")
    return value


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"another type ({type(value).__name__})"
