"""What becomes public with an entry in a log, said before it does, and asked once.

- On a terminal the user is asked, ``--quiet`` or not; elsewhere ``--yes`` has to be given, which is found first.
- The question comes right before the first thing that is sent: where nothing is left to sign, nobody is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import click

from lamslsa import statement
from lamslsa._cli import ui
from lamslsa.predicates.tee_evidence import PREDICATE_TYPE as EVIDENCE

__all__ = ["Consent", "refuse_unasked"]

_MAX_LINES: Final = 40


@dataclass(slots=True, kw_only=True)
class Consent:
    """Asks whether something may become public; calling it again asks nothing.

    Attributes:
        output: for the notice.
        log: address of the log.
        whole: the log is sent the statements themselves, as one of Rekor v1 is, and not their digests alone.
        who: lines that say whom the entries name.
        payloads: the statements that may be signed.
        assumed: the user has said yes already.
    """

    output: ui.Output
    log: str
    whole: bool
    who: Sequence[str]
    payloads: Sequence[bytes]
    assumed: bool
    _given: bool = field(default=False, init=False)

    def __call__(self) -> None:
        """Say what becomes public, and ask.

        Raises:
            click.Abort: the user does not want it.
        """
        if self._given:
            return
        lines = self.lines()
        if self.assumed:
            for line in lines:
                self.output.note(line)
        else:
            for line in lines:
                ui.note(line)
            click.confirm("Make this public?", err=True, abort=True)
        self._given = True

    def lines(self) -> list[str]:
        """The notice."""
        named: list[str] = []
        evidence = False
        for payload in self.payloads:
            parsed = statement.parse(payload)
            evidence |= parsed.predicate_type == EVIDENCE
            named += [f"    {subject.name}  sha256:{subject.sha256}" for subject in parsed.subjects]
        named = list(dict.fromkeys(named))
        shown = named[:_MAX_LINES] + ([f"    and {len(named) - _MAX_LINES} more"] if len(named) > _MAX_LINES else [])
        platform = (
            "  with the evidence: identifiers of the platform (SGX and TDX: PPID and FMSPC in the PCK certificate;"
            " SEV-SNP: the chip id)"
        )
        sent = "  the statements themselves are sent to the log's operator (Rekor v1), who may keep and show them"
        return [
            f"This becomes public in the log {self.log} and cannot be taken back:",
            *(f"  {line}" for line in self.who),
            "  names and digests of what the statements are about:",
            *shown,
            *([platform] if evidence else []),
            *([sent] if self.whole else []),
        ]


def refuse_unasked(*, assumed: bool) -> None:
    """Refuse to go on where consent is needed, was not given, and nobody can be asked.

    Raises:
        click.UsageError: so it is.
    """
    if not (assumed or _on_a_terminal()):
        raise click.UsageError(
            "expected --yes, since nobody can be asked here: the identity or key that signs, and names and digests of"
            " what is signed, become public in a transparency log and cannot be taken back"
        )


def _on_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
