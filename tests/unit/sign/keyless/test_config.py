"""Which Sigstore takes part: a file, or a TUF repository and its cache."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamslsa.errors import FormatError, UnavailableError
from lamslsa.sign.keyless import SigstoreRoot
from lamslsa.sign.keyless.config import (
    PUBLIC_GOOD_TUF,
    parse_trust_config,
    trust_config_from_tuf,
    trusted_root_from_tuf,
)
from lamslsa.testing.sigstore import LocalSigstore

Edit = Callable[[dict[str, Any]], object]


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
        (lambda c: c["signingConfig"]["tsaUrls"][0].pop("url"), "trust-config-url"),
        (lambda c: c["signingConfig"]["tsaUrls"].append("https://tsa.example.com"), "trust-config-url"),
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
    assert caught.value.reason == "tuf-refresh"
    assert "--tuf-root" in str(caught.value.hint)
    with LocalSigstore() as other:
        foreign = other.make_tuf()
    with pytest.raises(UnavailableError) as caught:
        trusted_root_from_tuf(local_sigstore.tuf_url, bootstrap=foreign, offline=False)
    assert caught.value.reason == "tuf-refresh"


def test_a_repository_that_does_not_answer(faulty_sigstore: LocalSigstore, home: Path) -> None:
    root = faulty_sigstore.make_tuf()
    faulty_sigstore.faults.fail("tuf", 503)
    with pytest.raises(UnavailableError) as caught:
        trusted_root_from_tuf(faulty_sigstore.tuf_url, bootstrap=root, offline=False)
    assert caught.value.reason == "tuf-refresh"


def test_offline_nothing_in_the_cache_is_nothing_trusted(home: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        trusted_root_from_tuf("https://tuf.example.com")
    assert caught.value.reason == "tuf-cache-empty"


def test_the_public_root_is_there_before_any_refresh(home: Path) -> None:
    assert SigstoreRoot.load(trusted_root_from_tuf(PUBLIC_GOOD_TUF)).sha256


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "file" / "below"))
    with pytest.raises(UnavailableError) as caught:
        trusted_root_from_tuf("https://tuf.example.com")
    assert caught.value.reason == "tuf-cache"
    assert "XDG_CACHE_HOME" in str(caught.value.hint)
