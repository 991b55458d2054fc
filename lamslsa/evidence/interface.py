"""The plug points of evidence: an attester emits it inside a TEE, a verifier turns it into claims.

An attester offers no way to have given statements quoted: it signs 64 bytes of report data, and only `lamslsa.attest`,
which made the statements in the same process, computes them.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Literal, Protocol

from lamslsa import _codec
from lamslsa.errors import FormatError

__all__ = [
    "MEASUREMENT_PARTS",
    "SECURITY_VERSIONS",
    "TEES",
    "Attester",
    "Claims",
    "DeviceClaims",
    "DeviceEvidence",
    "DeviceVerifier",
    "Evidence",
    "EvidenceVerifier",
    "GoldenValues",
    "Measurement",
    "Root",
    "Standing",
    "Tee",
]

Tee = Literal["sgx", "tdx", "snp", "nitro"]
TEES: Final[tuple[Tee, ...]] = ("sgx", "tdx", "snp", "nitro")
GoldenValues = Literal["matched", "different", "not compared"]

MEASUREMENT_PARTS: Final[Mapping[Tee, Mapping[str, int]]] = MappingProxyType(
    {
        "sgx": {"mrEnclave": 32, "mrSigner": 32, "attributes": 16, "miscSelect": 4, "configId": 64},
        "tdx": {
            "mrTd": 48,
            "rtmr0": 48,
            "rtmr1": 48,
            "rtmr2": 48,
            "rtmr3": 48,
            "mrConfigId": 48,
            "tdAttributes": 8,
            "xfam": 8,
        },
        "snp": {"measurement": 48, "hostData": 32, "policy": 8, "vmpl": 4},
        "nitro": {"pcr0": 48, "pcr1": 48, "pcr2": 48, "pcr8": 48},
    }
)
"""Every part of a complete measurement, by kind of TEE, and its size in bytes; numbers are big-endian, fields of bytes
as they stand in the report."""

SECURITY_VERSIONS: Final[Mapping[Tee, tuple[str, ...]]] = MappingProxyType(
    {
        "sgx": ("isvSvn",),
        "tdx": ("tdxModule", "tdxModuleMajor", "seamLoader"),
        "snp": ("bootloader", "tee", "snp", "microcode", "fmc"),
        "nitro": (),
    }
)
"""What a minimum can be put on, by kind of TEE: names in `Claims.versions`.

None that the host sets: GUEST_SVN of SEV-SNP comes from an ID block, which a key of anybody's may sign, and is no part
of the measurement. Claims have it as ``guest``, for information.
"""

_HEX: Final = re.compile(r"[0-9a-f]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A root of trust: the DER certificate and its SHA-256 fingerprint in hexadecimal."""

    der: bytes
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The complete identity of the code in a TEE: every part of it, so that a missing one cannot go unnoticed.

    Attributes:
        parts: wire name to lower-case hexadecimal, exactly those of `MEASUREMENT_PARTS`.

    Raises:
        FormatError: a part is missing, unknown, or of another size or spelling.
    """

    tee: Tee
    parts: Mapping[str, str]

    def __post_init__(self) -> None:
        sizes = MEASUREMENT_PARTS[self.tee]
        if set(self.parts) != set(sizes):
            raise FormatError(
                f"expected the parts {', '.join(sizes)} in a measurement of {self.tee}, got {', '.join(self.parts)}",
                reason="measurement-parts",
            )
        for name, size in sizes.items():
            if len(self.parts[name]) != 2 * size or not _HEX.fullmatch(self.parts[name]):
                raise FormatError(
                    f"expected {2 * size} lower-case hexadecimal digits as {name}, got {self.parts[name][:140]!r}",
                    reason="measurement-parts",
                )

    @property
    def digest(self) -> str:
        """SHA-256 over the RFC 8785 form of the parts with the kind of TEE: one word for all of them."""
        return _codec.sha256_hex(_codec.canonical({"tee": self.tee, **self.parts}))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEvidence:
    """What an attached device answered: the bytes that the quote's report data covers, and their media type."""

    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an attester emits: a quote, its media type, and what it can hand on with it.

    Attributes:
        collateral: endorsements in the format that goes with the quote's; None where the host adds them.
        event_log: boot event log that the quote's registers replay to.
    """

    media_type: str
    quote: bytes
    collateral: bytes | None
    event_log: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceClaims:
    """Facts read out of a verified device report.

    Attributes:
        root: SHA-256 fingerprint of the root certificate that the report chains to.
        device_id: what tells one device from another, hexadecimal.
        architecture: ``hopper`` or ``blackwell``.
        golden_values: whether its measurements are those that the manufacturer published; ``not compared`` where the
            manifests that the verifier holds do not cover this driver and VBIOS.
        differing: indices of the measurements that are not the published ones.
    """

    kind: Literal["nvidia-gpu"]
    simulated: bool
    root: str
    device_id: str
    architecture: str
    driver_version: str
    vbios_version: str
    golden_values: GoldenValues
    differing: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Facts read out of verified evidence; never a verdict. Each kind of TEE adds its own.

    Attributes:
        simulated: true unless the quote chains to a vendor root whose fingerprint is compiled in.
        root: SHA-256 fingerprint of the root certificate that the quote chains to.
        measurement: the complete measurement, wire name to lower-case hexadecimal (`MEASUREMENT_PARTS`).
        versions: security version numbers, at least those of `SECURITY_VERSIONS` that this platform has; whatever else
            is there is for information.
        report_data: 64 bytes.
        debug: whether the host may look into the TEE.
        tcb_status: the merged status of platform and quoting enclave, as in Intel's TCB info; None where the
            manufacturer states none (SEV-SNP, Nitro).
        tcb_evaluation_data_number: of the collateral; None where there is no such number.
        platform_id: what the manufacturer calls the platform; empty where it keeps that to itself.
        devices: attached devices whose answers the quote covers.
        product: the product line of the processor where security versions are counted for each line by itself
            (SEV-SNP: ``Milan``, ``Genoa``, ``Turin``); None elsewhere.
        signing_key: the kind of key that signed the quote where a platform has several (SEV-SNP: ``vcek``, ``vlek``);
            None elsewhere.
    """

    tee: Tee
    simulated: bool
    root: str
    measurement: Mapping[str, str]
    versions: Mapping[str, int]
    report_data: bytes
    debug: bool
    tcb_status: str | None
    advisories: tuple[str, ...]
    tcb_evaluation_data_number: int | None
    platform_id: str
    devices: tuple[DeviceClaims, ...] = ()
    product: str | None = None
    signing_key: str | None = None

    @property
    def measurement_digest(self) -> str:
        """What a policy names under ``measurements``: `Measurement.digest`."""
        return _measurement_digest(self.tee, tuple(self.measurement.items()))


@lru_cache(maxsize=1024)
def _measurement_digest(tee: Tee, parts: tuple[tuple[str, str], ...]) -> str:
    """Asked for once by every rule about every statement, and most quotes are of few measurements."""
    return Measurement(tee=tee, parts=dict(parts)).digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What endorsements that are valid now say of the platform of a quote, whenever that was made.

    Attributes:
        revoked: a certificate that the quote rests on has been revoked.
        advisories: those that hold for the platform now.
        tcb_evaluation_data_number: of these endorsements; None where there is no such number.
    """

    revoked: bool
    advisories: tuple[str, ...] = ()
    tcb_evaluation_data_number: int | None = None


class Attester(Protocol):
    """Emits evidence from inside a TEE."""

    @property
    def tee(self) -> str:
        """What ``--tee`` calls this attester."""
        ...

    def device_evidence(self, nonce: bytes) -> tuple[DeviceEvidence, ...]:
        """Have every attached device that this attester was asked to include sign a nonce of 32 bytes.

        Called once, before `quote`, whose report data covers the answers; empty where there is no device.

        Raises:
            UnavailableError: a device does not answer.
        """
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
    def tee(self) -> Tee:
        """The kind of TEE that this evidence is from."""
        ...

    @property
    def media_type(self) -> str:
        """The media type of the quotes that this verifier takes."""
        ...

    @property
    def collateral_media_type(self) -> str | None:
        """The media type of the endorsements that it needs; None where the evidence carries all of them."""
        ...

    def presented_root(self, quote: bytes, collateral: bytes | None) -> Root:
        """The root certificate that quote or collateral carry; nothing about it is authentic yet.

        Raises:
            FormatError: not a quote, or no certificate chain.
            VerificationError: the chain is in the collateral, and there is none (evidence-collateral-missing).
        """
        ...

    def presented_report_data(self, quote: bytes) -> bytes:
        """The report data that the quote carries; nothing about it is authentic yet.

        Raises:
            FormatError: not a quote.
        """
        ...

    def presented_path(self, quote: bytes, collateral: bytes | None) -> tuple[bytes, ...]:
        """The DER certificates that a quote rests on, its own and those of its endorsements.

        Authentic once `verify` took both; empty where nobody publishes revocations of them that could be held.

        Raises:
            FormatError: not a quote, or not collateral.
        """
        ...

    def concerns(self, quote: bytes, collateral: bytes) -> bool:
        """Whether endorsements say of themselves that they are about the platform of this quote.

        To find among many what to verify with; nothing about either is authentic yet. False where either is not even
        of its format.
        """
        ...

    def verify(self, quote: bytes, *, collateral: bytes | None, roots: Sequence[Root], at: dt.datetime) -> Claims:
        """Authenticate a quote up to one of ``roots``, as of ``at``.

        Raises:
            FormatError: not a quote or not collateral.
            VerificationError: not authentic, or the quote chains to none of ``roots``.
            ValueError: ``at`` has no time zone.
        """
        ...

    def standing(self, quote: bytes, *, collateral: bytes | None, roots: Sequence[Root], now: dt.datetime) -> Standing:
        """How the platform of a quote, authentic as of its own time, stands now.

        Only what has become known since is judged: revocation, advisories, the number of the endorsements. That the
        certificates of the quote have expired since is no reason to refuse.

        Raises:
            FormatError: not a quote or not collateral.
            VerificationError: the endorsements are not authentic, not valid now, or not about this platform.
            ValueError: ``now`` has no time zone.
        """
        ...


class DeviceVerifier(Protocol):
    """Verifies the report of an attached device: no clock, no network, no environment."""

    @property
    def media_type(self) -> str:
        """The media type of the reports that this verifier takes."""
        ...

    def presented_root(self, report: bytes) -> Root:
        """The root certificate that the report carries; nothing about it is authentic yet.

        Raises:
            FormatError: not a report.
        """
        ...

    def verify(
        self, report: bytes, *, nonce: bytes, roots: Sequence[Root], manifests: Sequence[bytes], at: dt.datetime
    ) -> DeviceClaims:
        """Authenticate a report over ``nonce`` up to one of ``roots``, as of ``at``.

        Args:
            report: the bytes that the quote covers.
            nonce: the 32 bytes of `binding.device_nonce`.
            roots: what the report may chain to.
            manifests: reference integrity manifests that the verifier holds; those of other drivers are ignored.
            at: certificates are judged as of this time.

        Raises:
            FormatError: not a report, or not a manifest.
            VerificationError: not authentic, or over another nonce.
            ValueError: ``at`` has no time zone.
        """
        ...
