"""Bytes to a typed SGX quote: ECDSA quote, version 3, with the PCK certificate chain inside.

Rules:
- Every byte is accounted for: the lengths inside the quote add up exactly, and only zeros may follow (platforms pad).
- The signature covers header and report body; the rest is authenticated by what it holds, except the root certificate
  and the PEM text, which are compared byte for byte instead.
- Parsing authenticates nothing.

Layout: Intel SGX ECDSA QuoteLibReference, DCAP API, appendix A.4 (quote format, version 3); enclave report body: Intel
SDM vol. 3D, table 39-21 (REPORT). Integers are little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from lamslsa.errors import FormatError
from lamslsa.evidence._pem import parse_chain

__all__ = ["INTEL_QE_VENDOR_ID", "MAX_QUOTE_BYTES", "SIGNED_BYTES", "Quote", "Report", "parse", "parse_report"]

MAX_QUOTE_BYTES: Final = 64 * 1024
INTEL_QE_VENDOR_ID: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")

_HEADER: Final = struct.Struct("<HHIHH16s20s")
_REPORT: Final = struct.Struct("<16s4s12x16s16s32s32x32s32x64sHHH42x16s64s")
_LENGTH: Final = struct.Struct("<I")
SIGNED_BYTES: Final = _HEADER.size + _REPORT.size
# ISV signature, attestation key, QE report, QE report signature
_SIGNATURES: Final = 64 + 64 + _REPORT.size + 64
_QE_AUTH: Final = struct.Struct("<H")
_CERTIFICATION: Final = struct.Struct("<HI")

_VERSION: Final = 3
_ECDSA_P256: Final = 2
_PCK_CHAIN: Final = 5
_CHAIN_LENGTH: Final = 3
_DEBUG: Final = 0x02
_TDX: Final = 0x81
_HCL_MAGIC: Final = b"HCLA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The body of an enclave's report, 384 bytes, without its reserved parts.

    Attributes:
        misc_select: four bytes as they stand in the report.
        attributes: 8 bytes of flags, then XFRM.
    """

    cpu_svn: bytes
    misc_select: bytes
    isv_ext_prod_id: bytes
    attributes: bytes
    mr_enclave: bytes
    mr_signer: bytes
    config_id: bytes
    isv_prod_id: int
    isv_svn: int
    config_svn: int
    isv_family_id: bytes
    report_data: bytes

    @property
    def debug(self) -> bool:
        """Whether the enclave's memory is open to a debugger on the host."""
        return bool(self.attributes[0] & _DEBUG)

    @property
    def measurement(self) -> dict[str, str]:
        """What identifies the code; ISVSVN and ISVPRODID mean nothing without MRSIGNER and are left out."""
        return {
            "mrEnclave": self.mr_enclave.hex(),
            "mrSigner": self.mr_signer.hex(),
            "attributes": self.attributes.hex(),
            "miscSelect": self.misc_select.hex(),
            "configId": self.config_id.hex(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A quote that has the right shape.

    Attributes:
        raw: the quote without padding; these bytes are verified.
        chain: DER of PCK certificate, its CA, and the root, in this order.
    """

    raw: bytes
    qe_svn: int
    pce_svn: int
    report: Report
    chain: tuple[bytes, ...]

    @property
    def root(self) -> bytes:
        """DER of the root certificate that the quote presents: trusted by nobody yet."""
        return self.chain[-1]


def parse(data: bytes) -> Quote:
    """Take an SGX quote apart.

    Raises:
        FormatError: not an SGX ECDSA quote of version 3 with its PCK chain, or lengths that do not add up.
    """
    if len(data) > MAX_QUOTE_BYTES:
        raise FormatError(f"expected at most {MAX_QUOTE_BYTES} bytes of quote, got {len(data)}", reason="quote-size")
    if data.startswith(_HCL_MAGIC):
        raise FormatError(
            "expected an SGX quote, got an Azure HCL report: its key is the paravisor's, not the processor's",
            reason="quote-azure-hcl",
        )
    qe_svn, pce_svn = _parse_header(data)
    length = _total_length(data)
    if any(data[length:]):
        raise FormatError(
            f"expected zeros after the {length} bytes of the quote, got other bytes", reason="quote-trailing"
        )
    raw = data[:length]
    return Quote(
        raw=raw,
        qe_svn=qe_svn,
        pce_svn=pce_svn,
        report=parse_report(raw[_HEADER.size : SIGNED_BYTES]),
        chain=_parse_certification(raw),
    )


def _parse_header(data: bytes) -> tuple[int, int]:
    if len(data) < _HEADER.size:
        raise FormatError(f"expected a quote, got {len(data)} bytes", reason="quote-size")
    version, key_type, tee, qe_svn, pce_svn, vendor, _ = _HEADER.unpack_from(data)
    if version != _VERSION:
        kind = "TDX" if version in (4, 5) and tee == _TDX else "SGX" if version in (4, 5) and tee == 0 else "unknown"
        raise FormatError(
            f"expected an SGX quote of version {_VERSION}, got version {version} of kind {kind}",
            reason="quote-version",
            hint="only SGX quotes of version 3 are supported so far",
        )
    if key_type != _ECDSA_P256:
        raise FormatError(f"expected attestation key type {_ECDSA_P256}, got {key_type}", reason="quote-key-type")
    if tee != 0:
        raise FormatError(f"expected zeros in the reserved header bytes, got {tee:#x}", reason="quote-tee-type")
    if vendor != INTEL_QE_VENDOR_ID:
        raise FormatError(f"expected Intel's quoting enclave, got vendor {vendor.hex()}", reason="quote-vendor")
    return qe_svn, pce_svn


def _total_length(data: bytes) -> int:
    start = SIGNED_BYTES + _LENGTH.size
    if len(data) < start:
        raise FormatError(f"expected a whole quote, got {len(data)} bytes", reason="quote-truncated")
    length: int = start + _LENGTH.unpack_from(data, SIGNED_BYTES)[0]
    if length > len(data):
        raise FormatError(f"expected a quote of {length} bytes, got {len(data)}", reason="quote-truncated")
    return length


def parse_report(body: bytes) -> Report:
    """Take the body of an enclave's report apart.

    Raises:
        FormatError: not 384 bytes.
    """
    if len(body) != _REPORT.size:
        raise FormatError(f"expected {_REPORT.size} bytes of report, got {len(body)}", reason="quote-report")
    fields = _REPORT.unpack(body)
    cpu_svn, misc_select, ext_prod_id, attributes, mr_enclave, mr_signer, config_id, *versions, family_id, data = fields
    isv_prod_id, isv_svn, config_svn = versions
    return Report(
        cpu_svn=cpu_svn,
        misc_select=misc_select,
        isv_ext_prod_id=ext_prod_id,
        attributes=attributes,
        mr_enclave=mr_enclave,
        mr_signer=mr_signer,
        config_id=config_id,
        isv_prod_id=isv_prod_id,
        isv_svn=isv_svn,
        config_svn=config_svn,
        isv_family_id=family_id,
        report_data=data,
    )


def _parse_certification(raw: bytes) -> tuple[bytes, ...]:
    auth = SIGNED_BYTES + _LENGTH.size + _SIGNATURES
    if auth + _QE_AUTH.size > len(raw):
        raise FormatError("expected a signature section, got a shorter one", reason="quote-lengths")
    certification = auth + _QE_AUTH.size + _QE_AUTH.unpack_from(raw, auth)[0]
    chain = certification + _CERTIFICATION.size
    if chain > len(raw):
        raise FormatError("expected certification data, got none", reason="quote-lengths")
    kind, size = _CERTIFICATION.unpack_from(raw, certification)
    if kind != _PCK_CHAIN:
        raise FormatError(
            f"expected certification data of type {_PCK_CHAIN}, the PCK chain, got type {kind}",
            reason="quote-certification",
        )
    if chain + size != len(raw):
        raise FormatError(
            f"expected certification data to end the quote, got {size} bytes of {len(raw) - chain}",
            reason="quote-lengths",
        )
    certificates = parse_chain(raw[chain:].removesuffix(b"\0"), what="the quote")
    if len(certificates) != _CHAIN_LENGTH:
        raise FormatError(
            f"expected {_CHAIN_LENGTH} certificates in the quote, got {len(certificates)}", reason="quote-certification"
        )
    return certificates
