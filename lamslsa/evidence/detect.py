"""What this machine offers to attest with, and why not.

Rules:
- What is there is read from device files, never from the environment, which the host sets. Only programs that the host
  itself would start, Gramine's, are looked up on its PATH.
- Looking changes nothing: no device is asked for a report.
- Choosing wrongly is an inconvenience, not a breach: the verifier reads from the evidence what kind of TEE spoke.

>>> [offer.kind for offer in available(Machine(root=Path("/nonexistent"), find=lambda program: None))][:4]
['sgx', 'nitro', 'tdx', 'snp']
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from lamslsa.errors import UnavailableError
from lamslsa.evidence._tsm import FOLDER as TSM_FOLDER
from lamslsa.evidence.nitro.attester import DEVICE as NSM_DEVICE
from lamslsa.evidence.sgx.attester import ATTESTATION_FOLDER, ATTESTATION_TYPE

__all__ = ["AUTO", "Availability", "Kind", "Machine", "available", "choose_auto"]

Kind = Literal["sgx", "nitro", "tdx", "snp", "sgx-host", "gramine-direct", "nvidia"]
AUTO: Final[tuple[Kind, ...]] = ("sgx", "nitro", "tdx", "snp", "sgx-host")
"""What ``--tee auto`` takes, the first that is there: where we already are inside before what we would have to start,
and the smaller TEE before the larger. No machine has both TDX and SEV-SNP; the order would decide."""

_AESM_SOCKETS: Final = ("/var/run/aesmd/aesm.socket", "/run/aesmd/aesm.socket")
_MAX_TYPE_BYTES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """One way to attest.

    Attributes:
        kind: ``sgx`` inside an enclave; ``sgx-host`` on a host that can start one; the guests; what a GPU adds.
        why: what was found, or what is missing.
        hint: what to do about it; empty where it is usable.
    """

    kind: Kind
    usable: bool
    why: str
    hint: str = ""


def _why_no_gpu() -> str | None:
    from lamslsa.evidence.nvidia.collect import why_unavailable

    return why_unavailable()


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where to look.

    Attributes:
        root: the root of the file system.
        find: finds a program on the host's PATH.
        writable: whether this user may write to a path.
        why_no_gpu: asks NVIDIA's driver why its GPUs cannot attest; None where they can.
    """

    root: Path = Path("/")
    find: Callable[[str], str | None] = shutil.which
    writable: Callable[[Path], bool] = lambda path: os.access(path, os.W_OK)
    why_no_gpu: Callable[[], str | None] = _why_no_gpu

    def at(self, path: str) -> Path:
        """Where a path of the machine lies."""
        return self.root / path.lstrip("/")

    def has(self, path: str) -> bool:
        """Whether there is something at a path."""
        try:
            return self.at(path).exists()
        except OSError:
            return False


def available(machine: Machine | None = None) -> tuple[Availability, ...]:
    """Every way to attest that lamslsa knows, those that are usable here and those that are not."""
    machine = machine or Machine()
    return tuple(look(machine) for look in _LOOKS.values())


def choose_auto(machine: Machine | None = None) -> Kind:
    """The hardware that is there, in the order of `AUTO`; never a simulation.

    Raises:
        UnavailableError: none (tee-missing).
    """
    machine = machine or Machine()
    for kind in AUTO:
        if _LOOKS[kind](machine).usable:
            return kind
    raise UnavailableError(
        f"expected one of {', '.join(AUTO)} on this machine, got none",
        reason="tee-missing",
        hint="lamslsa tee says what is missing; to rehearse without hardware, ask for it by name: --tee simulated",
    )


def _yes(kind: Kind, why: str) -> Availability:
    return Availability(kind=kind, usable=True, why=why)


def _no(kind: Kind, why: str, hint: str) -> Availability:
    return Availability(kind=kind, usable=False, why=why, hint=hint)


def _enclave(machine: Machine) -> Availability:
    if not machine.has(ATTESTATION_FOLDER):
        return _no("sgx", f"not inside a Gramine enclave: no {ATTESTATION_FOLDER}", "run under gramine-sgx")
    try:
        with machine.at(f"{ATTESTATION_FOLDER}/attestation_type").open("rb") as file:
            found = file.read(_MAX_TYPE_BYTES)
    except OSError:
        return _no("sgx", "inside Gramine, but not on SGX", "run under gramine-sgx in place of gramine-direct")
    if found != ATTESTATION_TYPE or not machine.has(f"{ATTESTATION_FOLDER}/quote"):
        return _no(
            "sgx",
            f"inside an enclave that attests with {found!r}",
            'build it with sgx.remote_attestation = "dcap" in its manifest',
        )
    return _yes("sgx", f"inside a Gramine enclave, {ATTESTATION_FOLDER}/quote")


def _sgx_host(machine: Machine) -> Availability:
    if not machine.has("/dev/sgx_enclave"):
        return _no("sgx-host", "no /dev/sgx_enclave", "turn SGX on in the firmware; Linux 5.11 or later has the driver")
    program = machine.find("gramine-sgx")
    if program is None:
        return _no("sgx-host", "/dev/sgx_enclave, but no gramine-sgx on PATH", "install Gramine")
    if not any(machine.has(socket) for socket in _AESM_SOCKETS):
        return _no("sgx-host", f"no quoting service at {_AESM_SOCKETS[0]}", "install and start Intel's aesmd")
    return _yes("sgx-host", f"/dev/sgx_enclave, aesmd, {program}")


def _nitro(machine: Machine) -> Availability:
    if not machine.has(NSM_DEVICE):
        return _no("nitro", f"no {NSM_DEVICE}", "run inside a Nitro enclave")
    return _yes("nitro", NSM_DEVICE)


def _guest(machine: Machine, kind: Literal["tdx", "snp"], device: str, product: str) -> Availability:
    if not machine.has(device):
        return _no(kind, f"no {device}", f"run inside a {product} guest whose kernel has its driver")
    if not machine.has(TSM_FOLDER):
        return _no(
            kind,
            f"{device}, but no {TSM_FOLDER}",
            "use Linux 6.7 or later and mount -t configfs configfs /sys/kernel/config",
        )
    if not machine.writable(machine.at(TSM_FOLDER)):
        return _no(kind, f"{device}, but {TSM_FOLDER} cannot be written to", "run as a user who may")
    return _yes(kind, f"{device}, {TSM_FOLDER}")


def _tdx(machine: Machine) -> Availability:
    return _guest(machine, "tdx", "/dev/tdx_guest", "TDX")


def _snp(machine: Machine) -> Availability:
    return _guest(machine, "snp", "/dev/sev-guest", "SEV-SNP")


def _gramine_direct(machine: Machine) -> Availability:
    program = machine.find("gramine-direct")
    if program is None:
        return _no("gramine-direct", "no gramine-direct on PATH", "install Gramine")
    return _yes("gramine-direct", f"{program}; without SGX, so its evidence is simulated")


def _nvidia(machine: Machine) -> Availability:
    if not machine.has("/dev/nvidiactl"):
        return _no("nvidia", "no /dev/nvidiactl", "attach a Hopper or Blackwell GPU and load NVIDIA's driver")
    why = machine.why_no_gpu()
    if why is not None:
        return _no("nvidia", why, "pip install 'lamslsa[gpu]', and have the host turn confidential computing on")
    return _yes("nvidia", "confidential computing on; counts together with tdx or snp")


_LOOKS: Final[dict[Kind, Callable[[Machine], Availability]]] = {
    "sgx": _enclave,
    "nitro": _nitro,
    "tdx": _tdx,
    "snp": _snp,
    "sgx-host": _sgx_host,
    "gramine-direct": _gramine_direct,
    "nvidia": _nvidia,
}
