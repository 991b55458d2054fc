"""A policy drafted from attestations: accepts them, refuses others, and believes no name."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pytest

from lamslsa import model_signature
from lamslsa.errors import FormatError, PolicyError, VerificationError
from lamslsa.evidence.interface import Measurement
from lamslsa.evidence.reference import make_statement
from lamslsa.policy.init import IdentityWanted, PlatformWanted, TrustWanted
from lamslsa.predicates.reference_values import MEASURE_BUILD, MEASURE_VOUCHES, EnclaveBuild
from lamslsa.sign.keyless import KeylessVerifier
from lamslsa.store import open_store
from lamslsa.testing import chain
from tests.unit.policy.init.drafting import NOW, PLATFORM, ROLES, draft, judged, loaded, publish, world

GOLDEN = Path(__file__).with_name("golden.yaml")
HOSTILE = ['"', "a\nb: c", "# none", "x: {y", "'", "- z", "\u202eevil", "no", "x" * 129]


@pytest.fixture
def made(tmp_path: Path) -> Any:
    return world(tmp_path / "world")


@pytest.fixture
def published(made: Any) -> Any:
    publish(made, chain.census())
    return made


def test_the_draft_is_the_golden_one(published: Any, request: pytest.FixtureRequest) -> None:
    text = draft(published).write().text
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_the_draft_accepts_what_it_was_made_from(published: Any) -> None:
    drafted = draft(published).write()
    assert drafted.appraisal.accepted
    assert judged(published, drafted).accepted
    assert drafted.left_out == ()


def test_the_order_of_bundles_decides_nothing(published: Any) -> None:
    wanted = draft(published)
    turned = dataclasses.replace(wanted, bundles=wanted.bundles[::-1])
    assert turned.write().text == wanted.write().text


@pytest.mark.parametrize(
    ("name", "path", "other", "refused"),
    [
        ("evaluation", ("predicate", "metrics", 0, "interval", "lower"), 0.83, "accuracy"),
        ("evaluation", ("predicate", "metrics", 1, "interval", "upper"), 0.17, "demographic_parity_difference by sex"),
        ("evaluation", ("predicate", "metrics", 2, "samples"), 1999, "accuracy where sex=Female, race=Black"),
        ("test", ("predicate", "overlaps", 0, "rows"), 24, "rows of census-test in census-train"),
        ("train", ("predicate", "schema", "skipLines"), 2, "ingredient: census-train"),
        (
            "training",
            ("predicate", "buildDefinition", "resolvedDependencies", 1, "digest", "sha256"),
            "d" * 64,
            "code",
        ),
    ],
)
def test_what_is_worse_than_attested_is_refused(
    published: Any, name: str, path: tuple[str | int, ...], other: Any, refused: str
) -> None:
    drafted = draft(published).write()
    shutil.rmtree(published.folder / "attestations")
    publish(published, chain.census() | {name: chain.edited(chain.census()[name], path, other)})
    appraisal = judged(published, drafted)
    assert refused in {rule.name for rule in appraisal.rules if rule.outcome == "refused"}


def test_a_wider_margin_leaves_more_room(published: Any) -> None:
    policy = loaded(published, draft(published, margin=0.05).write().text)
    limits = {rule.name: getattr(rule, "minimum", None) or getattr(rule, "maximum", None) for rule in policy.require}
    assert limits == {
        "accuracy": 0.8,
        "demographic_parity_difference by sex": 0.205,
        "accuracy where sex=Female, race=Black": 0.845,
        "rows of census-test in census-train": 23,
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_others_chose_stay_names(made: Any, name: str) -> None:
    model = chain.model()
    metrics = [
        chain.metric("accuracy", 0.855),
        chain.metric("accuracy", 0.8, rows={name: "x"}),
        chain.metric("demographic_parity_difference", 0.1, groups=[name]),
        chain.metric(name, 0.5),
    ]
    payloads = {
        "train": chain.datasheet(name, chain.TRAIN, rows=100),
        "test": chain.datasheet(name, chain.TEST, rows=50),
        "training": chain.trained(
            model, datasets=[(name, chain.TRAIN, "")], configuration={name: name, "epochs": 10, "trick": {name: [1]}}
        ),
        "evaluation": chain.evaluated(model, dataset=(name, chain.TEST, ""), metrics=metrics),
    }
    publish(made, payloads)
    drafted = draft(made, model_name=name).write()
    policy = loaded(made, drafted.text)
    assert judged(made, drafted).accepted
    assert set(policy.identities) == set(ROLES.values())
    assert policy.training.parameters == ()
    assert {terms.sha256 for terms in policy.ingredients.datasets} == {chain.TRAIN}
    slices = {column for rule in policy.require for column in getattr(rule, "slice", None) or {}}
    assert slices == ({name} if len(name) <= 128 and name.isprintable() else set())


def test_two_datasets_of_one_name_have_two(made: Any) -> None:
    payloads = chain.census()
    payloads["test"] = chain.datasheet("census-train", chain.TEST, rows=10)
    payloads["evaluation"] = chain.evaluated(chain.model(), dataset=("census-train", chain.TEST, ""))
    publish(made, payloads)
    policy = loaded(made, draft(made).write().text)
    (listed,) = policy.ingredients.datasets
    (tested,) = {rule.dataset for rule in policy.require if hasattr(rule, "dataset")}
    assert (listed.name, tested.name) == ("census-train", f"dataset-{chain.TEST[:12]}")


def test_metrics_without_a_better_way_are_no_rules(made: Any) -> None:
    metrics = [chain.metric("accuracy", 0.855), chain.metric("selection_rate", 0.2), chain.metric("f1", 0.012)]
    undefined = {"name": "auroc", "samples": 0, "undefined": "one class only"}
    publish(made, chain.census() | {"evaluation": chain.evaluated(chain.model(), metrics=[*metrics, undefined])})
    drafted = draft(made).write()
    assert {rule.name for rule in drafted.policy.require} == {"accuracy", "rows of census-test in census-train"}
    f1, auroc, unknown = drafted.left_out
    assert f1 == "f1: 0.007 less the margin of 0.01 is a limit that nothing misses"
    assert auroc == "auroc: undefined, one class only"
    assert unknown.endswith("nobody here knows which way these are better: selection_rate (1)")
    assert all(f"# no rule: {line}"[:200] in drafted.text for line in drafted.left_out)


def test_an_evaluation_on_training_data_is_no_rule(made: Any) -> None:
    payloads = chain.census()
    payloads["other"] = chain.evaluated(chain.model(), dataset=("census-train", chain.TRAIN, ""))
    publish(made, payloads)
    drafted = draft(made).write()
    assert len(drafted.policy.require) == 4
    assert any("data that the model was trained on" in line for line in drafted.left_out)


def test_an_overlap_over_columns_that_training_did_not_read_is_no_rule(made: Any) -> None:
    path = ("predicate", "overlaps", 0, "columns")
    publish(made, chain.census() | {"test": chain.edited(chain.census()["test"], path, ["age", "row"])})
    drafted = draft(made).write()
    assert len(drafted.policy.require) == 3
    (line,) = drafted.left_out
    assert line.startswith("rows of census-test in census-train: expected an overlap over")


def test_a_signature_of_the_files_is_asked_for_where_there_is_one(published: Any) -> None:
    payload = model_signature.statement(chain.model(), name="census-mlp")
    open_store(str(published.folder / "attestations")).put(published.signers["trainer"].sign(payload), name="model")
    drafted = draft(published).write()
    assert drafted.policy.model_signed_by == "trainer"
    assert judged(published, drafted).accepted


def test_a_signature_of_other_files_is_not_asked_for(published: Any) -> None:
    payload = model_signature.statement(chain.model({"model.json": "{}"}), name="census-mlp")
    open_store(str(published.folder / "attestations")).put(published.signers["trainer"].sign(payload), name="model")
    drafted = draft(published).write()
    assert drafted.policy.model_signed_by is None
    assert drafted.left_out[0].startswith("model signature: ")


def test_a_transform_is_allowed_as_seen(made: Any) -> None:
    child = chain.model({"model.json": "{}", "model.safetensors": "int8"})
    parent = chain.model()
    payloads = chain.census(child) | {
        "training": chain.trained(parent),
        "quantized": chain.transformed(child, parents=[("census-mlp", parent.sha256)]),
    }
    publish(made, payloads, ROLES | {"quantized": "trainer"})
    drafted = draft(made, model=child).write()
    (terms,) = drafted.policy.transforms
    assert (terms.witness.signed_by, terms.allow) == ("trainer", ("quantize-int8/1",))
    assert judged(made, drafted, model=child).accepted


def test_a_base_model_is_listed_by_digest(made: Any) -> None:
    trained = chain.trained(chain.model(), bases=[("base", "e" * 64)])
    publish(made, chain.census() | {"training": trained})
    drafted = draft(made).write()
    (terms,) = drafted.policy.ingredients.models
    assert (terms.name, terms.sha256) == ("base", "e" * 64)


def test_licences_are_listed_where_each_dataset_declares_one(made: Any) -> None:
    train = chain.edited(chain.census()["train"], ("predicate", "declared"), {"license": "CC-BY-4.0"})
    publish(made, chain.census() | {"train": train})
    assert draft(made).write().policy.ingredients.licenses == frozenset({"CC-BY-4.0"})


def test_packages_are_listed_with_version_and_digest(made: Any) -> None:
    path = ("predicate", "buildDefinition", "resolvedDependencies", 2)
    package = {
        "name": "torch",
        "uri": "pkg:pypi/Torch@2.7.1%2Bcpu",
        "digest": {"sha256": "9" * 64},
        "annotations": {"kind": "package"},
    }
    publish(made, chain.census() | {"training": chain.edited(chain.census()["training"], path, package)})
    (terms,) = draft(made).write().policy.ingredients.packages or ()
    assert (terms.purl, terms.versions, terms.sha256) == ("pkg:pypi/torch", "==2.7.1+cpu", frozenset({"9" * 64}))


@pytest.mark.parametrize("uri", ["pkg:generic/x@1", "pkg:pypi/x?a=b@1", "pkg:pypi/x", 'pkg:pypi/x"y@1', "pkg:pypi/x@!"])
def test_a_package_that_no_policy_could_name_leaves_the_list_out(made: Any, uri: str) -> None:
    path = ("predicate", "buildDefinition", "resolvedDependencies", 2)
    package = {"name": "x", "uri": uri, "digest": {"sha256": "9" * 64}, "annotations": {"kind": "package"}}
    publish(made, chain.census() | {"training": chain.edited(chain.census()["training"], path, package)})
    drafted = draft(made).write()
    assert drafted.policy.ingredients.packages is None
    assert "# packages: one of them has no package URL" in drafted.text


def _other_keys(made: Any) -> TrustWanted:
    return TrustWanted(identities={"data-owner": IdentityWanted(key="data-owner.pub")}, platform=PLATFORM)


def _other_code(made: Any) -> TrustWanted:
    platform = dataclasses.replace(PLATFORM, measurements=["ab" * 32])
    return dataclasses.replace(draft(made).trust, platform=platform)


def _hardware(made: Any) -> TrustWanted:
    values = dataclasses.replace(PLATFORM, name="production", simulated=False, roots=(), tcb=["UpToDate"])
    return dataclasses.replace(draft(made).trust, platform=dataclasses.replace(values, measurements=()))


@pytest.mark.parametrize("trust", [_other_keys, _other_code])
def test_without_a_provenance_that_verifies_there_is_no_policy(published: Any, trust: Any) -> None:
    with pytest.raises(VerificationError, match="provenance of the model") as caught:
        draft(published, trust=trust(published)).write()
    assert caught.value.reason == "policy-init-nothing"


def test_without_attestations_there_is_no_policy(made: Any) -> None:
    with pytest.raises(VerificationError) as caught:
        draft(made, bundles=()).write()
    assert caught.value.reason == "policy-init-nothing"


def test_without_measured_values_there_is_no_policy(made: Any) -> None:
    publish(made, {name: chain.census()[name] for name in ("train", "training")})
    with pytest.raises(VerificationError, match="evaluation") as caught:
        draft(made).write()
    assert caught.value.reason == "policy-init-nothing"


def test_hardware_whose_code_nobody_names_is_refused_by_the_reader(published: Any) -> None:
    with pytest.raises(FormatError) as caught:
        draft(published, trust=_hardware(published)).write()
    assert caught.value.reason == "policy-measurement"


def test_without_a_datasheet_of_its_data_there_is_no_policy(made: Any) -> None:
    payloads = chain.census()
    publish(made, {name: payloads[name] for name in ("test", "training", "evaluation")})
    with pytest.raises(VerificationError, match="datasheet of 'census-train'") as caught:
        draft(made).write()
    assert caught.value.reason == "policy-init-nothing"


def test_what_no_policy_can_say_is_refused(made: Any) -> None:
    child, other = (chain.model({"model.json": "{}", "model.safetensors": text}) for text in ("mean", "other"))
    parents = [("one", chain.model().sha256), ("two", other.sha256)]
    payloads = chain.census(child) | {
        "training": chain.trained(chain.model()),
        "second": chain.trained(other),
        "averaged": chain.transformed(child, parents=parents, by="average/1"),
    }
    publish(made, payloads, ROLES | {"second": "auditor", "averaged": "trainer"})
    with pytest.raises(PolicyError, match="training") as caught:
        draft(made, model=child).write()
    assert caught.value.reason == "policy-init-refused"


def test_a_policy_that_has_expired_is_not_drafted(published: Any) -> None:
    with pytest.raises(PolicyError) as caught:
        draft(published, expires=NOW - dt.timedelta(days=1)).write()
    assert caught.value.reason == "policy-expired"


def test_a_hostile_evaluation_of_a_stranger_changes_nothing(published: Any) -> None:
    from lamslsa.sign import KeySigner, generate

    before = draft(published).write().text
    published.signers["stranger"] = KeySigner.load(generate(None), None)
    worse = chain.evaluated(chain.model(), metrics=[chain.metric("accuracy", 0.1)])
    publish(published, {"stranger": worse}, {"stranger": "stranger"})
    wanted = TrustWanted(
        identities={role: IdentityWanted(key=f"{role}.pub") for role in set(ROLES.values())}, platform=PLATFORM
    )
    assert draft(published, trust=wanted).write().text == before


def test_whoever_judges_what_he_made_is_pointed_at(made: Any) -> None:
    publish(made, chain.census(), ROLES | {"evaluation": "trainer"})
    drafted = draft(made).write()
    assert drafted.text.count("judges what it made") == 1
    assert "# signed nothing here that counts\n    auditor:" in drafted.text


def test_who_signs_reference_values_signs_nothing_else(published: Any) -> None:
    values = make_statement(
        Measurement(tee="sgx", parts=chain.claims(root="0" * 64).measurement),
        release="0.1.0",
        build=EnclaveBuild(name=MEASURE_BUILD),
        vouches_for=MEASURE_VOUCHES,
        minimum_svns={},
    )
    (published.folder / "values.sigstore.json").write_bytes(published.signers["auditor"].sign(values))
    platform = dataclasses.replace(PLATFORM, measurements=(), reference_values=[("values.sigstore.json", "auditor")])
    with pytest.raises(VerificationError, match="got none") as caught:
        draft(published, trust=dataclasses.replace(draft(published).trust, platform=platform)).write()
    assert caught.value.reason == "policy-init-nothing"


def test_certificates_are_written_as_they_are_named(published: Any) -> None:
    issuer, identity = "https://issuer.example/a?b=c#d", 'o\'brien "x"@example.com'
    identities = dict(draft(published).trust.identities) | {"bot": IdentityWanted(issuer=issuer, identity=identity)}
    drafted = draft(published, trust=TrustWanted(identities=identities, platform=PLATFORM)).write()
    (credential,) = drafted.policy.identities["bot"].credentials
    assert isinstance(credential.verifier, KeylessVerifier)
    assert (credential.verifier.terms.issuer, credential.verifier.terms.identity) == (issuer, identity)


def test_platforms_of_hardware_are_written_as_asked_for() -> None:
    platform = PlatformWanted(
        name="production",
        tee="snp",
        minimum_svns={"milan": {"bootloader": 4, "tee": 0, "snp": 22, "microcode": 213}},
        reference_values=[("a.json", "release"), ("b file.json", "release")],
    )
    assert list(platform.lines()) == [
        "    production:",
        "      tee: [snp]",
        "      minSvns: {snp: {milan: {bootloader: 4, microcode: 213, snp: 22, tee: 0}}}",
        '      referenceValues: [{file: a.json, signedBy: release}, {file: "b file.json", signedBy: release}]',
    ]
