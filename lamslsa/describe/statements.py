"""Statements and runs: what they say, and what the evidence among them covers."""

from __future__ import annotations

import hmac
from typing import Any

from lamslsa import _codec, predicates, statement
from lamslsa.describe.evidence import (
    DEBUG_WORDS,
    NO_POLICY_WORDS,
    claims_facts,
    describe_device,
    describe_quote,
    root_words,
)
from lamslsa.describe.kinds import foreign_code, kind_words
from lamslsa.describe.model import Description, Surroundings, plain
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.evidence import binding, verifier_for
from lamslsa.evidence.interface import DeviceClaims
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import Run
from lamslsa.evidence.verify import EvidenceTrust, VerifiedEvidence, verify_evidence
from lamslsa.measure.training.chain import CHAIN, verify_chain
from lamslsa.predicates import Evaluation, Predicate, Provenance, TeeEvidence
from lamslsa.statement import Statement

__all__ = ["describe_run", "describe_statement"]


def describe_statement(payload: bytes, around: Surroundings) -> Description:
    """An in-toto statement, and for evidence what it covers.

    Raises:
        FormatError: not a statement.
    """
    parsed = statement.parse(payload)
    facts: dict[str, Any] = {
        "sha256": parsed.sha256,
        "subjects": [{"name": item.name, "sha256": item.sha256} for item in parsed.subjects],
        "predicateType": parsed.predicate_type,
    }
    try:
        predicate = predicates.parse(parsed)
    except FormatError as err:
        return Description(
            kind="in-toto statement",
            facts={**facts, "predicate": parsed.predicate},
            unverified=(f"its predicate: {err}", "what it says"),
        )
    if isinstance(predicate, TeeEvidence):
        return _describe_evidence(parsed, predicate, facts, around)
    holds, broken = _chain_words(predicate)
    return Description(
        kind=f"in-toto statement: {kind_words(predicate)}",
        facts={**facts, "predicate": parsed.predicate},
        verified=holds,
        unverified=(
            "what it says: evidence that covers these bytes, and a policy, decide whether it counts",
            *_plan_words(predicate),
            *broken,
            *foreign_code(predicate),
        ),
    )


def _plan_words(predicate: Predicate) -> tuple[str, ...]:
    """That an evaluation names a plan, which shows nothing until the plan is there too."""
    if not isinstance(predicate, Evaluation) or predicate.plan is None:
        return ()
    named = f"plan sha256:{predicate.plan.digest.sha256}"
    return (f"that it carries out {named}: who signed that, when, and about what, is for a policy",)


def _chain_words(predicate: Predicate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Whether the checkpoints and losses of a training are a chain that ends at its model: yes in words, or no."""
    if not isinstance(predicate, Provenance):
        return (), ()
    if all(item.name != CHAIN for item in predicate.run_details.byproducts):
        return (), ()
    try:
        chain = verify_chain(predicate)
    except LamslsaError as err:
        return (), (f"its chain of checkpoints: {err} [{err.reason}]",)
    return (f"its {len(chain)} checkpoints and losses are a chain that ends at the weights of the model",), ()


def _describe_evidence(
    parsed: Statement, predicate: TeeEvidence, facts: dict[str, Any], around: Surroundings
) -> Description:
    trust = EvidenceTrust(at=around.at, now=around.now, held=around.held)
    covers = tuple(subject.sha256 for subject in parsed.subjects)
    facts |= {"nonce": predicate.nonce, "quotedAt": predicate.quoted_at, "quoteType": predicate.quote.media_type}
    try:
        found = verify_evidence(predicate, statement=parsed.sha256, covers=covers, trust=trust)
    except LamslsaError as err:
        return Description(
            kind="TEE evidence", facts=facts, unverified=(f"that a TEE vouches for anything: {err} [{err.reason}]",)
        )
    root = root_words(found.claims.root, found.claims.tee)
    authentic = f"a quote of {found.claims.tee}, authentic as of {plain(around.at)} up to root {root}"
    verified = [
        f"{authentic}, covers exactly these {len(covers)} statements, in this order",
        *map(_device_words, found.claims.devices),
    ]
    unverified = [DEBUG_WORDS] if found.claims.debug else []
    unverified.append(NO_POLICY_WORDS)
    (verified if found.standing is not None and not found.standing.revoked else unverified).append(_standing(found))
    unverified.append(f"when it was quoted: {found.freshness.message or 'no lower bound'}")
    return Description(
        kind="TEE evidence",
        facts={"claims": claims_facts(found.claims), **facts},
        verified=tuple(verified),
        unverified=tuple(unverified),
    )


def _device_words(device: DeviceClaims) -> str:
    return (
        f"{device.architecture} {device.device_id[:16]}, as its driver reported, up to root "
        f"{root_words(device.root, 'nvidia-gpu')}, golden values {device.golden_values}"
    )


def _standing(found: VerifiedEvidence) -> str:
    if found.standing is None:
        return f"how the platform stands now: {found.standing_message}"
    return "the platform has been REVOKED" if found.standing.revoked else "the platform is not revoked"


def describe_run(run: Run, around: Surroundings) -> Description:
    """A run folder of ``lamslsa attest``: its statements, and whether its quote is over them."""
    digests = [_codec.sha256_hex(item.payload) for item in run.statements]
    answers = [_codec.sha256_hex(device.data) for device in run.devices]
    quote = describe_quote(run.evidence.quote, run.evidence.media_type, around, snapshot=run.evidence.collateral)
    expected = binding.report_data(run.nonce.value, device_evidence=answers, statements=digests)
    presented = verifier_for(run.evidence.media_type).presented_report_data(run.evidence.quote)
    bound = hmac.compare_digest(presented, expected)
    asked = binding.device_nonce(run.nonce.value, statements=digests)
    sentence = "the quote's report data is that of exactly these statements, devices and this nonce"
    unverified = ["nothing here is signed yet"]
    if not bound:
        unverified.insert(0, f"NOT so: {sentence}")
    elif not quote.verified:
        unverified.insert(0, f"{sentence}, as far as the quote can be believed: it is not verified")
    return Description(
        kind="run folder",
        facts={"nonce": run.nonce.value.hex(), "nonceOf": _nonce(run.nonce), "quotedAt": run.quoted_at},
        verified=(sentence,) if bound and quote.verified else (),
        unverified=tuple(unverified),
        parts=(
            quote,
            *(describe_device(device.data, around, nonce=asked) for device in run.devices),
            *(describe_statement(item.payload, around) for item in run.statements),
        ),
    )


def _nonce(nonce: Nonce) -> str:
    return "chance or a challenge" if nonce.beacon is None else f"a beacon, {nonce.beacon.media_type}"
