"""What the builders of the view share: standing and origin of a statement, and lists that say what they leave out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from lamslsa.cards.view import Fact, Listing, Source, Standing
from lamslsa.policy.appraisal import Appraisal
from lamslsa.verify import VerifiedAttestation, VerifiedEvidence

__all__ = ["MAX_ITEMS", "Origins", "facts", "listing", "tee_in_words"]

MAX_ITEMS: Final = 200
_NONE: Final = "none"
T = TypeVar("T")


def listing(items: Iterable[T], limit: int = MAX_ITEMS) -> Listing[T]:
    """The first ``limit`` items, and the number of the others."""
    everything = tuple(items)
    return Listing(shown=everything[:limit], omitted=max(0, len(everything) - limit))


def facts(values: Mapping[str, Any]) -> tuple[Fact, ...]:
    """JSON values as text; strings stand without quotes."""
    return tuple(
        Fact(name=name, value=value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in values.items()
    )


def tee_in_words(evidence: Iterable[VerifiedEvidence]) -> str:
    """The kinds of TEE that vouch for a statement, simulation in plain sight.

    >>> tee_in_words(())
    'none'
    """
    words = {f"{one.claims.tee}, SIMULATED" if one.claims.simulated else one.claims.tee for one in evidence}
    return "; ".join(sorted(words)) or _NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Standing and source of every statement of one appraisal.

    Attributes:
        qualifying: SHA-256 of the statements that some rule relied on.
        rules: names of satisfied rules by the statement that satisfied them.
    """

    qualifying: frozenset[str]
    rules: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, appraisal: Appraisal) -> Origins:
        """Read off which statements the policy relied on."""
        rules: dict[str, tuple[str, ...]] = {}
        for rule in appraisal.rules:
            if rule.outcome == "satisfied" and rule.attestation is not None:
                statement = rule.attestation.statement.sha256
                rules[statement] = (*rules.get(statement, ()), rule.name)
        return cls(qualifying=frozenset(one.statement.sha256 for one in appraisal.qualifying), rules=rules)

    def standing(self, attestation: VerifiedAttestation) -> Standing:
        """Verified only when some rule relied on the statement; being authentic is not enough."""
        return "verified" if attestation.statement.sha256 in self.qualifying else "unverified"

    def source(self, attestation: VerifiedAttestation) -> Source:
        """Where the values of an attestation come from."""
        return Source(
            standing=self.standing(attestation),
            statement=attestation.statement.sha256,
            signers=", ".join(sorted(attestation.signers)) or _NONE,
            tee=tee_in_words(attestation.evidence),
            rules=self.rules.get(attestation.statement.sha256, ()),
        )

    def verified_first(self, attestations: Iterable[VerifiedAttestation]) -> list[VerifiedAttestation]:
        """The given order, with what the policy relied on in front."""
        return sorted(attestations, key=lambda one: self.standing(one) != "verified")
