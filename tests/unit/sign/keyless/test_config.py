"""Which Sigstore takes part: a file, or a TUF repository and its cache."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sigstore._internal.tuf import TrustUpdater

from lamslsa.errors import FormatError, UnavailableError, VerificationError
from lamslsa.sign.keyless import SigstoreRoot
from lamslsa.sign.keyless.config import (
    PUBLIC_GOOD_TUF,
    parse_trust_config,
    trust_config_from_tuf,
    trusted_root_from_tuf,
)
from lamslsa.testing.sigstore import LocalSigstore

Edit = Callable[[dict[str, Any]], object]


SNAKE = {"caUrls": "ca_urls", "oidcUrls": "oidc_urls", "rekorTlogUrls": "rekor_tlog_urls", "tsaUrls": "tsa_urls"}


def spelled_otherwise(config: dict[str, Any], name: str) -> None:
    """Protobuf's JSON has two names for every field; Sigstore's models take either."""
    (service,) = config["signingConfig"].pop(name)
    config["signingConfig"][SNAKE[name]] = [service | {"url": "http://service.example.com"}]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path


def test_a_trust_configuration_in_a_file(local_sigstore: LocalSigstore) -> None:
    config = parse_trust_config(local_sigstore.trust_config_json(2).encode())
    assert json.loads(config.trusted_root) == local_sigstore.trusted_root()
    assert config.log.startswith(local_sigstore.url)
    assert config.issuer == local_sigstore.issuer
    assert SigstoreRoot.load(config.trusted_root).sha256


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (
            lambda c: c.update(mediaType="application/vnd.dev.sigstore.trustedroot+json;version=0.1"),
            "trust-config-type",
        ),
        (lambda c: c.pop("signingConfig"), "trust-config-parts"),
        (lambda c: c.update(trustedRoot=[]), "trust-config-parts"),
        (lambda c: c["signingConfig"].update(rekorTlogUrls=[]), "trust-config"),
        (lambda c: c["signingConfig"].update(caUrls=[]), "trust-config"),
        (lambda c: c["signingConfig"].update(mediaType="other"), "trust-config"),
        (lambda c: c["signingConfig"]["caUrls"][0].update(majorApiVersion="x"), "trust-config"),
        (lambda c: c["trustedRoot"].update(tlogs=7), "trust-config"),
        (lambda c: c["trustedRoot"].update(mediaType="other"), "trust-config"),
        (lambda c: c["signingConfig"]["caUrls"][0].update(url="http://ca.example.com"), "trust-config-url"),
        (lambda c: c["signingConfig"]["oidcUrls"][0].update(url="ftp://127.0.0.1"), "trust-config-url"),
        (lambda c: c["signingConfig"]["rekorTlogUrls"][0].update(url="http://[::2]"), "trust-config-url"),
        (lambda c: c["signingConfig"]["tsaUrls"][0].update(url="http://127.0.0.1.example.com"), "trust-config-url"),
        (lambda c: c["signingConfig"]["tsaUrls"][0].update(url="https://"), "trust-config-url"),
        (lambda c: c["signingConfig"]["tsaUrls"][0].update(url="http://["), "trust-config-url"),
        (lambda c: c["signingConfig"]["tsaUrls"][0].update(url="http://localhost@tsa.example.com"), "trust-config-url"),
        (lambda c: c["signingConfig"]["tsaUrls"][0].pop("url"), "trust-config"),
        (lambda c: c["signingConfig"]["tsaUrls"].append("https://tsa.example.com"), "trust-config"),
        *((functools.partial(spelled_otherwise, name=name), "trust-config-url") for name in SNAKE),
    ],
)
def test_what_is_none_is_refused(local_sigstore: LocalSigstore, edit: Edit, reason: str) -> None:
    value = copy.deepcopy(json.loads(local_sigstore.trust_config_json()))
    edit(value)
    with pytest.raises(FormatError) as caught:
        parse_trust_config(json.dumps(value).encode())
    assert caught.value.reason == reason


def test_services_are_on_this_machine_or_behind_tls(local_sigstore: LocalSigstore) -> None:
    value = json.loads(local_sigstore.trust_config_json())
    value["signingConfig"]["tsaUrls"][0]["url"] = "https://tsa.example.com"
    value["signingConfig"]["caUrls"][0]["url"] = "http://localhost:8080"
    value["signingConfig"]["oidcUrls"] = []
    assert parse_trust_config(json.dumps(value).encode()).issuer == ""


def test_a_repository_is_refreshed_from_its_first_root_and_then_read_offline(
    local_sigstore: LocalSigstore, home: Path
) -> None:
    root = local_sigstore.make_tuf(2)
    config = trust_config_from_tuf(local_sigstore.tuf_url, bootstrap=root)
    assert json.loads(config.trusted_root) == local_sigstore.trusted_root()
    cached = trusted_root_from_tuf(local_sigstore.tuf_url)
    assert json.loads(cached) == local_sigstore.trusted_root()
    assert json.loads(trust_config_from_tuf(local_sigstore.tuf_url, offline=True).trusted_root)


def test_a_repository_that_nobody_vouches_for_is_refused(local_sigstore: LocalSigstore, home: Path) -> None:
    local_sigstore.make_tuf()
    with pytest.raises(UnavailableError) as caught:
        trust_config_from_tuf(local_sigstore.tuf_url)
    assert caught.value.reason == "tuf-root-missing"
    assert "--tuf-root" in str(caught.value.hint)


def test_the_first_root_of_another_repository_is_refused(local_sigstore: LocalSigstore, home: Path) -> None:
    local_sigstore.make_tuf()
    with LocalSigstore() as other:
        foreign = other.make_tuf()
    for ask in (trusted_root_from_tuf, trust_config_from_tuf):
        with pytest.raises(VerificationError) as caught:
            ask(local_sigstore.tuf_url, bootstrap=foreign, offline=False)
        assert caught.value.reason == "tuf-metadata"


@pytest.mark.parametrize("name", ["timestamp.json", "1.targets.json", "trusted_root.json"])
def test_a_repository_that_was_changed_is_refused(home: Path, name: str) -> None:
    """Another signature, other metadata, and another target than the metadata says."""
    with LocalSigstore() as sigstore:
        root = sigstore.make_tuf()
        files = sigstore.tuf._files
        (path,) = (path for path in files if path.endswith(name))
        files[path] = files[path].replace(b"2", b"3", 1)
        with pytest.raises(VerificationError) as caught:
            trusted_root_from_tuf(sigstore.tuf_url, bootstrap=root, offline=False)
    assert caught.value.reason == "tuf-metadata"


@pytest.mark.parametrize("part", ["", "timestamp.json"])
def test_a_first_root_that_is_none_is_refused(home: Path, part: str) -> None:
    with LocalSigstore() as sigstore:
        sigstore.make_tuf()
        data = sigstore.tuf._files[part] if part else b"{}"
        with pytest.raises(FormatError) as caught:
            trusted_root_from_tuf(sigstore.tuf_url, bootstrap=data, offline=False)
    assert caught.value.reason == "tuf-root"


def test_a_repository_of_something_else_is_refused(home: Path) -> None:
    with LocalSigstore() as sigstore:
        root = sigstore.tuf.publish({"other.json": b"{}"})
        with pytest.raises(FormatError) as caught:
            trusted_root_from_tuf(sigstore.tuf_url, bootstrap=root, offline=False)
    assert caught.value.reason == "tuf-targets"


def test_a_repository_that_distributes_no_configuration(home: Path) -> None:
    with LocalSigstore() as sigstore:
        root = sigstore.tuf.publish({"trusted_root.json": b"{}", "signing_config.v0.2.json": b"[]"})
        with pytest.raises(FormatError) as caught:
            trust_config_from_tuf(sigstore.tuf_url, bootstrap=root)
    assert caught.value.reason == "trust-config-parts"


@pytest.mark.parametrize("failure", [503, 404, "drop"])
def test_a_repository_that_does_not_answer(faulty_sigstore: LocalSigstore, home: Path, failure: Any) -> None:
    root = faulty_sigstore.make_tuf()
    faulty_sigstore.faults.fail("tuf", failure, times=None)
    with pytest.raises(UnavailableError) as caught:
        trusted_root_from_tuf(faulty_sigstore.tuf_url, bootstrap=root, offline=False)
    assert caught.value.reason == "tuf-refresh"
    assert "network" in str(caught.value.hint)


def test_offline_nothing_in_the_cache_is_nothing_trusted(home: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        trusted_root_from_tuf("https://tuf.example.com")
    assert caught.value.reason == "tuf-cache-empty"


@pytest.mark.parametrize("ask", [trusted_root_from_tuf, trust_config_from_tuf])
def test_what_sigstore_brings_along_was_not_fetched(home: Path, ask: Callable[..., object]) -> None:
    TrustUpdater(PUBLIC_GOOD_TUF, offline=True)  # what puts it into the cache
    with pytest.raises(UnavailableError) as caught:
        ask(PUBLIC_GOOD_TUF, offline=True)
    assert caught.value.reason == "tuf-cache-empty"


@pytest.mark.parametrize("name", ["trusted_root.json", "signing_config.v0.2.json"])
@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"{}"), lambda path: path.unlink()])
def test_what_the_refresh_did_not_leave_is_not_read(home: Path, name: str, change: Callable[[Path], object]) -> None:
    with LocalSigstore() as sigstore:
        trust_config_from_tuf(sigstore.tuf_url, bootstrap=sigstore.make_tuf())
        (path,) = home.rglob(name)
        change(path)
        with pytest.raises(UnavailableError) as caught:
            trust_config_from_tuf(sigstore.tuf_url, offline=True)
    assert caught.value.reason == "tuf-cache-empty"


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "file" / "below"))
    with pytest.raises(UnavailableError) as caught:
        trusted_root_from_tuf("https://tuf.example.com")
    assert caught.value.reason == "tuf-cache"
    assert "XDG_CACHE_HOME" in str(caught.value.hint)
