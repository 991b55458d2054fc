"""Which attester ``--tee`` and ``--gpu`` name.

Rules:
- No silent fallback: what is asked for and not there is an error, and ``auto`` takes hardware only.
- A simulated platform is asked for by name, in the form of one TEE; each form has a folder and a PKI of its own.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final, Literal

from lamslsa.errors import UnavailableError
from lamslsa.evidence.detect import Machine, available, choose_auto
from lamslsa.evidence.interface import Attester
from lamslsa.evidence.simulated.open import SIMULATED, platform_folder

__all__ = ["HARDWARE", "SIMULATED", "attester_for"]

HARDWARE: Final = ("sgx", "tdx", "snp", "nitro")
_GPU: Final = "simulated-gpu"
_HOST: Final = "sgx-host"
_ENCLAVE_HINT: Final = "on a host with SGX name the enclave build to measure in: --enclave DIR"


def attester_for(
    tee: str,
    *,
    simulated_platform: Path,
    gpu: str | None = None,
    beside: bytes = b"",
    now: dt.datetime | None = None,
    machine: Machine | None = None,
) -> Attester:
    """The attester that ``--tee`` names, with the devices that ``--gpu`` names.

    Args:
        tee: ``auto``, one of `HARDWARE`, or one of `SIMULATED`.
        simulated_platform: folder of the simulated platforms, made on first use; not touched for another TEE.
        gpu: ``nvidia`` or ``simulated`` to have the GPUs answer too.
        beside: digest of other code in this process, which a simulated platform measures with the package.
        now: when the simulated platform's collateral has to be valid; the host's clock by default.
        machine: where hardware is looked for; this one by default.

    Raises:
        UnavailableError: no such TEE, none at all, or no GPU that it can vouch for.
    """
    if tee == "auto":
        tee = choose_auto(machine)
    if tee in HARDWARE:
        _refuse_missing(tee, machine)
    if tee == _HOST:
        raise UnavailableError(
            "expected an enclave build to measure in, got none: this machine has SGX, and this process is outside",
            reason="tee-needs-enclave",
            hint="lamslsa attest --tee sgx --enclave DIR (lamslsa enclave build)",
        )
    attester = _simulated(tee, simulated_platform, now, beside) if tee in SIMULATED else _hardware(tee)
    if gpu is None:
        return attester
    from lamslsa.evidence.devices import WithDevices

    if gpu == "nvidia":
        from lamslsa.evidence.nvidia.collect import NvmlCollector

        return WithDevices(attester, NvmlCollector())
    if gpu == "simulated":
        from lamslsa.evidence.simulated.gpu import SimulatedGpu

        folder = platform_folder(_GPU, simulated_platform)
        return WithDevices(attester, SimulatedGpu.open_or_create(folder, now=now or dt.datetime.now(dt.UTC)).collect)
    raise UnavailableError(f"expected nvidia or simulated as GPU, got {gpu!r:.80}", reason="gpu-unknown")


def _refuse_missing(tee: str, machine: Machine | None) -> None:
    """Say at once what would fail after hours of measuring."""
    for offer in available(machine):
        if offer.kind == tee and not offer.usable:
            mend = _ENCLAVE_HINT if tee == "sgx" else offer.hint
            raise UnavailableError(
                f"expected {tee} on this machine, got none: {offer.why}",
                reason="tee-missing",
                hint=f"{mend}; to rehearse without hardware, ask for it by name: --tee simulated",
            )


def _hardware(tee: str) -> Attester:
    match tee:
        case "sgx":
            from lamslsa.evidence.sgx.attester import SgxAttester

            return SgxAttester()
        case "tdx":
            from lamslsa.evidence.tdx.attester import TdxAttester

            return TdxAttester()
        case "snp":
            from lamslsa.evidence.snp.attester import SnpAttester

            return SnpAttester()
        case "nitro":
            from lamslsa.evidence.nitro.attester import NitroAttester

            return NitroAttester()
        case _:
            raise UnavailableError(
                f"expected one of {', '.join((*HARDWARE, *SIMULATED))}, got {tee!r:.80}",
                reason="tee-unknown",
                hint="lamslsa tee says what this machine offers",
            )


def _simulated(form: str, simulated_platform: Path, asked: dt.datetime | None, beside: bytes) -> Attester:
    now = asked or dt.datetime.now(dt.UTC)
    folder = platform_folder(form, simulated_platform)
    match form:
        case "simulated-snp":
            from lamslsa.evidence.simulated.snp import SimulatedSnpAttester, SimulatedSnpPlatform

            return SimulatedSnpAttester(SimulatedSnpPlatform.open_or_create(folder, now=now), beside=beside)
        case "simulated-nitro":
            from lamslsa.evidence.simulated.nitro import SimulatedNitroAttester, SimulatedNitroPlatform

            platform = SimulatedNitroPlatform.open_or_create(folder, now=now)
            return (
                SimulatedNitroAttester(platform, beside=beside)
                if asked is None
                else SimulatedNitroAttester(platform, clock=lambda: now, beside=beside)
            )
        case _:
            from lamslsa.evidence.simulated.attester import SimulatedAttester
            from lamslsa.evidence.simulated.platform import SimulatedPlatform

            tee: Literal["sgx", "tdx"] = "tdx" if form == "simulated-tdx" else "sgx"
            return SimulatedAttester(SimulatedPlatform.open_or_create(folder, now=now, form=tee), beside=beside)
