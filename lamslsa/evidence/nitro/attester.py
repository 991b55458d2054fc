"""The attester inside a Nitro enclave: the Nitro security module behind ``/dev/nsm``.

One request, one answer, both CBOR, through one ioctl that hands over two buffers. The document carries the report data
as ``user_data``; it holds its own certificates, so there is no collateral.

Source: Linux 6.8 and later, include/uapi/linux/nsm.h; AWS Nitro Enclaves, "Attestation process" and NSM API.
"""

from __future__ import annotations

import ctypes
import struct
from typing import Final

from lamslsa.errors import FormatError
from lamslsa.evidence import _cbor
from lamslsa.evidence._kernel import Kernel, Linux, answering, refuse_other_report_data, require_report_data
from lamslsa.evidence.interface import DeviceEvidence, Evidence
from lamslsa.evidence.nitro.parse import parse
from lamslsa.predicates.tee_evidence import NITRO_DOCUMENT_MEDIA_TYPE

__all__ = ["DEVICE", "NSM_EXCHANGE", "NitroAttester", "exchange"]

DEVICE: Final = "/dev/nsm"
NSM_EXCHANGE: Final = 0xC0200A00
"""_IOWR(0x0A, 0, struct nsm_raw)."""
_BUFFERS: Final = struct.Struct("=QQQQ")  # address and length of the request, then of the response
_MAX_RESPONSE_BYTES: Final = 0x3000
_HINT: Final = f"run inside a Nitro enclave, with {DEVICE} and the rights of its administrator"


class NitroAttester:
    """Emits the attestation documents of the Nitro enclave that this process runs in."""

    def __init__(self, kernel: Kernel | None = None) -> None:
        self._kernel = kernel or Linux()

    @property
    def tee(self) -> str:
        """What ``--tee`` calls this attester."""
        return "nitro"

    def device_evidence(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:  # noqa: ARG002 - the interface's signature
        """None: an enclave cannot tell a device of its own from one that the host relays."""
        return ()

    def quote(self, report_data: bytes) -> Evidence:
        """Have the security module sign exactly 64 bytes of report data.

        Raises:
            UnavailableError: not inside a Nitro enclave, or the module refuses.
            ValueError: not 64 bytes.
        """
        require_report_data(report_data)
        with answering("the Nitro security module", hint=_HINT):
            document = _document(exchange(self._kernel, _request(report_data)))
            refuse_other_report_data(parse(document).user_data or b"", report_data, what="the document")
        return Evidence(media_type=NITRO_DOCUMENT_MEDIA_TYPE, quote=document, collateral=None)


def exchange(kernel: Kernel, request: bytes) -> bytes:
    """Hand a request to the security module and return its answer.

    Raises:
        OSError: there is no module, or it refuses.
        FormatError: an answer of an impossible length.
    """
    asked = (ctypes.c_char * len(request)).from_buffer_copy(request)
    answer = (ctypes.c_char * _MAX_RESPONSE_BYTES)()
    buffers = bytearray(
        _BUFFERS.pack(ctypes.addressof(asked), len(request), ctypes.addressof(answer), _MAX_RESPONSE_BYTES)
    )
    descriptor = kernel.open(DEVICE, "rw")
    try:
        kernel.ioctl(descriptor, NSM_EXCHANGE, buffers)
    finally:
        kernel.close(descriptor)
    *_, length = _BUFFERS.unpack(buffers)
    if length > _MAX_RESPONSE_BYTES:
        raise FormatError(
            f"expected at most {_MAX_RESPONSE_BYTES} bytes, got a length of {length}", reason="nsm-answer"
        )
    return answer.raw[:length]


def _request(user_data: bytes) -> bytes:
    return _cbor.dumps({"Attestation": {"user_data": user_data, "nonce": None, "public_key": None}})


def _document(answer: bytes) -> bytes:
    match _cbor.loads(answer, what="the answer", max_bytes=_MAX_RESPONSE_BYTES):
        case {"Attestation": {"document": bytes(document)}}:
            return document
        case {"Error": str(error)}:
            raise FormatError(f"expected an attestation document, got the error {error[:80]!r}", reason="nsm-answer")
        case _:
            raise FormatError("expected an attestation document, got another answer", reason="nsm-answer")
