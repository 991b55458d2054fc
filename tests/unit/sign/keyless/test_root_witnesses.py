"""What a trusted root says of signatures of managed keys: what counts, and why the rest counts for nothing."""

from __future__ import annotations

import base64
import copy
import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from lamslsa.sign.blob import verify_content
from lamslsa.sign.dsse import parse_bundle, parse_message_bundle
from lamslsa.sign.interface import Witnessed
from lamslsa.sign.key import KeyVerifier
from lamslsa.sign.keyless import SigstoreRoot
from lamslsa.testing.sigstore import Lie, LocalSigstore, Rekor
from tests.unit.sign.keyless.bundles import CONTENT, Signing, drop, put

ENTRY = ("verificationMaterial", "tlogEntries", 0)
OTHER = "expected a log entry about this key, signature and content"
ABSENT = "expected a log entry included in a log of the trusted root"
UNSTAMPED = "expected a timestamp over the signature by an authority of the trusted root"


@pytest.fixture(scope="module")
def trusted(local_sigstore: LocalSigstore) -> SigstoreRoot:
    return SigstoreRoot.load(local_sigstore.trusted_root_json().encode())


@pytest.fixture(scope="module")
def signing(local_sigstore: LocalSigstore) -> Signing:
    return Signing(local_sigstore)


def witnessed(trusted: SigstoreRoot, signing: Signing, bundle: bytes) -> Witnessed:
    return KeyVerifier.load(signing.public_pem, trusted).verify(parse_bundle(bundle)).witnessed


def sources(witnessed: Witnessed) -> list[str]:
    return sorted(time.source for time in witnessed.times)


@pytest.mark.parametrize(
    ("rekor", "stamped", "expected"),
    [
        (None, True, ["timestamp"]),
        (1, False, ["log"]),
        (1, True, ["log", "timestamp"]),
        (2, False, []),
        (2, True, ["timestamp"]),
    ],
)
def test_what_counts(
    trusted: SigstoreRoot, signing: Signing, rekor: Rekor | None, stamped: bool, expected: list[str]
) -> None:
    found = witnessed(trusted, signing, signing.envelope(rekor=rekor, stamped=stamped))
    assert sources(found) == expected
    assert found.logged is (rekor is not None)
    assert found.message == ""
    assert list(found.times) == sorted(found.times)
    now = dt.datetime.now(dt.UTC)
    assert all(abs(time.at - now) < dt.timedelta(minutes=5) for time in found.times)


@pytest.mark.parametrize("rekor", [1, 2])
def test_signed_files(trusted: SigstoreRoot, signing: Signing, rekor: Rekor) -> None:
    verifier = KeyVerifier.load(signing.public_pem, trusted)
    for edit in (lambda bundle: None, drop("messageSignature", "messageDigest")):
        message = parse_message_bundle(signing.message(rekor=rekor, stamped=True, edit=edit))
        found = verify_content(message, CONTENT, verifier).witnessed
        assert found.logged
        assert found.message == ""
        assert sources(found) == (["log", "timestamp"] if rekor == 1 else ["timestamp"])


@pytest.mark.parametrize(
    ("curve", "digest", "details"),
    [
        (ec.SECP384R1(), hashes.SHA384(), "PKIX_ECDSA_P384_SHA_384"),
        (ec.SECP521R1(), hashes.SHA512(), "PKIX_ECDSA_P521_SHA_512"),
    ],
)
def test_larger_curves_in_rekor_v2(
    trusted: SigstoreRoot,
    local_sigstore: LocalSigstore,
    curve: ec.EllipticCurve,
    digest: hashes.HashAlgorithm,
    details: str,
) -> None:
    signing = Signing(local_sigstore, ec.generate_private_key(curve), None, digest, details)
    found = witnessed(trusted, signing, signing.envelope(rekor=2, stamped=True))
    assert found.logged
    assert sources(found) == ["timestamp"]
    message = parse_message_bundle(signing.message(rekor=2))
    found = verify_content(message, CONTENT, KeyVerifier.load(signing.public_pem, trusted)).witnessed
    assert not found.logged  # a bundle of a file knows one digest, SHA-256
    assert found.message.startswith(OTHER)


LIES: dict[Lie, str] = {
    "entry-other": OTHER,
    "promise-foreign": ABSENT,
    "promise-other-time": ABSENT,
    "proof-wrong": ABSENT,
    "checkpoint-foreign": ABSENT,
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_of_a_log_count_for_nothing(faulty_sigstore: LocalSigstore, trusted: SigstoreRoot, lie: Lie) -> None:
    signing = Signing(faulty_sigstore)
    faulty_sigstore.faults.lie(lie)
    found = witnessed(trusted, signing, signing.envelope(stamped=True))
    assert not found.logged
    assert sources(found) == ["timestamp"]
    assert found.message.startswith(LIES[lie])


@pytest.mark.parametrize("lie", ["entry-other", "proof-wrong", "checkpoint-foreign"])
def test_lies_of_rekor_v2_count_for_nothing(faulty_sigstore: LocalSigstore, trusted: SigstoreRoot, lie: Lie) -> None:
    signing = Signing(faulty_sigstore)
    faulty_sigstore.faults.lie(lie)
    found = witnessed(trusted, signing, signing.envelope(rekor=2))
    assert not found.logged
    assert found.message.startswith(LIES[lie])


def test_without_a_promise_nobody_vouches_for_the_time(faulty_sigstore: LocalSigstore, trusted: SigstoreRoot) -> None:
    signing = Signing(faulty_sigstore)
    faulty_sigstore.faults.lie("promise-missing")
    found = witnessed(trusted, signing, signing.envelope())
    assert found == Witnessed(logged=True)


@pytest.mark.parametrize("lie", ["timestamp-refused", "timestamp-other-data", "timestamp-foreign"])
def test_lies_of_an_authority_count_for_nothing(
    faulty_sigstore: LocalSigstore, trusted: SigstoreRoot, lie: Lie
) -> None:
    signing = Signing(faulty_sigstore)
    faulty_sigstore.faults.lie(lie)
    found = witnessed(trusted, signing, signing.envelope(stamped=True))
    assert sources(found) == ["log"]
    assert found.logged
    assert found.message.startswith(UNSTAMPED)


def test_a_time_that_the_log_of_rekor_v2_states(trusted: SigstoreRoot, signing: Signing) -> None:
    dated = signing.envelope(rekor=2, edit=put(*ENTRY, "integratedTime", value="1750000000"))
    assert witnessed(trusted, signing, dated) == Witnessed(logged=True)


def test_a_promise_beside_an_entry_of_rekor_v2(trusted: SigstoreRoot, signing: Signing) -> None:
    def promise(bundle: dict[str, Any]) -> None:
        entry = bundle["verificationMaterial"]["tlogEntries"][0]
        entry["integratedTime"] = "1750000000"
        entry["inclusionPromise"] = {"signedEntryTimestamp": "AAAA"}
        entry["kindVersion"] = {"kind": "dsse", "version": "0.0.1"}

    found = witnessed(trusted, signing, signing.envelope(rekor=2, edit=promise))
    assert found.times == ()
    assert not found.logged


def test_a_promise_over_an_entry_that_only_rekor_v2_makes(trusted: SigstoreRoot, signing: Signing) -> None:
    """Whose integrated time nobody defines, though this log has signed it."""

    def relog(bundle: dict[str, Any]) -> None:
        entries, log = bundle["verificationMaterial"]["tlogEntries"], signing.sigstore.rekor1
        (answer,) = log._answer(log._append(base64.b64decode(entries[0]["canonicalizedBody"]))).values()
        entries[0] = signing.entry_v1(answer, "hashedrekord", "0.0.2")

    assert witnessed(trusted, signing, signing.envelope(rekor=2, edit=relog)) == Witnessed(logged=True)


def test_the_kind_is_what_the_log_has_signed(trusted: SigstoreRoot, signing: Signing) -> None:
    renamed = signing.envelope(edit=put(*ENTRY, "kindVersion", value={"kind": "hashedrekord", "version": "0.0.2"}))
    assert sources(witnessed(trusted, signing, renamed)) == ["log"]


@pytest.mark.parametrize("rekor", [1, 2])
def test_the_entry_of_another_signature(trusted: SigstoreRoot, signing: Signing, rekor: Rekor) -> None:
    for foreign in (
        signing.envelope(rekor=rekor),  # the same payload and key
        signing.envelope(b"{}", rekor=rekor),
        signing.message(rekor=rekor),
    ):
        entries = json.loads(foreign)["verificationMaterial"]["tlogEntries"]
        bundle = signing.envelope(rekor=rekor, edit=put("verificationMaterial", "tlogEntries", value=entries))
        found = witnessed(trusted, signing, bundle)
        assert not found.logged
        assert found.times == ()
        assert found.message.startswith(OTHER)


def test_the_entry_of_a_certificate_with_the_same_key(trusted: SigstoreRoot, local_sigstore: LocalSigstore) -> None:
    signing = Signing.of(local_sigstore)
    bundle = json.loads(signing.envelope())
    key = Signing(local_sigstore, signing.key)
    bundle["verificationMaterial"]["publicKey"] = json.loads(key.envelope(rekor=None))["verificationMaterial"][
        "publicKey"
    ]
    del bundle["verificationMaterial"]["certificate"]
    found = witnessed(trusted, key, json.dumps(bundle).encode())
    assert not found.logged


def test_times_of_another_root(signing: Signing) -> None:
    found = witnessed(SigstoreRoot.embedded(), signing, signing.envelope(stamped=True))
    assert found.times == ()
    assert not found.logged
    stamped, logged = found.message.split("; ")
    assert stamped.startswith(UNSTAMPED)
    assert logged.startswith(ABSENT)


@pytest.mark.parametrize("period", [{"end": "2020-01-01T00:00:00Z"}, {"start": "2039-01-01T00:00:00Z"}])
def test_periods_of_the_root_hold(trusted: SigstoreRoot, signing: Signing, period: dict[str, str]) -> None:
    value = json.loads(trusted.raw)
    for part in ("timestampAuthorities", "tlogs"):
        for item in value[part]:
            (item["publicKey"] if part == "tlogs" else item)["validFor"] = {"start": "2019-01-01T00:00:00Z"} | period
    other = SigstoreRoot.load(json.dumps(value).encode())
    found = witnessed(other, signing, signing.envelope(stamped=True))
    assert found.times == ()
    assert found.message.startswith(UNSTAMPED)


def test_a_root_of_timestamps_alone(trusted: SigstoreRoot, signing: Signing) -> None:
    value = json.loads(trusted.raw) | {"certificateAuthorities": [], "tlogs": [], "ctlogs": []}
    alone = SigstoreRoot.load(json.dumps(value).encode())
    found = witnessed(alone, signing, signing.envelope(stamped=True))
    assert sources(found) == ["timestamp"]
    assert not found.logged


def test_the_same_timestamp_twice_counts_once(trusted: SigstoreRoot, signing: Signing) -> None:
    def repeat(bundle: dict[str, Any]) -> None:
        bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] *= 3

    found = witnessed(trusted, signing, signing.envelope(rekor=None, stamped=True, edit=repeat))
    assert sources(found) == ["timestamp"]
    assert found.message == ""


def test_a_bad_timestamp_does_not_spoil_a_good_one(trusted: SigstoreRoot, signing: Signing) -> None:
    def add(bundle: dict[str, Any]) -> None:
        stamps = bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
        stamps.insert(0, {"signedTimestamp": signing.stamp(b"another signature")})

    found = witnessed(trusted, signing, signing.envelope(rekor=None, stamped=True, edit=add))
    assert sources(found) == ["timestamp"]
    assert found.message.startswith(UNSTAMPED)


@pytest.mark.parametrize("stamp", ["", "AAAA", "MAA=", base64.b64encode(b"\x30\x80" * 40).decode()])
def test_timestamps_that_are_malformed(trusted: SigstoreRoot, signing: Signing, stamp: str) -> None:
    material = {"rfc3161Timestamps": [{"signedTimestamp": stamp}]}
    edit = put("verificationMaterial", "timestampVerificationData", value=material)
    found = witnessed(trusted, signing, signing.envelope(rekor=None, edit=edit))
    assert found.times == ()
    assert found.message.startswith(UNSTAMPED)


def body(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], None]:
    """An edit of what is logged; the log never signed it."""

    def edit(bundle: dict[str, Any]) -> None:
        entry = bundle["verificationMaterial"]["tlogEntries"][0]
        value = json.loads(base64.b64decode(entry["canonicalizedBody"]))
        change(value)
        entry["canonicalizedBody"] = base64.b64encode(json.dumps(value).encode()).decode()

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        put(*ENTRY, value={}),
        put(*ENTRY, "unknown", value=1),
        drop(*ENTRY, "inclusionProof"),
        put(*ENTRY, "integratedTime", value="18446744073709551615"),
        put(*ENTRY, "canonicalizedBody", value="AAAA"),
        put(*ENTRY, "inclusionProof", "hashes", value=["AAAA"] * 300),
        put(*ENTRY, "inclusionProof", "checkpoint", "envelope", value="x"),
        put(*ENTRY, "logId", "keyId", value="AAAA"),
        body(lambda value: value.update(kind="other")),
    ],
)
def test_entries_that_are_malformed(
    trusted: SigstoreRoot, signing: Signing, edit: Callable[[dict[str, Any]], None]
) -> None:
    found = witnessed(trusted, signing, signing.envelope(edit=edit))
    assert not found.logged
    assert found.times == ()
    assert found.message.startswith(ABSENT)


def rewritten(entry: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> bytes:
    value = copy.deepcopy(json.loads(base64.b64decode(entry["canonicalizedBody"])))
    change(value)
    return json.dumps(value).encode()


def log_anything(sigstore: LocalSigstore, data: bytes) -> dict[str, Any]:
    """An entry of any body, well included: a log that takes everything."""
    inclusion = sigstore.rekor2._log.append(data)
    entry: dict[str, Any] = sigstore.rekor2._entry(data, inclusion)
    return entry


def within(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    return put(*path, value=value)


V1 = ("spec", "signatures", 0)
V2 = ("spec", "hashedRekordV002")
SAID: list[tuple[Rekor, Callable[[dict[str, Any]], Any]]] = [
    (1, within("kind", value="intoto")),
    (1, within("apiVersion", value="0.0.2")),
    (1, within("spec", "payloadHash", "value", value="00" * 32)),
    (1, within("spec", "payloadHash", "algorithm", value="sha512")),
    (1, within(*V1, "signature", value="AAAA")),
    (2, within("kind", value="dsse")),
    (2, within("apiVersion", value="0.0.1")),
    (2, within(*V2, "data", "digest", value="AAAA")),
    (2, within(*V2, "data", "algorithm", value="SHA2_512")),
    (2, within(*V2, "signature", "content", value="AAAA")),
    (2, within(*V2, "signature", "verifier", "keyDetails", value="PKIX_ECDSA_P384_SHA_384")),
    (2, within(*V2, "signature", "verifier", "publicKey", "rawBytes", value="AAAA")),
    (2, within(*V2, "more", value=1)),
]


@pytest.mark.parametrize(("rekor", "change"), SAID)
def test_an_entry_says_exactly_this(
    trusted: SigstoreRoot, signing: Signing, rekor: Rekor, change: Callable[[dict[str, Any]], Any]
) -> None:
    def relog(bundle: dict[str, Any]) -> None:
        entries = bundle["verificationMaterial"]["tlogEntries"]
        entries[0] = log_anything(signing.sigstore, rewritten(entries[0], change))

    found = witnessed(trusted, signing, signing.envelope(rekor=rekor, edit=relog))
    assert not found.logged
    assert found.message.startswith(OTHER)

    def keep(bundle: dict[str, Any]) -> None:
        entries = bundle["verificationMaterial"]["tlogEntries"]
        entries[0] = log_anything(signing.sigstore, rewritten(entries[0], lambda value: None))

    assert witnessed(trusted, signing, signing.envelope(rekor=rekor, edit=keep)).logged


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value["spec"]["signatures"].append(value["spec"]["signatures"][0]),
        lambda value: value["spec"].update(signatures=[]),
        lambda value: value["spec"]["signatures"][0].update(verifier="AAAA"),
        lambda value: value.update(spec=None),
        lambda value: value.pop("kind"),
    ],
)
def test_an_entry_that_says_nothing_of_the_kind(
    trusted: SigstoreRoot, signing: Signing, change: Callable[[dict[str, Any]], Any]
) -> None:
    def relog(bundle: dict[str, Any]) -> None:
        entries = bundle["verificationMaterial"]["tlogEntries"]
        entries[0] = log_anything(signing.sigstore, rewritten(entries[0], change))

    found = witnessed(trusted, signing, signing.envelope(edit=relog))
    assert not found.logged
    assert found.message.startswith(ABSENT)


def test_the_key_of_an_entry_is_this_one(trusted: SigstoreRoot, signing: Signing) -> None:
    other = base64.b64encode(Signing(signing.sigstore).public_pem).decode()

    def relog(bundle: dict[str, Any]) -> None:
        entries = bundle["verificationMaterial"]["tlogEntries"]
        change = within(*V1, "verifier", value=other)
        entries[0] = log_anything(signing.sigstore, rewritten(entries[0], change))

    assert witnessed(trusted, signing, signing.envelope(edit=relog)).message.startswith(OTHER)


@pytest.mark.parametrize(
    "change",
    [
        within("spec", "data", "hash", "value", value="00" * 32),
        within("spec", "data", "more", value=1),
        within("spec", "signature", "content", value="AAAA"),
    ],
)
def test_an_entry_says_exactly_this_file(
    trusted: SigstoreRoot, signing: Signing, change: Callable[[dict[str, Any]], Any]
) -> None:
    def relog(bundle: dict[str, Any]) -> None:
        entries = bundle["verificationMaterial"]["tlogEntries"]
        entries[0] = log_anything(signing.sigstore, rewritten(entries[0], change))

    message = parse_message_bundle(signing.message(edit=relog))
    found = verify_content(message, CONTENT, KeyVerifier.load(signing.public_pem, trusted)).witnessed
    assert not found.logged
    assert found.message.startswith(OTHER)
