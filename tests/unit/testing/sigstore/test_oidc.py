"""The issuer: what tokens say, who accepts them, and a person with a browser."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
import pytest
import urllib3
from cryptography.hazmat.primitives.asymmetric import ec

from lamslsa.testing.sigstore import AUDIENCE, SUBJECT, LocalSigstore, RefusedError, github_claims

VERIFIER = "a secret of the client" * 2
REDIRECT = "http://localhost:1/callback"


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


class TestTokens:
    def test_claims(self, local_sigstore: LocalSigstore) -> None:
        claims = claims_of(local_sigstore.token())
        assert (claims["sub"], claims["aud"], claims["iss"]) == (SUBJECT, AUDIENCE, local_sigstore.issuer)
        assert claims["exp"] - claims["iat"] == 605
        claims = claims_of(local_sigstore.token("1", email="a@b.example", claims={"groups": ["x"]}))
        assert (claims["email"], claims["email_verified"], claims["groups"]) == ("a@b.example", True, ["x"])

    def test_published_keys(self, local_sigstore: LocalSigstore) -> None:
        keys = jwt.PyJWKClient(f"{local_sigstore.issuer}/keys")
        token = local_sigstore.token()
        key = keys.get_signing_key_from_jwt(token)
        assert jwt.decode(token, key, algorithms=["ES256"], audience=AUDIENCE)["sub"] == SUBJECT

    def test_others_are_refused(self, local_sigstore: LocalSigstore) -> None:
        hour = dt.timedelta(hours=1)
        stranger = ec.generate_private_key(ec.SECP256R1())
        for token in (
            local_sigstore.token(audience="another"),
            local_sigstore.token(issuer="https://issuer.example"),
            local_sigstore.token(key=local_sigstore.oidc.foreign_key()),
            local_sigstore.token(key=stranger),
            local_sigstore.token(lifetime=-hour),
            jwt.encode(claims_of(local_sigstore.token()), "", algorithm="none"),
            "no token",
            "",
        ):
            with pytest.raises(RefusedError) as caught:
                local_sigstore.oidc.verify(token)
            assert caught.value.status == 401
            assert token not in str(caught.value) or not token
        now = dt.datetime.now(dt.UTC)
        token = local_sigstore.token()
        assert local_sigstore.oidc.verify(token, at=now)["sub"] == SUBJECT
        for at in (now - hour, now + hour):
            with pytest.raises(RefusedError, match="not valid now"):
                local_sigstore.oidc.verify(token, at=at)

    def test_github(self) -> None:
        claims = github_claims("me/it", workflow="w.yml", ref="refs/tags/v1", repository_id=5, actor="other")
        assert claims["job_workflow_ref"] == "me/it/w.yml@refs/tags/v1"
        assert (claims["repository_owner"], claims["repository_id"], claims["actor"]) == ("me", "5", "other")
        assert claims["sub"] == "repo:me/it:ref:refs/tags/v1"


class TestBrowser:
    @staticmethod
    def challenge() -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()

    def code(self, sigstore: LocalSigstore, **changed: str) -> dict[str, str]:
        fields = {
            "response_type": "code",
            "client_id": AUDIENCE,
            "redirect_uri": REDIRECT,
            "code_challenge": self.challenge(),
            "code_challenge_method": "S256",
            "state": "s",
        } | changed
        answer = urllib3.request("GET", f"{sigstore.issuer}/auth", fields=fields, redirect=False)
        assert answer.status == 302, answer.data
        location = urlsplit(answer.headers["Location"])
        assert location.geturl().startswith(f"{REDIRECT}?")
        return dict(parse_qsl(location.query))

    @staticmethod
    def exchange(sigstore: LocalSigstore, code: str, **changed: str) -> tuple[int, dict[str, Any]]:
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
        fields |= {"code_verifier": VERIFIER} | changed
        answer = urllib3.request("POST", f"{sigstore.issuer}/token", body=urlencode(fields))
        return answer.status, answer.json()

    def test_a_person(self, local_sigstore: LocalSigstore) -> None:
        query = self.code(local_sigstore)
        assert query["state"] == "s"
        status, answer = self.exchange(local_sigstore, query["code"])
        assert status == 200
        claims = local_sigstore.oidc.verify(answer["access_token"])
        assert (claims["email"], claims["email_verified"]) == ("someone@example.test", True)
        assert self.exchange(local_sigstore, query["code"])[0] == 400  # once

    @pytest.mark.parametrize("changed", [{"code_verifier": "guessed"}, {"redirect_uri": "http://localhost:2/other"}])
    def test_another_client(self, local_sigstore: LocalSigstore, changed: dict[str, str]) -> None:
        code = self.code(local_sigstore)["code"]
        assert self.exchange(local_sigstore, code, **changed) == (400, {"error": "invalid_grant"})

    def test_a_code_that_nobody_asked_for(self, local_sigstore: LocalSigstore) -> None:
        assert self.exchange(local_sigstore, "made up") == (400, {"error": "invalid_grant"})

    @pytest.mark.parametrize("changed", [{"response_type": "token"}, {"code_challenge_method": "plain"}])
    def test_other_flows(self, local_sigstore: LocalSigstore, changed: dict[str, str]) -> None:
        with pytest.raises(AssertionError, match="expected a request for a code"):
            self.code(local_sigstore, **changed)
