"""Build and sign an enclave: from an installation to a final manifest and the signature over its measurement.

    <build>.manifest.template   ours: every trusted file by path and SHA-256
    <build>.manifest            gramine-manifest has filled in where Gramine lies; gramine-direct runs this
    <build>.manifest.sgx        gramine-sgx-sign has added the digests of Gramine's files: the final one
    <build>.sig                 SIGSTRUCT: the measurement, signed

Rules:
- A build is complete or absent. Without gramine-manifest there is only the template, and only for who asks for that.
- A final manifest that `parse_manifest` refuses is not kept, and so is not run.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from lamslsa._files import new_folder, open_regular, refuse_existing, sync_folder, write_file
from lamslsa.enclave.files import Interpreter, gather
from lamslsa.enclave.manifest import BUILDS, MAX_MANIFEST_BYTES, Build, FinalManifest, parse_manifest
from lamslsa.enclave.programs import find_program, run_program
from lamslsa.enclave.template import Settings, render
from lamslsa.errors import FormatError, UnavailableError

__all__ = ["Built", "build", "find_build", "read_final", "sign"]

_MANIFEST: Final = ".manifest"
_TEMPLATE: Final = ".manifest.template"
_FINAL: Final = ".manifest.sgx"
_SIGNATURE: Final = ".sig"
_SIGSTRUCT_BYTES: Final = 1808


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What `build` made.

    Attributes:
        complete: whether gramine-manifest has been over it.
        trusted: how many files of the host the enclave may open.
    """

    build: Build
    folder: Path
    complete: bool
    trusted: int


def build(
    which: Build,
    folder: Path,
    *,
    interpreter: Interpreter,
    code: Path | None = None,
    measurers: str | None = None,
    settings: Settings | None = None,
    template_only: bool = False,
) -> Built:
    """Render the manifest of a build into a new folder.

    Args:
        which: ``measure``, ``train-own`` or ``measure-with``.
        folder: must not exist.
        interpreter: whose files the enclave may open.
        code: folder with the user's training code; for ``train-own`` and only there.
        measurers: name of the distribution with a third party's measurers; for ``measure-with`` and only there.
        settings: what may differ between builds.
        template_only: stop at the template, which needs no Gramine.

    Raises:
        FormatError: the folder exists, code or measurers are not usable, or a path cannot stand in a manifest.
        UnavailableError: gramine-manifest, a package or jinja2 is missing.
    """
    refuse_existing(folder)
    if (measurers is not None) != (which == "measure-with"):
        raise FormatError(
            f"expected a distribution with measurers for the build measure-with and only there, got the build {which}",
            reason="enclave-measurers",
        )
    if not template_only:
        find_program("gramine-manifest")
    code = None if code is None else code.resolve()
    files = gather(interpreter, code=code, measurers=measurers)
    template = render(
        which,
        python=interpreter.place,
        mounts=files.mounts,
        trusted=files.trusted,
        code=None if code is None else PurePosixPath(code),
        settings=settings,
    )
    with new_folder(folder) as staging:
        write_file(staging / f"{which}{_TEMPLATE}", template)
        if not template_only:
            run_program("gramine-manifest", [f"{which}{_TEMPLATE}", f"{which}{_MANIFEST}"], cwd=staging)
            _refuse_absent(staging / f"{which}{_MANIFEST}", "gramine-manifest")
    return Built(build=which, folder=folder, complete=not template_only, trusted=len(files.trusted))


def sign(folder: Path, key: Path) -> FinalManifest:
    """Have a built manifest completed, measured and signed; the key is an RSA key of 3072 bits with exponent 3.

    Raises:
        FormatError: no build in the folder, it is signed already, or its final manifest is refused.
        UnavailableError: gramine-sgx-sign is missing or failed.
    """
    which = find_build(folder, _MANIFEST)
    final, signature = folder / f"{which}{_FINAL}", folder / f"{which}{_SIGNATURE}"
    for path in (final, signature):
        refuse_existing(path)
    mark = f".{secrets.token_hex(8)}.partial"
    staged = {target: folder / f".{target.name}{mark}" for target in (final, signature)}
    try:
        run_program(
            "gramine-sgx-sign",
            [
                *("--key", str(key.absolute()), "--manifest", f"{which}{_MANIFEST}"),
                *("--output", staged[final].name, "--sigfile", staged[signature].name),
            ],
            cwd=folder,
        )
        for path in staged.values():
            _refuse_absent(path, "gramine-sgx-sign")
        parsed = _parse(staged[final], which)
        if staged[signature].stat().st_size != _SIGSTRUCT_BYTES:
            raise FormatError(
                f"expected a SIGSTRUCT of {_SIGSTRUCT_BYTES} bytes from gramine-sgx-sign, got another size",
                reason="enclave-signature",
            )
        staged[signature].rename(signature)
        staged[final].rename(final)
    finally:
        for path in staged.values():
            path.unlink(missing_ok=True)
    sync_folder(folder)
    return parsed


def find_build(folder: Path, suffix: str = _MANIFEST) -> Build:
    """Which build lies in a folder.

    Raises:
        FormatError: none, or several.
    """
    found = [name for name in BUILDS if (folder / f"{name}{suffix}").is_file()]
    if len(found) != 1:
        raise FormatError(
            f"expected one enclave build with a file *{suffix} in {folder}, got {len(found)}",
            reason="enclave-build",
            hint="lamslsa enclave build makes one, lamslsa enclave sign completes it",
        )
    return found[0]


def read_final(folder: Path) -> FinalManifest:
    """Read the final manifest of a signed build, and refuse one that says what it should not.

    Raises:
        FormatError: no signed build in the folder, or its final manifest is refused.
    """
    which = find_build(folder, _FINAL)
    if not (folder / f"{which}{_SIGNATURE}").is_file():
        raise FormatError(f"expected the signature of {which} in {folder}, got none", reason="enclave-build")
    return _parse(folder / f"{which}{_FINAL}", which)


def _parse(path: Path, which: Build) -> FinalManifest:
    with open_regular(path, what="manifest") as file:
        parsed = parse_manifest(file.read(MAX_MANIFEST_BYTES + 1))
    if parsed.build != which:
        raise FormatError(f"expected the manifest of the build {which}, got {parsed.build}", reason="enclave-build")
    return parsed


def _refuse_absent(path: Path, program: str) -> None:
    if not path.is_file():
        raise UnavailableError(
            f"expected {program} to write a file, got none", reason="enclave-program-failed", hint="see its version"
        )
