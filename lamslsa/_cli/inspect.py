"""``lamslsa inspect``: what a file says, and what of it is verified."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from lamslsa import _codec, archive
from lamslsa._cli import ui
from lamslsa._cli.inputs import UtcTime, read_capped, read_trusted_root, refuse_secret
from lamslsa._cli.metrics import metric_table
from lamslsa._files import open_regular
from lamslsa.describe import Description, Surroundings, describe, describe_evidence
from lamslsa.describe.private import describe_private
from lamslsa.describe.statements import describe_run
from lamslsa.errors import FormatError
from lamslsa.evidence.run import read_run
from lamslsa.predicates import Evaluation
from lamslsa.predicates._common import convert
from lamslsa.predicates.evaluation import PREDICATE_TYPE as EVALUATION_TYPE
from lamslsa.sign import KeyVerifier
from lamslsa.sign.keyless import SigstoreRoot

__all__ = ["command", "evidence_command"]

F = TypeVar("F", bound=Callable[..., Any])
_MAX_LINES: Final = 40
_MAX_TEXT: Final = 160
_HEAD_BYTES: Final = 1024


def _at(command: F) -> F:
    options = [
        click.option("--at", type=UtcTime(), help="Judge certificates and collateral as of this time.  [default: now]"),
        click.option(
            "--collateral", "held", multiple=True, type=click.Path(path_type=Path), help="Endorsements; repeatable."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _around(
    at: dt.datetime | None, held: Sequence[Path], keys: Sequence[Path] = (), trusted_root: Path | None = None
) -> Surroundings:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    if trusted_root is None:
        root, name = SigstoreRoot.embedded(), "the root of the public-good Sigstore"
    else:
        root, name = SigstoreRoot.load(read_trusted_root(trusted_root)), f"the root in {trusted_root}"
    return Surroundings(
        at=at or now,
        now=now,
        held=tuple(read_capped(path, what="collateral") for path in held),
        keys={str(path): KeyVerifier.load(read_capped(path, what="key"), root) for path in keys},
        root=root,
        root_name=name,
    )


@click.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--key", "keys", multiple=True, type=click.Path(path_type=Path), help="Public key; repeatable.")
@click.option(
    "--trusted-root",
    type=click.Path(path_type=Path),
    help="Trusted root of Sigstore.  [default: the public-good instance's]",
)
@_at
@ui.options
def command(
    file: Path,
    keys: tuple[Path, ...],
    trusted_root: Path | None,
    at: dt.datetime | None,
    held: tuple[Path, ...],
    output: ui.Output,
) -> int:
    """Print what FILE says, and what of it is verified.

    FILE is a bundle, statement, quote, report, run folder or archive, or a private file: receipts, openings. Accepts
    nothing and refuses nothing: whether a model may be deployed is for `lamslsa verify`.

    \b
    Example:
      lamslsa inspect model/.attestations/01-evaluation-0f5c.sigstore.json --key keys/auditor.pub
    """
    refuse_secret(str(file), what="input")
    around = _around(at, held, keys, trusted_root)
    if file.is_dir():
        found = describe_run(read_run(file), around)
    elif _is_archive(file):
        found = _describe_archive(archive.read(read_capped(file, what="archive", limit=archive.MAX_ARCHIVE_BYTES)))
    else:
        data = read_capped(file, what="input")
        found = describe_private(data) or describe(data, around)
    output.result("\n".join(_lines(found, 0)), found.document())
    return 0


def _is_archive(file: Path) -> bool:
    with open_regular(file, what="input") as opened:
        return archive.is_archive(opened.read(_HEAD_BYTES))


def _describe_archive(opened: archive.Archive) -> Description:
    """What an audit archive is; whether it bears out a verdict is for ``lamslsa verify``."""
    facts = {
        "sha256": opened.sha256,
        "exportedAt": f"{opened.now:%Y-%m-%dT%H:%M:%SZ}",
        "at": f"{opened.at:%Y-%m-%dT%H:%M:%SZ}",
        "model": opened.model_name,
        "modelDigest": f"sha256:{opened.manifest.sha256}",
        "policyDigest": f"sha256:{_codec.sha256_hex(opened.policy)}",
        "policyFiles": len(opened.policy_files),
        "bundles": len(opened.bundles),
        "collateral": len(opened.collateral),
        "trustedRoot": None if opened.trusted_root is None else f"sha256:{_codec.sha256_hex(opened.trusted_root)}",
    }
    nothing = "anything in it: policy and roots are the choice of whoever made it (lamslsa verify)"
    return Description(kind="audit archive", facts=facts, unverified=(nothing,))


@click.group("evidence")
def evidence_command() -> None:
    """Look at evidence.

    \b
    Example:
      lamslsa evidence inspect quote.bin --collateral collateral.json
    """


@evidence_command.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
@_at
@ui.options
def evidence(file: Path, at: dt.datetime | None, held: tuple[Path, ...], output: ui.Output) -> int:
    """Print what a quote, report, document, event log or collateral says, and what of it is verified.

    \b
    Example:
      lamslsa evidence inspect quote.bin --collateral collateral.json --at 2026-06-30T12:00:00Z
    """
    found = describe_evidence(read_capped(file, what="evidence"), _around(at, held))
    output.result("\n".join(_lines(found, 0)), found.document())
    return 0


def _lines(found: Description, depth: int) -> Iterator[str]:
    indent = "  " * depth
    yield indent + ui.style(found.kind, "cyan", bold=True)
    evaluation = _evaluation(found)
    said = found.facts
    if evaluation is not None:
        yield from (f"{indent}  {line}" for line in metric_table(evaluation.metrics, rest="--format json has all"))
        said = {**said, "predicate": {name: item for name, item in said["predicate"].items() if name != "metrics"}}
    facts = list(_facts(said, depth + 1))
    yield from facts[:_MAX_LINES]
    if len(facts) > _MAX_LINES:
        yield f"{indent}  … {len(facts) - _MAX_LINES} more lines; --format json has all"
    for sentence in found.verified:
        yield f"{indent}  {ui.style('verified', 'green')}      {ui.plain(sentence)}"
    for sentence in found.unverified:
        yield f"{indent}  {ui.style('NOT verified', 'yellow')}  {ui.plain(sentence)}"
    for part in found.parts:
        yield from _lines(part, depth + 1)


def _evaluation(found: Description) -> Evaluation | None:
    """The evaluation that a description is of; None where it is of something else, or its predicate is malformed."""
    if found.facts.get("predicateType") != EVALUATION_TYPE:
        return None
    try:
        return convert(found.facts["predicate"], Evaluation, what="evaluation")
    except FormatError:
        return None


def _facts(value: Any, depth: int) -> Iterator[str]:
    indent = "  " * depth
    items = value.items() if isinstance(value, dict) else ((f"[{at}]", item) for at, item in enumerate(value))
    for name, item in items:
        if isinstance(item, dict | list) and item:
            yield f"{indent}{ui.plain(str(name))}"
            yield from _facts(item, depth + 1)
        else:
            text = ui.plain(str(item))
            yield f"{indent}{ui.plain(str(name))}  {text if len(text) <= _MAX_TEXT else f'{text[:_MAX_TEXT]}…'}"
