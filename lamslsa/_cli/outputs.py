"""``--output FORMAT=PATH``: what becomes of an appraisal, in several formats at once.

Rules:
- Every file is written whole or not at all, and before anything is printed; one that cannot be written is an error.
- A verdict that was not reached leaves no file behind, not even that of an earlier run: whoever reads it after an
  error would take an old acceptance for a new one.
- Summaries, by which others decide, are made only of verdicts as of now under a policy that the user named.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from lamslsa._cli import signing, ui
from lamslsa._cli.appraise import Request
from lamslsa._cli.gathered import Gathered
from lamslsa._files import replace_file
from lamslsa.errors import FormatError
from lamslsa.policy import Appraisal
from lamslsa.reports import FORMATS, STATEMENTS, SUMMARIES, VERIFIER, About, Format, FromArchive, render

__all__ = ["Outputs", "about", "options"]

F = TypeVar("F", bound=Callable[..., Any])
_STDOUT: Final = Path("-")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{1,1900}")


class _Output(click.ParamType[tuple[Format, Path]]):
    """``FORMAT=PATH``."""

    name = "FORMAT=PATH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Format, Path]:
        """The format and where it goes."""
        if isinstance(value, tuple):
            return value
        word, separator, path = value.partition("=")
        found = next((known for known in FORMATS if known == word), None)
        if found is None or not separator or not path:
            self.fail(f"expected FORMAT=PATH with one of {', '.join(FORMATS)}, got {value[:80]!r}", param, ctx)
        return found, Path(path)


class _Uri(click.ParamType[str]):
    """A URI in ASCII."""

    name = "URI"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The URI as it was given."""
        if not _URI.fullmatch(value):
            self.fail(f"expected a URI, got {value[:80]!r}", param, ctx)
        return str(value)


def about(request: Request, gathered: Gathered, *, verifier: str = VERIFIER) -> About:
    """What reports say beside the appraisal: what of the model was read, and the archive, if it came from one."""
    origin = gathered.origin
    return About(
        policy="" if request.policy is None else str(request.policy),
        model=request.model,
        verifier=verifier,
        files_read=gathered.files_read,
        archive=None
        if origin is None
        else FromArchive(
            sha256=origin.sha256,
            exported_at=origin.now,
            own_policy=gathered.own_policy,
            as_exported=gathered.as_exported,
        ),
        colour=ui.coloured(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Where an appraisal goes, as it stands on the command line.

    Attributes:
        wanted: format and path; ``-`` is stdout.
        verifier: URI that summaries name as the verifier.
        make_signer: who signs statements; None where nobody does.
    """

    wanted: tuple[tuple[Format, Path], ...]
    verifier: str
    make_signer: signing.MakeSigner | None

    @property
    def on_stdout(self) -> bool:
        """Whether one of them takes the place of the result on stdout."""
        return any(path == _STDOUT for _, path in self.wanted)

    @property
    def summaries(self) -> list[Format]:
        """Those by which others decide."""
        return [wanted for wanted, _ in self.wanted if wanted in SUMMARIES]

    def refuse_idle(self) -> None:
        """Refuse a key that would sign nothing.

        Raises:
            click.UsageError: there is no statement to sign.
        """
        if self.make_signer is not None and not any(wanted in STATEMENTS for wanted, _ in self.wanted):
            raise click.UsageError("expected --output vsa=PATH or svr=PATH to go with a key or identity, got neither")

    @contextmanager
    def complete_or_absent(self, inputs: Sequence[Path]) -> Iterator[None]:
        """A block at the end of which all files are written; where it fails, none of them is there.

        Args:
            inputs: what is read; none of it may be written over.

        Raises:
            FormatError: an output is a folder, a device or an input, or its folder is not there.
        """
        files = [path for _, path in self.wanted if path != _STDOUT]
        for path in files:
            _refuse(path, inputs)
        try:
            yield
        except BaseException:
            for path in files:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            raise

    def write(self, appraisal: Appraisal, told: About, output: ui.Output) -> None:
        """Render all, sign what is to be signed, write the files, and then stdout.

        Raises:
            LamslsaError: something cannot be signed.
            OSError: a file cannot be written.
        """
        rendered: list[tuple[Format, Path, bytes]] = []
        for wanted, path in self.wanted:
            if wanted == "svr" and not appraisal.accepted:
                output.note(f"no svr at {path}: it lists what holds, and the model is refused")
                if path != _STDOUT:
                    path.unlink(missing_ok=True)
                continue
            shown = replace(told, colour=path == _STDOUT and ui.coloured())
            rendered.append((wanted, path, render(appraisal, format=wanted, about=shown)))
        written = self._signed(rendered, output)
        for path, data in written:
            if path != _STDOUT:
                replace_file(path, data)
        for path, data in written:
            if path == _STDOUT:
                ui.write(data if data.endswith(b"\n") else data + b"\n")

    def _signed(self, rendered: Sequence[tuple[Format, Path, bytes]], output: ui.Output) -> list[tuple[Path, bytes]]:
        signable = STATEMENTS if self.make_signer is not None else frozenset[Format]()
        for wanted, _, _ in rendered:
            if wanted in SUMMARIES - signable:
                remedy = (
                    "sign it with --key or --keyless" if wanted in STATEMENTS else "take a vsa for a signed verdict"
                )
                output.note(f"{wanted} is not signed and nobody's word: {remedy}")
        payloads = [data for wanted, _, data in rendered if wanted in signable]
        if self.make_signer is None or not payloads:
            return [(path, data) for _, path, data in rendered]
        with self.make_signer(output, payloads) as signer:
            return [(path, signer.sign(data) if wanted in signable else data) for wanted, path, data in rendered]


def _refuse(path: Path, inputs: Sequence[Path]) -> None:
    if path.exists() and not path.is_file():
        raise FormatError(f"expected a file to write to, got another kind at {path}", reason="output-kind")
    if not path.absolute().parent.is_dir():
        raise FormatError(
            f"expected a folder to write {path.name[:80]} to, got none at {path.parent}",
            reason="output-folder",
            hint="make the folder first",
        )
    if path.exists() and any(each.exists() and each.samefile(path) for each in inputs):
        raise FormatError(
            f"expected an output beside what is read, got the input {path}",
            reason="output-input",
            hint="name another file",
        )


def options(command: F) -> F:
    """Add ``--output``, ``--verifier-id`` and who signs, handed on as one `Outputs` named ``outputs``."""

    @functools.wraps(command)
    def decorated(
        *args: Any,
        wanted: tuple[tuple[Format, Path], ...],
        verifier_id: str,
        make_signer: signing.MakeSigner | None,
        **kwargs: Any,
    ) -> Any:
        paths = [path for _, path in wanted]
        if paths.count(_STDOUT) > 1:
            raise click.UsageError("expected - for one --output at most, got it twice")
        places = [path.resolve() for path in paths]
        if len(set(places)) < len(places):
            raise click.UsageError("expected another PATH for each --output, got one twice")
        outputs = Outputs(wanted=wanted, verifier=verifier_id, make_signer=make_signer)
        outputs.refuse_idle()
        return command(*args, outputs=outputs, **kwargs)

    for option in (
        click.option(
            "--verifier-id",
            type=_Uri(),
            default=VERIFIER,
            show_default=True,
            help="What summaries call this verifier.",
        ),
        click.option(
            "--output",
            "wanted",
            type=_Output(),
            multiple=True,
            help=f"Also write the appraisal as {', '.join(FORMATS)}; - is stdout, in place of the result. Repeatable.",
        ),
    ):
        decorated = option(decorated)
    return signing.optional(decorated)  # type: ignore[return-value]  # click keeps the callable
