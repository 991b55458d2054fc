"""What ``verify`` and ``card`` share: from the words of the command line to an appraisal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from lamslsa._cli import ui
from lamslsa._cli.inputs import UtcTime, read_capped
from lamslsa.artifact import hash_artifact
from lamslsa.policy import Appraisal, appraise, load_policy
from lamslsa.store import DEFAULT_FOLDER, StoredBundle, open_store
from lamslsa.verify import verify_bundles

__all__ = ["appraise_model", "inputs"]

F = TypeVar("F", bound=Callable[..., Any])


def inputs(command: F) -> F:
    """The arguments that decide an appraisal: model, policy, stores, time, collateral."""
    options = [
        click.argument("model", type=click.Path(path_type=Path)),
        click.option("--policy", required=True, type=click.Path(path_type=Path), help="Policy that decides."),
        click.option(
            "--attestations",
            multiple=True,
            metavar="STORE",
            help="Folder or bundle file; repeatable.  [default: MODEL/.attestations]",
        ),
        click.option(
            "--at",
            type=UtcTime(),
            help="Judge certificates and collateral as of this time.  [default: now]",
        ),
        click.option(
            "--collateral",
            type=click.Path(path_type=Path),
            help="Collateral that you hold; it replaces the snapshot that travels with the evidence.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _bundles(model: Path, references: Sequence[str], output: ui.Output) -> Iterator[StoredBundle]:
    folder = model if model.is_dir() else model.parent
    for reference in references or [str(folder / DEFAULT_FOLDER)]:
        store = open_store(reference)
        if not Path(reference).exists():
            output.note(f"no attestations: {reference} does not exist")
            continue
        yield from store.bundles()


def appraise_model(
    *,
    model: Path,
    policy: Path,
    attestations: Sequence[str],
    at: dt.datetime | None,
    collateral: Path | None,
    output: ui.Output,
) -> Appraisal:
    """Hash the model, verify the bundles and appraise them under the policy.

    Raises:
        FormatError: the policy or the model cannot be read.
        PolicyError: the policy has expired.
    """
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    when = at or now
    terms = load_policy(read_capped(policy, what="policy"), source=str(policy), directory=policy.parent)
    terms.refuse_expired(max(now, when))  # --at looks back at evidence; it brings no policy back into force
    held = None if collateral is None else read_capped(collateral, what="collateral")
    if when < now and held is None:
        output.note(
            f"judging as of {when:%Y-%m-%dT%H:%M:%SZ}: what was revoked since is not known without --collateral"
        )
    line = output.progress()
    artifact = hash_artifact(model, "model", progress=lambda at: line("hashing", at.bytes_done, at.bytes_total, "B"))
    verification = verify_bundles(_bundles(model, attestations, output), terms.trust_material(at=when, collateral=held))
    return appraise(terms, model=artifact, model_name=model.resolve().name, verification=verification, at=when)
