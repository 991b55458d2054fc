"""``lamslsa completion``: shell completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from lamslsa._cli import ui

__all__ = ["command"]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@ui.options
def command(shell: str, output: ui.Output) -> int:
    """Print the completion script of a shell.

    \b
    Example:
      lamslsa completion bash > ~/.local/share/bash-completion/completions/lamslsa
    """
    from lamslsa._cli.main import cli

    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"expected a shell that click completes, got {shell}")
    script = completion(cli, {}, "lamslsa", "_LAMSLSA_COMPLETE").source()
    output.result(script, {"shell": shell, "script": script})
    return 0
