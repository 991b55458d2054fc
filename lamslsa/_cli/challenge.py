"""``lamslsa challenge``: a nonce of the relying party, good for one acceptance.

The file says which nonce was chosen, when, and what it was used for. It is read and written under a lock on itself: of
two verifications at once, one is refused. A write that is cut short leaves a file that is none, which is refused too.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import click

from lamslsa import _codec
from lamslsa._cli import ui
from lamslsa._files import open_regular, refuse_existing, write_file
from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence.verify import Challenge

__all__ = ["ChallengeFile", "command"]

_KIND: Final = "lamslsa.dev/challenge/v1"
_NONCE_BYTES: Final = 32
_MAX_BYTES: Final = 4096
_HEX: Final = re.compile(r"(?:[0-9a-f]{2}){16,64}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeFile:
    """A challenge and where it is kept.

    Attributes:
        used: when it was used, and for which model; None until then.
    """

    path: Path
    challenge: Challenge
    used: tuple[str, str] | None = None

    @classmethod
    def new(cls, path: Path, *, now: dt.datetime) -> Self:
        """Make a challenge by chance and keep it in a new file that only its owner can read.

        Raises:
            FormatError: the file exists.
            OSError: it cannot be written.
        """
        refuse_existing(path)
        made = cls(path=path, challenge=Challenge(nonce=secrets.token_bytes(_NONCE_BYTES), issued_at=now))
        write_file(path, made._render(), mode=0o600)
        return made

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a challenge that may still be used.

        Raises:
            FormatError: not a challenge.
            VerificationError: it has been used.
            OSError: it cannot be read.
        """
        with open_regular(path, what="a challenge") as file, _locked(file, exclusive=False):
            return cls._unused(path, file)

    def use(self, *, now: dt.datetime, model: str) -> None:
        """Mark the challenge as used, once and for all.

        Args:
            now: when.
            model: manifest digest of the model that was accepted, hexadecimal.

        Raises:
            FormatError: the file is no longer a challenge.
            VerificationError: it has been used meanwhile, or is another one.
            OSError: it cannot be written; it must not count as used, and what it was for not as accepted.
        """
        with open_regular(self.path, what="a challenge", writing=True) as file, _locked(file, exclusive=True):
            if self._unused(self.path, file).challenge != self.challenge:
                raise VerificationError(
                    f"expected the challenge of before in {self.path}, got another", reason="challenge-other"
                )
            used = ChallengeFile(path=self.path, challenge=self.challenge, used=(_text(now), f"sha256:{model}"))
            data = used._render()
            file.seek(0)
            if file.write(data) != len(data):
                raise OSError(f"expected to write {len(data)} bytes to {self.path}, wrote fewer")
            file.truncate()
            os.fsync(file.fileno())

    @classmethod
    def _unused(cls, path: Path, file: BinaryIO) -> Self:
        value = _codec.loads(file.read(_MAX_BYTES + 1), max_bytes=_MAX_BYTES)
        match value:
            case {"kind": str(kind), "nonce": str(nonce), "issuedAt": str(issued), "used": None | dict() as used} if (
                kind == _KIND and len(value) == 4 and _HEX.fullmatch(nonce) and _TIME.fullmatch(issued)
            ):
                pass
            case _:
                raise FormatError(
                    f"expected a challenge in {path}, got another document",
                    reason="challenge-file",
                    hint="make one with: lamslsa challenge FILE",
                )
        if used is not None:
            raise VerificationError(
                f"expected a challenge that has not been used, got one used at {used.get('at')!r:.40} "
                f"for model {used.get('model')!r:.80}",
                reason="challenge-used",
                hint="a challenge is good for one acceptance: make another and attest anew",
            )
        try:
            issued_at = dt.datetime.fromisoformat(issued)
        except ValueError as err:
            raise FormatError(f"expected a time in {path}, got {issued!r}", reason="challenge-file") from err
        return cls(path=path, challenge=Challenge(nonce=bytes.fromhex(nonce), issued_at=issued_at))

    def _render(self) -> bytes:
        used = None if self.used is None else {"at": self.used[0], "model": self.used[1]}
        document: dict[str, Any] = {
            "kind": _KIND,
            "nonce": self.challenge.nonce.hex(),
            "issuedAt": _text(self.challenge.issued_at),
            "used": used,
        }
        return _codec.dumps(document) + b"\n"


@contextmanager
def _locked(file: BinaryIO, *, exclusive: bool) -> Iterator[None]:
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _text(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@click.command("challenge")
@click.argument("file", type=click.Path(path_type=Path))
@ui.options
def command(file: Path, output: ui.Output) -> int:
    """Choose a nonce for evidence to answer, and keep it in FILE.

    Send the nonce to whoever attests. Under `lamslsa verify --challenge FILE` rules with maxAge accept only what
    answers this challenge, and so was measured after this moment; rules without it ask for no age. An acceptance
    uses the challenge up.

    \b
    Example:
      lamslsa challenge challenge.json
      lamslsa verify ./model --policy policy.yaml --challenge challenge.json
    """
    made = ChallengeFile.new(file, now=dt.datetime.now(dt.UTC).replace(microsecond=0))
    nonce = made.challenge.nonce.hex()
    issued = _text(made.challenge.issued_at)
    output.note(f"attest with: lamslsa attest evaluation … --nonce {nonce}")
    output.result(nonce, {"file": str(file), "nonce": nonce, "issuedAt": issued})
    return 0
