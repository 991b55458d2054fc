"""What the simulated platform measures: the installed package's files, so that changed code has another measurement.

On hardware the processor hashes the enclave's pages; here the canonical manifest of the package's files stands in for
that. Byte code is left out: it is derived, and differs between machines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.evidence.interface import Measurement
from lamslsa.evidence.sgx.parse import parse_report
from lamslsa.evidence.simulated.quote import Enclave

__all__ = ["MR_SIGNER", "package_enclave", "package_manifest", "package_measurement"]

MR_SIGNER: Final = hashlib.sha256(b"lamslsa simulated enclave, signer").digest()
_PACKAGE: Final = Path(__file__).resolve().parents[2]
_BYTE_CODE_FOLDER: Final = "__pycache__"
_BYTE_CODE: Final = ".pyc"


def package_manifest(package: Path = _PACKAGE) -> Manifest:
    """The canonical manifest of a package's files, paths relative to the package.

    Raises:
        FormatError: a path that cannot stand in a manifest.
    """
    return Manifest.of("model", _entries(package))


def package_enclave(package: Path = _PACKAGE) -> Enclave:
    """The package as an enclave: MRENCLAVE is the digest of its manifest."""
    return Enclave(mr_enclave=bytes.fromhex(package_manifest(package).sha256), mr_signer=MR_SIGNER)


def package_measurement(package: Path = _PACKAGE) -> Measurement:
    """The complete measurement that quotes of the package carry; reads every file of it."""
    report = parse_report(package_enclave(package).report(cpu_svn=bytes(16), report_data=bytes(64)))
    return Measurement(tee="sgx", parts=report.measurement)


def _entries(package: Path) -> Iterator[FileEntry]:
    for path in package.rglob("*"):
        relative = path.relative_to(package)
        if _BYTE_CODE_FOLDER in relative.parts or path.suffix == _BYTE_CODE or not path.is_file():
            continue
        data = path.read_bytes()
        yield FileEntry(path=relative.as_posix(), sha256=hashlib.sha256(data).hexdigest(), size=len(data))
