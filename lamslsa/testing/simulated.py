"""A whole SGX vendor in memory, for tests: real formats and real cryptography, and every part can be made to lie.

The parts are those of the simulated platform, so a quote from here differs from a real one in its root alone. What a
test wants to be wrong is passed as a keyword; all else stays valid at ``now``.

>>> import datetime as dt
>>> now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
>>> vendor = SimulatedVendor(now)
>>> quote, collateral = vendor.quote(bytes(64)), vendor.collateral(tcb_status="OutOfDate")
>>> from lamslsa.evidence.sgx.verify import SgxVerifier
>>> SgxVerifier().verify(quote, collateral=collateral, roots=[vendor.root], at=now).tcb_status
'OutOfDate'
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Final

from cryptography.hazmat.primitives.serialization import Encoding

from lamslsa.evidence.interface import Evidence, Root
from lamslsa.evidence.roots import root_of
from lamslsa.evidence.simulated.certificates import ROLES, Cpu, Role, Window, certify, generate_keys
from lamslsa.evidence.simulated.endorse import Endorsement, Form, endorse
from lamslsa.evidence.simulated.quote import QUOTING_ENCLAVE, Enclave, QuotingEnclave
from lamslsa.predicates.tee_evidence import SGX_QUOTE_MEDIA_TYPE

__all__ = ["DEBUG_ATTRIBUTES", "DcapVendor", "SimulatedVendor"]

DEBUG_ATTRIBUTES: Final = bytes.fromhex("0700000000000000e700000000000000")
_CHAIN: Final[tuple[Role, ...]] = ("pck", "pck-ca", "root")
_DAY: Final = dt.timedelta(days=1)


class DcapVendor:
    """Mints one platform's keys and certificates, then collateral at will.

    Args:
        now: when everything is valid: certificates for ten years, collateral for thirty days.
        windows: validity of single certificates, where it differs.
        cpu: what the PCK certificate says about the processor.
    """

    form: ClassVar[Form]

    def __init__(
        self, now: dt.datetime, *, windows: Mapping[Role, Window] | None = None, cpu: Cpu | None = None
    ) -> None:
        self.now = now
        self._cpu = cpu or Cpu(ppid=hashlib.sha256(b"a simulated platform").digest()[:16])
        self._keys = generate_keys()
        usual = dict.fromkeys(ROLES, (now - _DAY, now + 3650 * _DAY))
        self._certificates = certify(self._keys, cpu=self._cpu, windows={**usual, **(windows or {})})
        self.chain = tuple(self._certificates[role].public_bytes(Encoding.DER) for role in _CHAIN)

    @property
    def root(self) -> Root:
        """The root that a verifier has to trust."""
        return root_of(self.chain[-1])

    def collateral(
        self,
        *,
        window: Window | None = None,
        crl_window: Window | None = None,
        tcb_status: str = "UpToDate",
        advisories: tuple[str, ...] = (),
        qe_tcb_status: str = "UpToDate",
        module_status: str = "UpToDate",
        evaluation_data_number: int = 17,
        revoked: Collection[Role] = (),
        tcb_info: Mapping[str, Any] | None = None,
        qe_identity: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Collateral of the platform; see `Endorsement` for what the keywords change."""
        terms = Endorsement(
            form=self.form,
            window=window or (self.now - _DAY, self.now + 29 * _DAY),
            crl_window=crl_window,
            tcb_status=tcb_status,
            advisories=advisories,
            qe_tcb_status=qe_tcb_status,
            module_status=module_status,
            evaluation_data_number=evaluation_data_number,
            revoked=frozenset(revoked),
            tcb_info=tcb_info or {},
            qe_identity=qe_identity or {},
        )
        return endorse(self._keys, self._certificates, self._cpu, terms)


class SimulatedVendor(DcapVendor):
    """Quotes of enclaves, at will.

    Args:
        now: as for `DcapVendor`, and so are ``windows`` and ``cpu``.
        quoting_enclave: identity of the enclave that signs quotes.
    """

    form = "sgx"

    def __init__(
        self,
        now: dt.datetime,
        *,
        windows: Mapping[Role, Window] | None = None,
        cpu: Cpu | None = None,
        quoting_enclave: Enclave = QUOTING_ENCLAVE,
    ) -> None:
        super().__init__(now, windows=windows, cpu=cpu)
        self._quoting_enclave = QuotingEnclave(
            attestation_key=self._keys["attestation"],
            pck_key=self._keys["pck"],
            chain=self.chain,
            cpu_svn=self._cpu.cpu_svn,
            pce_svn=self._cpu.pce_svn,
            identity=quoting_enclave,
        )

    def quote(self, report_data: bytes, *, enclave: Enclave | None = None) -> bytes:
        """A quote over 64 bytes of report data, by default of an enclave that measures ``11…11``."""
        return self._quoting_enclave.quote(
            enclave or Enclave(mr_enclave=b"\x11" * 32, mr_signer=b"\x22" * 32), report_data
        )

    def evidence(self, report_data: bytes, *, enclave: Enclave | None = None, **collateral: Any) -> Evidence:
        """Quote and collateral as an attester hands them on."""
        return Evidence(
            media_type=SGX_QUOTE_MEDIA_TYPE,
            quote=self.quote(report_data, enclave=enclave),
            collateral=self.collateral(**collateral),
        )
