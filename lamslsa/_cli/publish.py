"""``lamslsa publish``: sign a run and store it."""

from __future__ import annotations

from pathlib import Path

import click

from lamslsa._cli import signing, stores, ui
from lamslsa._cli.inputs import read_capped

__all__ = ["command"]


@click.command("publish")
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@signing.options
@click.option(
    "--to",
    "reference",
    required=True,
    metavar="STORE",
    help="Where to store the bundles: a folder, or beside a model in oci://…, oci-layout:… or hub:….",
)
@click.option(
    "--collateral",
    type=click.Path(path_type=Path),
    help="Endorsements to travel with the quote (lamslsa fetch-collateral).",
)
@stores.options
@ui.options
def command(
    directories: tuple[Path, ...],
    make_signer: signing.MakeSigner,
    reference: str,
    collateral: Path | None,
    options: stores.StoreOptions,
    output: ui.Output,
) -> int:
    """Sign the statements and evidence that `lamslsa attest` left in each DIR, and store the bundles.

    Without a key, all of them are signed under one certificate. What this signer has signed already and STORE holds is
    not signed again, so an interrupted run can be repeated.

    \b
    Example:
      lamslsa publish build/evaluation --key keys/auditor.key --to model/.attestations
      lamslsa publish build/dataset build/training --keyless --yes --to model/.attestations
      lamslsa publish build/evaluation --keyless --to oci://registry.example/census@sha256:…
    """
    from lamslsa.evidence.run import read_run
    from lamslsa.publish import payloads, publish_runs, with_collateral

    runs = [read_run(directory) for directory in directories]
    if collateral is not None:
        held = read_capped(collateral, what="collateral")
        runs = [with_collateral(run, held) for run in runs]
    with make_signer(output, [item.payload for run in runs for item in payloads(run)]) as signer:
        published = publish_runs(runs, signer=signer, store=stores.open_bundles(reference, options))
        described = signing.described(signer)
    found = [(directory, item) for directory, items in zip(directories, published, strict=True) for item in items]
    output.result(
        ui.table(
            ["run", "statement", "sha256", "stored as"],
            [
                [
                    ui.plain(directory.name),
                    ui.plain(item.name),
                    item.sha256[:16],
                    ui.plain(item.location or "already there"),
                ]
                for directory, item in found
            ],
        ),
        {
            **described,
            "statements": [
                {"run": str(directory), "name": item.name, "sha256": item.sha256, "location": item.location}
                for directory, item in found
            ],
        },
    )
    return 0
