"""Who may sign, as a policy file says it: keys, certificates, their times and the roots they are judged under."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lamslsa.errors import FormatError, PolicyError
from lamslsa.policy import Policy, load_policy
from lamslsa.sign import KeyVerifier
from lamslsa.sign.keyless import KeylessTerms, KeylessVerifier, SigstoreRoot

Load = Callable[[str], Policy]
OWNER = "data-owner: {key: data-owner.pub}"
ISSUER = "https://token.actions.githubusercontent.com"


def _with(text: str, new: str, old: str = OWNER) -> str:
    assert old in text
    return text.replace(old, new, 1)


@pytest.fixture
def judged(load: Load, policy_text: str) -> Callable[[str], Policy]:
    """The base policy with another data-owner."""
    return lambda owner: load(_with(policy_text, f"data-owner: {owner}"))


def test_a_key_with_everything(judged: Load) -> None:
    owner = judged(
        "{key: data-owner.pub, validFrom: 2026-01-01T00:00:00Z, validUntil: 2026-06-01T00:00:00Z, "
        "revokedAt: 2026-03-01T00:00:00Z, requireTimestamp: true, requireLog: true}"
    ).identities["data-owner"]
    (credential,) = owner.credentials
    assert isinstance(credential.verifier, KeyVerifier)
    assert (owner.require_timestamp, owner.require_log) == (True, True)
    assert credential.valid_from == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert credential.valid_until == dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
    assert credential.end == credential.revoked_at == dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def test_a_workflow(judged: Load) -> None:
    owner = judged(
        f"{{keyless: {{issuer: {ISSUER}, repository: acme/census, repositoryId: 123456, ownerId: '77', "
        "workflow: .github/workflows/train.yml, ref: refs/heads/main, runnerEnvironment: github-hosted}}"
    ).identities["data-owner"]
    (credential,) = owner.credentials
    assert isinstance(credential.verifier, KeylessVerifier)
    assert credential.verifier.terms == KeylessTerms(
        issuer=ISSUER,
        repository="acme/census",
        repository_id="123456",
        owner_id="77",
        workflow=".github/workflows/train.yml",
        ref="refs/heads/main",
        runner_environment="github-hosted",
    )
    assert credential.verifier.root.sha256 == SigstoreRoot.embedded().sha256
    assert (owner.require_timestamp, owner.require_log, credential.end) == (False, False, None)


@pytest.mark.parametrize(("key", "value"), [("identity", "me@example.com"), ("identityRegex", r"[a-z]+@example\.com")])
def test_a_person(judged: Load, key: str, value: str) -> None:
    owner = judged(f"{{keyless: {{issuer: https://accounts.example.com, {key}: '{value}'}}}}").identities["data-owner"]
    verifier = owner.credentials[0].verifier
    assert isinstance(verifier, KeylessVerifier)
    assert value in (verifier.terms.identity, verifier.terms.identity_regex)


def test_several_credentials(judged: Load) -> None:
    owner = judged(
        "{requireTimestamp: true, credentials: [{key: data-owner.pub, revokedAt: 2026-03-01T00:00:00Z}, "
        "{key: enclave-release.pub, validFrom: 2026-03-01T00:00:00Z}, "
        "{keyless: {issuer: https://accounts.example.com, identity: me@example.com}}]}"
    ).identities["data-owner"]
    assert len(owner.credentials) == 3
    assert [item.end is None for item in owner.credentials] == [False, True, True]
    assert owner.require_timestamp


KEYLESS = "keyless: {issuer: https://a.example, identity: me@example.com}"
REFUSED = {
    "neither": ("{requireLog: true}", "policy-identity"),
    "both": (f"{{key: data-owner.pub, {KEYLESS}}}", "policy-identity"),
    "two ways": ("{key: data-owner.pub, credentials: [{key: enclave-release.pub}]}", "policy-identity"),
    "no credential": ("{credentials: []}", "yaml-empty"),
    "neither in credentials": ("{credentials: [{validFrom: 2026-01-01T00:00:00Z}]}", "policy-identity"),
    "both in credentials": (f"{{credentials: [{{key: data-owner.pub, {KEYLESS}}}]}}", "policy-identity"),
    "too many credentials": (
        "{credentials: [" + ", ".join(["{key: data-owner.pub}"] * 17) + "]}",
        "policy-identity",
    ),
    "key twice": ("{credentials: [{key: data-owner.pub}, {key: data-owner.pub}]}", "policy-key-shared"),
    "key of another": ("{credentials: [{key: data-owner.pub}, {key: trainer.pub}]}", "policy-key-shared"),
    "term in credentials": (
        "{credentials: [{key: data-owner.pub, requireTimestamp: true}]}",
        "yaml-unknown-key",
    ),
    "times beside credentials": (
        "{validUntil: 2026-01-01T00:00:00Z, credentials: [{key: data-owner.pub}]}",
        "yaml-unknown-key",
    ),
    "ends before it begins": (
        "{key: data-owner.pub, validFrom: 2026-02-01T00:00:00Z, validUntil: 2026-02-01T00:00:00Z}",
        "policy-time",
    ),
    "revoked before it begins": (
        "{key: data-owner.pub, validFrom: 2026-02-01T00:00:00Z, revokedAt: 2026-01-01T00:00:00Z}",
        "policy-time",
    ),
    "required is false": ("{key: data-owner.pub, requireTimestamp: false}", "policy-identity"),
    "required is a word": ("{key: data-owner.pub, requireLog: 'true'}", "yaml-type"),
    "no issuer": ("{keyless: {identity: me@example.com}}", "yaml-missing-key"),
    "everybody of an issuer": ("{keyless: {issuer: https://a.example}}", "terms-open"),
    "everybody on a branch": ("{keyless: {issuer: https://a.example, ref: refs/heads/main}}", "terms-open"),
    "unknown term": ("{keyless: {issuer: https://a.example, identity: me, sha: 0}}", "yaml-unknown-key"),
    "id that is none": ("{keyless: {issuer: https://a.example, identity: me, repositoryId: -1}}", "policy-identity"),
    "id with letters": ("{keyless: {issuer: https://a.example, identity: me, ownerId: '1a'}}", "policy-identity"),
    "id that is true": ("{keyless: {issuer: https://a.example, identity: me, ownerId: true}}", "policy-identity"),
    "empty term": ("{keyless: {issuer: https://a.example, identity: ''}}", "yaml-empty"),
    "term of two lines": ('{keyless: {issuer: https://a.example, identity: "a\\nb"}}', "policy-identity"),
    "endless term": (f"{{keyless: {{issuer: https://a.example, identity: {'x' * 513}}}}}", "policy-identity"),
    "root that is none": ("{key: data-owner.pub, trustedRoot: auditor.pub}", "json-syntax"),
    "root that is not there": (
        "{keyless: {issuer: https://a.example, identity: me}, trustedRoot: absent.json}",
        "policy-file",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(judged: Load, case: str) -> None:
    owner, reason = REFUSED[case]
    with pytest.raises(FormatError) as caught:
        judged(owner)
    assert caught.value.reason == reason
    assert str(caught.value).startswith("policy.yaml:8:" if case == "key of another" else "policy.yaml:7:")


def test_two_names_for_one_certificate(load: Load, policy_text: str) -> None:
    text = _with(policy_text, f"data-owner: {{{KEYLESS}}}")
    with pytest.raises(FormatError) as caught:
        load(_with(text, f"trainer: {{{KEYLESS}}}", "trainer: {key: trainer.pub}"))
    assert caught.value.reason == "policy-key-shared"
    assert "'data-owner'" in str(caught.value)


@pytest.fixture
def own_root() -> bytes:
    """Another root than the embedded one, in its bytes."""
    document = json.loads(SigstoreRoot.embedded().raw)
    document["tlogs"] = document["tlogs"][:1]
    return json.dumps(document).encode()


def test_the_nearest_root_counts(policy_text: str, own_root: bytes, tmp_path: Path, vectors: Path) -> None:
    for file in (vectors / "policy" / "base").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "near.json").write_bytes(own_root)
    (tmp_path / "far.json").write_bytes(own_root + b"\n")
    given = SigstoreRoot.load(own_root + b"\n\n")
    near = "data-owner: {keyless: {issuer: https://a.example, identity: me}, trustedRoot: near.json}"
    plain = "data-owner: {keyless: {issuer: https://a.example, identity: me}}"

    def root_of(owner: str, *, far: bool, root: SigstoreRoot | None) -> str:
        text = _with(policy_text, owner)
        text = _with(text, "trust:\n  trustedRoot: far.json\n", "trust:\n") if far else text
        policy = load_policy(text.encode(), source="policy.yaml", directory=tmp_path, trusted_root=root)
        verifier = policy.identities["data-owner"].credentials[0].verifier
        assert isinstance(verifier, KeylessVerifier)
        return verifier.root.sha256

    assert root_of(near, far=True, root=given) == SigstoreRoot.load(own_root).sha256
    assert root_of(plain, far=True, root=given) == SigstoreRoot.load(own_root + b"\n").sha256
    assert root_of(plain, far=False, root=given) == given.sha256
    assert root_of(plain, far=False, root=None) == SigstoreRoot.embedded().sha256


def test_reference_values_signed_with_a_key_that_ended(load: Load, policy_text: str) -> None:
    """Their signer's credential is judged like any other, when the policy hands out what to verify with."""
    ended = RELEASE.replace("}", ", revokedAt: 2026-01-01T00:00:00Z}")
    policy = load(_with(_with_references(policy_text), ended, RELEASE))
    now = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    with pytest.raises(PolicyError) as caught:
        policy.trust_material(at=now, now=now)
    assert caught.value.reason == "signer-undated"
    assert "reference values" in str(caught.value)


RELEASE = "enclave-release: {key: enclave-release.pub}"
REFERENCES = (
    "rehearsal: {tee: [sgx], simulated: true, roots: [simulated-root.pem], referenceValues: "
    "{file: enclave.reference-values.sigstore.json, signedBy: enclave-release}}"
)


def _with_references(policy_text: str) -> str:
    rehearsal = next(line.strip() for line in policy_text.splitlines() if line.strip().startswith("rehearsal:"))
    return _with(_with(policy_text, f"{OWNER}\n    {RELEASE}"), REFERENCES, rehearsal)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\ntraining:", "\nmodel: {signature: {signedBy: enclave-release}}\ntraining:"),
        ("{name: census-train, digest", "{name: census-train, signature: {signedBy: enclave-release}, digest"),
    ],
)
def test_who_signs_reference_values_signs_no_artifact(load: Load, policy_text: str, old: str, new: str) -> None:
    text = _with_references(policy_text)
    load(text)
    with pytest.raises(FormatError) as caught:
        load(_with(text, new, old))
    assert caught.value.reason == "policy-reference-signer"


def test_one_repository_in_two_spellings(load: Load, policy_text: str) -> None:
    terms = "keyless: {issuer: https://a.example, repository: acme/census}"
    text = _with(policy_text, f"data-owner: {{{terms}}}")
    other = terms.replace("acme/census", "https://github.com/acme/census")
    with pytest.raises(FormatError) as caught:
        load(_with(text, f"trainer: {{{other}}}", "trainer: {key: trainer.pub}"))
    assert caught.value.reason == "policy-key-shared"


def test_one_certificate_under_two_roots(
    load: Load, policy_text: str, own_root: bytes, tmp_path: Path, vectors: Path
) -> None:
    """Another root, if only by a line end, makes no other person."""
    for file in (vectors / "policy" / "base").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "root.json").write_bytes(own_root)
    text = _with(policy_text, f"data-owner: {{{KEYLESS}}}")
    text = _with(text, f"trainer: {{{KEYLESS}, trustedRoot: root.json}}", "trainer: {key: trainer.pub}")
    with pytest.raises(FormatError) as caught:
        load_policy(text.encode(), source="policy.yaml", directory=tmp_path)
    assert caught.value.reason == "policy-key-shared"
