"""The rules of a policy file: what would make one weaker than it looks is refused.

Rules:
- The end of an interval that flatters the model is refused: a lower limit goes with the lower end.
- A measurer without a default configuration needs one to be named.
- The name of a rule is its own.
- An expression is checked against the fields of predicates when it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from lamslsa.errors import FormatError
from lamslsa.policy._load_terms import TermsReader, in_order
from lamslsa.policy.document_rules import (
    CelKeys,
    ComparisonKeys,
    MetricKeys,
    OverlapKeys,
    ReferenceDatasetKeys,
    ReferenceModelKeys,
)
from lamslsa.policy.model import CelRule, Comparison, DatasetTerms, MetricRule, OverlapRule, ReferenceTerms, Rule
from lamslsa.predicates import configuration_digest
from lamslsa.predicates.evaluation import DEFAULT_CONFIGURATIONS

__all__ = ["RuleReader"]

_DEFAULT_DIGESTS: Final = {name: configuration_digest(dict(value)) for name, value in DEFAULT_CONFIGURATIONS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleReader:
    """Reads rules.

    Attributes:
        ingredients: by name.
    """

    terms: TermsReader
    ingredients: Mapping[str, DatasetTerms]

    def read(self, rules: Iterable[MetricKeys | OverlapKeys | CelKeys]) -> tuple[Rule, ...]:
        """Every rule.

        Raises:
            FormatError: with line and column.
        """
        result: dict[str, Rule] = {}
        for keys in rules:
            if keys.name in result:
                keys.at("name").refuse(
                    f"expected unique rule names, got {keys.name!r} twice", reason="policy-duplicate"
                )
            result[keys.name] = self._rule(keys)
        return tuple(result.values())

    def _rule(self, keys: MetricKeys | OverlapKeys | CelKeys) -> Rule:
        match keys:
            case MetricKeys():
                return self._metric(keys)
            case OverlapKeys():
                return self._overlap(keys)
            case CelKeys():
                return self._expression(keys)
            case _:
                assert_never(keys)

    def _metric(self, keys: MetricKeys) -> Rule:
        _refuse_flattery(keys)
        if keys.every and keys.latest:
            keys.node.refuse(
                f"expected every or latest at {keys.node.where}, got both",
                reason="policy-rule",
                hint="latest leaves one evaluation, so that every means nothing",
            )
        references = keys.references or {}
        return MetricRule(
            name=keys.name,
            metric=keys.metric,
            groups=keys.groups or (),
            slice=keys.slice,
            dataset=self.terms.dataset(keys.dataset),
            measurer=keys.measurer,
            configuration=_configuration(keys),
            minimum=keys.min,
            maximum=keys.max,
            use=keys.use,
            samples=0 if keys.samples is None else keys.samples.min,
            witness=self.terms.witness(keys),
            parameters=keys.parameters,
            references={role: self._reference(reference) for role, reference in references.items()},
            no_worse_than=None if keys.no_worse_than is None else _comparison(keys.no_worse_than),
            plan_signed_by=None if keys.plan is None else self.terms.signer(keys.plan),
            every=keys.every,
            latest=keys.latest,
        )

    def _reference(self, keys: ReferenceModelKeys | ReferenceDatasetKeys) -> ReferenceTerms:
        if isinstance(keys, ReferenceModelKeys):
            return ReferenceTerms(sha256=keys.model, dataset=None)
        terms = self.ingredients[keys.at("dataset").choice(self.ingredients)]
        return ReferenceTerms(sha256=terms.sha256, dataset=terms)

    def _overlap(self, keys: OverlapKeys) -> Rule:
        training = self.ingredients[keys.at("overlap").choice(self.ingredients)]
        dataset = self.terms.dataset(keys.dataset)
        if dataset.sha256 == training.sha256:
            keys.at("dataset").refuse(
                f"expected another dataset than {training.name!r}, got the same", reason="policy-rule"
            )
        return OverlapRule(
            name=keys.name,
            training=training,
            dataset=dataset,
            measurer=keys.measurer,
            maximum=keys.max,
            witness=self.terms.witness(keys),
            columns=None if keys.columns is None else frozenset(keys.columns),
        )

    def _expression(self, keys: CelKeys) -> Rule:
        from lamslsa.policy.cel import compile_expression

        node, parameters = keys.at("cel"), keys.params or {}
        try:
            compiled = compile_expression(keys.cel, parameters, what=node.where)
        except FormatError as err:
            node.refuse(str(err), reason=err.reason, hint=err.hint)
        return CelRule(
            name=keys.name, expression=compiled.text, witness=self.terms.witness(keys), parameters=parameters
        )


def _configuration(keys: MetricKeys) -> str:
    """The configuration that a rule means: the one it names, or the measurer's default."""
    if keys.configuration is not None:
        return keys.configuration
    if keys.measurer not in _DEFAULT_DIGESTS:
        keys.at("measurer").refuse(
            f"expected the key 'configuration' for {keys.measurer!r}, which has no default, got none",
            reason="policy-configuration",
            hint=f"a default exists for {', '.join(_DEFAULT_DIGESTS)}",
        )
    return _DEFAULT_DIGESTS[keys.measurer]


def _comparison(keys: ComparisonKeys) -> Comparison:
    return Comparison(sha256=keys.model, margin=keys.by, higher_is_better=keys.better == "higher")


def _refuse_flattery(keys: MetricKeys) -> None:
    """Return if there is a limit, and the number that is compared is none that flatters the model.

    Raises:
        FormatError: with line and column.
    """
    in_order(keys.node, keys.min, keys.max)
    other = keys.no_worse_than
    least = {"min": keys.min is not None, "noWorseThan": other is not None and other.better == "higher"}
    most = {"max": keys.max is not None, "noWorseThan": other is not None and other.better == "lower"}
    flattered = {"upperBound": least, "lowerBound": most, "value": {}}[keys.use]
    for key, given in flattered.items():
        if given:
            keys.at("use").refuse(
                f"expected the careful end of the interval, got {keys.use} with {key}",
                reason="policy-use",
                hint="min and better: higher go with lowerBound, max and better: lower with upperBound, "
                "both together with value",
            )
