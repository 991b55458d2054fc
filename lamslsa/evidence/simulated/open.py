"""The simulated platforms by the names that ``--tee`` has for them.

Each has a folder and a PKI of its own, so that what one signs is never taken for another's: ``simulated``, the SGX
form, lies in the folder that is named, and the others beside it, with ``-tdx``, ``-snp`` or ``-nitro`` after its name.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final, Protocol

from lamslsa.errors import UnavailableError
from lamslsa.evidence.interface import Measurement, Root

__all__ = ["SIMULATED", "Platform", "open_platform", "platform_folder"]

SIMULATED: Final = ("simulated", "simulated-tdx", "simulated-snp", "simulated-nitro")


class Platform(Protocol):
    """What every simulated platform can say of itself."""

    @property
    def root(self) -> Root:
        """The root that a policy has to pin."""
        ...

    @property
    def root_pem(self) -> bytes:
        """The root certificate as PEM."""
        ...

    def measurement(self, *, beside: bytes = b"") -> Measurement:
        """The complete measurement of this installation on it."""
        ...


def platform_folder(tee: str, directory: Path) -> Path:
    """Where a platform lies.

    >>> platform_folder("simulated-snp", Path("state/simulated")).name
    'simulated-snp'

    Args:
        tee: one of `SIMULATED`.
        directory: the folder of the SGX form.
    """
    return directory.absolute().with_name(directory.absolute().name + tee.removeprefix(SIMULATED[0]))


def open_platform(tee: str, directory: Path, *, now: dt.datetime) -> Platform:
    """Open a simulated platform, made on first use.

    Args:
        tee: one of `SIMULATED`.
        directory: the folder of the SGX form.
        now: when its endorsements have to be valid.

    Raises:
        UnavailableError: no such platform, or its folder cannot be read or written.
        FormatError: its files are not those of a platform.
    """
    if tee not in SIMULATED:
        raise UnavailableError(f"expected one of {', '.join(SIMULATED)}, got {tee[:80]!r}", reason="simulated-platform")
    folder = platform_folder(tee, directory)
    if tee == "simulated-snp":
        from lamslsa.evidence.simulated.snp import SimulatedSnpPlatform

        return SimulatedSnpPlatform.open_or_create(folder, now=now)
    if tee == "simulated-nitro":
        from lamslsa.evidence.simulated.nitro import SimulatedNitroPlatform

        return SimulatedNitroPlatform.open_or_create(folder, now=now)
    from lamslsa.evidence.simulated.platform import SimulatedPlatform

    return SimulatedPlatform.open_or_create(folder, now=now, form="tdx" if tee == "simulated-tdx" else "sgx")
