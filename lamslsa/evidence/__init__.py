"""Evidence: what a TEE vouches for, how it is bound to statements, and how it is verified and appraised.

Rules:
- What kind of TEE spoke is read from the quote and from the root that it chains to, never from what the prover wrote.
- No silent fallback: no TEE found is an error, and simulation is asked for by name.
- Verifiers and attesters are loaded when asked for; importing this package loads neither.
"""

from __future__ import annotations

from typing import Final

from lamslsa.errors import FormatError
from lamslsa.evidence.appraise import PlatformTerms, Refusal, Vouched, appraise
from lamslsa.evidence.attesters import attester_for
from lamslsa.evidence.binding import device_nonce, report_data
from lamslsa.evidence.interface import (
    Attester,
    Claims,
    DeviceVerifier,
    Evidence,
    EvidenceVerifier,
    Measurement,
    Root,
    Standing,
    Tee,
)
from lamslsa.predicates.tee_evidence import (
    NITRO_DOCUMENT_MEDIA_TYPE,
    NVIDIA_REPORT_MEDIA_TYPE,
    SGX_QUOTE_MEDIA_TYPE,
    SNP_REPORT_MEDIA_TYPE,
    TDX_QUOTE_MEDIA_TYPE,
)

__all__ = [
    "Attester",
    "Claims",
    "DeviceVerifier",
    "Evidence",
    "EvidenceVerifier",
    "Measurement",
    "PlatformTerms",
    "Refusal",
    "Root",
    "Standing",
    "Tee",
    "Vouched",
    "appraise",
    "attester_for",
    "device_nonce",
    "device_verifier_for",
    "report_data",
    "verifier_for",
]

_QUOTES: Final = (SGX_QUOTE_MEDIA_TYPE, TDX_QUOTE_MEDIA_TYPE, SNP_REPORT_MEDIA_TYPE, NITRO_DOCUMENT_MEDIA_TYPE)
_AZURE_WORDS: Final = ("azure", "hcl", "vtpm")


def verifier_for(media_type: str) -> EvidenceVerifier:
    """The verifier of a format of evidence.

    Raises:
        FormatError: a format that is not supported.
    """
    if media_type == SGX_QUOTE_MEDIA_TYPE:
        from lamslsa.evidence.sgx.verify import SgxVerifier

        return SgxVerifier()
    if media_type == TDX_QUOTE_MEDIA_TYPE:
        from lamslsa.evidence.tdx.verify import TdxVerifier

        return TdxVerifier()
    if media_type == SNP_REPORT_MEDIA_TYPE:
        from lamslsa.evidence.snp.verify import SnpVerifier

        return SnpVerifier()
    if media_type == NITRO_DOCUMENT_MEDIA_TYPE:
        from lamslsa.evidence.nitro.verify import NitroVerifier

        return NitroVerifier()
    got = repr(media_type[:120])
    if any(word in media_type.casefold() for word in _AZURE_WORDS):
        got = "Azure vTPM evidence: its key is the paravisor's, not the processor's"
    elif media_type == NVIDIA_REPORT_MEDIA_TYPE:
        got = "the report of a GPU, which is evidence only beside the quote of a guest"
    raise FormatError(
        f"expected evidence of a type among {', '.join(_QUOTES)}, got {got}", reason="evidence-media-type"
    )


def device_verifier_for(media_type: str) -> DeviceVerifier:
    """The verifier of a format of device evidence.

    Raises:
        FormatError: a format that is not supported.
    """
    if media_type == NVIDIA_REPORT_MEDIA_TYPE:
        from lamslsa.evidence.nvidia.verify import NvidiaVerifier

        return NvidiaVerifier()
    raise FormatError(
        f"expected device evidence of type {NVIDIA_REPORT_MEDIA_TYPE}, got {media_type[:120]!r}",
        reason="evidence-media-type",
    )
