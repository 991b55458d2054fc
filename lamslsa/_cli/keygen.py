"""``lamslsa keygen``: a signing key."""

from __future__ import annotations

from pathlib import Path

import click

from lamslsa._cli import ui
from lamslsa._cli.inputs import passphrase_option, read_passphrase
from lamslsa._files import refuse_existing, write_file

__all__ = ["command"]


@click.command("keygen")
@click.argument("path", type=click.Path(path_type=Path))
@passphrase_option
@ui.options
def command(path: Path, passphrase_file: Path | None, output: ui.Output) -> int:
    """Make an ECDSA P-256 key: PATH.key (private, mode 0600) and PATH.pub.

    \b
    Example:
      lamslsa keygen keys/auditor --passphrase-file auditor.passphrase
    """
    from lamslsa.sign import KeySigner, generate

    passphrase = read_passphrase(passphrase_file)
    private, public = path.with_name(path.name + ".key"), path.with_name(path.name + ".pub")
    refuse_existing(private)
    refuse_existing(public)
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = generate(passphrase)
    signer = KeySigner.load(pem, passphrase)
    write_file(private, pem, mode=0o600)
    write_file(public, signer.public_pem, mode=0o644)
    if passphrase is None:
        output.note(f"{private} is not encrypted; pass --passphrase-file FILE to encrypt it")
    output.result(
        f"{private}\n{public}\nkey id {signer.key_id}",
        {"private": str(private), "public": str(public), "keyId": signer.key_id, "encrypted": passphrase is not None},
    )
    return 0
