"""Expressions as rules of a policy: what they see, who must have signed, and what the appraisal says."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamslsa import _codec, _confined
from lamslsa.policy import Appraisal, Policy, RuleResult
from lamslsa.policy.cel import compile_expression, worker
from lamslsa.policy.model import CelRule, Witness
from lamslsa.predicates.evaluation import derive_seed
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry

Judge = Callable[..., Appraisal]
Load = Callable[[str], Policy]
EXPRESSIONS = Path(__file__).parents[4] / "policies" / "expressions.md"
EXAMPLES = Path(__file__).parents[4] / "predicates"
ACCURATE = 'attestations.exists(a, a.evaluation.metric("accuracy") >= 0.84)'
OTHER_SCHEMA = {**chain.SCHEMA, "skipLines": 9}


def _rule(text: str, by: str = "auditor", name: str = "expression", **parameters: Any) -> CelRule:
    compile_expression(text, parameters)
    witness = Witness(signed_by=by, platform="rehearsal")
    return CelRule(name=name, expression=text, witness=witness, parameters=parameters)


@pytest.fixture
def asked(judge: Judge, load: Load, policy_text: str) -> Callable[..., RuleResult]:
    """What one expression comes to, in the base policy in place of its rules."""
    base = load(policy_text)

    def ask(items: Any, text: str, by: str = "auditor", *, keep: bool = True, **parameters: Any) -> RuleResult:
        rules = (*(base.require if keep else ()), _rule(text, by, **parameters))
        appraisal = judge(items, policy=dataclasses.replace(base, require=rules))
        (found,) = [rule for rule in appraisal.rules if rule.name == "expression"]
        return found

    return ask


def _edited(entry: Entry, *path: str | int, value: Any) -> Entry:
    return dataclasses.replace(entry, payload=chain.edited(entry.payload, path, value))


def _again(entry: Entry, payload: bytes) -> Entry:
    return dataclasses.replace(entry, payload=payload)


def test_a_policy_accepts_by_an_expression(
    judge: Judge, load: Load, policy_text: str, entries: dict[str, Entry]
) -> None:
    base = load(policy_text)
    policy = dataclasses.replace(base, require=(*base.require, _rule(ACCURATE)))
    appraisal = judge(entries.values(), policy=policy)
    assert appraisal.accepted
    found = appraisal.rules[-1]
    assert (found.kind, found.outcome, found.threshold) == ("expression", "satisfied", "true")
    assert found.observed == "true, over 1 attestation"
    assert found.signer == "auditor"
    assert found.simulated is True
    assert found.attestation is not None
    assert found.attestation.statement.payload == entries["evaluation"].payload


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        (ACCURATE.replace("0.84", "0.99"), "cel-false", "got false"),
        ('attestations.exists(a, a.evaluation.metric("f2") >= 0.84)', "cel-error", "expected one value of 'f2'"),
        ("attestations.exists(a, a.evaluation.references.size() == 0)", "cel-error", "references"),
        ("attestations[1].signer == ''", "cel-error", "index=1 size=1"),
    ],
)
def test_refusals(asked: Any, entries: dict[str, Entry], text: str, reason: str, words: str) -> None:
    found = asked(entries.values(), text)
    assert (found.outcome, found.reason, found.authentic) == ("refused", reason, True)
    assert words in found.message
    assert found.mend


def test_limits_refuse(asked: Any, entries: dict[str, Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_MAX_REQUEST_BYTES", 10)
    found = asked(entries.values(), ACCURATE)
    assert (found.outcome, found.reason) == ("refused", "cel-limits")


@pytest.mark.parametrize("text", ["true", "attestations.all(a, false)", "size(attestations) == 0"])
def test_nothing_is_evaluated_over_nothing(asked: Any, entries: dict[str, Entry], text: str) -> None:
    """Neither where nobody signed, nor where another did, nor where no quote covers it."""
    weak = dict(entries)
    del weak["evaluation"]
    found = asked(weak.values(), text)
    assert (found.outcome, found.reason, found.authentic) == ("refused", "expression-nothing", True)
    assert "expected a signature of auditor" in found.message
    weak["evaluation"] = dataclasses.replace(entries["evaluation"], signers=frozenset({"trainer"}))
    assert asked(weak.values(), text).reason == "expression-nothing"
    weak["evaluation"] = dataclasses.replace(entries["evaluation"], claims=())
    assert asked(weak.values(), text).reason == "expression-nothing"


def test_without_a_provenance_it_is_not_evaluated(asked: Any, entries: dict[str, Entry]) -> None:
    del entries["training"]
    found = asked(entries.values(), ACCURATE)
    assert (found.outcome, found.reason) == ("not-evaluated", "training-unknown")


def _good(entries: dict[str, Entry], **changes: Any) -> Entry:
    """An evaluation that would satisfy the expression, if it were to be seen."""
    manifest = changes.pop("manifest", chain.model())
    metrics = [chain.metric("accuracy", 0.999)]
    return _again(entries["evaluation"], chain.evaluated(manifest, metrics=metrics, **changes))


def _other_seed(entries: dict[str, Entry]) -> Entry:
    return _edited(_good(entries), "predicate", "seed", "value", "sha256", value="0" * 64)


def _other_digest(entries: dict[str, Entry]) -> Entry:
    """A configuration under the digest of another, with the seed of that."""
    seed = derive_seed(model=chain.model().sha256, dataset=chain.TEST, configuration="0" * 64)
    entry = _edited(_good(entries), "predicate", "configurationDigest", "sha256", value="0" * 64)
    return _edited(entry, "predicate", "seed", "value", "sha256", value=seed)


def _read_beside(entries: dict[str, Entry], *references: tuple[str, str, str, str | None]) -> Entry:
    """An evaluation that read further artifacts: role, kind, digest and schema digest of each."""
    stated = [
        {"role": role, "kind": kind, "name": role, "digest": {"sha256": sha256}}
        | ({} if schema is None else {"schemaDigest": {"sha256": schema}})
        for role, kind, sha256, schema in references
    ]
    return _edited(_good(entries), "predicate", "references", value=stated)


TRAINED_ON = ("train", "dataset", chain.TRAIN, chain.schema_digest())


@pytest.mark.parametrize(
    "references",
    [
        [("train", "dataset", "d" * 64, chain.schema_digest())],
        [("train", "dataset", chain.TRAIN, chain.schema_digest(OTHER_SCHEMA))],
        [("train", "dataset", chain.TRAIN, None)],
        [("train", "dataset", chain.TEST, chain.schema_digest())],
        [("train", "model", "d" * 64, None)],
        [("other", "dataset", "d" * 64, chain.schema_digest())],
        [TRAINED_ON, TRAINED_ON],
    ],
    ids=["unlisted", "schema", "no schema", "no ingredient", "a model", "another role", "twice"],
)
def test_what_was_read_beside_is_such_as_a_metric_rule_could_name(
    asked: Any, entries: dict[str, Entry], references: Any
) -> None:
    """An attack with any other data as those that the model was trained on finds nothing."""
    text = ACCURATE.replace("0.84", "0.99")
    baseline = ("baseline", "model", "d" * 64, None)
    for counted in ([TRAINED_ON], [baseline], [TRAINED_ON, baseline]):
        assert asked([*entries.values(), _read_beside(entries, *counted)], text).outcome == "satisfied"
    found = asked([*entries.values(), _read_beside(entries, *references)], text)
    assert (found.outcome, found.reason) == ("refused", "cel-false")


def test_listed_data_that_training_did_not_read_are_no_training_data(
    judge: Judge, load: Load, policy_text: str, entries: dict[str, Entry]
) -> None:
    base = load(policy_text)
    listed = dataclasses.replace(base.ingredients.datasets[0], name="spare", sha256="d" * 64)
    ingredients = dataclasses.replace(base.ingredients, datasets=(*base.ingredients.datasets, listed))
    rules = (*base.require, _rule(ACCURATE.replace("0.84", "0.99")))
    policy = dataclasses.replace(base, ingredients=ingredients, require=rules)
    sheet = _again(entries["train"], chain.datasheet("spare", "d" * 64, rows=9))
    for role, accepted in (("train", False), ("other", True)):
        item = _read_beside(entries, (role, "dataset", "d" * 64, chain.schema_digest()))
        assert judge([*entries.values(), sheet, item], policy=policy).accepted == accepted


@pytest.mark.parametrize(
    "make",
    [
        lambda entries: _good(entries, manifest=chain.model({"model.json": "other"})),
        lambda entries: _good(entries, dataset=("census-test", chain.TRAIN, "")),
        lambda entries: _good(entries, dataset=("census-test", "d" * 64, "")),
        lambda entries: _good(entries, dataset=("census-test", chain.TEST, chain.schema_digest(OTHER_SCHEMA))),
        _other_seed,
        _other_digest,
        lambda entries: dataclasses.replace(_good(entries), signers=frozenset({"data-owner"})),
        lambda entries: dataclasses.replace(_good(entries), claims=(chain.claims(root="f" * 64),)),
    ],
    ids=["model", "training data", "dataset", "schema", "seed", "configuration", "signer", "platform"],
)
def test_what_a_metric_rule_would_not_count_is_not_seen(asked: Any, entries: dict[str, Entry], make: Any) -> None:
    text = ACCURATE.replace("0.84", "0.99")
    assert asked([*entries.values(), _good(entries)], text).outcome == "satisfied"
    found = asked([*entries.values(), make(entries)], text)
    assert (found.outcome, found.reason) == ("refused", "cel-false")
    assert found.observed == "false, over 1 attestation"


def test_a_datasheet_under_the_digest_of_another_schema_is_not_seen(asked: Any, entries: dict[str, Entry]) -> None:
    text = "attestations.exists(a, a.dataset.schema.skipLines == 9)"
    other = _edited(entries["test"], "predicate", "schema", "skipLines", value=9)
    found = asked([*entries.values(), other], text, "data-owner")
    assert (found.reason, found.observed) == ("cel-false", "false, over 2 attestations")


def test_datasets_go_by_the_names_of_the_policy(asked: Any, entries: dict[str, Entry]) -> None:
    """A label within the evaluation decides nothing."""
    entries["evaluation"] = _edited(entries["evaluation"], "predicate", "dataset", "name", value="gold")
    assert asked(entries.values(), 'attestations.exists(a, a.read.name == "census-test")').outcome == "satisfied"
    assert asked(entries.values(), 'attestations.exists(a, a.read.name == "gold")').reason == "cel-false"


def test_only_the_provenance_of_this_model_is_seen(asked: Any, entries: dict[str, Entry]) -> None:
    """Not that of another one by the same trainer."""
    other = _again(
        entries["training"], chain.trained(chain.model({"model.json": "other"}), configuration={"epochs": 1})
    )
    text = "attestations.exists(a, a.provenance.buildDefinition.externalParameters.configuration.epochs < 5)"
    assert asked([*entries.values(), other], text, "trainer").reason == "cel-false"


def test_overlap(asked: Any, entries: dict[str, Entry]) -> None:
    text = 'lineage.overlap("census-train", "census-test") <= params.rows'
    assert asked(entries.values(), text, "data-owner", rows=23).outcome == "satisfied"
    assert asked(entries.values(), text, "data-owner", rows=22).reason == "cel-false"
    back = asked(entries.values(), 'lineage.overlap("census-test", "census-train") == 0', "data-owner")
    assert (back.reason, "no datasheet that counts compares them" in back.message) == ("cel-error", True)
    assert asked(entries.values(), text, "auditor", rows=99).reason == "cel-error"  # the auditor compared nothing


def test_an_overlap_that_two_datasheets_tell_differently_is_none(asked: Any, entries: dict[str, Entry]) -> None:
    sheet = chain.datasheet("census-test", chain.TEST, rows=16281, overlaps=[(chain.TRAIN, chain.schema_digest(), 3)])
    both = [*entries.values(), _again(entries["test"], sheet)]
    found = asked(both, 'lineage.overlap("census-train", "census-test") <= 30', "data-owner")
    assert found.reason == "cel-error"
    assert "3 and 23" in found.message


def test_an_overlap_under_another_schema_is_none(asked: Any, entries: dict[str, Entry]) -> None:
    other = chain.schema_digest(OTHER_SCHEMA)
    sheet = chain.datasheet("census-test", chain.TEST, rows=16281, overlaps=[(chain.TRAIN, other, 3)])
    entries["test"] = _again(entries["test"], sheet)
    found = asked(entries.values(), 'lineage.overlap("census-train", "census-test") <= 30', "data-owner")
    assert found.reason == "cel-error"


def test_what_was_relied_on_qualifies(judge: Judge, load: Load, policy_text: str, entries: dict[str, Entry]) -> None:
    base = load(policy_text)
    policy = dataclasses.replace(base, require=(base.require[0], _rule(ACCURATE)))
    appraisal = judge(entries.values(), policy=policy)
    payloads = {item.statement.payload for item in appraisal.qualifying}
    assert {entries["evaluation"].payload, entries["test"].payload} <= payloads


def test_one_worker_for_all_of_an_appraisal(
    judge: Judge, load: Load, policy_text: str, entries: dict[str, Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = _confined.run

    def count(*arguments: Any) -> Any:
        calls.append(1)
        return real(*arguments)

    monkeypatch.setattr(worker, "run", count)
    base = load(policy_text)
    rules = tuple(_rule(ACCURATE, name=f"rule {index}") for index in range(9))
    appraisal = judge(entries.values(), policy=dataclasses.replace(base, require=(base.require[0], *rules)))
    assert appraisal.accepted
    assert len(calls) == 1
    calls.clear()
    assert judge(entries.values(), policy=base).accepted
    assert calls == []


def test_one_descent_has_to_satisfy_all_expressions(
    judge: Judge, load: Load, policy_text: str, entries: dict[str, Entry]
) -> None:
    """Two trainings that each satisfy one of two expressions are not one that satisfies both."""
    base = load(policy_text)
    first, second = (
        _rule(f"lineage.trainings.exists(t, t.configuration.epochs {op})", "trainer", name=op) for op in ("< 5", "> 5")
    )
    quick = _again(entries["training"], chain.trained(chain.model(), configuration={"epochs": 3}))
    both = [*entries.values(), quick]
    for rule in (first, second):
        assert judge(both, policy=dataclasses.replace(base, require=(*base.require, rule))).accepted
    policy = dataclasses.replace(base, require=(*base.require, first, second))
    assert not judge(both, policy=policy).accepted


def test_order_decides_nothing(asked: Any, entries: dict[str, Entry]) -> None:
    items = [*entries.values(), _good(entries)]
    results = {
        (found.outcome, found.observed, found.attestation.statement.sha256)
        for order in itertools.islice(itertools.permutations(items), 0, 120, 30)
        for found in [asked(order, "attestations[0].evaluation.metric('accuracy') < 0.9")]
    }
    assert len(results) == 1


def _documented() -> list[tuple[str, str]]:
    text = EXPRESSIONS.read_text(encoding="utf-8")
    return re.findall(r"`([a-z-]+)`:\n\n```cel\n(.*?)```", text, re.DOTALL)


def _model_properties(entry: Entry) -> Entry:
    document = _codec.loads((EXAMPLES / "model" / "v1" / "examples" / "model.json").read_bytes())
    document["subject"] = [{"name": "census-mlp", "digest": {"sha256": chain.model().sha256}}]
    return _again(entry, _codec.dumps(document))


@pytest.fixture
def census(entries: dict[str, Entry]) -> list[Entry]:
    """The chain with what the examples of the documentation are about."""
    metrics = [
        chain.metric("accuracy", 0.855),
        chain.metric("f1", 0.66),
        chain.metric("accuracy", 0.83, rows={"sex": "Male"}),
    ]
    entries["evaluation"] = _again(entries["evaluation"], chain.evaluated(chain.model(), metrics=metrics))
    declared = {"license": "CC-BY-4.0", "source": "https://archive.ics.uci.edu/dataset/2/adult"}
    entries["train"] = _edited(entries["train"], "predicate", "declared", value=declared)
    return [*entries.values(), _model_properties(entries["evaluation"])]


def test_there_are_examples() -> None:
    text = EXPRESSIONS.read_text(encoding="utf-8")
    assert len(_documented()) == text.count("```cel\n") >= 8


@pytest.mark.parametrize(("by", "text"), _documented())
def test_examples_of_the_documentation_hold(asked: Any, census: list[Entry], by: str, text: str) -> None:
    parameters = {"min": 0.84, "epochs": 50}
    found = asked(census, text, by, **parameters)
    assert found.outcome == "satisfied", found.message


@pytest.mark.parametrize(
    ("index", "path", "value"),
    [
        (0, ("evaluation", "predicate", "metrics", 1, "value"), 0.5),
        (1, ("evaluation", "predicate", "metrics", 0, "interval", "lower"), 0.5),
        (2, ("evaluation", "predicate", "metrics", 2, "value"), 0.5),
        (3, ("model", "predicate", "severities", "code"), 1),
        (4, ("model", "predicate", "files", 0, "format"), "pickle"),
        (5, ("test", "predicate", "overlaps", 0, "rows"), 33),
        (6, ("training", "predicate", "buildDefinition", "externalParameters", "configuration", "hidden"), [1024]),
        (8, ("train", "predicate", "declared", "license"), "proprietary"),
    ],
)
def test_examples_of_the_documentation_refuse(
    asked: Any, census: list[Entry], index: int, path: tuple[str | int, ...], value: Any
) -> None:
    by, text = _documented()[index]
    names = ("train", "test", "training", "evaluation", "model")
    items = dict(zip(names, census, strict=True))
    items[str(path[0])] = _edited(items[str(path[0])], *path[1:], value=value)
    found = asked(items.values(), text, by, min=0.84, epochs=50)
    # where nothing is true, what another attestation does not have shows through
    assert (found.outcome, found.reason) == ("refused", "cel-error" if by == "auditor" else "cel-false")


def test_the_message_of_the_documentation() -> None:
    from lamslsa.errors import FormatError

    with pytest.raises(FormatError) as caught:
        compile_expression("attestations[0].evaluation.metrcs.size() > 0")
    hint = "\n".join(f"  {line}" for line in (caught.value.hint or "").splitlines())
    assert f"```\n{caught.value}\n{hint}\n```" in EXPRESSIONS.read_text(encoding="utf-8")


def test_now_is_the_time_of_the_verification(
    judge: Judge, load: Load, policy_text: str, entries: dict[str, Entry], at: dt.datetime
) -> None:
    base = load(policy_text)
    later = at + dt.timedelta(days=3)
    rule = _rule(f"now == timestamp('{later.isoformat()}') && size(attestations) > 0")
    policy = dataclasses.replace(base, require=(*base.require, rule))
    assert judge(entries.values(), policy=policy, now=later).rules[-1].outcome == "satisfied"
