"""References to what lies in a registry: ``oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:…]``.

Rules:
- The grammar is that of distribution references; the host is always there and nothing is added to a repository:
  Docker Hub's ``alpine`` is ``oci://docker.io/library/alpine``.
- A digest is SHA-256. Where there are tag and digest, the digest counts for reading.

Spec: https://github.com/distribution/reference/blob/main/reference.go

>>> reference = Reference.parse("oci://registry.example:5000/team/model:v1")
>>> reference.host, reference.repository, reference.tag, reference.digest
('registry.example:5000', 'team/model', 'v1', None)
>>> Reference.parse("registry.example/model")
Traceback (most recent call last):
    ...
lamslsa.errors.FormatError: expected oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:…], got 'registry.example/model'
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from lamslsa._http import HOST, authority
from lamslsa.errors import FormatError
from lamslsa.store.naming import REGISTRY

__all__ = ["Reference", "is_loopback"]

_PART: Final = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATTERN: Final = re.compile(
    rf"oci://(?P<host>{HOST}(?::[0-9]{{1,5}})?)"
    rf"/(?P<repository>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_MAX_NAME: Final = 255
_MAX_REFERENCE: Final = 1024
_DOCKER_HUB: Final = "docker.io"
_DOCKER_HUB_REGISTRY: Final = "registry-1.docker.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A repository of a registry and, where named, one artifact in it.

    Attributes:
        host: as a user writes it, in lower case, with the port where one is named.
        digest: with its prefix ``sha256:``.
    """

    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference that a user wrote.

        Raises:
            FormatError: anything that the grammar does not have.
        """
        found = _PATTERN.fullmatch(text) if len(text) <= _MAX_REFERENCE else None
        if (
            found is None
            or len(found["host"]) + 1 + len(found["repository"]) > _MAX_NAME
            or not _is_host(found["host"])
        ):
            raise FormatError(
                f"expected oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:…], got {text[:200]!r}",
                reason="registry-reference",
                hint="repositories are lower-case; tags have letters, digits, '_', '.' and '-'",
            )
        return cls(host=found["host"].lower(), repository=found["repository"], tag=found["tag"], digest=found["digest"])

    @property
    def registry(self) -> str:
        """The host that is asked: that of the reference, save for Docker Hub."""
        return _DOCKER_HUB_REGISTRY if self.host == _DOCKER_HUB else self.host

    @property
    def place(self) -> str:
        """The repository as a reference, without tag and digest."""
        return f"{REGISTRY}{self.host}/{self.repository}"

    def at(self, digest: str) -> Reference:
        """The same with a digest."""
        return replace(self, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.place}{tag}{f'@{self.digest}' if self.digest else ''}"


def _is_host(host: str) -> bool:
    try:
        authority(f"https://{host}")
    except FormatError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host, with or without a port, is this machine by its very name."""
    try:
        return authority(f"http://{host}").is_loopback
    except FormatError:
        return False
