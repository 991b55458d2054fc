"""Signatures of whole artifacts: of the model at hand, and of a dataset as its datasheet lists it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable, Sequence

import pytest

from lamslsa import model_signature, verification
from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.policy import Appraisal, Policy, RuleResult, appraise
from lamslsa.sign.interface import Witnessed
from lamslsa.statement import parse
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry
from lamslsa.verification import Verification, VerifiedAttestation, VerifiedModelSignature, VerifiedSignature

AT = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
MODEL = chain.model()
DATA = Manifest.of("dataset", [FileEntry(path="census-train.csv", sha256="ab" * 32, size=7)])

Signed = Callable[..., VerifiedSignature]
Sealed = Callable[[Iterable[Entry]], tuple[VerifiedAttestation, ...]]


def signature(
    manifest: Manifest, by: VerifiedSignature, *, ignored: Sequence[str] = (), bundle: str = ""
) -> VerifiedModelSignature:
    parsed = parse(model_signature.statement(manifest, name="m", ignored=ignored))
    return VerifiedModelSignature(
        statement=parsed,
        predicate=model_signature.parse_predicate(parsed),
        signatures=(dataclasses.replace(by, bundle=bundle),),
        seal=verification._SEAL,
    )


@pytest.fixture
def ask(load: Callable[[str], Policy], policy_text: str) -> Policy:
    return load(
        policy_text.replace("training: {signedBy", "model: {signature: {signedBy: trainer}}\ntraining: {signedBy")
    )


@pytest.fixture
def result(sealed: Sealed, entries: dict[str, Entry]) -> Callable[..., RuleResult]:
    """The result of the first signature rule; the other rules are satisfied, or it would not matter."""

    def run(
        policy: Policy,
        signatures: Sequence[VerifiedModelSignature],
        model: Manifest = MODEL,
        name: str = "model signature",
    ) -> RuleResult:
        verification = Verification(
            trust=policy.trust_material(at=AT, now=AT),
            attestations=sealed(entries.values()),
            set_aside=(),
            model_signatures=tuple(signatures),
        )
        appraisal = appraise(policy, model=model, model_name="m", verification=verification, at=AT)
        assert isinstance(appraisal, Appraisal)
        (rule,) = [rule for rule in appraisal.rules if rule.name == name]
        assert rule.kind == "signature"
        assert (rule.reason is None) == (rule.outcome == "satisfied")
        assert appraisal.accepted == all(rule.outcome == "satisfied" for rule in appraisal.rules)
        return rule

    return run


def test_satisfied(ask: Policy, result: Callable[..., RuleResult], signed: Signed) -> None:
    rule = result(ask, [signature(MODEL, signed("trainer"))])
    assert (rule.outcome, rule.signer, rule.observed) == ("satisfied", "trainer", "2 files")


def test_without_any(ask: Policy, result: Callable[..., RuleResult]) -> None:
    rule = result(ask, [])
    assert (rule.outcome, rule.reason, rule.authentic) == ("refused", "model-signature-missing", False)


def test_of_another_signer(ask: Policy, result: Callable[..., RuleResult], signed: Signed) -> None:
    rule = result(ask, [signature(MODEL, signed("auditor"))])
    assert (rule.outcome, rule.reason, rule.authentic) == ("refused", "model-signature-missing", False)


def test_of_another_model(ask: Policy, result: Callable[..., RuleResult], signed: Signed) -> None:
    other = chain.model({"model.json": "{}", "model.safetensors": "other"})
    rule = result(ask, [signature(other, signed("trainer"))])
    assert (rule.outcome, rule.reason, rule.authentic) == ("refused", "model-signature-other", True)
    assert "model.safetensors" in rule.message


def test_swapped_names_have_the_same_root(ask: Policy, result: Callable[..., RuleResult], signed: Signed) -> None:
    """The root covers digests in the order of names: a rename that keeps the order keeps it."""
    renamed = chain.model({"model.jso": "{}", "model.safetensor": "weights"})
    item = signature(renamed, signed("trainer"))
    assert item.statement.subjects[0].sha256 == signature(MODEL, signed("trainer")).statement.subjects[0].sha256
    assert result(ask, [item]).reason == "model-signature-other"


def test_a_file_that_the_signer_ignored(ask: Policy, result: Callable[..., RuleResult], signed: Signed) -> None:
    item = signature(MODEL, signed("trainer"), ignored=["model.safetensors"])
    assert result(ask, [item]).reason == "model-signature-other"


def test_the_signature_itself_is_no_signed_file(ask: Policy, result: Callable[..., RuleResult], signed: Signed) -> None:
    own = FileEntry(path="model.sig", sha256="cd" * 32, size=9)
    model = Manifest.of("model", [*MODEL.files, own])
    for bundle, outcome in (("cd" * 32, "model-signature-other"), ("ef" * 32, "model-signature-other")):
        # the model at hand is another one than was attested; what matters is the rule on signatures
        item = signature(model, signed("trainer"), ignored=["model.sig"], bundle=bundle)
        rule = result(ask, [item], model)
        assert (rule.reason or outcome) == outcome
        assert (rule.outcome == "satisfied") == (bundle == own.sha256)


def test_one_of_several_is_enough(ask: Policy, result: Callable[..., RuleResult], signed: Signed) -> None:
    other = chain.model({"model.json": "{}"})
    items = [signature(other, signed("trainer")), signature(MODEL, signed("trainer"))]
    assert result(ask, items).outcome == "satisfied"
    assert result(ask, items[::-1]).outcome == "satisfied"


def test_the_credential_counts(ask: Policy, result: Callable[..., RuleResult], signed: Signed) -> None:
    late = signed("trainer", Witnessed(), valid_until=AT)
    rule = result(ask, [signature(MODEL, late)])
    assert (rule.outcome, rule.reason, rule.authentic) == ("refused", "signer-undated", True)


def test_a_signature_of_two_roles_at_once(ask: Policy, result: Callable[..., RuleResult], signed: Signed) -> None:
    item = signature(MODEL, signed("trainer"))
    both = dataclasses.replace(item, signatures=(*item.signatures, signed("auditor")))
    assert result(ask, [both]).reason == "signer-ambiguous"
    apart = dataclasses.replace(signed("auditor"), bundle="ab" * 32)
    assert result(ask, [dataclasses.replace(item, signatures=(*item.signatures, apart))]).outcome == "satisfied"
    stranger = dataclasses.replace(signed("auditor"), identity="somebody whom no rule names")
    assert result(ask, [dataclasses.replace(item, signatures=(*item.signatures, stranger))]).outcome == "satisfied"


def test_what_dates_a_quote_for_one_says_nothing_for_another(
    load: Callable[[str], Policy], policy_text: str, sealed: Sealed, entries: dict[str, Entry]
) -> None:
    policy = load(policy_text)
    for dated_by, accepted in ((None, True), ("auditor", True), ("trainer", False)):
        items = [
            dataclasses.replace(
                item, evidence=tuple(dataclasses.replace(quote, dated_by=dated_by) for quote in item.evidence)
            )
            if item.signers == {"auditor"}
            else item
            for item in sealed(entries.values())
        ]
        verification = Verification(trust=policy.trust_material(at=AT, now=AT), attestations=tuple(items), set_aside=())
        found = appraise(policy, model=MODEL, model_name="m", verification=verification, at=AT)
        assert found.accepted == accepted
        assert accepted or {rule.reason for rule in found.rules if rule.reason} == {"evidence-missing"}


def test_who_signs_in_anothers_place_is_refused_for_that(
    load: Callable[[str], Policy], policy_text: str, sealed: Sealed, entries: dict[str, Entry]
) -> None:
    """With evidence that he dated for himself: it is authentic, and he is somebody else."""
    policy = load(policy_text)
    entries["evaluation"] = dataclasses.replace(entries["evaluation"], signers=frozenset({"trainer"}))
    items = [
        dataclasses.replace(
            item, evidence=tuple(dataclasses.replace(quote, dated_by="trainer") for quote in item.evidence)
        )
        if item.statement.payload == entries["evaluation"].payload
        else item
        for item in sealed(entries.values())
    ]
    verification = Verification(trust=policy.trust_material(at=AT, now=AT), attestations=tuple(items), set_aside=())
    found = appraise(policy, model=MODEL, model_name="m", verification=verification, at=AT)
    assert (found.exit_code, {rule.reason for rule in found.rules if rule.reason}) == (5, {"signer-other"})


class TestDatasets:
    """The files of a dataset are those of a qualifying datasheet, if they make up its digest."""

    @pytest.fixture
    def policy(self, load: Callable[[str], Policy], policy_text: str) -> Policy:
        line = "name: census-train, digest: sha256:" + chain.TRAIN
        asked = f"name: census-train, signature: {{signedBy: data-owner}}, digest: sha256:{DATA.sha256}"
        assert line in policy_text
        return load(policy_text.replace(line, asked))

    @pytest.fixture
    def sheet(self, entries: dict[str, Entry]) -> Callable[[str], None]:
        def replaced(digest: str) -> None:
            payload = chain.edited(
                chain.datasheet("census-train", DATA.sha256, rows=7),
                ["predicate", "files"],
                [{"path": "census-train.csv", "digest": {"sha256": digest}, "size": 7}],
            )
            entries["train"] = dataclasses.replace(entries["train"], payload=payload)

        return replaced

    def test_satisfied(
        self, policy: Policy, result: Callable[..., RuleResult], signed: Signed, sheet: Callable[[str], None]
    ) -> None:
        sheet("ab" * 32)
        rule = result(policy, [signature(DATA, signed("data-owner"))], name="signature: census-train")
        assert (rule.outcome, rule.observed) == ("satisfied", "1 file")

    def test_missing(self, policy: Policy, result: Callable[..., RuleResult], sheet: Callable[[str], None]) -> None:
        sheet("ab" * 32)
        rule = result(policy, [], name="signature: census-train")
        assert (rule.reason, rule.authentic) == ("model-signature-missing", False)

    def test_a_datasheet_that_lists_other_files(
        self, policy: Policy, result: Callable[..., RuleResult], signed: Signed, sheet: Callable[[str], None]
    ) -> None:
        sheet("cd" * 32)
        listed = Manifest.of("dataset", [FileEntry(path="census-train.csv", sha256="cd" * 32, size=7)])
        rule = result(policy, [signature(listed, signed("data-owner"))], name="signature: census-train")
        assert (rule.outcome, rule.reason) == ("refused", "datasheet-files")

    def test_without_a_datasheet(self, policy: Policy, result: Callable[..., RuleResult], signed: Signed) -> None:
        rule = result(policy, [signature(DATA, signed("data-owner"))], name="signature: census-train")
        assert (rule.outcome, rule.reason) == ("refused", "datasheet-missing")


def test_a_signature_is_made_by_verify_alone(signed: Signed) -> None:
    item = signature(MODEL, signed("trainer"))
    with pytest.raises(TypeError):
        dataclasses.replace(item, seal=object())
