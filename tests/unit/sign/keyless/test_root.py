"""Keyless bundles: what verifies, and a bundle for each rule that only this rule refuses."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sigstore.dsse import InvalidEnvelope
from sigstore.verify import Verifier

from lamslsa import statement
from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.sign.dsse import parse_bundle, parse_message_bundle
from lamslsa.sign.interface import Envelope, Material
from lamslsa.sign.key import KeySigner, generate
from lamslsa.sign.keyless import Certified, KeylessTerms, KeylessVerifier, SigstoreRoot, _verifier, root
from lamslsa.sign.keyless._boundary import refusing, told
from lamslsa.testing.sigstore import Lie, LocalSigstore, Rekor, github_claims
from tests.unit.sign.keyless.bundles import CONTENT, PAYLOAD, Signing, drop, put

SUBJECT = "https://github.com/acme/model/.github/workflows/train.yml@refs/heads/main"
ENTRY = ("verificationMaterial", "tlogEntries", 0)
STAMPS = ("verificationMaterial", "timestampVerificationData")


@pytest.fixture(scope="module")
def trusted(local_sigstore: LocalSigstore) -> SigstoreRoot:
    return SigstoreRoot.load(local_sigstore.trusted_root_json().encode())


@pytest.fixture(scope="module")
def signing(local_sigstore: LocalSigstore) -> Signing:
    return Signing.of(local_sigstore)


def refusal(trusted: SigstoreRoot, bundle: bytes) -> str:
    envelope = parse_bundle(bundle)
    with pytest.raises(VerificationError) as caught:
        trusted.verify(envelope)
    return caught.value.reason


@pytest.mark.parametrize(
    ("rekor", "stamped", "sources"),
    [(1, False, ["log"]), (1, True, ["log", "timestamp"]), (2, True, ["timestamp"])],
)
def test_bundles_verify(
    trusted: SigstoreRoot, signing: Signing, rekor: Rekor, stamped: bool, sources: list[str]
) -> None:
    certified = trusted.verify(parse_bundle(signing.envelope(rekor=rekor, stamped=stamped)))
    assert certified.certificate.san == SUBJECT
    assert certified.certificate.issuer == signing.sigstore.issuer
    assert certified.witnessed.logged
    assert certified.witnessed.message == ""
    assert sorted(time.source for time in certified.witnessed.times) == sources
    now = dt.datetime.now(dt.UTC)
    assert all(abs(time.at - now) < dt.timedelta(minutes=5) for time in certified.witnessed.times)
    assert list(certified.witnessed.times) == sorted(certified.witnessed.times)


LIES: dict[Lie, str] = {
    "certificate-foreign": "signature-certificate",
    "sct-missing": "signature-sct",
    "sct-foreign": "signature-sct",
    "sct-other-certificate": "signature-sct",
    "entry-other": "signature-log",
    "promise-missing": "signature-time",
    "promise-foreign": "signature-log",
    "promise-other-time": "signature-log",
    "proof-wrong": "signature-log",
    "checkpoint-foreign": "signature-log",
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_of_services_are_refused(faulty_sigstore: LocalSigstore, trusted: SigstoreRoot, lie: Lie) -> None:
    faulty_sigstore.faults.lie(lie)
    bundle = Signing.of(faulty_sigstore).envelope()
    assert refusal(trusted, bundle) == LIES[lie]


@pytest.mark.parametrize("lie", ["timestamp-refused", "timestamp-other-data", "timestamp-foreign"])
@pytest.mark.parametrize("rekor", [1, 2])
def test_timestamps_that_count_for_nothing(
    faulty_sigstore: LocalSigstore, trusted: SigstoreRoot, rekor: Rekor, lie: Lie
) -> None:
    signing = Signing.of(faulty_sigstore)
    faulty_sigstore.faults.lie(lie)
    bundle = signing.envelope(rekor=rekor, stamped=True)
    if rekor == 2 or lie == "timestamp-refused":  # which Sigstore's client takes for malformed
        assert refusal(trusted, bundle) == "signature-time"
        return
    witnessed = trusted.verify(parse_bundle(bundle)).witnessed
    assert [time.source for time in witnessed.times] == ["log"]
    assert witnessed.message.endswith("got 0 of 1")


def test_a_stripped_timestamp(trusted: SigstoreRoot, signing: Signing) -> None:
    assert refusal(trusted, signing.envelope(rekor=2, stamped=True, edit=drop(*STAMPS))) == "signature-time"
    assert refusal(trusted, signing.envelope(rekor=2)) == "signature-time"


def test_a_stripped_promise(trusted: SigstoreRoot, signing: Signing) -> None:
    bundle = signing.envelope(edit=drop(*ENTRY, "inclusionPromise"))
    assert refusal(trusted, bundle) == "signature-time"
    stamped = signing.envelope(stamped=True, edit=drop(*ENTRY, "inclusionPromise"))
    times = trusted.verify(parse_bundle(stamped)).witnessed.times
    assert [time.source for time in times] == ["timestamp"]


def test_a_promise_over_another_time(trusted: SigstoreRoot, signing: Signing) -> None:
    def later(bundle: dict[str, Any]) -> None:
        entry = bundle["verificationMaterial"]["tlogEntries"][0]
        entry["integratedTime"] = str(int(entry["integratedTime"]) + 1)

    assert refusal(trusted, signing.envelope(edit=later)) == "signature-log"
    assert refusal(trusted, signing.envelope(stamped=True, edit=later)) == "signature-log"


def test_an_integrated_time_of_rekor_v2(trusted: SigstoreRoot, signing: Signing) -> None:
    edit = put(*ENTRY, "integratedTime", value="1750000000")
    assert refusal(trusted, signing.envelope(rekor=2, edit=edit)) == "signature-time"
    times = trusted.verify(parse_bundle(signing.envelope(rekor=2, stamped=True, edit=edit))).witnessed.times
    assert [time.source for time in times] == ["timestamp"]


@pytest.mark.parametrize("late", [dt.timedelta(hours=1), dt.timedelta(hours=-1)])
@pytest.mark.parametrize("rekor", [1, 2])
def test_a_certificate_that_is_not_valid_when_it_signs(
    faulty_sigstore: LocalSigstore, trusted: SigstoreRoot, rekor: Rekor, late: dt.timedelta
) -> None:
    signing = Signing.of(faulty_sigstore)
    faulty_sigstore.rekor1.clock.offset = faulty_sigstore.tsa.clock.offset = late
    assert refusal(trusted, signing.envelope(rekor=rekor, stamped=rekor == 2)) == "signature-certificate"


def test_one_time_outside_the_certificate_is_enough(faulty_sigstore: LocalSigstore, trusted: SigstoreRoot) -> None:
    signing = Signing.of(faulty_sigstore)
    faulty_sigstore.tsa.clock.offset = dt.timedelta(hours=1)
    assert refusal(trusted, signing.envelope(stamped=True)) == "signature-certificate"


def test_another_root(signing: Signing) -> None:
    assert refusal(SigstoreRoot.embedded(), signing.envelope()) == "signature-time"


def swapped(trusted: SigstoreRoot, *parts: str) -> SigstoreRoot:
    """The root with parts of the public-good one."""
    value = json.loads(trusted.raw)
    foreign = json.loads(SigstoreRoot.embedded().raw)
    value.update({part: foreign[part] for part in parts})
    return SigstoreRoot.load(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("parts", "rekor", "reason"),
    [
        (["certificateAuthorities"], 1, "signature-certificate"),
        (["ctlogs"], 1, "signature-sct"),
        (["tlogs"], 1, "signature-time"),
        (["tlogs"], 2, "signature-log"),
        (["timestampAuthorities"], 2, "signature-time"),
    ],
)
def test_a_root_with_another_part(
    trusted: SigstoreRoot, signing: Signing, parts: list[str], rekor: Rekor, reason: str
) -> None:
    assert refusal(swapped(trusted, *parts), signing.envelope(rekor=rekor, stamped=rekor == 2)) == reason


@pytest.mark.parametrize("period", [{"end": "2020-01-01T00:00:00Z"}, {"start": "2039-01-01T00:00:00Z"}])
@pytest.mark.parametrize(
    ("part", "rekor", "reason"),
    [
        ("certificateAuthorities", 1, "signature-certificate"),
        ("tlogs", 1, "signature-time"),
        ("timestampAuthorities", 2, "signature-time"),
    ],
)
def test_what_the_root_gives_for_other_times(
    trusted: SigstoreRoot, signing: Signing, part: str, rekor: Rekor, reason: str, period: dict[str, str]
) -> None:
    value = json.loads(trusted.raw)
    for item in value[part]:
        (item["publicKey"] if part == "tlogs" else item)["validFor"] = {"start": "2019-01-01T00:00:00Z"} | period
    if part == "certificateAuthorities" and "start" in period:
        reason = "trusted-root-unusable"  # Sigstore's client leaves the authorities of the future out
    other = SigstoreRoot.load(json.dumps(value).encode())
    assert refusal(other, signing.envelope(rekor=rekor, stamped=rekor == 2)) == reason


def test_the_entry_of_another_bundle(trusted: SigstoreRoot, signing: Signing) -> None:
    for rekor in (1, 2):
        foreign = json.loads(signing.envelope(b"{}", rekor=rekor))["verificationMaterial"]["tlogEntries"]
        edit = put("verificationMaterial", "tlogEntries", value=foreign)
        assert refusal(trusted, signing.envelope(rekor=rekor, stamped=True, edit=edit)) == "signature-log"
    message = json.loads(signing.message())["verificationMaterial"]["tlogEntries"]
    edit = put("verificationMaterial", "tlogEntries", value=message)
    assert refusal(trusted, signing.envelope(edit=edit)) == "signature-log"


def test_the_certificate_of_another_bundle(
    trusted: SigstoreRoot, signing: Signing, local_sigstore: LocalSigstore
) -> None:
    other = json.loads(Signing.of(local_sigstore).envelope())["verificationMaterial"]["certificate"]
    edit = put("verificationMaterial", "certificate", value=other)
    assert refusal(trusted, signing.envelope(edit=edit)) == "signature"


def test_another_payload_and_another_signature(trusted: SigstoreRoot, signing: Signing) -> None:
    changed = base64.b64encode(PAYLOAD.replace(b"0.85", b"0.95")).decode()
    assert refusal(trusted, signing.envelope(edit=put("dsseEnvelope", "payload", value=changed))) == "signature"
    other = json.loads(signing.envelope())["dsseEnvelope"]["signatures"]
    assert refusal(trusted, signing.envelope(edit=put("dsseEnvelope", "signatures", value=other))) == "signature-log"


def test_another_payload_type(trusted: SigstoreRoot, signing: Signing) -> None:
    bundle = signing.envelope(payload_type="text/plain")
    with pytest.raises(FormatError) as caught:
        parse_bundle(bundle)
    assert caught.value.reason == "envelope-payload-type"
    sound = parse_bundle(signing.envelope())
    with pytest.raises(VerificationError) as refused:
        trusted.verify(dataclasses.replace(sound, payload_type="text/plain", raw=bundle))
    assert refused.value.reason == "envelope-payload-type"
    with pytest.raises(VerificationError) as refused:
        trusted.verify(dataclasses.replace(sound, raw=bundle))
    assert refused.value.reason == "bundle-ambiguous"


def test_another_type_of_statement(trusted: SigstoreRoot, signing: Signing) -> None:
    payload = b'{"_type":"https://in-toto.io/Statement/v0.1","subject":[],"predicateType":"x","predicate":{}}'
    envelope = parse_bundle(signing.envelope(payload))
    assert trusted.verify(envelope).certificate.san == SUBJECT
    with pytest.raises(FormatError) as caught:
        statement.parse(envelope.payload)
    assert caught.value.reason == "statement-type"


def test_two_signatures(trusted: SigstoreRoot, signing: Signing) -> None:
    def sign_twice(bundle: dict[str, Any]) -> None:
        bundle["dsseEnvelope"]["signatures"] *= 2

    bundle = signing.envelope(edit=sign_twice)
    with pytest.raises(FormatError) as caught:
        parse_bundle(bundle)
    assert caught.value.reason == "envelope-signatures"
    with pytest.raises(VerificationError) as refused:
        trusted.verify(dataclasses.replace(parse_bundle(signing.envelope()), raw=bundle))
    assert refused.value.reason == "bundle-material"


def change_payload(envelope: Envelope) -> Envelope:
    return dataclasses.replace(envelope, payload=b"{}")


def change_signature(envelope: Envelope) -> Envelope:
    return dataclasses.replace(envelope, signature=b"")


def change_certificate(envelope: Envelope) -> Envelope:
    return dataclasses.replace(envelope, material=dataclasses.replace(envelope.material, certificates=(b"",)))


def add_certificate(envelope: Envelope) -> Envelope:
    certificates = envelope.material.certificates * 2
    return dataclasses.replace(envelope, material=dataclasses.replace(envelope.material, certificates=certificates))


@pytest.mark.parametrize("change", [change_payload, change_signature, change_certificate, add_certificate])
def test_two_readings_of_one_bundle(
    trusted: SigstoreRoot, signing: Signing, change: Callable[[Envelope], Envelope]
) -> None:
    envelope = parse_bundle(signing.envelope())
    trusted.verify(envelope)
    with pytest.raises(VerificationError) as caught:
        trusted.verify(change(envelope))
    assert caught.value.reason == "bundle-ambiguous"


@pytest.mark.parametrize(
    "edit",
    [
        drop(*ENTRY, "inclusionProof"),
        drop(*ENTRY, "inclusionProof", "checkpoint"),
        drop(*ENTRY, "kindVersion"),
        put(*ENTRY, "kindVersion", "version", value="0.0.3"),
        put(*ENTRY, "canonicalizedBody", value=None),
        put(*ENTRY, "logIndex", value=1),
        put(*ENTRY, "integratedTime", value="-1"),
        put(*ENTRY, "inclusionProof", "treeSize", value="0"),
        put("verificationMaterial", "certificate", "rawBytes", value="AAAA"),
        put("dsseEnvelope", "extension", value=1),
    ],
)
def test_material_that_is_malformed(
    trusted: SigstoreRoot, signing: Signing, edit: Callable[[dict[str, Any]], None]
) -> None:
    assert refusal(trusted, signing.envelope(edit=edit)) == "bundle-material"


@pytest.mark.parametrize(
    "edit",
    [
        put(*ENTRY, "canonicalizedBody", value="AAAA"),
        put(*ENTRY, "inclusionProof", "checkpoint", "envelope", value=""),
        put(*ENTRY, "inclusionProof", "checkpoint", "envelope", value="a\n\n— b !\n"),
        put(*ENTRY, "inclusionProof", "hashes", value=["AAAA"] * 300),
        put(*ENTRY, "kindVersion", "kind", value="hashedrekord"),
        put(*ENTRY, "logId", "keyId", value=""),
    ],
)
def test_entries_that_are_malformed(
    trusted: SigstoreRoot, signing: Signing, edit: Callable[[dict[str, Any]], None]
) -> None:
    assert refusal(trusted, signing.envelope(stamped=True, edit=edit)) in {"signature-log", "signature-time"}


@pytest.mark.parametrize("seconds", ["9999999999999", "18446744073709551615"])
def test_times_beyond_the_calendar(trusted: SigstoreRoot, signing: Signing, seconds: str) -> None:
    assert refusal(trusted, signing.envelope(edit=put(*ENTRY, "integratedTime", value=seconds))) == "signature-time"


@pytest.mark.parametrize("stamp", ["", "AAAA", "MAA=", base64.b64encode(b"\x30\x80" * 40).decode()])
def test_timestamps_that_are_malformed(trusted: SigstoreRoot, signing: Signing, stamp: str) -> None:
    edit = put(*STAMPS, "rfc3161Timestamps", value=[{"signedTimestamp": stamp}])
    bundle = signing.envelope(rekor=2, stamped=True, edit=edit)
    assert refusal(trusted, bundle) in {"bundle-material", "signature-time"}


def test_the_same_timestamp_twice(trusted: SigstoreRoot, signing: Signing) -> None:
    def repeat(bundle: dict[str, Any]) -> None:
        bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] *= 2

    assert refusal(trusted, signing.envelope(stamped=True, edit=repeat)) == "signature-time"


def test_an_envelope_without_its_bytes(trusted: SigstoreRoot, signing: Signing) -> None:
    with pytest.raises(VerificationError) as caught:
        trusted.verify(dataclasses.replace(parse_bundle(signing.envelope()), raw=b""))
    assert caught.value.reason == "bundle-material"


def test_no_single_byte_makes_another_bundle(trusted: SigstoreRoot, signing: Signing) -> None:
    bundle = signing.envelope(stamped=True)
    sound = trusted.verify(parse_bundle(bundle))
    seed = random.SystemRandom().getrandbits(64)
    rng = random.Random(seed)
    for _ in range(250):
        position = rng.randrange(len(bundle))
        other = rng.choice([byte for byte in b'0AZaz+/="{}[],:\\ \x00\xff' if byte != bundle[position]])
        changed = bundle[:position] + bytes([other]) + bundle[position + 1 :]
        try:
            envelope = parse_bundle(changed)
            certified = trusted.verify(envelope)
        except LamslsaError:
            continue
        found = (envelope.payload, certified.certificate)
        assert found == (PAYLOAD, sound.certificate), f"seed {seed}, position {position}"
        assert set(certified.witnessed.times) <= set(sound.witnessed.times), f"seed {seed}, position {position}"


# The hook into Sigstore's client


def test_times_come_from_the_step_that_establishes_them(
    trusted: SigstoreRoot, signing: Signing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when a version of Sigstore's client no longer calls the step that is overridden."""
    asked: list[object] = []
    own = _verifier._Verifier._establish_time

    def counted(self: _verifier._Verifier, bundle: Any) -> Any:
        asked.append(bundle)
        return own(self, bundle)

    monkeypatch.setattr(_verifier._Verifier, "_establish_time", counted)
    trusted.verify(parse_bundle(signing.envelope(stamped=True)))
    assert len(asked) == 1
    assert "_establish_time" in vars(Verifier)


def test_timestamps_are_verified_once(trusted: SigstoreRoot, signing: Signing, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    own = _verifier._Verifier._verify_signed_timestamp

    def counted(self: _verifier._Verifier, response: Any, message: bytes) -> Any:
        asked.append(message)
        return own(self, response, message)

    monkeypatch.setattr(_verifier._Verifier, "_verify_signed_timestamp", counted)
    envelope = parse_bundle(signing.envelope(stamped=True))
    trusted.verify(envelope)
    assert asked == [envelope.signature]


def test_a_verification_that_recorded_no_time_is_refused(
    trusted: SigstoreRoot, signing: Signing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_verifier._Verifier, "_establish_time", Verifier._establish_time)
    assert refusal(trusted, signing.envelope()) == "signature-time"


# Several identities, several threads


def test_a_bundle_is_verified_once_for_all_identities(
    local_sigstore: LocalSigstore, signing: Signing, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = SigstoreRoot.load(local_sigstore.trusted_root_json().encode())
    verified: list[bytes] = []
    own = _verifier.verify_bundle

    def counted(opened: Any, raw: bytes, *, sha256: bytes | None) -> Any:
        verified.append(raw)
        return own(opened, raw, sha256=sha256)

    monkeypatch.setattr(_verifier, "verify_bundle", counted)
    envelope = parse_bundle(signing.envelope())
    assert trusted.verify(envelope) is trusted.verify(parse_bundle(envelope.raw))
    assert len(verified) == 1
    bad = parse_bundle(signing.envelope(edit=drop(*ENTRY, "inclusionPromise")))
    for _ in range(2):
        with pytest.raises(VerificationError) as caught:
            trusted.verify(bad)
        assert caught.value.reason == "signature-time"
    assert len(verified) == 2
    trusted.verify(envelope)
    assert len(verified) == 3


def test_threads_do_not_mix_outcomes(trusted: SigstoreRoot, local_sigstore: LocalSigstore) -> None:
    names = [f"acme/model-{number}" for number in range(4)]
    envelopes = [
        parse_bundle(Signing.of(local_sigstore, github_claims(name)).envelope(name.encode())) for name in names
    ]
    found: list[tuple[str, str]] = []

    def verify(name: str, envelope: Envelope) -> None:
        found.extend((name, trusted.verify(envelope).certificate.repository) for _ in range(5))

    threads = [threading.Thread(target=verify, args=pair) for pair in zip(names, envelopes, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert all(repository == f"https://github.com/{name}" for name, repository in found)


# Whom the certificate names


def verifier_of(trusted: SigstoreRoot, issuer: str, **terms: str) -> KeylessVerifier:
    return KeylessVerifier(terms=KeylessTerms(issuer=issuer, **terms), root=trusted)


def test_the_expected_identity(trusted: SigstoreRoot, signing: Signing) -> None:
    signature = verifier_of(trusted, signing.sigstore.issuer, identity=SUBJECT).verify(parse_bundle(signing.envelope()))
    assert signature.signer == f"{SUBJECT} ({signing.sigstore.issuer})"
    assert signature.key_id == ""
    assert signature.witnessed.logged
    assert signature.witnessed.times


def test_the_right_subject_of_the_wrong_issuer(faulty_sigstore: LocalSigstore, trusted: SigstoreRoot) -> None:
    faulty_sigstore.faults.lie("certificate-other-issuer")
    envelope = parse_bundle(Signing.of(faulty_sigstore).envelope())
    with pytest.raises(VerificationError) as caught:
        verifier_of(trusted, faulty_sigstore.issuer, identity=SUBJECT).verify(envelope)
    assert caught.value.reason == "signature-identity"
    assert str(caught.value) == f"expected issuer {faulty_sigstore.issuer!r}, got 'https://issuer.example'"


def test_another_subject(trusted: SigstoreRoot, signing: Signing) -> None:
    with pytest.raises(VerificationError) as caught:
        verifier_of(trusted, signing.sigstore.issuer, identity=SUBJECT + "x").verify(parse_bundle(signing.envelope()))
    assert caught.value.reason == "signature-identity"


def test_a_managed_key_is_no_identity(trusted: SigstoreRoot) -> None:
    envelope = parse_bundle(KeySigner.load(generate(None), None).sign(PAYLOAD))
    with pytest.raises(VerificationError) as caught:
        verifier_of(trusted, "https://issuer.example", identity=SUBJECT).verify(envelope)
    assert caught.value.reason == "signature-key"
    assert str(caught.value) == "expected a certificate of Sigstore, got a managed key"


def test_a_chain_is_no_identity(trusted: SigstoreRoot, signing: Signing) -> None:
    envelope = parse_bundle(signing.envelope())
    one = dataclasses.replace(envelope, material=Material(certificates=envelope.material.certificates))
    for chain in (add_certificate(envelope), one):
        with pytest.raises(VerificationError) as caught:
            verifier_of(trusted, signing.sigstore.issuer, identity=SUBJECT).verify(chain)
        assert caught.value.reason == "signature-key"
        assert str(caught.value) == "expected a certificate of Sigstore, got a chain of certificates"


@pytest.mark.parametrize("rekor", [1, 2])
def test_signed_files(trusted: SigstoreRoot, signing: Signing, rekor: Rekor) -> None:
    verifier = verifier_of(trusted, signing.sigstore.issuer, identity=SUBJECT)
    message = parse_message_bundle(signing.message(rekor=rekor, stamped=True))
    assert verifier.verify_message(message, CONTENT).signer.startswith(SUBJECT)
    with pytest.raises(VerificationError) as caught:
        verifier.verify_message(message, CONTENT + b"\n")
    assert caught.value.reason == "signature-log"  # the bundle states another digest


def test_a_certificate_that_cannot_be_read(trusted: SigstoreRoot, local_sigstore: LocalSigstore) -> None:
    claims = {"sub": "https://ci.example/job", "repository": "acme/mo\ndel"}
    assert refusal(trusted, Signing.of(local_sigstore, claims).envelope()) == "certificate-extension"


# Roots


def test_roots_are_told_apart_by_their_bytes(trusted: SigstoreRoot) -> None:
    embedded = SigstoreRoot.embedded()
    assert embedded.sha256 == SigstoreRoot.load(embedded.raw).sha256
    assert embedded.sha256 != trusted.sha256
    assert embedded.sha256 in repr(embedded)


VALID: dict[str, Any] = {"mediaType": root._MEDIA_TYPE, "tlogs": [{}]}
NO_ROOTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "json-syntax"),
    "list": (b"[]", "trusted-root-media-type"),
    "no media type": (b'{"tlogs":[{}]}', "trusted-root-media-type"),
    "another": (json.dumps(VALID | {"mediaType": root._MEDIA_TYPE + "0"}).encode(), "trusted-root-media-type"),
    "logs an object": (json.dumps(VALID | {"tlogs": {"a": 1}}).encode(), "trusted-root-shape"),
    "a log a string": (json.dumps(VALID | {"tlogs": ["a"]}).encode(), "trusted-root-shape"),
    "authorities null": (json.dumps(VALID | {"certificateAuthorities": None}).encode(), "trusted-root-shape"),
    "nothing in it": (json.dumps(VALID | {"tlogs": []}).encode(), "trusted-root-shape"),
    "too large": (b" " * (root.MAX_ROOT_BYTES + 1), "json-size"),
}


@pytest.mark.parametrize("case", NO_ROOTS)
def test_what_is_no_root(case: str) -> None:
    data, reason = NO_ROOTS[case]
    with pytest.raises(FormatError) as caught:
        SigstoreRoot.load(data)
    assert caught.value.reason == reason


def test_a_root_that_sigstore_cannot_read(signing: Signing) -> None:
    broken = SigstoreRoot.load(json.dumps(VALID).encode())
    assert refusal(broken, signing.envelope()) == "trusted-root-unread"
    message = broken.witnessed(parse_bundle(signing.envelope()), public_pem=b"").message
    assert message.startswith("expected a trusted root that can be read, got ")


def test_a_root_without_authorities_for_certificates(trusted: SigstoreRoot, signing: Signing) -> None:
    value = json.loads(trusted.raw)
    value["certificateAuthorities"] = []
    emptied = SigstoreRoot.load(json.dumps(value).encode())
    assert refusal(emptied, signing.envelope()) == "trusted-root-unusable"


def test_an_installation_without_a_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root, "_EMBEDDED", "elsewhere")
    with pytest.raises(FormatError) as caught:
        SigstoreRoot.embedded()
    assert caught.value.reason == "trusted-root-missing"


ALONE = """
import socket, sys
def refuse(*_): raise AssertionError("network")
socket.socket.connect = refuse
from lamslsa.sign.keyless import KeylessTerms, KeylessVerifier, SigstoreRoot
from lamslsa.sign.dsse import parse_bundle
root = SigstoreRoot.embedded()
assert not {"sigstore", "sigstore.verify", "sigstore.models", "pydantic", "requests"} & set(sys.modules)
try:
    root.verify(parse_bundle(sys.stdin.buffer.read()))
except Exception as err:
    print(err.reason)
"""


def test_neither_network_nor_home_nor_sigstore_before_it_is_needed(signing: Signing, tmp_path: Path) -> None:
    home = tmp_path / "none"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "HOME"))}
    result = subprocess.run(
        [sys.executable, "-c", ALONE],
        input=signing.envelope(),
        capture_output=True,
        check=True,
        env={**environment, "HOME": str(home)},
    )
    assert result.stdout == b"signature-time\n"
    assert not home.exists()


# The boundary


class PanicError(BaseException):
    """What a panic of Rust looks like."""


@pytest.mark.parametrize(
    "error", [ValueError("x"), AttributeError("x"), RecursionError(), OverflowError(), StopIteration(), PanicError()]
)
def test_whatever_is_raised_is_a_refusal(error: BaseException) -> None:
    with pytest.raises(VerificationError) as caught, refusing(lambda err: VerificationError(told(err), reason="r")):
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), MemoryError(), GeneratorExit()])
def test_the_wish_to_stop_passes(error: BaseException) -> None:
    with pytest.raises(type(error)), refusing(lambda err: VerificationError(told(err), reason="r")):
        raise error


def test_our_own_refusals_pass() -> None:
    own = FormatError("x", reason="own")
    with pytest.raises(LamslsaError) as caught, refusing(lambda err: VerificationError(told(err), reason="r")):
        raise own
    assert caught.value is own


def test_what_foreign_errors_say_is_one_printable_line() -> None:
    assert told(ValueError("a\nb\x1b[31m" + "c" * 500)) == "ValueError: a b?[31m" + "c" * 192
    assert told(KeyError()) == "KeyError"
    assert told(InvalidEnvelope("two signatures")) == "two signatures"


def test_certified_says_who_and_when(trusted: SigstoreRoot, signing: Signing) -> None:
    assert isinstance(trusted.verify(parse_bundle(signing.envelope())), Certified)
