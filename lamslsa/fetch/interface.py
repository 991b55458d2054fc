"""What fetching is made of: platforms to ask about, a client that asks, and what comes back.

>>> IntelPlatform(tee="sgx", fmspc="00a067110000", ca="processor").name
'sgx-00a067110000-processor'
>>> AmdPlatform(product="Milan", key="vlek").name
'snp-milan-vlek'
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.evidence.snp.parse import Product, SigningKey

__all__ = [
    "CAS",
    "UPDATES",
    "AmdPlatform",
    "Ca",
    "Chip",
    "Client",
    "Collateral",
    "IntelPlatform",
    "IntelTee",
    "Notify",
    "Platform",
    "Response",
    "Update",
]

IntelTee = Literal["sgx", "tdx"]
Ca = Literal["platform", "processor"]
Update = Literal["standard", "early"]
Notify = Callable[[str], None]

CAS: Final[tuple[Ca, ...]] = ("platform", "processor")
UPDATES: Final[tuple[Update, ...]] = ("standard", "early")

_FMSPC: Final = re.compile(r"[0-9a-f]{12}")
_HARDWARE_ID: Final = re.compile(r"[0-9a-f]{16}(?:[0-9a-f]{112})?")
_MAX_SVN: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelPlatform:
    """What Intel's collateral is served by.

    Attributes:
        fmspc: the family of platforms, 12 lower-case hexadecimal digits.
        ca: which CA issued the platform's PCK certificate.

    Raises:
        FormatError: another FMSPC.
    """

    tee: IntelTee
    fmspc: str
    ca: Ca

    def __post_init__(self) -> None:
        if not _FMSPC.fullmatch(self.fmspc):
            raise FormatError(
                f"expected 12 lower-case hexadecimal digits as FMSPC, got {self.fmspc[:40]!r}", reason="fetch-platform"
            )

    @property
    def name(self) -> str:
        """One word for the platform, safe as a file name."""
        return f"{self.tee}-{self.fmspc}-{self.ca}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """What AMD's certificate of one chip at one patch level is served by.

    Attributes:
        hardware_id: 64 bytes, 8 for Turin, as lower-case hexadecimal.
        versions: parameter of the request (``blSPL``) to security version number, in the order of the request.

    Raises:
        FormatError: another hardware id, or a number that is none of these.
    """

    hardware_id: str
    versions: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        if not _HARDWARE_ID.fullmatch(self.hardware_id) or not any(bytes.fromhex(self.hardware_id)):
            raise FormatError(
                f"expected a hardware id of 8 or 64 bytes that are not zero, got {self.hardware_id[:40]!r}",
                reason="fetch-platform",
                hint="the platform masks its chip id: pass the certificate that comes with the platform",
            )
        if not all(0 <= number <= _MAX_SVN for _, number in self.versions):
            raise FormatError(f"expected numbers of one byte, got {self.versions}", reason="fetch-platform")

    @property
    def name(self) -> str:
        """The first bytes of the chip's id and its patch level."""
        return self.hardware_id[:16] + "-" + "".join(f"{number:02x}" for _, number in self.versions)


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdPlatform:
    """What AMD's certificates and revocation lists are served by.

    Attributes:
        key: which key signed the report.
        chip: whose certificate is wanted; None for the issuer's certificates and revocation list alone.
        leaf: certificate of the VLEK in DER, which comes with the platform and is served by nobody.
    """

    product: Product
    key: SigningKey
    chip: Chip | None = None
    leaf: bytes | None = None

    @property
    def tee(self) -> Literal["snp"]:
        """The kind of TEE."""
        return "snp"

    @property
    def name(self) -> str:
        """One word for the platform, safe as a file name."""
        words = [self.tee, self.product.lower(), self.key]
        if self.chip is not None:
            words.append(self.chip.name)
        if self.leaf is not None:
            words.append(_codec.sha256_hex(self.leaf)[:16])
        return "-".join(words)


Platform = IntelPlatform | AmdPlatform


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A complete answer; nothing about it is authentic.

    Attributes:
        headers: by lower-case name.
    """

    body: bytes
    headers: Mapping[str, str]


class Client(Protocol):
    """Asks a server."""

    def get(self, url: str, *, limit: int) -> Response:
        """The body at a URL, of at most ``limit`` bytes.

        Raises:
            FormatError: a URL that this client does not ask, or an answer that is too long.
            UnavailableError: no answer, or another one than success.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """Endorsements of one platform in the format that the verifier takes; authentic by their own signatures, if at all.

    Attributes:
        root: SHA-256 fingerprint of the root that they say they hang from.
        expires: when the first part of them has to be replaced.
    """

    platform: Platform
    data: bytes
    root: str
    expires: dt.datetime
