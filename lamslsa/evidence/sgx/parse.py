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
from functools import lru_cache
from typing import Final

from lamslsa.errors import FormatError
from lamslsa.evidence import _dcap_quote
from lamslsa.evidence._dcap_quote import MAX_QUOTE_BYTES

__all__ = ["MAX_QUOTE_BYTES", "SIGNED_BYTES", "Quote", "Report", "parse", "parse_report"]

_HEADER: Final = struct.Struct("<HHIHH16s20s")
_REPORT: Final = struct.Struct("<16s4s12x16s16s32s32x32s32x64sHHH42x16s64s")
SIGNED_BYTES: Final = _HEADER.size + _REPORT.size

_VERSION: Final = 3
_DEBUG: Final = 0x02


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
    _dcap_quote.refuse_early(data, expected="an SGX quote")
    return _parse(data)


@lru_cache(maxsize=_dcap_quote.REMEMBERED)
def _parse(data: bytes) -> Quote:
    qe_svn, pce_svn = _parse_header(data)
    raw = _dcap_quote.without_padding(data, signed=SIGNED_BYTES)
    return Quote(
        raw=raw,
        qe_svn=qe_svn,
        pce_svn=pce_svn,
        report=parse_report(raw[_HEADER.size : SIGNED_BYTES]),
        chain=_dcap_quote.parse_certification(raw[SIGNED_BYTES + _dcap_quote.TO_CERTIFICATION :]),
    )


def _parse_header(data: bytes) -> tuple[int, int]:
    if len(data) < _HEADER.size:
        raise FormatError(f"expected a quote, got {len(data)} bytes", reason="quote-size")
    version, key_type, reserved, qe_svn, pce_svn, vendor, _ = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise FormatError(
            f"expected an SGX quote of version {_VERSION}, got {_dcap_quote.describe(data)}",
            reason="quote-version",
            hint="evidence of each kind of TEE has a media type of its own; SGX quotes are supported in version 3",
        )
    if reserved != 0:
        raise FormatError(f"expected zeros in the reserved header bytes, got {reserved:#x}", reason="quote-tee-type")
    _dcap_quote.refuse_other_signer(key_type, vendor)
    return qe_svn, pce_svn


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
