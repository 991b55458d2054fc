"""Answering a registry that asks who is there: basic, bearer token, identity token.

Rules:
- Nothing is sent before the registry asks. Credentials then go to the registry itself, or to the token service that it
  names; that one is asked over https whenever the registry is, and its redirects are not followed.
- Tokens are asked for by what is needed of which repository, and again when they are about to expire.
- Secrets stand in no message: whatever a server has said is shown as `Login.quoted` has it.

Specs: https://distribution.github.io/distribution/spec/auth/token/ and .../oauth/, RFC 9110 section 11.6.1.

>>> parse_challenges('Bearer realm="https://auth.example/token",service="r", Basic realm="x"')["bearer"]["service"]
'r'
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, NoReturn, Protocol
from urllib.parse import quote, urlencode

from lamslsa import _codec
from lamslsa._http import authority
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store.oci.credentials import BearerToken, Credential, IdentityToken, Password

__all__ = ["Login", "TokenService", "parse_challenges"]

_CLIENT: Final = "lamslsa"
_MAX_ANSWER: Final = 256 * 1024
_MAX_TOKEN: Final = 64 * 1024
_DEFAULT_LIFETIME_S: Final = 60.0
_EARLY_S: Final = 10.0
_SUCCESS: Final = 200
_TOKEN: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - RFC 9110's word for a word
_PARAMETER: Final = rf'{_TOKEN}\s*=\s*(?:"(?:[^"\\]|\\.)*"|{_TOKEN})'
_CHALLENGE: Final = re.compile(rf"(?<![^,\s])({_TOKEN})[ ]+({_PARAMETER}(?:\s*,\s*{_PARAMETER})*)")
_ONE: Final = re.compile(rf'({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')
_MAX_HEADER: Final = 4096
_SHOWN: Final = 200
_BEARER: Final = re.compile(r"[\x21-\x7e]+")


class TokenService(Protocol):
    """Reaches a URL that may not be the registry's."""

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int
    ) -> tuple[int, bytes]:
        """The status and the body, of at most ``limit`` bytes, of an answer."""
        ...


class _Granted(NamedTuple):
    header: str
    until: float


class _Service(NamedTuple):
    realm: str
    name: str


def parse_challenges(header: str) -> dict[str, dict[str, str]]:
    """The schemes of a ``WWW-Authenticate`` with their parameters, names in lower case; the unreadable is left out."""
    challenges: dict[str, dict[str, str]] = {}
    for scheme, parameters in _CHALLENGE.findall(header[:_MAX_HEADER]):
        challenges.setdefault(
            scheme.lower(),
            {name.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare for name, quoted, bare in _ONE.findall(parameters)},
        )
    return challenges


class Login:
    """What one registry has been told, and has granted.

    Args:
        host: the registry, for messages.
        secure: whether the registry is reached over https.
        find: finds the credential, once, when the registry asks.
        ask: reaches the token service.
        now: seconds that only grow.
        hint: what to do where nobody is let in.
    """

    def __init__(
        self,
        host: str,
        *,
        secure: bool,
        find: Callable[[], Credential | None],
        ask: TokenService,
        now: Callable[[], float] = time.monotonic,
        hint: str | None = None,
    ) -> None:
        self._host = host
        self._hint = hint
        self._secure = secure
        self._find = find
        self._ask = ask
        self._now = now
        self._lock = threading.Lock()
        self._found = False
        self._credential: Credential | None = None
        self._fixed: str | None = None
        self._service: _Service | None = None
        self._granted: dict[str, _Granted] = {}
        self._secrets: set[str] = set()

    def header(self, scope: str) -> str | None:
        """What ``Authorization`` is to say; None until the registry has asked.

        Raises:
            UnavailableError: the token service refuses, or cannot be reached.
        """
        with self._lock:
            if self._fixed is not None:
                return self._fixed
            if self._service is None:
                return None
            granted = self._granted.get(scope)
            return granted.header if granted and self._now() < granted.until else self._obtain(self._service, scope)

    def answer(self, challenge: str, scope: str, *, sent: str | None) -> None:
        """Log in after a 401; nothing happens when another thread has done so since.

        Args:
            challenge: ``WWW-Authenticate``.
            scope: what is needed.
            sent: the ``Authorization`` that was refused.

        Raises:
            UnavailableError: there is no credential, or it is refused.
        """
        with self._lock:
            granted = self._granted.get(scope)
            known = self._fixed or (granted.header if granted else None)
            if known is not None and known != sent:
                return
            self._log_in(parse_challenges(challenge), scope)

    def redacted(self, text: str) -> str:
        """A text of a server without the secrets of this login."""
        for secret in sorted(self._secrets.copy(), key=len, reverse=True):
            text = text.replace(secret, "(secret)")
        return text

    def quoted(self, text: str, most: int = _SHOWN) -> str:
        """A text of a server as messages show it: without secrets, then cut, then escaped, in quotation marks."""
        return ascii(self.redacted(text)[:most])

    def _log_in(self, challenges: Mapping[str, Mapping[str, str]], scope: str) -> None:
        if not self._found:
            self._credential = self._find()
            self._found = True
        credential = self._credential
        if isinstance(credential, BearerToken):
            self._fixed = self._remember("Bearer", credential.token)
        elif "bearer" in challenges:
            service = _Service(challenges["bearer"].get("realm", ""), challenges["bearer"].get("service", ""))
            self._refuse_realm(service.realm)
            self._service = service
            self._obtain(service, scope)
        elif "basic" in challenges and isinstance(credential, Password):
            self._fixed = self._basic(credential)
        elif "basic" in challenges:
            self._refuse("no user name and password")
        else:
            raise UnavailableError(
                f"expected {self._host} to ask for basic or bearer authentication, got another scheme",
                reason="registry-challenge",
            )

    def _refuse_realm(self, realm: str) -> None:
        got = "no address"
        with contextlib.suppress(FormatError):
            there = authority(realm)
            if "#" not in realm and (there.scheme == "https" or (there.is_loopback and not self._secure)):
                return
            got = self.quoted(f"{there.scheme}://{there}")
        raise UnavailableError(
            f"expected {self._host} to name a token service with https, got {got}",
            reason="registry-realm",
            hint="credentials are not sent there",
        )

    def _obtain(self, service: _Service, scope: str) -> str:
        query = {"service": service.name, "scope": scope}
        scopes = [("scope", part) for part in scope.split(" ")]
        headers: dict[str, str] = {}
        body = None
        if isinstance(self._credential, IdentityToken):
            token = self._credential.token
            self._remember("", token)
            method, url = "POST", service.realm
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            form = {**query, "grant_type": "refresh_token", "client_id": _CLIENT, "refresh_token": token}
            body = urlencode(form).encode()
        else:
            method = "GET"
            joint = "&" if "?" in service.realm else "?"
            url = service.realm + joint + urlencode([("service", service.name), *scopes])
            if isinstance(self._credential, Password):
                headers["Authorization"] = self._basic(self._credential)
        status, data = self._ask(method, url, headers, body, _MAX_ANSWER)
        if status != _SUCCESS:
            self._refuse(f"status {status} from its token service")
        token, lifetime = self._parse_token(data)
        header = self._remember("Bearer", token)
        self._granted[scope] = _Granted(header, self._now() + max(lifetime - _EARLY_S, lifetime / 2))
        return header

    def _parse_token(self, data: bytes) -> tuple[str, float]:
        try:
            value = _codec.loads(data, max_bytes=_MAX_ANSWER)
            token = value.get("token") or value.get("access_token")
            lifetime = value.get("expires_in") or _DEFAULT_LIFETIME_S
        except (FormatError, AttributeError):
            token, lifetime = None, None
        if (
            isinstance(token, str)
            and len(token) <= _MAX_TOKEN
            and _BEARER.fullmatch(token)
            and isinstance(lifetime, int | float)
            and lifetime > 0
        ):
            return token, float(lifetime)
        raise UnavailableError(
            f"expected a token from the token service of {self._host}, got something else", reason="registry-token"
        )

    def _basic(self, credential: Password) -> str:
        self._remember("", credential.password)
        both = f"{credential.username}:{credential.password}".encode()
        return self._remember("Basic", _codec.encode_base64(both))

    def _remember(self, scheme: str, secret: str) -> str:
        if secret:
            self._secrets |= {secret, quote(secret, safe="")}
        return f"{scheme} {secret}"

    def _refuse(self, got: str) -> NoReturn:
        raise UnavailableError(
            f"expected to be let in by {self._host}, got {got}",
            reason="registry-denied",
            hint=self._hint,
        )
