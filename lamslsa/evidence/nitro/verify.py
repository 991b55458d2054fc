"""Verify a Nitro attestation document: the same function takes AWS's documents and those of the simulated platform.

The document carries its whole certificate chain; the certificate whose key signs lives for three hours, so a document
has to be verified as of a trusted time. No clock, no network, no environment.

An enclave in debug mode is a claim: what is acceptable is for the appraisal.

Spec: AWS Nitro Enclaves, "Attestation process", chapter 3; RFC 9052, section 4.4; RFC 9053, section 2.1 (ES384).
"""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from lamslsa.errors import VerificationError
from lamslsa.evidence import _x509
from lamslsa.evidence.interface import Claims, Root, Standing, Tee
from lamslsa.evidence.nitro.parse import Document, parse, signed_bytes
from lamslsa.evidence.roots import is_vendor_root, root_of
from lamslsa.predicates.tee_evidence import NITRO_DOCUMENT_MEDIA_TYPE

__all__ = ["NitroClaims", "NitroVerifier"]

_WHAT: Final = "the Nitro document"
_ZERO_IN_DEBUG_MODE: Final = (0, 1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class NitroClaims(Claims):
    """What a Nitro document says besides what all evidence says.

    ``report_data`` is the user data as it is, empty where there is none: a document that is about other things than
    statements is authentic, and binds none of them.

    Attributes:
        module_id: what the hypervisor calls the enclave: instance and enclave.
        timestamp: when the document was made, by the hypervisor's clock.
        pcrs: all registers, by index, hexadecimal.
        public_key: what the enclave put in, hexadecimal; None where it put in nothing, as with the nonce.
    """

    module_id: str
    timestamp: dt.datetime
    pcrs: Mapping[int, str]
    public_key: str | None
    nonce: str | None


class NitroVerifier:
    """Verifies attestation documents of Nitro enclaves; holds no state."""

    __slots__ = ()

    @property
    def tee(self) -> Tee:
        """The kind of TEE that this evidence is from."""
        return "nitro"

    @property
    def media_type(self) -> str:
        """The media type of the documents that this verifier takes."""
        return NITRO_DOCUMENT_MEDIA_TYPE

    @property
    def collateral_media_type(self) -> None:
        """None: a document carries its certificates."""
        return

    def presented_root(self, quote: bytes, collateral: bytes | None) -> Root:
        """The root certificate in the document; nothing about it is authentic yet.

        Raises:
            FormatError: not a document.
            VerificationError: there is collateral (evidence-collateral-unexpected).
        """
        _refuse_collateral(collateral)
        return root_of(parse(quote).root)

    def presented_report_data(self, quote: bytes) -> bytes:
        """The user data in the document, empty where there is none; nothing about it is authentic yet.

        Raises:
            FormatError: not a document.
        """
        return parse(quote).user_data or b""

    def presented_path(self, quote: bytes, collateral: bytes | None) -> tuple[bytes, ...]:  # noqa: ARG002
        """Nothing: AWS publishes no revocations of these certificates, which live for hours, that could be held."""
        return ()

    def concerns(self, quote: bytes, collateral: bytes) -> bool:  # noqa: ARG002 - the interface's signature
        """False: no endorsements are about a document."""
        return False

    def verify(self, quote: bytes, *, collateral: bytes | None, roots: Sequence[Root], at: dt.datetime) -> NitroClaims:
        """Authenticate a document up to one of ``roots``, as of ``at``.

        1. The document has the right shape; there is no collateral beside it.
        2. The root that it presents equals one of ``roots``, byte for byte.
        3. Its certificates are a path from the leaf to that root, all valid at ``at`` (RFC 5280).
        4. The leaf's key signed the document (ECDSA P-384 with SHA-384).
        5. Claims are read from the signed bytes.

        Raises:
            FormatError: not a document.
            VerificationError: not authentic; the reason is evidence-collateral-unexpected, evidence-root,
                evidence-chain, evidence-certificate-window or evidence-signature.
            ValueError: ``at`` has no time zone.
        """
        _require_zone(at)
        _refuse_collateral(collateral)  # (1)
        document = parse(quote)
        presented = root_of(document.root)  # (2)
        if not any(hmac.compare_digest(root.der, presented.der) for root in roots):
            raise VerificationError(
                f"expected a document under one of {len(roots)} trusted roots, got one under root {presented.sha256}",
                reason="evidence-root",
                hint="pin this root in the policy if it is meant to be trusted",
            )
        path = [_x509.load_certificate(der, what="the document") for der in document.chain]  # (3)
        _x509.verify_path(path, at=at, what=_WHAT)
        _verify_signature(document, path[0])  # (4)
        return _claims(document, presented)  # (5)

    def standing(self, quote: bytes, *, collateral: bytes | None, roots: Sequence[Root], now: dt.datetime) -> Standing:  # noqa: ARG002 - the interface's signature
        """Not revoked: nothing can become known about a document after its three hours.

        The leaf is gone before anybody could revoke it, AWS asks verifiers to leave revocation lists out ("Attestation
        process", section 3.2.3.3), and no advisories or numbers of endorsements exist.

        Raises:
            FormatError: not a document.
            VerificationError: there is collateral (evidence-collateral-unexpected).
            ValueError: ``now`` has no time zone.
        """
        _require_zone(now)
        _refuse_collateral(collateral)
        parse(quote)
        return Standing(revoked=False)


def _require_zone(time: dt.datetime) -> None:
    if time.utcoffset() is None:
        raise ValueError("expected a time with a time zone, got one without")


def _refuse_collateral(collateral: bytes | None) -> None:
    if collateral is not None:
        raise VerificationError(
            "expected no collateral with a Nitro document, which carries its certificates, got some",
            reason="evidence-collateral-unexpected",
        )


def _verify_signature(document: Document, leaf: x509.Certificate) -> None:
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise _unsigned("a P-384 key in the leaf certificate")
    try:
        key.verify(encode_dss_signature(*document.signature), signed_bytes(document.payload), ec.ECDSA(hashes.SHA384()))
    except InvalidSignature as err:
        raise _unsigned("a document that the key in its leaf certificate signed") from err


def _unsigned(expected: str) -> VerificationError:
    return VerificationError(f"expected {expected}, got another", reason="evidence-signature")


def _claims(document: Document, root: Root) -> NitroClaims:
    return NitroClaims(
        tee="nitro",
        simulated=not is_vendor_root(root.sha256, of="nitro"),
        root=root.sha256,
        measurement=document.parts,
        versions={},
        report_data=document.user_data or b"",
        debug=any(not any(document.pcrs[index]) for index in _ZERO_IN_DEBUG_MODE),
        tcb_status=None,
        advisories=(),
        tcb_evaluation_data_number=None,
        platform_id=document.module_id,
        module_id=document.module_id,
        timestamp=document.timestamp,
        pcrs={index: register.hex() for index, register in document.pcrs.items()},
        public_key=None if document.public_key is None else document.public_key.hex(),
        nonce=None if document.nonce is None else document.nonce.hex(),
    )
