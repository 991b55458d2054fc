"""Who judges whom: where the word of one party is the check on another's, they should be two.

Two workflows of one repository are one party: whoever may write to it may write both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from lamslsa._yaml import Node
from lamslsa.policy.identities import Identity
from lamslsa.policy.lint.finding import Finding, Linted
from lamslsa.policy.model import CelRule

__all__ = ["CHECKS", "reference_signers"]

_MEASURED: Final = re.compile(r"\b(?:evaluation|metric|overlap)")
"""In an expression: it is about what was measured. One about the making of the model sees what its maker signs."""

_FORGES: Final = ("https://github.com/", "https://gitlab.com/")


def trainer_judges(linted: Linted) -> Iterator[Finding]:
    """Whoever trains also measures, or says how the rows that are measured are read."""
    makers = _makers(linted)
    seen: set[str] = set()
    for index, rule in enumerate(linted.policy.require):
        if not isinstance(rule, CelRule) or _MEASURED.search(rule.expression):
            what = f"rule {rule.name!r}"
            yield from _judges(linted, makers, rule.witness.signed_by, what, "require", index, "signedBy")
        if isinstance(rule, CelRule) or rule.dataset.sha256 in seen:
            continue
        seen.add(rule.dataset.sha256)
        yield from _judges(
            linted,
            makers,
            rule.dataset.datasheet.signed_by,
            f"the datasheet of {rule.dataset.name}",
            *("require", index, "dataset", "datasheet", "signedBy"),
        )
    for index, terms in enumerate(linted.policy.ingredients.models):
        if terms.summary is not None:
            path = ("ingredients", "models", index, "summary", "signedBy")
            yield from _judges(linted, makers, terms.summary.signed_by, f"the summary of {terms.name}", *path)


def _makers(linted: Linted) -> tuple[str, ...]:
    policy = linted.policy
    names = (policy.training.witness.signed_by, *(terms.witness.signed_by for terms in policy.transforms))
    return tuple(dict.fromkeys(names))


def _judges(linted: Linted, makers: tuple[str, ...], name: str, what: str, /, *path: str | int) -> Iterator[Finding]:
    node = linted.at(*path)
    mend = "have another party sign it, under credentials that whoever trains does not hold"
    if name in makers:
        yield linted.find(
            "trainer-judges", node, f"expected {what} signed by another one than makes the model, got {name}", mend
        )
        return
    for maker in makers:
        shared = _shared(linted.policy.identities[maker], linted.policy.identities[name])
        if shared is not None:
            message = f"expected {what} signed by another party than {maker}, got {name}, of the same {shared}"
            yield linted.find("trainer-judges", node, message, mend)
            return


def self_vouching(linted: Linted) -> Iterator[Finding]:
    """Whoever says which code may vouch also signs what that code says.

    The same name or key under both is refused when the policy is read; one repository for both is not.
    """
    for name, node in reference_signers(linted).items():
        for signer in sorted(linted.policy.signers):
            shared = _shared(linted.policy.identities[name], linted.policy.identities[signer])
            if shared is not None:
                yield linted.find(
                    "self-vouching",
                    node,
                    f"expected reference values by another party than signs attestations, got {name}, "
                    f"of the same {shared} as {signer}",
                    "release enclaves from a repository of their own, with reviewers of its own",
                )
                break


def reference_signers(linted: Linted) -> dict[str, Node]:
    """Who signs reference values, and where the policy first says so."""
    found: dict[str, Node] = {}
    for name in linted.policy.platforms:
        given = linted.at("trust", "platforms", name).mapping().entries.get("referenceValues")
        if given is None:
            continue
        node = given[1]
        for entry in (node,) if not _is_list(node) else node.sequence():
            signer = entry.mapping().take("signedBy")
            found.setdefault(signer.string(), signer)
    return found


def _is_list(node: Node) -> bool:
    return node.kind == "a list"


def _shared(one: Identity, other: Identity) -> str | None:
    """The repository that certificates of both are of, in words; None where there is none."""
    both = _repositories(one) & _repositories(other)
    return f"repository {min(both)[1]}" if both else None


def _repositories(identity: Identity) -> set[tuple[str, str]]:
    """Issuer and repository of every keyless credential that names one."""
    from lamslsa.sign.keyless import KeylessVerifier

    found: set[tuple[str, str]] = set()
    for credential in identity.credentials:
        if isinstance(credential.verifier, KeylessVerifier):
            terms = credential.verifier.terms
            name = terms.repository or terms.identity or ""
            for forge in _FORGES:
                name = name.removeprefix(forge)
            parts = name.split("/")
            if "://" not in name and "@" not in parts[0] and len(parts) >= 2:
                found.add((terms.issuer, "/".join(parts[:2])))
    return found


CHECKS: Final = (trainer_judges, self_vouching)
