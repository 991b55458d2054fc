"""The plug point of reports: a renderer turns an appraisal into the bytes of one format.

Rules:
- What was refused, and what was not evaluated, never reads as passed, in no format.
- Names, values and messages come from attestations and are hostile: every renderer makes them harmless in its format.
- The same appraisal, told the same about, gives the same bytes.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final, Literal, Protocol, get_args

from lamslsa import __version__
from lamslsa.policy.appraisal import Appraisal

__all__ = ["FORMATS", "STATEMENTS", "SUMMARIES", "VERIFIER", "About", "Format", "FromArchive", "Renderer"]

Format = Literal["text", "json", "junit", "sarif", "markdown", "vsa", "svr", "ear"]

FORMATS: Final[tuple[Format, ...]] = get_args(Format)
STATEMENTS: Final[frozenset[Format]] = frozenset({"vsa", "svr"})
"""Those that are in-toto statements, to be signed."""
SUMMARIES: Final[frozenset[Format]] = STATEMENTS | {"ear"}
"""Those by which others decide without seeing the attestations."""
VERIFIER: Final = "https://lamslsa.dev/verify/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class FromArchive:
    """The audit archive that was judged.

    Attributes:
        own_policy: whether the relying party named the policy.
        as_exported: whether it was judged as of the time that the archive states.
    """

    sha256: str
    exported_at: dt.datetime
    own_policy: bool
    as_exported: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a report says beside the appraisal; every field may be left out.

    Attributes:
        policy: the reference by which the policy was named, a path or a URI.
        model: the reference by which the model was named.
        verifier: URI of whoever verifies.
        version: of lamslsa.
        files_read: whether the model's files were read, or its manifest alone.
        archive: where all of it came from; None where it came from no archive.
        colour: whether text may be coloured.
    """

    policy: str = ""
    model: str = ""
    verifier: str = VERIFIER
    version: str = __version__
    files_read: bool = True
    archive: FromArchive | None = None
    colour: bool = False


class Renderer(Protocol):
    """Renders an appraisal, accepted or refused."""

    def __call__(self, appraisal: Appraisal, about: About, /) -> bytes:
        """The whole document.

        Raises:
            PolicyError: the format knows no refusal, and the appraisal is one.
        """
        ...
