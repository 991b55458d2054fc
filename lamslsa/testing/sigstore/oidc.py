"""An OpenID Connect issuer: tokens for any identity, for the CI of GitHub, and for a person with a browser.

>>> issuer = Issuer("http://127.0.0.1:1/oauth2", Faults(), Clock())
>>> issuer.verify(issuer.token("https://ci.example/job"))["sub"]
'https://ci.example/job'
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import secrets
import threading
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from lamslsa.testing.sigstore._http import RefusedError, Reply, Request, Route, json_reply
from lamslsa.testing.sigstore.clock import Clock
from lamslsa.testing.sigstore.faults import Faults

__all__ = ["AUDIENCE", "SUBJECT", "Issuer", "github_claims"]

AUDIENCE: Final = "sigstore"
SUBJECT: Final = "https://ci.example.test/build@refs/heads/main"
_LIFETIME: Final = dt.timedelta(minutes=10)
_SKEW: Final = 5  # seconds by which clients may be behind
_KEY_ID: Final = "1"


def github_claims(
    repository: str = "acme/model",
    *,
    workflow: str = ".github/workflows/train.yml",
    ref: str = "refs/heads/main",
    repository_id: int = 1001,
    owner_id: int = 2002,
    **others: str,
) -> dict[str, str]:
    """The claims of a job of GitHub Actions, as its issuer names them.

    Args:
        repository: OWNER/NAME.
        workflow: path of the workflow in that repository.
        ref: what it ran on.
        repository_id: stays when the repository is renamed.
        owner_id: stays when the owner is renamed.
        others: claims to set or replace.
    """
    commit = hashlib.sha1(repository.encode(), usedforsecurity=False).hexdigest()
    owner = repository.split("/", maxsplit=1)[0]
    return {
        "sub": f"repo:{repository}:ref:{ref}",
        "actor": "someone",
        "event_name": "push",
        "job_workflow_ref": f"{repository}/{workflow}@{ref}",
        "job_workflow_sha": commit,
        "ref": ref,
        "repository": repository,
        "repository_id": str(repository_id),
        "repository_owner": owner,
        "repository_owner_id": str(owner_id),
        "repository_visibility": "public",
        "run_attempt": "1",
        "run_id": "4242",
        "runner_environment": "github-hosted",
        "sha": commit,
        "workflow": "train",
        "workflow_ref": f"{repository}/{workflow}@{ref}",
        "workflow_sha": commit,
    } | others


class Issuer:
    """Issues tokens, and says which keys sign them.

    Args:
        url: of the issuer; the endpoint for CI is beside it.
        faults: what goes wrong.
        clock: dates tokens.

    Attributes:
        person: the claims that whoever signs in with a browser gets.
    """

    def __init__(self, url: str, faults: Faults, clock: Clock) -> None:
        self.url = url
        self.clock = clock
        self.person: Mapping[str, Any] = {"sub": "42", "email": "someone@example.test", "email_verified": True}
        self._faults = faults
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._foreign_key = ec.generate_private_key(ec.SECP256R1())
        self._lock = threading.Lock()
        self._jobs: dict[str, Mapping[str, Any]] = {}
        self._codes: dict[str, Mapping[str, str]] = {}

    @property
    def routes(self) -> tuple[Route, ...]:
        """What it answers."""
        path = urlsplit(self.url).path
        configuration = f"{path}/.well-known/openid-configuration"
        return (
            Route(endpoint="oidc-configuration", method="GET", path=configuration, answer=self._configuration),
            Route(endpoint="oidc-keys", method="GET", path=f"{path}/keys", answer=self._keys),
            Route(endpoint="oidc-authorization", method="GET", path=f"{path}/auth", answer=self._authorize),
            Route(endpoint="oidc-token", method="POST", path=f"{path}/token", answer=self._exchange),
            Route(endpoint="github-token", method="GET", path="/gha-oidc", answer=self._job_token),
        )

    def token(
        self,
        subject: str = SUBJECT,
        *,
        email: str | None = None,
        audience: str = AUDIENCE,
        issuer: str | None = None,
        lifetime: dt.timedelta = _LIFETIME,
        key: ec.EllipticCurvePrivateKey | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> str:
        """A token (JWT, ES256).

        Args:
            subject: who it is for, and who signs where the token has neither an email nor claims of GitHub.
            email: a verified address, which then is who signs.
            audience: who may accept it.
            issuer: who says so; this one, where None.
            lifetime: from now; negative for one that has expired.
            key: signs it; the issuer's own, where None.
            claims: to set or replace.
        """
        now = int(self.clock.now().timestamp())
        expires = now + int(lifetime.total_seconds())
        issued = min(now, expires) - _SKEW
        content: dict[str, Any] = {"iss": issuer or self.url, "sub": subject, "aud": audience}
        content |= {"iat": issued, "nbf": issued, "exp": expires}
        if email is not None:
            content |= {"email": email, "email_verified": True}
        content |= claims or {}
        return jwt.encode(content, key or self._key, algorithm="ES256", headers={"kid": _KEY_ID})

    def foreign_key(self) -> ec.EllipticCurvePrivateKey:
        """A key that this issuer does not publish, to forge tokens with."""
        return self._foreign_key

    def job(self, claims: Mapping[str, Any]) -> dict[str, str]:
        """The environment of a job of GitHub Actions that may ask for tokens with these claims.

        Variables of another CI around a test are not unset by it.
        """
        secret = secrets.token_urlsafe(16)
        with self._lock:
            self._jobs[secret] = dict(claims)
        parts = urlsplit(self.url)
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": secret,
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{parts.scheme}://{parts.netloc}/gha-oidc?api-version=2.0",
        }

    def verify(self, token: str, *, at: dt.datetime | None = None) -> dict[str, Any]:
        """The claims of a token of this issuer for Sigstore.

        Args:
            token: JWT.
            at: when it has to be valid; now, where None.

        Raises:
            RefusedError: any other token.
        """
        now = (at or self.clock.now()).timestamp()
        options: Any = {"require": ["aud", "exp", "iat", "iss", "sub"], "verify_exp": False, "verify_nbf": False}
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["ES256"],
                audience=AUDIENCE,
                issuer=self.url,
                options=options | {"verify_iat": False},
            )
        except jwt.PyJWTError as err:
            raise RefusedError(f"There was an error processing the identity token: {err}", status=401) from err
        if not claims.get("nbf", 0) <= now < claims["exp"]:
            raise RefusedError("There was an error processing the identity token: it is not valid now", status=401)
        return claims

    def _configuration(self, _: Request) -> Reply:
        return json_reply(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/auth",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
                "code_challenge_methods_supported": ["S256"],
            }
        )

    def _keys(self, _: Request) -> Reply:
        key = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key()))
        return json_reply({"keys": [key | {"kid": _KEY_ID, "alg": "ES256", "use": "sig"}]})

    def _job_token(self, request: Request) -> Reply:
        with self._lock:
            claims = self._jobs.get(request.bearer)
        if claims is None:
            raise RefusedError("expected the request token of a job", status=401)
        lifetime = -_LIFETIME if self._faults.lies("token-expired") else _LIFETIME
        audience = request.query.get("audience", self.url)
        return json_reply(
            {
                "value": self.token(
                    audience="somebody-else" if self._faults.lies("token-other-audience") else audience,
                    issuer="https://issuer.example" if self._faults.lies("token-other-issuer") else None,
                    lifetime=lifetime,
                    key=self._foreign_key if self._faults.lies("token-foreign") else None,
                    claims=claims,
                )
            }
        )

    def _authorize(self, request: Request) -> Reply:
        """Send whoever asks back with a code, as if they had signed in (RFC 6749 section 4.1.2)."""
        query = request.query
        if query["response_type"] != "code" or query["code_challenge_method"] != "S256":
            raise RefusedError("expected a request for a code with a challenge of method S256")
        code = secrets.token_urlsafe(16)
        with self._lock:
            self._codes[code] = query
        state = {"state": query["state"]} if "state" in query else {}
        location = f"{query['redirect_uri']}?{urlencode({'code': code} | state)}"
        return Reply(status=302, headers={"Location": location})

    def _exchange(self, request: Request) -> Reply:
        """A token for a code and the answer to its challenge (RFC 7636 section 4.6); each code counts once."""
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        with self._lock:
            query = self._codes.pop(form["code"], None)
        answer = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if query is None or (answer, form["redirect_uri"]) != (query["code_challenge"], query["redirect_uri"]):
            return json_reply({"error": "invalid_grant"}, status=400)
        token = self.token(audience=query["client_id"], claims=self.person)
        return json_reply({"access_token": token, "id_token": token, "token_type": "Bearer"})
