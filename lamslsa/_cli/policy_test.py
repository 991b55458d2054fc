"""``lamslsa policy test``: does this policy accept what it must, and refuse what it must, for the reason it must?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from lamslsa._cli import policy_cases, stores, ui
from lamslsa._cli.policy_source import is_pinned, read_policy
from lamslsa.errors import PolicyError
from lamslsa.policy.cases import Ended, unexercised

__all__ = ["command"]

_REASON: Final = "policy-test"
_CASES: Final = "cases"


@click.command("test")
@click.argument("policy_name", metavar="POLICY")
@click.option(
    "--cases",
    type=click.Path(path_type=Path),
    help="Folder of the cases, each a folder with case.yaml.  [default: cases beside POLICY]",
)
@stores.options
@ui.options
def command(policy_name: str, cases: Path | None, options: stores.StoreOptions, output: ui.Output) -> int:
    """Run the cases beside POLICY: what it must accept, and what it must refuse, by which rule and for which reason.

    Exit code 0 only if every case came out as expected and there is at least one of each kind; else 5, with the reason
    policy-test. 3: policy or case cannot be read. policies/cases.md says what stands in a case.

    \b
    Example:
      lamslsa policy test build/policies/census-income/policy.yaml
      lamslsa policy test policy.yaml --cases tests/cases --format json
    """
    if cases is None:
        if is_pinned(policy_name):
            raise click.UsageError("expected --cases with a policy from elsewhere: nothing lies beside it")
        cases = Path(policy_name).parent / _CASES
    policy = read_policy(policy_name, options=options).policy
    ended = [policy_cases.run(folder, policy) for folder in policy_cases.find(cases)]
    lacking = _lacking(ended)
    code = PolicyError.exit_code if lacking or any(item.faults for item in ended) else 0
    output.result(_text(ended, lacking), _document(ended, lacking, code))
    return code


def _lacking(ended: Sequence[Ended]) -> list[str]:
    """Which kinds of cases there are none of: a policy that accepts everything passes every case of an acceptance."""
    kinds = {
        "a case that is accepted": any(item.case.refused is None for item in ended),
        "a case that a rule refuses": any(
            item.case.refused is not None and item.case.refused.rule is not None for item in ended
        ),
    }
    return [kind for kind, there in kinds.items() if not there]


def _text(ended: Sequence[Ended], lacking: Sequence[str]) -> str:
    rows = [
        (
            ui.plain(item.case.name),
            ui.plain("accepted" if item.case.refused is None else f"refused, {item.case.refused}"),
            "FAILED" if item.faults else "ok",
        )
        for item in ended
    ]
    lines = [ui.table(("case", "expected", ""), rows)]
    for item in ended:
        if item.faults:
            lines += ["", f"{ui.plain(item.case.name)}: expected otherwise, got {ui.plain(item.got)}"]
            lines += [f"  {ui.plain(fault)}" for fault in item.faults]
            lines += [f"  {ui.plain(item.case.why)}"] if item.case.why else []
    failed = sum(bool(item.faults) for item in ended)
    lines += ["", f"{len(ended) - failed} of {len(ended)} cases came out as expected"]
    lines += [f"FAILED: expected {kind}, got none" for kind in lacking]
    rest = unexercised(ended)
    lines.append(f"rules that no case shows to refuse: {ui.plain(', '.join(rest)) or 'none'}")
    return "\n".join(lines)


def _document(ended: Sequence[Ended], lacking: Sequence[str], code: int) -> dict[str, Any]:
    return {
        "cases": [
            {
                "name": item.case.name,
                "why": item.case.why,
                "expected": _expected(item),
                "got": item.got,
                "asExpected": not item.faults,
                "faults": list(item.faults),
            }
            for item in ended
        ],
        "lacking": list(lacking),
        "unexercised": list(unexercised(ended)),
        "reason": _REASON if code else None,
        "exitCode": code,
    }


def _expected(item: Ended) -> dict[str, Any] | str:
    refused = item.case.refused
    return "accepted" if refused is None else {"rule": refused.rule, "reason": refused.reason}
