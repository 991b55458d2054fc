"""Which Sigstore takes part, and what is trusted of it: the public one, its staging, or a private one.

Rules:
- A trust configuration is one JSON document (``ClientTrustConfig``: services and trusted root), or comes out of a TUF
  repository, whose first root is compiled into sigstore for the public ones and given by the user for others.
- Services are reached over TLS, unless they are on this machine: identity tokens are sent to them.
- Offline, the trusted root is what the last refresh left in the cache; where nothing is there, nothing is trusted.

Spec: https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto
"""

from __future__ import annotations

import ipaddress
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from lamslsa import _codec
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.sign.keyless._boundary import refusing, told

__all__ = [
    "PUBLIC_GOOD_TUF",
    "STAGING_TUF",
    "TrustConfig",
    "parse_trust_config",
    "trust_config_from_tuf",
    "trusted_root_from_tuf",
]

PUBLIC_GOOD_TUF: Final = "https://tuf-repo-cdn.sigstore.dev"
STAGING_TUF: Final = "https://tuf-repo-cdn.sigstage.dev"

_MEDIA_TYPE: Final = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
_MAX_BYTES: Final = 4 * 1024 * 1024
_SERVICES: Final = ("caUrls", "oidcUrls", "rekorTlogUrls", "tsaUrls")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustConfig:
    """The services of one Sigstore, and the root that their answers are verified under.

    Attributes:
        trusted_root: JSON, as a verifier takes it.
        log: address of the transparency log, for people.
        issuer: address of the OpenID Connect provider for people; empty where there is none.
        signing: sigstore's ``SigningConfig``.
        root: sigstore's ``TrustedRoot``.
    """

    trusted_root: bytes = field(repr=False)
    log: str
    issuer: str
    signing: Any = field(repr=False, compare=False)
    root: Any = field(repr=False, compare=False)


def parse_trust_config(data: bytes) -> TrustConfig:
    """Parse a ``ClientTrustConfig`` in JSON.

    Raises:
        FormatError: not one, none of whose services this release can use, or a service without TLS.
    """
    value = _codec.loads(data, max_bytes=_MAX_BYTES)
    if not isinstance(value, dict) or value.get("mediaType") != _MEDIA_TYPE:
        raise FormatError(
            f"expected a trust configuration of type {_MEDIA_TYPE}, got another document",
            reason="trust-config-type",
            hint="a trusted root alone suffices to verify, but not to sign",
        )
    return _of(value.get("signingConfig"), value.get("trustedRoot"))


def trust_config_from_tuf(url: str, *, bootstrap: bytes | None = None, offline: bool = False) -> TrustConfig:
    """The trust configuration that a TUF repository distributes, refreshed unless ``offline``.

    Raises:
        UnavailableError: the repository cannot be reached or its metadata does not verify, or there is no cache.
        FormatError: what it distributes is no such configuration.
    """
    with _updater(url, bootstrap, offline=offline) as updater:
        root = _codec.loads(Path(updater.get_trusted_root_path()).read_bytes(), max_bytes=_MAX_BYTES)
        signing = _codec.loads(Path(updater.get_signing_config_path()).read_bytes(), max_bytes=_MAX_BYTES)
    return _of(signing, root)


def trusted_root_from_tuf(url: str, *, bootstrap: bytes | None = None, offline: bool = True) -> bytes:
    """The trusted root that a TUF repository distributes; offline, what the last refresh left in the cache.

    Raises:
        UnavailableError: the repository cannot be reached or its metadata does not verify, or there is no cache.
    """
    with _updater(url, bootstrap, offline=offline) as updater:
        return Path(updater.get_trusted_root_path()).read_bytes()


@contextmanager
def _updater(url: str, bootstrap: bytes | None, *, offline: bool) -> Iterator[Any]:
    from sigstore._internal.tuf import TrustUpdater
    from sigstore.errors import Error

    try:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "root.json"
            if bootstrap is not None:
                root.write_bytes(bootstrap)
            yield TrustUpdater(url, offline, None if bootstrap is None else root)
    except LamslsaError:
        raise
    except FileNotFoundError as err:
        raise UnavailableError(
            f"expected what the last refresh of {url[:120]} left in the cache, got nothing",
            reason="tuf-cache-empty",
            hint="run lamslsa fetch-trusted-root --tuf-url URL once while online, or pass --trusted-root FILE",
        ) from err
    except (OSError, RuntimeError) as err:  # RuntimeError: there is no home folder
        raise UnavailableError(
            "expected a folder for the cache of TUF that can be written, got none",
            reason="tuf-cache",
            hint="set XDG_DATA_HOME and XDG_CACHE_HOME to such folders, or pass --trusted-root or --trust-config FILE",
        ) from err
    except (Error, ValueError) as err:
        raise UnavailableError(
            f"expected fresh metadata that verifies from {url[:120]}, got {_innermost(err)}",
            reason="tuf-refresh",
            hint="a repository that sigstore does not know needs --tuf-root FILE, its first root.json",
        ) from err


def _innermost(err: BaseException) -> str:
    while err.__cause__ is not None:
        err = err.__cause__
    return type(err).__name__


def _of(signing: Any, root: Any) -> TrustConfig:
    from sigstore.models import SigningConfig, TrustedRoot
    from sigstore_models.trustroot import v1 as models

    if not isinstance(signing, dict) or not isinstance(root, dict):
        raise FormatError("expected signingConfig and trustedRoot, got less", reason="trust-config-parts")
    _refuse_clear_text(signing)
    root_bytes = _codec.dumps(root)
    with refusing(_unusable):
        config = SigningConfig(models.SigningConfig.from_json(_codec.dumps(signing)))
        trusted = TrustedRoot(models.TrustedRoot.from_json(root_bytes))
        log = config.get_tlogs()[0]
        issuer = config.get_oidc_url() if signing.get("oidcUrls") else ""
    return TrustConfig(
        trusted_root=root_bytes,
        log=str(getattr(log, "url", "")),
        issuer=issuer,
        signing=config,
        root=trusted,
    )


def _unusable(err: BaseException) -> FormatError:
    return FormatError(
        f"expected services and roots of Sigstore that this release can use, got {told(err)}", reason="trust-config"
    )


def _refuse_clear_text(signing: Mapping[str, Any]) -> None:
    for name in _SERVICES:
        services = signing.get(name, [])
        for service in services if isinstance(services, list) else []:
            url = service.get("url") if isinstance(service, dict) else None
            if not isinstance(url, str) or not _is_private(url):
                raise FormatError(
                    f"expected https:// in {name}, or http:// to this machine, got {str(url)[:120]!r}",
                    reason="trust-config-url",
                )


def _is_private(url: str) -> bool:
    """Whether nobody between here and there reads what is sent."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme == "https" and host:
            return True
        return parts.scheme == "http" and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False
