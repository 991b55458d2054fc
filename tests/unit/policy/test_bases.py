"""Base models: listed by digest, accepted under a policy of their own or by a summary; policies within policies."""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from lamslsa import predicates, statement, verification
from lamslsa._codec import sha256_hex
from lamslsa.model_signature import parse_predicate
from lamslsa.model_signature import statement as signature_statement
from lamslsa.policy import Appraisal, Policy, RuleResult, _nesting, appraise
from lamslsa.policy._context import Context
from lamslsa.policy._descent import Descent, descents
from lamslsa.policy.model import MetricRule, ModelTerms, SummaryTerms, TransformTerms, Witness
from lamslsa.predicates import VerificationSummary, verification_summary
from lamslsa.sign.interface import TrustedTime, Witnessed
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry
from lamslsa.verification import Verification, VerifiedAttestation, VerifiedModelSignature, VerifiedSignature

BASE = chain.model({"model.json": "{}", "model.safetensors": "the base"})
DEEPER = chain.model({"model.json": "{}", "model.safetensors": "the base of the base"})
VERIFIER = "https://verifier.example.com"
JUDGED = "7" * 64
DAY = dt.timedelta(days=1)

Judge = Callable[..., Appraisal]


@pytest.fixture
def policy(load: Callable[[str], Policy], policy_text: str) -> Policy:
    return load(policy_text)


@pytest.fixture
def by(root: str) -> Callable[[str, bytes], Entry]:
    return lambda signer, payload: Entry(
        payload=payload, signers=frozenset({signer}), claims=(chain.claims(root=root),)
    )


@pytest.fixture
def started(entries: dict[str, Entry], by: Callable[[str, bytes], Entry]) -> dict[str, Entry]:
    """The chain, with a training that started from a base model."""
    payload = chain.trained(chain.model(), bases=[("hub/base", BASE.sha256)])
    return {**entries, "training": by("trainer", payload)}


@pytest.fixture
def of_base(root: str, entries: dict[str, Entry]) -> dict[str, Entry]:
    """What is attested about the base model itself."""
    made = chain.entries(root=root, manifest=BASE)
    return {"base training": made["training"], "base evaluation": made["evaluation"]}


def listing(policy: Policy, *models: ModelTerms) -> Policy:
    return replace(policy, ingredients=replace(policy.ingredients, models=models))


def inner(policy: Policy, name: str = "for bases", **changes: Any) -> Policy:
    """A policy of its own closure that may stand in another one."""
    return replace(policy, name=name, closure=sha256_hex(name.encode()), **changes)


def terms(**changes: Any) -> ModelTerms:
    return ModelTerms(**{"name": "base", "sha256": BASE.sha256, **changes})


def rule_of(appraisal: Appraisal, name: str) -> RuleResult:
    return next(rule for rule in appraisal.rules if rule.name == name)


@pytest.fixture
def run(sealed: Callable[[Iterable[Entry]], tuple[VerifiedAttestation, ...]], at: dt.datetime) -> Judge:
    """Appraise entries, and further attestations, under a policy and those within it."""

    def judge(
        policy: Policy,
        items: Iterable[Entry],
        *,
        more: tuple[VerifiedAttestation, ...] = (),
        signatures: tuple[VerifiedModelSignature, ...] = (),
        without: frozenset[str] = frozenset(),
        now: dt.datetime = at,
    ) -> Appraisal:
        attestations = (*sealed(items), *more)

        def verified(under: Policy) -> Verification:
            trust = replace(policy.trust_material(at=at, now=now), identities=under.identities)
            return Verification(trust=trust, attestations=attestations, set_aside=(), model_signatures=signatures)

        return appraise(
            policy,
            model=chain.model(),
            model_name="census-mlp",
            verification=verified(policy),
            at=at,
            within={item.closure: verified(item) for item in policy.within if item.name not in without},
        )

    return judge


class TestByDigest:
    def test_not_listed_prints_the_line(self, run: Judge, policy: Policy, started: dict[str, Entry]) -> None:
        appraisal = run(policy, started.values())
        rule = rule_of(appraisal, "lineage")
        assert (rule.reason, appraisal.exit_code) == ("ingredient-base-model", 5)
        assert f'- {{name: "hub/base", digest: sha256:{BASE.sha256}}}' in rule.mend

    def test_listed(self, run: Judge, policy: Policy, started: dict[str, Entry]) -> None:
        appraisal = run(listing(policy, terms()), started.values())
        assert appraisal.accepted
        assert rule_of(appraisal, "base model: base").observed == "listed by digest"
        assert appraisal.bases == ()

    def test_another_one_listed(self, run: Judge, policy: Policy, started: dict[str, Entry]) -> None:
        appraisal = run(listing(policy, terms(sha256=DEEPER.sha256)), started.values())
        assert rule_of(appraisal, "lineage").reason == "ingredient-base-model"

    def test_listed_and_not_used(self, run: Judge, policy: Policy, entries: dict[str, Entry]) -> None:
        appraisal = run(listing(policy, terms(policy=inner(policy))), entries.values())
        assert appraisal.accepted
        assert not any(rule.name.startswith("base model") for rule in appraisal.rules)

    @pytest.mark.parametrize(
        ("license_", "reason"), [("MIT", None), (None, "license-unknown"), ("ISC", "license-not-allowed")]
    )
    def test_its_licence(
        self, run: Judge, policy: Policy, started: dict[str, Entry], license_: str | None, reason: str | None
    ) -> None:
        asked = listing(policy, terms(license=license_))
        named = tuple(replace(item, license="MIT") for item in policy.ingredients.datasets)
        ingredients = replace(asked.ingredients, datasets=named, licenses=frozenset({"MIT"}))
        appraisal = run(replace(asked, ingredients=ingredients), started.values())
        assert rule_of(appraisal, "base model: base").reason == reason
        assert appraisal.accepted is (reason is None)

    def test_what_it_was_trained_on_is_a_warning(
        self, run: Judge, policy: Policy, started: dict[str, Entry], by: Callable[[str, bytes], Entry]
    ) -> None:
        training = chain.trained(BASE, datasets=[("census-test", chain.TEST, "")])
        appraisal = run(listing(policy, terms()), [*started.values(), by("trainer", training)])
        assert appraisal.accepted
        assert [text for text in appraisal.warnings if text.startswith("base model base ")]

    def test_a_listed_parent_of_a_merge(
        self, run: Judge, policy: Policy, entries: dict[str, Entry], by: Callable[[str, bytes], Entry]
    ) -> None:
        training = chain.edited(chain.trained(chain.model()), ["subject", 0, "digest", "sha256"], chain.PARENT)
        parents = [("tuned", chain.PARENT), ("hub/base", BASE.sha256)]
        merged = by("trainer", chain.transformed(chain.model(), parents=parents, by="average/1"))
        witness = Witness(signed_by="trainer", platform="rehearsal")
        allowed = replace(policy, transforms=(TransformTerms(witness=witness, allow=("average/1",)),))
        items = {**entries, "training": by("trainer", training), "merged": merged}.values()
        assert rule_of(run(allowed, items), "training").reason == "parent-unknown"
        assert run(listing(allowed, terms()), items).accepted

    def test_listed_parents_and_no_training(
        self, run: Judge, policy: Policy, entries: dict[str, Entry], by: Callable[[str, bytes], Entry]
    ) -> None:
        made = by("trainer", chain.transformed(chain.model(), parents=[("base", BASE.sha256)], by="average/1"))
        witness = Witness(signed_by="trainer", platform="rehearsal")
        allowed = replace(policy, transforms=(TransformTerms(witness=witness, allow=("average/1",)),))
        items = [item for name, item in entries.items() if name != "training"]
        appraisal = run(listing(allowed, terms()), [*items, made])
        assert not appraisal.accepted
        assert rule_of(appraisal, "training").reason == "parent-unknown"


class TestSignature:
    @pytest.fixture
    def signature(self, signed: Callable[..., VerifiedSignature]) -> VerifiedModelSignature:
        parsed = statement.parse(signature_statement(BASE, name="base"))
        return VerifiedModelSignature(
            statement=parsed,
            predicate=parse_predicate(parsed),
            signatures=(signed("auditor"),),
            seal=verification._SEAL,
        )

    def test_of_the_files_that_an_attestation_lists(
        self,
        run: Judge,
        policy: Policy,
        started: dict[str, Entry],
        of_base: dict[str, Entry],
        signature: VerifiedModelSignature,
    ) -> None:
        asked = listing(policy, terms(signed_by="auditor"))
        items = [*started.values(), of_base["base evaluation"]]
        assert run(asked, items, signatures=(signature,)).accepted
        assert rule_of(run(asked, items), "signature: base model base").reason == "model-signature-missing"

    def test_of_files_that_nobody_knows(
        self, run: Judge, policy: Policy, started: dict[str, Entry], signature: VerifiedModelSignature
    ) -> None:
        appraisal = run(listing(policy, terms(signed_by="auditor")), started.values(), signatures=(signature,))
        assert rule_of(appraisal, "signature: base model base").reason == "model-files-unknown"

    def test_a_list_that_does_not_make_up_the_digest_is_none(
        self,
        run: Judge,
        policy: Policy,
        started: dict[str, Entry],
        of_base: dict[str, Entry],
        signature: VerifiedModelSignature,
    ) -> None:
        entry = of_base["base evaluation"]
        files: list[str | int] = ["predicate", "model", "files", 0, "size"]
        lying = replace(entry, payload=chain.edited(entry.payload, files, 7))
        appraisal = run(
            listing(policy, terms(signed_by="auditor")), [*started.values(), lying], signatures=(signature,)
        )
        assert rule_of(appraisal, "signature: base model base").reason == "model-files-unknown"


class TestByPolicy:
    def test_accepted(self, run: Judge, policy: Policy, started: dict[str, Entry], of_base: dict[str, Entry]) -> None:
        asked = listing(policy, terms(policy=inner(policy)))
        appraisal = run(asked, [*started.values(), *of_base.values()])
        assert appraisal.accepted, [rule.message for rule in appraisal.rules]
        (base,) = appraisal.bases
        assert (base.model, base.policy_name, base.accepted) == (BASE.sha256, "for bases", True)

    @pytest.mark.parametrize("left_out", ["base training", "base evaluation"])
    def test_leaving_out_what_its_policy_asks_for(
        self, run: Judge, policy: Policy, started: dict[str, Entry], of_base: dict[str, Entry], left_out: str
    ) -> None:
        rest = [item for name, item in of_base.items() if name != left_out]
        appraisal = run(listing(policy, terms(policy=inner(policy))), [*started.values(), *rest])
        rule = rule_of(appraisal, "base model: base")
        assert (rule.reason, rule.authentic, appraisal.exit_code) == ("policy-refused", False, 4)
        assert not appraisal.bases[0].accepted

    def test_by_other_identities_than_ours(
        self, run: Judge, policy: Policy, started: dict[str, Entry], of_base: dict[str, Entry]
    ) -> None:
        training = replace(policy.training, witness=replace(policy.training.witness, signed_by="auditor"))
        asked = listing(policy, terms(policy=inner(policy, training=training)))
        appraisal = run(asked, [*started.values(), *of_base.values()])
        rule = rule_of(appraisal, "base model: base")
        assert (rule.reason, rule.authentic, appraisal.exit_code) == ("policy-refused", True, 5)
        assert "signer-other" in rule.message
        of_base["base training"] = replace(of_base["base training"], signers=frozenset({"auditor"}))
        assert run(asked, [*started.values(), *of_base.values()]).accepted

    def test_not_verified_under_it(
        self, run: Judge, policy: Policy, started: dict[str, Entry], of_base: dict[str, Entry]
    ) -> None:
        asked = listing(policy, terms(policy=inner(policy)))
        items = [*started.values(), *of_base.values()]
        appraisal = run(asked, items, without=frozenset({"for bases"}))
        assert rule_of(appraisal, "base model: base").reason == "policy-unverified"
        assert appraisal.exit_code == 4

    def test_verified_under_another(
        self,
        policy: Policy,
        load: Callable[[str], Policy],
        policy_text: str,
        started: dict[str, Entry],
        of_base: dict[str, Entry],
        sealed: Callable[[Iterable[Entry]], tuple[VerifiedAttestation, ...]],
        at: dt.datetime,
    ) -> None:
        asked = listing(policy, terms(policy=inner(load(policy_text))))
        attestations = sealed([*started.values(), *of_base.values()])
        ours = Verification(trust=policy.trust_material(at=at, now=at), attestations=attestations, set_aside=())
        closure = asked.within[0].closure
        appraisal = appraise(
            asked, model=chain.model(), model_name="m", verification=ours, at=at, within={closure: ours}
        )
        assert rule_of(appraisal, "base model: base").reason == "policy-unverified"

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"expires": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}, "policy-expired"),
            ({"effective_from": dt.datetime(2027, 1, 1, tzinfo=dt.UTC)}, "policy-not-yet"),
        ],
    )
    def test_out_of_force(
        self,
        run: Judge,
        policy: Policy,
        started: dict[str, Entry],
        of_base: dict[str, Entry],
        changes: Mapping[str, Any],
        reason: str,
    ) -> None:
        asked = listing(policy, terms(policy=inner(policy, **changes)))
        appraisal = run(asked, [*started.values(), *of_base.values()])
        assert rule_of(appraisal, "base model: base").reason == reason

    def test_within_itself(
        self, run: Judge, policy: Policy, started: dict[str, Entry], of_base: dict[str, Entry]
    ) -> None:
        asked = listing(policy, terms(policy=replace(policy, name="the same")))
        appraisal = run(asked, [*started.values(), *of_base.values()])
        assert rule_of(appraisal, "base model: base").reason == "policy-cycle"

    def test_evaluated_on_what_the_base_model_has_seen(
        self, run: Judge, policy: Policy, started: dict[str, Entry], of_base: dict[str, Entry]
    ) -> None:
        (train,) = policy.ingredients.datasets
        test = replace(train, name="census-test", sha256=chain.TEST)
        rule = next(item for item in policy.require if isinstance(item, MetricRule))
        wide = replace(policy.ingredients, datasets=(train, test))
        # evaluated on what it was not trained on itself, so that its own policy has nothing to refuse
        lenient = inner(policy, ingredients=wide, require=(replace(rule, dataset=train),))
        asked = listing(policy, terms(policy=lenient))
        seen = chain.trained(BASE, datasets=[("census-test", chain.TEST, "")])
        of_base["base training"] = replace(of_base["base training"], payload=seen)
        on_train = chain.evaluated(BASE, dataset=("census-train", chain.TRAIN, ""))
        of_base["base evaluation"] = replace(of_base["base evaluation"], payload=on_train)
        appraisal = run(asked, [*started.values(), *of_base.values()])
        assert appraisal.bases[0].accepted, [item.message for item in appraisal.bases[0].rules]
        assert rule_of(appraisal, "base model: base").outcome == "satisfied"
        assert rule_of(appraisal, "accurate").reason == "evaluated-on-training-data"

    def test_another_way_in_which_the_base_model_came_to_be(
        self, run: Judge, policy: Policy, started: dict[str, Entry], of_base: dict[str, Entry]
    ) -> None:
        """A further qualifying provenance of the base model refuses nothing, whatever its data."""
        (train,) = policy.ingredients.datasets
        wide = replace(policy.ingredients, datasets=(train, replace(train, name="census-test", sha256=chain.TEST)))
        rules = tuple(item for item in policy.require if item.name == "no leakage")
        asked = listing(policy, terms(policy=inner(policy, ingredients=wide, require=rules)))
        both = [("census-train", chain.TRAIN, ""), ("census-test", chain.TEST, "")]
        other = replace(of_base["base training"], payload=chain.trained(BASE, datasets=both))
        appraisal = run(asked, [*started.values(), *of_base.values(), other])
        assert appraisal.accepted, [rule.message for rule in appraisal.rules if rule.reason]
        alone = run(asked, [*started.values(), of_base["base evaluation"], other])
        assert rule_of(alone, "accurate").reason == "evaluated-on-training-data"

    def test_to_any_depth_without_recursion(
        self,
        run: Judge,
        policy: Policy,
        by: Callable[[str, bytes], Entry],
        root: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A line of base models, each with a policy of its own: the stack is as deep at the last as at the first."""
        depths: list[int] = []

        def counted(context: Context) -> tuple[Descent, ...]:
            depths.append(len(inspect.stack(0)))
            return descents(context)

        monkeypatch.setattr(_nesting, "descents", counted)
        number = 20
        line = [chain.model({"model.json": str(level)}) for level in range(number)]
        rules = tuple(item for item in policy.require if item.name == "no leakage")
        nested = inner(policy, "level 0", require=rules)
        items = [by("trainer", chain.trained(line[0]))]
        for level in range(1, number):
            below = terms(sha256=line[level - 1].sha256, policy=nested)
            nested = inner(listing(policy, below), f"level {level}", require=rules)
            items.append(by("trainer", chain.trained(line[level], bases=[("below", line[level - 1].sha256)])))
        asked = listing(policy, terms(sha256=line[-1].sha256, policy=nested))
        top = by("trainer", chain.trained(chain.model(), bases=[("top", line[-1].sha256)]))
        rest = [item for name, item in chain.entries(root=root).items() if name != "training"]
        appraisal = run(asked, [*rest, *items, top])
        assert appraisal.accepted, next(rule.message for rule in appraisal.rules if rule.reason)
        assert (len(depths), len(set(depths))) == (number + 1, 1)
        assert not run(asked, [*rest, *items[1:], top]).accepted


class TestExtends:
    def test_all_must_accept(self, run: Judge, policy: Policy, entries: dict[str, Entry]) -> None:
        other = inner(policy, "company")
        both = replace(policy, extends=(other,))
        appraisal = run(both, entries.values())
        assert appraisal.accepted
        assert [item.policy_name for item in appraisal.extended] == ["company"]
        strict = replace(policy, extends=(inner(policy, "company", model_signed_by="auditor"),))
        refused = run(strict, entries.values())
        assert rule_of(refused, "extends: company").reason == "policy-refused"
        assert refused.exit_code == 4

    def test_one_that_was_not_verified(self, run: Judge, policy: Policy, entries: dict[str, Entry]) -> None:
        both = replace(policy, extends=(inner(policy, "company"),))
        appraisal = run(both, entries.values(), without=frozenset({"company"}))
        assert rule_of(appraisal, "extends: company").reason == "policy-unverified"

    def test_one_that_extends_another(self, run: Judge, policy: Policy, entries: dict[str, Entry]) -> None:
        law = inner(policy, "law", model_signed_by="auditor")
        both = replace(policy, extends=(inner(policy, "company", extends=(law,)),))
        appraisal = run(both, entries.values())
        assert rule_of(appraisal, "extends: company").reason == "policy-refused"
        assert rule_of(appraisal.extended[0], "extends: law").reason == "policy-refused"


class TestBySummary:
    @pytest.fixture
    def summary(self, signed: Callable[..., VerifiedSignature], at: dt.datetime) -> Callable[..., VerifiedAttestation]:
        """A summary that meets the terms, with something about it changed."""

        def make(
            *,
            signer: str = "auditor",
            made: dt.datetime = at - 2 * DAY,
            stamped: dt.datetime | None = at - 2 * DAY,
            subject: str = BASE.sha256,
            **changes: Any,
        ) -> VerifiedAttestation:
            predicate = {
                "verifier": {"id": VERIFIER},
                "timeVerified": made.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "resourceUri": "https://example.com/base",
                "policy": {"uri": "https://example.com/policy.yaml", "digest": {"sha256": JUDGED}},
                "verificationResult": "PASSED",
                "verifiedLevels": ["LAMSLSA_INGREDIENTS"],
            } | changes
            payload = statement.make(
                [statement.Subject(name="base", sha256=subject)], verification_summary.PREDICATE_TYPE, predicate
            )
            parsed = statement.parse(payload)
            found = predicates.parse(parsed)
            assert isinstance(found, VerificationSummary)
            times = () if stamped is None else (TrustedTime(at=stamped, source="timestamp"),)
            return VerifiedAttestation(
                statement=parsed,
                predicate=found,
                signatures=(signed(signer, Witnessed(times=times)),),
                evidence=(),
                seal=verification._SEAL,
            )

        return make

    @pytest.fixture
    def asked(self, policy: Policy) -> Policy:
        wanted = SummaryTerms(signed_by="auditor", verifier=VERIFIER, policies=(JUDGED,), max_age=30 * DAY)
        return listing(policy, terms(summary=wanted))

    def test_accepted(
        self, run: Judge, asked: Policy, started: dict[str, Entry], summary: Callable[..., VerifiedAttestation]
    ) -> None:
        found = summary()
        appraisal = run(asked, started.values(), more=(found,))
        assert appraisal.accepted, [rule.message for rule in appraisal.rules if rule.reason]
        rule = rule_of(appraisal, "base model: base")
        assert (rule.attestation, rule.signer, rule.simulated) == (found, "auditor", False)
        assert found in appraisal.qualifying

    def test_of_something_simulated_says_so(
        self, run: Judge, asked: Policy, started: dict[str, Entry], summary: Callable[..., VerifiedAttestation]
    ) -> None:
        found = summary(verifiedLevels=["LAMSLSA_INGREDIENTS_SIMULATED"])
        assert rule_of(run(asked, started.values(), more=(found,)), "base model: base").simulated is True

    def test_of_somebody_s_word_says_so(
        self, run: Judge, asked: Policy, started: dict[str, Entry], summary: Callable[..., VerifiedAttestation]
    ) -> None:
        found = summary(verifiedLevels=["LAMSLSA_INGREDIENTS_WITHOUT_TEE"])
        appraisal = run(asked, started.values(), more=(found,))
        assert rule_of(appraisal, "base model: base").without_tee is True
        assert (appraisal.accepted, appraisal.without_tee) == (True, True)

    def test_missing(self, run: Judge, asked: Policy, started: dict[str, Entry]) -> None:
        appraisal = run(asked, started.values())
        assert (rule_of(appraisal, "base model: base").reason, appraisal.exit_code) == ("summary-missing", 4)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"signer": "trainer"}, "signer-other"),
            ({"subject": "8" * 64}, "summary-missing"),
            ({"verifier": {"id": "https://other.example.com"}}, "summary-verifier"),
            ({"policy": {"uri": "https://example.com/p", "digest": {"sha256": "9" * 64}}}, "summary-policy"),
            ({"verificationResult": "FAILED", "verifiedLevels": ["FAILED"]}, "summary-failed"),
            ({"stamped": None}, "summary-undated"),
            ({"made": dt.datetime(2026, 10, 1, tzinfo=dt.UTC)}, "age-exceeded"),
            (
                {"made": dt.datetime(2026, 10, 1, tzinfo=dt.UTC), "stamped": dt.datetime(2026, 10, 1, tzinfo=dt.UTC)},
                "age-exceeded",
            ),
            ({"made": dt.datetime(2026, 11, 21, tzinfo=dt.UTC)}, "age-future"),
            (
                {"made": dt.datetime(2026, 12, 1, tzinfo=dt.UTC), "stamped": dt.datetime(2026, 12, 1, tzinfo=dt.UTC)},
                "age-future",
            ),
        ],
    )
    def test_what_else_refuses(
        self,
        run: Judge,
        asked: Policy,
        started: dict[str, Entry],
        summary: Callable[..., VerifiedAttestation],
        changes: Mapping[str, Any],
        reason: str,
    ) -> None:
        appraisal = run(asked, started.values(), more=(summary(**changes),))
        rule = rule_of(appraisal, "base model: base")
        assert (rule.outcome, rule.reason) == ("refused", reason)
        assert not appraisal.accepted
        assert run(asked, started.values(), more=(summary(**changes), summary())).accepted

    @pytest.mark.parametrize(("of_policy", "of_summary"), [(True, False), (False, True), (True, True), (False, False)])
    def test_either_a_policy_or_a_summary_will_do(
        self,
        run: Judge,
        policy: Policy,
        asked: Policy,
        started: dict[str, Entry],
        of_base: dict[str, Entry],
        summary: Callable[..., VerifiedAttestation],
        *,
        of_policy: bool,
        of_summary: bool,
    ) -> None:
        (wanted,) = asked.ingredients.models
        either = listing(policy, replace(wanted, policy=inner(policy)))
        items = [*started.values(), *(of_base.values() if of_policy else ())]
        appraisal = run(either, items, more=(summary(),) if of_summary else ())
        assert appraisal.accepted is (of_policy or of_summary)
