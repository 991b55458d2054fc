"""``lamslsa reproduce``: run a training again, and compare the model with the one that a statement is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from lamslsa import predicates
from lamslsa import statement as statements
from lamslsa._cli import ui
from lamslsa._cli.attest_inputs import InputPath, Size
from lamslsa._cli.inputs import read_capped
from lamslsa._cli.payloads import payloads
from lamslsa.artifact.reader import DEFAULT_MAX_BYTES
from lamslsa.errors import FormatError
from lamslsa.evidence.run import read_run
from lamslsa.predicates import Provenance
from lamslsa.predicates.provenance import OWN_TRAINING_BUILD_TYPE, TRAINING_BUILD_TYPE

if TYPE_CHECKING:
    from lamslsa.measure.interface import Device
    from lamslsa.measure.training.reproduce import Reproduction

__all__ = ["command"]

_DIFFERENT: Final = 4
_SHOWN: Final = 20
_DEVICES: Final[tuple[Device, ...]] = ("cpu", "cuda")
_TRAININGS: Final = (TRAINING_BUILD_TYPE, OWN_TRAINING_BUILD_TYPE)


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
    "--device", type=click.Choice(_DEVICES), help="Where tensors live.  [default: where they did, by the statement]"
)
@click.option(
    "--memory-limit",
    type=Size(),
    default=DEFAULT_MAX_BYTES,
    show_default="8G",
    metavar="SIZE",
    help="The most that a dataset may have in memory.",
)
@ui.options
def command(
    statement: Path,
    config: Path,
    datasets: tuple[tuple[str | None, Path], ...],
    device: Device | None,
    memory_limit: int,
    output: ui.Output,
) -> int:
    """Run the training of STATEMENT again, and compare the model.

    STATEMENT is a provenance: the folder of its run, its payload (01-provenance.json of a run), or a bundle; nothing in
    it is believed. Exit code 0: the same model. 4: another, and what is different in code, packages and machine is
    listed.

    \b
    Example:
      lamslsa reproduce build/training --config census.yaml --dataset train=adult.data
      lamslsa reproduce provenance.sigstore.json --config census.yaml --dataset train=adult.data
    """
    from lamslsa._cli.attest_inputs import Inputs
    from lamslsa._cli.attest_setup import require_device
    from lamslsa.attest import place, read_inputs
    from lamslsa.measure import Context, load_job
    from lamslsa.measure.training.reproduce import reproduce

    attested = _training(statement)
    inputs = Inputs()
    inputs.add_all("dataset", datasets)
    job = load_job(read_capped(config, what="job"), source=str(config))
    (planned,) = place([job.require_training()], inputs.paths)
    where = device or _device(attested)
    require_device(where)
    context = Context(progress=output.progress(), device=where, memory_limit=memory_limit)
    with ui.terminable(), read_inputs(planned, context) as given:
        found = reproduce(attested, planned.plan, given, context)
    return _say(found, output)


def _training(path: Path) -> statements.Statement:
    """The one provenance of a training in a run folder or a file; a signature is of no importance here.

    Raises:
        FormatError: there is none, or more than one.
    """
    if path.is_dir():
        found = [item.payload for item in read_run(path).statements]
    else:
        found = list(payloads(path.name, read_capped(path, what="statement")))
    if len(found) > 1:
        found = [payload for payload in found if _is_training(payload)]
    if len(found) != 1:
        raise FormatError(
            f"expected one provenance of a training in {path}, got {len(found)}",
            reason="reproduce-statement",
            hint="name a run of lamslsa attest training, or one statement or bundle of it",
        )
    return statements.parse(found[0])


def _is_training(payload: bytes) -> bool:
    try:
        found = predicates.parse(statements.parse(payload))
    except FormatError:
        return False
    return isinstance(found, Provenance) and found.build_definition.build_type in _TRAININGS


def _device(attested: statements.Statement) -> Device:
    """Where tensors lived by the statement; what names no device is from before there were others than the CPU.

    Raises:
        click.UsageError: on something that there is not here.
    """
    found = predicates.parse(attested)
    if not isinstance(found, Provenance):
        return "cpu"
    named = found.build_definition.internal_parameters.environment.machine.get("device", "cpu")
    for device in _DEVICES:
        if named == device:
            return device
    raise click.UsageError(f"expected --device, since the statement names {str(named)[:40]!a}, got none")


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
