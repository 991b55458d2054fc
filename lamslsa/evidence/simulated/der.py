"""A DER encoder for the one structure that no library writes: Intel's SGX extension of PCK certificates.

Spec: Intel SGX PCK Certificate and CRL Profile, section 1.3.5; encoding: ITU-T X.690.

>>> integer(128).hex()
'02020080'
"""

from __future__ import annotations

from typing import Final

__all__ = ["SGX_EXTENSION_OID", "integer", "object_identifier", "octets", "sequence", "sgx_extension"]

SGX_EXTENSION_OID: Final = "1.2.840.113741.1.13.1"
_INTEGER: Final = 0x02
_OCTETS: Final = 0x04
_OID: Final = 0x06
_ENUMERATED: Final = 0x0A
_SEQUENCE: Final = 0x30
_SVN_COUNT: Final = 16


def _element(tag: int, body: bytes) -> bytes:
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def integer(value: int) -> bytes:
    """INTEGER, not negative."""
    return _element(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(value: bytes) -> bytes:
    """OCTET STRING."""
    return _element(_OCTETS, value)


def sequence(*items: bytes) -> bytes:
    """SEQUENCE of encoded items."""
    return _element(_SEQUENCE, b"".join(items))


def object_identifier(dotted: str) -> bytes:
    """OBJECT IDENTIFIER."""
    first, second, *others = map(int, dotted.split("."))
    body = bytearray((first * 40 + second,))
    for arc in others:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | (arc & 0x7F))
        body += bytes(reversed(groups))
    return _element(_OID, bytes(body))


def sgx_extension(*, ppid: bytes, cpu_svn: bytes, pce_svn: int, pce_id: bytes, fmspc: bytes) -> bytes:
    """The value of the SGX extension of a PCK certificate, SGX type standard.

    Args:
        ppid: 16 bytes that name the platform.
        cpu_svn: 16 bytes, which are also the 16 component SVNs.
        pce_svn: security version number of the provisioning enclave.
        pce_id: 2 bytes.
        fmspc: 6 bytes, the family of platforms.
    """
    tcb = [_pair(f"2.{number}", integer(svn)) for number, svn in enumerate(cpu_svn[:_SVN_COUNT], 1)]
    tcb += [_pair("2.17", integer(pce_svn)), _pair("2.18", octets(cpu_svn))]
    return sequence(
        _pair("1", octets(ppid)),
        _pair("2", sequence(*tcb)),
        _pair("3", octets(pce_id)),
        _pair("4", octets(fmspc)),
        _pair("5", _element(_ENUMERATED, b"\x00")),
    )


def _pair(arc: str, value: bytes) -> bytes:
    return sequence(object_identifier(f"{SGX_EXTENSION_OID}.{arc}"), value)
