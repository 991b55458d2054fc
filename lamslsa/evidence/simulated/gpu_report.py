"""Certificates and reports of simulated GPUs, in the shape of NVIDIA's.

    root ──► identity ──► provisioner ──► device, certified once ──► key of one firmware, which signs reports

Every certificate says in its names that there is no hardware behind it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from lamslsa._der import element, integer, object_identifier, octets, sequence
from lamslsa.evidence.nvidia.dice import COMPOSITE_DEVICE_ID, TCB_INFO

__all__ = [
    "CHAIN",
    "Gpu",
    "Key",
    "Role",
    "Window",
    "certify",
    "dice_extension",
    "generate_key",
    "key_usage",
    "messages",
    "sign",
]

Role = Literal["report", "device", "provisioner", "identity", "root"]
Key = ec.EllipticCurvePrivateKey
Window = tuple[dt.datetime, dt.datetime]

CHAIN: Final[tuple[Role, ...]] = ("report", "device", "provisioner", "identity", "root")

_COMMON_NAMES: Final[Mapping[Role, str]] = MappingProxyType(
    {
        "report": "{chip} A01 GSP FMC LF SIMULATED, no hardware",
        "device": "{chip} A01 GSP BROM SIMULATED, no hardware",
        "provisioner": "SIMULATED GPU Provisioner, no hardware",
        "identity": "SIMULATED GPU Identity, no hardware",
        "root": "SIMULATED GPU Root CA, no hardware",
    }
)
_ORGANIZATION: Final = "SIMULATED, no hardware"
_SHA384: Final = "2.16.840.1.101.3.4.2.2"
_OPAQUE: Final[Mapping[int, bytes]] = MappingProxyType(
    {
        6: bytes.fromhex("005e009601000000"),  # VBIOS 96.00.5E.00.01
        15: b"882\0\0\0\0\0\0",  # chip SKU, project, project SKU
        17: b"1010\0",
        18: b"0200\0",
        3: b"550.54.15\0",  # driver
        11: b"\xaa",  # the first video decoder is enabled
    }
)


def _measurements() -> tuple[bytes, ...]:
    return tuple(hashlib.sha384(b"simulated GPU measurement %d" % index).digest() for index in range(64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """What a simulated GPU says in its reports.

    Attributes:
        chip: the word that its certificates begin with.
        measurements: from index 0.
        opaque: fields of opaque data by their type, in their order.
    """

    chip: str = "GH100"
    fwid: bytes = hashlib.sha384(b"simulated GPU firmware").digest()
    measurements: tuple[bytes, ...] = field(default_factory=_measurements)
    opaque: Mapping[int, bytes] = field(default_factory=lambda: _OPAQUE)


def generate_key() -> Key:
    """A fresh P-384 key."""
    return ec.generate_private_key(ec.SECP384R1())


def certify(
    keys: Mapping[Role, Key], *, chip: str, dice: x509.UnrecognizedExtension, windows: Mapping[Role, Window]
) -> dict[Role, x509.Certificate]:
    """The certificates of one GPU, each valid within its window."""
    certificates = {}
    for role, issuer in zip(CHAIN, (*CHAIN[1:], CHAIN[-1]), strict=True):
        ca = role != "report"
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(role, chip))
            .issuer_name(_name(issuer, chip))
            .public_key(keys[role].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(windows[role][0])
            .not_valid_after(windows[role][1])
            .add_extension(key_usage(ca=ca), critical=True)
        )
        if ca:
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        else:
            builder = builder.add_extension(dice, critical=False)
        certificates[role] = builder.sign(keys[issuer], hashes.SHA384())
    return certificates


def dice_extension(gpu: Gpu, device: ec.EllipticCurvePublicKey) -> x509.UnrecognizedExtension:
    """What the certificate of the signing key says of its firmware, in the form of the GPU's architecture."""
    fwid = sequence(object_identifier(_SHA384), octets(gpu.fwid))
    if gpu.chip.startswith("GH"):
        key = device.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return x509.UnrecognizedExtension(x509.ObjectIdentifier(COMPOSITE_DEVICE_ID), sequence(integer(1), key, fwid))
    unused = sequence(object_identifier(_SHA384), octets(bytes(48)))
    info = sequence(element(0x80, b"SIMULATED"), element(0x83, b"\x01"), element(0xA6, fwid + unused))
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(TCB_INFO), info)


def messages(gpu: Gpu, nonce: bytes, *, salt: bytes) -> bytes:
    """Request and response over a nonce of 32 bytes, without the signature; ``salt`` is the GPU's own nonce."""
    record = b"".join(
        struct.pack("<BBHBH", index, 1, 3 + len(value), 1, len(value)) + value
        for index, value in enumerate(gpu.measurements, 1)
    )
    fields = {**gpu.opaque, 20: gpu.fwid}
    opaque = b"".join(struct.pack("<HH", kind, len(value)) + value for kind, value in fields.items())
    return (
        b"\x11\xe0\x01\xff"
        + nonce
        + b"\0\x11\x60\0\0"
        + bytes((len(gpu.measurements),))
        + len(record).to_bytes(3, "little")
        + record
        + salt
        + struct.pack("<H", len(opaque))
        + opaque
    )


def sign(key: Key, data: bytes) -> bytes:
    """ECDSA P-384 over SHA-384 as SPDM writes it: r ‖ s, 48 bytes each, big-endian."""
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA384())))
    return r.to_bytes(48, "big") + s.to_bytes(48, "big")


def _name(role: Role, chip: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, _COMMON_NAMES[role].format(chip=chip)),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
        ]
    )


def key_usage(*, ca: bool) -> x509.KeyUsage:
    """What the key of a certificate may do: sign certificates, or else anything but those."""
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
