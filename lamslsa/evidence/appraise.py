"""Is a platform acceptable? Authentic claims against the terms of a policy.

Rules:
- Silence denies: no accepted TCB status, no measurement or no pinned root is a refusal.
- Hardware is what chains to a vendor's root. A simulated platform is accepted only by terms that say so and pin its
  root, and such terms accept no hardware: a rehearsal and the real thing cannot be mixed up.
- The result is a value: an empty tuple accepts. All refusals are given, in the order kind of TEE, debug, root,
  measurement, TCB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lamslsa.evidence.interface import Claims

__all__ = ["PlatformTerms", "Refusal", "appraise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformTerms:
    """What a policy asks of a platform.

    Attributes:
        name: what the policy calls it.
        tee: accepted kinds of TEE.
        simulated: whether this is a rehearsal on the simulated platform.
        roots: SHA-256 fingerprints of the pinned roots. Required with ``simulated``; hardware has the vendors' roots,
            which pins may narrow down.
        tcb: accepted values of tcbStatus.
        measurements: accepted measurement digests (`Claims.measurement_digest`); None accepts none.
        unsafe_any_measurement: with ``measurements`` None, any code is accepted.
    """

    name: str
    tee: frozenset[str]
    simulated: bool
    roots: frozenset[str]
    tcb: frozenset[str]
    measurements: frozenset[str] | None
    unsafe_any_measurement: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a platform is not acceptable, and what would mend it."""

    reason: str
    message: str
    mend: str


def appraise(claims: Claims, terms: PlatformTerms) -> tuple[Refusal, ...]:
    """Every reason why authentic claims do not meet the terms; an empty tuple means that they do."""
    return tuple(refusal for part in (_tee, _debug, _root, _measurement, _tcb) for refusal in part(claims, terms))


def _tee(claims: Claims, terms: PlatformTerms) -> Iterator[Refusal]:
    if claims.tee not in terms.tee:
        yield Refusal(
            reason="platform-tee",
            message=f"expected a TEE of kind {_words(terms.tee)} for platform {terms.name}, got {claims.tee}",
            mend=f"attest on {_words(terms.tee)}, or accept {claims.tee} in platform {terms.name}",
        )


def _debug(claims: Claims, terms: PlatformTerms) -> Iterator[Refusal]:
    if claims.debug:
        yield Refusal(
            reason="platform-debug",
            message=f"expected production mode for platform {terms.name}, got a TEE in debug mode",
            mend="attest with an enclave that was built without debug",
        )


def _root(claims: Claims, terms: PlatformTerms) -> Iterator[Refusal]:
    if claims.simulated and not terms.simulated:
        yield Refusal(
            reason="platform-simulated",
            message=f"expected hardware for platform {terms.name}, got a simulated platform under root {claims.root}",
            mend="attest inside a TEE; no policy that asks for hardware accepts simulation",
        )
    elif terms.simulated and not claims.simulated:
        yield Refusal(
            reason="platform-hardware",
            message=f"expected a simulated platform for platform {terms.name}, got hardware",
            mend=f"name a platform with simulated: false in the rule instead of {terms.name}",
        )
    elif (terms.simulated or terms.roots) and claims.root not in terms.roots:
        yield Refusal(
            reason="platform-root",
            message=f"expected a root of platform {terms.name}, got root {claims.root}",
            mend=f"attest on the platform whose root is pinned, or add root {claims.root} to platform {terms.name}",
        )


def _measurement(claims: Claims, terms: PlatformTerms) -> Iterator[Refusal]:
    if terms.measurements is None and terms.unsafe_any_measurement:
        return
    if claims.measurement_digest not in (terms.measurements or frozenset()):
        yield Refusal(
            reason="platform-measurement",
            message=f"expected a measurement of platform {terms.name}, got {claims.measurement_digest}",
            mend=f"attest with a release that platform {terms.name} names, or add this measurement after review",
        )


def _tcb(claims: Claims, terms: PlatformTerms) -> Iterator[Refusal]:
    if claims.tcb_status not in terms.tcb:
        advisories = f" ({', '.join(claims.advisories)})" if claims.advisories else ""
        yield Refusal(
            reason="platform-tcb",
            message=f"expected TCB {_words(terms.tcb)} for platform {terms.name}, got {claims.tcb_status}{advisories}",
            mend=f"update the platform, or accept {claims.tcb_status} in platform {terms.name}",
        )


def _words(accepted: frozenset[str]) -> str:
    return " or ".join(sorted(accepted)) or "none at all"
