"""Where a managed key lies: a file, an environment variable, or a token behind PKCS#11.

Rules:
- ``pkcs11:…`` is a URI of RFC 7512, ``env://NAME`` an environment variable with PEM in it, everything else a path. Any
  other ``scheme://`` is refused, so that a key service nobody supports is not looked for on the disk.
- A passphrase goes with PEM; a token has a PIN, which is never part of the reference: command lines are seen by others.
- The private key never shows in a message or a repr, wherever it comes from.

>>> with open_key("awskms:///alias/release", passphrase=None, environment={}):
...     pass
Traceback (most recent call last):
    ...
lamslsa.errors.FormatError: expected a file, env://NAME or pkcs11:…, got a key reference with awskms://
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from lamslsa._files import open_regular
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.sign.interface import Signer
from lamslsa.sign.key import KeySigner

__all__ = ["ManagedSigner", "open_key"]

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PKCS11: Final = "pkcs11:"
_ENVIRONMENT: Final = "env://"
_MAX_PEM_BYTES: Final = 16 * 1024


class ManagedSigner(Signer, Protocol):
    """Signs with a key that somebody keeps, wherever it lies; `KeySigner` is one."""

    @property
    def key_id(self) -> str:
        """base64(SHA-256(DER SubjectPublicKeyInfo))."""
        ...

    @property
    def public_pem(self) -> bytes:
        """What a policy names as this signer's key."""
        ...

    def sign_raw(self, payload: bytes) -> bytes:
        """The bare signature over the payload as in-toto statement, ECDSA in DER: what services witness."""
        ...


@contextmanager
def open_key(reference: str, *, passphrase: bytes | None, environment: Mapping[str, str]) -> Iterator[ManagedSigner]:
    """The signer that a reference names, for as long as the context lasts.

    Args:
        reference: a path, ``env://NAME`` or ``pkcs11:…``.
        passphrase: of an encrypted key in PEM.
        environment: where ``env://`` and the settings of PKCS#11 are looked up.

    Raises:
        FormatError: no such reference, or what it names is no key on P-256 that this passphrase or PIN opens.
        UnavailableError: the variable is not set, or the token cannot be reached.
        OSError: the file cannot be read.
    """
    if reference.startswith(_PKCS11):
        from lamslsa.sign.pkcs11 import open_token

        if passphrase is not None:
            raise FormatError(
                "expected a PIN for a key on a token, got a passphrase",
                reason="key-passphrase-token",
                hint="give the PIN by pin-source=file:… in the URI, or in LAMSLSA_PKCS11_PIN",
            )
        with open_token(reference, environment=environment) as signer:
            yield signer
        return
    yield KeySigner.load(_pem(reference, environment), passphrase)


def _pem(reference: str, environment: Mapping[str, str]) -> bytes:
    if reference.startswith(_ENVIRONMENT):
        name = reference.removeprefix(_ENVIRONMENT)
        if not name:
            raise FormatError("expected env://NAME, got no name", reason="key-reference")
        text = environment.get(name, "")
        if not text:
            raise UnavailableError(
                f"expected a private key in the environment variable {name[:80]}, got none",
                reason="key-environment",
                hint="set it to the PEM text of the key, for instance from the secrets of the CI",
            )
        return text.encode("utf-8", "surrogateescape")
    if scheme := _SCHEME.match(reference):
        raise FormatError(
            f"expected a file, env://NAME or pkcs11:…, got a key reference with {scheme[1][:40]}://",
            reason="key-reference",
        )
    with open_regular(Path(reference), what="key") as file:
        data = file.read(_MAX_PEM_BYTES + 1)
    if len(data) > _MAX_PEM_BYTES:
        raise FormatError(f"expected a key of at most {_MAX_PEM_BYTES} bytes, got more", reason="key-file-size")
    return data
