"""What a rule considered: every candidate, the nearest first, and nothing kept where nobody asks."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from lamslsa.policy import Appraisal, Policy, appraise
from lamslsa.reports import About
from lamslsa.reports.explanation import appraisals, explain, rule_names
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry
from lamslsa.verification import Verification

Explain = Callable[..., Appraisal]


@pytest.fixture
def explained(load: Callable[[str], Policy], policy_text: str, sealed: Any, at: dt.datetime) -> Explain:
    """Appraise entries under the base policy, or its text with replacements, and keep what rules considered."""

    def run(items: Iterable[Entry], *names: str, replace: tuple[tuple[str, str], ...] = ()) -> Appraisal:
        text = policy_text
        for old, new in replace:
            assert old in text
            text = text.replace(old, new)
        policy = load(text)
        trust = policy.trust_material(at=at, now=at)
        return appraise(
            policy,
            model=chain.model(),
            model_name="census-mlp",
            verification=Verification(trust=trust, attestations=sealed(items), set_aside=()),
            at=at,
            explain=frozenset(names),
        )

    return run


def _evaluation(entries: dict[str, Entry], accuracy: float, *, signers: Iterable[str] = ("auditor",)) -> Entry:
    payload = chain.evaluated(chain.model(), metrics=[chain.metric("accuracy", accuracy)])
    return dataclasses.replace(entries["evaluation"], payload=payload, signers=frozenset(signers))


def _text(appraisal: Appraisal, *names: str) -> str:
    return explain(appraisal, names, About(), as_json=False).decode()


def test_nothing_is_kept_unless_asked(explained: Explain, entries: dict[str, Entry]) -> None:
    assert explained(entries.values()).considered == {}
    assert list(explained(entries.values(), "accurate", "no such rule").considered) == ["accurate"]


def test_asking_changes_no_verdict(explained: Explain, entries: dict[str, Entry]) -> None:
    plain = explained(entries.values())
    asked = explained(entries.values(), *(rule.name for rule in plain.rules))
    assert dataclasses.replace(asked, considered={}) == plain
    assert asked.considered.keys() == {rule.name for rule in plain.rules}


def test_the_counted_one_first_and_then_the_nearest(explained: Explain, entries: dict[str, Entry]) -> None:
    entries["far"] = dataclasses.replace(_evaluation(entries, 0.1), claims=())
    entries["signer"] = _evaluation(entries, 0.86, signers=["trainer"])
    entries["close"] = _evaluation(entries, 0.8)
    entries["both"] = _evaluation(entries, 0.81, signers=["trainer"])
    found = explained(entries.values(), "accurate").considered["accurate"]
    assert [[lack.reason for lack in item.lacks] for item in found] == [
        [],
        ["threshold-missed"],
        ["signer-other"],
        ["signer-other", "threshold-missed"],
        ["evidence-missing", "threshold-missed"],
    ]
    assert [item.counted for item in found] == [True, False, False, False, False]
    assert found[1].observed is not None
    assert found[1].observed.startswith("0.8000")
    assert (found[0].platform, found[0].tee, found[-1].platform, found[-1].tee) == (
        "rehearsal", "sgx, SIMULATED", None, None,
    )  # fmt: skip


def test_a_second_one_that_lacks_nothing_is_not_counted(explained: Explain, entries: dict[str, Entry]) -> None:
    entries["again"] = _evaluation(entries, 0.9)
    appraisal = explained(entries.values(), "accurate")
    found = appraisal.considered["accurate"]
    assert [(item.counted, item.lacks) for item in found] == [(True, ()), (False, ())]
    assert "not used   it lacks nothing; one is enough, and another was counted" in _text(appraisal, "accurate")


def test_the_order_of_the_input_is_no_input(explained: Explain, entries: dict[str, Entry]) -> None:
    entries["close"] = _evaluation(entries, 0.8)
    items = list(entries.values())
    first, second = explained(items, "accurate"), explained(items[::-1], "accurate")
    assert _text(first, "accurate") == _text(second, "accurate")


def test_other_provenance_of_the_model_is_weighed_beside_the_chosen(
    explained: Explain, entries: dict[str, Entry]
) -> None:
    longer = chain.trained(chain.model(), configuration={"epochs": 5000})
    entries["longer"] = dataclasses.replace(entries["training"], payload=longer)
    entries["stranger"] = dataclasses.replace(
        entries["training"],
        payload=chain.edited(entries["training"].payload, ["subject", 0, "name"], "again"),
        signers=frozenset({"auditor"}),
    )
    found = explained(entries.values(), "training").considered["training"]
    assert found[0].counted
    assert sorted(lack.reason for item in found[1:] for lack in item.lacks) == [
        "parameter-out-of-range",
        "signer-other",
    ]


def test_a_rule_that_waits_for_the_training_says_so(explained: Explain, entries: dict[str, Entry]) -> None:
    del entries["training"]
    appraisal = explained(entries.values(), "accurate")
    (item,) = appraisal.considered["accurate"]
    assert (item.counted, item.lacks) == (False, ())
    text = _text(appraisal, "accurate")
    assert "rule accurate: not-evaluated [training-unknown]" in text
    assert "because   expected to know which datasets the model was trained on" in text
    assert "it lacks nothing by itself, and the rule is not-evaluated [training-unknown]" in text


def test_a_rule_without_any_candidate_says_why(explained: Explain, entries: dict[str, Entry]) -> None:
    del entries["evaluation"]
    appraisal = explained(entries.values(), "accurate")
    assert appraisal.considered["accurate"] == ()
    text = _text(appraisal, "accurate")
    assert "considered 0 attestations\n" in text
    assert "because   expected an evaluation of" in text
    assert (
        "not weighed, being of other kinds or about other artifacts: 3 (datasheet: 2, training of this model: 1)"
        in text
    )


def test_an_evaluation_that_every_outvotes_is_told(explained: Explain, entries: dict[str, Entry]) -> None:
    entries["close"] = _evaluation(entries, 0.8)
    every = (("  - name: accurate\n", "  - name: accurate\n    every: true\n"),)
    appraisal = explained(entries.values(), "accurate", replace=every)
    assert [[lack.reason for lack in item.lacks] for item in appraisal.considered["accurate"]] == [["threshold-missed"]]
    assert "evaluation of this model that cannot decide alone (every, latest): 1" in _text(appraisal, "accurate")


def test_many_candidates_are_counted_in_text(explained: Explain, entries: dict[str, Entry]) -> None:
    entries |= {str(index): _evaluation(entries, 0.5 + index / 100) for index in range(30)}
    text = _text(explained(entries.values(), "accurate"), "accurate")
    assert "considered 31 attestations, the nearest first" in text
    assert "   11 more; --format json lists them\n" in text
    assert text.count("evaluation by ") == 20


def test_text_from_attestations_is_made_safe(explained: Explain, entries: dict[str, Entry]) -> None:
    hostile = "x\n\x1b[2J\u202ey"
    path = ["predicate", "dataset", "name"]
    payload = chain.edited(_evaluation(entries, 0.5).payload, path, hostile)
    payload = chain.edited(payload, ["predicate", "dataset", "digest", "sha256"], "0" * 64)
    payload = chain.edited(payload, ["predicate", "measurer", "name"], hostile)
    entries["hostile"] = dataclasses.replace(entries["evaluation"], payload=payload)
    text = _text(explained(entries.values(), "accurate"), "accurate")
    assert not {"\x1b", "\u202e"} & set(text)
    assert "\\x1b[2J\\u202ey" in text


def test_names_of_rules_the_nearest_first(explained: Explain, entries: dict[str, Entry]) -> None:
    appraisal = explained(entries.values())
    assert rule_names(appraisal) == [rule.name for rule in appraisal.rules]
    assert rule_names(appraisal, like="Trainin")[0] == "training"
    assert sorted(rule_names(appraisal, like="x")) == sorted(rule_names(appraisal))


def test_an_extended_policy_is_explained_too(explained: Explain, entries: dict[str, Entry]) -> None:
    inner = explained([entry for name, entry in entries.items() if name != "evaluation"], "accurate")
    outer = explained(entries.values(), "accurate")
    both = dataclasses.replace(outer, extended=(dataclasses.replace(inner, policy_name="inner"),))
    assert [each.policy_name for each in appraisals(both)] == [outer.policy_name, "inner"]
    text = _text(both, "accurate")
    assert text.index("rule accurate: satisfied") < text.index(
        "rule accurate, under policy inner over census-mlp: refused"
    )
