"""The policy of the moment: read again when a file of it changes; the old one is kept while the new one is no good."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lamslsa import _yaml
from lamslsa._files import open_regular
from lamslsa.errors import FormatError, PolicyError
from lamslsa.policy import Policy
from lamslsa.policy.lint import lint
from lamslsa.policy.opening import OpenedPolicy

__all__ = ["PolicyFile"]

_MAX_BYTES: Final = 16 * 1024 * 1024


class PolicyFile:
    """Keeps the last policy that could be read and in which lint finds no error.

    Args:
        path: of the policy; the files that it names are watched too.
        read: reads it with all of them, and refuses one that the wrong person signed.
        now: as of when lint looks.

    Attributes:
        opened: the policy with its files.

    Raises:
        LamslsaError: the first one is no good.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, read: Callable[[], OpenedPolicy], *, now: Callable[[], dt.datetime]) -> None:
        self._path = path
        self._read = read
        self._now = now
        self._seen: dict[Path, bytes | None] = {}
        self.opened = self._load()

    @property
    def current(self) -> Policy:
        """The policy."""
        return self.opened.policy

    def refresh(self) -> bool:
        """Take the policy over if one of its files has changed; whether so. On an error the old one stays.

        Raises:
            FormatError: the new one cannot be read; likewise `VerificationError` and `UnavailableError`.
            PolicyError: lint finds an error in it (policy-lint).
            OSError: it cannot be read.
        """
        if all(_bytes(path) == data for path, data in self._seen.items()):
            return False
        self.opened = self._load()
        return True

    def _load(self) -> OpenedPolicy:
        opened = self._read()
        found = lint(opened.policy, _yaml.loads(opened.data, source=self._path.name), now=self._now())
        errors = [item for item in found if item.severity == "error"]
        if errors:
            first = errors[0]
            raise PolicyError(
                f"expected a policy without errors, got {len(errors)}: "
                f"{first.line}:{first.column} {first.rule}: {first.message}",
                reason="policy-lint",
                hint="lamslsa policy lint shows all of them",
            )
        beside = {self._path.parent / name: data for name, data in opened.files.items()}
        # What was fetched from elsewhere is pinned, and lies nowhere here.
        self._seen = {self._path: opened.data, **{path: data for path, data in beside.items() if path.is_file()}}
        return opened


def _bytes(path: Path) -> bytes | None:
    try:
        with open_regular(path, what="policy") as file:
            return file.read(_MAX_BYTES)
    except (OSError, FormatError):
        return None
