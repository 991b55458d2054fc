"""``lamslsa fetch-trusted-root``: the certificate authorities, logs and timestamp authorities of a Sigstore."""

from __future__ import annotations

from pathlib import Path

import click

from lamslsa import _codec
from lamslsa._cli import ui
from lamslsa._cli.inputs import read_trusted_root
from lamslsa._files import replace_file
from lamslsa.sign.keyless import SigstoreRoot
from lamslsa.sign.keyless.config import PUBLIC_GOOD_TUF, trusted_root_from_tuf

__all__ = ["command"]


@click.command("fetch-trusted-root")
@click.option("--tuf-url", default=PUBLIC_GOOD_TUF, show_default=True, metavar="URL", help="TUF repository.")
@click.option("--tuf-root", type=click.Path(path_type=Path), help="First root.json of a repository of one's own.")
@click.option("--to", "target", type=click.Path(path_type=Path), help="Write it here too, for --trusted-root.")
@ui.options
def command(tuf_url: str, tuf_root: Path | None, target: Path | None, output: ui.Output) -> int:
    """Get the trusted root that a TUF repository distributes; every signature on the way there is verified.

    It is kept for `lamslsa verify --tuf-url`, which reads it without network. Without either, verification goes by the
    root of the public-good instance that came with this release.

    \b
    Example:
      lamslsa fetch-trusted-root --to trusted-root.json
      lamslsa verify ./model --policy policy.yaml --trusted-root trusted-root.json
    """
    bootstrap = None if tuf_root is None else read_trusted_root(tuf_root, what="TUF root")
    data = trusted_root_from_tuf(tuf_url, bootstrap=bootstrap, offline=False)
    SigstoreRoot.load(data)
    digest = _codec.sha256_hex(data)
    if target is not None:
        replace_file(target, data)
    output.result(
        f"trusted root  sha256:{digest}  {len(data):,} bytes"
        + ("" if target is None else f"\n{ui.plain(str(target))}"),
        {"sha256": digest, "bytes": len(data), "path": None if target is None else str(target), "tufUrl": tuf_url},
    )
    return 0
