"""The simulated Nitro platform: a folder that stands for an instance with enclaves, its manufacturer included.

It proves formats and code paths, not hardware: whoever reads the folder can make any document. That is why its root is
never AWS's and every certificate says so.

    root.pem  instance.pem    certificates; a policy that accepts the platform pins root.pem
    instance.key              PKCS#8, 0600; the key of the root is thrown away, nothing has to be renewed

Rules:
- As on hardware, a document is signed with a key of its own, whose certificate lives for three hours from then.
- PCR0 is SHA-384 over the digest of the installed package's manifest, so that changed code has another one; PCR1 and
  PCR2 stand for a kernel and an application that never change, and PCR8 is zero: the image is not signed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from lamslsa.errors import FormatError
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence.interface import DeviceEvidence, Evidence, Measurement, Root
from lamslsa.evidence.nitro.parse import MEASURED_PCRS
from lamslsa.evidence.roots import root_of
from lamslsa.evidence.simulated import _folder
from lamslsa.evidence.simulated.measurement import package_digest
from lamslsa.evidence.simulated.nitro_document import LEAF_LIFE, Key, certify, document, generate_keys, payload
from lamslsa.predicates.tee_evidence import NITRO_DOCUMENT_MEDIA_TYPE

__all__ = ["ROOT_FILE", "SimulatedNitroAttester", "SimulatedNitroPlatform", "package_pcrs"]

ROOT_FILE: Final = "root.pem"
_INSTANCE_FILE: Final = "instance.pem"
_INSTANCE_KEY_FILE: Final = "instance.key"
_TEE: Final = "simulated-nitro"
_PACKAGE: Final = Path(__file__).resolve().parents[2]
_REPORT_DATA_BYTES: Final = 64
_CERTIFICATE_LIFE: Final = dt.timedelta(days=3650)
# A verifier's clock may be a little behind that of the platform.
_BACKDATE: Final = dt.timedelta(minutes=10)
_PCRS: Final = 16


def package_pcrs(package: Path = _PACKAGE, *, beside: bytes = b"") -> dict[int, bytes]:
    """The registers of an enclave with the package; reads every file of it."""
    return {
        **dict.fromkeys(range(_PCRS), bytes(48)),
        0: hashlib.sha384(package_digest(package, beside=beside)).digest(),
        1: hashlib.sha384(b"lamslsa simulated enclave, kernel").digest(),
        2: hashlib.sha384(b"lamslsa simulated enclave, application").digest(),
    }


class SimulatedNitroPlatform:
    """An opened platform; make one with `create`, `open` or `open_or_create`."""

    def __init__(self, *, root: bytes, instance: bytes, key: Key) -> None:
        self._root = root
        self._instance = instance
        self._key = key

    @classmethod
    def create(cls, directory: Path, *, now: dt.datetime) -> Self:
        """Make a platform with fresh keys in a folder that does not exist yet.

        Raises:
            FormatError: something of that name exists.
            UnavailableError: the folder cannot be written.
        """
        keys = generate_keys()
        window = (_seconds(now) - _BACKDATE, _seconds(now) + _CERTIFICATE_LIFE)
        root, instance = (
            certify(role, keys, window=window).public_bytes(Encoding.DER) for role in ("root", "instance")
        )
        files = {
            ROOT_FILE: _folder.certificate_pem(root),
            _INSTANCE_FILE: _folder.certificate_pem(instance),
            _INSTANCE_KEY_FILE: _folder.private_pem(keys["instance"]),
        }
        _folder.create(directory, files)
        return cls.open(directory)

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open a platform.

        Raises:
            UnavailableError: there is none, or its files cannot be read.
            FormatError: its files are not those of a platform.
        """
        key = _folder.read_key(directory / _INSTANCE_KEY_FILE)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise FormatError(
                f"expected an EC private key in {directory / _INSTANCE_KEY_FILE}, got another",
                reason="simulated-platform",
            )
        return cls(
            root=_folder.read_certificate(directory / ROOT_FILE),
            instance=_folder.read_certificate(directory / _INSTANCE_FILE),
            key=key,
        )

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
        return cls.open(directory)

    @property
    def root(self) -> Root:
        """The root that a policy has to pin."""
        return root_of(self._root)

    @property
    def root_pem(self) -> bytes:
        """The root certificate as PEM, for a policy's ``roots``."""
        return render_chain([self._root])

    def measurement(self, *, beside: bytes = b"") -> Measurement:
        """The complete measurement that documents of this installation carry."""
        pcrs = package_pcrs(beside=beside)
        return Measurement(tee="nitro", parts={f"pcr{index}": pcrs[index].hex() for index in MEASURED_PCRS})

    def document(self, pcrs: Mapping[int, bytes], user_data: bytes, *, now: dt.datetime) -> bytes:
        """A document of an enclave with these registers."""
        keys = {**generate_keys(), "instance": self._key}
        window = (_seconds(now) - _BACKDATE, _seconds(now) + LEAF_LIFE)
        leaf = certify("leaf", keys, window=window).public_bytes(Encoding.DER)
        members = payload(
            chain=(leaf, self._instance, self._root),
            module_id=f"i-simulated-enc{secrets.token_hex(8)}",
            timestamp=now,
            pcrs=pcrs,
            user_data=user_data,
        )
        return document(keys["leaf"], members)


def _seconds(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC).replace(microsecond=0)


def _host_clock() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class SimulatedNitroAttester:
    """Emits Nitro documents of the installed package, signed by a simulated platform.

    The package is measured here, once, before anything is asked to be signed.

    Args:
        platform: whose keys sign.
        clock: tells the time of a document; the host's by default.
        beside: digest of other code in the process.

    Raises:
        FormatError: a file of the package that cannot be measured.
    """

    def __init__(
        self,
        platform: SimulatedNitroPlatform,
        *,
        clock: Callable[[], dt.datetime] = _host_clock,
        beside: bytes = b"",
    ) -> None:
        self._platform = platform
        self._pcrs = package_pcrs(beside=beside)
        self._clock = clock

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
            ValueError: not 64 bytes.
        """
        if len(report_data) != _REPORT_DATA_BYTES:
            raise ValueError(f"expected {_REPORT_DATA_BYTES} bytes of report data, got {len(report_data)}")
        return Evidence(
            media_type=NITRO_DOCUMENT_MEDIA_TYPE,
            quote=self._platform.document(self._pcrs, report_data, now=self._clock()),
            collateral=None,
        )
