"""Real Sigstore bundles: each comes to the outcome that SOURCES.md states for it, refused ones for the right reason."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamslsa.errors import FormatError, VerificationError
from lamslsa.sign.blob import verify_content, verify_digest
from lamslsa.sign.dsse import parse_bundle, parse_bundles, parse_message_bundle
from lamslsa.sign.interface import Envelope, SignedMessage
from lamslsa.sign.key import KeyVerifier
from lamslsa.sign.keyless import KeylessTerms, KeylessVerifier, SigstoreRoot

BEACON = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/"
    "extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
ACTIONS = "https://token.actions.githubusercontent.com"
GENERATOR = (
    "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_generic_slsa3.yml@refs/tags/"
)
RELEASE = "https://github.com/trailofbits/pypi-attestation-models/.github/workflows/release.yml@refs/tags/v0.0.4a2"

# Keyless bundles that verify: whose they are, and from which sources their times come.
ACCEPTED: dict[str, tuple[str, tuple[str, ...]]] = {
    "conformance/happy-path-intoto-in-dsse-v3/bundle.sigstore.json": (f"{BEACON} ({ACTIONS})", ("log",)),
    "conformance/rekor2-dsse-happy-path/bundle.sigstore.json": (f"{BEACON} ({ACTIONS})", ("timestamp",)),
    "model_signing/v1.0.0-sigstore/model.sig": (
        "stefanb@us.ibm.com (https://sigstore.verify.ibm.com/oauth2)",
        ("log",),
    ),
    "model_signing/v1.1.0-sigstore/model.sig": (
        "stefanb@us.ibm.com (https://sigstore.verify.ibm.com/oauth2)",
        ("log", "timestamp"),
    ),
    "model_signing/spec-v1.0/valid/sigstore.bundle.json": (
        "stefanb@us.ibm.com (https://sigstore.verify.ibm.com/oauth2)",
        ("log", "timestamp"),
    ),
    "other/pypi_attestation_models-0.0.4a2.tar.gz.sigstore": (
        f"{RELEASE} ({ACTIONS})",
        ("log",),
    ),
    "other/slsa-github-generator-push-v14.2.intoto.jsonl": (f"{GENERATOR}v2.1.0 ({ACTIONS})", ("log",)),
}
REFUSED = {
    "conformance/dsse-invalid-sig_fail/bundle.sigstore.json": "signature",
    "conformance/dsse-mismatch-envelope_fail/bundle.sigstore.json": "signature-log",
    "conformance/dsse-mismatch-sig_fail/bundle.sigstore.json": "signature-log",
    "conformance/rekor2-dsse-invalid-sig_fail/bundle.sigstore.json": "signature",
    "conformance/rekor2-dsse-mismatch-envelope_fail/bundle.sigstore.json": "signature-log",
    "conformance/rekor2-dsse-mismatch-sig_fail/bundle.sigstore.json": "signature-log",
}
MESSAGES = (
    "conformance/managed-key-happy-path/bundle.sigstore.json",
    "conformance/managed-key-wrong-key_fail/bundle.sigstore.json",
    "conformance/rekor2-no-timestamp_fail/bundle.sigstore.json",
)
UNREADABLE = {
    "model_signing/spec-v1.0/invalid/empty.bundle.json": "json-syntax",
    "model_signing/spec-v1.0/invalid/missing-envelope.bundle.json": "bundle-shape",
    "model_signing/spec-v1.0/invalid/missing-tlog-entries.bundle.json": "bundle-log-entries",
    "model_signing/spec-v1.0/invalid/missing-verification-material.bundle.json": "bundle-shape",
}
MODEL_KEY = "e8450dec4eb99dae995da9af1bc2cc9f76ed669ee2e744f57abba763df3e3f8e"
BY_KEY = (
    "model_signing/v1.0.0-elliptic-key/model.sig",
    "model_signing/v1.1.0-elliptic-key/model.sig",
    "model_signing/spec-v1.0/valid/key.bundle.json",
    "model_signing/spec-v1.0/invalid-payload/wrong-predicate.bundle.json",
)
BY_CHAIN = ("model_signing/spec-v1.0/valid/certificate.bundle.json",)
SIGNED_FILE = "conformance/a.txt"
PUBLIC_GOOD = "conformance/happy-path-intoto-in-dsse-v3/bundle.sigstore.json"
STAMPED = "model_signing/v1.1.0-sigstore/model.sig"
STAGING = "conformance/rekor2-dsse-happy-path"
KEY_FOLDER = "conformance/managed-key-happy-path"


@pytest.fixture(scope="module")
def bundles(shared: Path) -> Path:
    return shared / "sigstore"


@pytest.fixture(scope="module")
def public_good() -> SigstoreRoot:
    return SigstoreRoot.embedded()


def root_of(file: Path, otherwise: SigstoreRoot) -> SigstoreRoot:
    own = file.with_name("trusted_root.json")
    return SigstoreRoot.load(own.read_bytes()) if own.exists() else otherwise


def envelope_of(file: Path) -> Envelope:
    if file.suffix != ".jsonl":
        return parse_bundle(file.read_bytes())
    (result,) = parse_bundles(file.name, file.read_bytes())
    assert isinstance(result.outcome, Envelope)
    return result.outcome


def test_every_bundle_is_listed(bundles: Path) -> None:
    patterns = ("*.sigstore.json", "*.sigstore", "*.sig", "*.bundle.json", "*.jsonl")
    found = sorted(path.relative_to(bundles).as_posix() for pattern in patterns for path in bundles.rglob(pattern))
    assert found == sorted([*ACCEPTED, *REFUSED, *MESSAGES, *UNREADABLE, *BY_KEY, *BY_CHAIN])


@pytest.mark.parametrize("name", ACCEPTED)
def test_keyless_bundles_that_verify(bundles: Path, public_good: SigstoreRoot, name: str) -> None:
    signer, sources = ACCEPTED[name]
    file = bundles / name
    certified = root_of(file, public_good).verify(envelope_of(file))
    assert certified.certificate.signer == signer
    assert tuple(time.source for time in certified.witnessed.times) == sources
    assert certified.witnessed.logged
    assert certified.witnessed.message == ""


@pytest.mark.parametrize("name", REFUSED)
def test_keyless_bundles_that_do_not(bundles: Path, public_good: SigstoreRoot, name: str) -> None:
    file = bundles / name
    envelope = envelope_of(file)
    with pytest.raises(VerificationError) as caught:
        root_of(file, public_good).verify(envelope)
    assert caught.value.reason == REFUSED[name]


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_bundle(bundles: Path, name: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_bundle((bundles / name).read_bytes())
    assert caught.value.reason == UNREADABLE[name]


@pytest.mark.parametrize("name", MESSAGES)
def test_the_signature_of_a_file_is_no_attestation(bundles: Path, name: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_bundle((bundles / name).read_bytes())
    assert caught.value.reason == "bundle-message-signature"


@pytest.mark.parametrize(
    ("name", "predicate_type"),
    [
        ("other/pypi_attestation_models-0.0.4a2.tar.gz.sigstore", "https://docs.pypi.org/attestations/publish/v1"),
        ("other/slsa-github-generator-push-v14.2.intoto.jsonl", "https://slsa.dev/provenance/v0.2"),
        ("model_signing/v1.0.0-sigstore/model.sig", "https://model_signing/signature/v1.0"),
    ],
)
def test_what_they_say(bundles: Path, name: str, predicate_type: str) -> None:
    assert json.loads(envelope_of(bundles / name).payload)["predicateType"] == predicate_type


@pytest.mark.parametrize("name", BY_KEY)
def test_bundles_of_model_signing_keys_show_their_payload(bundles: Path, name: str) -> None:
    envelope = envelope_of(bundles / name)
    assert envelope.key_hint == MODEL_KEY
    assert json.loads(envelope.payload)["_type"] == "https://in-toto.io/Statement/v1"


@pytest.fixture(scope="module")
def model_key(bundles: Path) -> bytes:
    """The key of OpenSSF model signing's tests: its first release wrote it beside the signature."""
    bundle = json.loads((bundles / BY_KEY[0]).read_bytes())
    return base64.b64decode(bundle["verificationMaterial"]["publicKey"]["rawBytes"])


def test_bundles_of_model_signing_keys_verify(bundles: Path, model_key: bytes) -> None:
    verifier = KeyVerifier.load(model_key)
    *signed, wrong_predicate = BY_KEY
    for name in signed:
        assert verifier.verify(envelope_of(bundles / name)).key_id == verifier.key_id
    with pytest.raises(VerificationError) as caught:
        verifier.verify(envelope_of(bundles / wrong_predicate))
    assert caught.value.reason == "signature"


def test_a_chain_of_an_organisation_is_none_of_sigstore(bundles: Path, public_good: SigstoreRoot) -> None:
    envelope = envelope_of(bundles / BY_CHAIN[0])
    with pytest.raises(VerificationError) as caught:
        KeylessVerifier(terms=KeylessTerms(issuer=ACTIONS, identity=BEACON), root=public_good).verify(envelope)
    assert caught.value.reason == "signature-key"
    with pytest.raises(VerificationError) as caught:
        public_good.verify(envelope)
    assert caught.value.reason == "bundle-material"


def test_terms_on_a_real_identity(bundles: Path, public_good: SigstoreRoot) -> None:
    envelope = envelope_of(bundles / PUBLIC_GOOD)
    terms = KeylessTerms(
        issuer=ACTIONS,
        identity=BEACON,
        repository="sigstore-conformance/extremely-dangerous-public-oidc-beacon",
        repository_id="632596897",
        owner_id="131804563",
        workflow=".github/workflows/extremely-dangerous-oidc-beacon.yml",
        ref="refs/heads/main",
        runner_environment="github-hosted",
    )
    assert KeylessVerifier(terms=terms, root=public_good).verify(envelope).signer == f"{BEACON} ({ACTIONS})"
    other = dataclasses.replace(terms, issuer="https://accounts.google.com")
    with pytest.raises(VerificationError) as caught:
        KeylessVerifier(terms=other, root=public_good).verify(envelope)
    assert caught.value.reason == "signature-identity"
    assert str(caught.value) == f"expected issuer 'https://accounts.google.com', got '{ACTIONS}'"


def test_a_reusable_workflow_is_the_subject_and_not_the_workflow(bundles: Path, public_good: SigstoreRoot) -> None:
    certified = public_good.verify(envelope_of(bundles / "other/slsa-github-generator-push-v14.2.intoto.jsonl"))
    assert certified.certificate.repository == "https://github.com/slsa-framework/example-package"
    assert certified.certificate.workflow.endswith("/verifier-e2e.all.workflow_dispatch.main.all.slsa3.yml")
    assert certified.certificate.san.startswith(GENERATOR)


def edited(file: Path, edit: Callable[[dict[str, Any]], object]) -> Envelope:
    bundle = json.loads(file.read_bytes())
    edit(bundle)
    return parse_bundle(json.dumps(bundle).encode())


def refusal(root: SigstoreRoot, envelope: Envelope) -> str:
    with pytest.raises(VerificationError) as caught:
        root.verify(envelope)
    return caught.value.reason


def entry_of(bundle: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = bundle["verificationMaterial"]["tlogEntries"][0]
    return entry


def test_another_root(bundles: Path, public_good: SigstoreRoot) -> None:
    staging = SigstoreRoot.load((bundles / STAGING / "trusted_root.json").read_bytes())
    assert refusal(public_good, envelope_of(bundles / STAGING / "bundle.sigstore.json")) == "signature-time"
    assert refusal(staging, envelope_of(bundles / PUBLIC_GOOD)) == "signature-time"


def test_stripped_of_every_time(bundles: Path, public_good: SigstoreRoot) -> None:
    unpromised = edited(bundles / PUBLIC_GOOD, lambda bundle: entry_of(bundle).pop("inclusionPromise"))
    assert refusal(public_good, unpromised) == "signature-time"
    staging = SigstoreRoot.load((bundles / STAGING / "trusted_root.json").read_bytes())
    file = bundles / STAGING / "bundle.sigstore.json"
    unstamped = edited(file, lambda bundle: bundle["verificationMaterial"].pop("timestampVerificationData"))
    assert refusal(staging, unstamped) == "signature-time"


def test_an_integrated_time_beside_rekor_v2_is_nobodys_word(bundles: Path) -> None:
    staging = SigstoreRoot.load((bundles / STAGING / "trusted_root.json").read_bytes())
    file = bundles / STAGING / "bundle.sigstore.json"
    dated = edited(file, lambda bundle: entry_of(bundle).update(integratedTime="1750000000"))
    assert [time.source for time in staging.verify(dated).witnessed.times] == ["timestamp"]


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        pytest.param(1, "signature-log", id="within the certificate's life"),
        pytest.param(3600, "signature-certificate", id="after it"),
    ],
)
def test_the_promise_covers_the_integrated_time(
    bundles: Path, public_good: SigstoreRoot, later: int, reason: str
) -> None:
    def shift(bundle: dict[str, Any]) -> None:
        entry = entry_of(bundle)
        entry["integratedTime"] = str(int(entry["integratedTime"]) + later)

    assert refusal(public_good, edited(bundles / PUBLIC_GOOD, shift)) == reason


def test_the_same_timestamp_twice(bundles: Path, public_good: SigstoreRoot) -> None:
    def repeat(bundle: dict[str, Any]) -> None:
        bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] *= 2

    assert refusal(public_good, edited(bundles / STAMPED, repeat)) == "signature-time"


def test_a_timestamp_of_another_signature_counts_for_nothing(bundles: Path, public_good: SigstoreRoot) -> None:
    foreign = json.loads((bundles / KEY_FOLDER / "bundle.sigstore.json").read_bytes())
    stamps = foreign["verificationMaterial"]["timestampVerificationData"]

    def swap(bundle: dict[str, Any]) -> None:
        bundle["verificationMaterial"]["timestampVerificationData"] = stamps

    witnessed = public_good.verify(edited(bundles / STAMPED, swap)).witnessed
    assert [time.source for time in witnessed.times] == ["log"]
    assert witnessed.message == (
        "expected timestamps over the signature by authorities of the trusted root, got 0 of 1"
    )


@pytest.mark.parametrize(
    ("part", "reason"), [("certificateAuthorities", "signature-certificate"), ("tlogs", "signature-time")]
)
@pytest.mark.parametrize("period", [{"end": "2024-12-16T18:42:55Z"}, {"start": "2024-12-16T18:42:57Z"}])
def test_periods_of_the_root_hold(
    bundles: Path, public_good: SigstoreRoot, part: str, reason: str, period: dict[str, str]
) -> None:
    root = json.loads(public_good.raw)
    for item in root[part]:
        holder = item["publicKey"] if part == "tlogs" else item
        holder["validFor"] = {"start": "2021-01-01T00:00:00Z", **period}
    assert refusal(SigstoreRoot.load(json.dumps(root).encode()), envelope_of(bundles / PUBLIC_GOOD)) == reason


@pytest.mark.parametrize("part", ["ctlogs", "certificateAuthorities", "tlogs"])
def test_a_root_without_a_part(bundles: Path, public_good: SigstoreRoot, part: str) -> None:
    root = json.loads(public_good.raw)
    root[part] = []
    emptied = SigstoreRoot.load(json.dumps(root).encode())
    expected = "signature-certificate" if part == "ctlogs" else "trusted-root-unusable"
    assert refusal(emptied, envelope_of(bundles / PUBLIC_GOOD)) == expected


def test_a_certificate_that_no_log_of_the_root_promised_to_show(bundles: Path, public_good: SigstoreRoot) -> None:
    root = json.loads(public_good.raw)
    root["ctlogs"] = json.loads((bundles / STAGING / "trusted_root.json").read_bytes())["ctlogs"]
    other = SigstoreRoot.load(json.dumps(root).encode())
    assert refusal(other, envelope_of(bundles / PUBLIC_GOOD)) == "signature-sct"


# Signatures of files, with a managed key


@pytest.fixture(scope="module")
def message(bundles: Path) -> SignedMessage:
    return parse_message_bundle((bundles / KEY_FOLDER / "bundle.sigstore.json").read_bytes())


@pytest.fixture(scope="module")
def signed_file(bundles: Path) -> bytes:
    return (bundles / SIGNED_FILE).read_bytes()


@pytest.fixture(scope="module")
def managed(bundles: Path, public_good: SigstoreRoot) -> KeyVerifier:
    return KeyVerifier.load((bundles / KEY_FOLDER / "key.pub").read_bytes(), public_good)


def test_the_managed_key_of_the_conformance_suite(
    managed: KeyVerifier, message: SignedMessage, signed_file: bytes
) -> None:
    signature = verify_content(message, signed_file, managed)
    assert signature.key_id == message.material.key_hint
    assert signature.witnessed.logged
    assert signature.witnessed.message == ""
    at = dt.datetime(2025, 12, 18, 17, 4, 39, tzinfo=dt.UTC)
    assert [(time.at, time.source) for time in signature.witnessed.times] == [(at, "log"), (at, "timestamp")]
    assert message.sha256 is not None
    assert verify_digest(message, message.sha256, managed) == signature


def test_another_file(managed: KeyVerifier, message: SignedMessage, signed_file: bytes) -> None:
    with pytest.raises(VerificationError) as caught:
        verify_content(message, signed_file + b"\n", managed)
    assert caught.value.reason == "signature-file"
    with pytest.raises(VerificationError) as caught:
        verify_content(dataclasses.replace(message, sha256=None), signed_file + b"\n", managed)
    assert caught.value.reason == "signature"


def test_the_broken_key_of_the_conformance_suite(bundles: Path) -> None:
    with pytest.raises(FormatError) as caught:
        KeyVerifier.load((bundles / "conformance/managed-key-wrong-key_fail/key.pub").read_bytes())
    assert caught.value.reason == "key-pem"


def test_the_bundle_of_the_wrong_key_and_the_model_key(bundles: Path, model_key: bytes, signed_file: bytes) -> None:
    wrong = parse_message_bundle((bundles / MESSAGES[1]).read_bytes())
    with pytest.raises(VerificationError) as caught:
        verify_content(wrong, signed_file, KeyVerifier.load(model_key))
    assert caught.value.reason == "signature-key"


def test_a_keyless_signature_of_a_file_without_a_time(bundles: Path, signed_file: bytes) -> None:
    folder = bundles / "conformance/rekor2-no-timestamp_fail"
    root = SigstoreRoot.load((folder / "trusted_root.json").read_bytes())
    signed = parse_message_bundle((folder / "bundle.sigstore.json").read_bytes())
    with pytest.raises(VerificationError) as caught:
        verify_content(signed, signed_file, KeylessVerifier(terms=KeylessTerms(issuer="x", identity="y"), root=root))
    assert caught.value.reason == "signature-time"


def rekeyed(message: SignedMessage, **material: Any) -> SignedMessage:
    return dataclasses.replace(message, material=dataclasses.replace(message.material, **material))


def test_the_same_timestamp_twice_counts_once(managed: KeyVerifier, message: SignedMessage, signed_file: bytes) -> None:
    twice = rekeyed(message, timestamps=message.material.timestamps * 2)
    assert verify_content(twice, signed_file, managed) == verify_content(message, signed_file, managed)


def test_a_log_entry_of_another_file_counts_for_nothing(
    managed: KeyVerifier, bundles: Path, message: SignedMessage, signed_file: bytes
) -> None:
    foreign = envelope_of(bundles / PUBLIC_GOOD).material.log_entries
    witnessed = verify_content(rekeyed(message, log_entries=foreign), signed_file, managed).witnessed
    assert not witnessed.logged
    assert [time.source for time in witnessed.times] == ["timestamp"]
    assert witnessed.message.startswith("expected a log entry about this key, signature and content, got one")


def test_a_log_entry_of_another_time_counts_for_nothing(
    managed: KeyVerifier, message: SignedMessage, signed_file: bytes
) -> None:
    (entry,) = message.material.log_entries
    shifted = {**entry, "integratedTime": str(int(entry["integratedTime"]) - 1)}
    witnessed = verify_content(rekeyed(message, log_entries=(shifted,)), signed_file, managed).witnessed
    assert not witnessed.logged
    assert [time.source for time in witnessed.times] == ["timestamp"]
    assert witnessed.message.startswith("expected a log entry included in a log of the trusted root, got SET: ")


def test_without_a_promise_the_log_dates_nothing(
    managed: KeyVerifier, message: SignedMessage, signed_file: bytes
) -> None:
    (entry,) = message.material.log_entries
    unpromised = {name: value for name, value in entry.items() if name != "inclusionPromise"}
    bare = rekeyed(message, log_entries=(unpromised,), timestamps=())
    witnessed = verify_content(bare, signed_file, managed).witnessed
    assert witnessed.logged
    assert witnessed.times == ()


def test_witnesses_of_another_root_count_for_nothing(bundles: Path, message: SignedMessage, signed_file: bytes) -> None:
    staging = SigstoreRoot.load((bundles / STAGING / "trusted_root.json").read_bytes())
    other = KeyVerifier.load((bundles / KEY_FOLDER / "key.pub").read_bytes(), staging)
    witnessed = verify_content(message, signed_file, other).witnessed
    assert not witnessed.logged
    assert witnessed.times == ()
    assert "expected a timestamp over the signature by an authority of the trusted root" in witnessed.message
    assert "expected a log entry included in a log of the trusted root" in witnessed.message
