"""What the builders of the view share: standing and origin of a statement, whose code it was, lists that count."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from lamslsa.cards import _text
from lamslsa.cards.parts import Fact, Listing, Source, Standing
from lamslsa.policy.appraisal import Appraisal
from lamslsa.predicates._common import Measurer
from lamslsa.verification import VerifiedAttestation, VerifiedEvidence

__all__ = ["MAX_ITEMS", "Origins", "code_notices", "code_words", "facts", "facts_of", "few", "listing", "tee_in_words"]

MAX_ITEMS: Final = 200
_MAX_PART: Final = 100
_NONE: Final = "none"
T = TypeVar("T")


def listing(items: Iterable[T], limit: int = MAX_ITEMS) -> Listing[T]:
    """The first ``limit`` items, and the number of the others."""
    everything = tuple(items)
    return Listing(shown=everything[:limit], omitted=max(0, len(everything) - limit))


def few(parts: Sequence[str], *, limit: int = 9, separator: str = ", ") -> str:
    """Parts side by side, and how many more there are.

    >>> few(["a", "b", "c"], limit=2), few([])
    ('a, b, 1 more', 'none')
    """
    more = len(parts) - limit
    return separator.join((*parts[:limit], *([f"{_text.count(more)} more"] if more > 0 else []))) or _NONE


def _json_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def facts(values: Mapping[str, Any]) -> tuple[Fact, ...]:
    """JSON values as text; strings stand without quotes."""
    return tuple(Fact(name=name, value=_json_text(value)) for name, value in values.items())


def facts_of(name: str, value: Any) -> tuple[Fact, ...]:
    """A JSON value that may be an object, whose members then stand by themselves.

    >>> [fact.name for fact in facts_of("fit", {"rows": 3, "converged": True})]
    ['fit: rows', 'fit: converged']
    """
    if isinstance(value, Mapping) and value:
        return tuple(Fact(name=f"{name}: {key}", value=_json_text(item)) for key, item in value.items())
    return (Fact(name=name, value=_json_text(value)),)


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_PART else f"{text[: _MAX_PART - 1]}…"


def _code(code: Measurer) -> str:
    found = code.distribution
    of = "" if found is None else f" of {_cut(found.uri or found.name or 'an unnamed package')}"
    record = "" if found is None or found.digest is None else f" (sha256:{_text.short(found.digest.sha256)})"
    return f"{_cut(code.name)}/{_cut(code.version)}{of}{record}"


def code_words(code: Measurer) -> str:
    """Whose code computed something; that it is a third party's comes first, where no long name can hide it.

    >>> code_words(Measurer(name="tabular-evaluation", version="1"))
    'tabular-evaluation/1'
    """
    return _code(code) if code.distribution is None else f"third party: {_code(code)}"


def code_notices(code: Measurer) -> tuple[Fact, ...]:
    """Says so where code that is not lamslsa's computed the values."""
    if code.distribution is None:
        return ()
    return (Fact(name="Computed by a third party's code", value=_code(code)),)


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
        bare: SHA-256 of the statements that count without a TEE: quotes that came with them were not judged.
    """

    qualifying: frozenset[str]
    rules: Mapping[str, tuple[str, ...]]
    bare: frozenset[str] = frozenset()

    @classmethod
    def of(cls, appraisal: Appraisal) -> Origins:
        """Read off which statements the policy relied on."""
        rules: dict[str, tuple[str, ...]] = {}
        for rule in appraisal.rules:
            if rule.outcome == "satisfied" and rule.attestation is not None:
                statement = rule.attestation.statement.sha256
                rules[statement] = (*rules.get(statement, ()), rule.name)
        qualifying = frozenset(one.statement.sha256 for one in appraisal.qualifying)
        return cls(qualifying=qualifying, rules=rules, bare=appraisal.by_signature_alone)

    def standing(self, attestation: VerifiedAttestation) -> Standing:
        """Verified only when some rule relied on the statement; being authentic is not enough."""
        return "verified" if attestation.statement.sha256 in self.qualifying else "unverified"

    def source(self, attestation: VerifiedAttestation) -> Source:
        """Where the values of an attestation come from."""
        return Source(
            standing=self.standing(attestation),
            statement=attestation.statement.sha256,
            signers=", ".join(sorted(attestation.signers)) or _NONE,
            tee=_NONE if attestation.statement.sha256 in self.bare else tee_in_words(attestation.evidence),
            rules=self.rules.get(attestation.statement.sha256, ()),
        )

    def verified_first(self, attestations: Iterable[VerifiedAttestation]) -> list[VerifiedAttestation]:
        """The given order, with what the policy relied on in front."""
        return sorted(attestations, key=lambda one: self.standing(one) != "verified")
