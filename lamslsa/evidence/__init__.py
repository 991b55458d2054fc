"""Evidence: what a TEE vouches for, how it is bound to statements, and how it is verified and appraised.

Rules:
- What kind of TEE spoke is read from the quote and from the root that it chains to, never from what the prover wrote.
- No silent fallback: no TEE found is an error, and simulation is asked for by name.
- Verifiers and attesters are loaded when asked for; importing this package loads neither.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final

from lamslsa.errors import FormatError, UnavailableError
from lamslsa.evidence.appraise import PlatformTerms, Refusal, appraise
from lamslsa.evidence.binding import device_nonce, report_data
from lamslsa.evidence.interface import Attester, Claims, Evidence, EvidenceVerifier, Measurement, Root, Tee
from lamslsa.predicates.tee_evidence import SGX_QUOTE_MEDIA_TYPE

__all__ = [
    "Attester",
    "Claims",
    "Evidence",
    "EvidenceVerifier",
    "Measurement",
    "PlatformTerms",
    "Refusal",
    "Root",
    "Tee",
    "appraise",
    "attester_for",
    "device_nonce",
    "report_data",
    "verifier_for",
]

_LATER: Final = {
    "application/vnd.lamslsa.quote.tdx+bin": "TDX quotes",
    "application/vnd.lamslsa.quote.snp+bin": "SEV-SNP reports",
    "application/vnd.lamslsa.quote.nitro+cbor": "Nitro attestation documents",
    "application/vnd.lamslsa.quote.nvidia-gpu+json": "NVIDIA GPU evidence",
}
_AZURE_WORDS: Final = ("azure", "hcl", "vtpm")
_SIMULATED: Final = "simulated"
_SIMULATED_HINT: Final = f"to rehearse without hardware, ask for it by name: --tee {_SIMULATED}"


def verifier_for(media_type: str) -> EvidenceVerifier:
    """The verifier of a format of evidence.

    Raises:
        FormatError: a format that is not supported.
    """
    if media_type == SGX_QUOTE_MEDIA_TYPE:
        from lamslsa.evidence.sgx.verify import SgxVerifier

        return SgxVerifier()
    if media_type in _LATER:
        got = f"{_LATER[media_type]}, which are not supported yet"
    elif any(word in media_type.casefold() for word in _AZURE_WORDS):
        got = "Azure vTPM evidence: its key is the paravisor's, not the processor's"
    else:
        got = repr(media_type[:120])
    raise FormatError(f"expected evidence of type {SGX_QUOTE_MEDIA_TYPE}, got {got}", reason="evidence-media-type")


def attester_for(tee: str | None, *, simulated_platform: Path, now: dt.datetime | None = None) -> Attester:
    """The attester that ``--tee`` names.

    Args:
        tee: None asks for the TEE of this machine.
        simulated_platform: folder of the simulated platform, made on first use; not touched for another TEE.
        now: when the simulated platform's collateral has to be valid; the host's clock by default.

    Raises:
        UnavailableError: no such TEE, or none at all.
    """
    if tee == _SIMULATED:
        from lamslsa.evidence.simulated.attester import SimulatedAttester
        from lamslsa.evidence.simulated.platform import SimulatedPlatform

        platform = SimulatedPlatform.open_or_create(simulated_platform, now=now or dt.datetime.now(dt.UTC))
        return SimulatedAttester(platform)
    if tee is None:
        raise UnavailableError(
            "expected a TEE, got none: this release has no attester for hardware yet, whatever this machine has",
            reason="tee-missing",
            hint=_SIMULATED_HINT,
        )
    raise UnavailableError(
        f"expected a TEE that this release can attest on, got {tee!r:.80}", reason="tee-unknown", hint=_SIMULATED_HINT
    )
