"""The two plug points of evidence: an attester emits it inside a TEE, a verifier turns it into claims.

An attester offers no way to have given statements quoted: it signs 64 bytes of report data, and only `lamslsa.attest`,
which made the statements in the same process, computes them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from lamslsa import _codec

__all__ = ["Attester", "Claims", "Evidence", "EvidenceVerifier", "Measurement", "Root", "Tee"]

Tee = Literal["sgx"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A root of trust: the DER certificate and its SHA-256 fingerprint in hexadecimal."""

    der: bytes
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The complete identity of the code in a TEE: every part of it, so that a missing one cannot go unnoticed.

    Attributes:
        parts: wire name to lower-case hexadecimal, as in `Claims.measurement`.
    """

    tee: Tee
    parts: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 over the RFC 8785 form of the parts with the kind of TEE: one word for all of them."""
        return _codec.sha256_hex(_codec.canonical({"tee": self.tee, **self.parts}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an attester emits: a quote, its media type, and the endorsements that it can hand on."""

    media_type: str
    quote: bytes
    collateral: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Facts read out of verified evidence; never a verdict.

    Attributes:
        simulated: true unless the quote chains to a vendor root whose fingerprint is compiled in.
        root: SHA-256 fingerprint of the root certificate that the quote chains to.
        measurement: the complete measurement, wire name to lower-case hexadecimal; for SGX mrEnclave, mrSigner,
            attributes, miscSelect and configId.
        versions: isvProdId and isvSvn, which mean nothing without mrSigner.
        report_data: 64 bytes.
        tcb_status: the merged status of platform and quoting enclave, as in Intel's TCB info.
        platform_id: what the manufacturer calls the platform, hexadecimal.
    """

    tee: Tee
    simulated: bool
    root: str
    measurement: Mapping[str, str]
    versions: Mapping[str, int]
    report_data: bytes
    debug: bool
    tcb_status: str
    advisories: tuple[str, ...]
    tcb_evaluation_data_number: int
    platform_id: str

    @property
    def measurement_digest(self) -> str:
        """What a policy names under ``measurements``: `Measurement.digest`."""
        return Measurement(tee=self.tee, parts=self.measurement).digest


class Attester(Protocol):
    """Emits evidence from inside a TEE."""

    @property
    def tee(self) -> str:
        """What ``--tee`` calls this attester."""
        ...

    def quote(self, report_data: bytes) -> Evidence:
        """Have the TEE sign exactly 64 bytes of report data.

        Raises:
            UnavailableError: the TEE is not there or does not answer.
            ValueError: not 64 bytes; the caller computes them, so that is a bug.
        """
        ...


class EvidenceVerifier(Protocol):
    """Verifies one format of evidence: no clock, no network, no environment."""

    @property
    def media_type(self) -> str:
        """The media type of the quotes that this verifier takes."""
        ...

    def presented_root(self, quote: bytes) -> Root:
        """The root certificate that the quote carries; nothing about it is authentic yet.

        Raises:
            FormatError: not a quote, or one without a certificate chain.
        """
        ...

    def presented_report_data(self, quote: bytes) -> bytes:
        """The report data that the quote carries; nothing about it is authentic yet.

        Raises:
            FormatError: not a quote.
        """
        ...

    def verify(self, quote: bytes, *, collateral: bytes, roots: Sequence[Root], at: dt.datetime) -> Claims:
        """Authenticate a quote up to one of ``roots``, as of ``at``.

        Raises:
            FormatError: not a quote or not collateral.
            VerificationError: not authentic, or the quote chains to none of ``roots``.
            ValueError: ``at`` has no time zone.
        """
        ...
