"""Identities and signatures of whole artifacts: limits to the last one that is taken, and everything that is said."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamslsa import model_signature, verification
from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.errors import FormatError
from lamslsa.policy import Policy, RuleResult, appraise, load_policy
from lamslsa.policy.identities import Credential, Identity
from lamslsa.sign import KeySigner, generate, parse_bundle
from lamslsa.sign.interface import Envelope, Signature, TrustedTime, Witnessed
from lamslsa.sign.keyless import KeylessVerifier, SigstoreRoot
from lamslsa.sign.keyless.root import MAX_ROOT_BYTES
from lamslsa.statement import parse
from lamslsa.testing import chain
from lamslsa.verification import Verification, VerifiedModelSignature, VerifiedSignature

AT = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
OWNER = "data-owner: {key: data-owner.pub}"
MODEL = chain.model()
DATA = Manifest.of("dataset", [FileEntry(path="census-train.csv", sha256="ab" * 32, size=7)])
PERSON = "keyless: {{issuer: https://a.example, identity: {}@a.example}}"

Load = Callable[[str], Policy]


def owned(text: str, owner: str) -> str:
    assert OWNER in text
    return text.replace(OWNER, f"data-owner: {owner}", 1)


def refused(load: Load, text: str) -> FormatError:
    with pytest.raises(FormatError) as caught:
        load(text)
    return caught.value


def test_an_identity_says_who_signed() -> None:
    signer = KeySigner.load(generate(None), None)
    owner = Identity(credentials=(Credential(verifier=signer.verifier()),))
    found = owner.verify(parse_bundle(signer.sign(b"{}")))
    assert (found.signer, found.key_id) == (signer.identity, signer.key_id)


@pytest.mark.parametrize("message", ["", "another authority"])
def test_refusals_end_with_why_if_there_is_a_why(message: str) -> None:
    class Known:
        def verify(self, envelope: Envelope) -> Signature:
            return Signature(signer="key x", witnessed=Witnessed(message=message))

    owner = Identity(
        credentials=(Credential(verifier=Known(), valid_until=AT),), require_timestamp=True, require_log=True
    )
    envelope = parse_bundle(KeySigner.load(generate(None), None).sign(b"{}"))
    end = f"({message})" if message else "got none"
    undated, unstamped, unlogged = owner.refusals(owner.verify(envelope), name="trainer")
    assert undated.message.endswith(end)
    assert unstamped.message.endswith(end if message else "got none that counts")
    assert unlogged.message.endswith(end if message else "got no entry that counts")


@pytest.mark.parametrize(("key", "word"), [("valid_until", "ended"), ("revoked_at", "was revoked")])
def test_how_a_credential_ended_is_said(key: str, word: str) -> None:
    class Known:
        def verify(self, envelope: Envelope) -> Signature:
            times = (TrustedTime(at=AT, source="log"),)
            return Signature(signer="key x", witnessed=Witnessed(times=times))

    owner = Identity(credentials=(Credential(verifier=Known(), **{key: AT}),))
    envelope = parse_bundle(KeySigner.load(generate(None), None).sign(b"{}"))
    (refusal,) = owner.refusals(owner.verify(envelope), name="trainer")
    assert f"when its credential {word}, got one of 2026-11-22T00:00:00Z" in refusal.message


# reading


def test_a_key_is_judged_under_the_root_of_the_policy(policy_text: str, vectors: Path) -> None:
    class Root(SigstoreRoot):
        def witnessed(self, bundle: Any, *, public_pem: bytes) -> Witnessed:
            return Witnessed(logged=True)

    signer = KeySigner.load(generate(None), None)
    base = vectors / "policy" / "base"

    def read(path: Path, limit: int, /) -> bytes:
        return signer.public_pem if path.name == "data-owner.pub" else path.read_bytes()

    root = Root(SigstoreRoot.embedded().raw)
    policy = load_policy(policy_text.encode(), source="policy.yaml", directory=base, read=read, trusted_root=root)
    value = json.loads(signer.sign(b"{}"))
    value["verificationMaterial"]["tlogEntries"] = [{}]
    found = policy.identities["data-owner"].verify(parse_bundle(json.dumps(value).encode()))
    assert found.witnessed.logged


def test_several_people_are_several_credentials(load: Load, policy_text: str) -> None:
    people = ", ".join("{" + PERSON.format(name) + "}" for name in ("a", "b"))
    policy = load(owned(policy_text, f"{{credentials: [{people}]}}"))
    verifiers = [item.verifier for item in policy.identities["data-owner"].credentials]
    assert [item.terms.identity for item in verifiers if isinstance(item, KeylessVerifier)] == [
        "a@a.example",
        "b@a.example",
    ]


def test_the_same_person_twice(load: Load, policy_text: str) -> None:
    person = "{" + PERSON.format("a") + "}"
    err = refused(load, owned(policy_text, f"{{credentials: [{person}, {person}]}}"))
    assert err.reason == "policy-key-shared"
    assert "got the same twice" in str(err)
    text = owned(policy_text, person).replace("auditor: {key: auditor.pub}", f"auditor: {person}")
    err = refused(load, text)
    assert err.reason == "policy-key-shared"
    assert "got that of 'data-owner'" in str(err)


@pytest.mark.parametrize(("count", "taken"), [(16, True), (17, False)])
def test_how_many_credentials(load: Load, policy_text: str, count: int, taken: bool) -> None:
    people = ", ".join("{" + PERSON.format(f"p{number}") + "}" for number in range(count))
    text = owned(policy_text, f"{{credentials: [{people}]}}")
    if taken:
        assert len(load(text).identities["data-owner"].credentials) == count
    else:
        assert refused(load, text).reason == "policy-identity"


@pytest.mark.parametrize(("length", "taken"), [(512, True), (513, False)])
def test_how_long_a_text_is(load: Load, policy_text: str, length: int, taken: bool) -> None:
    text = owned(policy_text, f"{{keyless: {{issuer: https://a.example, identity: {'a' * length}}}}}")
    if taken:
        load(text)
    else:
        assert refused(load, text).reason == "policy-identity"


@pytest.mark.parametrize(
    ("number", "taken"),
    [
        ("7", True),
        ("'7'", True),
        ("9" * 15, True),
        (f"'{'9' * 20}'", True),
        (f"'{'9' * 21}'", False),
        ("'\u0663'", False),
        (f"'{chr(0x663) * 21}'", False),
        ("true", False),
        ("1.5", False),
        ("-1", False),
        ("'x'", False),
        ("[1]", False),
    ],
)
def test_numbers(load: Load, policy_text: str, number: str, taken: bool) -> None:
    owner = f"{{keyless: {{issuer: https://a.example, repository: a/b, ownerId: {number}}}}}"
    text = owned(policy_text, owner)
    if taken:
        (credential,) = load(text).identities["data-owner"].credentials
        assert isinstance(credential.verifier, KeylessVerifier)
        assert credential.verifier.terms.owner_id == number.strip("'")
    else:
        assert refused(load, text).reason == "policy-identity"


def test_a_trusted_root_is_larger_than_a_key(policy_text: str, vectors: Path) -> None:
    limits: dict[str, int] = {}
    base = vectors / "policy" / "base"

    def read(path: Path, limit: int, /) -> bytes:
        limits[path.name] = limit
        return SigstoreRoot.embedded().raw if path.name == "root.json" else path.read_bytes()

    text = owned(policy_text, "{key: data-owner.pub, trustedRoot: root.json}")
    load_policy(text.encode(), source="policy.yaml", directory=base, read=read)
    assert limits["root.json"] == MAX_ROOT_BYTES == 1024 * 1024 > limits["data-owner.pub"]


# signatures of whole artifacts


def signature(manifest: Manifest, by: VerifiedSignature) -> VerifiedModelSignature:
    parsed = parse(model_signature.statement(manifest, name="m"))
    predicate = model_signature.parse_predicate(parsed)
    return VerifiedModelSignature(statement=parsed, predicate=predicate, signatures=(by,), seal=verification._SEAL)


@pytest.fixture
def result(sealed: Any, entries: dict[str, Any]) -> Callable[..., RuleResult]:
    def run(policy: Policy, *signatures: VerifiedModelSignature, name: str = "model signature") -> RuleResult:
        verification = Verification(
            trust=policy.trust_material(at=AT, now=AT),
            attestations=sealed(entries.values()),
            set_aside=(),
            model_signatures=tuple(signatures),
        )
        appraisal = appraise(policy, model=MODEL, model_name="m", verification=verification, at=AT)
        (rule,) = [rule for rule in appraisal.rules if rule.name == name]
        return rule

    return run


@pytest.fixture
def ask(load: Load, policy_text: str) -> Policy:
    return load(
        policy_text.replace("training: {signedBy", "model: {signature: {signedBy: trainer}}\ntraining: {signedBy")
    )


@pytest.fixture
def ask_data(load: Load, policy_text: str) -> Policy:
    line = "name: census-train, digest: sha256:" + chain.TRAIN
    return load(
        policy_text.replace(
            line, f"name: census-train, signature: {{signedBy: data-owner}}, digest: sha256:{DATA.sha256}"
        )
    )


def test_what_a_rule_says(ask: Policy, result: Callable[..., RuleResult], signed: Any) -> None:
    rule = result(ask, signature(MODEL, signed("trainer")))
    assert (rule.subject, rule.threshold, rule.mend, rule.message) == (
        "files of the model",
        "signature of trainer",
        "",
        "",
    )
    rule = result(ask)
    assert (rule.signer, rule.observed) == (None, None)
    assert "signature of all files of the model by trainer, got none" in rule.message
    assert rule.mend.startswith("have trainer sign the files")


def test_the_nearest_signature_is_the_one_that_lacks_least(
    ask: Policy, result: Callable[..., RuleResult], signed: Any
) -> None:
    """Refusals compare with nothing: how many there are decides, in either order."""
    other = chain.model({"model.json": "{}"})
    ended = signed("trainer", Witnessed(), valid_until=AT)
    worse, better = signature(other, ended), signature(MODEL, ended)
    for items in ((worse, better), (better, worse)):
        rule = result(ask, *items)
        assert (rule.reason, rule.message.count("; also ")) == ("signer-undated", 0)
        assert rule.observed is None
    unlike = signature(other, signed("trainer"))
    for items in ((worse, unlike), (unlike, worse)):
        assert result(ask, *items).reason == "model-signature-other"
    both = result(ask, worse)
    assert both.message.count("; also ") == 1
    assert "signature of trainer" in both.threshold
    assert "of trainer " in both.message


def test_what_a_rule_about_a_dataset_says(
    ask_data: Policy, result: Callable[..., RuleResult], signed: Any, entries: dict[str, Any]
) -> None:
    rule = result(ask_data, signature(DATA, signed("data-owner")), name="signature: census-train")
    assert (rule.reason, rule.signer) == ("datasheet-missing", "data-owner")
    assert "census-train" in rule.subject
    assert rule.message
    assert "got others" not in rule.message
    assert rule.mend != "attest the dataset again"
    payload = chain.edited(
        chain.datasheet("census-train", DATA.sha256, rows=7),
        ["predicate", "files"],
        [{"path": "census-train.csv", "digest": {"sha256": "ab" * 32}, "size": 7}],
    )
    entries["train"] = dataclasses.replace(entries["train"], payload=payload)
    rule = result(ask_data, signature(DATA, signed("data-owner")), name="signature: census-train")
    assert (rule.outcome, rule.signer) == ("satisfied", "data-owner")
    assert "census-train" in rule.subject


@pytest.mark.parametrize("path", ["../outside", "a//b"])
def test_a_datasheet_whose_files_no_artifact_has(
    ask_data: Policy,
    result: Callable[..., RuleResult],
    signed: Any,
    entries: dict[str, Any],
    path: str,
) -> None:
    payload = chain.edited(
        chain.datasheet("census-train", DATA.sha256, rows=7),
        ["predicate", "files"],
        [{"path": path, "digest": {"sha256": "ab" * 32}, "size": 7}],
    )
    entries["train"] = dataclasses.replace(entries["train"], payload=payload)
    rule = result(ask_data, signature(DATA, signed("data-owner")), name="signature: census-train")
    assert (rule.outcome, rule.reason) == ("refused", "datasheet-files")
