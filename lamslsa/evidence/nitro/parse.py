"""Bytes to a typed Nitro attestation document: COSE_Sign1 with ES384 over a CBOR map.

Rules:
- One spelling: strict CBOR (`lamslsa.evidence._cbor`), the protected header exactly ``{1: -35}``, nothing unprotected,
  no member that the format does not have. Only the tag of COSE_Sign1 may be there or not, as RFC 9052 has it.
- Registers 0, 1, 2 and 8 are there; all are SHA-384.
- Documents of NitroTPM chain to the same root, and say with ``nitrotpm_pcrs`` that they are about an instance and no
  enclave: they are refused.
- Parsing authenticates nothing.

Spec: AWS Nitro Enclaves, "Attestation process", section 2.2 and "Syntactical validation"; RFC 9052, section 4.2 for
COSE_Sign1; RFC 9053, section 2.1 for ES384.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamslsa.errors import FormatError
from lamslsa.evidence import _cbor

__all__ = ["MAX_DOCUMENT_BYTES", "MEASURED_PCRS", "PROTECTED", "Document", "parse", "signed_bytes"]

MAX_DOCUMENT_BYTES: Final = 16 * 1024
MEASURED_PCRS: Final = (0, 1, 2, 8)
PROTECTED: Final = bytes.fromhex("a1013822")
"""The protected header, {1: -35}: algorithm ES384."""

_COSE_SIGN1: Final = 18
_SIGNATURE_BYTES: Final = 96
_DIGEST: Final = "SHA384"
_PCR_BYTES: Final = 48
_MAX_PCRS: Final = 32
_MAX_CERTIFICATE_BYTES: Final = 1024
_MAX_BUNDLE: Final = 8
_MAX_FIELD_BYTES: Final = 1024
_MAX_MODULE_ID: Final = 256
_MAX_TIMESTAMP: Final = 253_402_300_799_999  # the last millisecond of the year 9999
_REQUIRED: Final = frozenset({"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"})
_OPTIONAL: Final = frozenset({"public_key", "user_data", "nonce"})
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_ARRAY_OF_FOUR: Final = 0x84
_BYTES: Final = 2
_SIGNATURE1: Final = b"\x6aSignature1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document that has the right shape.

    Attributes:
        payload: the bytes that the signature covers, with the protected header.
        signature: r and s.
        module_id: what the hypervisor calls the enclave.
        timestamp: when the document was made, by the hypervisor's clock, to the millisecond.
        pcrs: 48 bytes by index.
        chain: certificates in DER, from the one whose key signed to the root.
        public_key: what the enclave put in; None where it put in nothing, as with the next two.
    """

    payload: bytes
    signature: tuple[int, int]
    module_id: str
    timestamp: dt.datetime
    pcrs: Mapping[int, bytes]
    chain: tuple[bytes, ...]
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None

    @property
    def root(self) -> bytes:
        """DER of the root certificate that the document presents: trusted by nobody yet."""
        return self.chain[-1]

    @property
    def parts(self) -> dict[str, str]:
        """What identifies the code: the registers of image, kernel, application and image signer."""
        return {f"pcr{index}": self.pcrs[index].hex() for index in MEASURED_PCRS}


def signed_bytes(payload: bytes) -> bytes:
    """What the signature of a document with this payload covers: RFC 9052, section 4.4, without external data."""
    parts = (PROTECTED, b"", payload)
    return bytes((_ARRAY_OF_FOUR,)) + _SIGNATURE1 + b"".join(_cbor.head(_BYTES, len(part)) + part for part in parts)


def parse(data: bytes) -> Document:
    """Take an attestation document apart.

    Raises:
        FormatError: not an attestation document of an enclave.
    """
    value = _cbor.loads(data, what="the attestation document", max_bytes=MAX_DOCUMENT_BYTES)
    if isinstance(value, _cbor.Tagged) and value.tag == _COSE_SIGN1:
        value = value.value
    match value:
        case [bytes(protected), {**unprotected}, bytes(payload), bytes(signature)] if not unprotected:
            pass
        case _:
            raise FormatError(
                "expected COSE_Sign1 without unprotected header and with its payload, got another value",
                reason="nitro-cose",
            )
    if protected != PROTECTED:
        raise FormatError("expected ES384 alone in the protected header, got others", reason="nitro-algorithm")
    if len(signature) != _SIGNATURE_BYTES:
        raise FormatError(
            f"expected {_SIGNATURE_BYTES} bytes of signature, got {len(signature)}", reason="nitro-signature-size"
        )
    members = _cbor.loads(payload, what="the attestation document's payload", max_bytes=MAX_DOCUMENT_BYTES)
    if not isinstance(members, dict) or not _REQUIRED <= members.keys() <= _REQUIRED | _OPTIONAL:
        raise FormatError(
            f"expected the members {', '.join(sorted(_REQUIRED))} in the document, got others",
            reason="nitro-members",
            hint="documents of NitroTPM are about an instance, not an enclave",
        )
    half = _SIGNATURE_BYTES // 2
    return Document(
        payload=payload,
        signature=(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")),
        module_id=_module_id(members["module_id"]),
        timestamp=_timestamp(members["timestamp"]),
        pcrs=_pcrs(members["digest"], members["pcrs"]),
        chain=_chain(members["certificate"], members["cabundle"]),
        public_key=_field(members, "public_key"),
        user_data=_field(members, "user_data"),
        nonce=_field(members, "nonce"),
    )


def _module_id(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_MODULE_ID:
        raise FormatError(
            f"expected a module_id of 1 to {_MAX_MODULE_ID} characters, got another", reason="nitro-module-id"
        )
    return value


def _timestamp(value: Any) -> dt.datetime:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _MAX_TIMESTAMP:
        raise FormatError("expected a timestamp in milliseconds, got another value", reason="nitro-timestamp")
    return _EPOCH + dt.timedelta(milliseconds=value)


def _pcrs(digest: Any, value: Any) -> dict[int, bytes]:
    if digest != _DIGEST:
        raise FormatError(f"expected digest {_DIGEST}, got {digest!r:.40}", reason="nitro-digest")
    if not isinstance(value, dict) or not set(MEASURED_PCRS) <= value.keys() <= set(range(_MAX_PCRS)):
        raise FormatError(
            f"expected registers {', '.join(map(str, MEASURED_PCRS))} and others below {_MAX_PCRS}, got others",
            reason="nitro-pcrs",
        )
    if not all(isinstance(register, bytes) and len(register) == _PCR_BYTES for register in value.values()):
        raise FormatError(f"expected registers of {_PCR_BYTES} bytes, got others", reason="nitro-pcrs")
    return value


def _chain(certificate: Any, bundle: Any) -> tuple[bytes, ...]:
    """From the leaf to the root; AWS puts the root first."""
    if not isinstance(bundle, list) or not 1 <= len(bundle) <= _MAX_BUNDLE:
        raise FormatError(f"expected 1 to {_MAX_BUNDLE} certificates in cabundle, got others", reason="nitro-chain")
    chain = (certificate, *reversed(bundle))
    if not all(isinstance(der, bytes) and 0 < len(der) <= _MAX_CERTIFICATE_BYTES for der in chain):
        raise FormatError(
            f"expected certificates of 1 to {_MAX_CERTIFICATE_BYTES} bytes, got others", reason="nitro-chain"
        )
    return chain


def _field(members: Mapping[Any, Any], name: str) -> bytes | None:
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, bytes) or len(value) > _MAX_FIELD_BYTES:
        raise FormatError(f"expected at most {_MAX_FIELD_BYTES} bytes of {name}, got others", reason="nitro-field")
    return value
