"""What a model may be made of, and how, in words."""

from __future__ import annotations

from collections.abc import Iterator

from lamslsa.policy.explain.words import Item, age, digest, either, listed, number, sheet, witness
from lamslsa.policy.model import DatasetTerms, ModelTerms, PackageTerms, ParameterTerms, Policy

__all__ = ["ingredients", "training"]


def ingredients(policy: Policy) -> Iterator[Item]:
    """Every list of ingredients; what is not listed is refused."""
    found = policy.ingredients
    for terms in found.datasets:
        yield Item(key=f"dataset {terms.name}", text=f"The dataset {_dataset(terms)}.", exact=terms)
    for model in found.models:
        yield Item(key=f"base model {model.name}", text=f"The base model {_model(model)}.", exact=_exact(model))
    if not found.models:
        yield Item(key="base models", text="No base model.", exact=())
    for item in found.code or ():
        yield Item(key=f"code {item.name}", text=f"The code {item.name} ({digest(item.sha256)}).", exact=item)
    for package in found.packages or ():
        yield Item(key=f"package {_package(package)}", text=f"The package {_package(package)}.", exact=package)
    left = [what for what, given in (("code", found.code), ("packages", found.packages)) if given is None]
    if left:
        text = f"Any {either(left)} that the measurement of a platform stands for: no list says which."
        yield Item(key="left to measurements", text=text, exact=tuple(left))
    if found.licenses is None:
        yield Item(key="licences", text="Under any licence: none is asked for.", exact=None)
    else:
        names = either(sorted(found.licenses))
        text = f"Only what is licensed under {names}; a licence that nobody states is none of these."
        yield Item(key="licences", text=text, exact=found.licenses)


def _dataset(terms: DatasetTerms) -> str:
    more = [sheet(terms)]
    if terms.signed_by is not None:
        more.append(f"its files as a whole signed by {terms.signed_by}")
    if terms.license is not None:
        more.append(f"under {terms.license}, whatever its datasheet declares")
    if terms.preparation is not None:
        made = f"made out of datasets of this list by {either(terms.preparation.allow)}"
        more.append(f"{made}, {witness(terms.preparation.witness)}")
    return f"{terms.name} ({digest(terms.sha256)}), {'; '.join(more)}"


def _model(terms: ModelTerms) -> str:
    more = [] if terms.signed_by is None else [f"its files as a whole signed by {terms.signed_by}"]
    if terms.license is not None:
        more.append(f"under {terms.license}")
    ways = [] if terms.policy is None else [f"the policy {terms.policy.name} accepts it"]
    if terms.summary is not None:
        under = either(digest(item) for item in terms.summary.policies)
        ways.append(
            f"{terms.summary.signed_by} signed, at most {age(terms.summary.max_age)} ago, "
            f"that {terms.summary.verifier} found it passing {under}"
        )
    more.append(f"if {either(ways)}" if ways else "by its digest alone: nothing is asked of how it was made")
    return f"{terms.name} ({digest(terms.sha256)}), {'; '.join(more)}"


def _exact(terms: ModelTerms) -> object:
    closure = None if terms.policy is None else terms.policy.closure
    return (terms.name, terms.sha256, terms.license, terms.signed_by, closure, terms.summary)


def _package(terms: PackageTerms) -> str:
    versions = "" if terms.versions is None else f" {terms.versions}"
    pinned = f" with the digest {either(map(digest, sorted(terms.sha256)))}" if terms.sha256 else ""
    return f"{terms.purl.removeprefix('pkg:')}{versions}{pinned}"


def training(policy: Policy) -> Iterator[Item]:
    """Who trains, with what, and what may come after."""
    terms = policy.training
    by = f"Training is {witness(terms.witness)}"
    if terms.own_code is None:
        text = f"{by}, by a trainer of lamslsa itself: training code of the user's own is refused."
    else:
        text = f"{by}, by the user's own code {digest(terms.own_code)} and no other."
    yield Item(key="training", text=text, exact=(terms.witness, terms.own_code))
    for item in terms.parameters:
        text = f"The parameter {item.name} is {_limits(item)}; a training that does not state it is refused."
        yield Item(key=f"parameter {item.name}", text=text, exact=item)
    for index, step in enumerate(policy.transforms):
        text = f"After training it may have been changed by {either(step.allow)}, {witness(step.witness)}."
        yield Item(key=f"transform {index + 1}", text=text, exact=step)
    if not policy.transforms:
        yield Item(key="transforms", text="The model is as it was trained: no step after that is allowed.", exact=())
    if policy.model_signed_by is not None:
        text = f"The files of the model as a whole are signed by {policy.model_signed_by}."
        yield Item(key="signature", text=text, exact=policy.model_signed_by)


def _limits(terms: ParameterTerms) -> str:
    if terms.equals is not None:
        return f"exactly {terms.equals.decode('utf-8')}"
    parts = [] if terms.minimum is None else [f"at least {number(terms.minimum)}"]
    parts += [] if terms.maximum is None else [f"at most {number(terms.maximum)}"]
    return listed(parts)
