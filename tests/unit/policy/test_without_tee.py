"""The explicit way out: a platform that is no TEE, where a signature is enough, and what it never gives."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest

from lamslsa import statement
from lamslsa.cards._build import build
from lamslsa.errors import FormatError
from lamslsa.evidence import Vouched
from lamslsa.evidence import appraise as appraise_platform
from lamslsa.evidence.verify import Freshness
from lamslsa.policy import Appraisal, Policy, RuleResult, appraise
from lamslsa.predicates import VerificationSummary
from lamslsa.predicates import parse as parse_predicate
from lamslsa.reports import About, Format, render
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry
from lamslsa.verification import Verification, VerifiedEvidence

Judge = Callable[..., Appraisal]
Load = Callable[[str], Policy]

REHEARSAL = "    rehearsal: {tee: [sgx]"
OFFICE = "    office: {unsafeNoEvidence: true}\n"
TRAINING = "training: {signedBy: trainer, platform: rehearsal"
DATASHEET = "datasheet: {signedBy: data-owner, platform: rehearsal}"
WARNING = "platform office is no TEE: what was made there is the word of whoever signed it, and no more"


def with_office(text: str, *, of: str = TRAINING) -> str:
    """The base policy, with ``of`` asked for without a TEE."""
    return text.replace(REHEARSAL, OFFICE + REHEARSAL).replace(of, of.replace("rehearsal", "office"))


def bare(entry: Entry, **changes: Any) -> Entry:
    """The same statement without a quote."""
    return dataclasses.replace(entry, claims=(), **changes)


def rule_of(appraisal: Appraisal, name: str) -> RuleResult:
    (found,) = [rule for rule in appraisal.rules if rule.name == name]
    return found


@pytest.fixture
def office(load: Load, policy_text: str) -> Policy:
    """Whoever trains needs no TEE."""
    return load(with_office(policy_text))


@pytest.fixture
def unquoted(entries: dict[str, Entry]) -> dict[str, Entry]:
    """The chain, with a training that nothing but a signature vouches for."""
    return {**entries, "training": bare(entries["training"])}


def test_a_signature_is_enough_and_the_verdict_says_so(
    judge: Judge, office: Policy, unquoted: dict[str, Entry]
) -> None:
    appraisal = judge(unquoted.values(), policy=office)
    assert appraisal.accepted, [rule.message for rule in appraisal.rules if rule.reason]
    training, accurate = rule_of(appraisal, "training"), rule_of(appraisal, "accurate")
    assert (training.tee, training.simulated, training.without_tee) == ("none", None, True)
    assert (training.signer, training.platform) == ("trainer", "office")
    assert (accurate.tee, accurate.without_tee) == ("sgx, SIMULATED", False)
    assert training.attestation is not None
    assert appraisal.by_signature_alone == {training.attestation.statement.sha256}
    assert appraisal.without_tee
    assert WARNING in appraisal.warnings


def test_no_rule_about_it_says_nothing(judge: Judge, load: Load, policy_text: str, entries: dict[str, Entry]) -> None:
    appraisal = judge(entries.values(), policy=load(policy_text.replace(REHEARSAL, OFFICE + REHEARSAL)))
    assert (appraisal.accepted, appraisal.without_tee, appraisal.warnings) == (True, False, ())


@pytest.mark.parametrize("name", ["train", "test", "evaluation"])
def test_no_rule_that_names_a_tee_is_satisfied(
    judge: Judge, office: Policy, unquoted: dict[str, Entry], name: str
) -> None:
    appraisal = judge({**unquoted, name: bare(unquoted[name])}.values(), policy=office)
    reasons = {rule.reason for rule in appraisal.rules if rule.outcome == "refused"}
    assert (appraisal.exit_code, reasons <= {"evidence-missing", "datasheet-missing"}) == (4, True), reasons


def test_of_another_signer_is_refused(judge: Judge, office: Policy, unquoted: dict[str, Entry]) -> None:
    changed = {**unquoted, "training": bare(unquoted["training"], signers=frozenset({"auditor"}))}
    rule = rule_of(judge(changed.values(), policy=office), "training")
    assert (rule.outcome, rule.reason, rule.tee, rule.without_tee) == ("refused", "signer-other", "none", True)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"simulated": False, "root": "9" * 64},
        {"tcb_status": "Revoked"},
        {"debug": True},
        {"measurement": {**chain.claims(root="0" * 64).measurement, "mrEnclave": "7" * 64}},
    ],
)
def test_quotes_are_not_looked_at_and_gain_nothing(
    judge: Judge, office: Policy, entries: dict[str, Entry], root: str, changes: dict[str, Any]
) -> None:
    """Good or bad, of hardware or simulated: the TEE reads none, and on the card no quote of it is verified."""
    quoted = dataclasses.replace(entries["training"], claims=(chain.claims(**{"root": root, **changes}),))
    appraisal = judge({**entries, "training": quoted}.values(), policy=office)
    assert appraisal.accepted
    training = rule_of(appraisal, "training")
    assert (training.tee, training.simulated, training.without_tee) == ("none", None, True)
    card = build(appraisal)
    (source,) = (item.source for item in card.trainings.shown)
    assert (source.standing, source.tee) == ("verified", "none")
    assert all(one.standing == "unverified" for one in card.evidence.shown if _covers_training(one, appraisal))


def _covers_training(one: Any, appraisal: Appraisal) -> bool:
    attestation = rule_of(appraisal, "training").attestation
    assert attestation is not None
    return one.statement in {evidence.statement for evidence in attestation.evidence} - {
        evidence.statement for item in appraisal.attestations if item is not attestation for evidence in item.evidence
    }


def test_what_has_a_tee_for_another_rule_keeps_it(
    judge: Judge, load: Load, policy_text: str, entries: dict[str, Entry]
) -> None:
    """One rule about the evaluation asks for a TEE and another does not: its quote was judged."""
    head, _, tail = policy_text.rpartition("    signedBy: auditor\n    platform: rehearsal\n")
    text = f"{head}    signedBy: auditor\n    platform: office\n{tail}".replace(REHEARSAL, OFFICE + REHEARSAL)
    appraisal = judge(entries.values(), policy=load(text))
    assert appraisal.accepted
    assert rule_of(appraisal, "accurate").tee == "sgx, SIMULATED"
    assert rule_of(appraisal, "accurate for black women").tee == "none"
    assert (appraisal.by_signature_alone, appraisal.without_tee) == (frozenset(), True)


class TestWhatIsStillHashed:
    """Where a signature is enough, what a statement says of itself is looked at as closely."""

    def test_schema_of_a_datasheet(self, judge: Judge, load: Load, policy_text: str, entries: dict[str, Entry]) -> None:
        policy = load(with_office(policy_text, of=DATASHEET))
        sheets = {name: bare(entries[name]) for name in ("train", "test")}
        own = with_office(policy_text, of=DATASHEET).replace(
            "    signedBy: data-owner\n    platform: rehearsal", "    signedBy: data-owner\n    platform: office"
        )
        assert judge({**entries, **sheets}.values(), policy=load(own)).accepted
        forged = chain.edited(entries["train"].payload, ["predicate", "schema", "skipLines"], 2)
        changed = {**entries, **sheets, "train": dataclasses.replace(sheets["train"], payload=forged)}
        rule = rule_of(judge(changed.values(), policy=policy), "ingredient: census-train")
        assert (rule.outcome, rule.reason) == ("refused", "schema-digest")

    def test_configuration_of_an_evaluation(
        self, judge: Judge, load: Load, policy_text: str, entries: dict[str, Entry]
    ) -> None:
        text = with_office(policy_text, of="    signedBy: auditor\n    platform: rehearsal")
        forged = chain.edited(entries["evaluation"].payload, ["predicate", "configuration", "threshold"], 0.9)
        for payload, accepted in ((entries["evaluation"].payload, True), (forged, False)):
            evaluation = dataclasses.replace(bare(entries["evaluation"]), payload=payload)
            appraisal = judge({**entries, "evaluation": evaluation}.values(), policy=load(text))
            assert appraisal.accepted is accepted
        assert rule_of(appraisal, "accurate").reason == "configuration-other"

    def test_configuration_before_an_expression(
        self, judge: Judge, load: Load, policy_text: str, entries: dict[str, Entry]
    ) -> None:
        rule = (
            "  - {name: asked, cel: 'attestations.exists(a, has(a.evaluation))', signedBy: auditor, platform: office}\n"
        )
        policy = load(policy_text.replace(REHEARSAL, OFFICE + REHEARSAL) + rule)
        forged = chain.edited(entries["evaluation"].payload, ["predicate", "configuration", "threshold"], 0.9)
        found = []
        for payload in (entries["evaluation"].payload, forged):
            evaluation = dataclasses.replace(bare(entries["evaluation"]), payload=payload)
            appraisal = judge({**entries, "evaluation": evaluation}.values(), policy=policy)
            found.append(rule_of(appraisal, "asked"))
        assert [rule.outcome for rule in found] == ["satisfied", "refused"]
        assert (found[0].tee, found[1].reason) == ("none", "expression-nothing")


class TestReading:
    @pytest.mark.parametrize(
        "beside",
        [
            "tee: [sgx]",
            "simulated: true",
            "roots: [simulated-root.pem]",
            "tcb: [UpToDate]",
            "unsafeAnyMeasurement: true",
            "platformIds: [00ff]",
        ],
    )
    def test_nothing_of_a_tee_beside_it(self, load: Load, policy_text: str, beside: str) -> None:
        text = with_office(policy_text).replace("unsafeNoEvidence: true", f"unsafeNoEvidence: true, {beside}")
        with pytest.raises(FormatError, match=r"^policy.yaml:\d+:\d+: ") as caught:
            load(text)
        assert caught.value.reason == "yaml-unknown-key"

    def test_false_is_no_way_to_ask_for_a_quote(self, load: Load, policy_text: str) -> None:
        with pytest.raises(FormatError) as caught:
            load(with_office(policy_text).replace("unsafeNoEvidence: true", "unsafeNoEvidence: false"))
        assert caught.value.reason == "policy-platform"

    def test_no_quote_has_no_age(self, load: Load, policy_text: str) -> None:
        text = with_office(policy_text).replace("platform: office", "platform: office, maxAge: 30d")
        with pytest.raises(FormatError, match="whose age could count") as caught:
            load(text)
        assert caught.value.reason == "policy-platform"


def test_no_quote_meets_its_terms(office: Policy, root: str, at: dt.datetime) -> None:
    """Were the engine to ask a quote all the same, every quote would be refused."""
    for claims in (chain.claims(root=root), chain.claims(root=root, simulated=False)):
        evidence = VerifiedEvidence(
            claims=claims,
            statement="0" * 64,
            covers=(),
            as_of=at,
            standing=None,
            standing_message="",
            freshness=Freshness(),
        )
        terms, vouched = office.platforms["office"], Vouched(predicate_type="https://slsa.dev/provenance/v1")
        refusals = appraise_platform(evidence, terms, now=at, statement=vouched)
        assert "platform-tee" in {refusal.reason for refusal in refusals}


class TestReports:
    @pytest.fixture
    def accepted(self, judge: Judge, office: Policy, unquoted: dict[str, Entry]) -> Appraisal:
        return judge(unquoted.values(), policy=office)

    def shown(self, appraisal: Appraisal, word: Format) -> str:
        return render(appraisal, format=word, about=About()).decode()

    @pytest.mark.parametrize("word", ["text", "markdown"])
    def test_people_read_it_before_the_verdict(self, accepted: Appraisal, word: Format) -> None:
        text = self.shown(accepted, word)
        assert "NO TEE: where it reads none, the signer's word alone counts" in text
        assert WARNING in text

    def test_no_summary_is_that_of_hardware(self, accepted: Appraisal) -> None:
        vsa = parse_predicate(statement.parse(render(accepted, format="vsa", about=About())))
        assert isinstance(vsa, VerificationSummary)
        assert (vsa.passed, vsa.simulated, vsa.without_tee) == (True, False, True)
        assert vsa.verified_levels == ("LAMSLSA_INGREDIENTS_WITHOUT_TEE",)
        svr = json.loads(self.shown(accepted, "svr"))
        assert svr["predicate"]["properties"][0] == "LAMSLSA_POLICY_ACCEPTED_WITHOUT_TEE"

    def test_hardware_is_a_warning_though_everything_else_is_real(self, accepted: Appraisal) -> None:
        real = tuple(
            dataclasses.replace(rule, simulated=None if rule.simulated is None else False) for rule in accepted.rules
        )
        document = json.loads(self.shown(dataclasses.replace(accepted, rules=real), "ear"))
        assert document["submods"]["model"]["ear_trustworthiness_vector"] == {"sourced-data": 2, "hardware": 32}

    def test_machines_read_it(self, accepted: Appraisal) -> None:
        assert '"withoutTee": true' in self.shown(accepted, "sarif")
        assert 'name="withoutTee" value="true"' in self.shown(accepted, "junit")
        rules = json.loads(self.shown(accepted, "json"))["rules"]
        (training,) = [rule for rule in rules if rule["name"] == "training"]
        assert (training["tee"], training["simulated"], training["platform"]) == ("none", None, "office")

    def test_card(self, accepted: Appraisal) -> None:
        card = build(accepted)
        assert card.simulation.endswith("No TEE: where it reads none, the signer's word alone counts.")
        assert "SIMULATED" in card.simulation
        (training,) = card.trainings.shown
        assert training.source.tee == "none"


class TestWithin:
    """What rests on a verdict that rests on a signature says so too."""

    def test_policy_that_is_extended(
        self, load: Load, policy_text: str, office: Policy, unquoted: dict[str, Entry], sealed: Any, at: dt.datetime
    ) -> None:
        appraisal = self.appraised(
            dataclasses.replace(load(policy_text), extends=(office,)),
            {**unquoted, "training": _quoted(unquoted)},
            sealed,
            at,
        )
        assert appraisal.accepted
        extends = rule_of(appraisal, f"extends: {office.name}")
        assert (extends.without_tee, appraisal.without_tee) == (True, True)
        assert appraisal.by_signature_alone == frozenset(), "this policy itself asks for a TEE everywhere"

    def appraised(self, policy: Policy, items: dict[str, Entry], sealed: Any, at: dt.datetime) -> Appraisal:
        def verified(one: Policy) -> Verification:
            return Verification(
                trust=one.trust_material(at=at, now=at), attestations=sealed(items.values()), set_aside=()
            )

        return appraise(
            policy,
            model=chain.model(),
            model_name="census-mlp",
            verification=verified(policy),
            at=at,
            within={one.closure: verified(one) for one in policy.within},
        )


def _quoted(items: dict[str, Entry]) -> Entry:
    return dataclasses.replace(items["training"], claims=items["evaluation"].claims)
