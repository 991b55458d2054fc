"""Sources of beacons in memory, for tests: real formats and real cryptography, and every part can be made to lie.

>>> import datetime as dt
>>> from lamslsa.evidence.beacon import TimestampAuthority, WitnessedLog
>>> from lamslsa.evidence.nonce import Nonce
>>> now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
>>> server = TimestampServer(now)
>>> beacon = Nonce.of_beacon(server.stamp(now)).beacon
>>> TimestampAuthority.load(server.pem).time(beacon) == now
True
>>> log = Log(witnesses=2)
>>> beacon = Nonce.of_beacon(log.checkpoint({0: now, 1: now})).beacon
>>> WitnessedLog.load(log.policy()).time(beacon) == now
True
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from lamslsa.evidence._note import COSIGNATURE, ED25519, Key
from lamslsa.evidence._pem import render_chain
from lamslsa.testing.timestamps import timestamp_info, timestamp_response

__all__ = ["Log", "TimestampServer"]

_YEAR: Final = dt.timedelta(days=365)
_SHA256: Final = hashes.SHA256()
_TIMESTAMPING: Final = (ExtendedKeyUsageOID.TIME_STAMPING,)


class TimestampServer:
    """A timestamp authority (RFC 3161) with a root of its own.

    Args:
        now: certificates are valid from a year before to ten years after.
        window: when the authority's own certificate is valid, where that differs.
        usages: its extended key usages.
        critical: whether that extension is critical, as RFC 3161 section 2.3 demands.
        constrained: whether that certificate says that it is no CA's.
        root: key and certificate of its issuer; a new root by default.
    """

    def __init__(
        self,
        now: dt.datetime,
        *,
        window: tuple[dt.datetime, dt.datetime] | None = None,
        usages: Sequence[ObjectIdentifier] = _TIMESTAMPING,
        critical: bool = True,
        constrained: bool = True,
        root: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None = None,
    ) -> None:
        validity = (now - _YEAR, now + 10 * _YEAR)
        self._root_key, self.root = root or _make_root(validity)
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name("Simulated Timestamp Authority"), self.root.subject, self._key, window or validity)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=critical)
        if constrained:
            builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        self.certificate = builder.sign(self._root_key, _SHA256)

    def below(self, now: dt.datetime) -> tuple[TimestampServer, bytes]:
        """An authority under an intermediate of this root, and what a policy pins of it: root and intermediate."""
        key, name = ec.generate_private_key(ec.SECP256R1()), _name("Simulated Timestamp Intermediate")
        certificate = (
            _builder(name, self.root.subject, key, (now - _YEAR, now + _YEAR))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._root_key, _SHA256)
        )
        pem = self.pem + render_chain([certificate.public_bytes(Encoding.DER)])
        return TimestampServer(now, root=(key, certificate)), pem

    def sibling(self, now: dt.datetime) -> TimestampServer:
        """Another authority under the same root."""
        return TimestampServer(now, root=(self._root_key, self.root))

    @property
    def pem(self) -> bytes:
        """What a policy pins: the root."""
        return render_chain([self.root.public_bytes(Encoding.DER)])

    @property
    def own_pem(self) -> bytes:
        """The same narrowed down to this authority's certificate."""
        return self.pem + render_chain([self.certificate.public_bytes(Encoding.DER)])

    def stamp(
        self,
        at: dt.datetime,
        *,
        accuracy: tuple[int, int] | None = None,
        status: int = 0,
        signers: int = 1,
        carry: bool = True,
    ) -> bytes:
        """A timestamp response over an arbitrary message, made at ``at``.

        Args:
            at: the time that it states.
            accuracy: seconds and milliseconds; none stated by default.
            status: of the response; 0 is granted.
            signers: how often the signer's information stands in it.
            carry: whether the authority's certificate travels with it.
        """
        info = timestamp_info(at, hashlib.sha256(b"anything").digest(), serial=int(at.timestamp()), accuracy=accuracy)
        return timestamp_response(info, self._key, self.certificate, status=status, signers=signers, carry=carry)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _make_root(
    validity: tuple[dt.datetime, dt.datetime],
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key, name = ec.generate_private_key(ec.SECP256R1()), _name("Simulated Timestamp Root")
    builder = _builder(name, name, key, validity).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    return key, builder.sign(key, _SHA256)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, validity: tuple[dt.datetime, dt.datetime]
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=validity[0],
        not_valid_after=validity[1],
    )


class Log:
    """A transparency log and its witnesses.

    Args:
        witnesses: how many, named ``w0``, ``w1``, … in the policy.
        origin: the log's name.
    """

    def __init__(self, *, witnesses: int, origin: str = "log.example/simulated") -> None:
        self.origin = origin
        self._log = Ed25519PrivateKey.generate()
        self._witnesses = [Ed25519PrivateKey.generate() for _ in range(witnesses)]
        self.key = Key.of(origin, ED25519, _raw(self._log))
        self.witnesses = [
            Key.of(f"witness.example/{number}", COSIGNATURE, _raw(key)) for number, key in enumerate(self._witnesses)
        ]

    def policy(self, quorum: str = "all") -> bytes:
        """What a policy pins: this log, its witnesses, and how many of them (``all``, ``any`` or a number)."""
        lines = [f"log {self.key.vkey}"]
        lines += [f"witness w{number} {key.vkey}" for number, key in enumerate(self.witnesses)]
        names = " ".join(f"w{number}" for number in range(len(self.witnesses)))
        return "\n".join([*lines, f"group everybody {quorum} {names}", "quorum everybody", ""]).encode()

    def text(self, size: int = 7) -> bytes:
        """What log and witnesses sign: origin, tree size, root hash."""
        root = base64.b64encode(hashlib.sha256(b"%d" % size).digest()).decode()
        return f"{self.origin}\n{size}\n{root}\n".encode()

    def checkpoint(self, cosigned: Mapping[int, dt.datetime], *, size: int = 7, signed: bool = True) -> bytes:
        """A checkpoint with the log's signature and those of witnesses, by number, each at its time."""
        text = self.text(size)
        lines = [self.line(self.key, self._log.sign(text))] if signed else []
        lines += [self.cosignature(number, int(at.timestamp()), size=size) for number, at in cosigned.items()]
        return text + b"\n" + b"".join(lines)

    def cosignature(self, number: int, seconds: int, *, size: int = 7) -> bytes:
        """The signature line of one witness, at a time in seconds since 1970."""
        message = b"cosignature/v1\ntime %d\n%b" % (seconds, self.text(size))
        return self.line(self.witnesses[number], seconds.to_bytes(8, "big") + self._witnesses[number].sign(message))

    @staticmethod
    def line(key: Key, blob: bytes) -> bytes:
        """One signature line."""
        return f"\u2014 {key.name} {base64.b64encode(key.id + blob).decode()}\n".encode()


def _raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
