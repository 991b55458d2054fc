"""Simulated GPUs: a folder that stands for a machine's GPUs in confidential mode, their manufacturer included.

It proves formats and code paths, not hardware: whoever reads the folder can make any report. That is why its root is
never NVIDIA's and every certificate says so.

    root.pem                   the certificate that a policy pins to accept these GPUs
    gpu-<n>.pem, gpu-<n>.key   chain of one GPU, leaf first; PKCS#8 key that signs its reports, 0600

Rules:
- Made in a hidden neighbour and renamed into place, so an interruption leaves a whole folder or none.
- The keys of the manufacturer are thrown away once the GPUs are certified: nothing has to be renewed.
- Every GPU measures the same, and says that driver 550.54.15 and VBIOS 96.00.5E.00.01 run on it, so that a policy can
  be rehearsed that asks for versions.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lamslsa.errors import FormatError
from lamslsa.evidence._pem import parse_chain, render_chain
from lamslsa.evidence.interface import DeviceEvidence, Root
from lamslsa.evidence.nvidia.parse import CHAIN_LENGTH, NONCE_BYTES, render
from lamslsa.evidence.roots import root_of
from lamslsa.evidence.simulated import _folder
from lamslsa.evidence.simulated.gpu_report import (
    CHAIN,
    Gpu,
    Key,
    Role,
    certify,
    dice_extension,
    generate_key,
    messages,
    sign,
)
from lamslsa.predicates.tee_evidence import NVIDIA_REPORT_MEDIA_TYPE

__all__ = ["SimulatedGpu"]

_CERTIFICATE_LIFE: Final = dt.timedelta(days=3650)
# A verifier's clock may be a little behind that of the platform.
_BACKDATE: Final = dt.timedelta(minutes=10)
_ROOT_FILE: Final = "root.pem"
_MAX_GPUS: Final = 16
_CHAIN_FILE: Final = re.compile(r"gpu-([0-9]{1,2})\.pem")


class SimulatedGpu:
    """The opened GPUs of a machine; make them with `create`, `open` or `open_or_create`."""

    def __init__(self, gpus: tuple[tuple[tuple[bytes, ...], Key], ...]) -> None:
        self._gpus = gpus

    @classmethod
    def create(cls, directory: Path, *, now: dt.datetime, count: int = 1) -> Self:
        """Make ``count`` GPUs of one manufacturer in a folder that does not exist yet.

        Raises:
            FormatError: something of that name exists.
            UnavailableError: the folder cannot be written.
            ValueError: not 1 to 16 GPUs.
        """
        if not 1 <= count <= _MAX_GPUS:
            raise ValueError(f"expected 1 to {_MAX_GPUS} GPUs, got {count}")
        now = now.astimezone(dt.UTC).replace(microsecond=0)
        windows = dict.fromkeys(CHAIN, (now - _BACKDATE, now + _CERTIFICATE_LIFE))
        keys = {role: generate_key() for role in CHAIN}
        shared: dict[Role, x509.Certificate] = {}
        files = {}
        for number in range(count):
            keys |= {"report": generate_key(), "device": generate_key()}
            dice = dice_extension(Gpu(), keys["device"].public_key())
            certificates = certify(keys, chip=Gpu().chip, dice=dice, windows=windows)
            shared = shared or {role: certificates[role] for role in CHAIN[2:]}
            chain = [
                certificate.public_bytes(serialization.Encoding.DER) for certificate in (certificates | shared).values()
            ]
            files[f"gpu-{number}.pem"] = render_chain(chain)
            files[f"gpu-{number}.key"] = _folder.private_pem(keys["report"])
        files[_ROOT_FILE] = render_chain([shared["root"].public_bytes(serialization.Encoding.DER)])
        _folder.create(directory, files)
        return cls.open(directory)

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open the GPUs in a folder.

        Raises:
            UnavailableError: there are none, or the files cannot be read.
            FormatError: files of another kind, or GPUs of several manufacturers.
        """
        root = parse_chain(_folder.read(directory / _ROOT_FILE), what=_ROOT_FILE)
        numbers = sorted(int(found[1]) for path in directory.iterdir() if (found := _CHAIN_FILE.fullmatch(path.name)))
        gpus = []
        for number in numbers[:_MAX_GPUS]:
            chain = parse_chain(_folder.read(directory / f"gpu-{number}.pem"), what=f"gpu-{number}.pem")
            if len(chain) != CHAIN_LENGTH or chain[-1:] != root:
                raise FormatError(
                    f"expected a chain from gpu-{number} to {_ROOT_FILE}, got another", reason="simulated-platform"
                )
            gpus.append((chain, _key(directory / f"gpu-{number}.key")))
        if not gpus:
            raise FormatError(f"expected simulated GPUs in {directory}, got none", reason="simulated-platform")
        return cls(tuple(gpus))

    @classmethod
    def open_or_create(cls, directory: Path, *, now: dt.datetime, count: int = 1) -> Self:
        """Open the GPUs in a folder, and make ``count`` of them first where there are none.

        Raises:
            UnavailableError: the folder cannot be read or written.
            FormatError: its files are not those of simulated GPUs, or there is another number of them.
            ValueError: not 1 to 16 GPUs.
        """
        if not (directory / _ROOT_FILE).exists():
            try:
                return cls.create(directory, now=now, count=count)
            except FormatError:
                if not (directory / _ROOT_FILE).exists():
                    raise
                # another process was faster
        opened = cls.open(directory)
        if len(opened) != count:
            raise FormatError(
                f"expected {count} simulated GPUs in {directory}, got {len(opened)}",
                reason="simulated-platform",
                hint="name another folder for another number of them",
            )
        return opened

    def __len__(self) -> int:
        return len(self._gpus)

    @property
    def root(self) -> Root:
        """The root that a policy has to pin."""
        return root_of(self._gpus[0][0][-1])

    @property
    def root_pem(self) -> bytes:
        """The root certificate as PEM, for a policy's ``roots``."""
        return render_chain([self.root.der])

    def collect(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:
        """Have every GPU sign a nonce.

        Raises:
            ValueError: not 32 bytes.
        """
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"expected a nonce of {NONCE_BYTES} bytes, got {len(nonce)}")
        return tuple(_answer(chain, key, nonce) for chain, key in self._gpus)


def _answer(chain: tuple[bytes, ...], key: Key, nonce: bytes) -> DeviceEvidence:
    said = messages(Gpu(), nonce, salt=secrets.token_bytes(NONCE_BYTES))
    return DeviceEvidence(media_type=NVIDIA_REPORT_MEDIA_TYPE, data=render(said + sign(key, said), chain))


def _key(path: Path) -> Key:
    key = _folder.read_key(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP384R1):
        raise FormatError(f"expected a P-384 private key in {path}, got another", reason="simulated-platform")
    return key
