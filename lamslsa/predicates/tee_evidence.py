"""Predicate ``https://lamslsa.dev/tee-evidence/v1``: a TEE vouches for the statements named as its subjects.

Normative text: predicates/tee-evidence/v1/README.md. The subjects are digests of payload bytes; the quote's report data
covers the nonce, the device evidence and the list of subjects (`lamslsa.evidence.binding`).
"""

from __future__ import annotations

from typing import Final

from lamslsa.predicates._common import Digest, WireModel

__all__ = [
    "BEACON_CHECKPOINT_MEDIA_TYPE",
    "BEACON_TIMESTAMP_MEDIA_TYPE",
    "CCEL_MEDIA_TYPE",
    "COLLATERAL_MEDIA_TYPE",
    "NITRO_DOCUMENT_MEDIA_TYPE",
    "NVIDIA_REPORT_MEDIA_TYPE",
    "PREDICATE_TYPE",
    "SGX_QUOTE_MEDIA_TYPE",
    "SNP_COLLATERAL_MEDIA_TYPE",
    "SNP_REPORT_MEDIA_TYPE",
    "TDX_QUOTE_MEDIA_TYPE",
    "Content",
    "TeeEvidence",
]

PREDICATE_TYPE: Final = "https://lamslsa.dev/tee-evidence/v1"
SGX_QUOTE_MEDIA_TYPE: Final = "application/vnd.lamslsa.quote.sgx+bin"
TDX_QUOTE_MEDIA_TYPE: Final = "application/vnd.lamslsa.quote.tdx+bin"
SNP_REPORT_MEDIA_TYPE: Final = "application/vnd.lamslsa.quote.snp+bin"
NITRO_DOCUMENT_MEDIA_TYPE: Final = "application/vnd.lamslsa.quote.nitro+cbor"
NVIDIA_REPORT_MEDIA_TYPE: Final = "application/vnd.lamslsa.quote.nvidia-gpu+json"
COLLATERAL_MEDIA_TYPE: Final = "application/vnd.lamslsa.collateral.dcap+json"
SNP_COLLATERAL_MEDIA_TYPE: Final = "application/vnd.lamslsa.collateral.snp+json"
CCEL_MEDIA_TYPE: Final = "application/vnd.lamslsa.event-log.ccel+bin"
BEACON_TIMESTAMP_MEDIA_TYPE: Final = "application/timestamp-reply"
BEACON_CHECKPOINT_MEDIA_TYPE: Final = "application/vnd.lamslsa.beacon.checkpoint+text"


class Content(WireModel, frozen=True, kw_only=True):
    """A ResourceDescriptor that carries its bytes: ``content`` in base64, ``digest`` over the decoded bytes."""

    media_type: str
    content: str
    digest: Digest


class TeeEvidence(WireModel, frozen=True, kw_only=True):
    """Evidence for the subjects.

    Attributes:
        nonce: base64 of 16 to 64 bytes; always present.
        quote: what the TEE signed.
        device_evidence: reports of attached devices; only with a TEE that can vouch for their collection.
        event_log: boot event log that the quote's registers replay to.
        freshness: signed preimage of the beacon that the nonce is the SHA-256 of.
        collateral: the manufacturer's endorsements as of quoting; added on the host, authentic by its own signatures.
        quoted_at: the host's clock; informative, never used for a decision.
    """

    nonce: str
    quote: Content
    device_evidence: tuple[Content, ...] = ()
    event_log: Content | None = None
    freshness: Content | None = None
    collateral: Content | None = None
    quoted_at: str | None = None
