"""Platforms: rehearsals that decide, what was given up in so many words, and how old evidence may be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lamslsa._yaml import Node
from lamslsa.policy.lint.finding import Finding, Linted

__all__ = ["CHECKS"]


def platforms(linted: Linted) -> Iterator[Finding]:
    """What each platform leaves open; one that nothing names leaves nothing open."""
    used = {witness.platform for witness in linted.policy.witnesses}
    for name, terms in linted.policy.platforms.items():
        node = linted.at("trust", "platforms", name)
        if name not in used:
            yield linted.find(
                "platform-unused",
                node,
                f"expected platforms that some rule names, got {name}, which none does",
                "take it out, or name it where it was meant",
            )
            continue
        if terms.simulated:
            yield linted.find(
                "platform-simulated",
                linted.at("trust", "platforms", name, "simulated"),
                f"expected hardware under the rules, got {name}, which is simulated: anybody with its key makes quotes",
                "name a platform of hardware in the rules, and keep this one for rehearsals",
            )
        if terms.unsafe_no_evidence:
            yield linted.find(
                "unsafe-no-evidence",
                linted.at("trust", "platforms", name, "unsafeNoEvidence"),
                f"expected a TEE under the rules, got {name}, which is none: whoever signs may say what he likes",
                "name a platform with tee in the rules, or keep it to what anybody can check by other means",
            )
        if terms.unsafe_any_measurement:
            yield linted.find(
                "unsafe-any-measurement",
                linted.at("trust", "platforms", name, "unsafeAnyMeasurement"),
                f"expected measurements on {name}, got any code: an enclave of the prover's own says what he likes",
                "name signed referenceValues, or measurements",
            )
        if terms.unsafe_as_of_only:
            yield linted.find(
                "unsafe-as-of-only",
                linted.at("trust", "platforms", name, "unsafeAsOfOnly"),
                f"expected to ask how {name} stands now, got that given up: a revoked platform still counts",
                "leave it out, and verify with --collateral that is fresh",
            )
        if terms.gpu is not None and terms.gpu.unsafe_not_compared:
            yield linted.find(
                "unsafe-not-compared",
                linted.at("trust", "platforms", name, "gpu", "goldenValues"),
                f"expected measurements of GPUs on {name} compared with NVIDIA's, got that given up",
                "write goldenValues: matched, with manifests",
            )


def age_unbounded(linted: Linted) -> Iterator[Finding]:
    """No rule says how old a quote may be."""
    if all(witness.max_age is None for witness in linted.policy.witnesses):
        node: Node = linted.at("training")
        yield linted.find(
            "age-unbounded",
            node,
            "expected maxAge somewhere, got none: evidence of any age will do",
            "write maxAge beside signedBy where age matters, with trust.beacons, or verify with --challenge",
        )


CHECKS: Final = (platforms, age_unbounded)
