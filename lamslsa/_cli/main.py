"""Entry point: finds the subcommand, and turns every outcome into an exit code.

0 accepted · 1 a bug · 2 usage · 3 format · 4 not authentic or missing · 5 refused by the policy · 6 unavailable ·
130 interrupted · 141 nobody reads stdout. A result goes to stdout, everything else to stderr. What looks like a secret
among the arguments is not repeated.
"""

from __future__ import annotations

import errno
import importlib
import sys
from collections.abc import Sequence
from typing import Final

import click

from lamslsa import __version__
from lamslsa._cli import ui
from lamslsa._cli.inputs import has_secret, looks_secret
from lamslsa.errors import FormatError, LamslsaError, UnavailableError

__all__ = ["cli", "main"]

_COMMANDS: Final = {
    "admission": "let a cluster admit models by a policy",
    "attach": "keep bundles beside an artifact in a store",
    "attest": "measure inside a TEE and write statements and quote",
    "card": "render the model card of a verified model",
    "challenge": "make a challenge that evidence has to answer",
    "completion": "print the completion script of a shell",
    "copy": "copy an artifact and its bundles from one store to another",
    "croissant": "turn datasheets into Croissant metadata, and such metadata into parts of a job file",
    "digest": "print the identity of a model or dataset",
    "doctor": "say whether this installation is fit to attest and verify",
    "enclave": "build, sign, run and measure enclaves",
    "evidence": "print what a quote or report says, and what of it is verified",
    "export": "put everything that a verdict rests on into one file for an auditor",
    "fetch-collateral": "get Intel's and AMD's endorsements of platforms",
    "fetch-trusted-root": "get the trusted root of a Sigstore through TUF",
    "graph": "print where a model comes from, as a tree, DOT, Mermaid or JSON",
    "inspect": "print what a bundle, statement or run says, and what of it is verified",
    "keygen": "make a signing key",
    "list": "list the bundles beside an artifact, without verifying them",
    "measurers": "list what can be measured, and what each measurer needs",
    "plan": "say which evaluation is going to be made, before it is",
    "policy": "write, check, explain and sign policies",
    "publish": "sign a run and store it beside the model",
    "pull": "get an artifact and its bundles from a store into a folder",
    "push": "put a model or dataset and its bundles into a store",
    "reproduce": "run a training again and compare the model",
    "sign-model": "sign the files of a model for other tools",
    "tee": "say which TEEs this machine offers, and why not",
    "verify": "appraise a model against a policy",
    "verify-model": "verify who signed the files of a model",
    "verify-opening": "open values that the owner of a dataset withholds",
    "verify-receipt": "prove what one inference was by a statement over many",
}
_EXTRAS: Final = {
    **dict.fromkeys(("duckdb", "numpy", "pyarrow", "scipy"), "dataset"),
    **dict.fromkeys(("fairlearn", "safetensors", "sklearn", "threadpoolctl", "torch", "torchmetrics"), "tabular"),
    **dict.fromkeys(("onnx", "onnxruntime", "skl2onnx"), "onnx"),
    "pyautoattack": "robustness",
    "PIL": "images",
    "datasketch": "text",
    "opacus": "privacy",
    **dict.fromkeys(("lxml", "pynvml", "signxml"), "gpu"),
    "cel_expr_python": "cel",
    "jinja2": "enclave",
    "pkcs11": "pkcs11",
}
_UNREADABLE: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG}
)


class _LazyGroup(click.Group):
    """Imports the module of a subcommand only when it is asked for: a verifier never loads torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module = f"lamslsa._cli.{cmd_name.replace('-', '_')}"
        command = importlib.import_module(module).command
        if not isinstance(command, click.Command):
            raise TypeError(f"expected a command in {module}, got something else")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 accepted, 1 bug, 2 usage, 3 format, 4 not authentic, 5 refused, 6 unavailable.",
)
@click.version_option(__version__, prog_name="lamslsa")
def cli() -> None:
    """Checkable claims about ML models: measured in a TEE, signed, chained, decided by policy.

    \b
    Example:
      lamslsa verify ./model --policy policy.yaml
    """


def _translate(err: LamslsaError | OSError | ModuleNotFoundError) -> LamslsaError:
    if isinstance(err, LamslsaError):
        return err
    if isinstance(err, ModuleNotFoundError):
        if err.name is None or err.name not in _EXTRAS:
            raise err
        return UnavailableError(
            f"expected the package {err.name}, which this command needs, got none",
            reason="extra-missing",
            hint=f"pip install 'lamslsa[{_EXTRAS[err.name]}]'; a verifier does without",
        )
    where = f" {err.filename}" if err.filename and not looks_secret(str(err.filename)) else ""
    message = f"expected to read or write{where}, got: {err.strerror or err}"
    if err.errno in _UNREADABLE:
        return FormatError(message, reason="file-unreadable", hint="check the path and its permissions")
    return UnavailableError(message, reason="file-system", hint="free the device and try again")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    wants_json = ui.wants_json(argv)
    try:
        result = cli.main(args=argv, prog_name="lamslsa", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        ui.failure("Interrupt", "interrupted", exit_code=130, as_json=wants_json)
        ui.note("interrupted")
        return 130
    except click.ClickException as err:
        if has_secret(err.format_message()):
            err = click.UsageError("expected other arguments, got some that look like a key or a token")
        ui.failure("UsageError", err.format_message(), exit_code=2, as_json=wants_json)
        err.show()
        return 2
    except ui.StdoutClosedError:
        return 141
    except (LamslsaError, OSError, ModuleNotFoundError) as err:
        known = _translate(err)
        ui.error(known, as_json=wants_json)
        return known.exit_code
    return result if isinstance(result, int) else 0
