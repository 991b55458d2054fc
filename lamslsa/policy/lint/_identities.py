"""Who may sign: for how long, how narrowly certificates are described, and whether times can be trusted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from lamslsa._yaml import Node
from lamslsa.policy.identities import Credential
from lamslsa.policy.lint._signers import reference_signers
from lamslsa.policy.lint.finding import Finding, Linted
from lamslsa.policy.model import MetricRule

if TYPE_CHECKING:
    from lamslsa.sign.keyless import KeylessTerms

__all__ = ["CHECKS"]

_STRANGERS: Final = (
    "https://github.com/somebody/else/.github/workflows/x.yml@refs/heads/main",
    "https://gitlab.com/somebody/else//.gitlab-ci.yml@refs/heads/main",
    "somebody@else.example",
    "somebody",
)
_ENDS: Final = (".*", ".+", ".*$", ".+$")


def no_expiry(linted: Linted) -> Iterator[Finding]:
    """The policy never ends, or has ended."""
    expires = linted.policy.expires
    if expires is None:
        yield linted.find(
            "no-expiry",
            linted.at("metadata"),
            "expected a policy that ends, got one without expires",
            "write expires: an old copy of the policy is good for ever without it",
        )
    elif expires <= linted.now:
        yield linted.find(
            "expired",
            linted.at("metadata", "expires"),
            f"expected a policy in force, got one that expired at {expires.isoformat()}",
            "review it, and set a later time",
        )


def identity_endless(linted: Linted) -> Iterator[Finding]:
    """A key counts for ever, or could not be given up without giving up what it signed."""
    used = {*linted.policy.signers, *reference_signers(linted)}
    for name, credential, node in _credentials(linted):
        if name not in used or _terms(credential) is not None:
            continue
        if credential.end is None:
            yield linted.find(
                "identity-endless",
                node,
                f"expected a key of {name} that ends, got one without validUntil",
                "write validUntil, and put the next key beside it in credentials before then",
            )
        identity = linted.policy.identities[name]
        if not (identity.require_timestamp or identity.require_log):
            yield linted.find(
                "identity-not-revocable",
                node,
                f"expected signatures of {name} that survive a revoked key, got neither requireTimestamp nor "
                "requireLog: with revokedAt all that the key signed would count no longer",
                "write requireTimestamp: true, and publish with --require-timestamp",
            )


def identity_unused(linted: Linted) -> Iterator[Finding]:
    """An identity that nothing in the policy names."""
    used = {*linted.policy.signers, *reference_signers(linted)}
    for name in linted.policy.identities:
        if name not in used:
            yield linted.find(
                "identity-unused",
                linted.at("trust", "identities", name),
                f"expected identities that some rule names, got {name}, which none does",
                "take it out, or name it where it was meant",
            )


def keyless_terms(linted: Linted) -> Iterator[Finding]:
    """Terms that certificates of strangers, or of any branch, would meet."""
    for name, credential, around in _credentials(linted):
        terms = _terms(credential)
        if terms is None:
            continue
        node = _within(around, "keyless")
        pattern = terms.identity_regex
        if pattern is not None and terms.repository is None and (loose := _loose(terms, pattern)) is not None:
            yield linted.find(
                "keyless-regex",
                _within(node, "identityRegex"),
                f"expected a pattern that is about {name} alone, got one that {loose}",
                "write identity, or repository with workflow and ref; in a pattern, escape dots",
            )
        if terms.repository is not None and terms.repository_id is None:
            yield linted.find(
                "keyless-repository-id",
                _within(node, "repository"),
                f"expected repositoryId beside repository for {name}, got none: a name that is given up can be taken",
                "write repositoryId: the number stays with the repository",
            )
        exact = terms.identity is not None and "@" in terms.identity
        if terms.repository is not None and not exact and (terms.workflow is None or terms.ref is None):
            missing = " and ".join(
                key for key, value in (("workflow", terms.workflow), ("ref", terms.ref)) if not value
            )
            yield linted.find(
                "keyless-ref",
                _within(node, "repository"),
                f"expected workflow and ref beside repository for {name}, got no {missing}: any workflow on any "
                "branch may sign",
                "write both: ref as refs/heads/main, of a branch that takes review",
            )


def undated(linted: Linted) -> Iterator[Finding]:
    """``latest`` and ``plan`` compare trusted times, which the signer is not required to have."""
    for index, rule in enumerate(linted.policy.require):
        if not isinstance(rule, MetricRule):
            continue
        asked: list[tuple[str, str, Node]] = []
        if rule.latest:
            asked.append(("latest", rule.witness.signed_by, linted.at("require", index, "latest")))
        if rule.plan_signed_by is not None:
            plan = linted.at("require", index, "plan")
            asked += [("plan", name, plan) for name in dict.fromkeys((rule.plan_signed_by, rule.witness.signed_by))]
        for key, name, node in asked:
            if not _dated(linted, name):
                yield linted.find(
                    "undated",
                    node,
                    f"expected trusted times on every signature of {name}, which {key} in {rule.name!r} compares, "
                    "got an identity that may do without",
                    "write requireLog: true, or requireTimestamp: true and validFrom beside the key",
                )


def _dated(linted: Linted, name: str) -> bool:
    """Whether every signature of an identity that counts has a time: `Identity.dates`."""
    identity = linted.policy.identities[name]
    return identity.require_log or all(
        _terms(credential) is not None or (identity.require_timestamp and credential.valid_from is not None)
        for credential in identity.credentials
    )


def _credentials(linted: Linted) -> Iterator[tuple[str, Credential, Node]]:
    """Every credential with the name of its identity and where it stands."""
    for name, identity in linted.policy.identities.items():
        node = linted.at("trust", "identities", name)
        for index, credential in enumerate(identity.credentials):
            inner = linted.at("trust", "identities", name, "credentials", index)
            yield name, credential, inner if "credentials" in node.mapping() else node


def _terms(credential: Credential) -> KeylessTerms | None:
    from lamslsa.sign.keyless import KeylessVerifier

    return credential.verifier.terms if isinstance(credential.verifier, KeylessVerifier) else None


def _within(node: Node, key: str) -> Node:
    """The value of a key of a mapping, which the file has."""
    return node.mapping().take(key)


def _loose(terms: KeylessTerms, pattern: str) -> str | None:
    """Who else would match, in words; None where nobody is found."""
    for stranger in _STRANGERS:
        if re.fullmatch(pattern, stranger, re.ASCII):  # its work is bounded since it was read
            return f"also matches {stranger!r}"
    if terms.ref is None and pattern.endswith(_ENDS):
        return "ends with a wildcard: any workflow, branch or tag of it"
    bare = pattern.replace("\\.", "")
    for index, character in enumerate(bare):
        around = bare[max(0, index - 1) : index] + bare[index + 1 : index + 2]
        if character == "." and len(around) == 2 and around.isalnum():
            return f"has a dot that is any character: {bare[max(0, index - 12) : index + 12]!r}"
    return None


CHECKS: Final = (no_expiry, identity_endless, identity_unused, keyless_terms, undated)
