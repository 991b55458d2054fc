"""The questions that are asked of a platform, in their order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lamslsa.evidence.appraise._gpus import gpus
from lamslsa.evidence.appraise.terms import (
    REQUIRED_SNP_VERSIONS,
    WITH_TCB_STATUS,
    AcceptedCode,
    PlatformTerms,
    Refusal,
    Vouched,
    Vouches,
)
from lamslsa.evidence.interface import Claims, Standing
from lamslsa.predicates import provenance

if TYPE_CHECKING:
    from lamslsa.evidence.verify import VerifiedEvidence

__all__ = ["STEPS", "appraise"]

_VMPL_0: Final = "00000000"
_ENCLAVE: Final = "-enc"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One piece of evidence, and what it is judged by."""

    evidence: VerifiedEvidence
    terms: PlatformTerms
    now: dt.datetime
    statement: Vouched

    @property
    def claims(self) -> Claims:
        return self.evidence.claims

    @property
    def standing(self) -> Standing | None:
        """How the platform stands now, where the terms ask for it."""
        return None if self.terms.unsafe_as_of_only else self.evidence.standing

    @property
    def named(self) -> str:
        return f"for platform {self.terms.name}"


def appraise(
    evidence: VerifiedEvidence, terms: PlatformTerms, *, now: dt.datetime, statement: Vouched
) -> tuple[Refusal, ...]:
    """Every reason why authentic evidence does not meet the terms; an empty tuple means that it does.

    Args:
        evidence: what a statement is covered by.
        terms: what is asked.
        now: the dates until which advisories are accepted are judged as of this time; timezone-aware.
        statement: what the covered statement is.
    """
    case = _Case(evidence=evidence, terms=terms, now=now, statement=statement)
    return tuple(refusal for step in STEPS for refusal in step(case))


def _tee(case: _Case) -> Iterator[Refusal]:
    if case.claims.tee not in case.terms.tee:
        yield Refusal(
            reason="platform-tee",
            message=f"expected a TEE of kind {_words(case.terms.tee)} {case.named}, got {case.claims.tee}",
            mend=f"attest on {_words(case.terms.tee)}, or accept {case.claims.tee} in platform {case.terms.name}",
        )


def _debug(case: _Case) -> Iterator[Refusal]:
    if case.claims.debug:
        yield Refusal(
            reason="platform-debug",
            message=f"expected production mode {case.named}, got a TEE in debug mode",
            mend="attest in a TEE that was built and started without debug",
        )


def _vmpl(case: _Case) -> Iterator[Refusal]:
    level = case.claims.measurement.get("vmpl", _VMPL_0)
    if level != _VMPL_0:
        yield Refusal(
            reason="platform-vmpl",
            message=f"expected a report of VMPL 0 {case.named}, got one of VMPL {int(level, 16)}",
            mend="have the most privileged level of the guest ask for the report",
        )


def _root(case: _Case) -> Iterator[Refusal]:
    claims, terms = case.claims, case.terms
    if claims.simulated and not terms.simulated:
        yield Refusal(
            reason="platform-simulated",
            message=f"expected hardware {case.named}, got a simulated platform under root {claims.root}",
            mend="attest inside a TEE; no policy that asks for hardware accepts simulation",
        )
    elif terms.simulated and not claims.simulated:
        yield Refusal(
            reason="platform-hardware",
            message=f"expected a simulated platform {case.named}, got hardware",
            mend=f"name a platform with simulated: false in the rule instead of {terms.name}",
        )
    elif (terms.simulated or terms.roots) and claims.root not in terms.roots:
        yield Refusal(
            reason="platform-root",
            message=f"expected a root of platform {terms.name}, got root {claims.root}",
            mend=f"attest on the platform whose root is pinned, or add root {claims.root} to platform {terms.name}",
        )


def _denied(case: _Case) -> Iterator[Refusal]:
    denied, claims = case.terms.denied, case.claims
    found = [f"measurement {claims.measurement_digest}"] if claims.measurement_digest in denied.measurements else []
    if denied.platform_ids and not claims.platform_id:
        found.append("a platform that keeps its id to itself")
    found += [f"platform id {item}" for item in sorted(_ids(claims) & denied.platform_ids)]
    found += [f"device {item.device_id}" for item in claims.devices if item.device_id in denied.device_ids]
    for words in found:
        yield Refusal(
            reason="platform-denied",
            message=f"expected nothing that platform {case.terms.name} denies, got {words}",
            mend="attest elsewhere, or take it off the list after review",
        )


def _code(case: _Case) -> Iterator[Refusal]:
    terms, digest = case.terms, case.claims.measurement_digest
    if not terms.code and terms.unsafe_any_measurement:
        return
    matching = [item for item in terms.code if item.measurement == digest and item.tee in {None, case.claims.tee}]
    if not matching:
        yield Refusal(
            reason="platform-measurement",
            message=f"expected a measurement of platform {terms.name}, got {digest}",
            mend=f"attest with a release that platform {terms.name} names, or add this measurement after review",
        )
        return
    yield from min((tuple(_vouching(case, item)) for item in matching), key=len)


def _vouching(case: _Case, code: AcceptedCode) -> Iterator[Refusal]:
    """What is lacking for a measurement that is accepted to vouch for this statement."""
    yield from _minimums(case, code.minimum_svns, of=f"for measurement {code.measurement[:12]}")
    if code.vouches is None and case.terms.simulated:
        return
    what = _unvouched(case.statement, code.vouches or Vouches(predicate_types=frozenset()))
    if what is not None:
        yield Refusal(
            reason="platform-vouches",
            message=f"expected a statement that measurement {code.measurement[:12]} of platform {case.terms.name} "
            f"may vouch for, got {what}",
            mend="attest it with an enclave build whose reference value lists it",
        )
    builder = f"{provenance.BUILDER_PREFIX}{code.release}"
    if case.statement.predicate_type == provenance.PREDICATE_TYPE and case.statement.builder != builder:
        yield Refusal(
            reason="platform-release",
            message=f"expected builder {builder}, the release of the measurement, {case.named}, "
            f"got {_quoted(case.statement.builder)}",
            mend="attest the training again: the enclave writes the release that it is",
        )


def _unvouched(statement: Vouched, vouches: Vouches) -> str | None:
    """The first thing that is not listed, in words; a statement has a build type or a measurer, never neither."""
    if statement.predicate_type not in vouches.predicate_types:
        return f"predicate type {_quoted(statement.predicate_type)}"
    if statement.build_type is not None and statement.build_type not in vouches.build_types:
        return f"build type {_quoted(statement.build_type)}"
    if statement.measurer is not None and statement.measurer not in vouches.measurers:
        return f"measurer {_quoted(statement.measurer)}"
    if statement.build_type == provenance.OWN_TRAINING_BUILD_TYPE or statement.own_code:
        unlisted = [code for code in statement.own_code if code not in vouches.own_code]
        if unlisted or not statement.own_code:
            return f"training code {_quoted(unlisted[0] if unlisted else None)}"
    return "neither a build type nor a measurer" if statement.build_type is statement.measurer is None else None


def _tcb(case: _Case) -> Iterator[Refusal]:
    claims, terms = case.claims, case.terms
    if claims.tee in WITH_TCB_STATUS and claims.tcb_status not in terms.tcb:
        advisories = f" ({', '.join(claims.advisories)})" if claims.advisories else ""
        yield Refusal(
            reason="platform-tcb",
            message=f"expected TCB {_words(terms.tcb)} {case.named}, got {claims.tcb_status}{advisories}",
            mend=f"update the platform, or accept {claims.tcb_status} in platform {terms.name}",
        )


def _advisories(case: _Case) -> Iterator[Refusal]:
    terms = case.terms.advisories
    holding = {*case.claims.advisories, *(case.standing.advisories if case.standing else ())}
    denied = holding & terms.deny
    if denied:
        yield Refusal(
            reason="platform-advisory-denied",
            message=f"expected a platform without {_words(terms.deny)} {case.named}, got {_words(denied, 'and')}",
            mend="update the platform and attest again",
        )
    if terms.accept is None:
        return
    open_ = {item for item in holding - denied if item not in terms.accept or terms.accept[item] <= case.now}
    if open_:
        past = {item for item in open_ if item in terms.accept}
        until = f", of which the time is up for {_words(past, 'and')}" if past else ""
        yield Refusal(
            reason="platform-advisory",
            message=f"expected only advisories that are accepted {case.named}, got {_words(open_, 'and')}{until}",
            mend="update the platform and attest again, or accept them until a date after review",
        )


def _number(case: _Case) -> Iterator[Refusal]:
    minimum = case.terms.minimum_tcb_evaluation_data_number
    if minimum is None or case.claims.tee not in WITH_TCB_STATUS:
        return
    numbers = {"as of the quote": case.claims.tcb_evaluation_data_number}
    if case.standing is not None:
        numbers["now"] = case.standing.tcb_evaluation_data_number
    for when, number in numbers.items():
        if number is None or number < minimum:
            yield Refusal(
                reason="platform-tcb-number",
                message=f"expected tcbEvaluationDataNumber {minimum} or more {case.named}, "
                f"got {'none' if number is None else number} {when}",
                mend="attest with newer endorsements"
                if when != "now"
                else "fetch newer ones with lamslsa fetch-collateral and pass them with --collateral",
            )


def _svns(case: _Case) -> Iterator[Refusal]:
    yield from _minimums(case, case.terms.minimum_svns.get(case.claims.tee, {}), of=case.named)


def _product(case: _Case) -> Iterator[Refusal]:
    """SEV-SNP by product line; one that is not listed is accepted only by a rehearsal that lists none."""
    if case.claims.tee != "snp":
        return
    listed, product = case.terms.snp_minimum_svns, case.claims.product
    minimums = listed.get((product or "").lower())
    if minimums is None:
        if listed or not case.terms.simulated:
            yield Refusal(
                reason="platform-product",
                message=f"expected a processor of product line {_words(listed)} {case.named}, got {product or 'none'}",
                mend="attest on a processor that is listed, or name minimums for this one under minSvns.snp",
            )
        return
    unset = [name for name in REQUIRED_SNP_VERSIONS if name not in minimums]
    if unset and not case.terms.simulated:
        yield Refusal(
            reason="platform-svn",
            message=f"expected minimums of {', '.join(unset)} on {product} {case.named}, got none in the policy",
            mend="name them under minSvns.snp: nobody else says which firmware is good enough",
        )
    yield from _minimums(case, minimums, of=f"on {product} {case.named}")


def _key(case: _Case) -> Iterator[Refusal]:
    accepted, claims = case.terms.snp_keys, case.claims
    if claims.tee == "snp" and accepted is not None and claims.signing_key not in accepted:
        yield Refusal(
            reason="platform-key",
            message=f"expected a report signed by a key of kind {_words(accepted)} {case.named}, "
            f"got {claims.signing_key or 'none'}",
            mend="attest where such a key signs, or list this kind under snpKeys",
        )


def _minimums(case: _Case, minimums: Mapping[str, int], *, of: str) -> Iterator[Refusal]:
    versions = case.claims.versions
    low = [name for name, least in minimums.items() if name not in versions or versions[name] < least]
    for name in low:
        yield Refusal(
            reason="platform-svn",
            message=f"expected {name} {minimums[name]} or more {of}, got {versions.get(name, 'none')}",
            mend="update the platform and attest again",
        )


def _id(case: _Case) -> Iterator[Refusal]:
    accepted = case.terms.platform_ids
    if accepted is not None and not _ids(case.claims) & accepted:
        yield Refusal(
            reason="platform-id",
            message=f"expected a platform that is listed {case.named}, got {case.claims.platform_id or 'no id'}",
            mend="attest on a platform that is listed, or list this one",
        )


def _ids(claims: Claims) -> frozenset[str]:
    """What lists may call the platform: its id, and for Nitro, where that is new with every launch, the instance."""
    names = {claims.platform_id}
    if claims.tee == "nitro":
        names.add(claims.platform_id.partition(_ENCLAVE)[0])
    return frozenset(names)


def _now(case: _Case) -> Iterator[Refusal]:
    if case.terms.unsafe_as_of_only:
        return
    if case.evidence.standing is None:
        yield Refusal(
            reason="platform-standing",
            message=f"expected to know how the platform stands now {case.named}, got nothing: "
            f"{case.evidence.standing_message}",
            mend="attest again: what a simulated platform endorses lasts 30 days"
            if case.claims.simulated
            else "fetch endorsements with lamslsa fetch-collateral and pass them with --collateral",
        )
    elif case.evidence.standing.revoked:
        yield Refusal(
            reason="platform-revoked",
            message=f"expected a platform in good standing {case.named}, got one whose certificate has been revoked",
            mend="attest on another platform",
        )


def _gpu(case: _Case) -> Iterable[Refusal]:
    return gpus(case.claims.devices, case.terms)


STEPS: Final[tuple[Callable[[_Case], Iterable[Refusal]], ...]] = (
    _tee,
    _debug,
    _vmpl,
    _root,
    _denied,
    _code,
    _tcb,
    _advisories,
    _number,
    _svns,
    _product,
    _key,
    _id,
    _now,
    _gpu,
)


def _words(items: Iterable[str], between: str = "or") -> str:
    return f" {between} ".join(sorted(items)) or "none at all"


def _quoted(text: str | None) -> str:
    return "none" if text is None else repr(text if len(text) <= 120 else text[:120] + "…")
