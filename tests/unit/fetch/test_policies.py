"""Policies by https and out of a registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, cast

import pytest

from lamslsa import _codec
from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.fetch.interface import Response
from lamslsa.fetch.policies import PolicyFetcher
from lamslsa.store import ArtifactStore

HEX = "5a" * 32


class Source:
    def __init__(self, url: str, scheme: str) -> None:
        self.url, self.scheme, self.text = url, scheme, f"{url}@sha256:{HEX}"


class Web:
    def __init__(self, pages: dict[str, bytes]) -> None:
        self.pages = pages

    def get(self, url: str, *, limit: int) -> Response:
        if url not in self.pages:
            reason = "fetch-not-found" if url.startswith("https://policies.example/") else "fetch-connection"
            raise UnavailableError("expected an answer, got none", reason=reason)
        if len(self.pages[url]) > limit:
            raise FormatError("expected less, got more", reason="fetch-size")
        return Response(body=self.pages[url], headers={})


class Artifact:
    files: dict[str, bytes]

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.read_manifests = 0

    def manifest(self) -> Manifest:
        self.read_manifests += 1
        entries = [
            FileEntry(path=path, sha256=_codec.sha256_hex(data), size=len(data)) for path, data in self.files.items()
        ]
        return Manifest.of("model", entries)

    def read(self, file: FileEntry) -> Iterator[bytes]:
        yield from (self.files[file.path][:2], self.files[file.path][2:])


def fetcher(pages: dict[str, bytes] | None = None, artifact: Artifact | None = None) -> PolicyFetcher:
    def open_artifact(reference: str, /) -> ArtifactStore:
        assert reference.endswith(f"@sha256:{HEX}")
        return cast("ArtifactStore", artifact)

    return PolicyFetcher(http=Web(pages or {}), open_artifact=open_artifact)


def test_files_lie_beside_the_policy() -> None:
    fetch = fetcher(
        {"https://policies.example/a/census.yaml": b"policy", "https://policies.example/a/keys/k.pub": b"key"}
    )
    source = Source("https://policies.example/a/census.yaml", "https")
    assert fetch(source, PurePosixPath("policy.yaml"), 10) == b"policy"
    assert fetch(source, PurePosixPath("keys/k.pub"), 10) == b"key"
    with pytest.raises(FileNotFoundError):
        fetch(source, PurePosixPath("other.pub"), 10)
    with pytest.raises(FormatError):
        fetch(source, PurePosixPath("policy.yaml"), 5)


def test_nobody_answers() -> None:
    with pytest.raises(UnavailableError):
        fetcher()(Source("https://other.example/p.yaml", "https"), PurePosixPath("policy.yaml"), 10)


@pytest.mark.parametrize("path", ["../secret", "a/../../b", "/etc/passwd", "."])
@pytest.mark.parametrize("scheme", ["https", "oci"])
def test_files_lie_nowhere_else(path: str, scheme: str) -> None:
    with pytest.raises(FormatError) as caught:
        fetcher({}, Artifact({}))(Source("https://policies.example/p.yaml", scheme), PurePosixPath(path), 10)
    assert caught.value.reason == "policy-file"


def test_out_of_an_artifact() -> None:
    artifact = Artifact({"policy.yaml": b"policy", "keys/k.pub": b"key"})
    fetch, source = fetcher(artifact=artifact), Source("oci://registry.example/policies", "oci")
    assert fetch(source, PurePosixPath("policy.yaml"), 10) == b"policy"
    assert fetch(source, PurePosixPath("keys/k.pub"), 10) == b"key"
    assert fetch(source, PurePosixPath("manifest.json"), 10) == artifact.manifest().canonical
    assert artifact.read_manifests == 2  # once, and once by this test
    with pytest.raises(FileNotFoundError):
        fetch(source, PurePosixPath("other.pub"), 10)
    with pytest.raises(FormatError):
        fetch(source, PurePosixPath("policy.yaml"), 5)


def test_the_protocol_is_that_of_sources() -> None:
    from lamslsa.policy.sources import Fetch

    found: Any = fetcher()
    taken: Fetch = found
    assert callable(taken)
