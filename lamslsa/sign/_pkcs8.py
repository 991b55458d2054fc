"""PKCS#8 encryption with scrypt: RFC 5958 EncryptedPrivateKeyInfo, PBES2 (RFC 8018), scrypt (RFC 7914), AES-256-CBC.

`cryptography` encrypts PKCS#8 with 2,048 rounds of PBKDF2, which a stolen key file does not survive. It reads what this
module writes, and so does OpenSSL, whose memory limit for scrypt fixes the choice of N = 2^14 with p = 5 (one of the
equivalent settings of the OWASP password storage cheat sheet).
"""

from __future__ import annotations

import base64
import os
import textwrap
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7

from lamslsa._der import integer, object_identifier, octets, sequence

__all__ = ["encrypt"]

_N: Final = 2**14
_R: Final = 8
_P: Final = 5
_KEY_BYTES: Final = 32
_PBES2: Final = object_identifier("1.2.840.113549.1.5.13")
_SCRYPT: Final = object_identifier("1.3.6.1.4.1.11591.4.11")
_AES_256_CBC: Final = object_identifier("2.16.840.1.101.3.4.1.42")


def encrypt(key: bytes, passphrase: bytes) -> bytes:
    """Encrypt an unencrypted PKCS#8 key in DER; the result is PEM."""
    salt, iv = os.urandom(16), os.urandom(16)
    derived = Scrypt(salt=salt, length=_KEY_BYTES, n=_N, r=_R, p=_P).derive(passphrase)
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES256(derived), modes.CBC(iv)).encryptor()
    encrypted = encryptor.update(padder.update(key) + padder.finalize()) + encryptor.finalize()
    scrypt = sequence(octets(salt), integer(_N), integer(_R), integer(_P), integer(_KEY_BYTES))
    parameters = sequence(sequence(_SCRYPT, scrypt), sequence(_AES_256_CBC, octets(iv)))
    document = sequence(sequence(_PBES2, parameters), octets(encrypted))
    text = "\n".join(textwrap.wrap(base64.b64encode(document).decode("ascii"), 64))
    return f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{text}\n-----END ENCRYPTED PRIVATE KEY-----\n".encode("ascii")
