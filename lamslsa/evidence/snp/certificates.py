"""What AMD certifies about the key that signs a report: product line, kind of key, patch level, chip or cloud provider.

Spec: AMD 57230, VCEK Certificate and KDS Interface Specification, certificate profiles.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import NameOID

from lamslsa._der import element, integer, octets
from lamslsa.errors import VerificationError
from lamslsa.evidence import _x509
from lamslsa.evidence.snp.collateral import SnpCollateral
from lamslsa.evidence.snp.parse import PRODUCTS, Product, Report, SigningKey, Tcb

__all__ = [
    "ARC",
    "COMMON_NAMES",
    "CSP_ID",
    "HARDWARE_ID",
    "ROOT_NAME",
    "TCB_ARCS",
    "Path",
    "load_path",
    "missing",
    "verify_leaf",
    "verify_names",
    "verify_signature",
]

ARC: Final = "1.3.6.1.4.1.3704.1."
TCB_ARCS: Final[Mapping[str, str]] = {
    "bootloader": "3.1",
    "tee": "3.2",
    "snp": "3.3",
    "microcode": "3.8",
    "fmc": "3.9",
}
HARDWARE_ID: Final = "4"
CSP_ID: Final = "5"
COMMON_NAMES: Final[Mapping[SigningKey, tuple[str, str]]] = {
    "vcek": ("SEV-VCEK", "SEV-"),
    "vlek": ("SEV-VLEK", "SEV-VLEK-"),
}
"""Name of the leaf, and that of its issuer up to the product line."""
ROOT_NAME: Final = "ARK-"

_IA5_STRING: Final = 0x16
_HINT: Final = "pass the collateral of the platform that made the report (--collateral)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """Certificates out of collateral; nothing about them is authentic yet.

    Attributes:
        root_der: the bytes of the root certificate.
    """

    root_der: bytes
    leaf: x509.Certificate | None
    issuer: x509.Certificate
    root: x509.Certificate
    revocations: x509.CertificateRevocationList | None

    @property
    def certificates(self) -> list[x509.Certificate]:
        """From the leaf, where there is one, to the root."""
        return [self.issuer, self.root] if self.leaf is None else [self.leaf, self.issuer, self.root]


def missing(what: str) -> VerificationError:
    """That collateral does not have what a step needs."""
    return VerificationError(
        f"expected {what} in the collateral, got none", reason="evidence-collateral-missing", hint=_HINT
    )


def load_path(collateral: SnpCollateral) -> Path:
    """Read the certificates of collateral.

    Raises:
        FormatError: something else than certificates and a revocation list.
        VerificationError: without issuer or root (evidence-collateral-missing).
    """
    leaf, issuer, root, revocations = collateral.leaf, collateral.issuer, collateral.root, collateral.revocation_list
    if issuer is None:
        raise missing("the certificate of the issuer")
    if root is None:
        raise missing("the root certificate")
    return Path(
        root_der=root,
        leaf=None if leaf is None else _x509.load_certificate(leaf, what="leaf"),
        issuer=_x509.load_certificate(issuer, what="issuer"),
        root=_x509.load_certificate(root, what="root"),
        revocations=None if revocations is None else _x509.load_revocation_list(revocations, what="revocationList"),
    )


def verify_names(report: Report, path: Path) -> Product:
    """The product line that all certificates are of, and the processor in the report, if it says.

    Raises:
        VerificationError: evidence-product.
    """
    root = _common_name(path.root)
    product = next((product for product in PRODUCTS if root == ROOT_NAME + product), None)
    if product is None:
        raise _other_product(f"a root of {', '.join(PRODUCTS)}", root)
    leaf, issuer = COMMON_NAMES[report.signing_key]
    expected = [leaf, issuer + product, root][-len(path.certificates) :]
    found = [_common_name(certificate) for certificate in path.certificates]
    if found != expected:
        raise _other_product(", ".join(expected), ", ".join(found))
    if report.cpuid is not None and report.product != product:
        raise _other_product(f"a processor of {product}", f"{report.product or 'an unknown one'} {report.cpuid}")
    return product


def _common_name(certificate: x509.Certificate) -> str:
    names = [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return " and ".join(names)


def _other_product(expected: str, got: str) -> VerificationError:
    return VerificationError(f"expected {expected}, got {got[:240]}", reason="evidence-product", hint=_HINT)


def verify_signature(report: Report, leaf: x509.Certificate) -> None:
    """That the key in the leaf certificate signed the report: ECDSA P-384 with SHA-384.

    Raises:
        VerificationError: evidence-signature.
    """
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise _unsigned("a P-384 key in the leaf certificate")
    try:
        key.verify(encode_dss_signature(*report.signature), report.body, ec.ECDSA(hashes.SHA384()))
    except InvalidSignature as err:
        raise _unsigned("a report that the key in the leaf certificate signed") from err


def _unsigned(expected: str) -> VerificationError:
    return VerificationError(f"expected {expected}, got another", reason="evidence-signature", hint=_HINT)


def verify_leaf(report: Report, leaf: x509.Certificate, *, product: Product, tcb: Tcb) -> str | None:
    """That the leaf is about the patch level of the report, and about its chip or a cloud provider, which is returned.

    Each expected extension is encoded and compared, so that no other encoding of a number gets through.

    Raises:
        VerificationError: evidence-tcb or evidence-chip.
    """
    extensions = {
        extension.oid.dotted_string.removeprefix(ARC): extension.value.public_bytes()
        for extension in leaf.extensions
        if extension.oid.dotted_string.startswith(ARC)
    }
    for name, arc in TCB_ARCS.items():
        number: int | None = getattr(tcb, name)
        if number is not None and not hmac.compare_digest(extensions.get(arc, b""), integer(number)):
            raise VerificationError(
                f"expected a leaf certificate for {name} {number}, got {extensions.get(arc, b'').hex() or 'none'}",
                reason="evidence-tcb",
                hint=_HINT,
            )
    if report.signing_key == "vlek":
        return _csp_id(extensions)
    certified, chip = extensions.get(HARDWARE_ID, b""), report.hardware_id(product)
    # AMD writes the bare id, and in newer certificates an OCTET STRING that holds it.
    forms = (chip, octets(chip))
    if CSP_ID in extensions or not any(chip) or not any(hmac.compare_digest(certified, form) for form in forms):
        raise VerificationError(
            f"expected a leaf certificate for chip {chip.hex()}, got {certified.hex() or 'none'}",
            reason="evidence-chip",
            hint="a report that hides its chip behind zeros can be verified with a VLEK only",
        )
    return None


def _csp_id(extensions: Mapping[str, bytes]) -> str:
    value = extensions.get(CSP_ID, b"")
    text = value[2:]
    if not text or not text.isascii() or value != element(_IA5_STRING, text) or HARDWARE_ID in extensions:
        raise VerificationError(
            "expected the leaf certificate of a VLEK to name a cloud provider and no chip, got another",
            reason="evidence-chip",
        )
    return text.decode("ascii")
