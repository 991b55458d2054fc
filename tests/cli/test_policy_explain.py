"""``lamslsa policy explain``, against golden texts.

REGENERATE=1 writes them anew, to be read before they are committed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lamslsa._cli.main import main
from tests.cli.conftest import Cli

ROOT = Path(__file__).parents[2]
BASE = ROOT / "tests" / "vectors" / "policy" / "base"
GOLDEN = Path(__file__).parent / "golden"
RICH = Path(__file__).parent / "policies" / "rich.yaml"


@pytest.fixture
def policies(tmp_path: Path) -> dict[str, Path]:
    """The base policy, and one that says everything that there is to say."""
    for file in BASE.iterdir():
        (tmp_path / file.name.replace("policy.yaml", "base.yaml")).write_bytes(file.read_bytes())
    (tmp_path / "rich.yaml").write_bytes(RICH.read_bytes())
    return {name: tmp_path / f"{name}.yaml" for name in ("base", "rich")}


@pytest.mark.parametrize("name", ["base", "rich"])
def test_golden(
    name: str, policies: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["policy", "explain", str(policies[name])]) == 0
    out = capsys.readouterr().out
    golden = GOLDEN / f"policy-explain-{name}.txt"
    if os.environ.get("REGENERATE"):
        golden.write_text(out)
    assert out == golden.read_text()


def test_it_wraps_to_the_terminal(
    policies: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {}
    for columns in ("60", "100"):
        monkeypatch.setenv("COLUMNS", columns)
        assert main(["policy", "explain", str(policies["base"])]) == 0
        texts[columns] = capsys.readouterr().out
        said = [line for line in texts[columns].splitlines() if line.startswith("  ")]
        assert max(map(len, said)) <= int(columns)
    assert texts["60"].split() == texts["100"].split()


def test_json(policies: dict[str, Path], cli: Cli) -> None:
    code, document, err = cli("policy", "explain", policies["base"])
    assert (code, err) == (0, "")
    sections = {section["title"]: section["items"] for section in document["sections"]}
    assert [item["about"] for item in sections["What must hold"]] == [
        "rule accurate",
        "rule fair by sex",
        "rule accurate for black women",
        "rule no leakage",
    ]


def test_names_of_the_author_do_no_harm(policies: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = policies["base"]
    path.write_text(path.read_text().replace("name: accurate\n", 'name: "accu\\u001b[31mrate"\n'))
    code = main(["policy", "explain", str(path)])
    assert "\x1b" not in capsys.readouterr().out
    assert code in (0, 3)
