"""The folder of a simulated platform: certificates, private keys and collateral, complete or absent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from lamslsa._files import new_folder, replace_file, write_file
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.evidence._pem import parse_chain, render_chain

__all__ = ["Key", "certificate_pem", "create", "private_pem", "read", "read_certificate", "read_key", "replace"]

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_MAX_FILE_BYTES: Final = 1024 * 1024
_FILE_MODE: Final = 0o600
_REASON: Final = "simulated-platform"


def create(directory: Path, files: Mapping[str, bytes]) -> None:
    """Make the folder with these files, readable by its owner only, all at once.

    Raises:
        FormatError: something of that name exists.
        UnavailableError: the file system refused.
    """
    try:
        with new_folder(directory, mode=0o700) as staging:
            for name, data in files.items():
                write_file(staging / name, data, mode=_FILE_MODE)
    except OSError as err:
        raise _unavailable(directory, err) from err


def replace(path: Path, data: bytes) -> None:
    """Put a file in place of another one, at once.

    Raises:
        UnavailableError: the file system refused.
    """
    try:
        replace_file(path, data, mode=_FILE_MODE)
    except OSError as err:
        raise _unavailable(path, err) from err


def read(path: Path) -> bytes:
    """A file of at most 1 MiB.

    Raises:
        UnavailableError: it is not there, or cannot be read.
        FormatError: it is longer.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as err:
        raise _unavailable(path, err) from err
    if len(data) > _MAX_FILE_BYTES:
        raise FormatError(f"expected at most {_MAX_FILE_BYTES} bytes in {path}, got more", reason=_REASON)
    return data


def read_certificate(path: Path) -> bytes:
    """DER of the one certificate in a file.

    Raises:
        UnavailableError: it cannot be read.
        FormatError: not one certificate in PEM.
    """
    first, *others = parse_chain(read(path), what=str(path))
    if others:
        raise FormatError(f"expected one certificate in {path}, got {1 + len(others)}", reason=_REASON)
    return first


def read_key(path: Path) -> Key:
    """The private key in a file.

    Raises:
        UnavailableError: it cannot be read.
        FormatError: not an EC or RSA key in PEM.
    """
    try:
        key = serialization.load_pem_private_key(read(path), password=None)
    except (ValueError, TypeError) as err:
        raise FormatError(f"expected a private key in {path}, got other bytes", reason=_REASON) from err
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise FormatError(f"expected an EC or RSA private key in {path}, got another", reason=_REASON)
    return key


def certificate_pem(der: bytes) -> bytes:
    """One certificate as this package writes it."""
    return render_chain([der])


def private_pem(key: Key) -> bytes:
    """A private key in PKCS#8, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _unavailable(path: Path, err: OSError) -> UnavailableError:
    return UnavailableError(
        f"expected the simulated platform in {path}, got {err.strerror}",
        reason=_REASON,
        hint="name a folder that can be read and written; the platform is made on first use",
    )
