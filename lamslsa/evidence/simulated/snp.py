"""The simulated SEV-SNP platform: a folder that stands for a machine with SEV-SNP, its manufacturer included.

It proves formats and code paths, not hardware: whoever reads the folder can make any report. That is why its root is
never AMD's and every certificate says so.

    root.pem  issuer.pem  leaf.pem   certificates; a policy that accepts the platform pins root.pem
    <role>.key                       PKCS#8, 0600
    collateral.json                  certificates and a revocation list of 30 days, renewed on opening

The measurement is SHA-384 over the digest of the installed package's manifest: changed code has another one.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from lamslsa.errors import FormatError
from lamslsa.evidence import _x509
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence.interface import DeviceEvidence, Evidence, Measurement, Root
from lamslsa.evidence.roots import root_of
from lamslsa.evidence.simulated import _folder
from lamslsa.evidence.simulated._folder import Key
from lamslsa.evidence.simulated.measurement import package_digest
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
from lamslsa.evidence.snp import collateral as endorsements
from lamslsa.evidence.snp.certificates import ARC, HARDWARE_ID
from lamslsa.evidence.snp.parse import REPORT_BYTES, parse
from lamslsa.predicates.tee_evidence import SNP_REPORT_MEDIA_TYPE

__all__ = ["COLLATERAL_FILE", "ROOT_FILE", "SimulatedSnpAttester", "SimulatedSnpPlatform", "package_guest"]

ROOT_FILE: Final = "root.pem"
COLLATERAL_FILE: Final = "collateral.json"
_TEE: Final = "simulated-snp"
_PACKAGE: Final = Path(__file__).resolve().parents[2]
_REPORT_DATA_BYTES: Final = 64
_CHIP_ID_BYTES: Final = 64
_CERTIFICATE_LIFE: Final = dt.timedelta(days=3650)
_LIST_LIFE: Final = dt.timedelta(days=30)
_RENEW_BELOW: Final = dt.timedelta(days=20)
# A verifier's clock may be a little behind that of the platform.
_BACKDATE: Final = dt.timedelta(minutes=10)


def package_guest(package: Path = _PACKAGE, *, beside: bytes = b"") -> SnpGuest:
    """The package as a guest; reads every file of it."""
    return SnpGuest(measurement=hashlib.sha384(package_digest(package, beside=beside)).digest())


class SimulatedSnpPlatform:
    """An opened platform; make one with `create`, `open` or `open_or_create`.

    Attributes:
        collateral: its endorsements as of opening.
    """

    def __init__(self, directory: Path, *, certificates: Mapping[SnpRole, bytes], collateral: bytes) -> None:
        self._directory = directory
        self._certificates = certificates
        self.collateral = collateral

    @classmethod
    def create(cls, directory: Path, *, now: dt.datetime) -> Self:
        """Make a platform with fresh keys in a folder that does not exist yet.

        Raises:
            FormatError: something of that name exists.
            UnavailableError: the folder cannot be written.
        """
        moment = _seconds(now)
        keys, chip = generate_keys(), SnpChip(chip_id=secrets.token_bytes(_CHIP_ID_BYTES))
        windows: dict[SnpRole, Window] = dict.fromkeys(ROLES, (moment - _BACKDATE, moment + _CERTIFICATE_LIFE))
        issued = certify(keys, names=certificate_names(chip), extensions=leaf_extensions(chip), windows=windows)
        certificates = {role: certificate.public_bytes(Encoding.DER) for role, certificate in issued.items()}
        files = {f"{role}.pem": _folder.certificate_pem(der) for role, der in certificates.items()}
        files |= {f"{role}.key": _folder.private_pem(key) for role, key in keys.items()}
        files[COLLATERAL_FILE] = _collateral(certificates, keys["root"], moment)
        _folder.create(directory, files)
        return cls.open(directory, now=now)

    @classmethod
    def open(cls, directory: Path, *, now: dt.datetime) -> Self:
        """Open a platform, and renew its revocation list when less than 20 of its 30 days remain.

        Raises:
            UnavailableError: there is none, or its files cannot be read.
            FormatError: its files are not those of a platform.
        """
        certificates: dict[SnpRole, bytes] = {}
        for role in ROLES:
            certificates[role] = _folder.read_certificate(directory / f"{role}.pem")
        platform = cls(directory, certificates=certificates, collateral=_folder.read(directory / COLLATERAL_FILE))
        platform._renew(_seconds(now))
        return platform

    @classmethod
    def open_or_create(cls, directory: Path, *, now: dt.datetime) -> Self:
        """Open the platform in a folder, and make it first where there is none.

        Raises:
            UnavailableError: the folder cannot be read or written.
            FormatError: its files are not those of a platform.
        """
        if not (directory / ROOT_FILE).exists():
            try:
                return cls.create(directory, now=now)
            except FormatError:
                if not (directory / ROOT_FILE).exists():
                    raise
                # another process was faster
        return cls.open(directory, now=now)

    @property
    def root(self) -> Root:
        """The root that a policy has to pin."""
        return root_of(self._certificates["root"])

    @property
    def root_pem(self) -> bytes:
        """The root certificate as PEM, for a policy's ``roots``."""
        return render_chain([self._certificates["root"]])

    def measurement(self, *, beside: bytes = b"") -> Measurement:
        """The complete measurement that reports of this installation carry."""
        unsigned = report_body(SnpChip(), package_guest(beside=beside), bytes(_REPORT_DATA_BYTES)).ljust(
            REPORT_BYTES, b"\0"
        )
        return Measurement(tee="snp", parts=parse(unsigned).parts)

    def report(self, guest: SnpGuest, report_data: bytes) -> bytes:
        """A report of a guest on this platform.

        Raises:
            UnavailableError: the key cannot be read.
            FormatError: not the key or certificate of a platform.
        """
        key = _folder.read_key(self._directory / "leaf.key")
        leaf = _x509.load_certificate(self._certificates["leaf"], what="leaf.pem")
        chip_id = next(
            (item.value.public_bytes() for item in leaf.extensions if item.oid.dotted_string == ARC + HARDWARE_ID), b""
        )
        if not isinstance(key, ec.EllipticCurvePrivateKey) or len(chip_id) != _CHIP_ID_BYTES:
            raise FormatError(
                f"expected certificate and key of a VCEK in {self._directory}, got others", reason="simulated-platform"
            )
        return sign_report(key, report_body(SnpChip(chip_id=chip_id), guest, report_data))

    def _renew(self, now: dt.datetime) -> None:
        revocations = endorsements.parse(self.collateral).revocation_list
        if revocations is not None:
            current = _x509.load_revocation_list(revocations, what=COLLATERAL_FILE)
            expires = current.next_update_utc
            if expires is not None and current.last_update_utc <= now and now + _RENEW_BELOW <= expires:
                return
        key = _folder.read_key(self._directory / "root.key")
        self.collateral = _collateral(self._certificates, key, now)
        _folder.replace(self._directory / COLLATERAL_FILE, self.collateral)


def _collateral(certificates: Mapping[SnpRole, bytes], root_key: Key, now: dt.datetime) -> bytes:
    window = (now - _BACKDATE, now - _BACKDATE + _LIST_LIFE)
    issuer = certificate_names(SnpChip())["root"]
    return endorsements.render(
        leaf=certificates["leaf"],
        issuer=certificates["issuer"],
        root=certificates["root"],
        revocation_list=revocation_list(root_key, issuer=issuer, window=window, serials=()),
    )


def _seconds(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC).replace(microsecond=0)


class SimulatedSnpAttester:
    """Emits SEV-SNP reports of the installed package, signed by a simulated platform.

    The package is measured here, once, before anything is asked to be reported.

    Raises:
        FormatError: a file of the package that cannot be measured.
    """

    def __init__(self, platform: SimulatedSnpPlatform, *, beside: bytes = b"") -> None:
        self._platform = platform
        self._guest = package_guest(beside=beside)

    @property
    def tee(self) -> str:
        """What ``--tee`` calls this attester."""
        return _TEE

    def device_evidence(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:  # noqa: ARG002 - nobody is there to sign it
        """Nothing: no device is attached."""
        return ()

    def quote(self, report_data: bytes) -> Evidence:
        """Have the platform sign exactly 64 bytes of report data.

        Raises:
            UnavailableError: the platform's key cannot be read.
            FormatError: not the key of a platform.
            ValueError: not 64 bytes.
        """
        if len(report_data) != _REPORT_DATA_BYTES:
            raise ValueError(f"expected {_REPORT_DATA_BYTES} bytes of report data, got {len(report_data)}")
        return Evidence(
            media_type=SNP_REPORT_MEDIA_TYPE,
            quote=self._platform.report(self._guest, report_data),
            collateral=self._platform.collateral,
        )
