"""The one structure of a PCK certificate that no library writes: Intel's SGX extension, in DER.

Spec: Intel SGX PCK Certificate and CRL Profile, section 1.3.5.
"""

from __future__ import annotations

from typing import Final

from lamslsa._der import element, integer, object_identifier, octets, sequence

__all__ = ["SGX_EXTENSION_OID", "sgx_extension"]

SGX_EXTENSION_OID: Final = "1.2.840.113741.1.13.1"
_ENUMERATED: Final = 0x0A
_SVN_COUNT: Final = 16


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
        _pair("5", element(_ENUMERATED, b"\x00")),
    )


def _pair(arc: str, value: bytes) -> bytes:
    return sequence(object_identifier(f"{SGX_EXTENSION_OID}.{arc}"), value)
