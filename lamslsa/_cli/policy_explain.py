"""``lamslsa policy explain``: a policy in plain English."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from typing import Final

import click

from lamslsa._cli import stores, ui
from lamslsa._cli.policy_source import read_policy
from lamslsa.policy import Policy
from lamslsa.policy.explain import Section, explain

__all__ = ["command"]

_MAX_WIDTH: Final = 100
_MIN_WIDTH: Final = 40


@click.command("explain")
@click.argument("policy_name", metavar="POLICY")
@stores.options
@ui.options
def command(policy_name: str, options: stores.StoreOptions, output: ui.Output) -> int:
    """Say in plain English what POLICY asks for, of whom, and what would make it refuse.

    POLICY is a file, https://…@sha256:… or oci://…@sha256:… The text depends on the policy alone; what decides is the
    policy.

    \b
    Example:
      lamslsa policy explain policy.yaml
    """
    policy = read_policy(policy_name, options=options).policy
    sections = explain(policy)
    output.result(
        _text(policy, sections),
        {
            "name": policy.name,
            "sha256": policy.sha256,
            "closure": policy.closure,
            "sections": [
                {"title": section.title, "items": [{"about": item.key, "text": item.text} for item in section.items]}
                for section in sections
            ],
        },
    )
    return 0


def _text(policy: Policy, sections: Sequence[Section]) -> str:
    width = max(_MIN_WIDTH, min(_MAX_WIDTH, shutil.get_terminal_size().columns))
    lines = [
        ui.style(f"Policy {ui.plain(policy.name)}", "cyan", bold=True),
        f"sha256:{policy.closure}, with the files that it names",
    ]
    for section in sections:
        lines += ["", ui.style(section.title, "cyan", bold=True)]
        for item in section.items:
            lines += textwrap.wrap(
                ui.plain(item.text),
                width,
                initial_indent="  - ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    return "\n".join(lines)
