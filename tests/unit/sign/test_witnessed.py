"""Managed keys with a timestamp and a log entry: what is asked for is got, or nothing is signed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lamslsa import _codec, statement
from lamslsa.errors import LamslsaError, UnavailableError, VerificationError
from lamslsa.sign import KeySigner, KeyVerifier, generate, parse_bundle
from lamslsa.sign.interface import Signature
from lamslsa.sign.keyless import SigstoreRoot
from lamslsa.sign.keyless.config import parse_trust_config
from lamslsa.sign.keyless.services import open_services
from lamslsa.sign.witnessed import WitnessedSigner
from lamslsa.testing.sigstore import Lie, LocalSigstore

PAYLOAD = statement.make([statement.Subject(name="m", sha256="0" * 64)], "https://example.com/p/v1", {"n": 1})
KEY = KeySigner.load(generate(None), None)


class DeclinedError(Exception):
    """The user does not want it."""


def nothing() -> None:
    """Consents."""


def decline() -> None:
    raise DeclinedError


def root_of(sigstore: LocalSigstore) -> SigstoreRoot:
    return SigstoreRoot.load(sigstore.trusted_root_json().encode())


@contextmanager
def signer_of(
    sigstore: LocalSigstore,
    rekor: Any = 1,
    *,
    tsa: bool = True,
    timestamp: bool = True,
    log: bool = True,
    consent: Callable[[], None] = nothing,
    root: SigstoreRoot | None = None,
) -> Iterator[WitnessedSigner]:
    with open_services(parse_trust_config(sigstore.trust_config_json(rekor, tsa=tsa).encode())) as services:
        yield WitnessedSigner(
            signer=KEY,
            witnesses=services,
            root=root or root_of(sigstore),
            require_timestamp=timestamp,
            require_log=log,
            consent=consent,
        )


def judged(sigstore: LocalSigstore, bundle: bytes) -> Signature:
    return KeyVerifier.load(KEY.public_pem, root_of(sigstore)).verify(parse_bundle(bundle))


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize(("timestamp", "log"), [(True, True), (True, False), (False, True)])
def test_a_bundle_has_what_was_asked_for_and_nothing_else(
    local_sigstore: LocalSigstore, rekor: int, timestamp: bool, log: bool
) -> None:
    asked: list[bool] = []
    with signer_of(local_sigstore, rekor, timestamp=timestamp, log=log, consent=lambda: asked.append(True)) as signer:
        bundle = signer.sign(PAYLOAD)
        assert signer.verifier().verify(parse_bundle(bundle)).key_id == KEY.key_id == signer.key_id
        assert (signer.identity, signer.public_pem) == (KEY.identity, KEY.public_pem)
    witnessed = judged(local_sigstore, bundle).witnessed
    assert witnessed.message == ""
    assert witnessed.logged is log
    assert any(time.source == "timestamp" for time in witnessed.times) is timestamp
    assert asked == [True] * log, "a timestamp sends a hash; only an entry is public"


def test_without_anything_asked_for_nobody_is(faulty_sigstore: LocalSigstore) -> None:
    for endpoint in ("tsa", "rekor1"):
        faulty_sigstore.faults.fail(endpoint, 500)
    with signer_of(faulty_sigstore, timestamp=False, log=False, consent=decline) as signer:
        envelope = parse_bundle(signer.sign(PAYLOAD))
    assert (envelope.material.timestamps, envelope.material.log_entries) == ((), ())


def test_a_bundle_that_lacks_a_witness_is_not_its_own(local_sigstore: LocalSigstore) -> None:
    with signer_of(local_sigstore) as signer:
        document = _codec.loads(signer.sign(PAYLOAD))
        material = document["verificationMaterial"]
        without: tuple[dict[str, Any], ...] = ({"timestampVerificationData": {}}, {"tlogEntries": []})
        for stripped in without:
            document["verificationMaterial"] = material | stripped
            with pytest.raises(VerificationError) as caught:
                signer.verifier().verify(parse_bundle(_codec.dumps(document)))
            assert caught.value.reason == "signature-unwitnessed"
        with pytest.raises(VerificationError) as caught:
            signer.verifier().verify(parse_bundle(KeySigner.load(generate(None), None).sign(PAYLOAD)))
        assert caught.value.reason == "signature-key"


def refused(sigstore: LocalSigstore, **options: Any) -> LamslsaError:
    with signer_of(sigstore, **options) as signer, pytest.raises(LamslsaError) as caught:
        signer.sign(PAYLOAD)
    return caught.value


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize(
    ("failure", "kind"), [(503, "unavailable"), (403, "refused"), ("drop", "unavailable"), ("garble", "answer")]
)
@pytest.mark.parametrize("service", ["rekor", "timestamp"])
def test_each_service_failing(
    faulty_sigstore: LocalSigstore, service: str, failure: Any, kind: str, rekor: int
) -> None:
    endpoint: Any = "tsa" if service == "timestamp" else f"rekor{rekor}"
    faulty_sigstore.faults.fail(endpoint, failure)
    error = refused(faulty_sigstore, rekor=rekor)
    assert (error.reason, type(error)) == (f"{service}-{kind}", UnavailableError)


@pytest.mark.parametrize(
    ("lie", "rekor", "reason"),
    [
        ("entry-other", 1, "witness-not-trusted"),
        ("entry-other", 2, "witness-not-trusted"),
        ("promise-missing", 1, "rekor-answer"),
        ("proof-wrong", 1, "witness-not-trusted"),
        ("checkpoint-foreign", 2, "witness-not-trusted"),
        ("timestamp-refused", 1, "witness-not-trusted"),
        ("timestamp-other-data", 1, "witness-not-trusted"),
        ("timestamp-other-nonce", 1, "timestamp-nonce"),
        ("timestamp-foreign", 2, "witness-not-trusted"),
    ],
)
def test_each_service_lying(faulty_sigstore: LocalSigstore, lie: Lie, rekor: int, reason: str) -> None:
    faulty_sigstore.faults.lie(lie)
    error = refused(faulty_sigstore, rekor=rekor)
    assert (error.reason, type(error)) == (reason, UnavailableError)


def test_services_of_another_sigstore_do_not_count(local_sigstore: LocalSigstore) -> None:
    with LocalSigstore() as other:
        root = root_of(other)
    for options in ({"log": False}, {"timestamp": False}):
        assert refused(local_sigstore, root=root, **options).reason == "witness-not-trusted"


def test_a_bad_timestamp_ends_it_before_anything_is_logged(faulty_sigstore: LocalSigstore) -> None:
    faulty_sigstore.faults.lie("timestamp-foreign")
    assert refused(faulty_sigstore, consent=decline).reason == "witness-not-trusted"


def test_without_an_authority_there_is_no_timestamp(local_sigstore: LocalSigstore) -> None:
    assert refused(local_sigstore, tsa=False).reason == "timestamp-authority-missing"


def test_a_user_who_does_not_want_it_logs_nothing(faulty_sigstore: LocalSigstore) -> None:
    faulty_sigstore.faults.fail("rekor1", 500)
    with signer_of(faulty_sigstore, consent=decline) as signer, pytest.raises(DeclinedError):
        signer.sign(PAYLOAD)
