"""``lamslsa reproduce``: run a training again, and compare the model with the one that a statement is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from lamslsa._cli import ui
from lamslsa._cli.attest_inputs import InputPath
from lamslsa._cli.inputs import read_capped
from lamslsa.errors import FormatError
from lamslsa.sign import parse_bundles
from lamslsa.sign.dsse import LINES_SUFFIX
from lamslsa.sign.interface import Envelope

if TYPE_CHECKING:
    from lamslsa.measure.interface import Device
    from lamslsa.measure.training.reproduce import Reproduction

__all__ = ["command"]

_BUNDLE_SUFFIXES: Final = (".sigstore.json", LINES_SUFFIX)
_DIFFERENT: Final = 4
_SHOWN: Final = 20


@click.command("reproduce")
@click.argument("statement", type=click.Path(path_type=Path))
@click.option("--config", required=True, type=click.Path(path_type=Path), help="Job file: everything declared.")
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    type=InputPath(),
    metavar="ROLE=PATH",
    help="Data that was read, by its role or its name in the job file; repeatable.",
)
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Where tensors live."
)
@ui.options
def command(
    statement: Path,
    config: Path,
    datasets: tuple[tuple[str | None, Path], ...],
    device: Device,
    output: ui.Output,
) -> int:
    """Run the training of STATEMENT again, and compare the model.

    STATEMENT is a provenance: its payload (01-provenance.json of a run) or a bundle; nothing in it is believed. Exit
    code 0: the same model. 4: another, and what is different in code, packages and machine is listed.

    \b
    Example:
      lamslsa reproduce build/training/01-provenance.json --config census.yaml --dataset train=adult.data
    """
    from lamslsa import statement as statements
    from lamslsa._cli.attest_inputs import Inputs
    from lamslsa._cli.attest_setup import require_device
    from lamslsa.attest import place, read_inputs
    from lamslsa.measure import Context, load_job
    from lamslsa.measure.training.reproduce import reproduce

    attested = statements.parse(_payload(statement))
    inputs = Inputs()
    inputs.add_all("dataset", datasets)
    job = load_job(read_capped(config, what="job"), source=str(config))
    (planned,) = place([job.require_training()], inputs.paths)
    require_device(device)
    context = Context(progress=output.progress(), device=device)
    with ui.terminable(), read_inputs(planned, context) as given:
        found = reproduce(attested, planned.plan, given, context)
    return _say(found, output)


def _payload(path: Path) -> bytes:
    """The payload of a statement, be it in a bundle; its signature is of no importance here."""
    data = read_capped(path, what="statement")
    if not path.name.endswith(_BUNDLE_SUFFIXES):
        return data
    payloads = [outcome.payload for _, outcome in parse_bundles(path.name, data) if isinstance(outcome, Envelope)]
    if len(payloads) != 1:
        raise FormatError(
            f"expected one bundle with a statement in {path}, got {len(payloads)}", reason="reproduce-statement"
        )
    return payloads[0]


def _say(found: Reproduction, output: ui.Output) -> int:
    verdict = "reproduced: the same model" if found.same else "not reproduced: another model"
    differing = [f"  {ui.plain(f'{item.what}: {item.then}, here {item.now}')}" for item in found.differences[:_SHOWN]]
    if len(found.differences) > _SHOWN:
        differing.append(f"  and {len(found.differences) - _SHOWN} more (--format json)")
    if not (found.same or differing):
        differing = ["  nothing: look for what the statement does not say"]
    output.result(
        "\n".join(
            [
                verdict,
                f"  attested  sha256:{found.expected}",
                f"  now       sha256:{found.found}",
                *(["different around it:", *differing] if differing else []),
            ]
        ),
        {
            "same": found.same,
            "attested": found.expected,
            "now": found.found,
            "differences": [{"what": item.what, "then": item.then, "now": item.now} for item in found.differences],
        },
    )
    return 0 if found.same else _DIFFERENT
