"""AMD's endorsements of an SEV-SNP report, as they travel with it: parsed here, authenticated by `verify`.

    {"leaf": …, "issuer": …, "root": …, "revocationList": …}

Each is base64 of DER: the certificate of VCEK or VLEK, that of the ASK or ASVK that issued it, the ARK, and the list of
issuers that the ARK has revoked. Any of them may be missing: a host hands over what it has, and `completed` takes the
rest from elsewhere. What a step needs and does not find, it refuses.

Rules:
- Strict JSON with one or more of these members and no other.
- What a host hands over is turned into this form: the certificate table of an extended report, or files in DER or PEM.

Spec: AMD 57230, VCEK Certificate and KDS Interface Specification; the table: AMD 56421, SEV-ES Guest-Hypervisor
Communication Block Standardization, "SNP Extended Guest Request".
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.evidence._pem import parse_chain
from lamslsa.evidence._x509 import MAX_CERTIFICATE_BYTES, MAX_REVOCATION_LIST_BYTES
from lamslsa.predicates.tee_evidence import SNP_COLLATERAL_MEDIA_TYPE

__all__ = [
    "MEDIA_TYPE",
    "CertificateTable",
    "SnpCollateral",
    "completed",
    "from_certificate_table",
    "from_certificates",
    "parse",
    "parse_certificate_table",
    "render",
]

MEDIA_TYPE: Final = SNP_COLLATERAL_MEDIA_TYPE
_MAX_BYTES: Final = 2 * 1024 * 1024
_LIMITS: Final[Mapping[str, int]] = {
    "leaf": MAX_CERTIFICATE_BYTES,
    "issuer": MAX_CERTIFICATE_BYTES,
    "root": MAX_CERTIFICATE_BYTES,
    "revocationList": MAX_REVOCATION_LIST_BYTES,
}

_MAX_TABLE_BYTES: Final = 128 * 1024
_MAX_ENTRIES: Final = 16
_ENTRY: Final = struct.Struct("<16sII")
_TABLE: Final[Mapping[bytes, str]] = {
    uuid.UUID("63da758d-e664-4564-adc5-f4b93be8accd").bytes: "vcek",
    uuid.UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1").bytes: "vlek",
    uuid.UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782").bytes: "issuer",
    uuid.UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae").bytes: "root",
}
_PEM: Final = b"-----BEGIN"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpCollateral:
    """Endorsements with the right shape, each in DER; nothing here is authenticated.

    Attributes:
        leaf: certificate of the VCEK or VLEK; None in collateral that is not about one chip.
        issuer: certificate of the ASK or ASVK.
        root: certificate of the ARK.
        revocation_list: of the ARK.
    """

    leaf: bytes | None = None
    issuer: bytes | None = None
    root: bytes | None = None
    revocation_list: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateTable:
    """Certificates that a host hands to its guest, in DER; any of them may be missing."""

    vcek: bytes | None = None
    vlek: bytes | None = None
    issuer: bytes | None = None
    root: bytes | None = None


def parse(data: bytes) -> SnpCollateral:
    """Parse collateral.

    Raises:
        FormatError: not collateral of this shape.
    """
    value = _codec.loads(data, max_bytes=_MAX_BYTES)
    if not isinstance(value, dict) or not value or not value.keys() <= _LIMITS.keys():
        raise FormatError(
            f"expected a JSON object with some of {', '.join(_LIMITS)}, got other members",
            reason="snp-collateral-shape",
        )
    found = {}
    for name, text in value.items():
        if not isinstance(text, str):
            raise FormatError(f"expected base64 in {name}, got another value", reason="snp-collateral-shape")
        found[name] = _codec.decode_base64(text, what=name, max_bytes=_LIMITS[name])
    return SnpCollateral(
        leaf=found.get("leaf"),
        issuer=found.get("issuer"),
        root=found.get("root"),
        revocation_list=found.get("revocationList"),
    )


def render(
    *,
    leaf: bytes | None = None,
    issuer: bytes | None = None,
    root: bytes | None = None,
    revocation_list: bytes | None = None,
) -> bytes:
    """Collateral as JSON; every argument in DER, one at least."""
    members = {"leaf": leaf, "issuer": issuer, "root": root, "revocationList": revocation_list}
    return _codec.dumps({name: _codec.encode_base64(der) for name, der in members.items() if der is not None})


def completed(data: bytes, other: bytes) -> bytes:
    """Collateral with what it lacks taken from another one, such as issuer, root and revocation list of the product.

    Raises:
        FormatError: one of them is not collateral.
    """
    own, rest = parse(data), parse(other)
    return render(
        leaf=own.leaf or rest.leaf,
        issuer=own.issuer or rest.issuer,
        root=own.root or rest.root,
        revocation_list=own.revocation_list or rest.revocation_list,
    )


def from_certificates(leaf: bytes | None, chain: bytes, *, revocation_list: bytes | None = None) -> SnpCollateral:
    """Collateral from files, as AMD's key distribution service hands them out.

    Args:
        leaf: one certificate in DER or PEM.
        chain: issuer and root in PEM, in this order, with or without a last line end.
        revocation_list: in DER.

    Raises:
        FormatError: other certificates, or another number of them.
    """
    certificates = parse_chain(chain.strip() + b"\n", what="the chain of issuer and root")
    if len(certificates) != 2:
        raise FormatError(
            f"expected the certificates of issuer and root, got {len(certificates)}", reason="snp-certificates"
        )
    issuer, root = certificates
    return SnpCollateral(
        leaf=None if leaf is None else _der(leaf, "leaf"), issuer=issuer, root=root, revocation_list=revocation_list
    )


def parse_certificate_table(data: bytes) -> CertificateTable:
    """Parse the certificate table that comes with an extended report.

    Entries of other GUIDs than those of the certificates in `CertificateTable` are the host's own affair, and so are
    the bytes between the certificates.

    Raises:
        FormatError: no table, too long, an entry that points outside of it, or two certificates of a kind.
    """
    if len(data) > _MAX_TABLE_BYTES:
        raise FormatError(
            f"expected at most {_MAX_TABLE_BYTES} bytes of certificate table, got {len(data)}",
            reason="snp-certificate-table",
        )
    found: dict[str, bytes] = {}
    for number in range(_MAX_ENTRIES):
        if (number + 1) * _ENTRY.size > len(data):
            raise _malformed("a table that ends before its last entry")
        guid, offset, length = _ENTRY.unpack_from(data, number * _ENTRY.size)
        if not any(guid):
            if offset or length:
                raise _malformed("a last entry that points somewhere")
            return CertificateTable(**found)
        if offset + length > len(data):
            raise _malformed(f"an entry of {length} bytes at {offset} of {len(data)}")
        if (name := _TABLE.get(guid)) is None:
            continue
        if name in found:
            raise _malformed(f"two entries of {name}")
        found[name] = _der(data[offset : offset + length], name)
    raise _malformed(f"more than {_MAX_ENTRIES} entries")


def from_certificate_table(data: bytes) -> SnpCollateral:
    """Collateral from the certificate table of an extended report: what of it the host put there.

    Raises:
        FormatError: not a table, or one with both kinds of leaf.
    """
    table = parse_certificate_table(data)
    if table.vcek is not None and table.vlek is not None:
        raise FormatError("expected one kind of leaf in a certificate table, got both", reason="snp-certificates")
    return SnpCollateral(leaf=table.vcek or table.vlek, issuer=table.issuer, root=table.root)


def _der(data: bytes, what: str) -> bytes:
    """One certificate, out of its PEM where it is in one."""
    if not data.startswith(_PEM):
        return data
    first, *others = parse_chain(data.strip() + b"\n", what=what)
    if others:
        raise FormatError(f"expected one certificate as {what}, got {1 + len(others)}", reason="snp-certificates")
    return first


def _malformed(got: str) -> FormatError:
    return FormatError(f"expected a certificate table, got {got}", reason="snp-certificate-table")
