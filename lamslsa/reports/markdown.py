"""An appraisal for the summary of a CI job: CommonMark with GitHub's tables, refusals first.

Text that is not ours goes through `lamslsa.cards._inline`, which lets it start no markup, link, mention or HTML.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from lamslsa.cards import _text
from lamslsa.cards._inline import Inline, code, own, own_headers, quoted, table, tee_text
from lamslsa.policy.appraisal import Appraisal, RuleResult
from lamslsa.reports._nested import nested, words
from lamslsa.reports.interface import About
from lamslsa.reports.text import SHOWN, SIMULATED, WITHOUT_TEE, refusals, verdict

__all__ = ["render"]

_MARKS: Final = {"refused": "❌ refused", "not-evaluated": "❔ not evaluated", "satisfied": "✅ satisfied"}
_MAX_SAID: Final = 4000
_SPELLED_OUT: Final = {ord("`"): "⟨U+0060⟩", ord("|"): "⟨U+007C⟩"}


def render(appraisal: Appraisal, about: About) -> bytes:
    """The summary, in UTF-8."""
    return ("\n\n".join(_blocks(appraisal, about)) + "\n").encode()


def _blocks(appraisal: Appraisal, about: About) -> Iterator[str]:
    satisfied = sum(rule.outcome == "satisfied" for rule in appraisal.rules)
    word = "✅ Accepted" if appraisal.accepted else "❌ Refused"
    code_words = "" if appraisal.accepted else f", exit code {appraisal.exit_code}"
    yield f"## {word}: {quoted(appraisal.model_name)}"
    yield (
        f"{satisfied} of {len(appraisal.rules)} rules of {quoted(appraisal.policy_name)} satisfied{code_words}."
        + ("" if about.files_read else " Of the model its manifest was read, and no file.")
    )
    if any(rule.simulated for rule in appraisal.rules):
        yield f"> **⚠ {SIMULATED}**"
    if appraisal.without_tee:
        yield f"> **⚠ {WITHOUT_TEE}**"
    yield from _refused(appraisal)
    ordered = [rule for outcome in _MARKS for rule in appraisal.rules if rule.outcome == outcome]
    if ordered:
        yield table(own_headers("", "Rule", "Observed", "Threshold", "Signed by", "TEE"), map(_row, ordered))
    within = [f"- {_said(words(found))}: {_said(verdict(found.appraisal))}" for found in nested(appraisal)]
    if within:
        yield "### Within this verdict"
        yield "\n".join(within)
    if appraisal.set_aside:
        yield "### Set aside"
        yield "\n".join(_set_aside(appraisal))
    if appraisal.warnings:
        yield "### Warnings"
        yield "\n".join(f"- {_said(warning)}" for warning in appraisal.warnings)
    yield "### What was judged"
    yield "\n".join(
        (
            f"- Model: `sha256:{appraisal.model}`",
            f"- Policy: `sha256:{appraisal.policy_sha256}`",
            f"- Policy with its files: `sha256:{appraisal.policy_closure}`",
            *([] if about.archive is None else [f"- Archive: `sha256:{about.archive.sha256}`"]),
            f"- As of: {appraisal.now:%Y-%m-%d %H:%M:%S} UTC",
        )
    )


def _refused(appraisal: Appraisal) -> Iterator[str]:
    lines: list[str] = []
    for names, rule in refusals(appraisal):
        lines.append(f"- **{', '.join(map(quoted, names))}** ({code(rule.reason or 'refused')}): {_said(rule.message)}")
        if rule.mend:
            lines += _mend(rule.mend)
    if lines:
        yield "### What was refused"
        yield "\n".join(lines)


def _mend(text: str) -> Iterator[str]:
    """What to do, and below it in a fence what to write; without a backtick in it nothing ends the fence."""
    first, *lines = text.split("\n")
    yield f"  - To mend it: {_said(first)}"
    if lines:
        yield "    ```yaml"
        yield from (f"    {_text.clean(line, _MAX_SAID).translate(_SPELLED_OUT)}" for line in lines)
        yield "    ```"


def _said(text: str) -> Inline:
    """A message: prose if harmless, else a code span, which may be longer than a name is."""
    if len(text) < _text.MAX_TEXT:
        return quoted(text)
    return own(f"`{_text.clean(text, _MAX_SAID).translate(_SPELLED_OUT).strip()}`")


def _row(rule: RuleResult) -> Sequence[Inline]:
    return (
        own(_MARKS[rule.outcome]),
        quoted(rule.name),
        quoted(rule.observed or "-"),
        quoted(rule.threshold),
        quoted(rule.signer or "-"),
        tee_text(rule.tee or "-"),
    )


def _set_aside(appraisal: Appraisal) -> Iterator[str]:
    for item in appraisal.set_aside[:SHOWN]:
        yield f"- {quoted(item.source)} ({code(item.reason)}): {_said(item.message)}"
    if len(appraisal.set_aside) > SHOWN:
        yield f"- {len(appraisal.set_aside) - SHOWN} more"
