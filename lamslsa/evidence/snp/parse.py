"""Bytes to a typed SEV-SNP attestation report: versions 2, 3 and 5, signed by a VCEK or a VLEK.

Rules:
- Exactly 1184 bytes. What the version of the report reserves has to be zero, and so has what surrounds r and s of the
  signature: no byte is without a meaning.
- What the bytes of a patch level mean depends on the product, so `parse_tcb` is told.
- Parsing authenticates nothing.

Layout: AMD 56860, SEV Secure Nested Paging Firmware ABI, "ATTESTATION_REPORT" (version 2 until firmware 1.54, version 3
with the CPUID of the processor since 1.55, version 5 with mitigation vectors since 1.58), "TCB_VERSION", "Guest Policy"
and "Signature format". Integers are little-endian.

>>> product_of(family=0x19, model=0x01)
'Milan'
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Literal

from lamslsa.errors import FormatError

__all__ = [
    "PRODUCTS",
    "REPORT_BYTES",
    "SIGNED_BYTES",
    "Product",
    "Report",
    "SigningKey",
    "Tcb",
    "parse",
    "parse_tcb",
    "product_of",
]

Product = Literal["Milan", "Genoa", "Turin"]
SigningKey = Literal["vcek", "vlek"]

PRODUCTS: Final[tuple[Product, ...]] = ("Milan", "Genoa", "Turin")
REPORT_BYTES: Final = 1184
SIGNED_BYTES: Final = 0x2A0

_BODY: Final = struct.Struct("<IIQ16s16sII8sQI4s64s48s32s48s48s32s32s8s24s64s8sBBBsBBBs8s168s")
_SIGNATURE: Final = struct.Struct("<48s24s48s24s368s")
_CPUID: Final = struct.Struct("<BBB21s")
_MITIGATIONS: Final = struct.Struct("<QQ152s")
_HCL_MAGIC: Final = b"HCLA"

_CPUID_SINCE: Final = 3
_MITIGATIONS_SINCE: Final = 5
_VERSIONS: Final = (2, _CPUID_SINCE, _MITIGATIONS_SINCE)
_ECDSA_P384_SHA384: Final = 1
# KEY_INFO: whether there is an author key, whether the VCEK is masked, and in bits 2 to 4 which key signed
_AUTHOR_KEY: Final = 1
_MASKED_VCEK: Final = 2
_KEY_INFO_USED: Final = 0b11111
_SIGNING_KEYS: Final[dict[int, SigningKey]] = {0: "vcek", 1: "vlek"}
_UNSIGNED: Final = 7
_HARDWARE_ID_BYTES: Final[dict[Product, int]] = {"Milan": 64, "Genoa": 64, "Turin": 8}
# CPUID family, first and last model. Bergamo and Siena (A0h to AFh) have the roots of Genoa.
_MODELS: Final[tuple[tuple[int, int, int, Product], ...]] = (
    (0x19, 0x00, 0x0F, "Milan"),
    (0x19, 0x10, 0x1F, "Genoa"),
    (0x19, 0xA0, 0xAF, "Genoa"),
    (0x1A, 0x00, 0x1F, "Turin"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcb:
    """Security version numbers of what the guest has to trust besides its own code.

    Attributes:
        fmc: firmware of the microcontroller that starts the others; None before Turin.
    """

    bootloader: int
    tee: int
    snp: int
    microcode: int
    fmc: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report that has the right shape.

    Attributes:
        body: the bytes that the signature covers.
        signature: r and s.
        policy: what the guest's owner allows, as in the report; it is part of the measurement.
        current_tcb: of the platform now; each of the four as it stands in the report, for `parse_tcb`.
        reported_tcb: what the platform's owner has it claim, never more than it has; the signing key depends on it.
        committed_tcb: what the platform cannot go back from.
        launch_tcb: of the platform when the guest was launched or came to it.
        cpuid: family, model and stepping; None before version 3.
        current_version: of the firmware: major, minor, build.
        committed_version: what it cannot go back from.
        author_key: whether an author key certified the ID key.
        launch_mitigations: bits of AMD's mitigation vector at launch, and now; None before version 5.
    """

    body: bytes
    signature: tuple[int, int]
    version: int
    guest_svn: int
    policy: int
    family_id: bytes
    image_id: bytes
    vmpl: int
    current_tcb: bytes
    platform_info: int
    author_key: bool
    signing_key: SigningKey
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    reported_tcb: bytes
    cpuid: tuple[int, int, int] | None
    chip_id: bytes
    committed_tcb: bytes
    current_version: tuple[int, int, int]
    committed_version: tuple[int, int, int]
    launch_tcb: bytes
    launch_mitigations: int | None
    current_mitigations: int | None

    @property
    def product(self) -> Product | None:
        """The product line that the report names; None before version 3, and for processors that came later."""
        return None if self.cpuid is None else product_of(family=self.cpuid[0], model=self.cpuid[1])

    def hardware_id(self, product: Product) -> bytes:
        """What AMD calls the chip: 64 bytes, or the first 8 of them on Turin (57230, "hwID")."""
        return self.chip_id[: _HARDWARE_ID_BYTES[product]]

    @property
    def parts(self) -> dict[str, str]:
        """What identifies the code, the numbers among them big-endian."""
        return {
            "measurement": self.measurement.hex(),
            "hostData": self.host_data.hex(),
            "policy": f"{self.policy:016x}",
            "vmpl": f"{self.vmpl:08x}",
        }


def product_of(*, family: int, model: int) -> Product | None:
    """The product line of a processor, by its CPUID; None for an unknown one."""
    for known, first, last, product in _MODELS:
        if family == known and first <= model <= last:
            return product
    return None


def parse_tcb(raw: bytes, product: Product) -> Tcb:
    """Take the 8 bytes of a patch level apart.

    Raises:
        FormatError: a reserved byte is not zero.
    """
    if product == "Turin":
        fmc, bootloader, tee, snp, *reserved, microcode = raw
    else:
        fmc, (bootloader, tee, *reserved, snp, microcode) = None, raw
    _refuse_set(bytes(reserved), f"a patch level of {product}")
    return Tcb(bootloader=bootloader, tee=tee, snp=snp, microcode=microcode, fmc=fmc)


def parse(data: bytes) -> Report:
    """Take an attestation report apart.

    Raises:
        FormatError: not a signed report of version 2, 3 or 5.
    """
    if data.startswith(_HCL_MAGIC):
        raise FormatError(
            "expected an SEV-SNP report, got an Azure HCL report: its key is the paravisor's, not the processor's",
            reason="quote-azure-hcl",
        )
    if len(data) != REPORT_BYTES:
        raise FormatError(f"expected {REPORT_BYTES} bytes of report, got {len(data)}", reason="snp-size")
    fields = _BODY.unpack_from(data)
    version, guest_svn, policy, family_id, image_id, vmpl, algorithm, current_tcb, platform_info, key_info = fields[:10]
    reserved, report_data, measurement, host_data, id_key, author_key, report_id, report_id_ma = fields[10:18]
    reported_tcb, after_tcb, chip_id, committed_tcb, *versions, launch_tcb, rest = fields[18:]
    if version not in _VERSIONS:
        raise FormatError(
            f"expected a report of version {', '.join(map(str, _VERSIONS))}, got version {version}",
            reason="snp-version",
        )
    if algorithm != _ECDSA_P384_SHA384:
        raise FormatError(
            f"expected signature algorithm {_ECDSA_P384_SHA384}, ECDSA P-384 with SHA-384, got {algorithm}",
            reason="snp-signature-algorithm",
        )
    cpuid, after_cpuid = _parse_cpuid(version, after_tcb)
    launch_mitigations, current_mitigations, after_mitigations = _parse_mitigations(version, rest)
    _refuse_set(
        b"".join((reserved, after_cpuid, versions[3], versions[7], after_mitigations)),
        f"a report of version {version}",
    )
    return Report(
        body=data[:SIGNED_BYTES],
        signature=_parse_signature(data),
        version=version,
        guest_svn=guest_svn,
        policy=policy,
        family_id=family_id,
        image_id=image_id,
        vmpl=vmpl,
        current_tcb=current_tcb,
        platform_info=platform_info,
        author_key=bool(key_info & _AUTHOR_KEY),
        signing_key=_parse_signing_key(key_info),
        report_data=report_data,
        measurement=measurement,
        host_data=host_data,
        id_key_digest=id_key,
        author_key_digest=author_key,
        report_id=report_id,
        report_id_ma=report_id_ma,
        reported_tcb=reported_tcb,
        cpuid=cpuid,
        chip_id=chip_id,
        committed_tcb=committed_tcb,
        current_version=(versions[2], versions[1], versions[0]),
        committed_version=(versions[6], versions[5], versions[4]),
        launch_tcb=launch_tcb,
        launch_mitigations=launch_mitigations,
        current_mitigations=current_mitigations,
    )


def _parse_cpuid(version: int, raw: bytes) -> tuple[tuple[int, int, int] | None, bytes]:
    """Family, model and stepping, where this version has them, and what is reserved."""
    if version < _CPUID_SINCE:
        return None, raw
    family, model, stepping, reserved = _CPUID.unpack(raw)
    return (family, model, stepping), reserved


def _parse_mitigations(version: int, raw: bytes) -> tuple[int | None, int | None, bytes]:
    """The mitigation vectors, where this version has them, and what is reserved."""
    if version < _MITIGATIONS_SINCE:
        return None, None, raw
    launch, current, reserved = _MITIGATIONS.unpack(raw)
    return launch, current, reserved


def _parse_signing_key(key_info: int) -> SigningKey:
    selected = key_info >> 2
    if selected == _UNSIGNED or (selected == 0 and key_info & _MASKED_VCEK):
        raise FormatError("expected a signed report, got one that the platform did not sign", reason="snp-signing-key")
    if key_info & ~_KEY_INFO_USED or selected not in _SIGNING_KEYS:
        raise FormatError(f"expected a VCEK or VLEK as signing key, got {key_info:#x}", reason="snp-signing-key")
    return _SIGNING_KEYS[selected]


def _parse_signature(data: bytes) -> tuple[int, int]:
    r, after_r, s, after_s, reserved = _SIGNATURE.unpack_from(data, SIGNED_BYTES)
    _refuse_set(after_r + after_s + reserved, "a signature")
    return int.from_bytes(r, "little"), int.from_bytes(s, "little")


def _refuse_set(reserved: bytes, what: str) -> None:
    if any(reserved):
        raise FormatError(f"expected zeros in the reserved bytes of {what}, got others", reason="snp-reserved")
