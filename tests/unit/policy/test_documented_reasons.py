"""The table of reasons in policies/README.md: each that a verdict can have, with its exit code, and no other."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "lamslsa"
REASON = re.compile(r"[a-z]+(?:-[a-z]+)+")
# Errors of whoever calls; a reason where there is always something to say it of; and words that are no reasons.
NO_VERDICT = {"artifact-kind", "policy-empty"}
NEVER_SAID = {"ingredient-missing"}
NO_REASONS = {"not-evaluated", "cel-all", "cel-label", "date-time"}
NO_REASONS |= {"compared-with", "derived-from", "evaluated-on", "inferred-on", "overlaps-with", "trained-on"}
# Put together, out of the kind of what stands twice.
JOINED = {"lineage-dataset-twice", "lineage-model-twice"}


def _engine() -> Iterator[Path]:
    """The modules whose words are reasons of a verdict, and those that read policies."""
    for folder in ("policy", "policy/cel", "evidence/appraise"):
        yield from sorted((PACKAGE / folder).glob("*.py"))
    yield PACKAGE / "lineage.py"


def _words() -> set[str]:
    """All words of these modules that look like a reason."""
    constants = (
        node.value
        for path in _engine()
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Constant)
    )
    return {word for word in constants if isinstance(word, str) and REASON.fullmatch(word)}


def _table() -> dict[str, str]:
    """The exit codes of every reason, as the table has them."""
    section = (ROOT / "policies" / "README.md").read_text().partition("\n## Why a rule was refused\n")[2]
    found: dict[str, str] = {}
    for line in section.partition("\n## ")[0].splitlines():
        if line.startswith("| `"):
            reasons, code, _ = (cell.strip() for cell in line.strip("|").split("|"))
            for reason in re.findall(r"`([^`]+)`", reasons):
                assert reason not in found, f"{reason} stands twice"
                found[reason] = code
    return found


def test_every_reason_of_a_verdict_is_in_the_table_or_refuses_a_file() -> None:
    """Why a policy cannot be read is told in docs/refusals.md, which has a test of its own."""
    of_files = set(re.findall(r"\| `([^`]+)` \|", (ROOT / "docs" / "refusals.md").read_text()))
    told = _table().keys() | of_files | NO_VERDICT | NEVER_SAID | NO_REASONS
    assert _words() - told == set()


def test_the_table_has_no_reason_that_nothing_says() -> None:
    said = _words()
    assert _table().keys() - said == JOINED
    assert said >= NO_VERDICT | NEVER_SAID | NO_REASONS, "an exception that is none any more"


def test_exit_codes_are_those_of_the_vectors() -> None:
    """5 where everything that refuses may end in 5, 4 where something may end in 4."""
    table = _table()
    assert set(table.values()) <= {"4", "5", "4, 5", ""}
    tried = 0
    for path in sorted((ROOT / "tests" / "vectors").glob("*/*/expected.json")):
        expected = json.loads(path.read_bytes())
        refused = [said[1] for said in expected.get("rules", {}).values() if said[0] == "refused"]
        if refused and expected["exitCode"] == 5:
            tried += 1
            assert [reason for reason in refused if "5" not in table[reason]] == [], path
        elif refused:
            tried += 1
            assert expected["exitCode"] == 4
            assert any("4" in table[reason] for reason in refused), path
    assert tried > 100
