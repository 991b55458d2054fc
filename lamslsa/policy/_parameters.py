"""The parameters of a training, held against what the policy allows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.lineage import Build
from lamslsa.policy import _words
from lamslsa.policy._candidates import Miss
from lamslsa.policy.model import ParameterTerms, Policy

__all__ = ["composition_misses", "is_private", "observed", "parameter_misses"]

_ABSENT: Final = object()
_PRIVACY: Final = "privacy"


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


def is_private(term: ParameterTerms) -> bool:
    """Whether a limit is on the differential privacy of a training."""
    return term.name.partition(".")[0] == _PRIVACY


def composition_misses(terms: tuple[ParameterTerms, ...], trainings: Sequence[Build]) -> Iterator[Miss]:
    """A limit on the privacy of each training, where several read the same data: what they give away adds up.

    Differential privacy composes over releases of the same data (Dwork and Roth 2014, Theorem 3.16), and the limit is
    on each by itself.
    """
    asked = [term.name for term in terms if is_private(term)]
    read = Counter(sha256 for build in trainings for sha256 in {item.artifact.sha256 for item in build.datasets})
    for sha256, count in sorted(read.items()):
        if asked and count > 1:
            yield Miss(
                reason="privacy-composition",
                message=f"expected one training on {_words.short(sha256)}, got {count}: {', '.join(asked)} is of each "
                "training, and what they give away of the same data adds up",
                mend="have it one private training, or each on data of its own",
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
