"""The certificate that the gate shows, read again when its files change; one that cannot be used changes nothing."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

from cryptography import x509

from lamslsa import _codec
from lamslsa._files import open_regular
from lamslsa.errors import FormatError

__all__ = ["Certificates"]

_MAX_BYTES = 256 * 1024


class Certificates:
    """A server's context of TLS 1.3 whose certificate can be replaced while it is used.

    Args:
        certificate: PEM file with the certificate and those above it.
        key: PEM file with its private key, without a passphrase.

    Raises:
        FormatError: they cannot be used (admission-certificate).
        OSError: they cannot be read.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = certificate, key
        self._digest, self._current, self.not_after = self._load()
        self.context = _context()
        self.context.load_cert_chain(certificate, key, password=_no_password)
        self.context.sni_callback = self._choose

    def refresh(self) -> bool:
        """Take the files over if they have changed; whether they had. On an error everything stays as it was.

        Raises:
            FormatError: they cannot be used (admission-certificate).
            OSError: they cannot be read.
        """
        if self._read() == self._digest:
            return False
        self._digest, self._current, self.not_after = self._load()
        return True

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current

    def _read(self) -> str:
        data = b""
        for path in self._files:
            with open_regular(path, what="certificate") as file:
                data += file.read(_MAX_BYTES)
        return _codec.sha256_hex(data)

    def _load(self) -> tuple[str, ssl.SSLContext, dt.datetime]:
        digest, made = self._read(), _context()
        certificate, key = self._files
        try:
            made.load_cert_chain(certificate, key, password=_no_password)
            first = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
        except (ssl.SSLError, ValueError) as err:
            raise FormatError(
                f"expected a certificate and its key in {certificate} and {key}, got others",
                reason="admission-certificate",
                hint="both in PEM, the key without a passphrase",
            ) from err
        if first.not_valid_after_utc <= dt.datetime.now(dt.UTC):
            raise FormatError(
                f"expected a certificate that is valid, got one that ended at {first.not_valid_after_utc.isoformat()}",
                reason="admission-certificate",
                hint="renew it",
            )
        return digest, made, first.not_valid_after_utc


def _context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    return made


def _no_password() -> bytes:
    raise ValueError("expected a key without a passphrase, got one with")
