"""Where a policy comes from: a file, or a place elsewhere that is pinned by digest.

    policies/census.yaml                            relative to the policy that names it, or to the folder at hand
    https://policies.example/census.yaml@sha256:…   the digest of the policy with the files that it names
    oci://registry.example/policies@sha256:…        the canonical manifest of a folder with ``policy.yaml`` in it

Rules:
- What is elsewhere counts by its digest alone; whoever serves it is trusted with nothing. The digest of a policy by
  ``https`` is its closure (`lamslsa.policy.model.Policy.closure`), since keys and roots decide as much as the text
  does; that of the file will do where it names no files. Every file out of a registry is held against the manifest.
- The files of a pinned policy have names of their own, below ``pinned-<digest>``, the manifest ``manifest.json`` among
  them. One that lies there already, in a folder beside the policy or in an audit archive, is not asked for again: so a
  verifier stays offline. It is compared all the same.
- A policy is read before it is known to be the one that is pinned, and so may be anybody's: what it names lies beside
  or below it or is pinned itself, and is nothing that this machine alone answers for.
- Nothing is asked of anybody by loading this module: who fetches is handed in.

>>> parse_source("oci://registry.example/policies@sha256:" + "ab" * 32).sha256[:4]
'abab'
>>> parse_source("policies/census.yaml") is None
True
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, Literal, Protocol

from lamslsa import _codec
from lamslsa.artifact.manifest import Manifest
from lamslsa.errors import FormatError, VerificationError
from lamslsa.policy._files import Read

__all__ = [
    "MANIFEST_FILE",
    "MAX_POLICY_BYTES",
    "POLICY_FILE",
    "Fetch",
    "FileSource",
    "Pinned",
    "PinnedFiles",
    "parse_source",
]

POLICY_FILE: Final = "policy.yaml"
MANIFEST_FILE: Final = "manifest.json"
MAX_POLICY_BYTES: Final = 1024 * 1024
_PINNED: Final = re.compile(r"(https?|oci)://[\x21-\x7e]{1,1900}?@sha256:([0-9a-f]{64})")
_FOLDER: Final = re.compile(r"pinned-([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Pinned:
    """A policy elsewhere.

    Attributes:
        text: as it was written, digest included.
        scheme: ``oci``, or ``https``; ``http``, which only this machine is asked by, counts as that.
        sha256: what it is pinned to, hexadecimal.
    """

    text: str
    scheme: Literal["https", "oci"]
    sha256: str

    @property
    def url(self) -> str:
        """Without the digest."""
        return self.text.rpartition("@sha256:")[0]

    @property
    def folder(self) -> Path:
        """Where its files lie, relative to the policy that names it."""
        return Path(f"pinned-{self.sha256}")


def parse_source(text: str) -> Pinned | None:
    """A pinned policy; None for a path.

    Raises:
        FormatError: a place elsewhere that is not pinned.
    """
    if "://" not in text:
        return None
    found = _PINNED.fullmatch(text)
    if found is None:
        raise FormatError(
            f"expected a path, https://…@sha256:… or oci://…@sha256:…, got {text[:200]!r}",
            reason="policy-source",
            hint="pin what comes from elsewhere: lamslsa policy lint prints the digest of a policy with its files",
        )
    return Pinned(text=text, scheme="oci" if found[1] == "oci" else "https", sha256=found[2])


class Fetch(Protocol):
    """Gets the files of pinned policies."""

    def __call__(self, source: Pinned, path: PurePosixPath, limit: int, /) -> bytes:
        """A file, by its path relative to the policy; ``policy.yaml`` is the policy itself.

        Raises:
            FormatError: none of this name, or longer than the limit.
            UnavailableError: nobody answers.
        """
        ...


@dataclass(frozen=True, slots=True)
class PinnedFiles:
    """A `Read` of files at hand, and of those of pinned policies that are not.

    Attributes:
        read: of what is at hand.
        fetch: None where nobody may be asked.
    """

    read: Read
    fetch: Fetch | None
    _known: dict[str, Pinned] = field(default_factory=dict)
    _manifests: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, source: Pinned) -> None:
        """Let the files of this policy be asked for."""
        self._known[source.sha256] = source

    def __call__(self, path: Path, limit: int, /) -> bytes:
        """The bytes of a file.

        Raises:
            OSError: there is none.
            FormatError: longer than the limit, no file of the pinned artifact or not below its policy, or elsewhere
                while nobody may be asked.
            VerificationError: not the bytes of the pinned artifact.
            UnavailableError: whoever has it does not answer.
        """
        source, rest = self.holder(path), path.parts[1:]
        if source is None:
            return self.read(path, limit)
        if ".." in rest:
            raise FormatError(
                f"expected a file beside or below {source.text}, got {PurePosixPath(*rest).as_posix()[:200]!r}",
                reason="policy-file",
            )
        data = self._of(source, PurePosixPath(*rest), limit)
        if source.scheme == "oci":
            self._refuse_other(source, PurePosixPath(*rest).as_posix(), data)
        return data

    def holder(self, path: Path) -> Pinned | None:
        """The pinned policy that a path is a file of, or the folder of; None of what is at hand."""
        found = _FOLDER.fullmatch(path.parts[0]) if path.parts else None
        return self._known.get(found[1]) if found is not None else None

    def _of(self, source: Pinned, path: PurePosixPath, limit: int) -> bytes:
        try:
            return self.read(source.folder / path, limit)
        except FileNotFoundError:
            if self.fetch is not None:
                return self.fetch(source, path, limit)
        raise FormatError(
            f"expected {source.text} at hand, got no {path}",
            reason="policy-source",
            hint=f"put the policy and its files into a folder {source.folder} beside the policy that names it",
        )

    def _refuse_other(self, source: Pinned, path: str, data: bytes) -> None:
        """Refuse a file that the manifest of the artifact does not have; the manifest is the one that is pinned."""
        if source.sha256 not in self._manifests:
            content = self._of(source, PurePosixPath(MANIFEST_FILE), MAX_POLICY_BYTES)
            if _codec.sha256_hex(content) != source.sha256:
                raise VerificationError(
                    f"expected the manifest of {source.text}, got another", reason="policy-source-digest"
                )
            self._manifests[source.sha256] = {item.path: item.sha256 for item in Manifest.parse(content).files}
        if self._manifests[source.sha256].get(path) != _codec.sha256_hex(data):
            raise VerificationError(
                f"expected {path} as it is in {source.text}, got another",
                reason="policy-source-digest",
                hint="get the policy again from where it is published",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """A policy file that was found.

    Attributes:
        data: its bytes.
        path: of the file, relative to the first policy; what it names is relative to its folder.
        name: what messages call it.
        pinned: what it has to be; None of a file at hand.
    """

    data: bytes
    path: Path
    name: str
    pinned: Pinned | None

    @classmethod
    def of(cls, text: str, *, near: Path, files: PinnedFiles) -> FileSource:
        """Find what a text names.

        Args:
            text: a path or a pinned place.
            near: the folder of the policy that names it, relative to the first one.
            files: reads.

        Raises:
            OSError: no such file.
            FormatError: neither a path nor a pinned place, or on this machine while the policy that names it is not.
        """
        pinned = parse_source(text)
        if pinned is None:
            if Path(text).is_absolute():
                raise FormatError(f"expected a path relative to the policy, got {text!r}", reason="policy-file")
            path = near / text
            return cls(data=files(path, MAX_POLICY_BYTES), path=path, name=path.as_posix(), pinned=None)
        outer = files.holder(near)
        if pinned.url.startswith("http:") and outer is not None and not outer.url.startswith("http:"):
            raise FormatError(
                f"expected a place on the network in {outer.text}, got one on this machine: {text[:200]!r}",
                reason="policy-source",
                hint="its publisher cannot know what answers here: name the policy by https or oci",
            )
        files.add(pinned)
        path = pinned.folder / POLICY_FILE
        return cls(data=files(path, MAX_POLICY_BYTES), path=path, name=pinned.text, pinned=pinned)
