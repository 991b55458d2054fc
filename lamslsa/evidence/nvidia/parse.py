"""Bytes to a typed report of an NVIDIA GPU: SPDM measurements, with the certificate chain of the key that signed them.

    {"report": "<base64: SPDM GET_MEASUREMENTS request ‖ MEASUREMENTS response>",
     "certificates": ["<base64: DER>", …]}       leaf, device, provisioner, identity, root

Rules:
- Exactly these two members. Every byte of the report is accounted for: all lengths add up, and no index or type of
  field occurs twice.
- Both messages are of SPDM 1.1, for all measurements and with a signature, over slot 0, as NVIDIA's driver asks.
- The signature covers request and response up to itself. Parsing authenticates nothing.

Layout: DMTF DSP0274 1.1.3, tables 43 (GET_MEASUREMENTS), 46 (MEASUREMENTS), 50 and 51 (measurement blocks); the opaque
data is NVIDIA's: fields of type, size and value. Integers are little-endian.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError

__all__ = [
    "CHAIN_LENGTH",
    "MAX_EVIDENCE_BYTES",
    "MAX_REPORT_BYTES",
    "NONCE_BYTES",
    "SIGNATURE_BYTES",
    "GpuEvidence",
    "GpuReport",
    "parse",
    "parse_report",
    "render",
]

MAX_EVIDENCE_BYTES: Final = 64 * 1024
MAX_REPORT_BYTES: Final = 16 * 1024
CHAIN_LENGTH: Final = 5
NONCE_BYTES: Final = 32
SIGNATURE_BYTES: Final = 96

_MAX_CERTIFICATE_BYTES: Final = 4 * 1024
_KEYS: Final = {"report", "certificates"}
_REQUEST: Final = struct.Struct("<4s32sB")
_RESPONSE: Final = struct.Struct("<4sB3s")
_BLOCK: Final = struct.Struct("<BBHBH")
_BLOCK_SIZE_FROM: Final = struct.calcsize("<BBH")
_OPAQUE_LENGTH: Final = struct.Struct("<H")
_OPAQUE_FIELD: Final = struct.Struct("<HH")
# SPDM version, code, then "signature requested" and "all measurements"; in the answer reserved, and slot 0.
_GET_MEASUREMENTS: Final = bytes.fromhex("11e001ff")
_MEASUREMENTS: Final = bytes.fromhex("11600000")
_SLOT: Final = 0
_DMTF: Final = 1

_DRIVER_VERSION: Final = 3
_VBIOS_VERSION: Final = 6
_NVDEC0_STATUS: Final = 11
_FWID: Final = 20
_CHIP_INFO: Final = 35
_NVDEC0_DISABLED: Final = b"\x55"
_FWID_BYTES: Final = 48
_VBIOS_BYTES: Final = 8
_DRIVER: Final = re.compile(rb"([0-9]{1,5}(?:\.[0-9]{1,5}){1,4})\0*")
_CHIP: Final = re.compile(rb"([A-Z0-9]{2,16})\0*")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReport:
    """What a GPU measured, said and signed.

    Attributes:
        raw: request and response with the signature at the end.
        nonce: what the GPU was asked to sign, from the request.
        measurements: by the index of their block, which counts from 1.
        driver_version: as the driver spells it, ``550.54.15``.
        vbios_version: as NVIDIA spells it, ``96.00.5E.00.01``.
        nvdec0_disabled: the GPU says that its first video decoder is off, and with it one measurement.
        fwid: SHA-384 that names the firmware behind the signing key; None where the report states none.
        chip: as ``GB100``; None where the report states none.
    """

    raw: bytes
    nonce: bytes
    measurements: Mapping[int, bytes]
    driver_version: str
    vbios_version: str
    nvdec0_disabled: bool
    fwid: bytes | None
    chip: str | None

    @property
    def signed(self) -> bytes:
        """The bytes that the signature covers."""
        return self.raw[:-SIGNATURE_BYTES]

    @property
    def signature(self) -> bytes:
        """ECDSA P-384: r ‖ s, 48 bytes each, big-endian."""
        return self.raw[-SIGNATURE_BYTES:]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuEvidence:
    """A report and the chain that came with it: the right shape, nothing authentic yet.

    Attributes:
        chain: DER certificates, leaf first.
    """

    report: GpuReport
    chain: tuple[bytes, ...]

    @property
    def root(self) -> bytes:
        """DER of the root certificate that the evidence presents: trusted by nobody yet."""
        return self.chain[-1]


def render(report: bytes, certificates: Sequence[bytes]) -> bytes:
    """Evidence from the bytes of a report and the DER certificates of its chain, leaf first."""
    return _codec.dumps(
        {
            "report": _codec.encode_base64(report),
            "certificates": [_codec.encode_base64(der) for der in certificates],
        }
    )


def parse(data: bytes) -> GpuEvidence:
    """Take GPU evidence apart.

    Raises:
        FormatError: not GPU evidence.
    """
    value = _codec.loads(data, max_bytes=MAX_EVIDENCE_BYTES)
    if not isinstance(value, dict) or value.keys() != _KEYS:
        raise FormatError("expected a JSON object with report and certificates, got another", reason="gpu-shape")
    report, certificates = value["report"], value["certificates"]
    if not isinstance(report, str) or not _are_texts(certificates):
        raise FormatError("expected base64 in report and certificates, got other values", reason="gpu-shape")
    if len(certificates) != CHAIN_LENGTH:
        raise FormatError(
            f"expected {CHAIN_LENGTH} certificates from the leaf to the root, got {len(certificates)}",
            reason="gpu-certificates",
        )
    return GpuEvidence(
        report=parse_report(_codec.decode_base64(report, what="report", max_bytes=MAX_REPORT_BYTES)),
        chain=tuple(
            _codec.decode_base64(text, what="certificates", max_bytes=_MAX_CERTIFICATE_BYTES) for text in certificates
        ),
    )


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def parse_report(raw: bytes) -> GpuReport:
    """Take the request and response of a GPU apart.

    Raises:
        FormatError: not such messages, or lengths that do not add up.
    """
    if len(raw) > MAX_REPORT_BYTES:
        raise FormatError(f"expected at most {MAX_REPORT_BYTES} bytes of report, got {len(raw)}", reason="gpu-lengths")
    reader = _Reader(raw[:-SIGNATURE_BYTES])
    request, nonce, slot = reader.unpack(_REQUEST)
    response, count, size = reader.unpack(_RESPONSE)
    if (request, slot, response) != (_GET_MEASUREMENTS, _SLOT, _MEASUREMENTS):
        raise FormatError(
            "expected an SPDM 1.1 request for all measurements with a signature, and its answer, got "
            f"{request.hex()} for slot {slot} and {response.hex()}",
            reason="gpu-spdm",
        )
    measurements = _parse_measurements(reader.take(int.from_bytes(size, "little")), count)
    reader.take(NONCE_BYTES)  # the GPU's own nonce: it only makes each signature another one
    opaque = _parse_opaque(reader.take(*reader.unpack(_OPAQUE_LENGTH)))
    reader.finish()
    return GpuReport(
        raw=raw,
        nonce=nonce,
        measurements=measurements,
        driver_version=_text(opaque, _DRIVER_VERSION, _DRIVER, what="a driver version"),
        vbios_version=_vbios_version(opaque),
        nvdec0_disabled=opaque.get(_NVDEC0_STATUS) == _NVDEC0_DISABLED,
        fwid=_fwid(opaque),
        chip=_text(opaque, _CHIP_INFO, _CHIP, what="a chip") if _CHIP_INFO in opaque else None,
    )


class _Reader:
    """Takes bytes from the front and refuses to run dry or to leave any behind."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise FormatError(f"expected {size} bytes more in the report, got {len(part)}", reason="gpu-lengths")
        self._at += size
        return part

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        return layout.unpack(self.take(layout.size))

    def more(self) -> bool:
        return self._at < len(self._data)

    def finish(self) -> None:
        if self.more():
            raise FormatError(
                f"expected {SIGNATURE_BYTES} bytes of signature after the fields of the report, got "
                f"{len(self._data) - self._at} more",
                reason="gpu-lengths",
            )


def _parse_measurements(record: bytes, count: int) -> dict[int, bytes]:
    blocks = list(_blocks(_Reader(record)))
    measurements = dict(blocks)
    if not blocks or not len(measurements) == len(blocks) == count:
        raise FormatError(
            f"expected {count} measurements under different indices, at least one, got {len(blocks)}",
            reason="gpu-measurements",
        )
    return measurements


def _blocks(reader: _Reader) -> Iterator[tuple[int, bytes]]:
    while reader.more():
        index, specification, size, _, value_size = reader.unpack(_BLOCK)
        if specification != _DMTF or size != _BLOCK.size - _BLOCK_SIZE_FROM + value_size:
            raise FormatError(
                f"expected measurement {index} as DMTF specifies it, got specification {specification} and "
                f"{value_size} bytes of value in {size}",
                reason="gpu-measurements",
            )
        yield index, reader.take(value_size)


def _parse_opaque(data: bytes) -> dict[int, bytes]:
    reader = _Reader(data)
    fields: dict[int, bytes] = {}
    while reader.more():
        kind, size = reader.unpack(_OPAQUE_FIELD)
        if kind in fields:
            raise FormatError(f"expected each type of opaque data once, got {kind} twice", reason="gpu-opaque")
        fields[kind] = reader.take(size)
    return fields


def _text(opaque: Mapping[int, bytes], kind: int, pattern: re.Pattern[bytes], *, what: str) -> str:
    data = opaque.get(kind, b"")
    found = pattern.fullmatch(data)
    if not found:
        raise FormatError(f"expected {what} in the opaque data, got {data[:40]!r}", reason="gpu-opaque")
    return found[1].decode("ascii")


def _vbios_version(opaque: Mapping[int, bytes]) -> str:
    """Four bytes of version, the last one first, then one of the board maker's."""
    data = opaque.get(_VBIOS_VERSION, b"")
    if len(data) != _VBIOS_BYTES or any(data[5:]):
        raise FormatError(f"expected a VBIOS version in the opaque data, got {data[:40].hex()!r}", reason="gpu-opaque")
    return ".".join(f"{part:02X}" for part in (data[3], data[2], data[1], data[0], data[4]))


def _fwid(opaque: Mapping[int, bytes]) -> bytes | None:
    fwid = opaque.get(_FWID)
    if fwid is not None and len(fwid) != _FWID_BYTES:
        raise FormatError(f"expected {_FWID_BYTES} bytes of FWID, got {len(fwid)}", reason="gpu-opaque")
    return fwid
