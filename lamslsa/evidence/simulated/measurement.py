"""What the simulated platform measures: the installed package's files, so that changed code has another measurement.

On hardware the processor hashes the enclave's pages, or the TDX module the TD's initial memory; here the canonical
manifest of the package's files stands in for that.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from lamslsa.artifact.package import package_manifest
from lamslsa.evidence.interface import Measurement
from lamslsa.evidence.sgx import parse as sgx
from lamslsa.evidence.simulated.endorse import Form
from lamslsa.evidence.simulated.quote import Enclave
from lamslsa.evidence.simulated.td_quote import TrustDomain
from lamslsa.evidence.tdx import parse as tdx

__all__ = ["MR_SIGNER", "package_digest", "package_enclave", "package_measurement", "package_trust_domain"]

MR_SIGNER: Final = hashlib.sha256(b"lamslsa simulated enclave, signer").digest()
_BESIDE: Final = b"lamslsa simulated measurement of a package with other code beside it\n"
_PACKAGE: Final = Path(__file__).resolve().parents[2]


def package_digest(package: Path = _PACKAGE, *, beside: bytes = b"") -> bytes:
    """SHA-256 of the package's manifest; with other code beside it in the process, of both.

    Args:
        package: folder of the package.
        beside: digest of the code that shares the process: third-party measurers, or a user's own training.
    """
    digest = bytes.fromhex(package_manifest(package).sha256)
    return hashlib.sha256(_BESIDE + digest + beside).digest() if beside else digest


def package_enclave(package: Path = _PACKAGE, *, beside: bytes = b"") -> Enclave:
    """The package as an enclave: MRENCLAVE is the digest of its manifest."""
    return Enclave(mr_enclave=package_digest(package, beside=beside), mr_signer=MR_SIGNER)


def package_trust_domain(package: Path = _PACKAGE, *, beside: bytes = b"") -> TrustDomain:
    """The package as a TD: MRTD is SHA-384 over the digest of its manifest, and nothing is measured at run time."""
    return TrustDomain(mr_td=hashlib.sha384(package_digest(package, beside=beside)).digest())


def package_measurement(package: Path = _PACKAGE, *, tee: Form = "sgx", beside: bytes = b"") -> Measurement:
    """The complete measurement that quotes of the package carry; reads every file of it."""
    if tee == "sgx":
        enclave = package_enclave(package, beside=beside).report(cpu_svn=bytes(16), report_data=bytes(64))
        return Measurement(tee=tee, parts=sgx.parse_report(enclave).measurement)
    domain = package_trust_domain(package, beside=beside).report(report_data=bytes(64))
    return Measurement(tee=tee, parts=tdx.parse_report(domain).measurement)
