"""``lamslsa enclave build | sign | run``: make an enclave and run a job in it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, get_args

import click

from lamslsa import _codec
from lamslsa._cli import ui
from lamslsa._cli.attest_inputs import memory_options, refuse_spool
from lamslsa._cli.inputs import NamedPaths, platform_option, read_capped, unique
from lamslsa._cli.nonce import nonce_options, read_nonce
from lamslsa.errors import FormatError
from lamslsa.measure.interface import Stage

if TYPE_CHECKING:
    from lamslsa.enclave.run import Request, Runner
    from lamslsa.evidence.nonce import Nonce

__all__ = ["COMMANDS"]

_RUNNERS: Final[Mapping[str, Runner]] = {"sgx": "gramine-sgx", "gramine-direct": "gramine-direct"}
_FEATURES: Final = click.Choice(["required", "disabled"])
_REQUEST_KEYS: Final = frozenset({"kind", "config", "inputs", "name", "arguments"})


@click.command("build")
@click.argument("which", metavar="BUILD", type=click.Choice(["measure", "train-own", "measure-with"]))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the build; must not exist.")
@click.option("--code", type=click.Path(path_type=Path), help="train-own: folder of the training code, with train.py.")
@click.option("--measurers", metavar="DISTRIBUTION", help="measure-with: the distribution with the measurers.")
@click.option(
    "--python",
    type=click.Path(path_type=Path),
    default=sys.executable,
    show_default="this interpreter",
    help="Interpreter of the enclave.",
)
@click.option("--packages", type=click.Path(path_type=Path), help="Folder with lamslsa; the interpreter's by default.")
@click.option("--enclave-size", default="16G", show_default=True, help="Memory; with --edmm the most that it may be.")
@click.option("--edmm/--no-edmm", default=False, show_default=True, help="Add memory when it is needed.")
@click.option("--threads", type=click.IntRange(4, 1024), default=16, show_default=True, help="Most threads at a time.")
@click.option("--avx512", type=_FEATURES, default="required", show_default=True, help="Vector unit of the machine.")
@click.option("--amx", type=_FEATURES, default="disabled", show_default=True, help="Matrix unit of the machine.")
@click.option("--svn", type=click.IntRange(0, 0xFFFF), default=1, show_default=True, help="Security version.")
@click.option("--template-only", is_flag=True, help="Stop before gramine-manifest.")
@ui.options
def build_command(
    which: Any,
    out: Path,
    code: Path | None,
    measurers: str | None,
    python: Path,
    packages: Path | None,
    enclave_size: str,
    edmm: bool,
    threads: int,
    avx512: Any,
    amx: Any,
    svn: int,
    template_only: bool,
    output: ui.Output,
) -> int:
    """Build an enclave: list every file that it may open, with its digest, and render its manifest.

    'measure' is for everything that a job file declares. 'train-own' holds one user's training code and vouches for
    nothing but that training; 'measure-with' holds one distribution with measurers of a third party, and vouches for
    those.

    \b
    Example:
      lamslsa enclave build measure --out build/measure
      lamslsa enclave build train-own --code ./training --out build/train-own
      lamslsa enclave build measure-with --measurers acme-toxicity --out build/measure-with
    """
    from lamslsa.enclave.build import build
    from lamslsa.enclave.files import Interpreter
    from lamslsa.enclave.template import Settings

    if (code is not None) != (which == "train-own"):
        raise click.UsageError("expected --code with train-own and only there")
    if (measurers is not None) != (which == "measure-with"):
        raise click.UsageError("expected --measurers with measure-with and only there")
    built = build(
        which,
        out,
        interpreter=Interpreter.ask(python, packages=packages),
        code=code,
        measurers=measurers,
        settings=Settings(enclave_size=enclave_size, edmm=edmm, max_threads=threads, avx512=avx512, amx=amx, svn=svn),
        template_only=template_only,
    )
    if template_only:
        output.note("template only: run gramine-manifest on it where Gramine is installed, then lamslsa enclave sign")
    output.result(
        f"{built.trusted} trusted files\n{out}",
        {"build": which, "out": str(out), "trustedFiles": built.trusted, "complete": built.complete},
    )
    return 0


@click.command("sign")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--key",
    required=True,
    type=click.Path(path_type=Path),
    help="RSA key of 3072 bits with exponent 3 (gramine-sgx-gen-private-key).",
)
@ui.options
def sign_command(folder: Path, key: Path, output: ui.Output) -> int:
    """Sign an enclave build, and refuse a final manifest that lets the host decide what it should not.

    \b
    Example:
      lamslsa enclave sign build/measure --key enclave-key.pem
    """
    from lamslsa.enclave.build import sign

    read_capped(key, what="key")
    final = sign(folder, key)
    signature = folder / f"{final.build}.sig"
    output.result(
        f"{len(final.trusted)} trusted files\n{signature}",
        {
            "build": final.build,
            "isvSvn": final.svn,
            "trustedFiles": len(final.trusted),
            "signature": str(signature),
            "manifest": str(folder / f"{final.build}.manifest.sgx"),
        },
    )
    return 0


@click.command("run")
@click.argument("job", metavar="JOB", type=click.Path(path_type=Path))
@click.option(
    "--enclave", "folder", required=True, type=click.Path(path_type=Path), help="Folder of the enclave build."
)
@click.option("--tee", required=True, type=click.Choice(list(_RUNNERS)), help="With SGX, or simulated without.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the run; must not exist.")
@click.option("--model-out", type=click.Path(path_type=Path), help="Folder of the model, where one artifact is made.")
@click.option(
    "--output",
    "named",
    multiple=True,
    type=NamedPaths(),
    metavar="NAME=DIR",
    help="Folder of an artifact, by its name.",
)
@click.option("--private", type=click.Path(path_type=Path), help="Folder for what only you may see; must not exist.")
@click.option("--checkpoints", type=click.Path(path_type=Path), help="Folder for sealed checkpoints.")
@memory_options
@nonce_options
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="How long it may take.")
@platform_option
@ui.options
def run_command(
    job: Path,
    folder: Path,
    tee: str,
    out: Path,
    model_out: Path | None,
    named: tuple[tuple[str, Path], ...],
    private: Path | None,
    checkpoints: Path | None,
    memory_limit: int,
    spool: Path | None,
    nonce: str | None,
    beacon: Path | None,
    timeout: float | None,
    simulated_platform: Path,
    output: ui.Output,
) -> int:
    """Run a job in an enclave build.

    JOB is a JSON file whose paths are relative to it: {"kind": "evaluation", "config": "census.yaml",
    "inputs": {"model": "model", "dataset": "adult.test"}}; inputs are named by role or by their name in the
    configuration. "name" is that of a dataset or transform, and of an evaluation where not all are wanted; "arguments"
    are those of your own training.

    \b
    Example:
      lamslsa enclave run job.json --enclave build/measure --tee sgx --out build/evaluation
    """
    from lamslsa._cli.attest_results import Results, prepare_outputs, write_all
    from lamslsa.enclave.run import run_job

    request = replace(
        _request(job, read_nonce(nonce, beacon)), checkpoints=checkpoints, memory_limit=memory_limit, spool=spool
    )
    refuse_spool(spool)
    outputs: dict[str | None, Path] = {}
    outputs.update(unique(named, "--output"))
    if model_out is not None:
        outputs[None] = model_out
    if bool(outputs) != (request.kind in ("training", "transform")):
        raise click.UsageError("expected --model-out or --output with a training or transform and only there")
    prepare_outputs(outputs, out=out, private=private, inputs=request.inputs)
    with (
        ui.terminable(),
        run_job(
            request,
            build_dir=folder,
            runner=_RUNNERS[tee],
            simulated_platform=None if tee == "sgx" else simulated_platform,
            workspace=out.absolute().parent,
            timeout_s=timeout,
            say=output.note,
        ) as finished,
    ):
        return write_all(
            Results.of_enclave(finished),
            outputs,
            out=out,
            private=private,
            facts={"tee": tee, "simulated": tee != "sgx"},
            output=output,
        )


def _request(job: Path, nonce: Nonce) -> Request:
    from lamslsa.enclave.run import Request

    document = _codec.loads(read_capped(job, what="job"))
    match document:
        case {"kind": kind, "config": str(config), "inputs": dict(inputs)} if (
            kind in get_args(Stage) and set(document) <= _REQUEST_KEYS
        ):
            name, arguments = document.get("name"), document.get("arguments", [])
        case _:
            _refuse(job)
    if not (name is None or isinstance(name, str)) or not isinstance(arguments, list):
        _refuse(job)
    if not all(isinstance(item, str) for item in arguments):
        _refuse(job)
    return Request(
        kind=kind,
        config=read_capped(job.parent / config, what="configuration"),
        inputs=_paths(inputs, job),
        name=name,
        challenge=nonce.value if nonce.beacon is None else None,
        beacon=None if nonce.beacon is None else nonce.beacon.data,
        arguments=tuple(arguments),
    )


def _paths(named: Mapping[str, Any], job: Path) -> dict[str, Path]:
    if not all(isinstance(path, str) and path for path in named.values()):
        _refuse(job)
    return {name: job.parent / path for name, path in named.items()}


def _refuse(job: Path) -> NoReturn:
    raise FormatError(
        f"expected a job for an enclave in {job}, got other fields",
        reason="enclave-request",
        hint='{"kind": "dataset|training|…", "config": FILE, "inputs": {ROLE: PATH…}, "name": …, "arguments": […]}',
    )


COMMANDS: Final[list[click.Command]] = [build_command, sign_command, run_command]
