"""The key that seals what a measurement keeps on the host: the TEE's own, for the same code on the same machine.

- Inside a Gramine enclave: the key that the processor derives from MRENCLAVE, and so gives to no other code.
- A simulated platform keeps a secret beside its other keys; its key depends on the measurement, as on hardware.
- TDX, SEV-SNP and Nitro have no such key in these evidence formats: keeping nothing is the answer there, never a key
  that the host holds.

The key never leaves the process; it is derived anew for each purpose by HKDF (RFC 5869).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lamslsa._files import write_file
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.evidence._kernel import Kernel, Linux, answering, read_file
from lamslsa.evidence.simulated.open import SIMULATED, platform_folder

__all__ = ["CHECKPOINTS", "sealing_key", "simulated_secret"]

CHECKPOINTS: Final = "https://lamslsa.dev/sealing/checkpoints/v1"
_GRAMINE_KEY: Final = "/dev/attestation/keys/_sgx_mrenclave"
_GRAMINE_KEY_BYTES: Final = 16
_SECRET_FILE: Final = "sealing.key"  # noqa: S105 - a name, not the secret
_SECRET_BYTES: Final = 32
_KEY_BYTES: Final = 32


def sealing_key(
    tee: str, *, purpose: str, simulated_platform: Path, code: Callable[[], bytes], kernel: Kernel | None = None
) -> bytes:
    """32 bytes that only this code in this TEE can derive.

    Args:
        tee: what the attester calls itself.
        purpose: what is sealed; another purpose has another key.
        simulated_platform: folder of the simulated platforms; not touched for another TEE.
        code: the measurement of what runs; asked on a simulated platform only.
        kernel: how the key of an enclave is read.

    Raises:
        UnavailableError: this TEE has no sealing key, or it cannot be read.
        FormatError: what is there is no key.
    """
    if tee in SIMULATED:
        return _derive(simulated_secret(platform_folder(tee, simulated_platform)), purpose, salt=code())
    if tee != "sgx":
        raise UnavailableError(
            f"expected a TEE with a sealing key, got {tee}",
            reason="sealing-key",
            hint="SGX enclaves have one; elsewhere measure without --checkpoints",
        )
    with answering("Gramine", hint="run inside an enclave: gramine-sgx has the key, a plain process does not"):
        key = read_file(kernel or Linux(), _GRAMINE_KEY, limit=_GRAMINE_KEY_BYTES)
    if len(key) != _GRAMINE_KEY_BYTES or not any(key):
        raise FormatError(f"expected a key of {_GRAMINE_KEY_BYTES} bytes from Gramine, got none", reason="sealing-key")
    return _derive(key, purpose, salt=b"")


def _derive(secret: bytes, purpose: str, *, salt: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=salt, info=purpose.encode()).derive(secret)


def simulated_secret(folder: Path) -> bytes:
    """The secret of a simulated platform, made on first use.

    Raises:
        UnavailableError: the folder cannot be written.
        FormatError: what is there is no secret.
    """
    path = folder / _SECRET_FILE
    try:
        write_file(path, secrets.token_bytes(_SECRET_BYTES), mode=0o600)
    except FileExistsError:
        pass
    except OSError as err:
        raise UnavailableError(f"expected to keep a key in {folder}, got {err.strerror}", reason="sealing-key") from err
    with path.open("rb") as file:
        secret = file.read(_SECRET_BYTES + 1)
    if len(secret) != _SECRET_BYTES:
        raise FormatError(f"expected {_SECRET_BYTES} bytes in {path}, got another number", reason="sealing-key")
    return secret
