"""Which Sigstore takes part, and what is trusted of it: the public one, its staging, or a private one.

Rules:
- A trust configuration is one JSON document (``ClientTrustConfig``: services and trusted root), or comes out of a TUF
  repository, whose first root is compiled into sigstore for the public ones and given by the user for others.
- Services are reached over TLS, unless they are on this machine: identity tokens are sent to them.
- Offline, the trusted root is what the last refresh verified and left in the cache; where nothing is there, nothing is
  trusted, also not what sigstore brings along.

Spec: https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto
"""

from __future__ import annotations

import ipaddress
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from lamslsa import _codec
from lamslsa.errors import FormatError, LamslsaError, UnavailableError, VerificationError
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
_SERVICES: Final = ("ca_urls", "oidc_urls", "rekor_tlog_urls", "tsa_urls")
_ROOT_TARGET: Final = "trusted_root.json"
_SIGNING_TARGET: Final = "signing_config.v0.2.json"


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
        VerificationError: its metadata does not verify under the first root.
        UnavailableError: it cannot be reached, nobody says its first root, or offline nothing was fetched before.
        FormatError: the first root is none, or what it distributes is no such configuration.
    """
    root, signing = _targets(url, bootstrap, _ROOT_TARGET, _SIGNING_TARGET, offline=offline)
    return _of(_codec.loads(signing, max_bytes=_MAX_BYTES), _codec.loads(root, max_bytes=_MAX_BYTES))


def trusted_root_from_tuf(url: str, *, bootstrap: bytes | None = None, offline: bool = True) -> bytes:
    """The trusted root that a TUF repository distributes; offline, what the last refresh left in the cache.

    Raises:
        VerificationError: its metadata does not verify under the first root.
        UnavailableError: it cannot be reached, nobody says its first root, or offline nothing was fetched before.
        FormatError: the first root is none, or it distributes no trusted root.
    """
    (root,) = _targets(url, bootstrap, _ROOT_TARGET, offline=offline)
    return root


def _targets(url: str, bootstrap: bytes | None, *names: str, offline: bool) -> list[bytes]:
    with _refusing_tuf(url):
        return [_cached(url, name) for name in names] if offline else _refreshed(url, bootstrap, names)


def _refreshed(url: str, bootstrap: bytes | None, names: Sequence[str]) -> list[bytes]:
    from sigstore._internal.tuf import TrustUpdater

    with tempfile.TemporaryDirectory() as folder:
        first = None
        if bootstrap is not None:
            _refuse_no_root(bootstrap)
            first = Path(folder) / "root.json"
            first.write_bytes(bootstrap)
        updater = TrustUpdater(url, bootstrap_root=first)
        paths = {_ROOT_TARGET: updater.get_trusted_root_path, _SIGNING_TARGET: updater.get_signing_config_path}
        return [Path(paths[name]()).read_bytes() for name in names]


def _cached(url: str, name: str) -> bytes:
    """What a refresh has verified and left; sigstore puts its own copy there before, which nobody has fetched."""
    from sigstore._internal.tuf import _get_dirs
    from tuf.api.exceptions import LengthOrHashMismatchError
    from tuf.api.metadata import Metadata, Targets  # type: ignore[attr-defined]  # where its documentation has them

    metadata, targets = _get_dirs(url.rstrip("/"))
    listed = Metadata[Targets].from_bytes((metadata / "targets.json").read_bytes()).signed.targets
    data = (targets / name).read_bytes()
    try:
        listed[name].verify_length_and_hashes(data)
    except (KeyError, LengthOrHashMismatchError) as err:
        raise FileNotFoundError(name) from err
    return data


def _refuse_no_root(data: bytes) -> None:
    from tuf.api.metadata import Metadata, Root  # type: ignore[attr-defined]  # where its documentation has them

    def refuse(err: BaseException) -> FormatError:
        return FormatError(
            f"expected the first root.json of a TUF repository, got {type(err).__name__}", reason="tuf-root"
        )

    with refusing(refuse):
        if not isinstance(Metadata[Root].from_bytes(data).signed, Root):
            raise TypeError("metadata of another role")


@contextmanager
def _refusing_tuf(url: str) -> Iterator[None]:
    try:
        yield
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
    except Exception as err:
        raise _tuf_refusal(url[:120], err) from err


def _tuf_refusal(url: str, err: Exception) -> LamslsaError:
    from sigstore.errors import TUFError
    from tuf.api.exceptions import RepositoryError

    cause = err.__cause__ if isinstance(err, TUFError) else err
    if cause is None:
        return FormatError(f"expected a repository of Sigstore, got {url}, which is another", reason="tuf-targets")
    if isinstance(cause, FileNotFoundError):
        return UnavailableError(
            f"expected the first root of {url}, got none",
            reason="tuf-root-missing",
            hint="a repository that sigstore does not know needs --tuf-root FILE, its first root.json",
        )
    if isinstance(cause, RepositoryError):
        return VerificationError(
            f"expected fresh metadata that verifies from {url}, got {type(cause).__name__}: {told(cause)[:160]}",
            reason="tuf-metadata",
            hint="the first root may be that of another repository; if it is not, do not use what this one says",
        )
    return UnavailableError(
        f"expected {url} to answer, got {type(cause).__name__}",
        reason="tuf-refresh",
        hint="look at the network and the address, then try again",
    )


def _of(signing: Any, root: Any) -> TrustConfig:
    from sigstore.models import SigningConfig, TrustedRoot
    from sigstore_models.trustroot import v1 as models

    if not isinstance(signing, dict) or not isinstance(root, dict):
        raise FormatError("expected signingConfig and trustedRoot, got less", reason="trust-config-parts")
    root_bytes = _codec.dumps(root)
    with refusing(_unusable):
        services = models.SigningConfig.from_json(_codec.dumps(signing))
        _refuse_clear_text(services)
        config = SigningConfig(services)
        trusted = TrustedRoot(models.TrustedRoot.from_json(root_bytes))
        log = config.get_tlogs()[0]
        issuer = config.get_oidc_url() if services.oidc_urls else ""
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


def _refuse_clear_text(services: Any) -> None:
    """Refuse by what the model says that sigstore goes by: in JSON a name may be spelled in two ways."""
    for name in _SERVICES:
        for service in getattr(services, name):
            if not _is_private(service.url):
                raise FormatError(
                    f"expected https:// in {name}, or http:// to this machine, got {service.url[:120]!r}",
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
