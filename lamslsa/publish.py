"""On the host: assemble the evidence statement of a run, sign everything, store it.

The publisher adds a signature and nothing else: payload bytes go into envelopes as the TEE wrote them. Publishing is
resumable: each bundle is stored before the next statement is signed, and what this signer has signed already and the
store holds is not signed again. A signer that needs a certificate is not made to ask for one where nothing is left to
sign, if it can tell its own bundles without.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from lamslsa import _codec, statement
from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence import binding, verifier_for
from lamslsa.evidence.run import NamedPayload, Run
from lamslsa.predicates import TeeEvidence, dataset, evaluation, inference, model, provenance, to_wire
from lamslsa.predicates._common import Digest
from lamslsa.predicates.tee_evidence import CCEL_MEDIA_TYPE, PREDICATE_TYPE, SNP_COLLATERAL_MEDIA_TYPE, Content
from lamslsa.sign import parse_bundles
from lamslsa.sign.interface import Envelope, Signer
from lamslsa.statement import Subject
from lamslsa.store.interface import Store

__all__ = ["Published", "evidence_statement", "payloads", "publish_run", "publish_runs", "with_collateral"]

_EVIDENCE_NAME: Final = "tee-evidence"
_OF_A_RUN: Final = frozenset(
    {
        dataset.PREDICATE_TYPE,
        evaluation.PREDICATE_TYPE,
        inference.PREDICATE_TYPE,
        model.PREDICATE_TYPE,
        provenance.PREDICATE_TYPE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One statement of a run in the store.

    Attributes:
        name: the statement's name within the run; the evidence statement is called ``tee-evidence``.
        sha256: digest of the payload.
        location: where the bundle lies; None when the store held this signer's bundle already.
    """

    name: str
    sha256: str
    location: str | None


def _content(media_type: str, data: bytes) -> Content:
    return Content(
        media_type=media_type, content=_codec.encode_base64(data), digest=Digest(sha256=_codec.sha256_hex(data))
    )


def _optional(media_type: str | None, data: bytes | None) -> Content | None:
    return None if data is None or media_type is None else _content(media_type, data)


def with_collateral(run: Run, held: bytes) -> Run:
    """The run with endorsements to travel with its quote: Intel's replace those in the run, AMD's complete them.

    Raises:
        FormatError: not endorsements of the format that goes with the quote.
    """
    verifier = verifier_for(run.evidence.media_type)
    if verifier.collateral_media_type is None:
        raise FormatError(
            f"expected no collateral with {verifier.tee}, whose evidence carries its endorsements, got some",
            reason="evidence-media-type",
        )
    own = run.evidence.collateral
    if verifier.collateral_media_type == SNP_COLLATERAL_MEDIA_TYPE:
        from lamslsa.evidence.snp.collateral import completed, parse

        parse(held)
        held = held if own is None else completed(own, held)
    else:
        from lamslsa.evidence.collateral import parse as parse_dcap

        parse_dcap(held)
    return replace(run, evidence=replace(run.evidence, collateral=held))


def evidence_statement(run: Run) -> bytes:
    """The payload of the run's evidence statement (predicates/tee-evidence/v1).

    Raises:
        VerificationError: the quote is not over these statements: it would be refused by every verifier.
    """
    digests = [_codec.sha256_hex(item.payload) for item in run.statements]
    verifier = verifier_for(run.evidence.media_type)
    answers = [_codec.sha256_hex(device.data) for device in run.devices]
    expected = binding.report_data(run.nonce.value, device_evidence=answers, statements=digests)
    if not hmac.compare_digest(verifier.presented_report_data(run.evidence.quote), expected):
        raise VerificationError(
            "expected a quote over the statements of this run, got a quote over something else",
            reason="evidence-binding",
            hint="the run folder was changed after it was written: measure again",
        )
    beacon = run.nonce.beacon
    predicate = TeeEvidence(
        nonce=_codec.encode_base64(run.nonce.value),
        quote=_content(run.evidence.media_type, run.evidence.quote),
        device_evidence=tuple(_content(device.media_type, device.data) for device in run.devices),
        event_log=_optional(CCEL_MEDIA_TYPE, run.evidence.event_log),
        freshness=None if beacon is None else _content(beacon.media_type, beacon.data),
        collateral=_optional(verifier.collateral_media_type, run.evidence.collateral),
        quoted_at=run.quoted_at,
    )
    subjects = [Subject(name=item.name, sha256=digest) for item, digest in zip(run.statements, digests, strict=True)]
    return statement.make(subjects, PREDICATE_TYPE, to_wire(predicate))


def payloads(run: Run) -> tuple[NamedPayload, ...]:
    """What is to be signed, in this order: the evidence statement, called ``tee-evidence``, then the run's statements.

    A run folder is the host's. What is signed out of it is only what a run makes: another statement could do without
    evidence, as a signature of files or reference values do, and would be the signer's own word.

    Raises:
        FormatError: a statement of another kind than a TEE makes.
        VerificationError: the quote is not over these statements.
    """
    for item in run.statements:
        kind = statement.parse(item.payload).predicate_type
        if kind not in _OF_A_RUN:
            raise FormatError(
                f"expected a datasheet, evaluation or provenance, got {item.name[:80]!r} of type {kind[:120]!r}",
                reason="run-statement-type",
                hint="the run folder was changed after it was written: measure again",
            )
    return (NamedPayload(name=_EVIDENCE_NAME, payload=evidence_statement(run)), *run.statements)


def publish_run(run: Run, *, signer: Signer, store: Store) -> tuple[Published, ...]:
    """Sign every statement of a run, and its evidence first: a property without evidence is never left alone.

    Raises:
        VerificationError: the quote is not over these statements, or a service vouches for something else.
        UnavailableError: the store cannot be written, or a service that has to take part cannot be reached. What was
            signed until then is stored; call again to go on.
    """
    (published,) = publish_runs((run,), signer=signer, store=store)
    return published


def publish_runs(runs: Sequence[Run], *, signer: Signer, store: Store) -> tuple[tuple[Published, ...], ...]:
    """Publish several runs under one identity, which asks for one certificate; each as `publish_run` does.

    Raises:
        VerificationError: as `publish_run`; nothing is signed when the quote of some run is over something else.
        UnavailableError: as `publish_run`.
    """
    wanted = [payloads(run) for run in runs]
    held = _held(store, signer)
    return tuple(
        tuple(_publish(item, signer=signer, store=store, held=held) for item in statements) for statements in wanted
    )


def _held(store: Store, signer: Signer) -> frozenset[str]:
    """Digests of the payloads in the store that this signer has signed: there is no need to sign them again."""
    verifier = signer.verifier()
    held: set[str] = set()
    for envelope in _envelopes(store):
        with suppress(VerificationError):
            verifier.verify(envelope)
            held.add(_codec.sha256_hex(envelope.payload))
    return frozenset(held)


def _envelopes(store: Store) -> Iterator[Envelope]:
    """Every envelope in the store; what is none is not our business here."""
    for bundle in store.bundles():
        if isinstance(bundle.data, bytes):
            with suppress(FormatError):
                for _, outcome in parse_bundles(bundle.source, bundle.data):
                    if isinstance(outcome, Envelope):
                        yield outcome


def _publish(item: NamedPayload, *, signer: Signer, store: Store, held: frozenset[str]) -> Published:
    statement.parse(item.payload)
    digest = _codec.sha256_hex(item.payload)
    location = None if digest in held else store.put(signer.sign(item.payload), name=item.name)
    return Published(name=item.name, sha256=digest, location=location)
