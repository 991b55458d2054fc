"""The simulated platform: a folder that stands for a machine with SGX or with TDX, its manufacturer included.

It proves formats and code paths, not hardware: whoever reads the folder can make any quote. That is why its root is
never a vendor's and every certificate says so.

    root.pem  pck-ca.pem  tcb-signing.pem  pck.pem   certificates; a policy that accepts the platform pins root.pem
    <role>.key, attestation.key                      PKCS#8, 0600
    collateral.json                                  signed by the platform, 30 days, renewed on opening

Rules:
- Made in a hidden neighbour and renamed into place, so an interruption leaves a whole platform or none.
- A platform is of one form, which its collateral states, and has keys of its own.
- The measurement is that of the installed package: changed code has another one.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lamslsa.errors import FormatError
from lamslsa.evidence import collateral as endorsements
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence.interface import Measurement, Root
from lamslsa.evidence.roots import root_of
from lamslsa.evidence.simulated import _folder
from lamslsa.evidence.simulated.certificates import (
    KEYS,
    ROLES,
    Cpu,
    Key,
    KeyName,
    Role,
    certify,
    generate_keys,
)
from lamslsa.evidence.simulated.endorse import Endorsement, Form, endorse
from lamslsa.evidence.simulated.measurement import package_measurement
from lamslsa.evidence.simulated.quote import QuotingEnclave
from lamslsa.evidence.simulated.td_quote import TdQuotingEnclave

__all__ = ["COLLATERAL_FILE", "ROOT_FILE", "SimulatedPlatform"]

ROOT_FILE: Final = "root.pem"
COLLATERAL_FILE: Final = "collateral.json"
_CERTIFICATE_LIFE: Final = dt.timedelta(days=3650)
_COLLATERAL_LIFE: Final = dt.timedelta(days=30)
_RENEW_BELOW: Final = dt.timedelta(days=20)
# A verifier's clock may be a little behind that of the platform.
_BACKDATE: Final = dt.timedelta(minutes=10)
_CHAIN: Final[tuple[Role, ...]] = ("pck", "pck-ca", "root")


class SimulatedPlatform:
    """An opened platform; make one with `create`, `open` or `open_or_create`.

    Attributes:
        form: the kind of TEE that it stands for.
        collateral: its endorsements as of opening.
    """

    def __init__(self, directory: Path, *, form: Form, certificates: Mapping[Role, bytes], collateral: bytes) -> None:
        self._directory = directory
        self.form = form
        self._certificates = certificates
        self.collateral = collateral

    @classmethod
    def create(cls, directory: Path, *, now: dt.datetime, form: Form = "sgx") -> Self:
        """Make a platform with fresh keys in a folder that is absent or empty.

        Raises:
            FormatError: there is something in the folder.
            UnavailableError: the folder cannot be written.
        """
        now = now.astimezone(dt.UTC).replace(microsecond=0)
        keys = generate_keys()
        window = (now - _BACKDATE, now + _CERTIFICATE_LIFE)
        cpu = Cpu(ppid=secrets.token_bytes(16))
        certificates = certify(keys, cpu=cpu, windows=dict.fromkeys(ROLES, window))
        files = {_key_file(name): _folder.private_pem(key) for name, key in keys.items()}
        for role, certificate in certificates.items():
            files[_certificate_file(role)] = render_chain([certificate.public_bytes(serialization.Encoding.DER)])
        files[COLLATERAL_FILE] = endorse(keys, certificates, cpu, _endorsement(form, now))
        _folder.create(directory, files)
        return cls.open(directory, now=now, form=form)

    @classmethod
    def open(cls, directory: Path, *, now: dt.datetime, form: Form = "sgx") -> Self:
        """Open a platform, and renew its collateral when less than 20 of its 30 days remain.

        Raises:
            UnavailableError: there is none, or its files cannot be read.
            FormatError: its files are not those of a platform of this form.
        """
        certificates: dict[Role, bytes] = {}
        for role in ROLES:
            certificates[role] = _folder.read_certificate(directory / _certificate_file(role))
        collateral = _folder.read(directory / COLLATERAL_FILE)
        current = endorsements.parse(collateral)
        if current.tcb_info_id != form.upper():
            raise FormatError(
                f"expected a simulated platform for {form} in {directory}, got one for {current.tcb_info_id.lower()}",
                reason="simulated-platform",
                hint="each form of the simulated platform needs a folder of its own",
            )
        platform = cls(directory, form=form, certificates=certificates, collateral=collateral)
        now = now.astimezone(dt.UTC).replace(microsecond=0)
        if not current.issued <= now <= current.expires - _RENEW_BELOW:
            platform._renew(now)
        return platform

    @classmethod
    def open_or_create(cls, directory: Path, *, now: dt.datetime, form: Form = "sgx") -> Self:
        """Open the platform in a folder, and make it first where there is none.

        Raises:
            UnavailableError: the folder cannot be read or written.
            FormatError: its files are not those of a platform of this form.
        """
        if not (directory / ROOT_FILE).exists():
            try:
                return cls.create(directory, now=now, form=form)
            except FormatError:
                if not (directory / ROOT_FILE).exists():
                    raise
                # another process was faster
        return cls.open(directory, now=now, form=form)

    @property
    def root(self) -> Root:
        """The root that a policy has to pin."""
        return root_of(self._certificates["root"])

    @property
    def root_pem(self) -> bytes:
        """The root certificate as PEM, for a policy's ``roots``."""
        return render_chain([self._certificates["root"]])

    def measurement(self, *, beside: bytes = b"") -> Measurement:
        """The complete measurement that quotes of this installation carry."""
        return package_measurement(tee=self.form, beside=beside)

    def quoting_enclave(self) -> QuotingEnclave:
        """Load the keys that quotes of enclaves are signed with.

        Raises:
            UnavailableError: the keys cannot be read.
            FormatError: not the keys of a platform.
        """
        cpu = Cpu()
        return QuotingEnclave(
            attestation_key=self._key("attestation"),
            pck_key=self._key("pck"),
            chain=[self._certificates[role] for role in _CHAIN],
            cpu_svn=cpu.cpu_svn,
            pce_svn=cpu.pce_svn,
        )

    def td_quoting_enclave(self) -> TdQuotingEnclave:
        """Load the keys that quotes of TDs are signed with.

        Raises:
            UnavailableError: the keys cannot be read.
            FormatError: not the keys of a platform.
        """
        return TdQuotingEnclave(
            attestation_key=self._key("attestation"),
            pck_key=self._key("pck"),
            chain=[self._certificates[role] for role in _CHAIN],
            cpu_svn=Cpu().cpu_svn,
        )

    def _renew(self, now: dt.datetime) -> None:
        keys = {name: self._key(name) for name in KEYS}
        certificates = {role: x509.load_der_x509_certificate(der) for role, der in self._certificates.items()}
        self.collateral = endorse(keys, certificates, Cpu(), _endorsement(self.form, now))
        _folder.replace(self._directory / COLLATERAL_FILE, self.collateral)

    def _key(self, name: KeyName) -> Key:
        path = self._directory / _key_file(name)
        key = _folder.read_key(path)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise FormatError(f"expected an EC private key in {path}, got another", reason="simulated-platform")
        return key


def _endorsement(form: Form, now: dt.datetime) -> Endorsement:
    return Endorsement(form=form, window=(now - _BACKDATE, now - _BACKDATE + _COLLATERAL_LIFE))


def _key_file(name: KeyName) -> str:
    return f"{name}.key"


def _certificate_file(role: Role) -> str:
    return f"{role}.pem"
