"""``lamslsa verify-opening``: withheld values of a dataset, held against the commitments of its datasheet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from lamslsa import _codec, predicates, statement
from lamslsa._cli import ui
from lamslsa._cli.inputs import read_capped
from lamslsa._cli.payloads import payloads
from lamslsa._files import refuse_existing, write_file
from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.predicates import Dataset
from lamslsa.predicates.commitments import MAX_OPENINGS_BYTES, Opening, Openings, open_commitment, parse_openings

__all__ = ["command"]

_PRIVATE_FILE_MODE: Final = 0o600
_NAMED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """An opening that was held against the datasheet; ``refusal`` is None where it is good."""

    opening: Opening
    refusal: LamslsaError | None


@click.command("verify-opening")
@click.argument("statement_file", metavar="STATEMENT", type=click.Path(path_type=Path))
@click.argument("openings", type=click.Path(path_type=Path))
@click.option("--pointer", "pointers", multiple=True, help="Only the value at this place of the datasheet; repeatable.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write the openings at --pointer, and no other, to a new file."
)
@ui.options
def command(
    statement_file: Path, openings: Path, pointers: tuple[str, ...], out: Path | None, output: ui.Output
) -> int:
    """Open withheld values of a dataset, if they are what STATEMENT commits to: a datasheet, a bundle, or several.

    It says nothing about whether STATEMENT is authentic: `lamslsa inspect` and `lamslsa verify` do. Exit code 4: a
    value is not the one that was measured, or is of another dataset. Who is given an opening can prove its value to
    anybody; hand out those at --pointer, written by --out, and keep OPENINGS.

    \b
    Example:
      lamslsa verify-opening runs/train-data/01-dataset.json private/openings.json
      lamslsa verify-opening dataset.sigstore.json private/openings.json --pointer /duplicates --out shown.json
    """
    if out is not None:
        if not pointers:
            raise click.UsageError("expected --pointer with --out, got none: a copy would open everything")
        refuse_existing(out)
    given = _chosen(parse_openings(read_capped(openings, what="openings", limit=MAX_OPENINGS_BYTES)), pointers)
    data = read_capped(statement_file, what="statement")
    about, sheet = _datasheet(data, str(statement_file), given.dataset.digest.sha256)
    held = [_Held(opening=item, refusal=_refusal(sheet, item)) for item in given.openings]
    good = all(item.refusal is None for item in held)
    if out is not None and good:
        write_file(out, _codec.dumps(predicates.to_wire(given)), mode=_PRIVATE_FILE_MODE)
    output.result(_text(about, held, out), _document(about, held, out))
    return 0 if good else VerificationError.exit_code


def _chosen(given: Openings, pointers: Sequence[str]) -> Openings:
    """The openings at some places; all, where none is named.

    Raises:
        FormatError: there is nothing to open, or none at one of the places.
    """
    known = list(dict.fromkeys(item.pointer for item in given.openings))
    absent = [pointer for pointer in pointers if pointer not in known]
    if absent or not known:
        raise FormatError(
            f"expected an opening of {absent[0] if absent else 'something'}, got none",
            reason="opening-pointer",
            hint=f"there are openings of {', '.join(known[:_NAMED]) or 'nothing'}{' …' if len(known) > _NAMED else ''}",
        )
    chosen = tuple(item for item in given.openings if not pointers or item.pointer in pointers)
    return Openings(dataset=given.dataset, openings=chosen)


def _datasheet(data: bytes, name: str, sha256: str) -> tuple[statement.Statement, Dataset]:
    """The one datasheet of a dataset, among the statements of a file."""
    sheets = [found for payload in payloads(name, data) if (found := _sheet(payload)) is not None]
    if not sheets:
        raise FormatError(
            f"expected the datasheet of a dataset in {name}, got none",
            reason="opening-statement",
            hint="name its statement or its bundle",
        )
    of_it = [(about, sheet) for about, sheet in sheets if [item.sha256 for item in about.subjects] == [sha256]]
    if not of_it:
        others = ", ".join(f"sha256:{item.sha256}" for about, _ in sheets for item in about.subjects)
        raise VerificationError(
            f"expected the datasheet of the dataset sha256:{sha256}, which the openings are of, got {others}",
            reason="opening-other-dataset",
            hint="take the datasheet that was made together with the openings",
        )
    if len(of_it) > 1:
        raise FormatError(
            f"expected one datasheet of the dataset sha256:{sha256} in {name}, got {len(of_it)}",
            reason="opening-statement",
            hint="every datasheet has its own commitments: name the one that was made together with the openings",
        )
    return of_it[0]


def _sheet(payload: bytes) -> tuple[statement.Statement, Dataset] | None:
    try:
        about = statement.parse(payload)
        sheet = predicates.parse(about)
    except FormatError:
        return None
    return (about, sheet) if isinstance(sheet, Dataset) else None


def _refusal(sheet: Dataset, opening: Opening) -> LamslsaError | None:
    try:
        open_commitment(sheet, opening)
    except LamslsaError as err:
        return err
    return None


def _text(about: statement.Statement, held: Sequence[_Held], out: Path | None) -> str:
    (subject,) = about.subjects
    lines = [f"dataset {ui.plain(subject.name)} sha256:{subject.sha256}"]
    for item in held:
        if item.refusal is None:
            value = json.dumps(item.opening.value, ensure_ascii=False, sort_keys=True)
            lines.append(f"{item.opening.pointer} → {ui.plain(value)}")
        else:
            refused = ui.style("NOT opened", "red", bold=True)
            lines.append(f"{item.opening.pointer}   {refused}: {ui.plain(str(item.refusal))} [{item.refusal.reason}]")
    wrong = sum(item.refusal is not None for item in held)
    if wrong:
        lines.append(f"{wrong} of {len(held)} openings are not what the statement commits to")
    elif out is not None:
        lines.append(f"{ui.plain(str(out))}: {len(held)} openings, to hand out with the datasheet's attestation")
    lines.append(f"held against the statement sha256:{about.sha256}, whose own authenticity is not judged here")
    return "\n".join(lines)


def _document(about: statement.Statement, held: Sequence[_Held], out: Path | None) -> dict[str, Any]:
    (subject,) = about.subjects
    good = all(item.refusal is None for item in held)
    return {
        "statement": f"sha256:{about.sha256}",
        "dataset": {"name": subject.name, "digest": f"sha256:{subject.sha256}"},
        "opened": [
            {"pointer": item.opening.pointer, "value": item.opening.value} for item in held if item.refusal is None
        ],
        "refused": [
            {"pointer": item.opening.pointer, "reason": item.refusal.reason, "message": str(item.refusal)}
            for item in held
            if item.refusal is not None
        ],
        "out": None if out is None or not good else str(out),
    }
