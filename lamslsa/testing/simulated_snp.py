"""A whole SEV-SNP vendor in memory, for tests: real formats and real cryptography, and every part can be made to lie.

The parts are those of the simulated platform, so a report from here differs from a real one in its root alone. What a
test wants to be wrong is passed as a keyword; all else stays valid at ``now``.

>>> import datetime as dt
>>> now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
>>> vendor = SimulatedSnpVendor(now)
>>> from lamslsa.evidence.snp.verify import SnpVerifier
>>> SnpVerifier().verify(
...     vendor.report(bytes(64)), collateral=vendor.collateral(), roots=[vendor.root], at=now
... ).product
'Milan'
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from lamslsa.evidence import _x509
from lamslsa.evidence.interface import Evidence, Root
from lamslsa.evidence.roots import root_of
from lamslsa.evidence.simulated._folder import Key
from lamslsa.evidence.simulated.snp_report import (
    ROLES,
    SnpChip,
    SnpGuest,
    SnpRole,
    Window,
    certificate_names,
    certify,
    generate_keys,
    leaf_extensions,
    report_body,
    revocation_list,
    sign_report,
)
from lamslsa.evidence.snp.collateral import render
from lamslsa.predicates.tee_evidence import SNP_REPORT_MEDIA_TYPE

__all__ = ["GUEST", "SimulatedSnpVendor"]

GUEST: Final = SnpGuest(measurement=b"\x11" * 48)
_DAY: Final = dt.timedelta(days=1)


class SimulatedSnpVendor:
    """Mints one chip's keys and certificates, then reports and collateral at will.

    Args:
        now: when everything is valid: certificates for ten years, the revocation list for thirty days.
        chip: what certificates and reports say about the processor.
        certified: what the leaf certificate says about it, where that differs.
        windows: validity of single certificates, where it differs.
        names: common names by role, where they differ.
        extensions: AMD's extensions of the leaf, by the end of their identifiers, where they differ; None leaves one
            out.
        keys: those of another vendor, to save the time of making them.
    """

    def __init__(
        self,
        now: dt.datetime,
        *,
        chip: SnpChip | None = None,
        certified: SnpChip | None = None,
        windows: Mapping[SnpRole, Window] | None = None,
        names: Mapping[SnpRole, str] | None = None,
        extensions: Mapping[str, bytes | None] | None = None,
        keys: Mapping[SnpRole, Key] | None = None,
    ) -> None:
        self.now = now
        self.chip = chip or SnpChip()
        self.keys = dict(keys or generate_keys())
        self.names: dict[SnpRole, str] = {**certificate_names(certified or self.chip), **(names or {})}
        usual: dict[SnpRole, Window] = dict.fromkeys(ROLES, (now - _DAY, now + 3650 * _DAY))
        stated: dict[str, bytes | None] = {**leaf_extensions(certified or self.chip), **(extensions or {})}
        self.certificates = certify(
            self.keys,
            names=self.names,
            extensions={arc: value for arc, value in stated.items() if value is not None},
            windows={**usual, **(windows or {})},
        )

    def der(self, role: SnpRole) -> bytes:
        """One of the certificates."""
        return self.certificates[role].public_bytes(Encoding.DER)

    @property
    def root(self) -> Root:
        """The root that a verifier has to trust."""
        return root_of(self.der("root"))

    def body(self, report_data: bytes, *, guest: SnpGuest = GUEST, version: int = 3) -> bytes:
        """The bytes of a report that are signed."""
        return report_body(self.chip, guest, report_data, version=version)

    def sign(self, body: bytes) -> bytes:
        """A report with this body, whatever it says."""
        return sign_report(self.keys["leaf"], body)

    def report(self, report_data: bytes, *, guest: SnpGuest = GUEST, version: int = 3) -> bytes:
        """A report over 64 bytes of report data, by default of a guest that measures ``11…11``."""
        return self.sign(self.body(report_data, guest=guest, version=version))

    def revocation_list(
        self,
        *,
        revoked: Collection[SnpRole] = (),
        serials: Sequence[int] = (),
        window: Window | None = None,
        issuer: str | None = None,
        key: SnpRole = "root",
        extensions: Sequence[x509.ExtensionType] = (),
    ) -> bytes:
        """The root's list of revoked certificates: those of some roles, and further numbers."""
        return revocation_list(
            self.keys[key],
            issuer=issuer or self.names["root"],
            window=window or (self.now - _DAY, self.now + 29 * _DAY),
            serials=[*(_x509.serial_number(self.certificates[role]) for role in revoked), *serials],
            extensions=extensions,
        )

    def collateral(
        self, *, without: Collection[SnpRole] = (), revocations: bytes | None = None, listed: bool = True
    ) -> bytes:
        """Collateral of the chip.

        Args:
            without: certificates that are missing.
            revocations: the revocation list; by default one that revokes nothing.
            listed: whether there is a revocation list.
        """
        leaf, issuer, root = (None if role in without else self.der(role) for role in ("leaf", "issuer", "root"))
        found = (revocations or self.revocation_list()) if listed else None
        return render(leaf=leaf, issuer=issuer, root=root, revocation_list=found)

    def evidence(self, report_data: bytes, *, guest: SnpGuest = GUEST) -> Evidence:
        """Report and collateral as an attester hands them on."""
        return Evidence(
            media_type=SNP_REPORT_MEDIA_TYPE,
            quote=self.report(report_data, guest=guest),
            collateral=self.collateral(),
        )
