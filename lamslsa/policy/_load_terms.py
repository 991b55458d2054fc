"""What the policy file says of ingredients, training and transforms: every name in it leads somewhere.

Rules:
- A dataset that stands in several places reads the same in all of them.
- Nothing is listed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from lamslsa._yaml import Node
from lamslsa.evidence.appraise import PlatformTerms
from lamslsa.policy._keys import Keys
from lamslsa.policy.document import (
    BaseModelKeys,
    CodeKeys,
    EqualKeys,
    IngredientsKeys,
    LimitKeys,
    PackageKeys,
    SummaryKeys,
    TrainingKeys,
    TransformKeys,
)
from lamslsa.policy.document_terms import DatasetKeys, PreparationKeys, SignatureKeys, WitnessKeys
from lamslsa.policy.identities import Identity
from lamslsa.policy.model import (
    CodeTerms,
    DatasetTerms,
    Ingredients,
    ModelTerms,
    PackageTerms,
    ParameterTerms,
    Policy,
    PreparationTerms,
    SummaryTerms,
    TrainingTerms,
    TransformTerms,
    Witness,
)

__all__ = ["Nested", "TermsReader", "in_order"]

K = TypeVar("K", bound=Keys)
T = TypeVar("T")

Nested = Callable[[Node], Policy]
"""Reads the policy that a node names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsReader:
    """Reads everything that refers to identities, platforms and datasets.

    Attributes:
        nested: reads policies that this one names.
    """

    identities: Mapping[str, Identity]
    platforms: Mapping[str, PlatformTerms]
    nested: Nested
    _by_name: dict[str, DatasetTerms] = field(default_factory=dict)
    _by_digest: dict[str, DatasetTerms] = field(default_factory=dict)

    def signer(self, keys: Keys) -> str:
        """The name under ``signedBy``, which is that of an identity."""
        return keys.at("signed_by").choice(self.identities)

    def witness(self, keys: WitnessKeys) -> Witness:
        """``signedBy`` and ``platform``, both of which stand on every rule, and ``maxAge``."""
        platform = keys.at("platform").choice(self.platforms)
        if keys.max_age is not None and self.platforms[platform].unsafe_no_evidence:
            keys.at("max_age").refuse(
                f"expected no maxAge on {platform}, which asks for no quote whose age could count, got one",
                reason="policy-platform",
                hint="leave it out, or name a platform with tee",
            )
        return Witness(signed_by=self.signer(keys), platform=platform, max_age=keys.max_age)

    def signature(self, keys: SignatureKeys | None) -> str | None:
        """Who must have signed the files as a whole."""
        return None if keys is None else self.signer(keys)

    def dataset(self, keys: DatasetKeys) -> DatasetTerms:
        """A dataset; declared in several places it must read the same in all of them."""
        terms = DatasetTerms(
            name=keys.name,
            sha256=keys.digest,
            datasheet=self.witness(keys.datasheet),
            schema=keys.schema,
            signed_by=self.signature(keys.signature),
            license=keys.license,
            preparation=None if keys.preparation is None else self._preparation(keys.preparation),
        )
        for known in (self._by_name.setdefault(terms.name, terms), self._by_digest.setdefault(terms.sha256, terms)):
            if known != terms:
                keys.node.refuse(
                    f"expected {terms.name!r} as declared before, {known} with a datasheet {known.datasheet}, "
                    f"got {terms} with a datasheet {terms.datasheet}, or with another key that differs",
                    reason="policy-dataset",
                    hint="one name and one digest for each dataset, with the same keys wherever it stands",
                )
        return terms

    def _preparation(self, keys: PreparationKeys) -> PreparationTerms:
        return PreparationTerms(witness=self.witness(keys), allow=keys.allow)

    def ingredients(self, keys: IngredientsKeys) -> Ingredients:
        """All that a model may be made of."""
        return Ingredients(
            datasets=_once(keys.datasets, self.dataset, lambda terms: terms.sha256),
            models=_once(keys.models, self._base_model, lambda terms: terms.sha256),
            code=None if keys.code is None else _once(keys.code, _code, lambda terms: terms.sha256),
            packages=None if keys.packages is None else _once(keys.packages, _package, lambda terms: terms),
            licenses=None if keys.licenses is None else frozenset(keys.licenses.allow),
        )

    def _base_model(self, keys: BaseModelKeys) -> ModelTerms:
        return ModelTerms(
            name=keys.name,
            sha256=keys.digest,
            license=keys.license,
            signed_by=self.signature(keys.signature),
            policy=None if keys.policy is None else self.nested(keys.at("policy")),
            summary=None if keys.summary is None else self._summary(keys.summary),
        )

    def _summary(self, keys: SummaryKeys) -> SummaryTerms:
        return SummaryTerms(
            signed_by=self.signer(keys), verifier=keys.verifier, policies=keys.policies, max_age=keys.max_age
        )

    def training(self, keys: TrainingKeys) -> TrainingTerms:
        """Who says how the model was trained, and with which parameters."""
        return TrainingTerms(
            witness=self.witness(keys),
            parameters=tuple(_parameter(name, item) for name, item in (keys.parameters or {}).items()),
            own_code=keys.own_code,
        )

    def transform(self, keys: TransformKeys) -> TransformTerms:
        """Whose transforms may lie between training and model."""
        return TransformTerms(witness=self.witness(keys), allow=keys.allow)


def in_order(node: Node, minimum: float | None, maximum: float | None) -> None:
    """Return if the limits leave something between them.

    Raises:
        FormatError: with line and column.
    """
    if minimum is not None and maximum is not None and minimum > maximum:
        node.refuse(f"expected min <= max at {node.where}, got {minimum:g} > {maximum:g}", reason="policy-limits")


def _once(items: Iterable[K], read: Callable[[K], T], key: Callable[[T], object]) -> tuple[T, ...]:
    """Every item, read; none that is the same as another by its key."""
    result: dict[object, T] = {}
    for item in items:
        terms = read(item)
        if key(terms) in result:
            item.node.refuse(
                f"expected each entry once, got the one at {item.node.where} twice", reason="policy-duplicate"
            )
        result[key(terms)] = terms
    return tuple(result.values())


def _code(keys: CodeKeys) -> CodeTerms:
    return CodeTerms(name=keys.name, sha256=keys.digest)


def _package(keys: PackageKeys) -> PackageTerms:
    return PackageTerms(purl=keys.purl, versions=keys.version, sha256=frozenset(keys.digest))


def _parameter(name: str, keys: EqualKeys | LimitKeys) -> ParameterTerms:
    if isinstance(keys, EqualKeys):
        return ParameterTerms(name=name, minimum=None, maximum=None, equals=keys.equals)
    in_order(keys.node, keys.min, keys.max)
    return ParameterTerms(name=name, minimum=keys.min, maximum=keys.max, equals=None)
