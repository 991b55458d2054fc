"""Every term of a policy that decides is a term that two policies can differ in."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamslsa.policy import Policy, load_policy
from lamslsa.policy.compare import changes

FOLDER = Path(__file__).parents[2]
UNSEEN = {"sha256", "closure", "name", "manifests", "reference_signatures"}
"""Labels, and what is read out of files, which are compared by themselves."""


@pytest.fixture
def rich(tmp_path: Path) -> Callable[..., Policy]:
    """The policy that says everything that there is to say, with one edit."""
    for file in (FOLDER / "vectors" / "policy" / "base").iterdir():
        shutil.copy(file, tmp_path / file.name.replace("policy.yaml", "base.yaml"))

    def load(old: str = "", new: str = "") -> Policy:
        text = (FOLDER / "cli" / "policies" / "rich.yaml").read_text()
        assert old in text, old
        return load_policy(text.replace(old, new, 1).encode(), source="rich.yaml", directory=tmp_path)

    return load


def test_a_policy_is_like_itself(rich: Callable[..., Policy]) -> None:
    assert changes(rich(), rich()) == ()


@pytest.mark.parametrize(
    ("old", "new", "about"),
    [
        ("effectiveFrom: 2026-01-01", "effectiveFrom: 2026-01-02", "in force"),
        ("requireLog: true, ", "", "identity auditor"),
        ("ref: refs/heads/main", "ref: refs/heads/dev", "identity builder"),
        ("minTcbEvaluationDataNumber: 17", "minTcbEvaluationDataNumber: 18", "platform production"),
        ("license: CC-BY-4.0", "license: MIT", "dataset census-train"),
        ("maxAge: 30d", "maxAge: 31d", "base model base"),
        ("license: MIT", "license: 0BSD", "base model base"),
        ('version: ">=2.6,<3"', 'version: ">=2.7,<3"', None),
        ("licenses: {allow: [CC-BY-4.0, MIT]}", "licenses: {allow: [CC-BY-4.0]}", "licences"),
        ("allow: [prune/1, quantize-int8/1]", "allow: [prune/1]", "transform 1"),
        ("optimizer: {equals: adam}", "optimizer: {equals: sgd}", "parameter optimizer"),
        ("parameters: {epochs: {min: 1, max: 50}, optimizer: {equals: adam}}, maxAge: 90d", "maxAge: 91d", "training"),
        ("model: {signature: {signedBy: trainer}}", "model: {signature: {signedBy: builder}}", "signature"),
        ("by: 0.01", "by: 0.02", "rule accurate"),
        ("    every: true\n", "", "rule accurate"),
        ("columns: [age, sex]", "columns: [age]", "rule no leakage"),
        ("params: {least: 3}", "params: {least: 4}", "rule said"),
        ("conflicts: refuse\n", "", "conflicts"),
        ("extends: [base.yaml]\n", "", "policy census-income"),
        ("conflicts: refuse\n", "conflicts: refuse\nadmission: {elsewhere: verifyInPod}\n", "elsewhere"),
        ("cel: size", "cel: 1 + size", "rule said"),
    ],
)
def test_a_term_that_changes(old: str, new: str, about: str | None, rich: Callable[..., Policy]) -> None:
    found = {change.about for change in changes(rich(), rich(old, new))}
    assert found if about is None else about in found


def test_what_words_leave_out_is_a_change_too(rich: Callable[..., Policy]) -> None:
    """Two digests with the same beginning."""
    policy = rich()
    (rule, *rest) = policy.require
    terms: Any = rule
    near = dataclasses.replace(
        terms, dataset=dataclasses.replace(terms.dataset, sha256=terms.dataset.sha256[:63] + "f")
    )
    (change,) = changes(policy, dataclasses.replace(policy, require=(near, *rest)))
    assert change.before == change.after


def test_every_field_of_a_policy_is_in_some_term(rich: Callable[..., Policy]) -> None:
    """Without it, or with what the base policy has in its place, something differs."""
    policy = rich()
    plain: dict[str, Any] = {
        "expires": None,
        "effective_from": None,
        "identities": {},
        "platforms": {},
        "ingredients": dataclasses.replace(policy.ingredients, models=()),
        "training": dataclasses.replace(policy.training, own_code="a" * 64),
        "require": policy.require[1:],
        "extends": (),
        "deny": dataclasses.replace(policy.deny, keys=frozenset()),
        "refuse_conflicts": False,
        "verify_in_pod": True,
        "transforms": (),
        "beacons": (),
        "model_signed_by": None,
    }
    fields = {field.name for field in dataclasses.fields(Policy)}
    assert plain.keys() | UNSEEN == fields
    for name, value in plain.items():
        assert changes(policy, dataclasses.replace(policy, **{name: value})), name
