"""What the simulated platform measures: the installed package's files, so that changed code has another measurement.

On hardware the processor hashes the enclave's pages; here the canonical manifest of the package's files stands in for
that.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from lamslsa.artifact.package import package_manifest
from lamslsa.evidence.interface import Measurement
from lamslsa.evidence.sgx.parse import parse_report
from lamslsa.evidence.simulated.quote import Enclave

__all__ = ["MR_SIGNER", "package_enclave", "package_measurement"]

MR_SIGNER: Final = hashlib.sha256(b"lamslsa simulated enclave, signer").digest()
_PACKAGE: Final = Path(__file__).resolve().parents[2]


def package_enclave(package: Path = _PACKAGE) -> Enclave:
    """The package as an enclave: MRENCLAVE is the digest of its manifest."""
    return Enclave(mr_enclave=bytes.fromhex(package_manifest(package).sha256), mr_signer=MR_SIGNER)


def package_measurement(package: Path = _PACKAGE) -> Measurement:
    """The complete measurement that quotes of the package carry; reads every file of it."""
    report = parse_report(package_enclave(package).report(cpu_svn=bytes(16), report_data=bytes(64)))
    return Measurement(tee="sgx", parts=report.measurement)
