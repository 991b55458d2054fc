"""Licences: what an expression asks for, and what a policy says of the one that a datasheet declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lamslsa.policy import Appraisal, Policy
from lamslsa.policy._licenses import canonical, satisfied
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry

MIT = frozenset({"MIT"})


@pytest.mark.parametrize(
    ("expression", "allowed", "expected"),
    [
        ("MIT", {"MIT"}, True),
        ("mit", {"MIT"}, True),
        ("MIT", {"mit"}, True),
        ("MIT OR GPL-3.0-only", {"MIT"}, True),
        ("MIT AND GPL-3.0-only", {"MIT"}, False),
        ("MIT AND ISC", {"MIT", "ISC"}, True),
        ("GPL-3.0-only OR MIT AND ISC", {"MIT"}, False),
        ("(GPL-3.0-only OR MIT) AND ISC", {"MIT", "ISC"}, True),
        ("(GPL-3.0-only OR MIT) AND ISC", {"MIT"}, False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", {"GPL-2.0-only"}, False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", {"GPL-2.0-only WITH Classpath-exception-2.0"}, True),
        ("GPL-2.0-only", {"GPL-2.0-only WITH Classpath-exception-2.0"}, False),
        ("GPL-2.0-or-later", {"GPL-2.0-only"}, False),
        ("GPL-2.0-only", {"GPL-2.0-or-later"}, False),
        ("GPL-2.0+", {"GPL-2.0"}, False),
        ("GPL-2.0+", {"GPL-2.0+"}, True),
        ("LicenseRef-Acme", {"LicenseRef-Acme"}, True),
        ("LicenseRef-Acme", {"LicenseRef-Other"}, False),
        ("((((MIT))))", {"MIT"}, True),
        ("MIT", set(), False),
    ],
)
def test_what_an_expression_asks_for(expression: str, allowed: set[str], expected: bool) -> None:
    parsed = canonical(expression)
    assert parsed is not None
    assert satisfied(parsed, frozenset(allowed)) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "see the web site",
        "MIT OR",
        "MIT ISC",
        "(MIT",
        "MIT)",
        ") OR (",
        "MIT WITH nothing-known",
        "https://creativecommons.org/licenses/by/4.0/",
        "(" * 33 + "MIT" + ")" * 33,
        " OR ".join(["MIT"] * 300),
    ],
)
def test_what_is_no_expression(text: str) -> None:
    assert canonical(text) is None


def test_deep_and_long_expressions_within_the_limits_are_read() -> None:
    assert canonical("(" * 32 + "MIT" + ")" * 32) == "MIT"
    assert canonical(" OR ".join(["MIT"] * 140)) == "MIT"


def test_order_makes_no_other_licence() -> None:
    assert canonical("MIT OR Apache-2.0") == canonical("apache-2.0 OR mit")
    assert canonical("MIT OR (ISC OR Apache-2.0)") == canonical("(MIT OR ISC) OR Apache-2.0")
    assert canonical("MIT OR Apache-2.0") != canonical("MIT AND Apache-2.0")


@pytest.fixture
def decide(
    judge: Callable[..., Appraisal], load: Callable[[str], Policy], policy_text: str, entries: dict[str, Entry]
) -> Callable[..., Appraisal]:
    """Appraise with a licence that the datasheet declares, one that the policy names, and those that it allows."""
    policy = load(policy_text)

    def run(declared: str | None, named: str | None, allowed: frozenset[str] | None) -> Appraisal:
        sheet = entries["train"]
        if declared is not None:
            payload = chain.edited(sheet.payload, ["predicate", "declared"], {"license": declared})
            sheet = replace(sheet, payload=payload)
        datasets = tuple(replace(terms, license=named) for terms in policy.ingredients.datasets)
        ingredients = replace(policy.ingredients, datasets=datasets, licenses=allowed)
        return judge({**entries, "train": sheet}.values(), policy=replace(policy, ingredients=ingredients))

    return run


@pytest.mark.parametrize(
    ("declared", "named", "allowed", "reason"),
    [
        ("MIT", None, MIT, None),
        ("mit or gpl-3.0-only", None, MIT, None),
        (None, "MIT", MIT, None),
        ("see the web site", "MIT", MIT, None),
        ("MIT", "mit", MIT, None),
        (None, None, None, None),
        ("anything", None, None, None),
        (None, None, MIT, "license-unknown"),
        ("see the web site", None, MIT, "license-unknown"),
        (None, "see the web site", MIT, "license-unknown"),
        ("ISC", None, MIT, "license-not-allowed"),
        ("MIT AND ISC", None, MIT, "license-not-allowed"),
        (None, "ISC", MIT, "license-not-allowed"),
        ("ISC", "MIT", MIT, "license-other"),
        ("ISC", "MIT", None, "license-other"),
        ("MIT", "ISC", frozenset({"ISC"}), "license-other"),
    ],
)
def test_a_datasets_licence(
    decide: Callable[..., Appraisal],
    declared: str | None,
    named: str | None,
    allowed: frozenset[str] | None,
    reason: str | None,
) -> None:
    appraisal = decide(declared, named, allowed)
    rule = next(rule for rule in appraisal.rules if rule.name == "ingredient: census-train")
    assert (rule.reason, appraisal.accepted) == (reason, reason is None)
    assert appraisal.exit_code == (0 if reason is None else 5)


def test_one_datasheet_under_an_allowed_licence_is_enough(
    judge: Callable[..., Appraisal], load: Callable[[str], Policy], policy_text: str, entries: dict[str, Entry]
) -> None:
    policy = load(policy_text)
    policy = replace(policy, ingredients=replace(policy.ingredients, licenses=MIT))
    sheets = {
        text: replace(
            entries["train"],
            payload=chain.edited(entries["train"].payload, ["predicate", "declared"], {"license": text}),
        )
        for text in ("ISC", "MIT")
    }
    others = {name: item for name, item in entries.items() if name != "train"}
    assert judge([*others.values(), *sheets.values()], policy=policy).accepted
    assert not judge([*others.values(), sheets["ISC"]], policy=policy).accepted


def test_what_is_not_allowed_is_named_with_what_is(decide: Callable[..., Appraisal]) -> None:
    refused = [rule for rule in decide("ISC", None, MIT).rules if rule.reason == "license-not-allowed"]
    assert len(refused) == 1
    assert "'MIT'" in refused[0].message
    assert "'ISC'" in refused[0].message
    assert "ingredients.licenses.allow" in refused[0].mend
