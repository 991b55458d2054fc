"""The sigstore package signs with the local services and verifies what they answered, and sees every fault."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from sigstore.dsse import Statement
from sigstore.errors import CertValidationError, TUFError, VerificationError
from sigstore.models import Bundle, ClientTrustConfig, InvalidBundle
from sigstore.oidc import IdentityError, IdentityToken, Issuer, IssuerError, detect_credential
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

from lamslsa.testing.sigstore import SUBJECT, Endpoint, Failure, Lie, LocalSigstore, Rekor, github_claims

HOUR = dt.timedelta(hours=1)
PAYLOAD = (
    b'{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"%s"}}],'
    b'"predicateType":"https://example.test/p/v1","predicate":{"n":1}}' % (b"ab" * 32)
)
BOTH: tuple[Rekor, ...] = (1, 2)


def sign(
    sigstore: LocalSigstore, rekor: Rekor = 1, *, tsa: bool = True, token: str | None = None, times: int = 1
) -> Bundle:
    """The last of as many bundles under one certificate, read back from its JSON."""
    config = ClientTrustConfig.from_json(sigstore.trust_config_json(rekor, tsa=tsa))
    with SigningContext.from_trust_config(config).signer(IdentityToken(token or sigstore.token())) as signer:
        bundles = [signer.sign_dsse(Statement(PAYLOAD)) for _ in range(times)]
    return Bundle.from_json(bundles[-1].to_json())


def verify(sigstore: LocalSigstore, bundle: Bundle, expected: policy.VerificationPolicy | None = None) -> bytes:
    root = ClientTrustConfig.from_json(sigstore.trust_config_json()).trusted_root
    expected = expected or policy.Identity(identity=SUBJECT, issuer=sigstore.issuer)
    return Verifier(trusted_root=root).verify_dsse(bundle, expected)[1]


def material(bundle: Bundle) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bundle.to_json())["verificationMaterial"]
    return found


def entry(bundle: Bundle) -> dict[str, Any]:
    [found] = material(bundle)["tlogEntries"]
    assert isinstance(found, dict)
    return found


class TestSigning:
    @pytest.mark.parametrize("rekor", BOTH)
    def test_statements(self, local_sigstore: LocalSigstore, rekor: Rekor) -> None:
        bundle = sign(local_sigstore, rekor, times=3)
        assert verify(local_sigstore, bundle) == PAYLOAD
        kind = {1: {"kind": "dsse", "version": "0.0.1"}, 2: {"kind": "hashedrekord", "version": "0.0.2"}}[rekor]
        assert entry(bundle)["kindVersion"] == kind
        assert len(material(bundle)["timestampVerificationData"]["rfc3161Timestamps"]) == 1
        assert entry(bundle)["inclusionProof"]["hashes"]

    @pytest.mark.parametrize("rekor", BOTH)
    def test_files(self, local_sigstore: LocalSigstore, rekor: Rekor) -> None:
        config = ClientTrustConfig.from_json(local_sigstore.trust_config_json(rekor))
        with SigningContext.from_trust_config(config).signer(IdentityToken(local_sigstore.token())) as signer:
            bundle = signer.sign_artifact(b"file")
        identity = policy.Identity(identity=SUBJECT, issuer=local_sigstore.issuer)
        Verifier(trusted_root=config.trusted_root).verify_artifact(b"file", bundle, identity)
        with pytest.raises(VerificationError):
            Verifier(trusted_root=config.trusted_root).verify_artifact(b"another", bundle, identity)

    def test_without_timestamp(self, local_sigstore: LocalSigstore) -> None:
        bundle = sign(local_sigstore, 1, tsa=False)
        assert not material(bundle)["timestampVerificationData"]["rfc3161Timestamps"]
        assert verify(local_sigstore, bundle) == PAYLOAD
        with pytest.raises(InvalidBundle, match="inclusion promise or signed timestamp"):
            sign(local_sigstore, 2, tsa=False)  # nothing else states a time

    @pytest.mark.parametrize("rekor", BOTH)
    def test_another_instance(self, local_sigstore: LocalSigstore, rekor: Rekor) -> None:
        bundle = sign(local_sigstore, rekor)
        with LocalSigstore() as other:
            with pytest.raises(VerificationError):
                verify(other, bundle, policy.UnsafeNoOp())
            with pytest.raises(Exception) as caught:  # it is private
                sign(local_sigstore, rekor, token=other.token())
            assert type(caught.value).__name__ == "FulcioClientError"

    def test_an_address(self, local_sigstore: LocalSigstore) -> None:
        bundle = sign(local_sigstore, token=local_sigstore.token("42", email="someone@example.test"))
        identity = policy.Identity(identity="someone@example.test", issuer=local_sigstore.issuer)
        assert verify(local_sigstore, bundle, identity) == PAYLOAD


class TestGithub:
    @pytest.fixture
    def job(self, local_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.enter(monkeypatch, local_sigstore.github_environment())

    @staticmethod
    def enter(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    @pytest.mark.usefixtures("job")
    def test_ambient(self, local_sigstore: LocalSigstore) -> None:
        bundle = sign(local_sigstore, token=detect_credential())
        workflow = "https://github.com/acme/model/.github/workflows/train.yml@refs/heads/main"
        claims = github_claims()
        terms: list[policy.VerificationPolicy] = [
            policy.Identity(identity=workflow, issuer=local_sigstore.issuer),
            policy.OIDCIssuerV2(local_sigstore.issuer),
            policy.OIDCBuildSignerURI(workflow),
            policy.OIDCBuildSignerDigest(claims["job_workflow_sha"]),
            policy.OIDCRunnerEnvironment("github-hosted"),
            policy.OIDCSourceRepositoryURI("https://github.com/acme/model"),
            policy.OIDCSourceRepositoryDigest(claims["sha"]),
            policy.OIDCSourceRepositoryRef("refs/heads/main"),
            policy.OIDCSourceRepositoryIdentifier("1001"),
            policy.OIDCSourceRepositoryOwnerURI("https://github.com/acme"),
            policy.OIDCSourceRepositoryOwnerIdentifier("2002"),
            policy.OIDCBuildConfigURI(workflow),
            policy.OIDCBuildConfigDigest(claims["workflow_sha"]),
            policy.OIDCBuildTrigger("push"),
            policy.OIDCRunInvocationURI("https://github.com/acme/model/actions/runs/4242/attempts/1"),
            policy.OIDCSourceRepositoryVisibility("public"),
            policy.GitHubWorkflowTrigger("push"),
            policy.GitHubWorkflowSHA(claims["sha"]),
            policy.GitHubWorkflowName("train"),
            policy.GitHubWorkflowRepository("acme/model"),
            policy.GitHubWorkflowRef("refs/heads/main"),
        ]
        assert verify(local_sigstore, bundle, policy.AllOf(terms)) == PAYLOAD
        with pytest.raises(VerificationError):
            verify(local_sigstore, bundle, policy.OIDCSourceRepositoryURI("https://github.com/acme/other"))

    def test_each_job_has_its_claims(self, local_sigstore: LocalSigstore, monkeypatch: pytest.MonkeyPatch) -> None:
        jobs = [local_sigstore.github_environment(github_claims(name)) for name in ("a/b", "c/d")]
        for environment, name in zip(jobs, ("a/b", "c/d"), strict=True):
            self.enter(monkeypatch, environment)
            token = detect_credential()
            assert token is not None
            assert local_sigstore.oidc.verify(token)["repository"] == name

    @pytest.mark.usefixtures("job")
    def test_a_request_token_of_no_job(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "made up")
        with pytest.raises(IdentityError, match="code=401"):
            detect_credential()

    @pytest.mark.usefixtures("job")
    @pytest.mark.parametrize(
        ("lie", "error"),
        [
            ("token-expired", "IdentityError"),
            ("token-other-audience", "IdentityError"),
            ("token-other-issuer", "FulcioClientError"),
            ("token-foreign", "FulcioClientError"),
        ],
    )
    def test_bad_tokens(self, faulty_sigstore: LocalSigstore, lie: Lie, error: str) -> None:
        faulty_sigstore.faults.lie(lie)
        with pytest.raises(Exception) as caught:  # one of them is private
            sign(faulty_sigstore, token=detect_credential())
        assert type(caught.value).__name__ == error

    @pytest.mark.usefixtures("job")
    @pytest.mark.parametrize("failure", [403, 500, "garble"])
    def test_no_token(self, faulty_sigstore: LocalSigstore, failure: Failure) -> None:
        faulty_sigstore.faults.fail("github-token", failure)
        with pytest.raises(IdentityError):
            detect_credential()


class TestTuf:
    @pytest.fixture
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        return tmp_path

    @staticmethod
    def bootstrap(sigstore: LocalSigstore, home: Path, root: bytes) -> ClientTrustConfig:
        path = home / "root.json"
        path.write_bytes(root)
        return ClientTrustConfig.from_tuf(sigstore.tuf_url, bootstrap_root=path)

    def test_bootstrap(self, local_sigstore: LocalSigstore, home: Path) -> None:
        config = self.bootstrap(local_sigstore, home, local_sigstore.make_tuf(2))
        with SigningContext.from_trust_config(config).signer(IdentityToken(local_sigstore.token())) as signer:
            bundle = signer.sign_dsse(Statement(PAYLOAD))
        assert entry(bundle)["kindVersion"]["version"] == "0.0.2"
        assert verify(local_sigstore, bundle) == PAYLOAD

    def test_an_update(self, local_sigstore: LocalSigstore, home: Path) -> None:
        root = local_sigstore.make_tuf(2)
        self.bootstrap(local_sigstore, home, root)
        assert local_sigstore.make_tuf(1) == root
        config = ClientTrustConfig.from_tuf(local_sigstore.tuf_url)
        assert [service.major_api_version for service in config.signing_config._inner.rekor_tlog_urls] == [1]

    def test_expired(self, faulty_sigstore: LocalSigstore, home: Path) -> None:
        faulty_sigstore.tuf.clock.offset = -dt.timedelta(days=31)
        with pytest.raises(TUFError):
            self.bootstrap(faulty_sigstore, home, faulty_sigstore.make_tuf())

    def test_unavailable(self, faulty_sigstore: LocalSigstore, home: Path) -> None:
        root = faulty_sigstore.make_tuf()
        faulty_sigstore.faults.fail("tuf")
        with pytest.raises(TUFError):
            self.bootstrap(faulty_sigstore, home, root)


class TestFailures:
    @pytest.mark.parametrize("failure", [401, 429, 500, 503, "drop", "lose", "garble", "cut"])
    @pytest.mark.parametrize(("endpoint", "rekor"), [("fulcio", 1), ("rekor1", 1), ("rekor2", 2)])
    def test_signing(self, faulty_sigstore: LocalSigstore, endpoint: Endpoint, rekor: Rekor, failure: Failure) -> None:
        faulty_sigstore.faults.fail(endpoint, failure)
        with pytest.raises(Exception):  # noqa: B017 sigstore lets whatever its HTTP library raises through
            sign(faulty_sigstore, rekor)
        faulty_sigstore.faults.clear()
        sign(faulty_sigstore, rekor)

    @pytest.mark.parametrize("failure", [400, 503, "drop", "garble", "cut"])
    def test_timestamps(self, faulty_sigstore: LocalSigstore, failure: Failure) -> None:
        faulty_sigstore.faults.fail("tsa", failure)
        bundle = sign(faulty_sigstore)
        assert not material(bundle).get("timestampVerificationData", {}).get("rfc3161Timestamps")
        assert verify(faulty_sigstore, bundle) == PAYLOAD

    def test_the_third_of_five(self, faulty_sigstore: LocalSigstore) -> None:
        faulty_sigstore.faults.fail("rekor1", 503, skip=2, times=1)
        config = ClientTrustConfig.from_json(faulty_sigstore.trust_config_json())
        failed = []
        with SigningContext.from_trust_config(config).signer(IdentityToken(faulty_sigstore.token())) as signer:
            for number in range(5):
                try:
                    signer.sign_dsse(Statement(PAYLOAD))
                except Exception:  # noqa: BLE001 as above
                    failed.append(number)
        assert failed == [2]

    @pytest.mark.parametrize("failure", [500, "garble"])
    def test_configuration(self, faulty_sigstore: LocalSigstore, failure: Failure) -> None:
        assert Issuer(faulty_sigstore.issuer).oidc_config.token_endpoint == f"{faulty_sigstore.issuer}/token"
        faulty_sigstore.faults.fail("oidc-configuration", failure)
        with pytest.raises(IssuerError):
            Issuer(faulty_sigstore.issuer)


class TestLies:
    @pytest.mark.parametrize(
        ("lie", "error"),
        [
            ("sct-missing", "VerificationError"),
            ("sct-foreign", "VerificationError"),
            ("sct-other-certificate", "VerificationError"),
            ("certificate-foreign", "VerificationError"),
            ("certificate-other-key", "RekorClientError"),
        ],
    )
    @pytest.mark.parametrize("rekor", BOTH)
    def test_seen_at_signing(self, faulty_sigstore: LocalSigstore, lie: Lie, error: str, rekor: Rekor) -> None:
        faulty_sigstore.faults.lie(lie)
        with pytest.raises(Exception) as caught:  # two of them are private
            sign(faulty_sigstore, rekor)
        assert type(caught.value).__name__ == error

    @pytest.mark.parametrize(
        ("rekor", "lie", "message"),
        [
            (1, "certificate-other-identity", "SANs do not match"),
            (2, "certificate-other-identity", "SANs do not match"),
            (1, "certificate-other-issuer", "OIDCIssuer"),
            (1, "entry-other", "payload hash does not match"),
            (2, "entry-other", "inconsistent with other materials"),
            (1, "promise-foreign", "invalid log entry"),
            (1, "promise-other-time", "invalid log entry"),
            (1, "proof-wrong", "invalid log entry"),
            (2, "proof-wrong", "invalid log entry"),
            (1, "checkpoint-foreign", "invalid log entry"),
            (2, "checkpoint-foreign", "invalid log entry"),
            (2, "timestamp-other-data", "not enough sources of verified time"),
            (2, "timestamp-foreign", "not enough sources of verified time"),
        ],
    )
    def test_seen_at_verification(self, faulty_sigstore: LocalSigstore, rekor: Rekor, lie: Lie, message: str) -> None:
        faulty_sigstore.faults.lie(lie)
        bundle = sign(faulty_sigstore, rekor, times=2)
        faulty_sigstore.faults.clear()
        with pytest.raises(VerificationError, match=message):
            verify(faulty_sigstore, bundle)

    @pytest.mark.parametrize("rekor", BOTH)
    def test_another_file(self, faulty_sigstore: LocalSigstore, rekor: Rekor) -> None:
        faulty_sigstore.faults.lie("entry-other")
        config = ClientTrustConfig.from_json(faulty_sigstore.trust_config_json(rekor))
        with SigningContext.from_trust_config(config).signer(IdentityToken(faulty_sigstore.token())) as signer:
            bundle = signer.sign_artifact(b"file")
        with pytest.raises(VerificationError, match="inconsistent with other materials"):
            Verifier(trusted_root=config.trusted_root).verify_artifact(b"file", bundle, policy.UnsafeNoOp())

    def test_promise_missing(self, faulty_sigstore: LocalSigstore) -> None:
        faulty_sigstore.faults.lie("promise-missing")
        with pytest.raises(KeyError, match="signedEntryTimestamp"):
            sign(faulty_sigstore)

    def test_timestamp_refused(self, faulty_sigstore: LocalSigstore) -> None:
        faulty_sigstore.faults.lie("timestamp-refused")
        bundle = sign(faulty_sigstore)
        with pytest.raises(ValueError, match="Missing SignedData"):
            verify(faulty_sigstore, bundle)

    def test_timestamp_of_another_request(self, faulty_sigstore: LocalSigstore) -> None:
        faulty_sigstore.faults.lie("timestamp-other-nonce")
        assert verify(faulty_sigstore, sign(faulty_sigstore, 2)) == PAYLOAD  # sigstore does not look

    def test_a_lie_about_one_of_three(self, faulty_sigstore: LocalSigstore) -> None:
        faulty_sigstore.faults.lie("entry-other", skip=1, times=1)
        assert verify(faulty_sigstore, sign(faulty_sigstore, times=1)) == PAYLOAD
        with pytest.raises(VerificationError):
            verify(faulty_sigstore, sign(faulty_sigstore))
        assert verify(faulty_sigstore, sign(faulty_sigstore)) == PAYLOAD


class TestClocks:
    @pytest.mark.parametrize("offset", [-HOUR, HOUR])
    def test_a_timestamp_outside_the_certificate(self, faulty_sigstore: LocalSigstore, offset: dt.timedelta) -> None:
        faulty_sigstore.tsa.clock.offset = offset
        with pytest.raises(CertValidationError):
            verify(faulty_sigstore, sign(faulty_sigstore, 2))

    @pytest.mark.parametrize("offset", [-HOUR, HOUR])
    def test_a_log_outside_the_certificate(self, faulty_sigstore: LocalSigstore, offset: dt.timedelta) -> None:
        faulty_sigstore.rekor1.clock.offset = offset
        bundle = sign(faulty_sigstore, 1, tsa=False)
        stated = dt.datetime.fromtimestamp(int(entry(bundle)["integratedTime"]), dt.UTC)
        assert abs(stated - offset - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
        with pytest.raises(CertValidationError):
            verify(faulty_sigstore, bundle)

    def test_a_short_certificate(self, faulty_sigstore: LocalSigstore) -> None:
        faulty_sigstore.fulcio.clock.offset = -dt.timedelta(minutes=5)  # the token's own leeway is five seconds
        faulty_sigstore.oidc.clock.offset = -dt.timedelta(minutes=5)
        faulty_sigstore.fulcio.lifetime = dt.timedelta(minutes=1)
        with pytest.raises(Exception) as caught:  # it is private
            sign(faulty_sigstore)
        assert type(caught.value).__name__ == "ExpiredCertificate"

    def test_a_token_that_fulcio_finds_expired(self, faulty_sigstore: LocalSigstore) -> None:
        faulty_sigstore.fulcio.clock.offset = HOUR
        with pytest.raises(Exception) as caught:  # it is private
            sign(faulty_sigstore)
        assert type(caught.value).__name__ == "FulcioClientError"
        assert caught.value.__cause__ is not None
        assert "401" in str(caught.value.__cause__)

    def test_promises_are_dated(self, faulty_sigstore: LocalSigstore) -> None:
        faulty_sigstore.fulcio.log.clock.offset = HOUR
        raw = base64.b64decode(material(sign(faulty_sigstore))["certificate"]["rawBytes"])
        extension = x509.load_der_x509_certificate(raw).extensions.get_extension_for_class(
            x509.PrecertificateSignedCertificateTimestamps
        )
        [promise] = extension.value
        late = promise.timestamp.replace(tzinfo=dt.UTC) - dt.datetime.now(dt.UTC)
        assert abs(late - HOUR) < dt.timedelta(minutes=1)

    def test_reset(self, local_sigstore: LocalSigstore) -> None:
        for service in (local_sigstore.oidc, local_sigstore.fulcio, local_sigstore.fulcio.log):
            service.clock.offset = HOUR
        for other in (local_sigstore.rekor1, local_sigstore.tsa, local_sigstore.tuf):
            other.clock.offset = HOUR
        local_sigstore.fulcio.lifetime = HOUR
        local_sigstore.faults.fail("fulcio")
        local_sigstore.faults.lie("sct-missing")
        local_sigstore.reset()
        bundle = sign(local_sigstore)
        assert verify(local_sigstore, bundle) == PAYLOAD
        raw = base64.b64decode(material(bundle)["certificate"]["rawBytes"])
        certificate = x509.load_der_x509_certificate(raw)
        lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        assert lifetime == dt.timedelta(minutes=10)
