"""``lamslsa publish``: sign a run and store it."""

from __future__ import annotations

from pathlib import Path

import click

from lamslsa._cli import ui
from lamslsa._cli.inputs import passphrase_option, read_capped, read_passphrase

__all__ = ["command"]


@click.command("publish")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--key", required=True, type=click.Path(path_type=Path), help="Private key that signs (lamslsa keygen).")
@passphrase_option
@click.option("--to", "reference", required=True, metavar="STORE", help="Folder to store the bundles in.")
@click.option(
    "--collateral",
    type=click.Path(path_type=Path),
    help="Endorsements to travel with the quote (lamslsa fetch-collateral).",
)
@ui.options
def command(
    directory: Path,
    key: Path,
    passphrase_file: Path | None,
    reference: str,
    collateral: Path | None,
    output: ui.Output,
) -> int:
    """Sign the statements and evidence that `lamslsa attest` left in DIR, and store the bundles.

    What this key has signed already and STORE holds is not signed again, so an interrupted run can be repeated.

    \b
    Example:
      lamslsa publish build/evaluation --key keys/auditor.key --to model/.attestations
    """
    from lamslsa.evidence.run import read_run
    from lamslsa.publish import publish_run, with_collateral
    from lamslsa.sign import KeySigner
    from lamslsa.store import open_store

    signer = KeySigner.load(read_capped(key, what="key"), read_passphrase(passphrase_file))
    run = read_run(directory)
    if collateral is not None:
        run = with_collateral(run, read_capped(collateral, what="collateral"))
    published = publish_run(run, signer=signer, store=open_store(reference))
    output.result(
        ui.table(
            ["statement", "sha256", "stored as"],
            [[ui.plain(item.name), item.sha256[:16], ui.plain(item.location or "already there")] for item in published],
        ),
        {
            "keyId": signer.key_id,
            "statements": [{"name": item.name, "sha256": item.sha256, "location": item.location} for item in published],
        },
    )
    return 0
