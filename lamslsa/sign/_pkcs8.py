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

__all__ = ["encrypt"]

_N: Final = 2**14
_R: Final = 8
_P: Final = 5
_KEY_BYTES: Final = 32
_SEQUENCE: Final = 0x30
_OCTETS: Final = 0x04
_INTEGER: Final = 0x02
_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")
_SCRYPT: Final = bytes.fromhex("06092b06010401da47040b")
_AES_256_CBC: Final = bytes.fromhex("060960864801650304012a")


def encrypt(key: bytes, passphrase: bytes) -> bytes:
    """Encrypt an unencrypted PKCS#8 key in DER; the result is PEM."""
    salt, iv = os.urandom(16), os.urandom(16)
    derived = Scrypt(salt=salt, length=_KEY_BYTES, n=_N, r=_R, p=_P).derive(passphrase)
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES256(derived), modes.CBC(iv)).encryptor()
    encrypted = encryptor.update(padder.update(key) + padder.finalize()) + encryptor.finalize()
    scrypt = _tlv(_SEQUENCE, _tlv(_OCTETS, salt), _integer(_N), _integer(_R), _integer(_P), _integer(_KEY_BYTES))
    parameters = _tlv(_SEQUENCE, _tlv(_SEQUENCE, _SCRYPT, scrypt), _tlv(_SEQUENCE, _AES_256_CBC, _tlv(_OCTETS, iv)))
    document = _tlv(_SEQUENCE, _tlv(_SEQUENCE, _PBES2, parameters), _tlv(_OCTETS, encrypted))
    text = "\n".join(textwrap.wrap(base64.b64encode(document).decode("ascii"), 64))
    return f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{text}\n-----END ENCRYPTED PRIVATE KEY-----\n".encode("ascii")


def _tlv(tag: int, *parts: bytes) -> bytes:
    """One DER element with the short or the minimal long form of its length."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _integer(value: int) -> bytes:
    return _tlv(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))
