"""What surrounds a computation and could change its result: interpreter, machine, variables, packages.

Rules:
- Packages are the closure of the distributions named by the measurer over their declared requirements: optional extras
  left out, a requirement that is not installed left out, environment markers not evaluated (so rather one too many).
  The clients of services, which an enclave does without, are left out too (`lamslsa.artifact.package.HOST_ONLY`).
- A package is named by purl and identified by the SHA-256 of its RECORD. For lamslsa itself each entry of RECORD is
  compared with the file on disk, and no module may lie beside them; an editable installation has no such record and is
  identified by the digest of its files, and says so.
- Of the process environment only variables that steer the numerical libraries are kept.

>>> purl("Scikit_Learn", "1.5.0+cpu")
'pkg:pypi/scikit-learn@1.5.0%2Bcpu'
"""

from __future__ import annotations

import base64
import csv
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageMetadata
from pathlib import Path
from typing import Any, Final, Literal

from lamslsa import _codec
from lamslsa.artifact.package import HOST_ONLY, package_files, package_manifest
from lamslsa.errors import UnavailableError, VerificationError
from lamslsa.measure.interface import Device
from lamslsa.predicates._common import Digest, Environment, ResourceDescriptor

__all__ = ["STEERING", "CodeIdentity", "code_identity", "environment", "purl", "verify_installation"]

_PACKAGE: Final = "lamslsa"
_ROOT: Final = Path(__file__).resolve().parent.parent
STEERING: Final = (  # how the names of variables begin that can change a sum
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "DNNL_", "ONEDNN_", "ATEN_", "NPY_"),
    *("CUBLAS_", "CUBLASLT_", "CUDA_", "CUDNN_", "NVIDIA_TF32_"),
    *("TORCH_ALLOW_TF32_", "TORCH_BLAS_", "TORCH_CUBLASLT_", "TORCH_CUDNN_", "TORCH_LINALG_"),
)
_NAMES: Final = frozenset({"GLIBC_TUNABLES", "LD_PRELOAD"})
_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_DRIVER: Final = Path("/sys/module/nvidia/version")
_EXTRA: Final = re.compile(r"""extra\s*==\s*['"]([A-Za-z0-9._-]+)['"]""")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeIdentity:
    """The code of this package: version, how it was installed, and the digest of its files.

    Attributes:
        sha256: digest of the canonical manifest (kind model) of the package folder without ``__pycache__``.
        record: SHA-256 of RECORD for a wheel; for an editable installation the same as ``sha256``.
    """

    version: str
    installation: Literal["wheel", "editable"]
    sha256: str
    record: str


def purl(name: str, version: str) -> str:
    """The package URL of a distribution on PyPI (purl spec, type pypi)."""
    normal = re.sub(r"[-_.]+", "-", name).lower()
    return f"pkg:pypi/{normal}@{version.replace('+', '%2B').replace('!', '%21')}"


def environment(
    packages: Sequence[str], *, variables: Mapping[str, str] | None = None, device: Device = "cpu"
) -> Environment:
    """Describe the environment of this process.

    Args:
        packages: the distributions that the measurer imports; their requirements are added.
        variables: the process environment; ``os.environ`` if None.
        device: where tensors live. Of a GPU its name, compute capability and number of multiprocessors are told too,
            and the versions of its driver, CUDA and cuDNN.

    Raises:
        UnavailableError: one of ``packages`` is not installed.
        VerificationError: the files of lamslsa are not those of its RECORD.
    """
    source = os.environ if variables is None else variables
    kept = {name: source[name] for name in sorted(source) if name.startswith(STEERING) or name in _NAMES}
    return Environment(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        machine=_machine(with_torch="torch" in packages, device=device),
        variables=kept,
        packages=tuple(_descriptor(*found) for found in _closure(packages).items()),
    )


@functools.cache
def code_identity() -> CodeIdentity:
    """The identity of the running package, taken once in a process: what was imported is what runs.

    Whoever runs the code of others in this process calls ``code_identity.cache_clear()`` after it, so that files which
    that code has changed are found.

    Raises:
        UnavailableError: lamslsa is not installed.
        VerificationError: its files are not those of its RECORD.
    """
    distribution = _distribution(_PACKAGE)
    installation = verify_installation(distribution, _ROOT)
    digest = package_manifest(_ROOT).sha256
    return CodeIdentity(
        version=distribution.version,
        installation=installation,
        sha256=digest,
        record=_record_digest(distribution) if installation == "wheel" else digest,
    )


def verify_installation(distribution: importlib.metadata.Distribution, root: Path) -> Literal["wheel", "editable"]:
    """Compare the files of an installed package with its RECORD.

    Args:
        distribution: the installed distribution.
        root: the folder of the package that was imported.

    Returns:
        ``wheel`` if every file agrees, ``editable`` if the installation has no files of its own.

    Raises:
        VerificationError: a file is missing, differs or is not recorded.
    """
    if _is_editable(distribution):
        return "editable"
    site = Path(str(distribution.locate_file("")))
    recorded: dict[Path, str] = {}
    for name, digest, *_ in csv.reader((distribution.read_text("RECORD") or "").splitlines()):
        if name.startswith(f"{root.name}/") and "__pycache__" not in name:
            recorded[site / name] = digest
    present = set(package_files(root))
    for path in sorted(present | set(recorded)):
        if path not in recorded or path not in present or recorded[path] != _record_hash(path.read_bytes()):
            raise VerificationError(
                f"expected the files of {root.name} to be those of its RECORD, got another {path.name}",
                reason="environment-record",
                hint="install the package again",
            )
    return "wheel"


def _is_editable(distribution: importlib.metadata.Distribution) -> bool:
    text = distribution.read_text("direct_url.json")
    return text is not None and json.loads(text).get("dir_info", {}).get("editable") is True


def _record_hash(data: bytes) -> str:
    """As RECORD spells it: https://packaging.python.org/en/latest/specifications/recording-installed-packages/."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode("ascii").rstrip("=")


def _distribution(name: str) -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError as err:
        raise UnavailableError(
            f"expected the package {name} to be installed, got none",
            reason="environment-package",
            hint=_install(name),
        ) from err


def _install(name: str) -> str:
    """How to get a package: by the smallest extra of ours that names it, or else by its own name."""
    try:
        requirements = importlib.metadata.requires(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return f"pip install {_PACKAGE}"
    extras: dict[str, set[str]] = {}
    for requirement in requirements:
        match, extra = _REQUIREMENT.match(requirement), _EXTRA.search(requirement)
        if match is not None and extra is not None:
            extras.setdefault(extra[1], set()).add(_normal(match[1]))
    having = [extra for extra, names in extras.items() if _normal(name) in names]
    if not having:
        return f"pip install {name}"
    return f"pip install '{_PACKAGE}[{min(having, key=lambda extra: (len(extras[extra]), extra))}]'"


def _closure(roots: Sequence[str]) -> dict[str, tuple[importlib.metadata.Distribution, PackageMetadata]]:
    """Every distribution with what it says of itself, which is parsed at each access; sorted by name."""
    found = {_normal(name): _with_metadata(_distribution(name)) for name in roots}
    open_ = list(found)
    while open_:
        for requirement in found[open_.pop()][1].get_all("Requires-Dist") or []:
            match = _REQUIREMENT.match(requirement)
            if (
                match is None
                or _EXTRA.search(requirement)
                or _normal(match[1]) in found
                or _normal(match[1]) in HOST_ONLY
            ):
                continue
            try:
                found[_normal(match[1])] = _with_metadata(importlib.metadata.distribution(match[1]))
            except importlib.metadata.PackageNotFoundError:
                continue
            open_.append(_normal(match[1]))
    return dict(sorted(found.items()))


def _with_metadata(
    distribution: importlib.metadata.Distribution,
) -> tuple[importlib.metadata.Distribution, PackageMetadata]:
    return distribution, distribution.metadata


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _record_digest(distribution: importlib.metadata.Distribution) -> str:
    # read_text would translate line ends; importlib.metadata has no public way to the bytes short of parsing RECORD.
    folder: Any = getattr(distribution, "_path", None)
    try:
        data: bytes = (folder / "RECORD").read_bytes()
    except (OSError, TypeError) as err:
        raise UnavailableError(
            f"expected a RECORD of {distribution.metadata['Name']}, got none",
            reason="environment-record",
            hint="install the package from a wheel",
        ) from err
    return _codec.sha256_hex(data)


def _descriptor(name: str, found: tuple[importlib.metadata.Distribution, PackageMetadata]) -> ResourceDescriptor:
    distribution, metadata = found
    uri = purl(name, metadata["Version"])
    if name != _PACKAGE:
        return ResourceDescriptor(name=name, uri=uri, digest=Digest(sha256=_record_digest(distribution)))
    code = code_identity()
    return ResourceDescriptor(
        name=name, uri=uri, digest=Digest(sha256=code.record), annotations={"installation": code.installation}
    )


def _machine(*, with_torch: bool, device: Device = "cpu") -> dict[str, str | int]:
    """Without torch there is only DuckDB, which runs on one thread."""
    machine: dict[str, str | int] = {"architecture": platform.machine(), "cpu": _cpu_model(), "device": device}
    if with_torch:
        import torch

        machine["capability"] = torch.backends.cpu.get_cpu_capability()
        machine["threads"] = torch.get_num_threads()
        return {**machine, **_gpu()} if device == "cuda" else machine
    return {**machine, "threads": 1}


def _gpu() -> dict[str, str | int]:
    """What of a GPU decides which kernels are run; its driver is that of the running kernel."""
    import torch

    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    try:
        driver = _DRIVER.read_text(encoding="ascii", errors="replace").strip()[:64]
    except OSError:
        driver = "unknown"
    return {
        "deviceName": properties.name,
        "computeCapability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "driver": driver,
        "cuda": str(torch.version.cuda),
        "cudnn": torch.backends.cudnn.version() or 0,  # type: ignore[no-untyped-call]
    }


def _cpu_model() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()[:256]
    except OSError:
        pass
    return "unknown"
