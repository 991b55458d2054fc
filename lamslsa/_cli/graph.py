"""``lamslsa graph``: where a model comes from."""

from __future__ import annotations

from typing import Final

import click

from lamslsa._cli import ui
from lamslsa._cli.appraise import Request, inputs
from lamslsa.graphs import FORMS, View, of_appraisal, of_bundles, render

__all__ = ["command"]

_MOST: Final = 100


@click.command("graph")
@inputs
@click.option("--as", "drawn_as", type=click.Choice(FORMS), help="What to print.  [default: tree]")
@click.option(
    "--depth",
    type=click.IntRange(0, _MOST),
    default=View().depth,
    show_default=True,
    help="How many attestations away from the model artifacts are drawn; the others are counted.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=View().limit,
    show_default=True,
    help="How many attestations about one artifact are drawn, and artifacts that one names; the others are counted.",
)
@ui.options
def command(request: Request, drawn_as: str | None, depth: int, limit: int, output: ui.Output) -> int:
    """Print where MODEL comes from: what it was made of, how and by whom, and what is said about it.

    Without --policy nothing is verified: the graph is what the bundles say of themselves, and the exit code is 0. With
    one, each attestation is qualifying (a rule relied on it), authentic, or not authentic, and the exit code is that of
    lamslsa verify. Times are those that third parties have signed. JSON has all of it, whatever --depth and --limit.

    \b
    Example:
      lamslsa graph ./model
      lamslsa graph ./model --policy policy.yaml
      lamslsa graph ./model --policy policy.yaml --as dot
      lamslsa graph ./model --as mermaid --depth 2
    """
    if output.as_json and drawn_as not in (None, "json"):
        raise click.UsageError(f"--format json and --as {drawn_as} both say what to print: leave one out")
    unjudged = request.look(output)
    if unjudged is not None:
        manifest, name, bundles = unjudged
        graph, exit_code = of_bundles(bundles, model=manifest.sha256, name=name), 0
    else:
        gathered = request.gather(output)
        appraisal = gathered.appraise()
        graph, exit_code = of_appraisal(appraisal, gathered.bundles), appraisal.exit_code
    word = "json" if output.as_json else drawn_as or "tree"
    wanted = next(known for known in FORMS if known == word)
    drawn = render(graph, form=wanted, view=View(depth=depth, limit=limit, colour=ui.coloured()))
    ui.write(drawn.encode(errors="backslashreplace"))
    return exit_code
