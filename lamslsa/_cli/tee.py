"""``lamslsa tee``: what this machine offers to attest with."""

from __future__ import annotations

import click

from lamslsa._cli import ui
from lamslsa.errors import UnavailableError
from lamslsa.evidence.detect import Machine, available, choose_auto
from lamslsa.evidence.simulated.open import SIMULATED

__all__ = ["command"]


@click.command("tee")
@ui.options
@click.pass_obj
def command(machine: Machine | None, output: ui.Output) -> int:
    """Say what this machine offers to attest with, and what each missing TEE would need.

    Only hardware counts for --tee auto. A simulated TEE is always there and always has to be asked for by name.

    \b
    Example:
      lamslsa tee
      lamslsa tee --format json
    """
    machine = machine or Machine()
    offers = available(machine)
    try:
        auto: str | None = choose_auto(machine)
    except UnavailableError:
        auto = None
    rows = [
        *((offer.kind, "yes" if offer.usable else "no", ui.plain(_why(offer.why, offer.hint))) for offer in offers),
        ("simulated", "yes", f"asked for by name: --tee {', '.join(SIMULATED)}; no hardware vouches for it"),
    ]
    output.result(
        "\n".join([ui.table(("TEE", "here", "why"), rows), "", f"--tee auto takes: {auto or 'nothing, and refuses'}"]),
        {
            "auto": auto,
            "offers": [
                {"kind": offer.kind, "usable": offer.usable, "why": offer.why, "hint": offer.hint or None}
                for offer in offers
            ],
        },
    )
    return 0


def _why(why: str, hint: str) -> str:
    return f"{why}; {hint}" if hint else why
