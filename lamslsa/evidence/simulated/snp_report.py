"""Keys, certificates, revocation lists and reports of a simulated SEV-SNP platform, in the shape of AMD's.

    root (ARK) ──► issuer (ASK or ASVK) ──► leaf (VCEK or VLEK), which signs reports

Names are those of AMD's certificates, since a verifier reads product line and kind of key out of them; the organization
says that there is no hardware behind them.

Layout and profiles: see `lamslsa.evidence.snp`, which reads what this module writes.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from lamslsa._der import element, integer
from lamslsa.evidence.simulated._folder import Key
from lamslsa.evidence.snp.certificates import ARC, COMMON_NAMES, CSP_ID, HARDWARE_ID, ROOT_NAME, TCB_ARCS
from lamslsa.evidence.snp.parse import Product, SigningKey, Tcb

__all__ = [
    "ROLES",
    "SnpChip",
    "SnpGuest",
    "SnpRole",
    "Window",
    "certificate_names",
    "certify",
    "generate_keys",
    "leaf_extensions",
    "raw_tcb",
    "report_body",
    "revocation_list",
    "sign_report",
]

SnpRole = Literal["root", "issuer", "leaf"]
Window = tuple[dt.datetime, dt.datetime]

ROLES: Final[tuple[SnpRole, ...]] = ("root", "issuer", "leaf")
_ISSUERS: Final[Mapping[SnpRole, SnpRole]] = {"root": "root", "issuer": "root", "leaf": "issuer"}
_PATH_LENGTHS: Final[Mapping[SnpRole, int | None]] = {"root": None, "issuer": 0}
_ORGANIZATION: Final = "SIMULATED, no hardware"
_RSA_BITS: Final = 3072
_PSS: Final = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=hashes.SHA384.digest_size)
_IA5_STRING: Final = 0x16
_BODY: Final = struct.Struct("<IIQ16s16sII8sQII64s48s32s48s48s32s32s8sBBB21x64s8sBBBxBBBx8s168x")
_COMPONENT: Final = struct.Struct("48s24x")
_AFTER_SIGNATURE: Final = bytes(368)
_ECDSA_P384_SHA384: Final = 1
_FIRMWARE: Final = (1, 55, 29)
_TCB: Final = Tcb(bootloader=4, tee=0, snp=24, microcode=219)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpChip:
    """What certificates and reports say about the simulated processor.

    Attributes:
        cpuid: family, model, stepping.
        csp_id: the cloud provider that a VLEK is for.
    """

    product: Product = "Milan"
    signing_key: SigningKey = "vcek"
    chip_id: bytes = b"S" * 64
    cpuid: tuple[int, int, int] = (0x19, 0x01, 0x01)
    tcb: Tcb = _TCB
    csp_id: str = "CN=simulated"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpGuest:
    """What a report says about the guest, apart from the report data; the policy allows SMT and nothing else."""

    measurement: bytes
    host_data: bytes = bytes(32)
    policy: int = 0x30000
    vmpl: int = 0
    guest_svn: int = 0
    family_id: bytes = bytes(16)
    image_id: bytes = bytes(16)
    id_key_digest: bytes = bytes(48)
    author_key_digest: bytes = bytes(48)


def generate_keys() -> dict[SnpRole, Key]:
    """Fresh keys: RSA for the authorities, P-384 for the key that signs reports."""
    return {
        "root": rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS),
        "issuer": rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS),
        "leaf": ec.generate_private_key(ec.SECP384R1()),
    }


def certificate_names(chip: SnpChip) -> dict[SnpRole, str]:
    """Common names by role."""
    leaf, issuer = COMMON_NAMES[chip.signing_key]
    return {"root": ROOT_NAME + chip.product, "issuer": issuer + chip.product, "leaf": leaf}


def leaf_extensions(chip: SnpChip) -> dict[str, bytes]:
    """AMD's extensions of the leaf, by the end of their identifiers."""
    extensions = {
        arc: integer(number) for name, arc in TCB_ARCS.items() if (number := getattr(chip.tcb, name)) is not None
    }
    if chip.signing_key == "vlek":
        return {**extensions, CSP_ID: element(_IA5_STRING, chip.csp_id.encode("ascii"))}
    return {**extensions, HARDWARE_ID: chip.chip_id[: 8 if chip.product == "Turin" else 64]}


def certify(
    keys: Mapping[SnpRole, Key],
    *,
    names: Mapping[SnpRole, str],
    extensions: Mapping[str, bytes],
    windows: Mapping[SnpRole, Window],
) -> dict[SnpRole, x509.Certificate]:
    """The three certificates, each valid within its window; the leaf with these extensions."""
    return {role: _certificate(role, keys, names, extensions, windows[role]) for role in ROLES}


def _certificate(
    role: SnpRole,
    keys: Mapping[SnpRole, Key],
    names: Mapping[SnpRole, str],
    extensions: Mapping[str, bytes],
    window: Window,
) -> x509.Certificate:
    issuer = _ISSUERS[role]
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(names[role]))
        .issuer_name(_name(names[issuer]))
        .public_key(keys[role].public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(window[0])
        .not_valid_after(window[1])
    )
    if role == "leaf":
        for arc, value in extensions.items():
            oid = x509.ObjectIdentifier(ARC + arc)
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    else:
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=_PATH_LENGTHS[role]), critical=True
        ).add_extension(_AUTHORITY, critical=True)
    return builder.sign(keys[issuer], hashes.SHA384(), rsa_padding=_pss(keys[issuer]))


def revocation_list(
    key: Key, *, issuer: str, window: Window, serials: Sequence[int], extensions: Sequence[x509.ExtensionType] = ()
) -> bytes:
    """The list of certificates that a root has revoked, in DER; further extensions are critical."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(_name(issuer))
        .last_update(window[0])
        .next_update(window[1])
        .add_extension(x509.CRLNumber(1), critical=False)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(window[0])
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key, hashes.SHA384(), rsa_padding=_pss(key)).public_bytes(Encoding.DER)


_AUTHORITY: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _pss(key: Key) -> padding.PSS | None:
    return _PSS if isinstance(key, rsa.RSAPrivateKey) else None


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def raw_tcb(tcb: Tcb) -> bytes:
    """The 8 bytes of a patch level in a report."""
    if tcb.fmc is not None:
        return bytes((tcb.fmc, tcb.bootloader, tcb.tee, tcb.snp, 0, 0, 0, tcb.microcode))
    return bytes((tcb.bootloader, tcb.tee, 0, 0, 0, 0, tcb.snp, tcb.microcode))


def report_body(chip: SnpChip, guest: SnpGuest, report_data: bytes, *, version: int = 3) -> bytes:
    """The bytes of a report that are signed."""
    tcb = raw_tcb(chip.tcb)
    firmware = tuple(reversed(_FIRMWARE))
    return _BODY.pack(
        version,
        guest.guest_svn,
        guest.policy,
        guest.family_id,
        guest.image_id,
        guest.vmpl,
        _ECDSA_P384_SHA384,
        tcb,
        1,
        (1 << 2 if chip.signing_key == "vlek" else 0) | any(guest.author_key_digest),
        0,
        report_data,
        guest.measurement,
        guest.host_data,
        guest.id_key_digest,
        guest.author_key_digest,
        bytes(32),
        b"\xff" * 32,
        tcb,
        *(chip.cpuid if version > 2 else (0, 0, 0)),
        chip.chip_id,
        tcb,
        *firmware,
        *firmware,
        tcb,
    )


def sign_report(key: Key, body: bytes) -> bytes:
    """The whole report: r and s little-endian, each in 72 bytes.

    Raises:
        TypeError: not an EC key.
    """
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("expected the P-384 key of a VCEK or VLEK")
    numbers = decode_dss_signature(key.sign(body, ec.ECDSA(hashes.SHA384())))
    return body + b"".join(_COMPONENT.pack(number.to_bytes(48, "little")) for number in numbers) + _AFTER_SIGNATURE
