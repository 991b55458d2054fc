"""What predicates/evaluation/v1/README.md says of each measurer's configuration is what the code has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from lamslsa import predicates
from lamslsa.measure.registry import BUILT_IN
from lamslsa.predicates.evaluation import DEFAULT_CONFIGURATIONS

TEXT: Final = (Path(__file__).parents[3] / "predicates" / "evaluation" / "v1" / "README.md").read_text(encoding="utf-8")


def _section(measurer: str) -> str:
    _, found = TEXT.split(f"## Measurer `{measurer}`\n")
    return found.split("\n## ", maxsplit=1)[0]


def test_every_measurer_has_a_section_and_no_other() -> None:
    assert sorted(re.findall(r"^## Measurer `([^`]+)`$", TEXT, flags=re.MULTILINE)) == list(
        BUILT_IN.names("evaluation")
    )


@pytest.mark.parametrize("measurer", BUILT_IN.names("evaluation"))
def test_a_section_has_every_key_and_the_digest_of_the_defaults(measurer: str) -> None:
    section, default = _section(measurer), DEFAULT_CONFIGURATIONS[measurer]
    assert predicates.configuration_digest(dict(default)) in section
    table = section.split("| key of `configuration` |")[1].split("\n\n", maxsplit=1)[0]
    listed = {
        key for row in table.splitlines() for key in re.findall(r"`([^`]+)`", row.split("|")[1] if "|" in row else "")
    }
    assert listed == set(default)
