r"""What the certificate of a GPU's signing key says of the firmware that holds the key: its FWID.

Rules:
- Hopper states it in a CompositeDeviceID (2.23.133.5.4.1), Blackwell in a DiceTcbInfo (2.23.133.5.4.1.1), where it is
  the first of several; a certificate has exactly one of the two extensions.
- The DER is read strictly: definite, minimal lengths, no byte left over.

Spec: TCG DICE Attestation Architecture 1.1, section 6.1.1 (DiceTcbInfo, FWID); Microsoft RIoT Core, appendix B
(CompositeDeviceID). DER: ITU-T X.690, sections 8.1 and 10.1.

>>> from lamslsa._der import element, sequence
>>> [(hex(tag), body) for tag, body in elements(sequence(element(4, b"ab")))]
[('0x30', b'\x04\x02ab')]
"""

from __future__ import annotations

from typing import Final

from cryptography import x509

from lamslsa.errors import FormatError

__all__ = ["COMPOSITE_DEVICE_ID", "SHA384", "TCB_INFO", "elements", "fwid_of"]

COMPOSITE_DEVICE_ID: Final = "2.23.133.5.4.1"
TCB_INFO: Final = "2.23.133.5.4.1.1"
SHA384: Final = bytes.fromhex("608648016503040202")  # 2.16.840.1.101.3.4.2.2, without tag and length
_SEQUENCE: Final = 0x30
_FWIDS: Final = 0xA6
_HIGH_TAG: Final = 0x1F
_LONG_FORM: Final = 0x80
_MAX_LENGTH_BYTES: Final = 2
_FWID_BYTES: Final = 48


def elements(data: bytes) -> list[tuple[int, bytes]]:
    """The elements that follow one another in ``data``: tag and content.

    Raises:
        FormatError: not DER with one-byte tags and at most 64 KiB in each.
    """
    found = []
    at = 0
    while at < len(data):
        header = data[at : at + 2]
        if len(header) < 2 or header[0] & _HIGH_TAG == _HIGH_TAG:
            raise _not("DER")
        tag, length = header
        at += 2
        if length >= _LONG_FORM:
            size = length - _LONG_FORM
            digits = data[at : at + size]
            length = int.from_bytes(digits, "big")
            at += size
            if not 1 <= size <= _MAX_LENGTH_BYTES or len(digits) != size or length < (_LONG_FORM, 0x100)[size - 1]:
                raise _not("DER")
        if at + length > len(data):
            raise _not("DER")
        found.append((tag, data[at : at + length]))
        at += length
    return found


def fwid_of(certificate: x509.Certificate) -> bytes:
    """The FWID that a certificate states: 48 bytes of SHA-384.

    Raises:
        FormatError: it states none, or in another form.
    """
    stated = [
        extension.value.value
        for extension in certificate.extensions
        if isinstance(extension.value, x509.UnrecognizedExtension)
        and extension.oid.dotted_string in {COMPOSITE_DEVICE_ID, TCB_INFO}
    ]
    if len(stated) != 1:
        raise _not("the FWID of one firmware")
    body = _only(elements(stated[0]), _SEQUENCE)
    match elements(body):
        case [(0x02, b"\x01"), (0x30, _), (0x30, fwid)]:  # version, public key of the device, FWID
            return _digest(fwid)
        case parts:
            fwids = elements(_only([part for part in parts if part[0] == _FWIDS], _FWIDS))
            return _digest(_only(fwids[:1], _SEQUENCE))


def _digest(fwid: bytes) -> bytes:
    match elements(fwid):
        case [(0x06, algorithm), (0x04, digest)] if algorithm == SHA384 and len(digest) == _FWID_BYTES:
            return digest
        case _:
            raise _not("a FWID of SHA-384")


def _only(found: list[tuple[int, bytes]], tag: int) -> bytes:
    if [item[0] for item in found] != [tag]:
        raise _not("one element of DICE information")
    return found[0][1]


def _not(expected: str) -> FormatError:
    return FormatError(f"expected {expected} in the certificate of the GPU's key, got other bytes", reason="gpu-dice")
