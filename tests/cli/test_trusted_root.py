"""Trusted roots on the command line: fetched once through TUF, then read without network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lamslsa.errors import UnavailableError
from lamslsa.sign.keyless.config import PUBLIC_GOOD_TUF, trusted_root_from_tuf
from lamslsa.testing.sigstore import LocalSigstore
from tests.cli.conftest import Cli
from tests.cli.world import World


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, in which TUF keeps what it got."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def repository() -> Iterator[LocalSigstore]:
    with LocalSigstore() as sigstore:
        yield sigstore


def test_fetched_once_and_read_without_network(cli: Cli, home: Path, repository: LocalSigstore) -> None:
    bootstrap = home / "root.json"
    bootstrap.write_bytes(repository.make_tuf(1))
    target, url = home / "trusted-root.json", repository.tuf_url
    code, document, _ = cli("fetch-trusted-root", "--tuf-url", url, "--tuf-root", bootstrap, "--to", target)
    assert (code, document["path"]) == (0, str(target))
    assert json.loads(target.read_bytes()) == repository.trusted_root()
    repository.faults.fail("tuf", 500, times=None)
    assert trusted_root_from_tuf(url, offline=True) == target.read_bytes()
    (home / "world").mkdir()
    world = World.of(home / "world")
    words = ["verify", world.model, "--policy", world.policy()]
    code, document, _ = cli(*words, "--tuf-url", url)
    assert (code, document["accepted"]) == (4, False)  # nothing is published; what matters is that it was read
    assert cli(*words, "--tuf-url", url, "--trusted-root", target)[0] == 2


@pytest.mark.parametrize("url", ["https://tuf.example/repository", PUBLIC_GOOD_TUF])
def test_a_repository_that_was_never_fetched(cli: Cli, home: Path, url: str) -> None:
    (home / "world").mkdir()
    world = World.of(home / "world")
    code, document, _ = cli("verify", world.model, "--policy", world.policy(), "--tuf-url", url)
    assert (code, document["error"]["class"]) == (UnavailableError.exit_code, "UnavailableError")
    assert document["error"]["reason"] == "tuf-cache-empty"
    assert "fetch-trusted-root" in document["error"]["hint"]


def test_another_bootstrap_root_is_refused(cli: Cli, home: Path, repository: LocalSigstore) -> None:
    repository.make_tuf(1)
    with LocalSigstore() as other:
        (home / "root.json").write_bytes(other.make_tuf(1))
    code, document, _ = cli(
        "fetch-trusted-root", "--tuf-url", repository.tuf_url, "--tuf-root", home / "root.json", "--to", home / "x.json"
    )
    assert (code, document["error"]["class"]) == (4, "VerificationError")
    assert document["error"]["reason"] == "tuf-metadata"
    assert not (home / "x.json").exists()


def test_a_bootstrap_root_that_is_none_is_refused(cli: Cli, home: Path, repository: LocalSigstore) -> None:
    repository.make_tuf(1)
    (home / "root.json").write_bytes(b"{}")
    code, document, _ = cli("fetch-trusted-root", "--tuf-url", repository.tuf_url, "--tuf-root", home / "root.json")
    assert (code, document["error"]["class"], document["error"]["reason"]) == (3, "FormatError", "tuf-root")


def test_a_repository_that_does_not_answer(cli: Cli, home: Path, repository: LocalSigstore) -> None:
    (home / "root.json").write_bytes(repository.make_tuf(1))
    repository.faults.fail("tuf", 503, times=None)
    code, document, _ = cli("fetch-trusted-root", "--tuf-url", repository.tuf_url, "--tuf-root", home / "root.json")
    assert (code, document["error"]["class"], document["error"]["reason"]) == (6, "UnavailableError", "tuf-refresh")


def test_a_file_that_is_no_trusted_root(cli: Cli, home: Path) -> None:
    (home / "world").mkdir()
    world = World.of(home / "world")
    (home / "other.json").write_text("{}")
    code, document, _ = cli("verify", world.model, "--policy", world.policy(), "--trusted-root", home / "other.json")
    assert (code, document["error"]["reason"]) == (3, "trusted-root-media-type")
