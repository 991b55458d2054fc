"""Ingredients: what nothing looks at, what is evaluated on itself, and what the list leaves to others."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Final

from lamslsa.policy.identities import Credential
from lamslsa.policy.lint.finding import Finding, Linted
from lamslsa.policy.model import CelRule, DatasetTerms, MetricRule, OverlapRule
from lamslsa.sign import KeyVerifier

__all__ = ["CHECKS"]


def dataset_unused(linted: Linted) -> Iterator[Finding]:
    """A listed dataset that no rule, and no preparation, has anything to do with."""
    for index, terms in enumerate(linted.policy.ingredients.datasets):
        if terms.preparation is None and not _is_used(linted, terms):
            yield linted.find(
                "dataset-unused",
                linted.at("ingredients", "datasets", index),
                f"expected a rule about {terms.name}, got none: the model may be made of it, and need not be",
                "take it out if no model is to be made of it, or ask for its overlap with what is evaluated",
            )


def _is_used(linted: Linted, terms: DatasetTerms) -> bool:
    for rule in linted.policy.require:
        match rule:
            case CelRule():
                found = terms.name in rule.expression or terms.sha256 in rule.expression
            case OverlapRule():
                found = terms.sha256 in (rule.training.sha256, rule.dataset.sha256)
            case MetricRule():
                found = terms.sha256 == rule.dataset.sha256
                found |= any(item.sha256 == terms.sha256 for item in rule.references.values())
        if found:
            return True
    return False


def evaluated(linted: Linted) -> Iterator[Finding]:
    """Datasets that metrics are about: none an ingredient, and each held against every ingredient for overlaps."""
    policy = linted.policy
    listed = {terms.sha256: terms for terms in policy.ingredients.datasets}
    seen: set[str] = set()
    for index, rule in enumerate(policy.require):
        if not isinstance(rule, MetricRule) or rule.dataset.sha256 in seen:
            continue
        seen.add(rule.dataset.sha256)
        node = linted.at("require", index, "dataset")
        if rule.dataset.sha256 in listed:
            yield linted.find(
                "evaluated-ingredient",
                node,
                f"expected an evaluation on data that no model is made of, got {rule.dataset.name}, which "
                "ingredients.datasets lists: the rule refuses every model that was trained on it",
                "take it out of the ingredients, or evaluate on another dataset",
            )
        missing = [terms.name for terms in listed.values() if not _is_compared(linted, terms, rule.dataset)]
        if missing:
            yield linted.find(
                "overlap-missing",
                node,
                f"expected a rule about the overlap of {rule.dataset.name} with {', '.join(missing)}, got none: "
                "rows of it may have been trained on",
                f"write a rule with overlap: {missing[0]} and this dataset",
            )


def _is_compared(linted: Linted, training: DatasetTerms, dataset: DatasetTerms) -> bool:
    """Whether some rule is about the overlap of these two; a dataset is not asked for the one with itself."""
    if training.sha256 == dataset.sha256:
        return True
    for rule in linted.policy.require:
        if isinstance(rule, OverlapRule) and (rule.training.sha256, rule.dataset.sha256) == (
            training.sha256,
            dataset.sha256,
        ):
            return True
        if isinstance(rule, CelRule) and "overlap" in rule.expression:
            named = [item.name in rule.expression or item.sha256 in rule.expression for item in (training, dataset)]
            if all(named):
                return True
    return False


def left_to_others(linted: Linted) -> Iterator[Finding]:
    """Lists that the policy does not have."""
    ingredients, node = linted.policy.ingredients, linted.at("ingredients")
    platform = linted.policy.platforms[linted.policy.training.witness.platform]
    any_code = platform.unsafe_no_evidence or platform.unsafe_any_measurement
    vouched = "got none: " + ("any will do" if any_code else "the measurement of the platform is the list")
    if ingredients.code is None:
        yield linted.find(
            "code-by-measurement",
            node,
            f"expected ingredients.code where code matters, {vouched}",
            "list the code, or leave it so where reference values are reviewed",
        )
    if ingredients.packages is None:
        yield linted.find(
            "packages-by-measurement",
            node,
            f"expected ingredients.packages where packages matter, {vouched}",
            "list the packages, or leave it so where reference values are reviewed",
        )
    if ingredients.licenses is None:
        yield linted.find(
            "licenses-absent",
            node,
            "expected ingredients.licenses where licences matter, got none: no licence is asked for",
            "list the licences that are allowed",
        )


def deny_contradicts(linted: Linted) -> Iterator[Finding]:
    """What is denied is at the same time listed, accepted, or somebody's only key."""
    policy, deny = linted.policy, linted.policy.deny
    listed = (
        *(("datasets", index, terms.name, terms.sha256) for index, terms in enumerate(policy.ingredients.datasets)),
        *(("models", index, terms.name, terms.sha256) for index, terms in enumerate(policy.ingredients.models)),
        *(("code", index, terms.name, terms.sha256) for index, terms in enumerate(policy.ingredients.code or ())),
    )
    for key, index, name, sha256 in listed:
        if sha256 in deny.artifacts:
            yield linted.find(
                "deny-contradicts",
                linted.at("ingredients", key, index),
                f"expected ingredients that are not denied, got {name}, which deny.artifacts lists",
                "take it out of one of the two",
            )
    for name, platform in policy.platforms.items():
        for code in platform.code:
            if code.measurement in deny.measurements | platform.denied.measurements:
                yield linted.find(
                    "deny-contradicts",
                    linted.at("trust", "platforms", name),
                    f"expected measurements that are not denied, got {code.measurement[:12]}…, which {name} accepts",
                    "take it out of one of the two",
                )
    for name, identity in policy.identities.items():
        if any(_key(credential) in deny.keys for credential in identity.credentials):
            yield linted.find(
                "deny-contradicts",
                linted.at("trust", "identities", name),
                f"expected keys that are not denied, got one of {name}, which deny.keys lists",
                "take the key out of the identity, or write revokedAt beside it",
            )


def _key(credential: Credential) -> str | None:
    verifier = credential.verifier
    return base64.b64decode(verifier.key_id).hex() if isinstance(verifier, KeyVerifier) else None


CHECKS: Final = (dataset_unused, evaluated, left_to_others, deny_contradicts)
