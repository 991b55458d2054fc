"""``lamslsa policy lint``: does this policy say what its author means?"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from lamslsa import _yaml
from lamslsa._cli import stores, ui
from lamslsa._cli.policy_source import read_policy
from lamslsa.errors import LamslsaError, PolicyError
from lamslsa.policy.lint import Finding, Severity, lint
from lamslsa.policy.opening import OpenedPolicy

__all__ = ["command"]

_COLOURS: Final = {"error": "red", "warning": "yellow", "info": "cyan"}
_NUMBERS: Final[Mapping[Severity, tuple[str, str]]] = {
    "error": ("error", "errors"),
    "warning": ("warning", "warnings"),
    "info": ("note", "notes"),
}
_REASON: Final = "policy-lint"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """A policy that was looked at; either what was found, or why it cannot be read."""

    name: str
    opened: OpenedPolicy | None = None
    findings: tuple[Finding, ...] = ()
    error: LamslsaError | None = None

    def exit_code(self, *, strict: bool) -> int:
        if self.error is not None:
            return self.error.exit_code
        failing = {"error", "warning"} if strict else {"error"}
        return PolicyError.exit_code if any(item.severity in failing for item in self.findings) else 0


@click.command("lint")
@click.argument("policies", metavar="POLICY...", nargs=-1, required=True)
@click.option("--strict", is_flag=True, help="Warnings fail as well.")
@stores.options
@ui.options
def command(policies: tuple[str, ...], strict: bool, options: stores.StoreOptions, output: ui.Output) -> int:
    """Look for what each POLICY says and its author may not mean.

    A POLICY is a file, https://…@sha256:… or oci://…@sha256:… Policies that it extends have files of their own: name
    them as well. Exit code 3: one cannot be read; 5, with the reason policy-lint: one has an error, or under --strict a
    warning. policies/lint.md describes every finding.

    \b
    Example:
      lamslsa policy lint policy.yaml
      lamslsa policy lint policies/*.yaml --strict --format json
    """
    now = dt.datetime.now(dt.UTC)
    looked = [_look(name, options, now) for name in policies]
    if len(looked) == 1 and looked[0].error is not None:
        raise looked[0].error
    codes = {item.exit_code(strict=strict) for item in looked} - {0}
    code = min(codes, default=0)
    output.result(_text(looked), _document(looked, code))
    for item in looked:
        if item.error is not None:
            ui.error(item.error, as_json=False)
    return code


def _look(name: str, options: stores.StoreOptions, now: dt.datetime) -> _Looked:
    try:
        opened = read_policy(name, options=options)
        root = _yaml.loads(opened.data, source=name)
    except LamslsaError as err:
        return _Looked(name=name, error=err)
    return _Looked(name=name, opened=opened, findings=lint(opened.policy, root, now=now))


def _text(looked: Sequence[_Looked]) -> str:
    lines: list[str] = []
    for item in looked:
        if item.opened is None:
            lines += [f"{ui.plain(item.name)}  cannot be read", ""]
            continue
        policy = item.opened.policy
        lines.append(f"{ui.plain(item.name)}  {ui.plain(policy.name)}")
        lines.append(f"  file     sha256:{policy.sha256}")
        lines.append(
            f"  closure  sha256:{policy.closure}  ({_count(len(item.opened.files), 'file', 'files')} beside it)"
        )
        for finding in item.findings:
            severity = ui.style(finding.severity, _COLOURS[finding.severity], bold=True)
            lines.append(f"  {finding.line}:{finding.column}  {severity}  {finding.rule}")
            lines += [f"      {ui.plain(finding.message)}", f"      → {ui.hanging(finding.mend, 8)}"]
        lines += [f"  {_summary(item.findings)}", ""]
    return "\n".join(lines[:-1])


def _summary(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    words = [_count(counts[severity], *names) for severity, names in _NUMBERS.items() if counts[severity]]
    return ", ".join(words) or "nothing found"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _document(looked: Sequence[_Looked], code: int) -> dict[str, Any]:
    return {
        "policies": [_one(item) for item in looked],
        "reason": _REASON if code == PolicyError.exit_code else None,
        "exitCode": code,
    }


def _one(item: _Looked) -> dict[str, Any]:
    if item.opened is None:
        err = item.error
        error = None if err is None else {"reason": err.reason, "message": str(err), "hint": err.hint}
        return {"source": item.name, "error": error}
    policy = item.opened.policy
    return {
        "source": item.name,
        "name": policy.name,
        "sha256": policy.sha256,
        "closure": policy.closure,
        "files": sorted(item.opened.files),
        "findings": [
            {
                "rule": finding.rule,
                "severity": finding.severity,
                "line": finding.line,
                "column": finding.column,
                "where": finding.where,
                "message": finding.message,
                "mend": finding.mend,
            }
            for finding in item.findings
        ],
    }
