"""A policy with everything that it names: from a text on a command line to a `Policy` and every byte that was read.

Rules:
- A policy within another one is read as any policy is, its files relative to itself; there are only so many of them.
- What is pinned has to be what it is pinned to, wherever it was read.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from lamslsa.errors import FormatError, VerificationError
from lamslsa.policy._files import PolicyFile, Read, read_file
from lamslsa.policy.load import closure_of, load_policy
from lamslsa.policy.model import Policy
from lamslsa.policy.sources import MAX_POLICY_BYTES, Fetch, FileSource, Pinned, PinnedFiles, parse_source

if TYPE_CHECKING:
    from lamslsa.sign.keyless import SigstoreRoot

__all__ = ["OpenedPolicy", "open_policy"]

_MAX_POLICIES: Final = 256
_MAX_FETCHED: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedPolicy:
    """A policy, and what it was read from.

    Attributes:
        data: of the policy file itself.
        files: every other file that was read, those of policies within it too, by path relative to the policy.
    """

    policy: Policy
    data: bytes
    files: dict[str, bytes]


def open_policy(
    text: str,
    *,
    read: Read | None = None,
    fetch: Fetch | None = None,
    trusted_root: SigstoreRoot | None = None,
) -> OpenedPolicy:
    """Read a policy, by its path or the place where it is pinned.

    Args:
        text: of a file, or ``https://…@sha256:…``, ``oci://…@sha256:…``.
        read: reads files at hand, by path relative to the policy; of the file's own folder if None.
        fetch: gets pinned policies from elsewhere; without it they have to be at hand.
        trusted_root: of Sigstore, where a policy names none.

    Raises:
        FormatError: the policy, or one that it names, is not what it should be; with line and column.
        VerificationError: not what is pinned.
        OSError: there is no such file.
        UnavailableError: whoever has it does not answer.
    """
    opener = _Opener(read=read or _beside(Path(text)), fetch=fetch)
    if parse_source(text) is None:
        path = Path(Path(text).name)
        source = FileSource(data=opener.files(path, MAX_POLICY_BYTES), path=path, name=text, pinned=None)
    else:
        source = FileSource.of(text, near=Path(), files=opener.files)
    policy = load_policy(
        source.data,
        source=source.name,
        directory=source.path.parent,
        read=opener.files,
        trusted_root=trusted_root,
        sources=opener.find,
    )
    if source.pinned is not None:
        _refuse_other(source.pinned, policy)
    return OpenedPolicy(policy=policy, data=source.data, files=opener.read_besides(source.path))


class _Opener:
    """Finds policies, and remembers every byte that was read."""

    def __init__(self, *, read: Read, fetch: Fetch | None) -> None:
        self._read = read
        self._seen: dict[Path, bytes] = {}
        self._policies = self._fetched = 0
        self.files = PinnedFiles(self._at_hand, None if fetch is None else functools.partial(self._elsewhere, fetch))

    def _at_hand(self, path: Path, limit: int, /) -> bytes:
        data = self._read(path, limit)
        self._seen[path] = data
        return data

    def _elsewhere(self, fetch: Fetch, source: Pinned, path: PurePosixPath, limit: int, /) -> bytes:
        self._fetched += 1
        if self._fetched > _MAX_FETCHED:
            raise FormatError(
                f"expected at most {_MAX_FETCHED} files of policies elsewhere, got more", reason="policy-nesting"
            )
        data = fetch(source, path, limit)
        self._seen[source.folder / path] = data
        return data

    def find(self, name: str, /, *, directory: Path, read: Read) -> PolicyFile:
        """The policy that another one names; see `lamslsa.policy.load.Sources`."""
        self._policies += 1
        if self._policies > _MAX_POLICIES:
            raise FormatError(f"expected at most {_MAX_POLICIES} policies, got more", reason="policy-nesting")
        source = FileSource.of(name, near=directory, files=self.files)
        return PolicyFile(
            data=source.data,
            source=source.name,
            directory=source.path.parent,
            read=read,
            check=None if source.pinned is None else functools.partial(_refuse_other, source.pinned),
        )

    def read_besides(self, policy: Path) -> dict[str, bytes]:
        """What was read besides the first policy, by path relative to its folder."""
        folder = policy.parent
        return {
            (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix(): data
            for path, data in self._seen.items()
            if path != policy
        }


def _beside(policy: Path) -> Read:
    """Reads files by their path relative to a policy."""

    def read(path: Path, limit: int, /) -> bytes:
        return read_file(policy.parent / path, limit)

    return read


def _refuse_other(pinned: Pinned, policy: Policy) -> None:
    """Refuse a policy by ``https`` that is not the one that was pinned; each file of an artifact has been compared."""
    if pinned.scheme == "oci" or policy.closure == pinned.sha256:
        return
    alone = policy.sha256 == pinned.sha256
    if alone and policy.closure == closure_of(policy.sha256, {}, {}):
        return
    raise VerificationError(
        f"expected the policy sha256:{pinned.sha256} with its files at {pinned.url}, got sha256:{policy.closure}",
        reason="policy-source-digest",
        hint="pin the digest of the policy with the files that it names"
        if alone
        else "get the digest again from whoever publishes the policy",
    )
