"""``lamslsa attest training --own``: a user's own loop, in the build for it or on a simulated platform."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from lamslsa._cli import ui
from lamslsa._cli.attest_inputs import Inputs, refuse_other_kinds
from lamslsa._cli.attest_plan import describe
from lamslsa._cli.attest_results import Results, Write, prepare_outputs
from lamslsa._cli.attest_run import in_enclave, write_results
from lamslsa._cli.attest_setup import Options, Setup, refuse_unmeasured_code
from lamslsa._cli.inputs import read_capped
from lamslsa.attest import attest, place
from lamslsa.measure import load_own_training
from lamslsa.measure.training.own_code import code_manifest
from lamslsa.measure.training.own_run import SCRIPT

__all__ = ["train_own"]

_PYTHON: Final = ("python", "python3")


def train_own(
    inputs: Inputs,
    outputs: Mapping[str | None, Path],
    words: tuple[str, ...],
    code: Path | None,
    options: Options,
    output: ui.Output,
) -> int:
    """Run a user's loop and attest how.

    Raises:
        click.UsageError: other words than ``python train.py …``, or code where the enclave build has it.
        UnavailableError: a TEE whose measurement does not cover the code (own-training-tee).
    """
    if words[:1] not in [(python,) for python in _PYTHON] or words[1:2] != (SCRIPT,):
        raise click.UsageError(
            f"expected the command after --, the script of which is {SCRIPT} in --code: python {SCRIPT} …"
        )
    if options.measurers is not None:
        raise click.UsageError("expected --own or --measurers, got both")
    if (code is None) == (options.enclave is None) and not (options.dry_run and code is not None):
        raise click.UsageError("expected --code DIR, or --enclave DIR with a build that has the code in it")
    config = read_capped(options.config, what="job")
    plan = load_own_training(config, source=str(options.config), code=code, arguments=words[2:])
    planned = place([plan], inputs.paths)
    refuse_other_kinds(planned, inputs)
    if options.dry_run:
        return describe(planned, options, output)
    if len(outputs) != 1:
        raise click.UsageError("expected --model-out DIR, got none")
    prepare_outputs(outputs, out=options.required_out, private=options.private, inputs=inputs.paths)
    if code is not None:
        refuse_unmeasured_code(options.tee, reason="own-training-tee", build="train-own --code DIR")
    beside = b"" if code is None else bytes.fromhex(code_manifest(code).sha256)
    setup = Setup.of(options, config, beside=beside)
    if setup.attester is None:
        with (
            ui.terminable(),
            in_enclave(setup, options, output, kind="training", inputs=inputs.paths, arguments=words[2:]) as results,
        ):
            return write_results(results, outputs, setup, options, output)
    with ui.terminable():
        context = setup.context(output.progress())
        run, made = attest(planned, attester=setup.attester, nonce=setup.nonce, context=context)
        writes: dict[str, Write] = {name: item.write for name, item in made.outputs.items()}
        return write_results(Results(run=run, outputs=writes, private=made.private), outputs, setup, options, output)
