"""``deny``: artifacts, attestations, measurements and keys, and a policy before it begins."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa import verification
from lamslsa._codec import sha256_hex
from lamslsa.errors import PolicyError
from lamslsa.policy import Policy, appraise
from lamslsa.policy.model import Comparison, Deny
from lamslsa.testing import chain
from lamslsa.testing.chain import Entry
from lamslsa.verification import Verification, VerifiedAttestation, VerifiedSignature
from tests.unit.policy.deciding import AT, DAY, OTHER, decide, measured, outcome, rule, ruled, seen

Sealed = Callable[[Iterable[Entry]], tuple[VerifiedAttestation, ...]]
SUBJECT = ("subject", 0, "digest", "sha256")


@pytest.fixture(scope="module")
def base(load: Callable[[str], Policy], policy_text: str) -> Policy:
    return load(policy_text)


def denying(policy: Policy, **lists: Iterable[str]) -> Policy:
    return dataclasses.replace(policy, deny=Deny(**{name: frozenset(items) for name, items in lists.items()}))


def key_of(name: str) -> str:
    """The digest that the fixture gives the key of an identity."""
    return sha256_hex(name.encode())


def replaced(items: Iterable[VerifiedAttestation], signer: str, signed: Any) -> list[VerifiedAttestation]:
    return [dataclasses.replace(item, signatures=(signed,)) if item.signers == {signer} else item for item in items]


def test_what_is_on_no_list_is_accepted(entries: dict[str, Entry], sealed: Sealed, base: Policy) -> None:
    policy = denying(base, artifacts=["a" * 64], attestations=["b" * 64], measurements=["c" * 64], keys=["d" * 64])
    appraisal = decide(policy, sealed(entries.values()))
    assert (appraisal.accepted, appraisal.warnings) == (True, ())
    found = rule(appraisal, "deny")
    assert (found.kind, found.observed) == ("deny", "none of them")
    assert found.threshold == "none of 1 artifacts that are denied"
    assert "deny" not in {item.name for item in decide(base, sealed(entries.values())).rules}


# artifacts


@pytest.mark.parametrize("sha256", [chain.model().sha256, chain.TRAIN, chain.TEST])
def test_the_model_its_data_and_the_data_of_a_rule(
    entries: dict[str, Entry], sealed: Sealed, base: Policy, sha256: str
) -> None:
    appraisal = decide(denying(base, artifacts=[sha256]), sealed(entries.values()))
    assert outcome(appraisal, "deny") == ("refused", "artifact-denied")
    assert sha256[:12] in rule(appraisal, "deny").message
    assert appraisal.exit_code == 5


def test_the_other_model_of_a_comparison(entries: dict[str, Entry], sealed: Sealed, base: Policy) -> None:
    terms = Comparison(sha256=OTHER.sha256, margin=0.5, higher_is_better=True)
    policy = denying(ruled(base, no_worse_than=terms), artifacts=[OTHER.sha256])
    items = [*entries.values(), measured(entries["evaluation"], 0.86, model=OTHER)]
    assert outcome(decide(policy, sealed(items)), "deny") == ("refused", "artifact-denied")


def test_a_denied_artifact_is_refused_without_provenance_too(
    entries: dict[str, Entry], sealed: Sealed, base: Policy
) -> None:
    del entries["training"]
    refused = decide(denying(base, artifacts=[chain.model().sha256]), sealed(entries.values()))
    assert rule(refused, "deny").reason == "artifact-denied"
    unknown = rule(decide(denying(base, artifacts=["a" * 64]), sealed(entries.values())), "deny")
    assert (unknown.outcome, unknown.reason, unknown.authentic) == ("not-evaluated", "training-unknown", False)


def test_another_way_that_names_none_does_not_help(entries: dict[str, Entry], sealed: Sealed, base: Policy) -> None:
    """Two qualifying stories: one of them accepts, and the other one has a denied dataset in it."""
    story = chain.trained(chain.model(), datasets=[("census-train", chain.TRAIN, ""), ("bad", "b" * 64, "")])
    second = dataclasses.replace(entries["training"], payload=story)
    attestations = sealed([*entries.values(), second])
    assert decide(base, attestations).accepted
    appraisal = decide(denying(base, artifacts=["b" * 64]), attestations)
    assert outcome(appraisal, "deny") == ("refused", "artifact-denied")
    unquoted = dataclasses.replace(second, claims=())
    assert decide(denying(base, artifacts=["b" * 64]), sealed([*entries.values(), unquoted])).accepted


@pytest.mark.parametrize("sha256", [chain.PARENT, "b" * 64])
def test_in_any_step(
    entries: dict[str, Entry],
    sealed: Sealed,
    load: Callable[[str], Policy],
    policy_text: str,
    sha256: str,
) -> None:
    """The parent of a transform, and what the parent was trained from."""
    terms = "transforms: {signedBy: trainer, platform: rehearsal, allow: [quantize-int8/1]}\n\nrequire:"
    policy = load(policy_text.replace("require:", terms, 1))
    entries["transform"] = dataclasses.replace(entries["training"], payload=chain.transformed(chain.model()))
    base = chain.trained(chain.model(), bases=[("base", "b" * 64)])
    entries["training"] = dataclasses.replace(entries["training"], payload=chain.edited(base, SUBJECT, chain.PARENT))
    appraisal = decide(denying(policy, artifacts=[sha256]), sealed(entries.values()))
    assert rule(appraisal, "deny").reason == "artifact-denied"


# attestations


def test_a_denied_attestation_is_not_there(entries: dict[str, Entry], sealed: Sealed, base: Policy) -> None:
    attestations = sealed(entries.values())
    (denied,) = [item for item in attestations if item.signers == {"auditor"}]
    digest = denied.statement.sha256
    appraisal = decide(denying(base, attestations=[digest]), attestations)
    assert rule(appraisal).reason == "evaluation-missing"
    assert appraisal.warnings == (f"the policy denies attestation sha256:{digest}: it counts for nothing",)
    assert digest not in {item.statement.sha256 for item in appraisal.attestations}
    again = sealed([measured(entries["evaluation"], 0.86)])
    assert decide(denying(base, attestations=[digest]), [*attestations, *again]).accepted


def test_denied_evidence_is_not_there(entries: dict[str, Entry], sealed: Sealed, base: Policy) -> None:
    attestations = sealed(entries.values())
    digest = attestations[0].evidence[0].statement
    appraisal = decide(denying(base, attestations=[digest]), attestations)
    assert {item.reason for item in appraisal.rules if item.outcome == "refused"} == {"evidence-missing"}
    assert len(appraisal.warnings) == 1


def test_a_denied_signature_of_all_files_is_not_there(
    entries: dict[str, Entry], sealed: Sealed, base: Policy, signed: Callable[..., VerifiedSignature]
) -> None:
    from lamslsa import model_signature
    from lamslsa.statement import parse

    parsed = parse(model_signature.statement(chain.model(), name="m", ignored=()))
    files = verification.VerifiedModelSignature(
        statement=parsed,
        predicate=model_signature.parse_predicate(parsed),
        signatures=(signed("trainer"),),
        seal=verification._SEAL,
    )
    asked = dataclasses.replace(base, model_signed_by="trainer")
    for policy, reason in ((asked, None), (denying(asked, attestations=[parsed.sha256]), "model-signature-missing")):
        appraisal = appraise(
            policy,
            model=chain.model(),
            model_name="m",
            verification=Verification(
                trust=policy.trust_material(at=AT, now=AT),
                attestations=sealed(entries.values()),
                set_aside=(),
                model_signatures=(files,),
            ),
            at=AT,
        )
        assert rule(appraisal, "model signature").reason == reason


# measurements


def test_a_denied_measurement_is_denied_on_every_platform(
    entries: dict[str, Entry], sealed: Sealed, base: Policy, root: str
) -> None:
    policy = denying(base, measurements=[chain.claims(root=root).measurement_digest])
    appraisal = decide(policy, sealed(entries.values()))
    assert {item.reason for item in appraisal.rules if item.outcome == "refused"} == {"platform-denied"}
    assert appraisal.exit_code == 5
    versions = {"isvProdId": 0, "isvSvn": 0}
    other = chain.claims(root=root, measurement={**chain.claims(root=root).measurement, "mrEnclave": "3" * 64})
    assert other.versions == versions
    wide = dataclasses.replace(
        base,
        platforms={
            name: dataclasses.replace(terms, code=(), unsafe_any_measurement=True)
            for name, terms in base.platforms.items()
        },
    )
    changed = [dataclasses.replace(entry, claims=(other,)) for entry in entries.values()]
    assert decide(denying(wide, measurements=["0" * 64]), sealed(changed)).accepted
    assert not decide(denying(wide, measurements=[other.measurement_digest]), sealed(changed)).accepted


# keys


def test_a_denied_key_signs_nothing(entries: dict[str, Entry], sealed: Sealed, base: Policy) -> None:
    appraisal = decide(denying(base, keys=[key_of("auditor")]), sealed(entries.values()))
    assert rule(appraisal).reason == "signer-denied"
    assert key_of("auditor") in rule(appraisal).message
    assert appraisal.exit_code == 5
    assert rule(appraisal, "training").outcome == "satisfied"


def test_another_key_of_the_same_identity_still_signs(
    entries: dict[str, Entry], sealed: Sealed, base: Policy, signed: Callable[..., VerifiedSignature]
) -> None:
    other = signed("auditor")
    other = dataclasses.replace(other, signature=dataclasses.replace(other.signature, key_sha256="9" * 64))
    items = [
        dataclasses.replace(item, signatures=(*item.signatures, other)) if item.signers == {"auditor"} else item
        for item in sealed(entries.values())
    ]
    assert decide(denying(base, keys=[key_of("auditor")]), items).accepted


def test_a_signature_whose_key_nothing_tells_may_be_of_any(
    entries: dict[str, Entry], sealed: Sealed, base: Policy, signed: Callable[..., VerifiedSignature]
) -> None:
    unknown = signed("auditor")
    unknown = dataclasses.replace(unknown, signature=dataclasses.replace(unknown.signature, key_sha256=""))
    items = replaced(sealed(entries.values()), "auditor", unknown)
    assert decide(base, items).accepted
    assert rule(decide(denying(base, keys=["d" * 64]), items)).reason == "signer-denied"


def test_a_denied_key_dates_nothing(base: Policy, signed: Callable[..., VerifiedSignature]) -> None:
    dated = signed("auditor", seen(-2)).signature
    assert base.dates("auditor", dated) == AT - 2 * DAY
    assert denying(base, keys=[key_of("auditor")]).dates("auditor", dated) is None


def test_reference_values_signed_with_a_denied_key(base: Policy, signed: Callable[..., VerifiedSignature]) -> None:
    policy = dataclasses.replace(base, reference_signatures=(("auditor", signed("auditor").signature),))
    policy.trust_material(at=AT, now=AT)
    with pytest.raises(PolicyError) as caught:
        denying(policy, keys=[key_of("auditor")]).trust_material(at=AT, now=AT)
    assert caught.value.reason == "signer-denied"


def test_trust_material_of_another_list_is_not_this_policys(
    entries: dict[str, Entry], sealed: Sealed, base: Policy
) -> None:
    """Evidence that only a denied key signed would be in it."""
    verification = Verification(
        trust=base.trust_material(at=AT, now=AT), attestations=sealed(entries.values()), set_aside=()
    )
    policy = denying(base, keys=["d" * 64])
    with pytest.raises(ValueError, match="another"):
        appraise(policy, model=chain.model(), model_name="m", verification=verification, at=AT)


# lists of several policies, and order


def test_two_lists_are_joined() -> None:
    one = Deny(artifacts=frozenset("a"), keys=frozenset("b"))
    other = Deny(artifacts=frozenset("c"), attestations=frozenset("d"), measurements=frozenset("e"))
    assert one | other == Deny(
        artifacts=frozenset("ac"),
        attestations=frozenset("d"),
        measurements=frozenset("e"),
        keys=frozenset("b"),
    )


@pytest.mark.parametrize(
    ("lists", "name", "reason"),
    [
        ({"artifacts": [chain.TRAIN]}, "deny", "artifact-denied"),
        ({"keys": [key_of("auditor")]}, "accurate", "signer-denied"),
        ({"measurements": ["measurement"]}, "accurate", "platform-denied"),
        ({"attestations": ["evaluation"]}, "accurate", "evaluation-missing"),
    ],
)
def test_policies_within_deny_the_same(
    entries: dict[str, Entry],
    sealed: Sealed,
    base: Policy,
    root: str,
    lists: dict[str, list[str]],
    name: str,
    reason: str,
) -> None:
    """Two steps down, so that what is in between hands it on."""
    attestations = sealed(entries.values())
    digests = {
        "measurement": chain.claims(root=root).measurement_digest,
        "evaluation": next(item.statement.sha256 for item in attestations if item.signers == {"auditor"}),
    }
    innermost = dataclasses.replace(base, name="innermost", closure="1" * 64)
    inner = dataclasses.replace(base, name="inner", closure="2" * 64, extends=(innermost,))
    lists = {key: [digests.get(item, item) for item in items] for key, items in lists.items()}
    for outer, expected in (
        (dataclasses.replace(base, extends=(inner,)), None),
        (denying(dataclasses.replace(base, extends=(inner,)), **lists), reason),
    ):
        appraisal = appraise(
            outer,
            model=chain.model(),
            model_name="m",
            verification=Verification(
                trust=outer.trust_material(at=AT, now=AT), attestations=attestations, set_aside=()
            ),
            at=AT,
            within={
                policy.closure: Verification(
                    trust=policy.trust_material(at=AT, now=AT), attestations=attestations, set_aside=()
                )
                for policy in outer.within
            },
        )
        assert appraisal.accepted == (expected is None)
        (below,) = appraisal.extended[0].extended
        assert {item.reason for item in below.rules if item.name == name} <= {expected}
        assert below.accepted == (expected is None)


def test_a_policy_within_denies_nothing_for_those_around_it(base: Policy) -> None:
    inner = dataclasses.replace(denying(base, keys=["a" * 64]), closure="1" * 64)
    outer = dataclasses.replace(denying(base, keys=["b" * 64]), closure="2" * 64, extends=(inner,))
    assert {item.closure: item.deny.keys for item in outer.within} == {"1" * 64: {"a" * 64, "b" * 64}}
    assert outer.deny.keys == {"b" * 64}
    assert inner.deny.keys == {"a" * 64}


def test_a_policy_within_denies_what_those_around_it_do_on_every_way_to_it(base: Policy) -> None:
    inner = dataclasses.replace(base, closure="1" * 64)
    between = [
        dataclasses.replace(denying(base, keys=[name * 64]), closure=number * 64, extends=(inner,))
        for name, number in (("a", "2"), ("b", "3"))
    ]
    outer = dataclasses.replace(base, closure="4" * 64, extends=(*between, inner))
    (found,) = [item for item in outer.within if item.closure == inner.closure]
    assert found.deny.keys == {"a" * 64, "b" * 64}
    assert {item.closure for item in outer.within} == {"1" * 64, "2" * 64, "3" * 64}


def test_keys_are_denied_to_policies_within_in_verification_too(
    base: Policy, entries: dict[str, Entry], sealed: Sealed, signed: Callable[..., VerifiedSignature]
) -> None:
    """What signs the evidence and the reference values of a policy within: denied outside is denied there."""
    inner = dataclasses.replace(
        base, closure="1" * 64, reference_signatures=(("auditor", signed("auditor").signature),)
    )
    outer = dataclasses.replace(denying(base, keys=[key_of("auditor")]), extends=(inner,))
    (within,) = outer.within
    with pytest.raises(PolicyError) as caught:
        within.trust_material(at=AT, now=AT)
    assert caught.value.reason == "signer-denied"

    plain = dataclasses.replace(inner, reference_signatures=())
    outer = dataclasses.replace(denying(base, keys=["d" * 64]), extends=(plain,))
    attestations = sealed(entries.values())
    for policy, reason in ((outer.within[0], None), (plain, "policy-unverified")):
        appraisal = appraise(
            outer,
            model=chain.model(),
            model_name="m",
            verification=Verification(
                trust=outer.trust_material(at=AT, now=AT), attestations=attestations, set_aside=()
            ),
            at=AT,
            within={
                policy.closure: Verification(
                    trust=policy.trust_material(at=AT, now=AT), attestations=attestations, set_aside=()
                )
            },
        )
        assert appraisal.accepted == (reason is None)
        assert rule(appraisal, f"extends: {plain.name}").reason == reason


@pytest.fixture(scope="module")
def universe(sealed: Sealed, root: str) -> tuple[VerifiedAttestation, ...]:
    good = chain.entries(root=root)
    twins = [dataclasses.replace(entry, payload=entry.payload + b" ") for entry in good.values()]
    bad = chain.trained(chain.model(), datasets=[("census-train", chain.TRAIN, ""), ("bad", "b" * 64, "")])
    return sealed([*good.values(), *twins, dataclasses.replace(good["training"], payload=bad)])


@settings(max_examples=50, deadline=None)
@given(
    chosen=st.sets(st.integers(0, 8), min_size=4),
    denied=st.sets(st.integers(0, 8)),
    artifacts=st.sets(st.sampled_from([chain.TRAIN, chain.TEST, "b" * 64, "f" * 64])),
    keys=st.sets(st.sampled_from(["auditor", "trainer", "nobody"])),
    seed=st.integers(),
)
def test_a_list_only_ever_refuses_more_and_order_decides_nothing(
    chosen: set[int],
    denied: set[int],
    artifacts: set[str],
    keys: set[str],
    seed: int,
    universe: tuple[VerifiedAttestation, ...],
    base: Policy,
) -> None:
    items = [universe[index] for index in sorted(chosen)]
    policy = denying(
        base,
        artifacts=artifacts,
        attestations=[universe[index].statement.sha256 for index in denied],
        keys=[key_of(name) for name in keys],
    )
    appraisal = decide(policy, items)
    assert appraisal == decide(policy, random.Random(seed).sample(items, len(items)))
    assert decide(base, items).accepted >= appraisal.accepted
    if not (artifacts or keys):
        left = [universe[index] for index in sorted(chosen - denied)]
        assert decide(base, left).accepted == appraisal.accepted, "as if they were not there"


# in force


def test_a_policy_that_has_not_begun(entries: dict[str, Entry], sealed: Sealed, base: Policy) -> None:
    """In force at the time that certificates are judged by, and now: an early ``--at`` opens nothing."""
    policy = dataclasses.replace(base, effective_from=AT)
    assert decide(policy, sealed(entries.values())).accepted
    for at, now in ((AT - DAY, AT), (AT, AT - DAY), (AT - dt.timedelta(microseconds=1), AT)):
        with pytest.raises(PolicyError) as caught:
            policy.trust_material(at=at, now=now)
        assert caught.value.reason == "policy-not-yet"
    early = Verification(
        trust=dataclasses.replace(policy.trust_material(at=AT, now=AT), now=AT - DAY),
        attestations=(),
        set_aside=(),
    )
    with pytest.raises(PolicyError) as caught:
        appraise(policy, model=chain.model(), model_name="m", verification=early, at=AT)
    assert caught.value.reason == "policy-not-yet"
