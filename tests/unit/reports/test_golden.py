"""Every format, of an acceptance and of a refusal, against a golden file.

`pytest tests/unit/reports/test_golden.py --update-golden` writes the files and the published schema anew: read the
difference before it is committed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lamslsa.policy import Appraisal
from lamslsa.reports import FORMATS, About, Format, render
from lamslsa.reports import json as documents

GOLDEN = Path(__file__).parent / "golden"
SCHEMA = Path(__file__).parents[3] / "policies" / "appraisal.schema.json"
ABOUT = About(
    policy="policies/census income.yaml",
    model="oci://registry.example/census@sha256:" + "1" * 64,
    verifier="https://deployer.example/verifier",
    version="0.0.0",
)
SUFFIXES = {"text": "txt", "junit": "xml", "markdown": "md"}
CASES = [
    (word, verdict) for word in FORMATS for verdict in ("accepted", "refused") if (word, verdict) != ("svr", "refused")
]


@pytest.mark.parametrize(("word", "verdict"), CASES)
def test_golden(
    word: Format, verdict: str, accepted: Appraisal, refused: Appraisal, request: pytest.FixtureRequest
) -> None:
    made = render(accepted if verdict == "accepted" else refused, format=word, about=ABOUT)
    golden = GOLDEN / f"{word}-{verdict}.{SUFFIXES.get(word, 'json')}"
    if request.config.getoption("--update-golden"):
        golden.write_bytes(made)
    assert made == golden.read_bytes()


def test_no_golden_is_left_over() -> None:
    expected = {f"{word}-{verdict}.{SUFFIXES.get(word, 'json')}" for word, verdict in CASES}
    assert {path.name for path in GOLDEN.iterdir()} == expected


def test_the_published_schema_is_that_of_the_model_in_code(request: pytest.FixtureRequest) -> None:
    text = json.dumps(documents.schema(), indent=2) + "\n"
    if request.config.getoption("--update-golden"):
        SCHEMA.write_text(text, encoding="utf-8")
    assert SCHEMA.read_text(encoding="utf-8") == text
