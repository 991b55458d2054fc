"""What quotes of SGX and TDX have in common: sizes, padding, signer, and the PCK chain that ends them.

Rules:
- Every byte is accounted for: the lengths inside a quote add up exactly, and only zeros may follow (platforms pad).
- Parsing authenticates nothing.

Layout: Intel SGX ECDSA QuoteLibReference, DCAP API, appendix A.4; Intel TDX DCAP Quote Generation Library and Quote
Verification Library, appendix A.3. Integers are little-endian.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

from lamslsa.errors import FormatError
from lamslsa.evidence._pem import parse_chain

__all__ = [
    "INTEL_QE_VENDOR_ID",
    "MAX_QUOTE_BYTES",
    "REMEMBERED",
    "TDX",
    "TO_CERTIFICATION",
    "describe",
    "parse_certification",
    "refuse_early",
    "refuse_other_signer",
    "without_padding",
]

MAX_QUOTE_BYTES: Final = 64 * 1024
# One verification asks for the same quote several times: its root, which collateral concerns it, whether it is
# authentic, how its platform stands. Parsing is pure, so the last few answers are kept.
REMEMBERED: Final = 8
INTEL_QE_VENDOR_ID: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
TDX: Final = 0x81

_START: Final = struct.Struct("<HHI")
_LENGTH: Final = struct.Struct("<I")
TO_CERTIFICATION: Final = _LENGTH.size + 64 + 64
"""From the end of what is signed past the length, signature and attestation key."""
_QE_REPORT_AND_SIGNATURE: Final = 384 + 64
_QE_AUTH: Final = struct.Struct("<H")
_CERTIFICATION: Final = struct.Struct("<HI")
_ECDSA_P256: Final = 2
_PCK_CHAIN: Final = 5
_CHAIN_LENGTH: Final = 3
_HCL_MAGIC: Final = b"HCLA"


def refuse_early(data: bytes, *, expected: str) -> None:
    """Refuse what is too large to be a quote, and a report that carries somebody else's quote.

    Raises:
        FormatError: such bytes.
    """
    if len(data) > MAX_QUOTE_BYTES:
        raise FormatError(f"expected at most {MAX_QUOTE_BYTES} bytes of quote, got {len(data)}", reason="quote-size")
    if data.startswith(_HCL_MAGIC):
        raise FormatError(
            f"expected {expected}, got an Azure HCL report: its key is the paravisor's, not the processor's",
            reason="quote-azure-hcl",
        )


def describe(data: bytes) -> str:
    """The version and kind of TEE that the first 8 bytes of a quote state, in words for a refusal."""
    version, _, tee = _START.unpack_from(data)
    kind = "SGX" if version in (3, 4, 5) and tee == 0 else "TDX" if version in (4, 5) and tee == TDX else "unknown"
    return f"version {version} of kind {kind}"


def refuse_other_signer(key_type: int, vendor: bytes) -> None:
    """Refuse quotes of another quoting enclave than Intel's, or with another kind of key.

    Raises:
        FormatError: such a quote.
    """
    if key_type != _ECDSA_P256:
        raise FormatError(f"expected attestation key type {_ECDSA_P256}, got {key_type}", reason="quote-key-type")
    if vendor != INTEL_QE_VENDOR_ID:
        raise FormatError(f"expected Intel's quoting enclave, got vendor {vendor.hex()}", reason="quote-vendor")


def without_padding(data: bytes, *, signed: int) -> bytes:
    """The quote alone: what is signed, a length, and as many bytes as it says; platforms pad with zeros.

    Args:
        data: a quote and its padding.
        signed: length of header and body.

    Raises:
        FormatError: a shorter quote, or other bytes than zeros after it.
    """
    start = signed + _LENGTH.size
    if len(data) < start:
        raise FormatError(f"expected a whole quote, got {len(data)} bytes", reason="quote-truncated")
    length: int = start + _LENGTH.unpack_from(data, signed)[0]
    if length > len(data):
        raise FormatError(f"expected a quote of {length} bytes, got {len(data)}", reason="quote-truncated")
    if any(data[length:]):
        raise FormatError(
            f"expected zeros after the {length} bytes of the quote, got other bytes", reason="quote-trailing"
        )
    return data[:length]


def parse_certification(section: bytes) -> tuple[bytes, ...]:
    """The PCK chain of a section that is QE report, its signature, authentication data and PCK chain, and ends there.

    Returns:
        DER of PCK certificate, its CA, and the root, in this order.

    Raises:
        FormatError: another kind of certification data, or lengths that do not add up.
    """
    if _QE_REPORT_AND_SIGNATURE + _QE_AUTH.size > len(section):
        raise FormatError("expected a signature section, got a shorter one", reason="quote-lengths")
    length = _QE_AUTH.unpack_from(section, _QE_REPORT_AND_SIGNATURE)[0]
    certification = _QE_REPORT_AND_SIGNATURE + _QE_AUTH.size + length
    chain = certification + _CERTIFICATION.size
    if chain > len(section):
        raise FormatError("expected certification data, got none", reason="quote-lengths")
    kind, size = _CERTIFICATION.unpack_from(section, certification)
    if kind != _PCK_CHAIN:
        raise FormatError(
            f"expected certification data of type {_PCK_CHAIN}, the PCK chain, got type {kind}",
            reason="quote-certification",
        )
    if chain + size != len(section):
        raise FormatError(
            f"expected certification data to end the quote, got {size} bytes of {len(section) - chain}",
            reason="quote-lengths",
        )
    certificates = _parse_chain(section[chain:].removesuffix(b"\0"))
    if len(certificates) != _CHAIN_LENGTH:
        raise FormatError(
            f"expected {_CHAIN_LENGTH} certificates in the quote, got {len(certificates)}", reason="quote-certification"
        )
    return certificates


@lru_cache(maxsize=REMEMBERED)
def _parse_chain(text: bytes) -> tuple[bytes, ...]:
    """The chain of a platform, which stands in each of its quotes."""
    return parse_chain(text, what="the quote")
