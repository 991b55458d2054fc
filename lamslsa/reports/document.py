"""The appraisal as a document: typed, so that its JSON Schema is generated and not written.

Rules:
- Within ``lamslsa.dev/appraisal/v1`` fields are added and none is taken away or changes its meaning.
- Text from attestations is passed on as it is; whoever prints it makes it safe.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from lamslsa.policy.appraisal import Appraisal, Outcome, RuleResult
from lamslsa.reports._nested import Nested, Relation, nested
from lamslsa.reports.interface import About
from lamslsa.verification import SetAside, VerifiedAttestation, VerifiedEvidence, VerifiedSignature

__all__ = ["API_VERSION", "AppraisalDocument", "document", "utc"]

API_VERSION: Final = "lamslsa.dev/appraisal/v1"

_Digest = Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]
_Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Time = Annotated[str, msgspec.Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z$")]


class _Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all parts; what is None stands as null."""


class Model(_Wire, frozen=True, kw_only=True):
    """The model that was judged; ``filesRead`` is false where only its manifest was read."""

    name: str
    digest: _Digest
    files_read: bool


class Policy(_Wire, frozen=True, kw_only=True):
    """What decided; ``closure`` is the digest of the policy with every file that it names."""

    name: str
    sha256: _Hex
    closure: _Hex


class Rule(_Wire, frozen=True, kw_only=True):
    """What one rule came to; accepted is only what is satisfied. Kinds of rules may be added."""

    name: str
    kind: str
    subject: str
    outcome: Outcome
    observed: str | None
    value: float | None
    threshold: str
    attestation: _Digest | None
    signer: str | None
    platform: str | None
    tee: str | None
    simulated: bool | None
    reason: str | None
    message: str
    mend: str
    authentic: bool


class Subject(_Wire, frozen=True, kw_only=True):
    """What an attestation is about."""

    name: str
    digest: _Digest


class Time(_Wire, frozen=True, kw_only=True):
    """A time that a third party has signed."""

    at: _Time
    source: Literal["timestamp", "log"]


class Signature(_Wire, frozen=True, kw_only=True):
    """An authentic signature; ``identity`` is the policy's name of who signed."""

    identity: str
    signer: str
    trusted_times: tuple[Time, ...]
    logged: bool
    source: str


class Device(_Wire, frozen=True, kw_only=True):
    """A device that the TEE used."""

    kind: str
    simulated: bool
    device_id: str
    architecture: str
    driver: str
    vbios: str
    golden_values: str


class Standing(_Wire, frozen=True, kw_only=True):
    """How a platform stands now: ``message`` where nothing says, else the two others."""

    message: str | UnsetType = UNSET
    revoked: bool | UnsetType = UNSET
    advisories: tuple[str, ...] | UnsetType = UNSET


class Evidence(_Wire, frozen=True, kw_only=True):
    """An authentic quote that covers an attestation."""

    statement: _Digest
    as_of: _Time
    tee: str
    simulated: bool
    root: str
    measurement: str
    tcb_status: str | None
    advisories: tuple[str, ...]
    platform_id: str
    devices: tuple[Device, ...]
    standing: Standing
    not_before: _Time | None


class Attestation(_Wire, frozen=True, kw_only=True):
    """An authentic attestation; ``qualifying`` where some rule relied on it."""

    digest: _Digest
    predicate_type: str
    subject: Subject
    signers: tuple[str, ...]
    signatures: tuple[Signature, ...]
    qualifying: bool
    evidence: tuple[Evidence, ...]
    sources: tuple[str, ...]


class Aside(_Wire, frozen=True, kw_only=True):
    """A bundle that is not authentic."""

    source: str
    reason: str
    message: str
    hint: str | None


class Within(_Wire, frozen=True, kw_only=True):
    """A verdict within this one: of a base model under its own policy, or of a policy that was extended.

    A base model that its policy refuses may still be accepted by a summary; the rule about it says so.
    """

    relation: Relation
    model: Subject
    policy: Policy
    accepted: bool
    exit_code: Literal[0, 4, 5]
    rules: tuple[Rule, ...]


class Archive(_Wire, frozen=True, kw_only=True):
    """The audit archive that was judged."""

    sha256: _Hex
    exported_at: _Time
    own_policy: bool
    as_exported: bool


class AppraisalDocument(_Wire, frozen=True, kw_only=True):
    """The verdict of one policy over one model, and how it came about."""

    api_version: Literal["lamslsa.dev/appraisal/v1"]
    kind: Literal["Appraisal"]
    accepted: bool
    exit_code: Literal[0, 4, 5]
    model: Model
    policy: Policy
    at: _Time
    now: _Time
    rules: tuple[Rule, ...]
    attestations: tuple[Attestation, ...]
    set_aside: tuple[Aside, ...]
    warnings: tuple[str, ...]
    within: tuple[Within, ...]
    archive: Archive | UnsetType = UNSET


def utc(at: dt.datetime) -> str:
    """A time as documents have it."""
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def document(appraisal: Appraisal, about: About) -> AppraisalDocument:
    """The whole appraisal."""
    relied = frozenset(item.statement.sha256 for item in appraisal.qualifying)
    return AppraisalDocument(
        api_version=API_VERSION,
        kind="Appraisal",
        accepted=appraisal.accepted,
        exit_code=appraisal.exit_code,
        model=Model(name=appraisal.model_name, digest=_digest(appraisal.model), files_read=about.files_read),
        policy=_policy(appraisal),
        at=utc(appraisal.at),
        now=utc(appraisal.now),
        rules=tuple(map(_rule, appraisal.rules)),
        attestations=tuple(_attestation(item, relied) for item in appraisal.attestations),
        set_aside=tuple(map(_aside, appraisal.set_aside)),
        warnings=appraisal.warnings,
        within=tuple(map(_within, nested(appraisal))),
        archive=UNSET if about.archive is None else _archive(about),
    )


def _within(found: Nested) -> Within:
    appraisal = found.appraisal
    return Within(
        relation=found.relation,
        model=Subject(name=appraisal.model_name, digest=_digest(appraisal.model)),
        policy=_policy(appraisal),
        accepted=appraisal.accepted,
        exit_code=appraisal.exit_code,
        rules=tuple(map(_rule, appraisal.rules)),
    )


def _policy(appraisal: Appraisal) -> Policy:
    return Policy(name=appraisal.policy_name, sha256=appraisal.policy_sha256, closure=appraisal.policy_closure)


def _digest(sha256: str) -> str:
    return f"sha256:{sha256}"


def _archive(about: About) -> Archive | UnsetType:
    found = about.archive
    if found is None:
        return UNSET
    return Archive(
        sha256=found.sha256,
        exported_at=utc(found.exported_at),
        own_policy=found.own_policy,
        as_exported=found.as_exported,
    )


def _aside(item: SetAside) -> Aside:
    return Aside(source=item.source, reason=item.reason, message=item.message, hint=item.hint)


def _rule(rule: RuleResult) -> Rule:
    return Rule(
        name=rule.name,
        kind=rule.kind,
        subject=rule.subject,
        outcome=rule.outcome,
        observed=rule.observed,
        value=rule.value,
        threshold=rule.threshold,
        attestation=None if rule.attestation is None else _digest(rule.attestation.statement.sha256),
        signer=rule.signer,
        platform=rule.platform,
        tee=rule.tee,
        simulated=rule.simulated,
        reason=rule.reason,
        message=rule.message,
        mend=rule.mend,
        authentic=rule.authentic,
    )


def _attestation(item: VerifiedAttestation, relied: frozenset[str]) -> Attestation:
    subject = item.statement.subjects[0]
    return Attestation(
        digest=_digest(item.statement.sha256),
        predicate_type=item.statement.predicate_type,
        subject=Subject(name=subject.name, digest=_digest(subject.sha256)),
        signers=tuple(sorted(item.signers)),
        signatures=tuple(map(_signature, item.signatures)),
        qualifying=item.statement.sha256 in relied,
        evidence=tuple(map(_evidence, item.evidence)),
        sources=item.sources,
    )


def _signature(signed: VerifiedSignature) -> Signature:
    witnessed = signed.signature.witnessed
    return Signature(
        identity=signed.identity,
        signer=signed.signature.signer,
        trusted_times=tuple(Time(at=utc(time.at), source=time.source) for time in witnessed.times),
        logged=witnessed.logged,
        source=signed.source,
    )


def _evidence(evidence: VerifiedEvidence) -> Evidence:
    claims, standing, since = evidence.claims, evidence.standing, evidence.freshness.not_before
    return Evidence(
        statement=_digest(evidence.statement),
        as_of=utc(evidence.as_of),
        tee=claims.tee,
        simulated=claims.simulated,
        root=claims.root,
        measurement=claims.measurement_digest,
        tcb_status=claims.tcb_status,
        advisories=tuple(claims.advisories),
        platform_id=claims.platform_id,
        devices=tuple(
            Device(
                kind=device.kind,
                simulated=device.simulated,
                device_id=device.device_id,
                architecture=device.architecture,
                driver=device.driver_version,
                vbios=device.vbios_version,
                golden_values=device.golden_values,
            )
            for device in claims.devices
        ),
        standing=Standing(message=evidence.standing_message)
        if standing is None
        else Standing(revoked=standing.revoked, advisories=tuple(standing.advisories)),
        not_before=None if since is None else utc(since),
    )
