"""Where credentials for a registry are found; they are never written, and no representation shows them.

In this order, and the first that has something wins:
1. ``LAMSLSA_REGISTRY_USERNAME`` and ``LAMSLSA_REGISTRY_PASSWORD``, or ``LAMSLSA_REGISTRY_TOKEN`` (a bearer token that
   is sent as it is), for the one host that ``LAMSLSA_REGISTRY_HOST`` names. Without that host they are refused: a copy
   between two registries must not show the credentials of one to the other.
2. ``$DOCKER_CONFIG/config.json``, or else ``~/.docker/config.json``.
3. ``$REGISTRY_AUTH_FILE``, or else ``$XDG_RUNTIME_DIR/containers/auth.json``.

In a file: the credential helper of the host (``credHelpers``), the entry of the repository, of a folder above it or of
the host (``auths``), and the helper of all hosts (``credsStore``). Files: containers-auth.json(5).
"""

from __future__ import annotations

import base64
import binascii
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lamslsa import _codec
from lamslsa._files import open_regular
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store.oci.reference import Reference

__all__ = ["BearerToken", "Credential", "IdentityToken", "Password", "find_credential", "login_hint"]

_MAX_FILE: Final = 1024 * 1024
_MAX_ANSWER: Final = 64 * 1024
_HELPER_S: Final = 30.0
_HELPER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DOCKER_HUB_KEY: Final = "https://index.docker.io/v1/"
_DOCKER_HUB_NAMES: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_TOKEN_USER: Final = "<token>"  # noqa: S105 - a user name that says the secret is an identity token
_NOT_FOUND: Final = "credentials not found"
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Password:
    """A user name and a password."""

    username: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityToken:
    """An OAuth 2 refresh token, which the registry's token service exchanges."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerToken:
    """A token that the registry itself takes."""

    token: str = field(repr=False)


Credential = Password | IdentityToken | BearerToken


def find_credential(reference: Reference, environ: Mapping[str, str]) -> Credential | None:
    """The credential for a repository; None where there is none.

    Raises:
        FormatError: a file, an entry or a variable that is not what it has to be.
        UnavailableError: a credential helper is missing or fails.
    """
    found = _of_environment(reference, environ)
    for path in _files(environ):
        if found is not None:
            break
        found = _of_config(_read(path), reference, environ, path)
    return found


def login_hint(reference: Reference, environ: Mapping[str, str]) -> str:
    """What to do where a registry lets nobody in."""
    named = environ.get("LAMSLSA_REGISTRY_HOST", "")
    if named and named.lower() not in (reference.host, reference.registry):
        return f"LAMSLSA_REGISTRY_HOST names {named[:100]!a} and not {reference.host}, which gets no credentials of it"
    return f"docker login {reference.host} with an account that may do this, or LAMSLSA_REGISTRY_HOST and its like"


def _of_environment(reference: Reference, environ: Mapping[str, str]) -> Credential | None:
    host = environ.get("LAMSLSA_REGISTRY_HOST", "").lower()
    username = environ.get("LAMSLSA_REGISTRY_USERNAME", "")
    password = environ.get("LAMSLSA_REGISTRY_PASSWORD", "")
    token = environ.get("LAMSLSA_REGISTRY_TOKEN", "")
    if not (username or password or token):
        return None
    if not host:
        raise FormatError(
            "expected LAMSLSA_REGISTRY_HOST beside credentials in the environment, got none",
            reason="registry-credentials-host",
            hint="set it to the registry that the credentials are for, such as ghcr.io",
        )
    if host not in (reference.host, reference.registry):
        return None
    if token:
        return _bearer(token, "LAMSLSA_REGISTRY_TOKEN")
    return Password(username=username, password=password)


def _bearer(token: str, where: str) -> BearerToken:
    if not _VISIBLE.fullmatch(token):
        raise FormatError(
            f"expected a bearer token of visible ASCII in {where}, got other characters",
            reason="registry-credentials-token",
            hint="what it was copied from may end in a newline",
        )
    return BearerToken(token=token)


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    home = environ.get("HOME")
    if environ.get("DOCKER_CONFIG"):
        yield Path(environ["DOCKER_CONFIG"]) / "config.json"
    elif home:
        yield Path(home) / ".docker" / "config.json"
    if environ.get("REGISTRY_AUTH_FILE"):
        yield Path(environ["REGISTRY_AUTH_FILE"])
    elif environ.get("XDG_RUNTIME_DIR"):
        yield Path(environ["XDG_RUNTIME_DIR"]) / "containers" / "auth.json"


def _read(path: Path) -> Mapping[str, Any]:
    try:
        with open_regular(path, what="credentials of registries") as file:
            data = file.read(_MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as err:
        raise UnavailableError(
            f"expected to read {path}, got {err.strerror}", reason="registry-credentials-read"
        ) from err
    try:
        value = _codec.loads(data, max_bytes=_MAX_FILE)
    except FormatError:
        raise _malformed(path) from None  # the parser's message may quote the file
    return _object(value, path)


def _malformed(path: Path) -> FormatError:
    return FormatError(
        f"expected credentials of registries as docker keeps them in {path}, got something else",
        reason="registry-credentials",
        hint="log in again with docker login, podman login or skopeo login",
    )


def _object(value: Any, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _malformed(path)
    return value


def _part(value: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    part = value.get(name)
    return {} if part is None else _object(part, path)


def _of_config(
    config: Mapping[str, Any], reference: Reference, environ: Mapping[str, str], path: Path
) -> Credential | None:
    helpers = _part(config, "credHelpers", path)
    for name in _hosts(reference):
        if name in helpers:
            return _of_helper(helpers[name], name, environ, path)
    entries = {_plain(key): entry for key, entry in _part(config, "auths", path).items()}
    for key in _keys(reference):
        found = _of_entry(_part(entries, key, path), path)
        if found is not None:
            return found
    store = config.get("credsStore")
    if store:
        server = _DOCKER_HUB_KEY if reference.host in _DOCKER_HUB_NAMES else reference.host
        return _of_helper(store, server, environ, path)
    return None


def _hosts(reference: Reference) -> list[str]:
    if reference.host in _DOCKER_HUB_NAMES:
        return [_DOCKER_HUB_KEY, *sorted(_DOCKER_HUB_NAMES)]
    return [reference.host]


def _keys(reference: Reference) -> Iterator[str]:
    """The repository, the folders above it, and the host."""
    parts = reference.repository.split("/")
    hosts = [_plain(name) for name in _hosts(reference)]
    for length in range(len(parts), -1, -1):
        for host in dict.fromkeys(hosts):
            yield "/".join([host, *parts[:length]])


def _plain(key: str) -> str:
    """A key of ``auths`` as host and path: docker has written ``https://HOST/v1/`` and the like."""
    scheme = re.match(r"https?://", key)
    return re.sub(r"/v[12]$", "", key[scheme.end() :].rstrip("/")) if scheme else key.rstrip("/")


def _of_entry(entry: Mapping[str, Any], path: Path) -> Credential | None:
    texts = {name: entry.get(name) or "" for name in ("auth", "identitytoken", "registrytoken", "username", "password")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise _malformed(path)
    if texts["identitytoken"]:
        return IdentityToken(token=texts["identitytoken"])
    if texts["registrytoken"]:
        return _bearer(texts["registrytoken"], str(path))
    if texts["auth"]:
        try:
            username, colon, password = base64.b64decode(texts["auth"], validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError):
            raise _malformed(path) from None
        if not colon:
            raise _malformed(path)
        return Password(username=username, password=password.rstrip("\0"))
    if texts["username"]:
        return Password(username=texts["username"], password=texts["password"])
    return None


def _of_helper(name: Any, server: str, environ: Mapping[str, str], path: Path) -> Credential | None:
    if not isinstance(name, str) or not _HELPER_NAME.fullmatch(name):
        raise _malformed(path)
    program = f"docker-credential-{name}"
    executable = shutil.which(program, path=environ.get("PATH", ""))
    if executable is None:
        raise _helper_error(program, "no such program in PATH")
    try:
        answer = subprocess.run(
            [executable, "get"],
            input=server.encode(),
            capture_output=True,
            timeout=_HELPER_S,
            env=dict(environ),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _helper_error(program, f"no answer in {_HELPER_S:g} s") from None
    except OSError as err:
        raise _helper_error(program, err.strerror or "an error") from err
    if answer.returncode != 0:
        if _NOT_FOUND.encode() in answer.stdout[:_MAX_ANSWER]:
            return None
        raise _helper_error(program, f"exit status {answer.returncode}")
    try:
        value = _codec.loads(answer.stdout, max_bytes=_MAX_ANSWER)
        username, secret = value["Username"], value["Secret"]
    except (FormatError, KeyError, TypeError):
        raise _helper_error(program, "another answer than its protocol has") from None
    if not (isinstance(username, str) and isinstance(secret, str)):
        raise _helper_error(program, "another answer than its protocol has")
    if username == _TOKEN_USER:
        return IdentityToken(token=secret)
    return Password(username=username, password=secret)


def _helper_error(program: str, got: str) -> UnavailableError:
    return UnavailableError(
        f"expected credentials from {program}, got {got}",
        reason="registry-credential-helper",
        hint="the docker configuration names this helper; see whether it works by itself",
    )
