"""Identity tokens: who signs, told by an OpenID Connect provider for some minutes.

Rules:
- A token is a credential: it never shows in a message, a repr or a log, and goes to the certificate authority alone.
- It comes from the first of: what the user gave, the ambient credentials of a CI, a browser, which is only opened for
  somebody who sits there. A source that is there and fails is an error, never a reason to try the next one.
- Nothing here verifies a token, which is the authority's task. What it says is read to refuse early what the authority
  would refuse, and to tell the user who will be named in public.

>>> parse_token("not-a-token")
Traceback (most recent call last):
    ...
lamslsa.errors.FormatError: expected an identity token (three parts in base64url), got something else
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.sign.keyless._boundary import refusing
from lamslsa.sign.keyless.asking import said
from lamslsa.sign.keyless.certificate import FulcioIdentity

__all__ = ["AUDIENCE", "Token", "ambient_token", "browser_token", "parse_token"]

AUDIENCE: Final = "sigstore"
_MAX_BYTES: Final = 32 * 1024
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_GITHUB: Final = "https://github.com/"
_GITHUB_ISSUER: Final = "https://token.actions.githubusercontent.com"
_SKEW: Final = dt.timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An identity token and what it says; nothing in it is authentic until the authority has accepted it.

    Attributes:
        issuer: the provider that the certificate will name; behind a federating one, that which it asked.
        subject: who the certificate will probably name: an e-mail address, a workflow, or the subject of the token.
        repository: that the token names; empty where it names none.
        expires: UTC.
        identity: what the certificate will say where that follows from the token: for e-mail addresses and workflows
            of github.com. None for others, a GitHub Enterprise Server too, whose names are configured at the authority.
        secret: the token itself.
    """

    issuer: str
    subject: str
    repository: str
    expires: dt.datetime
    identity: FulcioIdentity | None
    secret: str = field(repr=False)

    @property
    def signer(self) -> str:
        """Who will sign, for people."""
        return f"{self.subject} ({self.issuer})"

    def refuse_expired(self, at: dt.datetime) -> None:
        """Refuse a token that no authority would accept any more.

        Raises:
            UnavailableError: it has expired.
        """
        if at >= self.expires:
            raise UnavailableError(
                f"expected an identity token that is still valid, got one that expired at {self.expires:%H:%M:%SZ}",
                reason="token-expired",
                hint="get a new one; what is stored already is not signed again",
            )


def parse_token(text: str, *, at: dt.datetime | None = None) -> Token:
    """Read an identity token.

    Args:
        text: the token; spaces and line ends around it are left out.
        at: judge its period at this time; where None, the session does so when it asks for the certificate.

    Raises:
        FormatError: not one, or one for another audience.
        UnavailableError: it has expired.
    """
    text = text.strip()
    if len(text) > _MAX_BYTES or not _SHAPE.fullmatch(text):
        raise _malformed("three parts in base64url")
    claims = _claims(text.split(".")[1])
    audience = claims.get("aud")
    if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
        raise FormatError(
            f"expected an identity token for audience {AUDIENCE}, got one for another",
            reason="token-audience",
            hint=f"ask the provider for a token with aud: {AUDIENCE}",
        )
    expires = _time(claims, "exp")
    if at is not None and "nbf" in claims and at + _SKEW < _time(claims, "nbf"):
        raise UnavailableError(
            "expected an identity token that is valid already, got one of the future",
            reason="token-not-yet-valid",
            hint="set this machine's clock",
        )
    issuer = _issuer(claims)
    identity = _identity(claims, issuer)
    token = Token(
        issuer=issuer,
        subject=identity.san if identity else _string(claims, "sub"),
        repository=_repository(claims),
        expires=expires,
        identity=identity,
        secret=text,
    )
    if at is not None:
        token.refuse_expired(at)
    return token


def ambient_token(*, at: dt.datetime | None = None) -> Token | None:
    """The token that a CI gives its jobs: GitHub, GitLab, Google Cloud, Buildkite, CircleCI; None outside of them.

    Args:
        at: as for `parse_token`.

    Raises:
        UnavailableError: this is such a CI, and it gives none.
        FormatError: what it gives is no token for Sigstore.
    """
    from sigstore.oidc import detect_credential

    with refusing(_no_ambient):
        text = detect_credential(AUDIENCE)
    return None if text is None else parse_token(text, at=at)


def browser_token(issuer: str) -> Token:
    """The token that a user gets in a browser; waits for them.

    Raises:
        UnavailableError: the provider cannot be reached, or the user was refused.
    """
    from sigstore.oidc import Issuer

    with refusing(_no_browser), _quiet(), contextlib.redirect_stdout(sys.stderr):  # which asks for a code on stdout
        text = str(Issuer(issuer).identity_token())
    return parse_token(text)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the client's ``logging.debug`` from setting up how this process logs, which is not its business."""
    nowhere = logging.NullHandler()
    logging.getLogger().addHandler(nowhere)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(nowhere)


def _no_ambient(err: BaseException) -> LamslsaError:
    cause = type(err.__cause__ or err).__name__
    if cause == "GitHubOidcPermissionCredentialError":
        hint = "give the job `permissions: id-token: write`; runs for pull requests from forks cannot have it"
    else:
        hint = "GitLab: id_tokens: SIGSTORE_ID_TOKEN: aud: sigstore; elsewhere pass --identity-token"
    return UnavailableError(
        f"expected the identity token of this CI, got {said(str(err))}", reason="token-ambient", hint=hint
    )


def _no_browser(err: BaseException) -> LamslsaError:
    return UnavailableError(
        f"expected an identity token from the provider, got {type(err).__name__}: {said(str(err))}".rstrip(": "),
        reason="token-browser",
        hint="pass --identity-token, or try again",
    )


def _malformed(expected: str) -> FormatError:
    return FormatError(
        f"expected an identity token ({expected}), got something else",
        reason="token-format",
        hint="pass the token itself, @FILE with it, or - to read it from stdin",
    )


def _claims(part: str) -> dict[str, Any]:
    try:
        value = _codec.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), max_bytes=_MAX_BYTES)
    except (FormatError, binascii.Error) as err:
        raise _malformed("with claims in JSON") from err
    if not isinstance(value, dict):
        raise _malformed("with an object of claims")
    return value


def _string(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise FormatError(f"expected {name} in the identity token, got none", reason="token-claims")
    return value


def _time(claims: Mapping[str, Any], name: str) -> dt.datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        raise FormatError(f"expected a time as {name} in the identity token, got none", reason="token-claims")
    try:
        return dt.datetime.fromtimestamp(value, dt.UTC)
    except (ValueError, OverflowError, OSError) as err:
        raise FormatError(f"expected a time as {name} in the identity token, got none", reason="token-claims") from err


def _issuer(claims: Mapping[str, Any]) -> str:
    """The issuer that Fulcio writes down: behind a federating provider (Dex), the one that it names as connector."""
    federated = claims.get("federated_claims")
    connector = federated.get("connector_id") if isinstance(federated, dict) else None
    return connector if isinstance(connector, str) and connector else _string(claims, "iss")


def _repository(claims: Mapping[str, Any]) -> str:
    """GitHub's name of it, or GitLab's."""
    for name in ("repository", "project_path"):
        value = claims.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def _is_github(issuer: str) -> bool:
    """Whether this is github.com, for everybody or for one enterprise: ``…/ENTERPRISE``."""
    return issuer == _GITHUB_ISSUER or issuer.startswith(f"{_GITHUB_ISSUER}/")


def _identity(claims: Mapping[str, Any], issuer: str) -> FulcioIdentity | None:
    """What Fulcio makes of a token: https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md."""
    email = claims.get("email")
    if isinstance(email, str) and email:
        return FulcioIdentity(san=email, san_kind="email", issuer=issuer)
    workflow = claims.get("job_workflow_ref")
    if not isinstance(workflow, str) or not workflow or not _is_github(issuer):
        return None

    def url(name: str) -> str:
        value = claim(name)
        return _GITHUB + value if value else ""

    def claim(name: str) -> str:
        value = claims.get(name)
        return value if isinstance(value, str) else ""

    configured = (claim("workflow_ref") or workflow).rpartition("@")[0]
    inside = claim("repository") + "/"
    return FulcioIdentity(
        san=_GITHUB + workflow,
        san_kind="uri",
        issuer=issuer,
        repository=url("repository"),
        repository_id=claim("repository_id"),
        owner=url("repository_owner"),
        owner_id=claim("repository_owner_id"),
        workflow=configured.removeprefix(inside) if configured.startswith(inside) else "",
        ref=claim("ref"),
        runner_environment=claim("runner_environment"),
        digest=claim("sha"),
        trigger=claim("event_name"),
    )
