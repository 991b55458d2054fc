"""Measure what a job declares, here or in an enclave build, and write all that came of it: complete, or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import click

from lamslsa._cli import ui
from lamslsa._cli.attest_inputs import Inputs, refuse_other_kinds
from lamslsa._cli.attest_plan import describe
from lamslsa._cli.attest_results import Results, Write, assign, prepare_outputs, write_all
from lamslsa._cli.attest_setup import Options, Setup, refuse_unmeasured_code
from lamslsa._cli.inputs import read_capped
from lamslsa._cli.payloads import payloads
from lamslsa.attest import Planned, attest, place
from lamslsa.errors import FormatError
from lamslsa.measure import foresight, load_job
from lamslsa.measure.evaluation.planned import plan_digest
from lamslsa.measure.interface import Stage
from lamslsa.measure.plugins import find
from lamslsa.measure.registry import BUILT_IN
from lamslsa.publish import with_collateral

__all__ = ["Asked", "in_enclave", "measure", "write_results"]

_MAKING: Final = ("training", "transform")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the options of one stage ask for.

    Attributes:
        name: of the dataset, transform or evaluation.
        plan: file with the plan that the one evaluation carries out.
        outputs: folder of each artifact, by name; the name None is the only artifact's.
    """

    stage: Stage
    inputs: Inputs
    name: str | None = None
    plan: Path | None = None
    outputs: Mapping[str | None, Path] = field(default_factory=dict)


def measure(asked: Asked, options: Options, output: ui.Output) -> int:
    """Do what a stage's options ask for."""
    config = read_capped(options.config, what="job")
    if options.measurers is not None and options.enclave is None:
        refuse_unmeasured_code(options.tee, reason="plugin-tee", build="measure-with --measurers NAME")
    third = None if options.measurers is None else find(options.measurers)
    beside = b"" if third is None else third.digest
    catalogue = BUILT_IN if third is None else BUILT_IN.with_more(third.load(BUILT_IN.reserved()))
    job = load_job(config, source=str(options.config), catalogue=catalogue)
    planned = place(job.plans(asked.stage, asked.name).values(), asked.inputs.paths)
    if third is not None:
        third.refuse_others(item.plan for item in planned)
    refuse_other_kinds(planned, asked.inputs)
    digest = _planned(asked, planned)
    if options.dry_run:
        return describe(planned, options, output)
    if bool(asked.outputs) != (asked.stage in _MAKING):
        raise click.UsageError("expected --model-out DIR or --output NAME=DIR, got neither")
    prepare_outputs(asked.outputs, out=options.required_out, private=options.private, inputs=asked.inputs.paths)
    _refuse_unforeseen(planned, asked.outputs, options)
    setup = Setup.of(options, config, beside=beside)
    with ui.terminable(), _measured(asked, planned, setup, options, output, digest) as results:
        return write_results(results, asked.outputs, setup, options, output)


@contextmanager
def _measured(
    asked: Asked, planned: list[Planned], setup: Setup, options: Options, output: ui.Output, digest: str | None
) -> Iterator[Results]:
    if setup.attester is not None:
        context = replace(setup.context(output.progress()), plan=digest)
        run, made = attest(planned, attester=setup.attester, nonce=setup.nonce, context=context)
        writes: dict[str, Write] = {name: item.write for name, item in made.outputs.items()}
        yield Results(run=run, outputs=writes, private=made.private)
        return
    request = {"kind": asked.stage, "name": asked.name, "inputs": asked.inputs.paths, "plan": digest}
    with in_enclave(setup, options, output, **request) as results:
        yield results


@contextmanager
def in_enclave(setup: Setup, options: Options, output: ui.Output, **request: Any) -> Iterator[Results]:
    """Have the enclave build do what ``request`` says (`lamslsa.enclave.run.Request`)."""
    from lamslsa.enclave.run import Request, run_job

    if setup.enclave is None:
        raise TypeError("expected an enclave build")
    beacon = setup.nonce.beacon
    with run_job(
        Request(
            config=setup.config,
            challenge=setup.nonce.value if beacon is None else None,
            beacon=None if beacon is None else beacon.data,
            device=setup.device,
            checkpoints=setup.checkpoints,
            memory_limit=setup.memory_limit,
            spool=setup.spool,
            **request,
        ),
        build_dir=setup.enclave,
        runner="gramine-direct" if setup.direct else "gramine-sgx",
        simulated_platform=setup.platform if setup.direct else None,
        workspace=options.required_out.absolute().parent,
        say=output.note,
    ) as finished:
        yield Results.of_enclave(finished)


def write_results(
    results: Results, outputs: Mapping[str | None, Path], setup: Setup, options: Options, output: ui.Output
) -> int:
    """Write what came of a measurement, and say where."""
    if setup.collateral is not None:
        results = replace(results, run=with_collateral(results.run, setup.collateral))
    facts = {"tee": setup.tee, "simulated": setup.simulated, "devices": len(results.run.devices)}
    return write_all(results, outputs, out=options.required_out, private=options.private, facts=facts, output=output)


def _planned(asked: Asked, planned: list[Planned]) -> str | None:
    """The digest of the plan that the evaluation carries out; None without one."""
    if asked.plan is None:
        return None
    if len(planned) != 1:
        raise click.UsageError("expected one evaluation with --plan: choose it with --evaluation NAME")
    found = payloads(asked.plan.name, read_capped(asked.plan, what="plan"))
    if len(found) != 1:
        raise FormatError(f"expected one plan in {asked.plan}, got {len(found) or 'none'}", reason="plan-file")
    return plan_digest(found[0], planned[0].plan)


def _refuse_unforeseen(planned: list[Planned], outputs: Mapping[str | None, Path], options: Options) -> None:
    """Refuse at once what would otherwise be found out after hours."""
    if options.private is None and any(foresight.makes_private(item.plan) for item in planned):
        raise click.UsageError("expected --private DIR: this job makes files for nobody else's eyes, got none")
    known = [foresight.makes(item.plan) for item in planned]
    if None in known:
        return
    assign([name for names in known for name in names or ()], outputs)
