"""An appraisal for the terminal: aligned columns, then each refusal with what would mend it, and the verdict last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lamslsa._plain import hanging, plain, table
from lamslsa.policy.appraisal import Appraisal, RuleResult
from lamslsa.reports._nested import nested, words
from lamslsa.reports.interface import About

__all__ = ["COLUMNS", "MARKS", "SHOWN", "SIMULATED", "WITHOUT_TEE", "refusals", "render", "rows", "verdict"]

COLUMNS: Final = ("", "rule", "observed", "threshold", "signed by", "TEE")
MARKS: Final = {"satisfied": "ok", "refused": "REFUSED", "not-evaluated": "-"}
SHOWN: Final = 20
"""How many bundles that were set aside are shown to people."""
SIMULATED: Final = "SIMULATED TEE: no hardware vouches for these values"
WITHOUT_TEE: Final = "NO TEE: where it reads none, the signer's word alone counts"
_RED, _GREEN, _YELLOW = 31, 32, 33
_COLOURS: Final = {"ok": _GREEN, "REFUSED": _RED}


def rows(appraisal: Appraisal) -> list[list[str]]:
    """One row a rule, in the order of `COLUMNS`; text from attestations as it is."""
    return [
        [MARKS[rule.outcome], rule.name, rule.observed or "-", rule.threshold, rule.signer or "-", rule.tee or "-"]
        for rule in appraisal.rules
    ]


def verdict(appraisal: Appraisal) -> str:
    """One line: the decision, and how many rules it rests on."""
    satisfied = sum(rule.outcome == "satisfied" for rule in appraisal.rules)
    word = "ACCEPTED" if appraisal.accepted else "REFUSED"
    code = "" if appraisal.accepted else f" (exit code {appraisal.exit_code})"
    return f"{word} under {appraisal.policy_name}: {satisfied} of {len(appraisal.rules)} rules satisfied{code}"


def refusals(appraisal: Appraisal) -> Iterator[tuple[list[str], RuleResult]]:
    """Refused rules, those with the same reason, message and mend together."""
    together: dict[tuple[str | None, str, str], list[RuleResult]] = {}
    for rule in appraisal.rules:
        if rule.outcome == "refused":
            together.setdefault((rule.reason, rule.message, rule.mend), []).append(rule)
    for found in together.values():
        yield [rule.name for rule in found], found[0]


def render(appraisal: Appraisal, about: About) -> bytes:
    """The appraisal for people."""
    lines = [
        f"model   {plain(appraisal.model_name)}  sha256:{appraisal.model}"
        + ("" if about.files_read else "  (its manifest; no file was read)"),
        f"policy  {plain(appraisal.policy_name)}  sha256:{appraisal.policy_sha256}",
        f"        with the files it names  sha256:{appraisal.policy_closure}",
        *([] if about.archive is None else [f"archive sha256:{about.archive.sha256}"]),
        "",
        *_table(appraisal, about),
        "",
    ]
    for names, rule in refusals(appraisal):
        lines.append(f"refused: {plain(', '.join(names))} [{rule.reason}]: {plain(rule.message)}")
        if rule.mend:
            lines.append(f"   mend: {hanging(rule.mend, 9)}")
    for item in appraisal.set_aside[:SHOWN]:
        lines.append(f"set aside: {plain(item.source)} [{item.reason}]: {plain(item.message)}")
        if item.hint:
            lines.append(f"   mend: {hanging(item.hint, 9)}")
    if len(appraisal.set_aside) > SHOWN:
        lines.append(f"set aside: {len(appraisal.set_aside) - SHOWN} more; --format json lists them")
    lines += [f"within: {plain(words(found))}: {plain(verdict(found.appraisal))}" for found in nested(appraisal)]
    lines += [f"warning: {plain(warning)}" for warning in appraisal.warnings]
    if any(rule.simulated for rule in appraisal.rules):
        lines.append(_styled(SIMULATED, _YELLOW, about))
    if appraisal.without_tee:
        lines.append(_styled(WITHOUT_TEE, _YELLOW, about))
    lines.append(_styled(plain(verdict(appraisal)), _GREEN if appraisal.accepted else _RED, about))
    return ("\n".join(lines) + "\n").encode(errors="backslashreplace")


def _table(appraisal: Appraisal, about: About) -> Iterator[str]:
    cells = [[plain(cell) for cell in row] for row in rows(appraisal)]
    head, rule, *body = table(COLUMNS, cells).split("\n")
    yield head
    yield rule
    for row, line in zip(cells, body, strict=True):
        mark = row[0]
        yield (_styled(mark, _COLOURS[mark], about) if mark in _COLOURS else mark) + line[len(mark) :]


def _styled(text: str, colour: int, about: About) -> str:
    return f"\x1b[{colour}m\x1b[1m{text}\x1b[0m" if about.colour else text
