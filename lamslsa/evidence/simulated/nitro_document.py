"""Keys, certificates and attestation documents of a simulated Nitro platform, in the shape of AWS's.

    root ──► instance ──► leaf, which signs one document and lives for three hours

Every certificate says in its names that there is no hardware behind it.

Layout: see `lamslsa.evidence.nitro.parse`, which reads what this module writes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from lamslsa.evidence import _cbor
from lamslsa.evidence.nitro.parse import PROTECTED, signed_bytes

__all__ = [
    "LEAF_LIFE",
    "ROLES",
    "Key",
    "NitroRole",
    "Window",
    "certify",
    "document",
    "generate_keys",
    "payload",
    "sign",
]

NitroRole = Literal["root", "instance", "leaf"]
Key = ec.EllipticCurvePrivateKey
Window = tuple[dt.datetime, dt.datetime]

ROLES: Final[tuple[NitroRole, ...]] = ("root", "instance", "leaf")
LEAF_LIFE: Final = dt.timedelta(hours=3)
_ISSUERS: Final[Mapping[NitroRole, NitroRole]] = {"root": "root", "instance": "root", "leaf": "instance"}
_PATH_LENGTHS: Final[Mapping[NitroRole, int | None]] = {"root": None, "instance": 0}
_ORGANIZATION: Final = "SIMULATED, no hardware"
_COMMON_NAMES: Final[Mapping[NitroRole, str]] = {
    "root": "SIMULATED Nitro root, no hardware",
    "instance": "SIMULATED Nitro instance, no hardware",
    "leaf": "SIMULATED Nitro enclave, no hardware",
}


def generate_keys() -> dict[NitroRole, Key]:
    """A fresh P-384 key for each role."""
    return {role: ec.generate_private_key(ec.SECP384R1()) for role in ROLES}


def certify(role: NitroRole, keys: Mapping[NitroRole, Key], *, window: Window) -> x509.Certificate:
    """The certificate of a role, valid within a window."""
    ca = role != "leaf"
    return (
        x509.CertificateBuilder()
        .subject_name(_name(role))
        .issuer_name(_name(_ISSUERS[role]))
        .public_key(keys[role].public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(window[0])
        .not_valid_after(window[1])
        .add_extension(x509.BasicConstraints(ca=ca, path_length=_PATH_LENGTHS.get(role)), critical=True)
        .add_extension(_key_usage(ca=ca), critical=True)
        .sign(keys[_ISSUERS[role]], hashes.SHA384())
    )


def _name(role: NitroRole) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, _COMMON_NAMES[role]),
        ]
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
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


def payload(
    *,
    chain: Sequence[bytes],
    module_id: str,
    timestamp: dt.datetime,
    pcrs: Mapping[int, bytes],
    user_data: bytes | None,
) -> dict[str, Any]:
    """The members of a document; ``chain`` from leaf to root."""
    leaf, *bundle = chain
    return {
        "module_id": module_id,
        "digest": "SHA384",
        "timestamp": int(timestamp.timestamp() * 1000),
        "pcrs": dict(pcrs),
        "certificate": leaf,
        "cabundle": bundle[::-1],
        "public_key": None,
        "user_data": user_data,
        "nonce": None,
    }


def sign(key: Key, data: bytes) -> bytes:
    """ES384: r ‖ s, 48 bytes each, big-endian."""
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA384())))
    return r.to_bytes(48, "big") + s.to_bytes(48, "big")


def document(key: Key, members: Mapping[str, Any], *, dumps: Callable[[Any], bytes] = _cbor.dumps) -> bytes:
    """The whole document, signed; ``dumps`` writes its members."""
    data = dumps(dict(members))
    return _cbor.dumps([PROTECTED, {}, data, sign(key, signed_bytes(data))])
