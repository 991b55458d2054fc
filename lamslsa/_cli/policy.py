"""``lamslsa policy``: write, check and explain policies."""

from __future__ import annotations

import json

import click

from lamslsa._cli import policy_diff, policy_explain, policy_init, policy_lint, policy_sign, policy_test, ui

__all__ = ["command"]


@click.group("policy")
def command() -> None:
    """Write, check and explain policies.

    \b
    Example:
      lamslsa policy schema > policy.schema.json
      lamslsa policy init ./model --identity trainer=trainer.pub --platform sgx --tcb UpToDate --out policy.yaml
      lamslsa policy lint policy.yaml
      lamslsa policy explain policy.yaml
      lamslsa policy diff policy.yaml stricter.yaml ./model
      lamslsa policy test policy.yaml
      lamslsa policy sign policy.yaml --key keys/platform-team.key
    """


command.add_command(policy_lint.command)
command.add_command(policy_explain.command)
command.add_command(policy_diff.command)
command.add_command(policy_test.command)
command.add_command(policy_init.command)
command.add_command(policy_sign.command)


@command.command("schema")
@ui.options
def schema_command(output: ui.Output) -> int:
    """Print the JSON Schema of policies, by which editors complete and check them.

    \b
    Example:
      lamslsa policy schema > policy.schema.json
    """
    from lamslsa.policy.document import schema

    document = schema()
    output.result(json.dumps(document, indent=2, ensure_ascii=False), document)
    return 0
