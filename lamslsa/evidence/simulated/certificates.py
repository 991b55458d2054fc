"""Keys and certificates of the simulated platform, in the shape of Intel's provisioning hierarchy.

    root ──► PCK CA ──► PCK certificate ──► report of the quoting enclave ──► attestation key, which signs quotes
      └────► TCB signing, which signs TCB info and QE identity

Every certificate says in its names that there is no hardware behind it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from lamslsa.evidence.simulated.der import SGX_EXTENSION_OID, sgx_extension

__all__ = ["KEYS", "ROLES", "Cpu", "Key", "KeyName", "Role", "Window", "certify", "generate_keys", "raw_public", "sign"]

Role = Literal["root", "pck-ca", "tcb-signing", "pck"]
KeyName = Literal["root", "pck-ca", "tcb-signing", "pck", "attestation"]
Key = ec.EllipticCurvePrivateKey
Window = tuple[dt.datetime, dt.datetime]

ROLES: Final[tuple[Role, ...]] = ("root", "pck-ca", "tcb-signing", "pck")
KEYS: Final[tuple[KeyName, ...]] = (*ROLES, "attestation")

_ORGANIZATION: Final = "SIMULATED, no hardware"
_COMMON_NAMES: Final[Mapping[Role, str]] = {
    "root": "SIMULATED SGX Root CA, no hardware",
    "pck-ca": "SIMULATED SGX PCK Platform CA, no hardware",
    "tcb-signing": "SIMULATED SGX TCB Signing, no hardware",
    "pck": "SIMULATED SGX PCK Certificate, no hardware",
}
_ISSUERS: Final[Mapping[Role, Role]] = {"root": "root", "pck-ca": "root", "tcb-signing": "root", "pck": "pck-ca"}
_PATH_LENGTHS: Final[Mapping[Role, int]] = {"root": 1, "pck-ca": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """What the PCK certificate says about the simulated processor.

    Attributes:
        ppid: 16 bytes that name the platform; only its certificate carries them.
        cpu_svn: 16 security version numbers.
        fmspc: 6 bytes, the family of platforms.
        pce_id: 2 bytes.
    """

    ppid: bytes = bytes(16)
    cpu_svn: bytes = bytes((2, 2, 2, 2, 3, 1, 0, 3)) + bytes(8)
    pce_svn: int = 13
    pce_id: bytes = bytes(2)
    fmspc: bytes = b"SIM" + bytes(3)


def generate_keys() -> dict[KeyName, Key]:
    """A fresh P-256 key for each role."""
    return {name: ec.generate_private_key(ec.SECP256R1()) for name in KEYS}


def certify(keys: Mapping[KeyName, Key], *, cpu: Cpu, windows: Mapping[Role, Window]) -> dict[Role, x509.Certificate]:
    """The four certificates, each valid within its window."""
    return {role: _certificate(role, keys, cpu, windows[role]) for role in ROLES}


def _certificate(role: Role, keys: Mapping[KeyName, Key], cpu: Cpu, window: Window) -> x509.Certificate:
    ca = role in _PATH_LENGTHS
    issuer = _ISSUERS[role]
    public_key = keys[role].public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(role))
        .issuer_name(_name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(window[0])
        .not_valid_after(window[1])
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[issuer].public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_key_usage(ca=ca), critical=True)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=_PATH_LENGTHS.get(role)), critical=True)
    )
    if role == "pck":
        extension = sgx_extension(
            ppid=cpu.ppid, cpu_svn=cpu.cpu_svn, pce_svn=cpu.pce_svn, pce_id=cpu.pce_id, fmspc=cpu.fmspc
        )
        oid = x509.ObjectIdentifier(SGX_EXTENSION_OID)
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, extension), critical=False)
    return builder.sign(keys[issuer], hashes.SHA256())


def _name(role: Role) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, _COMMON_NAMES[role]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
        ]
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=not ca,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def sign(key: Key, data: bytes) -> bytes:
    """ECDSA P-256 over SHA-256 as DCAP writes it: r ‖ s, 32 bytes each, big-endian."""
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def raw_public(key: Key) -> bytes:
    """The public point as DCAP writes it: x ‖ y, 32 bytes each, big-endian."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
