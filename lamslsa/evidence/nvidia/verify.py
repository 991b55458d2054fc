"""Verify the report of an NVIDIA GPU: the same function takes NVIDIA's GPUs and simulated ones.

What the claims say is that a genuine GPU of this architecture signed the nonce, and what its driver reported; that it
is attached to the TEE that vouches for it rests on the measurement of the guest that collected the report.

Not claimed: that no certificate has been revoked. NVIDIA answers for the certificates of single GPUs over OCSP alone,
online, so a verifier without a network cannot know; a policy can refuse a GPU by its device id.

The device id is the SHA-256 of the public key of the device certificate, the second in the chain. That key is derived
from what is fused into the chip and certified when it is made: no two GPUs share it, and it stays when firmware is
updated, while the key that signs reports is derived anew for each firmware.

Spec: DMTF DSP0274 1.1.3, section 10.11.1 (the signature of measurements); NVIDIA's nvtrust for certificates and FWID.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from lamslsa.errors import VerificationError
from lamslsa.evidence._x509 import load_certificate, verify_path
from lamslsa.evidence.interface import DeviceClaims, Root
from lamslsa.evidence.nvidia.dice import fwid_of
from lamslsa.evidence.nvidia.golden import compare
from lamslsa.evidence.nvidia.parse import GpuReport, parse
from lamslsa.evidence.roots import VENDOR_ROOTS, is_vendor_root, root_of
from lamslsa.predicates.tee_evidence import NVIDIA_REPORT_MEDIA_TYPE

__all__ = ["MEDIA_TYPE", "NvidiaVerifier"]

MEDIA_TYPE: Final = NVIDIA_REPORT_MEDIA_TYPE
_WHAT: Final = "the GPU"
_INTEGER_BYTES: Final = 48
_ARCHITECTURES: Final = (
    (re.compile(r"GH1[0-9]{2}"), "hopper"),
    (re.compile(r"GB[12][0-9]{2}"), "blackwell"),
)


class NvidiaVerifier:
    """Verifies reports of Hopper and Blackwell GPUs; holds no state."""

    __slots__ = ()

    @property
    def media_type(self) -> str:
        """The media type of the reports that this verifier takes."""
        return MEDIA_TYPE

    def presented_root(self, report: bytes) -> Root:
        """The root certificate that the report carries; nothing about it is authentic yet.

        Raises:
            FormatError: not a report.
        """
        return root_of(parse(report).root)

    def verify(
        self, report: bytes, *, nonce: bytes, roots: Sequence[Root], manifests: Sequence[bytes], at: dt.datetime
    ) -> DeviceClaims:
        """Authenticate a report over ``nonce`` up to one of ``roots``, as of ``at``.

        1. The report has the right shape; every byte is accounted for.
        2. The root that it presents equals one of ``roots``, byte for byte.
        3. Its certificates form a path to that root, valid at ``at``.
        4. The key that the path certifies, on P-384, signed everything in the report before the signature.
        5. What was signed is ``nonce``.
        6. The firmware that the report names is the one that the signing key was derived for.
        7. The chip is a Hopper or a Blackwell, as its manufacturer and the report name it.
        8. The measurements are compared with the manifests of this chip's maker for this driver and VBIOS.
        9. Claims are read from the signed bytes and from what steps 3 and 8 verified.

        Raises:
            FormatError: not a report, or not a manifest.
            VerificationError: not authentic; the reason is evidence-root, evidence-chain, evidence-certificate-window,
                evidence-device-key, evidence-device-signature, evidence-device-nonce, evidence-device-firmware,
                evidence-device-architecture or evidence-manifest-signature.
            UnavailableError: a manifest has to be verified, and the package for it is missing.
            ValueError: ``at`` has no time zone.
        """
        if at.utcoffset() is None:
            raise ValueError("expected a time with a time zone, got one without")
        evidence = parse(report)  # (1)
        root = _choose_root(evidence.root, roots)  # (2)
        leaf, device, *issuers = (load_certificate(der, what="the GPU evidence") for der in evidence.chain)
        verify_path([leaf, device, *issuers], at=at, what=_WHAT)  # (3)
        _verify_signature(evidence.report, leaf)  # (4)
        if not hmac.compare_digest(evidence.report.nonce, nonce):  # (5)
            raise VerificationError(
                f"expected a GPU report over the nonce {nonce.hex()}, got one over {evidence.report.nonce.hex()}",
                reason="evidence-device-nonce",
            )
        _verify_firmware(evidence.report, leaf)  # (6)
        chip, architecture = _identify(evidence.report, device)  # (7)
        simulated = not is_vendor_root(root.sha256, of="nvidia-gpu")
        golden_values, differing = compare(  # (8)
            evidence.report,
            chip=chip,
            manifests=manifests,
            roots={root.sha256} if simulated else VENDOR_ROOTS["nvidia-rim"].keys(),
            at=at,
        )
        return DeviceClaims(  # (9)
            kind="nvidia-gpu",
            simulated=simulated,
            root=root.sha256,
            device_id=_device_id(device),
            architecture=architecture,
            driver_version=evidence.report.driver_version,
            vbios_version=evidence.report.vbios_version,
            golden_values=golden_values,
            differing=differing,
        )


def _choose_root(presented: bytes, roots: Sequence[Root]) -> Root:
    root = root_of(presented)
    if not any(hmac.compare_digest(trusted.der, presented) for trusted in roots):
        raise VerificationError(
            f"expected a GPU under one of {len(roots)} trusted roots, got one under root {root.sha256}",
            reason="evidence-root",
            hint="pin this root in the policy if it is meant to be trusted",
        )
    return root


def _verify_signature(report: GpuReport, leaf: x509.Certificate) -> None:
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise VerificationError("expected a GPU's key on P-384, got another", reason="evidence-device-key")
    r, s = (int.from_bytes(report.signature[at:][:_INTEGER_BYTES], "big") for at in (0, _INTEGER_BYTES))
    try:
        key.verify(encode_dss_signature(r, s), report.signed, ec.ECDSA(hashes.SHA384()))
    except InvalidSignature as err:
        raise VerificationError(
            "expected a report that the GPU's key signed, got another signature", reason="evidence-device-signature"
        ) from err


def _verify_firmware(report: GpuReport, leaf: x509.Certificate) -> None:
    """DICE derives the signing key from the firmware; a report of other firmware was not made by the key's holder."""
    certified = fwid_of(leaf)
    if report.fwid is None or not hmac.compare_digest(report.fwid, certified):
        raise VerificationError(
            f"expected a report of firmware {certified.hex()}, got {report.fwid.hex() if report.fwid else 'none'}",
            reason="evidence-device-firmware",
            hint="firmware that does not name itself in its report is older than any that is supported",
        )


def _identify(report: GpuReport, device: x509.Certificate) -> tuple[str, str]:
    """Chip and architecture. The device certificate is issued when the chip is made, so its word comes first."""
    names = [str(name.value) for name in device.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    certified = names[0].split(" ")[0] if len(names) == 1 else ""
    architecture = _architecture(certified)
    if architecture is None or _architecture(report.chip or certified) != architecture:
        raise VerificationError(
            f"expected a Hopper or Blackwell GPU, got {names!r:.120} in its certificate, {report.chip} in its report",
            reason="evidence-device-architecture",
        )
    return report.chip or certified, architecture


def _architecture(chip: str) -> str | None:
    return next((name for pattern, name in _ARCHITECTURES if pattern.fullmatch(chip)), None)


def _device_id(device: x509.Certificate) -> str:
    key = device.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(key).hexdigest()
