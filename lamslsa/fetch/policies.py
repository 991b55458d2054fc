"""Policies from elsewhere, and the files that they name: by ``https`` beside the policy, by ``oci`` out of an artifact.

A policy in a registry is a folder with ``policy.yaml`` in it, pushed as any artifact is (``lamslsa push``): its digest
is that of the manifest, which names every file. Nothing is compared here: whoever asked does that.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final, Protocol

from lamslsa.artifact.manifest import Manifest
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.fetch.interface import Response
from lamslsa.store import ArtifactStore

__all__ = ["PolicyFetcher"]

_POLICY_FILE: Final = "policy.yaml"
_MANIFEST_FILE: Final = "manifest.json"


class _Pinned(Protocol):
    """What is asked of `lamslsa.policy.sources.Pinned`, which lies above this layer."""

    @property
    def text(self) -> str: ...
    @property
    def scheme(self) -> str: ...
    @property
    def url(self) -> str: ...


class _Http(Protocol):
    def get(self, url: str, *, limit: int) -> Response:
        """See `lamslsa.fetch.http.HttpClient.get`."""
        ...


class _Open(Protocol):
    def __call__(self, reference: str, /) -> ArtifactStore:
        """The artifact that a reference with its digest names."""
        ...


class PolicyFetcher:
    """Gets the files of pinned policies; see `lamslsa.policy.sources.Fetch`.

    Args:
        http: for ``https``.
        open_artifact: for ``oci``.
    """

    def __init__(self, *, http: _Http, open_artifact: _Open) -> None:
        self._http = http
        self._open = open_artifact
        self._artifacts: dict[str, tuple[ArtifactStore, Manifest]] = {}

    def __call__(self, source: _Pinned, path: PurePosixPath, limit: int, /) -> bytes:
        """The bytes of a file.

        Raises:
            FileNotFoundError: there is none of this name.
            FormatError: it is longer than the limit, or named as no file of a policy is.
            UnavailableError: nobody answers.
        """
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise FormatError(f"expected a file beside or below {source.text}, got {str(path)!r}", reason="policy-file")
        if source.scheme == "oci":
            return self._from_artifact(source, path, limit)
        url = source.url if str(path) == _POLICY_FILE else f"{source.url.rpartition('/')[0]}/{path.as_posix()}"
        try:
            return self._http.get(url, limit=limit).body
        except UnavailableError as err:
            if err.reason == "fetch-not-found":
                raise FileNotFoundError(f"no such file: {url}") from err
            raise

    def _from_artifact(self, source: _Pinned, path: PurePosixPath, limit: int) -> bytes:
        store, manifest = self._artifact(source)
        if path.as_posix() == _MANIFEST_FILE:
            return manifest.canonical
        entry = next((item for item in manifest.files if item.path == path.as_posix()), None)
        if entry is None:
            raise FileNotFoundError(f"no {path} in {source.text}")
        if entry.size > limit:
            raise FormatError(f"expected at most {limit} bytes, got {entry.size}", reason="policy-file")
        return b"".join(store.read(entry))

    def _artifact(self, source: _Pinned) -> tuple[ArtifactStore, Manifest]:
        if source.text not in self._artifacts:
            store = self._open(source.text)
            self._artifacts[source.text] = store, store.manifest()
        return self._artifacts[source.text]
