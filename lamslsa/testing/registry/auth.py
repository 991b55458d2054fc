"""Who may do what: none asked, Basic (RFC 7617), or Bearer tokens as registries hand them out.

Tokens follow the "Token Authentication Specification" and "OAuth2 Token Authentication" of distribution/distribution:
a token grants what was asked for as far as the account may have it, so a token with too few rights is no error before
it is used.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hmac
import json
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from lamslsa.testing.registry.messages import Call, Refusal, Reply

__all__ = ["Access", "Account", "Basic", "Bearer", "Gate"]

_SERVICE: Final = "lamslsa-testing"
_MAX_FORM: Final = 64 * 1024

Access = tuple[str, str]
"""A repository and one of ``pull``, ``push``, ``delete``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody with a password.

    Args:
        identity_token: what stands for the password in a docker configuration; for Bearer alone.
        pull: regular expression of the whole names of repositories that may be read.
        push: of those that may be written.
    """

    password: str = field(repr=False)
    identity_token: str | None = field(default=None, repr=False)
    pull: str = ".*"
    push: str = ".*"

    def may(self, access: Access) -> bool:
        """Whether this account may do that."""
        repository, action = access
        return re.fullmatch(self.pull if action == "pull" else self.push, repository) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Basic:
    """Name and password with each request."""

    accounts: Mapping[str, Account]
    anonymous_pull: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Tokens for a time and for repositories.

    Args:
        anonymous_pull: whether a token for reading is given to everybody.
        lifetime_s: how long a token lives.
        names: the members of an answer that the token is in; registries differ.
        elsewhere: whether tokens are given by `Registry.elsewhere`.
    """

    accounts: Mapping[str, Account]
    anonymous_pull: bool = False
    lifetime_s: int = 300
    names: tuple[Literal["token", "access_token"], ...] = ("token", "access_token")
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class _Token:
    granted: frozenset[Access]
    expires: float


class Gate:
    """Lets requests through, or refuses them with a challenge.

    Args:
        rules: what is asked for.
        realm: the URL that tokens come from.
        clock: seconds, for tokens that expire.
    """

    def __init__(self, rules: Basic | Bearer | None, *, realm: Callable[[], str], clock: Callable[[], float]) -> None:
        self._rules = rules
        self._realm = realm
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[str, _Token] = {}
        self._refresh: dict[str, str] = {}

    def expire(self) -> None:
        """Let every token that was given expire now."""
        with self._lock:
            self._tokens = {token: _Token(known.granted, self._clock()) for token, known in self._tokens.items()}

    def refuse(self, call: Call, needed: Iterable[Access]) -> None:
        """Refuse a request that may not do all of this.

        Raises:
            Refusal: 401 with a challenge, or 403 for an account that may not.
        """
        wanted = list(needed)
        match self._rules:
            case Basic() as rules:
                self._refuse_basic(rules, call, wanted)
            case Bearer():
                self._refuse_bearer(call, wanted)
            case None:
                return

    def _refuse_basic(self, rules: Basic, call: Call, wanted: list[Access]) -> None:
        credentials = _basic(call.header("Authorization"))
        if credentials is None and rules.anonymous_pull and wanted and _only_pulls(wanted):
            return
        account = _account(rules.accounts, credentials)
        if account is None:
            raise Refusal(401, "UNAUTHORIZED", headers={"WWW-Authenticate": f'Basic realm="{_SERVICE}"'})
        if not all(map(account.may, wanted)):
            raise Refusal(403, "DENIED")

    def _refuse_bearer(self, call: Call, wanted: list[Access]) -> None:
        scheme, _, token = call.header("Authorization").partition(" ")
        challenge = f'Bearer realm="{self._realm()}",service="{_SERVICE}"'
        if wanted:
            challenge += f',scope="{_scope(wanted)}"'
        if scheme.lower() == "bearer":
            with self._lock:
                known = self._tokens.get(token)
            if known is None or known.expires <= self._clock():
                challenge += ',error="invalid_token"'
            elif not known.granted.issuperset(wanted):
                challenge += ',error="insufficient_scope"'
            else:
                return
        raise Refusal(401, "UNAUTHORIZED", headers={"WWW-Authenticate": challenge})

    def token(self, call: Call) -> Reply:
        """A token for what is asked for, by GET with name and password or by POST of a form.

        Raises:
            Refusal: 404 where no tokens are used, 401 for credentials that are not known, 400 for another grant.
        """
        rules = self._rules
        if not isinstance(rules, Bearer):
            raise Refusal(404, "UNSUPPORTED")
        match call.method:
            case "GET":
                credentials = _basic(call.header("Authorization"))
                account = _account(rules.accounts, credentials)
                if account is None and call.header("Authorization"):
                    raise Refusal(401, "UNAUTHORIZED")
                return self._give(rules, account, call.query)
            case "POST":
                form = parse_qsl((call.body.read(_MAX_FORM) or b"").decode("utf-8", errors="replace"))
                return self._grant(rules, form)
        raise Refusal(405, "UNSUPPORTED")

    def _grant(self, rules: Bearer, form: Iterable[tuple[str, str]]) -> Reply:
        fields = dict(form)
        match fields.get("grant_type"):
            case "password":
                name = fields.get("username", "")
                account = _account(rules.accounts, (name, fields.get("password", "")))
            case "refresh_token":
                name = self._name_of(rules, fields.get("refresh_token", ""))
                account = rules.accounts.get(name)
            case _:
                raise Refusal(400, "UNSUPPORTED", "expected grant_type password or refresh_token")
        if account is None:
            raise Refusal(401, "UNAUTHORIZED")
        return self._give(rules, account, form, name=name if fields.get("access_type") == "offline" else None)

    def _name_of(self, rules: Bearer, token: str) -> str:
        with self._lock:
            known = {**self._refresh}
        known |= {account.identity_token: name for name, account in rules.accounts.items() if account.identity_token}
        return next((name for other, name in known.items() if _equal(other, token)), "")

    def _give(
        self, rules: Bearer, account: Account | None, asked: Iterable[tuple[str, str]], *, name: str | None = None
    ) -> Reply:
        scopes = [scope for key, value in asked if key == "scope" for scope in value.split(" ")]
        wanted = [access for scope in scopes for access in _accesses(scope)]
        if account is not None:
            granted = frozenset(filter(account.may, wanted))
        elif rules.anonymous_pull:
            granted = frozenset(access for access in wanted if access[1] == "pull")
        else:
            raise Refusal(401, "UNAUTHORIZED")
        token = secrets.token_urlsafe(24)
        body: dict[str, Any] = dict.fromkeys(rules.names, token)
        body |= {"expires_in": rules.lifetime_s, "issued_at": dt.datetime.now(dt.UTC).isoformat()}
        with self._lock:
            self._tokens[token] = _Token(granted, self._clock() + rules.lifetime_s)
            if name is not None:
                body["refresh_token"] = secrets.token_urlsafe(24)
                self._refresh[body["refresh_token"]] = name
        return Reply(status=200, headers={"Content-Type": "application/json"}, body=(json.dumps(body).encode(),))


def _basic(header: str) -> tuple[str, str] | None:
    """Name and password; None where there is no header, empty ones where it cannot be read."""
    if not header:
        return None
    scheme, _, text = header.partition(" ")
    try:
        name, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (name, password) if scheme.lower() == "basic" else ("", "")


def _account(accounts: Mapping[str, Account], credentials: tuple[str, str] | None) -> Account | None:
    account = accounts.get(credentials[0]) if credentials is not None else None
    return account if account and credentials and _equal(account.password, credentials[1]) else None


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _only_pulls(wanted: Iterable[Access]) -> bool:
    return all(action == "pull" for _, action in wanted)


def _accesses(scope: str) -> list[Access]:
    kind, _, rest = scope.partition(":")
    repository, _, actions = rest.rpartition(":")
    return [(repository, action) for action in actions.split(",")] if kind == "repository" else []


def _scope(wanted: Iterable[Access]) -> str:
    """As a challenge has it: the actions of each repository together."""
    actions: dict[str, list[str]] = {}
    for repository, action in wanted:
        actions.setdefault(repository, []).append(action)
    return " ".join(f"repository:{repository}:{','.join(listed)}" for repository, listed in actions.items())
