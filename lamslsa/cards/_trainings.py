"""The sections of a card that show provenance: trainings, a user's own training code, transforms, preprocessing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from lamslsa import lineage, predicates
from lamslsa.cards import _text
from lamslsa.cards._byproducts import read_byproducts
from lamslsa.cards._source import code_notices, code_words, facts, few, listing
from lamslsa.cards.parts import Fact, Reference, Source
from lamslsa.cards.view import Training
from lamslsa.predicates._common import ResourceDescriptor
from lamslsa.predicates.provenance import OWN_TRAINING_BUILD_TYPE, TRAINING_BUILD_TYPE, BuildDefinition

__all__ = ["run_kind", "training_section"]

_MAIN_PACKAGES: Final = (
    "lamslsa", "torch", "numpy", "scikit-learn", "scipy", "safetensors", "duckdb", "opacus", "onnx"
)  # fmt: skip
_PURL: Final = re.compile(r"pkg:pypi/(?P<name>[A-Za-z0-9._-]{1,64})@(?P<version>[^?#]{1,64})")


def run_kind(definition: BuildDefinition) -> str:
    """What kind of run it was, in words."""
    return lineage.run_kind(definition).capitalize()


def _main_packages(descriptors: Iterable[ResourceDescriptor]) -> tuple[Fact, ...]:
    versions: dict[str, str] = {}
    for descriptor in descriptors:
        purl = _PURL.match(descriptor.uri or "")
        if purl:
            versions.setdefault(purl["name"].lower(), purl["version"].replace("%2B", "+"))
    return tuple(Fact(name=name, value=versions[name]) for name in _MAIN_PACKAGES if name in versions)


def _own_code(definition: BuildDefinition) -> Iterator[Fact]:
    """Says so where the training code is no part of lamslsa."""
    if definition.build_type != OWN_TRAINING_BUILD_TYPE:
        return
    codes = [each.digest.sha256 for each in definition.resolved_dependencies if each.annotations.own_code]
    yield Fact(
        name="Training code of the user's own",
        value="no part of lamslsa, run in the process that vouches for it: "
        + (few([f"sha256:{digest}" for digest in codes], limit=3) if codes else "its digest is not stated"),
    )


def _privacy(definition: BuildDefinition) -> Mapping[str, Any]:
    """What a declarative training of ours says of its privacy; the same word of anybody's code means nothing."""
    trainer = definition.external_parameters.trainer
    if definition.build_type != TRAINING_BUILD_TYPE or trainer is None or trainer.distribution is not None:
        return {}
    found = definition.external_parameters.configuration.get("privacy")
    return found if isinstance(found, dict) else {}


def _privacy_notice(privacy: Mapping[str, Any]) -> Iterator[Fact]:
    if not privacy:
        return
    said = {fact.name: fact.value for fact in facts(privacy)}
    epsilon, delta, accountant = (said.get(name, "not stated") for name in ("epsilon", "delta", "accountant"))
    left = privacy.get("notCovered")
    without = f"; without {few(list(map(str, left)))}" if isinstance(left, list) and left else ""
    yield Fact(
        name="Differentially private training",
        value=f"epsilon {epsilon} at delta {delta}, accountant {accountant}{without}",
    )


def training_section(predicate: predicates.Provenance, product: Reference, about: str, source: Source) -> Training:
    """Parameters, ingredients, packages, and what was measured on the way; what the machine reports stands apart.

    Args:
        predicate: how something was made.
        product: what was made.
        about: what that is to the model of the card; empty for the model itself.
        source: where it comes from.
    """
    definition = predicate.build_definition
    external, environment = definition.external_parameters, definition.internal_parameters.environment
    roles: dict[tuple[str, str], list[str]] = {}
    for kind, named in (("model", external.models), ("dataset", external.datasets)):
        for role, name in named.items():
            roles.setdefault((kind, name), []).extend([role] if role != kind else [])
    privacy, measured = _privacy(definition), read_byproducts(predicate.run_details.byproducts)
    code = "trainer" if external.transform is None else "transform"
    return Training(
        source=source,
        kind=run_kind(definition),
        product=product,
        about=about,
        notices=(
            *_own_code(definition), *code_notices(external.code), *_privacy_notice(privacy), *measured.notices,
        ),
        facts=(
            Fact(name=code, value=code_words(external.code)),
            Fact(name="builder", value=predicate.run_details.builder.id),
            Fact(name="python", value=environment.python),
        ),
        ingredients=listing(
            Fact(
                name=" ".join((*roles.get((each.annotations.kind, each.name), ()), each.annotations.kind, each.name)),
                value=f"sha256:{each.digest.sha256}",
            )
            for each in definition.resolved_dependencies
            if each.annotations.kind != "package"
        ),
        parameters=listing(
            facts({name: value for name, value in external.configuration.items() if name != "privacy" or not privacy})
        ),
        privacy=listing(facts(privacy), limit=40),
        losses=measured.losses,
        tables=tuple(measured.tables),
        measured=measured.listed,
        packages=_main_packages(environment.packages),
        package_count=_text.count(len(environment.packages)),
        reported=listing((*facts(environment.machine), *facts(environment.variables))),
    )  # fmt: skip
