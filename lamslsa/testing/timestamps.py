"""RFC 3161 timestamp responses with real signatures, for tests: the bytes, whoever the authority is.

>>> imprint = hashlib.sha256(b"data").digest()
>>> info = timestamp_info(dt.datetime(2026, 1, 1, tzinfo=dt.UTC), imprint, serial=7)
>>> refused_response()[:1].hex()
'30'
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from lamslsa._der import element, integer, object_identifier, octets, sequence

__all__ = ["refused_response", "timestamp_info", "timestamp_response"]

_SHA256_ID: Final = sequence(object_identifier("2.16.840.1.101.3.4.2.1"))
_SHA2_IDS: Final = {
    32: _SHA256_ID,
    64: sequence(object_identifier("2.16.840.1.101.3.4.2.3")),
}
_ECDSA_SHA256_ID: Final = sequence(object_identifier("1.2.840.10045.4.3.2"))
_SIGNED_DATA: Final = object_identifier("1.2.840.113549.1.7.2")
_TST_INFO: Final = object_identifier("1.2.840.113549.1.9.16.1.4")
_CONTENT_TYPE: Final = object_identifier("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST: Final = object_identifier("1.2.840.113549.1.9.4")
_SIGNING_CERTIFICATE: Final = object_identifier("1.2.840.113549.1.9.16.2.47")
_POLICY: Final = object_identifier("1.3.6.1.4.1.99999.1")
_SET: Final = 0x31
_GENERALIZED_TIME: Final = 0x18
_CONTEXT_0: Final = 0xA0
_REJECTION: Final = 2


def timestamp_info(
    at: dt.datetime,
    imprint: bytes,
    *,
    serial: int,
    accuracy: tuple[int, int] | None = None,
    nonce: int | None = None,
) -> bytes:
    """What a timestamp states (TSTInfo, RFC 3161 section 2.4.2).

    Args:
        at: the time.
        imprint: SHA-256 or SHA-512 of what is stamped.
        serial: of the timestamp.
        accuracy: seconds and milliseconds.
        nonce: of the request.
    """
    return sequence(
        integer(1),
        _POLICY,
        sequence(_SHA2_IDS[len(imprint)], octets(imprint)),
        integer(serial),
        element(_GENERALIZED_TIME, at.strftime("%Y%m%d%H%M%SZ").encode()),
        *([] if accuracy is None else [_accuracy(*accuracy)]),
        *([] if nonce is None else [integer(nonce)]),
    )


def timestamp_response(
    info: bytes,
    key: ec.EllipticCurvePrivateKey,
    certificate: x509.Certificate,
    *,
    status: int = 0,
    signers: int = 1,
    carry: bool = True,
) -> bytes:
    """A response with a signed statement.

    Args:
        info: see `timestamp_info`.
        key: signs it.
        certificate: of the authority.
        status: of the response; 0 is granted.
        signers: how often the signer's information stands in it.
        carry: whether the certificate travels with it.
    """
    der = certificate.public_bytes(Encoding.DER)
    signer = _signer(info, key, certificate, der)
    signed = sequence(
        integer(3),
        element(_SET, _SHA256_ID),
        sequence(_TST_INFO, element(_CONTEXT_0, octets(info))),
        *([element(_CONTEXT_0, der)] if carry else []),
        element(_SET, signer * signers),
    )
    return sequence(sequence(integer(status)), sequence(_SIGNED_DATA, element(_CONTEXT_0, signed)))


def refused_response() -> bytes:
    """A response that refuses the request: a status and no timestamp."""
    return sequence(sequence(integer(_REJECTION)))


def _signer(info: bytes, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, der: bytes) -> bytes:
    certificate_id = sequence(sequence(octets(hashlib.sha256(der).digest())))
    attributes = b"".join(
        sorted(
            [
                sequence(_CONTENT_TYPE, element(_SET, _TST_INFO)),
                sequence(_MESSAGE_DIGEST, element(_SET, octets(hashlib.sha256(info).digest()))),
                sequence(_SIGNING_CERTIFICATE, element(_SET, sequence(certificate_id))),
            ]
        )
    )
    return sequence(
        integer(1),
        sequence(certificate.issuer.public_bytes(), integer(certificate.serial_number)),
        _SHA256_ID,
        element(_CONTEXT_0, attributes),
        _ECDSA_SHA256_ID,
        octets(key.sign(element(_SET, attributes), ec.ECDSA(hashes.SHA256()))),
    )


def _accuracy(seconds: int, milliseconds: int) -> bytes:
    return sequence(integer(seconds), *([element(0x80, integer(milliseconds)[2:])] if milliseconds else []))
