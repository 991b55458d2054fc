"""Whom a policy expects behind a certificate.

Rules:
- The issuer is always named, exactly: any issuer can vouch for any name.
- At least the subject (exact, or a pattern for the whole of it) or the repository is named.
- Every comparison is exact, of the whole value. A term on a field that the certificate lacks is a mismatch.
- ``workflow`` is a path within the certificate's own repository: that of the file that configures the run. Where a
  reusable workflow of another repository does the work, its subject says so: name it by ``identity``.

>>> terms = KeylessTerms(issuer="https://accounts.example.com", identity="me@example.com")
>>> terms.mismatch(FulcioIdentity(san="me@example.com", san_kind="email", issuer="https://other.example.com"))
"expected issuer 'https://accounts.example.com', got 'https://other.example.com'"
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from lamslsa.errors import FormatError
from lamslsa.sign.keyless._patterns import Pattern, compiled, matches
from lamslsa.sign.keyless.certificate import FulcioIdentity

__all__ = ["KeylessTerms"]

_MAX_TERM: Final = 1024
_OWNER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
_URL: Final = re.compile(r"https?://[A-Za-z0-9.:-]+(?:/[A-Za-z0-9._~-]+)+")
_NUMBER: Final = re.compile(r"[0-9]+")
_SHOWN: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class KeylessTerms:
    """What a certificate must say; None asks for nothing.

    Attributes:
        issuer: URL of the OpenID Connect issuer, exactly.
        identity: the subject, exactly.
        identity_regex: a pattern for the whole subject, of which the work is bounded (at most 256 characters; no
            flags, look-around or repeated groups; at most three ``*``, ``+`` or ``{}``).
        repository: ``owner/name`` on github.com, or the URL of a repository elsewhere.
        repository_id: number of the repository.
        owner_id: number of the repository's owner.
        workflow: path of the configuring file in the repository, as ``.github/workflows/train.yml``.
        ref: as ``refs/heads/main``.
        runner_environment: as ``github-hosted``.
    """

    issuer: str
    identity: str | None = None
    identity_regex: str | None = None
    repository: str | None = None
    repository_id: str | None = None
    owner_id: str | None = None
    workflow: str | None = None
    ref: str | None = None
    runner_environment: str | None = None
    _pattern: Pattern | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse terms that say nothing, or that no certificate could meet.

        Raises:
            FormatError: they break one of the rules of this module.
        """
        for name, value in self._given():
            if not 0 < len(value) <= _MAX_TERM or not value.isprintable():
                raise FormatError(
                    f"expected 1 to {_MAX_TERM} printable characters as {name}, got {len(value)} or others",
                    reason="terms-value",
                )
        if self.identity is None and self.identity_regex is None and self.repository is None:
            raise FormatError(
                "expected identity, identityRegex or repository beside the issuer, got none of them",
                reason="terms-open",
                hint="an issuer vouches for everybody who has an account there",
            )
        if self.identity is not None and self.identity_regex is not None:
            raise FormatError("expected identity or identityRegex, got both", reason="terms-identity")
        if self.repository is not None and not (
            _OWNER_NAME.fullmatch(self.repository) or _URL.fullmatch(self.repository)
        ):
            raise FormatError(
                f"expected owner/name or the URL of a repository, got {self.repository[:_SHOWN]!r}",
                reason="terms-repository",
            )
        for name, number in (("repositoryId", self.repository_id), ("ownerId", self.owner_id)):
            if number is not None and not _NUMBER.fullmatch(number):
                raise FormatError(f"expected a number as {name}, got {number[:_SHOWN]!r}", reason="terms-number")
        if self.identity_regex is not None:
            object.__setattr__(self, "_pattern", compiled(self.identity_regex))

    def mismatch(self, identity: FulcioIdentity) -> str | None:
        """The first field in which the identity is another one, in words; None where it is the expected one."""
        if identity.issuer != self.issuer:
            return _words("issuer", self.issuer, identity.issuer)
        if self._pattern is not None and not matches(self._pattern, identity.san):
            return _words("subject matching", self._pattern.pattern, identity.san)
        expected = (
            ("subject", self.identity, identity.san),
            ("repository", self._repository_url(), identity.repository),
            ("repository id", self.repository_id, identity.repository_id),
            ("owner id", self.owner_id, identity.owner_id),
            ("workflow", self.workflow, identity.workflow),
            ("ref", self.ref, identity.ref),
            ("runner environment", self.runner_environment, identity.runner_environment),
        )
        for name, wanted, got in expected:
            if wanted is not None and wanted != got:
                return _words(name, wanted, got)
        return None

    def _repository_url(self) -> str | None:
        if self.repository is None or "://" in self.repository:
            return self.repository
        return f"https://github.com/{self.repository}"

    def _given(self) -> list[tuple[str, str]]:
        every = (
            ("issuer", self.issuer),
            ("identity", self.identity),
            ("identityRegex", self.identity_regex),
            ("repository", self.repository),
            ("repositoryId", self.repository_id),
            ("ownerId", self.owner_id),
            ("workflow", self.workflow),
            ("ref", self.ref),
            ("runnerEnvironment", self.runner_environment),
        )
        return [(name, value) for name, value in every if value is not None]


def _words(name: str, wanted: str, got: str) -> str:
    return f"expected {name} {wanted[:_SHOWN]!r}, got {repr(got[:_SHOWN]) if got else 'none'}"
