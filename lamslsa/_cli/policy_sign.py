"""``lamslsa policy sign``: whose policy this is."""

from __future__ import annotations

from pathlib import Path

import click

from lamslsa._cli import signing, ui
from lamslsa._cli.policy_source import read_policy
from lamslsa._files import refuse_existing, replace_file

__all__ = ["command"]


@click.command("sign")
@click.argument("policy_file", metavar="POLICY", type=click.Path(path_type=Path))
@click.option(
    "--signature",
    type=click.Path(path_type=Path),
    help="New file with the signature.  [default: POLICY.sigstore.json]",
)
@signing.options
@ui.options
def command(policy_file: Path, signature: Path | None, make_signer: signing.MakeSigner, output: ui.Output) -> int:
    """Sign POLICY with every file that it names.

    `lamslsa verify --policy-key` or `--policy-identity` accept no policy that is not signed so.

    \b
    Example:
      lamslsa policy sign policy.yaml --key keys/platform-team.key
    """
    from lamslsa.policy.signature import payload_of, signature_path

    place = signature_path(policy_file) if signature is None else signature
    refuse_existing(place)
    policy = read_policy(str(policy_file)).policy
    payload = payload_of(policy)
    with make_signer(output, [payload]) as signer:
        bundle, described, identity = signer.sign(payload), signing.described(signer), signer.identity
    replace_file(place, bundle)
    output.result(
        f"{place}\n{ui.plain(policy.name)} with the files it names, sha256:{policy.closure}, "
        f"signed by {ui.plain(identity)}",
        {
            "signature": str(place),
            **described,
            "policy": {"name": policy.name, "sha256": policy.sha256, "closure": policy.closure},
        },
    )
    return 0
