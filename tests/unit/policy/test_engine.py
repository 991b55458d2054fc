"""The decision as a whole: monotonic, independent of order, and explained."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.errors import FormatError, PolicyError
from lamslsa.evidence.beacon import WitnessedLog
from lamslsa.evidence.interface import DeviceClaims
from lamslsa.evidence.verify import Freshness
from lamslsa.policy import Appraisal, Policy, RuleResult, appraise
from lamslsa.predicates import Evaluation
from lamslsa.predicates.evaluation import Interval
from lamslsa.reports import About
from lamslsa.reports import json as report
from lamslsa.testing import chain
from lamslsa.testing.beacons import Log
from lamslsa.testing.chain import Entry
from lamslsa.verification import SetAside, Verification, VerifiedAttestation

Judge = Callable[..., Appraisal]
Sealed = Callable[[Iterable[Entry]], tuple[VerifiedAttestation, ...]]

OTHER_SCHEMA = {**chain.SCHEMA, "skipLines": 9}
PARAMETERS = ("predicate", "buildDefinition", "externalParameters", "configuration")


def _rule(appraisal: Appraisal, name: str) -> RuleResult:
    (found,) = [rule for rule in appraisal.rules if rule.name == name]
    return found


def _edit(entry: Entry, *path: str | int, value: Any) -> Entry:
    return dataclasses.replace(entry, payload=chain.edited(entry.payload, path, value))


def _universe(base: Mapping[str, Entry], root: str) -> list[Entry]:
    """Attestations of every quality: enough to satisfy each rule in several ways and to miss it in several ways."""
    train, test, training, evaluation = (base[name] for name in ("train", "test", "training", "evaluation"))
    manifest = chain.model()
    other = chain.schema_digest(OTHER_SCHEMA)
    sheets = [
        chain.datasheet("census-train", chain.TRAIN, rows=9, schema=OTHER_SCHEMA),
        chain.datasheet("census-test", chain.TEST, rows=9, schema=OTHER_SCHEMA, overlaps=[(chain.TRAIN, other, 3)]),
        chain.datasheet("census-test", chain.TEST, rows=9, overlaps=[(chain.TRAIN, other, 3)]),
        chain.datasheet("census-test", chain.TEST, rows=9, overlaps=[(chain.TRAIN, chain.schema_digest(), 99)]),
    ]
    trainings = [
        chain.trained(manifest, datasets=[("census-train", chain.TRAIN, other)]),
        chain.trained(manifest, configuration={"epochs": 99}),
        chain.trained(manifest, datasets=[("census-train", chain.TRAIN, ""), ("census-test", chain.TEST, "")]),
        chain.trained(manifest, bases=[("base", "b" * 64)]),
        chain.trained(manifest, configuration={"epochs": 1, "drop": ["age"]}),
    ]
    evaluations = [
        chain.evaluated(manifest, dataset=("census-test", chain.TEST, other)),
        chain.evaluated(manifest, dataset=("census-train", chain.TRAIN, "")),
        chain.evaluated(manifest, metrics=[chain.metric("accuracy", 0.9)]),
        chain.evaluated(manifest, metrics=[chain.metric("accuracy", 0.1)]),
        chain.evaluated(manifest, configuration={"rows": 10}),
    ]
    good = [train, test, training, evaluation]
    made = [
        *(dataclasses.replace(test, payload=payload) for payload in sheets),
        *(dataclasses.replace(training, payload=payload) for payload in trainings),
        *(dataclasses.replace(evaluation, payload=payload) for payload in evaluations),
    ]
    weak = [dataclasses.replace(item, payload=item.payload + b" ", signers=frozenset({"nobody"})) for item in good]
    weak += [dataclasses.replace(item, payload=item.payload + b"  ", claims=()) for item in good]
    foreign = (chain.claims(root="f" * 64),)
    weak += [dataclasses.replace(item, payload=item.payload + b"   ", claims=foreign) for item in good]
    return [*good, *made, *weak]


@pytest.fixture(scope="module")
def universe(sealed: Sealed, root: str) -> tuple[VerifiedAttestation, ...]:
    return sealed(_universe(chain.entries(root=root), root))


@pytest.fixture(scope="module")
def decide(load: Callable[[str], Policy], policy_text: str) -> Callable[[Iterable[VerifiedAttestation]], Appraisal]:
    policy, at = load(policy_text), dt.datetime(2026, 11, 22, tzinfo=dt.UTC)

    def run(items: Iterable[VerifiedAttestation]) -> Appraisal:
        return appraise(
            policy,
            model=chain.model(),
            model_name="m",
            verification=Verification(
                trust=policy.trust_material(at=at, now=at), attestations=tuple(items), set_aside=()
            ),
            at=at,
        )

    return run


Decide = Callable[[Iterable[VerifiedAttestation]], Appraisal]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_leaving_out_an_attestation_never_accepts(
    data: st.DataObject, universe: tuple[VerifiedAttestation, ...], decide: Decide
) -> None:
    # biased towards sets that hold the good chain: else nearly everything is refused and nothing is learnt
    good = set(range(4)) if data.draw(st.booleans()) else set()
    chosen = sorted(good | data.draw(st.sets(st.integers(0, len(universe) - 1))))
    whole = decide(universe[index] for index in chosen)
    assert whole.accepted >= (set(range(4)) <= set(chosen))
    for left_out in chosen:
        part = decide(universe[index] for index in chosen if index != left_out)
        assert whole.accepted >= part.accepted


@settings(max_examples=40, deadline=None)
@given(chosen=st.sets(st.integers(0, 28)), seed=st.integers())
def test_order_decides_nothing(
    chosen: set[int], seed: int, universe: tuple[VerifiedAttestation, ...], decide: Decide
) -> None:
    items = [universe[index] for index in sorted(chosen) if index < len(universe)]
    shuffled = random.Random(seed).sample(items, len(items))
    assert decide(items) == decide(shuffled)


def test_the_other_schema_throughout_is_accepted(
    universe: tuple[VerifiedAttestation, ...], decide: Decide, entries: dict[str, Entry], judge: Judge
) -> None:
    """The universe holds a second complete chain, so the property test has more than one way to accept."""
    other = chain.schema_digest(OTHER_SCHEMA)
    manifest = chain.model()
    sheets = {
        "train": chain.datasheet("census-train", chain.TRAIN, rows=9, schema=OTHER_SCHEMA),
        "test": chain.datasheet(
            "census-test", chain.TEST, rows=9, schema=OTHER_SCHEMA, overlaps=[(chain.TRAIN, other, 3)]
        ),
        "training": chain.trained(manifest, datasets=[("census-train", chain.TRAIN, other)]),
        "evaluation": chain.evaluated(manifest, dataset=("census-test", chain.TEST, other)),
    }
    assert judge(dataclasses.replace(entries[name], payload=payload) for name, payload in sheets.items()).accepted
    digests = {item.statement.payload for item in universe}
    assert set(sheets.values()) <= digests
    assert decide(item for item in universe if item.statement.payload in sheets.values()).accepted


def test_one_provenance_and_one_schema_for_all_rules(entries: dict[str, Entry], judge: Judge) -> None:
    """Two readings of the test data, each with half of what is asked for."""
    other = chain.schema_digest(OTHER_SCHEMA)
    half = chain.datasheet(
        "census-test", chain.TEST, rows=9, schema=OTHER_SCHEMA, overlaps=[(chain.TRAIN, chain.schema_digest(), 0)]
    )
    entries["test"] = _edit(entries["test"], "predicate", "overlaps", value=[])
    entries["half"] = dataclasses.replace(entries["test"], payload=half)
    refused = judge(entries.values())
    assert not refused.accepted
    evaluation = chain.evaluated(chain.model(), dataset=("census-test", chain.TEST, other))
    entries["evaluation"] = dataclasses.replace(entries["evaluation"], payload=evaluation)
    assert judge(entries.values()).accepted


def test_accepted_says_everything(entries: dict[str, Entry], judge: Judge, at: dt.datetime) -> None:
    appraisal = judge(reversed(entries.values()))
    assert (appraisal.accepted, appraisal.exit_code, appraisal.warnings) == (True, 0, ())
    assert (appraisal.model, appraisal.at) == (chain.model().sha256, at)
    digests = [item.statement.sha256 for item in appraisal.attestations]
    assert digests == sorted(digests)
    assert [item.statement.sha256 for item in appraisal.qualifying] == digests
    assert [rule.name for rule in appraisal.rules] == [
        "training",
        "lineage",
        "ingredient: census-train",
        "accurate",
        "fair by sex",
        "accurate for black women",
        "no leakage",
    ]
    accurate = _rule(appraisal, "accurate")
    assert accurate.observed == "0.8550 (0.8500..0.8600), n=16281"
    assert accurate.threshold == ">= 0.84 (lower bound), n >= 10000"
    assert (accurate.value, accurate.signer, accurate.platform) == (0.85, "auditor", "rehearsal")
    assert (accurate.tee, accurate.simulated, accurate.authentic) == ("sgx, SIMULATED", True, True)
    assert _rule(appraisal, "fair by sex").subject == "demographic_parity_difference by sex"
    assert _rule(appraisal, "accurate for black women").subject == "accuracy of race=Black, sex=Female"
    assert _rule(appraisal, "no leakage").observed == "23 of 16281 rows"
    assert _rule(appraisal, "training").observed == "tabular-mlp/1, epochs=10"
    assert _rule(appraisal, "lineage").observed == "census-train"
    assert _rule(appraisal, "ingredient: census-train").observed == "32561 rows"


def test_qualifying_are_only_those_that_a_rule_relied_on(entries: dict[str, Entry], judge: Judge) -> None:
    good = judge(entries.values()).qualifying
    for name in list(entries):
        payload = entries[name].payload + b" "
        entries[f"{name} unquoted"] = dataclasses.replace(entries[name], payload=payload, claims=())
    entries["low"] = _edit(entries["evaluation"], "predicate", "metrics", value=[chain.metric("accuracy", 0.1)])
    appraisal = judge(entries.values())
    assert appraisal.accepted
    assert len(appraisal.attestations) == 9
    assert appraisal.qualifying == good


def test_datasheets_behind_a_rule_qualify_too(
    entries: dict[str, Entry], judge: Judge, load: Callable[[str], Policy], policy_text: str
) -> None:
    """The overlap is the auditor's word, the schemas are the data owner's: the rule relies on all three."""
    head, _, tail = policy_text.rpartition("signedBy: data-owner")
    policy = load(head + "signedBy: auditor" + tail)
    auditors = dataclasses.replace(
        entries["test"], payload=entries["test"].payload + b" ", signers=frozenset({"auditor"})
    )
    entries["test"] = _edit(entries["test"], "predicate", "overlaps", value=[])
    only_overlap = {name: entries[name] for name in ("train", "test")} | {"auditor's": auditors}
    unknown = _rule(judge(only_overlap.values(), policy=policy), "no leakage")
    assert (unknown.outcome, unknown.reason) == ("not-evaluated", "training-unknown")
    only_overlap["training"] = entries["training"]
    appraisal = judge(only_overlap.values(), policy=policy)
    assert _rule(appraisal, "no leakage").outcome == "satisfied"
    assert len(appraisal.qualifying) == 4
    only_overlap["auditor's"] = _edit(auditors, "predicate", "schema", "skip", value=16000)
    assert _rule(judge(only_overlap.values(), policy=policy), "no leakage").reason == "schema-digest"
    digest = chain.schema_digest({**chain.SCHEMA, "skip": 16000})
    only_overlap["auditor's"] = _edit(only_overlap["auditor's"], "predicate", "schemaDigest", "sha256", value=digest)
    assert _rule(judge(only_overlap.values(), policy=policy), "no leakage").reason == "schema-other"


def test_a_refused_rule_makes_nothing_qualify(entries: dict[str, Entry], judge: Judge) -> None:
    entries["evaluation"] = dataclasses.replace(entries["evaluation"], signers=frozenset({"trainer"}))
    qualifying = judge(entries.values()).qualifying
    assert not any(isinstance(item.predicate, Evaluation) for item in qualifying)


def test_without_training_nothing_of_the_model_qualifies(entries: dict[str, Entry], judge: Judge) -> None:
    del entries["training"]
    appraisal = judge(entries.values())
    assert not any(isinstance(item.predicate, Evaluation) for item in appraisal.qualifying)
    assert _rule(appraisal, "accurate").observed == "0.8550 (0.8500..0.8600), n=16281"


def test_some_quote_and_some_signature_suffice(entries: dict[str, Entry], judge: Judge, root: str) -> None:
    """Evidence is looked at by digest: among so many strange quotes the good one is neither first nor last."""
    strange = [chain.claims(root=digit * 64) for digit in "0123456789abcdef"]
    changed = {
        name: dataclasses.replace(
            entry, claims=(*strange, chain.claims(root=root)), signers=entry.signers | {"stranger"}
        )
        for name, entry in entries.items()
    }
    assert judge(changed.values()).accepted


def test_no_two_quotes_make_one_good_one(entries: dict[str, Entry], judge: Judge, root: str) -> None:
    halves = (chain.claims(root=root, tcb_status="OutOfDate"), chain.claims(root="f" * 64))
    entries["evaluation"] = dataclasses.replace(entries["evaluation"], claims=halves)
    assert _rule(judge(entries.values()), "accurate").outcome == "refused"


def test_platforms_that_accept_any_code_are_a_warning_where_rules_name_them(
    entries: dict[str, Entry], judge: Judge, load: Callable[[str], Policy], policy_text: str
) -> None:
    lax = policy_text.replace(
        "  platforms:\n", "  platforms:\n    lax: {tee: [sgx], tcb: [UpToDate], unsafeAnyMeasurement: true}\n"
    )
    assert judge(entries.values(), policy=load(lax)).warnings == ()
    warning = ("platform lax accepts any measurement: nothing says which code measured",)
    for part in ("training: {signedBy: trainer, ", "signedBy: auditor\n    "):
        assert part in lax
        named = lax.replace(f"{part}platform: rehearsal", f"{part}platform: lax")
        assert judge(entries.values(), policy=load(named)).warnings == warning
    named = lax.replace("signedBy: data-owner, platform: rehearsal", "signedBy: data-owner, platform: lax")
    assert judge(entries.values(), policy=load(named)).warnings == warning


def test_a_quote_that_covers_other_bytes_is_none(entries: dict[str, Entry], sealed: Sealed, decide: Decide) -> None:
    """Verification attaches no such evidence; the decision looks again."""
    items = [
        dataclasses.replace(
            item, evidence=tuple(dataclasses.replace(evidence, covers=("0" * 64,)) for evidence in item.evidence)
        )
        for item in sealed(entries.values())
    ]
    appraisal = decide(items)
    assert appraisal.exit_code == 4
    assert {rule.reason for rule in appraisal.rules if rule.outcome == "refused"} == {"evidence-missing"}


@pytest.mark.parametrize("end", ["value", "lower", "upper"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_satisfy_nothing(
    entries: dict[str, Entry], sealed: Sealed, decide: Decide, end: str, number: float
) -> None:
    """Strict JSON lets none of these in; the decision does not rest on that."""
    items = []
    for item in sealed(entries.values()):
        predicate = item.predicate
        if isinstance(predicate, Evaluation):
            metrics = []
            for metric in predicate.metrics:
                interval = metric.interval
                assert interval is not None
                broken: Interval = msgspec.structs.replace(interval, **({} if end == "value" else {end: number}))
                metrics.append(
                    msgspec.structs.replace(metric, interval=broken, **({"value": number} if end == "value" else {}))
                )
            predicate = msgspec.structs.replace(predicate, metrics=tuple(metrics))
        items.append(dataclasses.replace(item, predicate=predicate))
    appraisal = decide(items)
    assert _rule(appraisal, "accurate").outcome == "refused"
    assert _rule(appraisal, "fair by sex").outcome == "refused"
    if end == "value":
        assert _rule(appraisal, "accurate for black women").outcome == "refused"


def test_limits_are_inclusive(entries: dict[str, Entry], judge: Judge) -> None:
    interval = ("predicate", "metrics", 0, "interval")
    entries["evaluation"] = _edit(entries["evaluation"], *interval, "lower", value=0.84)
    entries["evaluation"] = _edit(entries["evaluation"], *interval, "upper", value=0.84)
    entries["evaluation"] = _edit(entries["evaluation"], "predicate", "metrics", 0, "samples", value=10000)
    entries["evaluation"] = _edit(entries["evaluation"], "predicate", "metrics", 1, "interval", "upper", value=0.2)
    entries["test"] = _edit(entries["test"], "predicate", "overlaps", 0, "rows", value=30)
    entries["training"] = _edit(entries["training"], *PARAMETERS, "epochs", value=50)
    assert judge(entries.values()).accepted


def test_a_value_just_past_a_limit_is_shown_in_full(entries: dict[str, Entry], judge: Judge) -> None:
    value = 0.83999999
    entries["evaluation"] = _edit(entries["evaluation"], "predicate", "metrics", 0, "interval", "lower", value=value)
    rule = _rule(judge(entries.values()), "accurate")
    assert rule.reason == "threshold-missed"
    assert "0.83999999" in rule.message
    assert rule.observed == "0.8550 (0.83999999..0.8600), n=16281"


class TestNearestMiss:
    def test_a_missed_threshold_is_nearer_than_another_signer(self, entries: dict[str, Entry], judge: Judge) -> None:
        good = entries["evaluation"]
        entries["evaluation"] = dataclasses.replace(good, signers=frozenset({"trainer"}))
        entries["low"] = _edit(good, "predicate", "metrics", 0, "interval", "lower", value=0.7)
        rule = _rule(judge(entries.values()), "accurate")
        assert (rule.reason, rule.value, rule.signer) == ("threshold-missed", 0.7, "auditor")

    def test_another_signer_is_nearer_than_another_dataset(self, entries: dict[str, Entry], judge: Judge) -> None:
        good = entries["evaluation"]
        entries["evaluation"] = dataclasses.replace(good, signers=frozenset({"trainer"}))
        entries["elsewhere"] = _edit(good, "predicate", "dataset", "digest", "sha256", value="8" * 64)
        rule = _rule(judge(entries.values()), "accurate")
        assert (rule.reason, rule.signer) == ("signer-other", "trainer")

    def test_the_smaller_gap_is_nearer(self, entries: dict[str, Entry], judge: Judge) -> None:
        good = entries["evaluation"]
        for index, lower in enumerate((0.1, 0.7, 0.3)):
            entries[f"e{index}"] = _edit(good, "predicate", "metrics", 0, "interval", "lower", value=lower)
        del entries["evaluation"]
        assert _rule(judge(entries.values()), "accurate").value == 0.7

    def test_the_smaller_gap_is_nearer_above_a_limit_too(self, entries: dict[str, Entry], judge: Judge) -> None:
        good = entries["evaluation"]
        for index, upper in enumerate((0.9, 0.3, 0.5)):
            entries[f"e{index}"] = _edit(good, "predicate", "metrics", 1, "interval", "upper", value=upper)
        del entries["evaluation"]
        assert _rule(judge(entries.values()), "fair by sex").value == 0.3

    def test_values_on_other_data_are_not_compared(self, entries: dict[str, Entry], judge: Judge) -> None:
        low = _edit(entries["evaluation"], "predicate", "metrics", 0, "interval", "lower", value=0.1)
        entries["evaluation"] = _edit(low, "predicate", "dataset", "digest", "sha256", value="8" * 64)
        rule = _rule(judge(entries.values()), "accurate")
        assert rule.reason == "dataset-other"
        assert "lower bound" not in rule.message

    def test_what_is_authentic_is_nearer_than_what_is_not(self, entries: dict[str, Entry], judge: Judge) -> None:
        good = entries["evaluation"]
        entries["evaluation"] = dataclasses.replace(good, claims=())
        entries["elsewhere"] = _edit(good, "predicate", "dataset", "digest", "sha256", value="8" * 64)
        appraisal = judge(entries.values())
        assert _rule(appraisal, "accurate").reason == "dataset-other"
        assert appraisal.exit_code == 5

    def test_everything_that_is_missing_is_said(self, entries: dict[str, Entry], judge: Judge) -> None:
        low = _edit(entries["evaluation"], "predicate", "metrics", 0, "interval", "lower", value=0.7)
        entries["evaluation"] = dataclasses.replace(low, signers=frozenset({"trainer"}))
        rule = _rule(judge(entries.values()), "accurate")
        assert rule.reason == "signer-other"
        assert rule.message == (
            "expected a signature of auditor, got one of trainer; also expected accuracy >= 0.84 (lower bound), "
            "n >= 10000, got 0.7000"
        )
        assert rule.mend.startswith("have auditor publish the run with its own credential; ")

    def test_metrics_that_are_there_are_named(self, entries: dict[str, Entry], judge: Judge) -> None:
        entries["evaluation"] = _edit(entries["evaluation"], "predicate", "metrics", 1, "groups", value=["race"])
        rule = _rule(judge(entries.values()), "fair by sex")
        assert "'demographic_parity_difference by race'" in rule.message
        entries["evaluation"] = _edit(entries["evaluation"], "predicate", "metrics", value=[])
        rule = _rule(judge(entries.values()), "fair by sex")
        assert rule.message.endswith("got other metrics")

    def test_a_refused_datasheet_says_why(self, entries: dict[str, Entry], judge: Judge) -> None:
        entries["test"] = dataclasses.replace(entries["test"], signers=frozenset({"trainer"}))
        rule = _rule(judge(entries.values()), "accurate")
        assert rule.reason == "datasheet-refused"
        assert "expected a signature of data-owner, got one of trainer" in rule.message

    def test_what_is_not_authentic_is_the_reason(self, entries: dict[str, Entry], judge: Judge) -> None:
        """It decides the exit code, whatever else is wrong with the same attestation."""
        train = {"name": "census-train", "digest": {"sha256": chain.TRAIN}, "schemaDigest": {"sha256": "0" * 64}}
        evaluation = _edit(entries["evaluation"], "predicate", "dataset", value=train)
        entries["evaluation"] = dataclasses.replace(evaluation, claims=())
        appraisal = judge(entries.values())
        assert (_rule(appraisal, "accurate").reason, appraisal.exit_code) == ("evidence-missing", 4)

    def test_the_platform_is_named_only_when_it_is_met(self, entries: dict[str, Entry], judge: Judge) -> None:
        signers = frozenset({"trainer"})
        entries["evaluation"] = dataclasses.replace(entries["evaluation"], signers=signers)
        assert _rule(judge(entries.values()), "accurate").platform == "rehearsal"
        entries["evaluation"] = dataclasses.replace(entries["evaluation"], claims=(chain.claims(root="f" * 64),))
        rule = _rule(judge(entries.values()), "accurate")
        assert (rule.platform, rule.tee, rule.simulated) == (None, "sgx, SIMULATED", True)

    def test_hardware_is_not_called_simulated(self, entries: dict[str, Entry], judge: Judge) -> None:
        claims = (chain.claims(root="f" * 64, simulated=False),)
        entries["evaluation"] = dataclasses.replace(entries["evaluation"], claims=claims)
        rule = _rule(judge(entries.values()), "accurate")
        assert (rule.tee, rule.simulated) == ("sgx", False)

    def test_bundles_set_aside_are_pointed_at(self, judge: Judge) -> None:
        aside = SetAside(source="x", reason="signature", message="expected …, got …")
        appraisal = judge([], set_aside=(aside,))
        assert appraisal.set_aside == (aside,)
        for name in ("training", "accurate", "no leakage"):
            assert "1 of the bundles here is not authentic" in _rule(appraisal, name).message


def test_the_line_to_add_is_one_yaml_entry_whatever_the_name(entries: dict[str, Entry], judge: Judge) -> None:
    name = 'x}\n- {name: evil, "a\x1b[2J'
    payload = chain.trained(chain.model(), datasets=[("census-train", chain.TRAIN, ""), (name, "3" * 64, "")])
    entries["training"] = dataclasses.replace(entries["training"], payload=payload)
    rule = _rule(judge(entries.values()), "lineage")
    line = rule.mend.partition("ingredients.datasets:\n")[2]
    assert "\n" not in rule.message + line
    assert "\x1b" not in rule.message + rule.mend
    assert yaml.safe_load(line) == [
        {
            "name": name,
            "digest": f"sha256:{'3' * 64}",
            "datasheet": {"signedBy": "data-owner", "platform": "rehearsal"},
        }
    ]


def test_many_differences_are_cut_short(entries: dict[str, Entry], judge: Judge) -> None:
    model = chain.model({"model.safetensors": "weights", **{f"extra{index}": "x" for index in range(9)}})
    message = _rule(judge(entries.values(), model=model), "training").message
    assert "'model.json' is missing" in message
    assert message.endswith("and 5 more")


def test_the_likest_model_is_compared(entries: dict[str, Entry], judge: Judge) -> None:
    far = chain.model({"other.bin": "x"})
    entries["far"] = dataclasses.replace(entries["evaluation"], payload=chain.evaluated(far))
    model = chain.model({"model.json": "{}", "renamed.safetensors": "weights"})
    message = _rule(judge(entries.values(), model=model), "accurate").message
    assert "'model.safetensors' is now 'renamed.safetensors'" in message


def test_another_model_does_not_hide_what_is_missing(entries: dict[str, Entry], judge: Judge) -> None:
    """Attestations of another model are the reason only where nothing of this kind is about this one."""
    other = chain.model({"other.bin": "x"})
    evaluation = dataclasses.replace(entries["evaluation"], payload=chain.evaluated(other))
    training = dataclasses.replace(entries["training"], payload=chain.trained(other))
    ours = {name: entries[name] for name in ("train", "test", "evaluation")}
    assert _rule(judge([*ours.values(), evaluation]), "training").reason == "training-missing"
    assert _rule(judge([*ours.values(), training]), "training").reason == "model-other"
    ours = {name: entries[name] for name in ("train", "test", "training")}
    assert _rule(judge([*ours.values(), training]), "accurate").reason == "evaluation-missing"
    rule = _rule(judge([*ours.values(), evaluation]), "accurate")
    assert rule.reason == "model-other"
    assert rule.attestation is not None
    assert rule.attestation.statement.payload == evaluation.payload


def test_a_dataset_is_no_model(entries: dict[str, Entry], judge: Judge) -> None:
    with pytest.raises(FormatError) as caught:
        judge(entries.values(), model=Manifest.of("dataset", [FileEntry(path="a", sha256="0" * 64, size=1)]))
    assert caught.value.reason == "artifact-kind"


def test_an_expired_policy_decides_nothing(entries: dict[str, Entry], judge: Judge) -> None:
    with pytest.raises(PolicyError) as caught:
        judge(entries.values(), at=dt.datetime(2027, 6, 30, tzinfo=dt.UTC))
    assert caught.value.reason == "policy-expired"


def test_an_appraisal_has_no_truth_value(entries: dict[str, Entry], judge: Judge) -> None:
    with pytest.raises(TypeError, match="accepted"):
        bool(judge(entries.values()))


def test_agreeing_provenances_are_no_conflict(entries: dict[str, Entry], judge: Judge) -> None:
    entries["again"] = dataclasses.replace(entries["training"], payload=entries["training"].payload + b" ")
    appraisal = judge(entries.values())
    assert (appraisal.accepted, appraisal.warnings) == (True, ())


def test_what_was_verified_under_another_policy_is_a_bug_of_the_caller(
    load: Callable[[str], Policy], policy_text: str, at: dt.datetime
) -> None:
    policy, other = load(policy_text), load(policy_text)
    later = at + dt.timedelta(seconds=1)
    for trust in (other.trust_material(at=at, now=at), policy.trust_material(at=later, now=later)):
        verification = Verification(trust=trust, attestations=(), set_aside=())
        with pytest.raises(ValueError, match="this policy's trust material"):
            appraise(policy, model=chain.model(), model_name="m", verification=verification, at=at)


class TestAge:
    @pytest.fixture
    def aged(self, load: Callable[[str], Policy], policy_text: str) -> Policy:
        return load(policy_text.replace("    samples: {min: 10000}\n", "    maxAge: 10d\n"))

    @staticmethod
    def made(entry: Entry, at: dt.datetime | None, message: str = "") -> Entry:
        return dataclasses.replace(entry, freshness=Freshness(not_before=at, message=message))

    def test_in_words(self, entries: dict[str, Entry], judge: Judge, aged: Policy, at: dt.datetime) -> None:
        entries["evaluation"] = self.made(entries["evaluation"], None, "the nonce is no beacon")
        rule = _rule(judge(entries.values(), policy=aged), "accurate")
        assert (
            rule.message == "expected a quote of at most 10 d, got one that may be of any age: the nonce is no beacon"
        )
        entries["evaluation"] = self.made(entries["evaluation"], at - dt.timedelta(days=10, hours=2, minutes=3))
        rule = _rule(judge(entries.values(), policy=aged), "accurate")
        assert rule.message == "expected a quote of at most 10 d, got one that may be 10 d 2 h 3 min old"
        assert (rule.platform, rule.authentic) == ("rehearsal", True), "the platform is met, the age is not"

    def test_it_is_judged_as_of_now(
        self, entries: dict[str, Entry], judge: Judge, aged: Policy, at: dt.datetime
    ) -> None:
        """Looking back at certificates makes no evidence younger."""
        entries["evaluation"] = self.made(entries["evaluation"], at)
        for days, outcome in ((10, "satisfied"), (11, "refused")):
            appraisal = judge(entries.values(), policy=aged, now=at + dt.timedelta(days=days))
            assert _rule(appraisal, "accurate").outcome == outcome
            assert (appraisal.at, appraisal.now) == (at, at + dt.timedelta(days=days))

    def test_one_quote_has_to_meet_platform_and_age(
        self, sealed: Sealed, entries: dict[str, Entry], aged: Policy, root: str, at: dt.datetime
    ) -> None:
        young = self.made(entries["evaluation"], at)
        elsewhere = dataclasses.replace(young, claims=(chain.claims(root="f" * 64),))

        def outcome(*quotes: Entry) -> str:
            together = tuple(evidence for item in sealed(quotes) for evidence in item.evidence)
            others = sealed(entry for name, entry in entries.items() if name != "evaluation")
            item = dataclasses.replace(sealed([young])[0], evidence=together)
            trust = aged.trust_material(at=at, now=at)
            verification = Verification(trust=trust, attestations=(*others, item), set_aside=())
            appraisal = appraise(aged, model=chain.model(), model_name="m", verification=verification, at=at)
            return _rule(appraisal, "accurate").outcome

        old = self.made(dataclasses.replace(young, claims=(chain.claims(root=root, platform_id="11"),)), None)
        assert outcome(young, old) == outcome(old, young) == "satisfied"
        assert outcome(old, elsewhere) == outcome(elsewhere, old) == "refused"

    def test_leaving_out_the_source_refuses(
        self, entries: dict[str, Entry], judge: Judge, aged: Policy, at: dt.datetime
    ) -> None:
        assert not judge(entries.values(), policy=aged).accepted
        entries["evaluation"] = self.made(entries["evaluation"], at)
        assert judge(entries.values(), policy=aged).accepted


def test_a_policy_expires_now_whatever_is_looked_back_at(
    entries: dict[str, Entry], sealed: Sealed, load: Callable[[str], Policy], policy_text: str, at: dt.datetime
) -> None:
    policy = load(policy_text)
    assert policy.expires is not None
    trust = dataclasses.replace(policy.trust_material(at=at, now=at), now=policy.expires)
    verification = Verification(trust=trust, attestations=sealed(entries.values()), set_aside=())
    with pytest.raises(PolicyError):
        appraise(policy, model=chain.model(), model_name="m", verification=verification, at=at)


def test_trust_with_other_sources_is_not_that_of_the_policy(
    load: Callable[[str], Policy], policy_text: str, at: dt.datetime
) -> None:
    policy = load(policy_text)
    trust = policy.trust_material(at=at, now=at)
    source = WitnessedLog.load(Log(witnesses=1).policy())
    for other in (dataclasses.replace(trust, beacons=(source,)), dataclasses.replace(trust, manifests=(b"x",))):
        verification = Verification(trust=other, attestations=(), set_aside=())
        with pytest.raises(ValueError, match="this policy's trust material"):
            appraise(policy, model=chain.model(), model_name="m", verification=verification, at=at)


def test_what_a_platform_gives_up_is_a_warning(
    entries: dict[str, Entry], judge: Judge, load: Callable[[str], Policy], policy_text: str
) -> None:
    text = policy_text.replace("simulated: true,", "simulated: true, unsafeAsOfOnly: true,")
    entries = {name: dataclasses.replace(entry, standing=None) for name, entry in entries.items()}
    appraisal = judge(entries.values(), policy=load(text))
    assert appraisal.accepted
    assert appraisal.warnings == ("platform rehearsal is not judged as of now: what was revoked since goes unnoticed",)


def test_minimums_that_ask_nothing_are_a_warning(
    entries: dict[str, Entry], judge: Judge, load: Callable[[str], Policy], policy_text: str
) -> None:
    zeros = "{bootloader: 0, tee: 0, snp: 0, microcode: 0}"
    for minimums, lines in (
        (f"{{turin: {zeros}, genoa: {zeros}}}", ["genoa", "turin"]),
        (f"{{milan: {zeros}, genoa: {zeros.replace('snp: 0', 'snp: 1')}}}", ["milan"]),
        (f"{{turin: {zeros.replace('{', '{fmc: 1, ')}}}", []),
    ):
        text = policy_text.replace("tee: [sgx], simulated", f"tee: [sgx, snp], minSvns: {{snp: {minimums}}}, simulated")
        appraisal = judge(entries.values(), policy=load(text))
        assert appraisal.accepted
        assert appraisal.warnings == tuple(
            f"platform rehearsal asks nothing of the firmware of SEV-SNP on {line}: every minimum is 0"
            for line in lines
        )


GPU_TERMS = "gpu: {architectures: [hopper], goldenValues: unsafeNotCompared"


@pytest.mark.parametrize(
    ("simulated", "terms", "expected"),
    [
        ((True, True), "", ("tdx, 2 GPU not judged, SIMULATED", True)),
        ((True, True), f"{GPU_TERMS}, roots: [simulated-root.pem]}}", ("tdx, 2 GPU, SIMULATED", True)),
        ((True, False), f"{GPU_TERMS}, roots: [simulated-root.pem]}}", ("tdx, 2 GPU, SIMULATED", True)),
        ((False, True), "", ("tdx, 2 GPU not judged", False)),
        ((False, True), f"{GPU_TERMS}}}", ("tdx, 2 GPU, SIMULATED", True)),
        ((False, False), "", ("tdx, 2 GPU not judged", False)),
        ((False, False), f"{GPU_TERMS}}}", ("tdx, 2 GPU", False)),
    ],
)
def test_devices_stand_beside_the_tee(
    entries: dict[str, Entry],
    judge: Judge,
    load: Callable[[str], Policy],
    policy_text: str,
    root: str,
    simulated: tuple[bool, bool],
    terms: str,
    expected: tuple[str, bool],
) -> None:
    """Devices count where the platform has terms for them: whoever reads "1 GPU" takes it for judged."""
    gpu = DeviceClaims(
        kind="nvidia-gpu",
        simulated=simulated[1],
        root=root,
        device_id="ab" * 32,
        architecture="hopper",
        driver_version="1",
        vbios_version="2",
        golden_values="not compared",
    )
    devices = (dataclasses.replace(gpu, simulated=False), gpu)
    parts = {**dict.fromkeys(("mrTd", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mrConfigId"), "0" * 96),
             "tdAttributes": "0" * 16, "xfam": "0" * 16}  # fmt: skip
    claims = chain.claims(root=root, tee="tdx", simulated=simulated[0], measurement=parts, devices=devices)
    entries["evaluation"] = dataclasses.replace(entries["evaluation"], claims=(claims,))
    rooted = "simulated: true, roots: [simulated-root.pem], " if simulated[0] else ""
    tried = f"    tried: {{tee: [tdx], tcb: [UpToDate], {rooted}unsafeAnyMeasurement: true, {terms}}}\n"
    text = policy_text.replace("  platforms:\n", f"  platforms:\n{tried}")
    text = text.replace("signedBy: auditor\n    platform: rehearsal", "signedBy: auditor\n    platform: tried")
    appraisal = judge(entries.values(), policy=load(text))
    rule = _rule(appraisal, "accurate")
    assert (rule.tee, rule.simulated) == expected
    refused = simulated[1] and not simulated[0] and terms
    assert rule.reason == ("gpu-simulated" if refused else None)
    document = report.values(appraisal, About())
    (evidence,) = next(item["evidence"] for item in document["attestations"] if item["evidence"][0]["devices"])
    assert evidence["devices"][0]["goldenValues"] == "not compared"
    assert evidence["standing"] == {"revoked": False, "advisories": []}
    assert evidence["notBefore"] is None
