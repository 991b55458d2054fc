"""Every test and vector that docs/threat-model.md names is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
TEXT: Final = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")


def test_named_tests_are_there() -> None:
    named = re.findall(r"`([\w./-]+\.py)::(test_\w+)`", TEXT)
    assert len(named) > 50
    for path, name in named:
        found = [folder / path for folder in (ROOT, ROOT / "tests" / "unit" / "measure") if (folder / path).is_file()]
        assert found, path
        assert re.search(rf"^ *def {name}\(", found[0].read_text(encoding="utf-8"), flags=re.MULTILINE), (path, name)


def test_named_vectors_are_there() -> None:
    named = re.findall(r"`(tests/vectors/[\w-]+/[\w-]+)`", TEXT)
    assert len(named) > 10
    for path in named:
        assert (ROOT / path / "case.json").is_file() or any((ROOT / path).iterdir()), path


def test_every_fault_of_the_published_artefact_has_a_test() -> None:
    section = TEXT.split("### What the published Laminator artefact got wrong")[1].split("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("|")][2:]
    assert len(rows) == 18
    for _, fault, _, tests, _ in rows:
        assert re.search(r"`tests/[^`]+`", tests), fault


def test_the_decision_has_a_refused_vector_for_each_attack() -> None:
    section = TEXT.split("Lines 6 to 8 are about the decision")[1].split("\n\nTwo of these")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| ")][1:]
    assert {line.strip() for _, line, *_ in rows} == {"6", "7", "8"}
    for _, line, attack, vectors, _ in rows:
        named = re.findall(r"`(tests/vectors/(?:policy|lineage)/[\w-]+_fail)`", vectors)
        assert named, (line, attack)
        for folder in named:
            expected = json.loads((ROOT / folder / "expected.json").read_text())
            assert expected["class"] in {"FormatError", "VerificationError", "PolicyError"}
            assert "reason" in expected or any(reason for _, reason in expected["rules"].values()), folder
