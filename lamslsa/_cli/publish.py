"""``lamslsa publish``: sign a run and store it."""

from __future__ import annotations

from pathlib import Path

import click

from lamslsa._cli import signing, stores, ui
from lamslsa._cli.inputs import read_capped

__all__ = ["command"]


@click.command("publish")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
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
    directory: Path,
    make_signer: signing.MakeSigner,
    reference: str,
    collateral: Path | None,
    options: stores.StoreOptions,
    output: ui.Output,
) -> int:
    """Sign the statements and evidence that `lamslsa attest` left in DIR, and store the bundles.

    What this signer has signed already and STORE holds is not signed again, so an interrupted run can be repeated.

    \b
    Example:
      lamslsa publish build/evaluation --key keys/auditor.key --to model/.attestations
      lamslsa publish build/evaluation --keyless --yes --to model/.attestations
      lamslsa publish build/evaluation --keyless --to oci://registry.example/census@sha256:…
    """
    from lamslsa.evidence.run import read_run
    from lamslsa.publish import payloads, publish_run, with_collateral

    run = read_run(directory)
    if collateral is not None:
        run = with_collateral(run, read_capped(collateral, what="collateral"))
    with make_signer(output, [item.payload for item in payloads(run)]) as signer:
        published = publish_run(run, signer=signer, store=stores.open_bundles(reference, options))
        described = signing.described(signer)
    output.result(
        ui.table(
            ["statement", "sha256", "stored as"],
            [[ui.plain(item.name), item.sha256[:16], ui.plain(item.location or "already there")] for item in published],
        ),
        {
            **described,
            "statements": [{"name": item.name, "sha256": item.sha256, "location": item.location} for item in published],
        },
    )
    return 0
