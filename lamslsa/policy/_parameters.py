"""The parameters of a training, held against what the policy allows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.lineage import Build
from lamslsa.policy import _words
from lamslsa.policy._candidates import Miss
from lamslsa.policy.model import ParameterTerms, Policy

__all__ = ["observed", "parameter_misses"]

_ABSENT: Final = object()


def observed(policy: Policy, item: Build) -> str:
    """The code of a build, and the parameters that the policy asks about."""
    configuration = item.provenance.build_definition.external_parameters.configuration
    found = {terms.name: _parameter(terms.name, configuration) for terms in policy.training.parameters}
    values = [f"{name}={_shown(value)}" for name, value in found.items() if value is not _ABSENT]
    return ", ".join([str(item.provenance.build_definition.external_parameters.code), *values])


def _parameter(name: str, configuration: Mapping[str, Any]) -> Any:
    """The value of a parameter; ``privacy.epsilon`` is ``epsilon`` within ``privacy``, and never a name with a dot."""
    value: Any = configuration
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return _ABSENT
        value = value[part]
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:40] + "…"


def parameter_misses(terms: tuple[ParameterTerms, ...], item: Build) -> Iterator[Miss]:
    """Every parameter of a training that is not as the policy asks."""
    configuration = item.provenance.build_definition.external_parameters.configuration
    for term in terms:
        miss = _parameter_miss(term, configuration)
        if miss is not None:
            reason, got = miss
            yield Miss(
                reason=reason,
                message=f"expected {_words.parameter_limits(term)} in training, got {got}",
                mend="train with a parameter that the policy allows",
            )


def _parameter_miss(terms: ParameterTerms, configuration: Mapping[str, Any]) -> tuple[str, str] | None:
    value = _parameter(terms.name, configuration)
    if value is _ABSENT:
        return "parameter-absent", "none"
    if terms.equals is not None:
        try:
            equal = _codec.canonical_with_fractions(value) == terms.equals
        except FormatError:
            equal = False
        return None if equal else ("parameter-other", _shown(value))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "parameter-not-a-number", _shown(value)
    if (terms.minimum is None or value >= terms.minimum) and (terms.maximum is None or value <= terms.maximum):
        return None
    return "parameter-out-of-range", _shown(value)
