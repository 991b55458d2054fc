"""What bundles say, before anything is verified: statements by digest, who is said to have signed them, and quotes.

A bundle that cannot be read raises nothing and is counted, as is a statement that is about no artifact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from lamslsa import predicates, statement
from lamslsa._codec import sha256_hex
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.graphs.interface import Quote
from lamslsa.predicates import Dataset, Evaluation, Inference, Model, Provenance, TeeEvidence, VerificationSummary
from lamslsa.predicates.tee_evidence import (
    NITRO_DOCUMENT_MEDIA_TYPE,
    SGX_QUOTE_MEDIA_TYPE,
    SNP_REPORT_MEDIA_TYPE,
    TDX_QUOTE_MEDIA_TYPE,
)
from lamslsa.sign import parse_bundles
from lamslsa.sign.claimed import claimed_signer
from lamslsa.sign.interface import Envelope
from lamslsa.statement import Statement
from lamslsa.store import StoredBundle
from lamslsa.verification import MAX_BUNDLES

__all__ = ["About", "Claims", "Said", "read"]

About = Dataset | Evaluation | Inference | Model | Provenance | VerificationSummary
_TEES: Final = {
    SGX_QUOTE_MEDIA_TYPE: "sgx",
    TDX_QUOTE_MEDIA_TYPE: "tdx",
    SNP_REPORT_MEDIA_TYPE: "snp",
    NITRO_DOCUMENT_MEDIA_TYPE: "nitro",
}
_UNKNOWN_TEE: Final = "unknown TEE"


@dataclass(slots=True, kw_only=True)
class Said:
    """A statement about an artifact, whoever signed it; ``signers`` and ``sources`` may repeat."""

    statement: Statement
    predicate: About
    signers: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Claims:
    """Everything that was there.

    Attributes:
        quotes: by the SHA-256 of the statement that they are said to cover.
        others: bundles that say nothing about an artifact, in words.
    """

    said: dict[str, Said] = field(default_factory=dict)
    quotes: dict[str, set[Quote]] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)


def read(bundles: Iterable[StoredBundle]) -> Claims:
    """Read every bundle, up to the number that verification reads too."""
    found = Claims()
    for number, (source, outcome) in enumerate(_outcomes(bundles)):
        if number >= MAX_BUNDLES:
            found.others["bundles past the limit"] += 1
        elif isinstance(outcome, LamslsaError):
            found.others["bundles that cannot be read"] += 1
        else:
            try:
                _add(found, source, outcome)
            except FormatError:
                found.others["statements that cannot be read"] += 1
    return found


def _outcomes(bundles: Iterable[StoredBundle]) -> Iterator[tuple[str, Envelope | LamslsaError]]:
    for bundle in bundles:
        if isinstance(bundle.data, LamslsaError):
            yield bundle.source, bundle.data
            continue
        try:
            yield from parse_bundles(bundle.source, bundle.data)
        except FormatError as err:
            yield bundle.source, err


def _add(found: Claims, source: str, envelope: Envelope) -> None:
    known = found.said.get(sha256_hex(envelope.payload))
    if known is None:
        parsed = statement.parse(envelope.payload)
        predicate = predicates.parse(parsed)
        if isinstance(predicate, TeeEvidence):
            found.others["quotes"] += 1
            quote = Quote(tee=_TEES.get(predicate.quote.media_type, _UNKNOWN_TEE), simulated=None)
            for subject in parsed.subjects:
                found.quotes.setdefault(subject.sha256, set()).add(quote)
            return
        if not isinstance(predicate, About):
            found.others["other statements"] += 1
            return
        known = found.said[parsed.sha256] = Said(statement=parsed, predicate=predicate)
    known.signers.append(claimed_signer(envelope))
    known.sources.append(source)
