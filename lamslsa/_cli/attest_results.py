"""What came of measuring, written: artifacts and private files first, the run last; all of it, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lamslsa import _codec, predicates, statement
from lamslsa._cli import ui
from lamslsa._cli.attest_inputs import refuse_nested
from lamslsa._cli.metrics import metric_table
from lamslsa._files import new_folder, write_file
from lamslsa.errors import LamslsaError
from lamslsa.evidence.run import NamedPayload, Run, staged_run
from lamslsa.predicates import Evaluation

if TYPE_CHECKING:
    from lamslsa.enclave.run import Finished

__all__ = ["Results", "Write", "assign", "prepare_outputs", "write_all"]

_PRIVATE_MODE: Final = 0o700
_PRIVATE_FILE_MODE: Final = 0o600

Write = Callable[[Path], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What came of measuring, wherever it was done.

    Attributes:
        outputs: what writes each artifact that was made, by name.
        private: files for nobody else's eyes, by name.
    """

    run: Run
    outputs: Mapping[str, Write]
    private: Mapping[str, bytes]

    @classmethod
    def of_enclave(cls, finished: Finished) -> Results:
        """What came out of an enclave."""
        return cls(
            run=finished.run,
            outputs={name: _writer(finished.write_output, name) for name in finished.outputs},
            private=finished.private,
        )


def _writer(write: Callable[[str, Path], None], name: str) -> Write:
    return lambda folder: write(name, folder)


def prepare_outputs(
    outputs: Mapping[str | None, Path], *, out: Path, private: Path | None, inputs: Mapping[str, Path]
) -> None:
    """Return if every output is free, apart from the others and from what is read.

    Raises:
        FormatError: something of such a name exists.
        click.UsageError: one lies in another, or in an input.
    """
    folders = {"--out": out} if private is None else {"--out": out, "--private": private}
    folders |= {f"the output {name or '--model-out'}": path for name, path in outputs.items()}
    refuse_nested(folders)
    read = {path.resolve(): word for word, path in inputs.items()}
    for option, path in folders.items():
        for above in path.absolute().resolve().parents:
            if above in read:
                raise click.UsageError(f"expected {option} outside of the input {read[above]!r}, got a folder in it")


def assign(made: list[str], outputs: Mapping[str | None, Path]) -> dict[str, Path]:
    """The folder of each artifact that is made, by name.

    Raises:
        click.UsageError: something has no folder, or a folder nothing to hold.
    """
    assigned = {name: path for name, path in outputs.items() if name in made}
    rest = [name for name in made if name not in assigned]
    only = outputs.get(None)
    if only is not None and len(rest) == 1:
        assigned[rest.pop()] = only
    superfluous = len(outputs) - len(assigned)
    if rest or superfluous:
        raise click.UsageError(
            f"expected a folder for each of what is made ({', '.join(map(repr, made)) or 'nothing'}) and no other: "
            "--output NAME=DIR"
        )
    return {str(name): path for name, path in assigned.items()}


def write_all(
    results: Results,
    outputs: Mapping[str | None, Path],
    *,
    out: Path,
    private: Path | None,
    facts: Mapping[str, Any],
    output: ui.Output,
) -> int:
    """Write what came of measuring, the run last: whoever finds the run finds all of it.

    Args:
        results: what came of it.
        outputs: folder of each artifact, by name; the name None is the only artifact's.
        out: folder of the run.
        private: folder for the private files.
        facts: what the JSON result says beside.
        output: where the result goes.
    """
    folders = _folders(list(results.outputs), outputs, out, output)
    hidden = _private_folder(results.private, private, out, output)
    written: list[Path] = []
    try:
        with staged_run(results.run, out):
            for name, folder in folders.items():
                results.outputs[name](folder)
                written.append(folder)
            if hidden is not None:
                _write_private(results.private, hidden)
                written.append(hidden)
    except BaseException:
        for folder in written:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    digests = {item.name: _codec.sha256_hex(item.payload) for item in results.run.statements}
    if facts["simulated"]:
        output.note("simulated TEE: no hardware vouches for these values")
    output.result(
        "\n".join(
            [
                *(f"{name}.json  sha256:{digest}" for name, digest in digests.items()),
                str(out),
                *(line for item in results.run.statements for line in _values(item)),
            ]
        ),
        {
            "out": str(out),
            **facts,
            "statements": [{"name": name, "sha256": digest} for name, digest in digests.items()],
            "outputs": {name: str(folder) for name, folder in folders.items()},
            "private": None if hidden is None else str(hidden),
        },
    )
    return 0


def _values(made: NamedPayload) -> list[str]:
    """The values of an evaluation as a table; nothing of any other statement, the run is written already."""
    try:
        about = statement.parse(made.payload)
        found = predicates.parse(about)
    except LamslsaError:
        return []
    if not isinstance(found, Evaluation):
        return []
    (model,) = about.subjects
    heading = f"{made.name}: {model.name} on {found.dataset.name}, {found.measurer}"
    return ["", ui.plain(heading), *metric_table(found.metrics, rest=f"{made.name}.json has all")]


def _folders(made: list[str], outputs: Mapping[str | None, Path], out: Path, output: ui.Output) -> dict[str, Path]:
    """Where each artifact goes. Work of hours is not lost to a name that was not foreseen: it goes beside the run."""
    try:
        return assign(made, outputs)
    except click.UsageError as err:
        beside = {name: out.with_name(f"{out.name}.output-{position}") for position, name in enumerate(made)}
        output.note(
            f"{err.message}; written instead: {', '.join(f'{name!a} to {path}' for name, path in beside.items())}"
        )
        return beside


def _private_folder(files: Mapping[str, bytes], asked: Path | None, out: Path, output: ui.Output) -> Path | None:
    if not files:
        return None
    if asked is not None:
        return asked
    beside = out.with_name(f"{out.name}.private")
    output.note(f"private files were made and --private was not given: keep {beside}, and do not publish it")
    return beside


def _write_private(files: Mapping[str, bytes], folder: Path) -> None:
    with new_folder(folder, mode=_PRIVATE_MODE) as staging:
        for name, data in files.items():
            write_file(staging / name, data, mode=_PRIVATE_FILE_MODE)
