"""Whose measurer a rule means: one of ours and a third party's of the same name are different measurers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from lamslsa import predicates, statement
from lamslsa.errors import FormatError
from lamslsa.policy import Appraisal, Policy
from lamslsa.predicates import Evaluation
from lamslsa.predicates._common import Measurer, ResourceDescriptor
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry

OURS = "measurer: tabular-evaluation/1"
THEIRS = "measurer: {name: tabular-evaluation/1, distribution: pkg:pypi/acme}"
DISTRIBUTION = {"name": "acme", "uri": "pkg:pypi/acme@2.0", "digest": {"sha256": "ab" * 32}}


def test_words() -> None:
    ours = Measurer(name="a", version="1")
    acme = Measurer(name="a", version="1", distribution=ResourceDescriptor(uri="pkg:pypi/acme@2.0"))
    other = Measurer(name="a", version="1", distribution=ResourceDescriptor(uri="pkg:pypi/acme-other@2.0"))
    nameless = Measurer(name="a", version="1", distribution=ResourceDescriptor())
    assert len({str(item) for item in (ours, acme, other, nameless)}) == 4
    assert str(acme) == "a/1 of pkg:pypi/acme"


@pytest.mark.parametrize(
    ("rule", "distribution", "accepted"),
    [
        (OURS, None, True),
        (OURS, DISTRIBUTION, False),
        (OURS, {}, False),
        (THEIRS, DISTRIBUTION, True),
        (THEIRS, DISTRIBUTION | {"uri": "pkg:pypi/acme@3.0"}, True),
        (THEIRS, None, False),
        (THEIRS, DISTRIBUTION | {"uri": "pkg:pypi/acme-other@2.0"}, False),
        (THEIRS, {"name": "acme", "digest": {"sha256": "ab" * 32}}, False),
    ],
)
def test_a_rule_takes_the_measurer_that_it_names(
    judge: Callable[..., Appraisal],
    load: Callable[[str], Policy],
    entries: dict[str, Entry],
    policy_text: str,
    rule: str,
    distribution: dict[str, Any] | None,
    accepted: bool,
) -> None:
    evaluation = entries["evaluation"]
    typed = predicates.parse(statement.parse(evaluation.payload))
    assert isinstance(typed, Evaluation)
    digest = typed.configuration_digest.sha256
    policy = load(policy_text.replace(OURS, f"{rule}\n    configuration: sha256:{digest}"))
    if distribution is not None:
        payload = chain.edited(evaluation.payload, ("predicate", "measurer", "distribution"), distribution)
        entries["evaluation"] = dataclasses.replace(evaluation, payload=payload)
    appraisal = judge(entries.values(), policy=policy)
    assert appraisal.accepted is accepted
    reasons = {rule.reason for rule in appraisal.rules if rule.outcome == "refused"}
    assert reasons == (set() if accepted else {"measurer-other"})


@pytest.mark.parametrize(
    "rule",
    [
        "measurer: {name: tabular-evaluation/1}",
        "measurer: {name: tabular-evaluation/1, distribution: acme}",
        "measurer: {name: tabular-evaluation/1, distribution: 'pkg:pypi/acme@2.0'}",
        "measurer: {name: tabular-evaluation/1, distribution: pkg:pypi/acme, more: 1}",
        "measurer: {name: tabular-evaluation, distribution: pkg:pypi/acme}",
        "measurer: {name: {name: a/1, distribution: pkg:pypi/a}, distribution: pkg:pypi/acme}",
        "measurer: tabular-evaluation/1 of pkg:pypi/acme",
    ],
)
def test_a_distribution_is_named_as_a_package(load: Callable[[str], Policy], policy_text: str, rule: str) -> None:
    with pytest.raises(FormatError):
        load(policy_text.replace(OURS, rule))


def test_a_third_party_has_no_default_configuration(load: Callable[[str], Policy], policy_text: str) -> None:
    with pytest.raises(FormatError) as error:
        load(policy_text.replace(OURS, THEIRS))
    assert error.value.reason == "policy-configuration"


CODE = "c0de" * 16


@pytest.fixture
def own(entries: dict[str, Entry]) -> dict[str, Entry]:
    """The base attestations, with a training by a user's own code, which names no schema."""
    training = entries["training"]
    payload = chain.edited(
        training.payload, ("predicate", "buildDefinition", "buildType"), "https://lamslsa.dev/own-training/v1"
    )
    definition = statement.parse(payload).predicate["buildDefinition"]
    code = {"name": "training-code", "digest": {"sha256": CODE}, "annotations": {"kind": "code", "ownCode": True}}
    dependencies = [*definition["resolvedDependencies"], code]
    for item in dependencies:
        item["annotations"].pop("schemaDigest", None)
    payload = chain.edited(payload, ("predicate", "buildDefinition", "resolvedDependencies"), dependencies)
    return entries | {"training": dataclasses.replace(training, payload=payload)}


def pinned(text: str, digest: str = CODE) -> str:
    assert "\ntraining: {" in text
    return text.replace("\ntraining: {", f"\ntraining: {{ownCode: 'sha256:{digest}', ")


def reasons(appraisal: Appraisal) -> set[str | None]:
    return {rule.reason for rule in appraisal.rules if rule.outcome == "refused"}


def test_own_code_counts_where_the_policy_pins_it(
    judge: Callable[..., Appraisal], load: Callable[[str], Policy], own: dict[str, Entry], policy_text: str
) -> None:
    appraisal = judge(own.values(), policy=load(pinned(policy_text)))
    assert appraisal.accepted, reasons(appraisal)


def test_own_code_counts_nowhere_else(
    judge: Callable[..., Appraisal],
    load: Callable[[str], Policy],
    own: dict[str, Entry],
    entries: dict[str, Entry],
    policy_text: str,
) -> None:
    assert reasons(judge(own.values())) == {"build-type-other"}
    other = load(pinned(policy_text, "ab" * 32))
    assert reasons(judge(own.values(), policy=other)) == {"training-code-other"}
    assert reasons(judge(entries.values(), policy=load(pinned(policy_text)))) == {"training-code-other"}


def test_two_codes_are_one_too_many(
    judge: Callable[..., Appraisal], load: Callable[[str], Policy], own: dict[str, Entry], policy_text: str
) -> None:
    path = ("predicate", "buildDefinition", "resolvedDependencies")
    training = own["training"]
    dependencies = statement.parse(training.payload).predicate["buildDefinition"]["resolvedDependencies"]
    for more in (
        [*dependencies, {**dependencies[-1], "name": "other", "digest": {"sha256": "ab" * 32}}],
        dependencies[:-1],
        [*dependencies[:-1], {**dependencies[-1], "annotations": {"kind": "code"}}],
    ):
        items = own | {"training": dataclasses.replace(training, payload=chain.edited(training.payload, path, more))}
        assert reasons(judge(items.values(), policy=load(pinned(policy_text)))) == {"training-code-other"}


def test_a_code_is_pinned_by_its_digest(load: Callable[[str], Policy], policy_text: str) -> None:
    for wrong in ("training-code", "sha256:abc", "true"):
        with pytest.raises(FormatError):
            load(policy_text.replace("\ntraining: {", f"\ntraining: {{ownCode: '{wrong}', "))
