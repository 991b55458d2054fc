"""Verify an SEV-SNP report: the same function takes AMD's reports and those of the simulated platform.

The chain that travels with a report authenticates it: the VCEK or VLEK signs the report, the ASK or ASVK of its product
line certifies that key, the ARK certifies both and says which of its issuers it has revoked. No clock, no network, no
environment.

A guest policy that allows debugging, and a VMPL other than 0, are claims: what is acceptable is for the appraisal.

Spec: AMD 56860, SEV-SNP Firmware ABI; AMD 57230, VCEK Certificate and KDS Interface Specification, for certificates.
"""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lamslsa.errors import LamslsaError, VerificationError
from lamslsa.evidence import _x509
from lamslsa.evidence.interface import Claims, Root, Standing, Tee
from lamslsa.evidence.roots import is_vendor_root, root_of
from lamslsa.evidence.snp import collateral as endorsements
from lamslsa.evidence.snp.certificates import (
    TCB_ARCS,
    Path,
    load_path,
    missing,
    verify_leaf,
    verify_names,
    verify_signature,
)
from lamslsa.evidence.snp.collateral import SnpCollateral
from lamslsa.evidence.snp.parse import Product, Report, SigningKey, Tcb, parse, parse_tcb
from lamslsa.predicates.tee_evidence import SNP_COLLATERAL_MEDIA_TYPE, SNP_REPORT_MEDIA_TYPE

__all__ = ["SnpClaims", "SnpVerifier"]

_SMT: Final = 1 << 16
_MIGRATION_AGENT: Final = 1 << 18
_DEBUG: Final = 1 << 19
_SINGLE_SOCKET: Final = 1 << 20

_WHAT: Final = "the SEV-SNP report"
_ROOT: Final = "the SEV-SNP root"
_LEAF: Final = "the certificate of the key that signed the report"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpClaims(Claims):
    """What an SEV-SNP report says besides what all evidence says; ``versions`` are those of the reported patch level.

    Hexadecimal fields are as in the report.

    Attributes:
        vmpl: privilege level within the guest that asked for the report; 0 is the highest.
        signing_key: a key of the chip, or one that AMD gave a cloud provider for its chips.
        smt_allowed: guest policy: the host may use simultaneous multithreading.
        migration_agent_allowed: guest policy: another guest may move this one to another host.
        single_socket: guest policy: the guest runs on one socket only.
        current_tcb: of the platform when it was asked.
        committed_tcb: what the platform cannot go back from.
        launch_tcb: of the platform when the guest was launched or came to it.
        platform_info: bits of PLATFORM_INFO.
        author_key_digest: empty where no author key certified the ID key.
        chip_id: zeros where the platform hides it.
        csp_id: the cloud provider that the VLEK is for.
    """

    vmpl: int
    signing_key: SigningKey
    product: Product
    smt_allowed: bool
    migration_agent_allowed: bool
    single_socket: bool
    current_tcb: Tcb
    committed_tcb: Tcb
    launch_tcb: Tcb
    platform_info: int
    family_id: str
    image_id: str
    id_key_digest: str
    author_key_digest: str
    report_id: str
    chip_id: str
    csp_id: str | None


class SnpVerifier:
    """Verifies SEV-SNP reports of version 2, 3 and 5; holds no state."""

    __slots__ = ()

    @property
    def tee(self) -> Tee:
        """The kind of TEE that this evidence is from."""
        return "snp"

    @property
    def media_type(self) -> str:
        """The media type of the reports that this verifier takes."""
        return SNP_REPORT_MEDIA_TYPE

    @property
    def collateral_media_type(self) -> str:
        """The media type of the endorsements that it needs."""
        return SNP_COLLATERAL_MEDIA_TYPE

    def presented_root(self, quote: bytes, collateral: bytes | None) -> Root:
        """The ARK in the collateral; nothing about it is authentic yet.

        Raises:
            FormatError: not a report, or not collateral.
            VerificationError: there is no collateral, or no root in it (evidence-collateral-missing).
        """
        parse(quote)
        root = _parse_collateral(collateral).root
        if root is None:
            raise missing("the root certificate")
        return root_of(root)

    def presented_report_data(self, quote: bytes) -> bytes:
        """The 64 bytes that a report says the guest passed in; nothing about it is authentic yet.

        Raises:
            FormatError: not a report.
        """
        return parse(quote).report_data

    def presented_path(self, quote: bytes, collateral: bytes | None) -> tuple[bytes, ...]:
        """Leaf, issuer and root, as far as they are in the collateral.

        Raises:
            FormatError: not a report, or not collateral.
        """
        parse(quote)
        found = None if collateral is None else endorsements.parse(collateral)
        path = () if found is None else (found.leaf, found.issuer, found.root)
        return tuple(der for der in path if der is not None)

    def concerns(self, quote: bytes, collateral: bytes) -> bool:
        """Whether the leaf of the collateral signed the report, or, without a leaf, whether its product line fits.

        A report of version 2 does not name its product line, so that only collateral with a leaf concerns it.
        """
        try:
            _verify_concerned(parse(quote), load_path(endorsements.parse(collateral)))
        except LamslsaError:
            return False
        return True

    def verify(self, quote: bytes, *, collateral: bytes | None, roots: Sequence[Root], at: dt.datetime) -> SnpClaims:
        """Authenticate a report up to one of ``roots``, as of ``at``.

        1. Report and collateral have the right shape; leaf, issuer and root are there.
        2. The root in the collateral equals one of ``roots``, byte for byte.
        3. Leaf, issuer and root are a path of certificates that are valid at ``at`` (RFC 5280).
        4. They are of one product line, which is that of the processor in the report, and leaf and issuer are of the
           kind of key that the report names (57230, certificate profiles).
        5. The leaf's key signed the report (56860, ECDSA P-384 with SHA-384).
        6. The leaf certifies that key for the patch level and the chip that the report names, or, a VLEK, for a cloud
           provider.
        7. A revocation list that is there is the root's, valid at ``at``, and lists neither issuer nor root.
        8. Claims are read from the signed bytes and from these certificates.

        Raises:
            FormatError: not a report or not collateral.
            VerificationError: not authentic; the reason is evidence-collateral-missing, evidence-root, evidence-chain,
                evidence-certificate-window, evidence-product, evidence-signature, evidence-tcb, evidence-chip,
                evidence-revocation-list, evidence-collateral-window or evidence-revoked.
            ValueError: ``at`` has no time zone.
        """
        _require_zone(at)
        report, path = parse(quote), load_path(_parse_collateral(collateral))  # (1)
        if path.leaf is None:
            raise missing(_LEAF)
        root = _choose_root(path, roots)  # (2)
        _x509.verify_path(path.certificates, at=at, what=_WHAT)  # (3)
        product = verify_names(report, path)  # (4)
        verify_signature(report, path.leaf)  # (5)
        tcb = parse_tcb(report.reported_tcb, product)  # (6)
        csp_id = verify_leaf(report, path.leaf, product=product, tcb=tcb)
        if path.revocations is not None:  # (7)
            revoked = _x509.revoked_serials(path.revocations, issuer=path.root, at=at, what=_ROOT)
            if _is_revoked(path, revoked):
                raise VerificationError(
                    "expected a platform in good standing, got one whose issuer has been revoked",
                    reason="evidence-revoked",
                )
        return _claims(report, root, product, tcb, csp_id)  # (8)

    def standing(self, quote: bytes, *, collateral: bytes | None, roots: Sequence[Root], now: dt.datetime) -> Standing:
        """How the platform of a report, authentic as of its own time, stands now: whether its issuer is revoked.

        ``roots`` has to be what the report was verified under.

        1. Report and collateral have the right shape; issuer, root and a revocation list are there.
        2. The root in the collateral equals one of ``roots``, byte for byte, and is valid at ``now``.
        3. Leaf, where there is one, issuer and root are a path; when leaf and issuer end plays no part.
        4. They are about the report: the leaf signed it, or without a leaf they are of its product line and kind of
           key.
        5. The list is the root's and valid at ``now``. It names issuers by number. Without a leaf nothing says which
           issuer certified the report's key, so then a list that names others than the one at hand gives no answer.

        Raises:
            FormatError: not a report or not collateral.
            VerificationError: the reason is evidence-collateral-missing, evidence-root, evidence-chain,
                evidence-certificate-window, evidence-product, evidence-signature, evidence-collateral-platform,
                evidence-revocation-list or evidence-collateral-window.
            ValueError: ``now`` has no time zone.
        """
        _require_zone(now)
        report, path = parse(quote), load_path(_parse_collateral(collateral))  # (1)
        if path.revocations is None:
            raise missing("a revocation list")
        _choose_root(path, roots)  # (2)
        _x509.verify_path([path.root], at=now, what=_WHAT, to_authority=True)
        _x509.verify_path(path.certificates, at=None, what=_WHAT, to_authority=path.leaf is None)  # (3)
        _verify_concerned(report, path)  # (4)
        revoked = _x509.revoked_serials(path.revocations, issuer=path.root, at=now, what=_ROOT)  # (5)
        if _is_revoked(path, revoked):
            return Standing(revoked=True)
        if revoked and path.leaf is None:
            raise VerificationError(
                f"expected {_LEAF}, to tell whether its issuer is one of the {len(revoked)} revoked ones, got none",
                reason="evidence-collateral-platform",
                hint="pass collateral with the leaf certificate (--collateral)",
            )
        return Standing(revoked=False)


def _require_zone(time: dt.datetime) -> None:
    if time.utcoffset() is None:
        raise ValueError("expected a time with a time zone, got one without")


def _parse_collateral(collateral: bytes | None) -> SnpCollateral:
    if collateral is None:
        raise missing("certificates")
    return endorsements.parse(collateral)


def _choose_root(path: Path, roots: Sequence[Root]) -> Root:
    presented = root_of(path.root_der)
    if not any(hmac.compare_digest(root.der, presented.der) for root in roots):
        raise VerificationError(
            f"expected a report under one of {len(roots)} trusted roots, got one under root {presented.sha256}",
            reason="evidence-root",
            hint="pin this root in the policy if it is meant to be trusted",
        )
    return presented


def _verify_concerned(report: Report, path: Path) -> None:
    """That collateral is about the platform of a report, as far as it can tell."""
    verify_names(report, path)
    if path.leaf is not None:
        verify_signature(report, path.leaf)
    elif report.cpuid is None:
        raise VerificationError(
            f"expected {_LEAF}, since the report does not name its product line, got none",
            reason="evidence-collateral-platform",
            hint="pass collateral with the leaf certificate (--collateral)",
        )


def _is_revoked(path: Path, revoked: frozenset[int]) -> bool:
    """Whether a list names issuer or root; leaves are not the root's, and AMD numbers all of them zero."""
    return not revoked.isdisjoint({_x509.serial_number(path.issuer), _x509.serial_number(path.root)})


def _claims(report: Report, root: Root, product: Product, tcb: Tcb, csp_id: str | None) -> SnpClaims:
    versions = {name: number for name in TCB_ARCS if (number := getattr(tcb, name)) is not None}
    return SnpClaims(
        tee="snp",
        simulated=not is_vendor_root(root.sha256, of="snp"),
        root=root.sha256,
        measurement=report.parts,
        versions={**versions, "guest": report.guest_svn},
        report_data=report.report_data,
        debug=bool(report.policy & _DEBUG),
        tcb_status=None,
        advisories=(),
        tcb_evaluation_data_number=None,
        platform_id="" if report.signing_key == "vlek" else report.hardware_id(product).hex(),
        vmpl=report.vmpl,
        signing_key=report.signing_key,
        product=product,
        smt_allowed=bool(report.policy & _SMT),
        migration_agent_allowed=bool(report.policy & _MIGRATION_AGENT),
        single_socket=bool(report.policy & _SINGLE_SOCKET),
        current_tcb=parse_tcb(report.current_tcb, product),
        committed_tcb=parse_tcb(report.committed_tcb, product),
        launch_tcb=parse_tcb(report.launch_tcb, product),
        platform_info=report.platform_info,
        family_id=report.family_id.hex(),
        image_id=report.image_id.hex(),
        id_key_digest=report.id_key_digest.hex(),
        author_key_digest=report.author_key_digest.hex() if report.author_key else "",
        report_id=report.report_id.hex(),
        chip_id=report.chip_id.hex(),
        csp_id=csp_id,
    )
