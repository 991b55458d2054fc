"""``lamslsa enclave``: what identifies an enclave build."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from lamslsa._cli import ui
from lamslsa._cli.inputs import platform_option
from lamslsa._files import replace_file

__all__ = ["command"]


@click.group("enclave")
def command() -> None:
    """Inspect enclave builds.

    \b
    Example:
      lamslsa enclave measurement --tee simulated
    """


@command.command("measurement")
@click.option("--tee", required=True, type=click.Choice(["simulated"]), help="Which TEE's build.")
@click.option("--root", "root_file", type=click.Path(path_type=Path), help="Also write the root certificate, PEM.")
@platform_option
@ui.options
def measurement(tee: str, root_file: Path | None, simulated_platform: Path, output: ui.Output) -> int:
    """Print the measurement of this installation as the TEE would report it.

    A policy names the digest of the complete measurement under trust.platforms.*.measurements, and the root
    certificate of the simulated platform under roots.

    \b
    Example:
      lamslsa enclave measurement --tee simulated --root simulated-root.pem
    """
    from lamslsa.evidence.simulated.platform import SimulatedPlatform

    platform = SimulatedPlatform.open_or_create(simulated_platform, now=dt.datetime.now(dt.UTC))
    claimed = platform.measurement()
    if root_file is not None:
        replace_file(root_file, platform.root_pem)
    parts = dict(claimed.parts)
    lines = [claimed.digest, *(f"  {name:<12} {value}" for name, value in parts.items())]
    output.result(
        "\n".join([*lines, f"  {'root':<12} {platform.root.sha256} (simulated)"]),
        {"tee": tee, "simulated": True, "digest": claimed.digest, "measurement": parts, "root": platform.root.sha256},
    )
    return 0
