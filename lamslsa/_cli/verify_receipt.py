"""``lamslsa verify-receipt``: what one inference was, held against the statement over many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from lamslsa import _codec, statement
from lamslsa._cli import ui
from lamslsa._cli.inputs import read_capped
from lamslsa._cli.payloads import payloads
from lamslsa.errors import VerificationError
from lamslsa.receipts import MAX_RECEIPT_BYTES, Proved, parse_receipt, verify_receipt

__all__ = ["command"]

_CLOSED: Final = "kept closed by this receipt"


@click.command("verify-receipt")
@click.argument("receipt", type=click.Path(path_type=Path))
@click.argument("statement_file", metavar="STATEMENT", type=click.Path(path_type=Path))
@click.option("--line", type=click.IntRange(min=1), help="Which line of RECEIPT, where it holds several receipts.")
@ui.options
def command(receipt: Path, statement_file: Path, line: int | None, output: ui.Output) -> int:
    """Prove that an inference is one of those that STATEMENT is about: a bundle, several, or a statement of a run.

    It says nothing about whether STATEMENT is authentic: `lamslsa inspect` and `lamslsa verify` do.

    \b
    Example:
      lamslsa verify-receipt receipts.jsonl inference.sigstore.json --line 17
    """
    proof = parse_receipt(_receipt(read_capped(receipt, what="receipt", limit=MAX_RECEIPT_BYTES), line))
    data = read_capped(statement_file, what="statement")
    proved = verify_receipt(proof, _named(data, str(statement_file), proof.statement.sha256))
    output.result(_text(proved), _document(proved))
    return 0


def _receipt(data: bytes, line: int | None) -> bytes:
    lines = [item for item in data.split(b"\n") if item.strip()]
    if line is None and len(lines) != 1:
        raise click.UsageError(f"expected --line, since there are {len(lines)} receipts in the file")
    if line is not None and line > len(lines):
        raise click.UsageError(f"expected --line of 1 to {len(lines)}, got {line}")
    return lines[(line or 1) - 1]


def _named(data: bytes, name: str, sha256: str) -> statement.Statement:
    """The statement that the receipt names, among those of a file."""
    found = {_codec.sha256_hex(payload): payload for payload in payloads(name, data)}
    if sha256 in found:
        return statement.parse(found[sha256])
    got = ", ".join(f"sha256:{item}" for item in list(found)[:5]) or "none"
    raise VerificationError(
        f"expected the statement sha256:{sha256} in {name}, got {got}",
        reason="receipt-other-statement",
        hint="take the statement that the receipt names",
    )


def _text(proved: Proved) -> str:
    return "\n".join(
        [
            f"inference {proved.index} of {proved.size} by {ui.plain(proved.model_name)} sha256:{proved.model}",
            f"input   {_shown(proved.input)}",
            f"output  {_shown(proved.output)}",
            f"proved by the statement sha256:{proved.statement}, whose own authenticity is not judged here",
        ]
    )


def _shown(value: Any) -> str:
    return _CLOSED if value is None else ui.plain(json.dumps(value, ensure_ascii=False, sort_keys=True))


def _document(proved: Proved) -> dict[str, Any]:
    return {
        "statement": f"sha256:{proved.statement}",
        "model": {"name": proved.model_name, "digest": f"sha256:{proved.model}"},
        "index": proved.index,
        "size": proved.size,
        "input": proved.input,
        "output": proved.output,
    }
