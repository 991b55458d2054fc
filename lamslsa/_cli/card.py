"""``lamslsa card``: the model card, rendered from what was verified."""

from __future__ import annotations

from pathlib import Path

import click

from lamslsa._cli import ui
from lamslsa._cli.appraise import Request, inputs
from lamslsa._files import replace_file

__all__ = ["command"]


@click.command("card")
@inputs
@click.option("--markdown", "markdown_file", type=click.Path(path_type=Path), help="Write the card as Markdown here.")
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="Write the card as one HTML file here.")
@ui.options
def command(
    request: Request,
    markdown_file: Path | None,
    html_file: Path | None,
    output: ui.Output,
) -> int:
    """Render the model card of MODEL: verified values, and what is only declared, told apart.

    A card is also written for a model that the policy refuses, and says so; the exit code is that of `lamslsa verify`.
    Without --markdown or --html the card is printed as Markdown.

    \b
    Example:
      lamslsa card ./model --policy policy.yaml --html card.html --markdown CARD.md
    """
    from lamslsa.cards import render

    appraisal = request.gather(output).appraise()
    markdown = render(appraisal, format="markdown")
    written = []
    if markdown_file is not None:
        replace_file(markdown_file, markdown.encode())
        written.append(str(markdown_file))
    if html_file is not None:
        replace_file(html_file, render(appraisal, format="html").encode())
        written.append(str(html_file))
    output.result(
        "\n".join(written) if written else markdown,
        {"accepted": appraisal.accepted, "exitCode": appraisal.exit_code, "written": written, "markdown": markdown},
    )
    return appraisal.exit_code
