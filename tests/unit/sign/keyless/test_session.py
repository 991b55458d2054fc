"""Keyless sessions: one certificate, every service failing and lying at each step, and what nobody may see."""

from __future__ import annotations

import datetime as dt
import logging
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest

from lamslsa import _codec, statement
from lamslsa.errors import FormatError, LamslsaError, UnavailableError, VerificationError
from lamslsa.sign import KeySigner, generate, parse_bundle
from lamslsa.sign.keyless import KeylessTerms, KeylessVerifier, SigstoreRoot, services, tokens
from lamslsa.sign.keyless.config import TrustConfig, parse_trust_config
from lamslsa.sign.keyless.session import KeylessSigner, open_session
from lamslsa.sign.keyless.tokens import Token, parse_token
from lamslsa.testing.sigstore import Lie, LocalSigstore, github_claims

PAYLOAD = statement.make([statement.Subject(name="m", sha256="0" * 64)], "https://example.com/p/v1", {"n": 2**53})
EMAIL = "someone@example.test"
Session = Callable[..., AbstractContextManager[KeylessSigner]]


class DeclinedError(Exception):
    """The user does not want it."""


def config_of(sigstore: LocalSigstore, rekor: Any = 1, *, tsa: bool = True) -> TrustConfig:
    return parse_trust_config(sigstore.trust_config_json(rekor, tsa=tsa).encode())


def nothing(*_: object) -> None:
    """Consents, and notes nothing."""


def decline() -> None:
    raise DeclinedError


def session(
    sigstore: LocalSigstore,
    text: str | None = None,
    *,
    rekor: Any = 1,
    tsa: bool = True,
    timestamp: bool = False,
    consent: Callable[[], None] = nothing,
    note: Callable[[str], None] = nothing,
    token: Token | None = None,
) -> AbstractContextManager[KeylessSigner]:
    token = token or parse_token(text or sigstore.token(email=EMAIL))
    return open_session(
        config_of(sigstore, rekor, tsa=tsa), token, require_timestamp=timestamp, consent=consent, note=note
    )


def refused(sigstore: LocalSigstore, caplog: pytest.LogCaptureFixture, **options: Any) -> LamslsaError:
    """The error of signing, in which no credential shows, nor in anything that was logged on the way."""
    caplog.set_level(logging.DEBUG)
    text = options.pop("text", None) or sigstore.token(email=EMAIL)
    with pytest.raises(LamslsaError) as caught, session(sigstore, text, **options) as signer:
        signer.sign(PAYLOAD)
    seen = "".join(traceback.format_exception(caught.value)) + str(caught.value.hint) + caplog.text
    assert text not in seen
    assert text.split(".")[1] not in seen
    assert text.split(".")[2] not in seen
    return caught.value


@pytest.mark.parametrize("rekor", [1, 2])
def test_statements_share_one_certificate_and_any_verifier_accepts_them(
    local_sigstore: LocalSigstore, rekor: int
) -> None:
    asked: list[bool] = []
    text = local_sigstore.token(email=EMAIL)
    other = PAYLOAD.replace(b'"m"', b'"n"')
    with session(local_sigstore, text, rekor=rekor, consent=lambda: asked.append(True)) as signer:
        assert asked == [], "nothing is public before the first signature"
        bundles = [parse_bundle(signer.sign(payload)) for payload in (PAYLOAD, other)]
        assert signer.identity == f"{EMAIL} ({local_sigstore.issuer})"
    assert asked == [True]
    assert [bundle.payload for bundle in bundles] == [PAYLOAD, other]
    assert len({bundle.material.certificates for bundle in bundles}) == 1
    root = SigstoreRoot.load(local_sigstore.trusted_root_json().encode())
    verifier = KeylessVerifier(terms=KeylessTerms(issuer=local_sigstore.issuer, identity=EMAIL), root=root)
    for bundle in bundles:
        signature = verifier.verify(bundle)
        assert signature.witnessed.logged
        assert any(time.source == "timestamp" for time in signature.witnessed.times)
        assert text.encode() not in bundle.raw


@pytest.fixture
def at_github(local_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The issuer whose workflows' names are known before there is a certificate."""
    monkeypatch.setattr(tokens, "_GITHUB_ISSUER", local_sigstore.issuer)


@pytest.mark.usefixtures("at_github")
def test_what_the_session_signed_is_its_own_and_needs_no_certificate_to_tell(local_sigstore: LocalSigstore) -> None:
    claims = github_claims("acme/model")
    with session(local_sigstore, local_sigstore.token(claims=claims)) as signer:
        bundle = parse_bundle(signer.sign(PAYLOAD))
        own = signer.verifier().verify(bundle)
    again = local_sigstore.token(claims=claims | {"run_attempt": "2", "run_id": "4243"})
    with session(local_sigstore, again, consent=decline) as signer:
        assert signer.verifier().verify(bundle) == own
        assert signer.identity == own.signer


@pytest.mark.usefixtures("at_github")
@pytest.mark.parametrize(
    "other",
    [
        {"ref": "refs/heads/other", "job_workflow_ref": "acme/model/.github/workflows/train.yml@refs/heads/other"},
        {"sha": "b" * 40},
        {"repository_id": "7"},
        {"repository_owner_id": "7"},
        {"runner_environment": "self-hosted"},
        {"event_name": "schedule"},
    ],
)
def test_another_identity_is_not_its_own(local_sigstore: LocalSigstore, other: dict[str, str]) -> None:
    claims = github_claims("acme/model")
    with session(local_sigstore, local_sigstore.token(claims=claims)) as signer:
        bundle = parse_bundle(signer.sign(PAYLOAD))
    with session(local_sigstore, local_sigstore.token(claims=claims | other), consent=decline) as signer:
        with pytest.raises(VerificationError) as caught:
            signer.verifier().verify(bundle)
        assert caught.value.reason == "signature-identity"


def test_an_identity_that_does_not_follow_from_the_token_is_asked_for(local_sigstore: LocalSigstore) -> None:
    with session(local_sigstore, local_sigstore.token("https://ci.example.test/a")) as signer:
        bundle = parse_bundle(signer.sign(PAYLOAD))
    asked: list[bool] = []
    with session(
        local_sigstore, local_sigstore.token("https://ci.example.test/a"), consent=lambda: asked.append(True)
    ) as signer:
        assert signer.verifier().verify(bundle).signer == signer.identity
    assert asked == [True], "the certificate is public"
    with (
        session(local_sigstore, local_sigstore.token("https://ci.example.test/b")) as signer,
        pytest.raises(VerificationError) as caught,
    ):
        signer.verifier().verify(bundle)
    assert caught.value.reason == "signature-identity"


def test_bundles_of_other_kinds_and_issuers_are_not_its_own(local_sigstore: LocalSigstore) -> None:
    key = KeySigner.load(generate(None), None)
    with LocalSigstore() as elsewhere:
        with session(elsewhere) as signer:
            foreign = parse_bundle(signer.sign(PAYLOAD))
        forged = replace(foreign, material=replace(foreign.material, certificates=(b"no certificate",)), raw=b"{}")
    with session(local_sigstore, local_sigstore.token(), consent=decline) as signer:
        for bundle, reason in (
            (parse_bundle(key.sign(PAYLOAD)), "signature-key"),
            (foreign, "signature-identity"),
            (forged, "signature-identity"),
        ):
            with pytest.raises(VerificationError) as caught:
                signer.verifier().verify(bundle)
            assert caught.value.reason == reason


def test_a_bundle_that_only_claims_to_be_its_own_is_refused(local_sigstore: LocalSigstore) -> None:
    with session(local_sigstore) as signer:
        document = _codec.loads(signer.sign(PAYLOAD))
        document["dsseEnvelope"]["payload"] = _codec.encode_base64(PAYLOAD.replace(b'"m"', b'"n"'))
        with pytest.raises(VerificationError) as caught:
            signer.verifier().verify(parse_bundle(_codec.dumps(document)))
    assert caught.value.reason in {"signature", "signature-log"}


def test_a_stripped_timestamp_or_a_log_entry_of_another_bundle_is_refused(local_sigstore: LocalSigstore) -> None:
    with session(local_sigstore, timestamp=True) as signer:
        first, second = (_codec.loads(signer.sign(PAYLOAD)) for _ in range(2))
        stripped, swapped = dict(first), dict(second)
        stripped["verificationMaterial"] = {
            name: part for name, part in first["verificationMaterial"].items() if name != "timestampVerificationData"
        }
        swapped["verificationMaterial"] = second["verificationMaterial"] | {
            "tlogEntries": first["verificationMaterial"]["tlogEntries"]
        }
        for document, reason in ((stripped, "keyless-timestamp"), (swapped, "signature-log")):
            with pytest.raises(VerificationError) as caught:
                signer.verifier().verify(parse_bundle(_codec.dumps(document)))
            assert caught.value.reason == reason


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (503, "unavailable"),
        (429, "unavailable"),
        (401, "refused"),
        (400, "refused"),
        ("drop", "unavailable"),
        ("lose", "unavailable"),
        ("cut", "unavailable"),
        ("garble", "answer"),
    ],
)
@pytest.mark.parametrize("service", ["fulcio", "rekor", "tsa"])
def test_each_service_failing(
    faulty_sigstore: LocalSigstore,
    caplog: pytest.LogCaptureFixture,
    service: str,
    failure: Any,
    kind: str,
    rekor: int,
) -> None:
    endpoint: Any = f"rekor{rekor}" if service == "rekor" else service
    faulty_sigstore.faults.fail(endpoint, failure)
    error = refused(faulty_sigstore, caplog, rekor=rekor, timestamp=True)
    assert isinstance(error, UnavailableError)
    assert error.reason == f"{'timestamp' if service == 'tsa' else service}-{kind}"


@pytest.mark.parametrize("endpoint", ["fulcio", "rekor1", "rekor2"])
def test_a_service_that_never_answers(
    faulty_sigstore: LocalSigstore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, endpoint: Any
) -> None:
    monkeypatch.setattr(services, "_TIMEOUT_S", 0.1)
    faulty_sigstore.faults.fail(endpoint, "hang")
    error = refused(faulty_sigstore, caplog, rekor=2 if endpoint == "rekor2" else 1)
    assert error.reason == f"{endpoint.rstrip('12')}-unavailable"


def test_what_the_authority_says_is_passed_on(faulty_sigstore: LocalSigstore, caplog: pytest.LogCaptureFixture) -> None:
    faulty_sigstore.faults.fail("fulcio", 401)
    error = refused(faulty_sigstore, caplog)
    assert "401: this service is made to fail" in str(error)
    assert error.hint


@pytest.mark.parametrize(
    ("lie", "rekor", "reason", "kind"),
    [
        ("certificate-other-identity", 1, "certificate-identity", VerificationError),
        ("certificate-other-issuer", 1, "certificate-identity", VerificationError),
        ("certificate-other-key", 1, "certificate-key", VerificationError),
        ("certificate-foreign", 1, "certificate-sct", VerificationError),
        ("sct-missing", 1, "certificate-sct", VerificationError),
        ("sct-foreign", 1, "certificate-sct", VerificationError),
        ("sct-other-certificate", 1, "certificate-sct", VerificationError),
        ("entry-other", 1, "signature-log", VerificationError),
        ("entry-other", 2, "signature-log", VerificationError),
        ("promise-missing", 1, "rekor-answer", UnavailableError),
        ("promise-foreign", 1, "signature-log", VerificationError),
        ("promise-other-time", 1, "signature-log", VerificationError),
        ("proof-wrong", 1, "signature-log", VerificationError),
        ("proof-wrong", 2, "signature-log", VerificationError),
        ("checkpoint-foreign", 1, "signature-log", VerificationError),
        ("checkpoint-foreign", 2, "signature-log", VerificationError),
        ("timestamp-refused", 1, "timestamp-not-trusted", UnavailableError),
        ("timestamp-other-nonce", 1, "timestamp-nonce", UnavailableError),
        ("timestamp-other-nonce", 2, "timestamp-nonce", UnavailableError),
        ("timestamp-other-data", 1, "timestamp-not-trusted", UnavailableError),
        ("timestamp-foreign", 1, "timestamp-not-trusted", UnavailableError),
        ("timestamp-foreign", 2, "timestamp-not-trusted", UnavailableError),
    ],
)
def test_each_service_lying(
    faulty_sigstore: LocalSigstore,
    caplog: pytest.LogCaptureFixture,
    lie: Lie,
    rekor: int,
    reason: str,
    kind: type[LamslsaError],
) -> None:
    faulty_sigstore.faults.lie(lie)
    error = refused(faulty_sigstore, caplog, rekor=rekor, timestamp=True)
    assert (error.reason, type(error)) == (reason, kind)


def test_without_its_timestamp_nothing_is_logged(
    faulty_sigstore: LocalSigstore, caplog: pytest.LogCaptureFixture
) -> None:
    faulty_sigstore.faults.fail("tsa", 503)
    faulty_sigstore.faults.fail("rekor2", 500)
    assert refused(faulty_sigstore, caplog, rekor=2).reason == "timestamp-unavailable", "with v2 it is required"


@pytest.mark.parametrize("fault", ["fails", "lies"])
def test_a_timestamp_that_is_not_required_is_missed_aloud(faulty_sigstore: LocalSigstore, fault: str) -> None:
    if fault == "fails":
        faulty_sigstore.faults.fail("tsa", 503)
    else:
        faulty_sigstore.faults.lie("timestamp-foreign")
    notes: list[str] = []
    with session(faulty_sigstore, note=notes.append) as signer:
        assert parse_bundle(signer.sign(PAYLOAD)).material.timestamps == ()
    assert len(notes) == 1
    assert notes[0].startswith("no timestamp: ")


@pytest.mark.parametrize(("rekor", "timestamp"), [(1, True), (2, False)])
def test_without_an_authority_there_is_no_timestamp(
    local_sigstore: LocalSigstore, caplog: pytest.LogCaptureFixture, rekor: int, timestamp: bool
) -> None:
    error = refused(local_sigstore, caplog, rekor=rekor, timestamp=timestamp, tsa=False)
    assert (error.reason, type(error)) == ("timestamp-authority-missing", UnavailableError)


def test_a_token_of_another_issuer_or_key_is_refused_by_the_authority(
    local_sigstore: LocalSigstore, caplog: pytest.LogCaptureFixture
) -> None:
    with LocalSigstore() as other:
        foreign = other.token(email=EMAIL)
        forged = other.token(email=EMAIL, issuer=local_sigstore.issuer)
    for text in (foreign, forged):
        error = refused(local_sigstore, caplog, text=text)
        assert (error.reason, type(error)) == ("fulcio-refused", UnavailableError)


@pytest.mark.parametrize("seconds", [-60, -1])
def test_a_token_that_expires_before_the_first_signature(
    local_sigstore: LocalSigstore, caplog: pytest.LogCaptureFixture, seconds: int
) -> None:
    """By less than sigstore's leeway too."""
    text = local_sigstore.token(email=EMAIL, lifetime=dt.timedelta(seconds=seconds))
    error = refused(local_sigstore, caplog, text=text)
    assert (error.reason, type(error)) == ("token-expired", UnavailableError)


def test_a_token_without_the_address_that_its_issuer_owes(
    local_sigstore: LocalSigstore, caplog: pytest.LogCaptureFixture
) -> None:
    text = local_sigstore.token(issuer="https://accounts.google.com")
    assert refused(local_sigstore, caplog, text=text).reason == "token-not-taken"


def test_a_certificate_that_has_expired_signs_nothing(
    faulty_sigstore: LocalSigstore, caplog: pytest.LogCaptureFixture
) -> None:
    faulty_sigstore.fulcio.lifetime = -dt.timedelta(seconds=1)
    faulty_sigstore.faults.fail("rekor1", 500)
    error = refused(faulty_sigstore, caplog)
    assert (error.reason, type(error)) == ("certificate-expired", UnavailableError)
    assert "again" in str(error.hint)


def test_a_signature_dated_after_the_certificate_is_refused(
    faulty_sigstore: LocalSigstore, caplog: pytest.LogCaptureFixture
) -> None:
    faulty_sigstore.rekor1.clock.offset = dt.timedelta(hours=1)
    error = refused(faulty_sigstore, caplog, tsa=False)
    assert isinstance(error, VerificationError)
    assert error.reason.startswith("signature")


def test_a_user_who_does_not_want_it_signs_nothing(faulty_sigstore: LocalSigstore) -> None:
    faulty_sigstore.faults.fail("fulcio", 500)
    with session(faulty_sigstore, consent=decline) as signer, pytest.raises(DeclinedError):
        signer.sign(PAYLOAD)


@pytest.mark.parametrize("payload", [b"{}", b"not JSON", b"\xff"])
def test_only_statements_are_signed(local_sigstore: LocalSigstore, payload: bytes) -> None:
    with session(local_sigstore, consent=decline) as signer, pytest.raises(FormatError) as caught:
        signer.sign(payload)
    assert caught.value.reason == "keyless-statement"


def test_nothing_secret_shows_in_a_session(local_sigstore: LocalSigstore) -> None:
    text = local_sigstore.token(email=EMAIL)
    with session(local_sigstore, text) as signer:
        signer.sign(PAYLOAD)
        assert text not in f"{signer!r} {signer.verifier()!r} {config_of(local_sigstore)!r}"


def test_bytes_that_were_written_anew_are_refused(
    local_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sigstore import dsse

    class Rewriting(dsse.Statement):
        def __init__(self, contents: bytes) -> None:
            super().__init__(contents)
            self._contents = contents + b" "

    monkeypatch.setattr(dsse, "Statement", Rewriting)
    with session(local_sigstore) as signer, pytest.raises(VerificationError) as caught:
        signer.sign(PAYLOAD)
    assert caught.value.reason == "keyless-payload"


def test_answers_that_make_no_bundle_are_refused(
    local_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sigstore.models import Bundle, InvalidBundle

    def fail(*_: object) -> None:
        raise InvalidBundle("inclusion proof missing")

    monkeypatch.setattr(Bundle, "_verify", fail)
    with session(local_sigstore) as signer, pytest.raises(UnavailableError) as caught:
        signer.sign(PAYLOAD)
    assert caught.value.reason == "keyless-bundle"


@pytest.mark.parametrize("lies", [False, True])
def test_a_certificate_that_expires_while_it_signs(
    faulty_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch, lies: bool
) -> None:
    """Before a signature, or before its bundle was dated, which then does not verify."""
    from sigstore._internal.fulcio import ExpiredCertificate
    from sigstore.sign import Signer

    with session(faulty_sigstore) as signer:
        signer.sign(PAYLOAD)
        valid = [Signer._signing_cert] * lies
        if lies:
            faulty_sigstore.faults.lie("proof-wrong")

        def expire(inner: Signer) -> Any:
            if valid:
                return valid.pop()(inner)
            raise ExpiredCertificate

        monkeypatch.setattr(Signer, "_signing_cert", expire)
        with pytest.raises(UnavailableError) as caught:
            signer.sign(PAYLOAD)
    assert caught.value.reason == "certificate-expired"


def test_a_token_that_expires_while_the_certificate_is_asked_for(
    local_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sigstore.oidc import ExpiredIdentity
    from sigstore.sign import Signer

    def expire(_: Signer) -> None:
        raise ExpiredIdentity

    monkeypatch.setattr(Signer, "_build_csr", expire)
    with session(local_sigstore) as signer, pytest.raises(UnavailableError) as caught:
        signer.sign(PAYLOAD)
    assert caught.value.reason == "token-expired"


def test_an_authentic_bundle_of_somebody_else_is_not_handed_out(local_sigstore: LocalSigstore) -> None:
    with session(local_sigstore) as signer:
        envelope = parse_bundle(signer.sign(PAYLOAD))
        with pytest.raises(VerificationError) as caught:
            signer.authentic(envelope, replace(signer.own_identity(), san="somebody@example.test"))
    assert caught.value.reason == "signature-identity"
