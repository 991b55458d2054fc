"""Bytes to a typed TDX quote: ECDSA quote, version 4 or 5, with the PCK certificate chain inside.

Rules:
- Every byte is accounted for: the lengths inside the quote add up exactly, and only zeros may follow (platforms pad).
- The signature covers header and body; the rest is authenticated by what it holds, except the root certificate and the
  PEM text, which are compared byte for byte instead.
- Parsing authenticates nothing.

Version 5 puts type and size before the body: type 2 is the TD report of TDX 1.0, as in version 4, type 3 that of TDX
1.5 with two more fields. The certification data is of type 6: the quoting enclave's report, which holds the PCK chain.

Layout: Intel TDX DCAP Quote Generation Library and Quote Verification Library, appendix A.3 (quote formats, versions 4
and 5). Integers are little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from lamslsa.errors import FormatError
from lamslsa.evidence import _dcap_quote
from lamslsa.evidence._dcap_quote import MAX_QUOTE_BYTES

__all__ = ["MAX_QUOTE_BYTES", "Quote", "Report", "parse", "parse_report"]

_HEADER: Final = struct.Struct("<HHI4x16s20s")
_BODY: Final = struct.Struct("<HI")
_REPORT: Final = struct.Struct("<16s48s48s8s8s8s48s48s48s48s48s48s48s48s64s")
_REPORT_1_5: Final = struct.Struct("<16s48s")
_CERTIFICATION: Final = struct.Struct("<HI")

_WITHOUT_BODY_TYPE: Final = 4
_WITH_BODY_TYPE: Final = 5
_BODY_SIZES: Final = {2: _REPORT.size, 3: _REPORT.size + _REPORT_1_5.size}
_QE_REPORT_CERTIFICATION: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The body of a TD's report: 584 bytes in TDX 1.0, 648 in TDX 1.5. All fields are bytes as they stand there.

    Attributes:
        tee_tcb_svn: of the TDX module when the TD was launched: its SVN, its major version, that of the SEAM loader.
        mr_seam: measurement of the TDX module.
        mr_signer_seam: who signed the TDX module; zeros for Intel.
        rtmrs: the four measurement registers that the guest extends at run time.
        tee_tcb_svn_now: the same as ``tee_tcb_svn`` for the TDX module that runs now; None in TDX 1.0.
        mr_service_td: hash over the bound service TDs, which can migrate this TD; None in TDX 1.0.
    """

    tee_tcb_svn: bytes
    mr_seam: bytes
    mr_signer_seam: bytes
    seam_attributes: bytes
    td_attributes: bytes
    xfam: bytes
    mr_td: bytes
    mr_config_id: bytes
    mr_owner: bytes
    mr_owner_config: bytes
    rtmrs: tuple[bytes, bytes, bytes, bytes]
    report_data: bytes
    tee_tcb_svn_now: bytes | None
    mr_service_td: bytes | None

    @property
    def debug(self) -> bool:
        """Whether one of the bits 7:0 of TDATTRIBUTES is set: any of them makes the TD untrusted, bit 0 is debug."""
        return self.td_attributes[0] != 0

    @property
    def measurement(self) -> dict[str, str]:
        """What identifies the code; MRTD alone is the firmware."""
        return {
            "mrTd": self.mr_td.hex(),
            **{f"rtmr{number}": register.hex() for number, register in enumerate(self.rtmrs)},
            "mrConfigId": self.mr_config_id.hex(),
            "tdAttributes": self.td_attributes.hex(),
            "xfam": self.xfam.hex(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A quote that has the right shape.

    Attributes:
        raw: the quote without padding; these bytes are verified.
        version: 4 or 5.
        chain: DER of PCK certificate, its CA, and the root, in this order.
    """

    raw: bytes
    version: int
    report: Report
    chain: tuple[bytes, ...]

    @property
    def root(self) -> bytes:
        """DER of the root certificate that the quote presents: trusted by nobody yet."""
        return self.chain[-1]


def parse(data: bytes) -> Quote:
    """Take a TDX quote apart.

    Raises:
        FormatError: not a TDX ECDSA quote of version 4 or 5 with its PCK chain, or lengths that do not add up.
    """
    _dcap_quote.refuse_early(data, expected="a TDX quote")
    return _parse(data)


@lru_cache(maxsize=_dcap_quote.REMEMBERED)
def _parse(data: bytes) -> Quote:
    version = _parse_header(data)
    start, size = _body(data, version)
    raw = _dcap_quote.without_padding(data, signed=start + size)
    return Quote(
        raw=raw,
        version=version,
        report=parse_report(raw[start : start + size]),
        chain=_parse_certification(raw[start + size + _dcap_quote.TO_CERTIFICATION :]),
    )


def _parse_header(data: bytes) -> int:
    if len(data) < _HEADER.size:
        raise FormatError(f"expected a quote, got {len(data)} bytes", reason="quote-size")
    version, key_type, tee, vendor, _ = _HEADER.unpack_from(data)
    if version not in (_WITHOUT_BODY_TYPE, _WITH_BODY_TYPE) or tee != _dcap_quote.TDX:
        raise FormatError(
            f"expected a TDX quote of version {_WITHOUT_BODY_TYPE} or {_WITH_BODY_TYPE}, got "
            f"{_dcap_quote.describe(data)}",
            reason="quote-version",
            hint="evidence of each kind of TEE has a media type of its own",
        )
    _dcap_quote.refuse_other_signer(key_type, vendor)
    return int(version)


def _body(data: bytes, version: int) -> tuple[int, int]:
    """Where the body starts, and its size."""
    if version == _WITHOUT_BODY_TYPE:
        return _HEADER.size, _REPORT.size
    start = _HEADER.size + _BODY.size
    if len(data) < start:
        raise FormatError(f"expected a whole quote, got {len(data)} bytes", reason="quote-truncated")
    kind, size = _BODY.unpack_from(data, _HEADER.size)
    if _BODY_SIZES.get(kind) != size:
        raise FormatError(
            f"expected a body of type 2 with {_BODY_SIZES[2]} bytes or of type 3 with {_BODY_SIZES[3]}, got type "
            f"{kind} with {size}",
            reason="quote-body",
        )
    return start, size


def parse_report(body: bytes) -> Report:
    """Take the body of a TD's report apart.

    Raises:
        FormatError: neither 584 nor 648 bytes.
    """
    if len(body) not in _BODY_SIZES.values():
        raise FormatError(f"expected 584 or 648 bytes of report, got {len(body)}", reason="quote-report")
    tcb, seam, signer, seam_attributes, attributes, xfam, td, config_id, owner, owner_config, *registers, data = (
        _REPORT.unpack_from(body)
    )
    now, service = _REPORT_1_5.unpack_from(body, _REPORT.size) if len(body) > _REPORT.size else (None, None)
    return Report(
        tee_tcb_svn=tcb,
        mr_seam=seam,
        mr_signer_seam=signer,
        seam_attributes=seam_attributes,
        td_attributes=attributes,
        xfam=xfam,
        mr_td=td,
        mr_config_id=config_id,
        mr_owner=owner,
        mr_owner_config=owner_config,
        rtmrs=(registers[0], registers[1], registers[2], registers[3]),
        report_data=data,
        tee_tcb_svn_now=now,
        mr_service_td=service,
    )


def _parse_certification(section: bytes) -> tuple[bytes, ...]:
    if len(section) < _CERTIFICATION.size:
        raise FormatError("expected certification data, got none", reason="quote-lengths")
    kind, size = _CERTIFICATION.unpack_from(section)
    if kind != _QE_REPORT_CERTIFICATION:
        raise FormatError(
            f"expected certification data of type {_QE_REPORT_CERTIFICATION}, the QE report, got type {kind}",
            reason="quote-certification",
        )
    if _CERTIFICATION.size + size != len(section):
        raise FormatError(
            f"expected certification data to end the quote, got {size} bytes of {len(section) - _CERTIFICATION.size}",
            reason="quote-lengths",
        )
    return _dcap_quote.parse_certification(section[_CERTIFICATION.size :])
