"""Every example from its data to its card, with what must be refused on the way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.forking import forked
from tests.loading import load_script

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
NAMES = ("census-int8", "digits", "german-credit", "movie-snippets", "three-organisations")
DATA = {"three-organisations": "german-credit"}


def test_every_example_is_here() -> None:
    found = {path.parent.name for path in EXAMPLES.glob("*/job.yaml")}
    assert found == set(NAMES)
    for name in NAMES:
        assert (EXAMPLES / name / "policy.yaml.in").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_example(name: str, adult: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = adult if name == "census-int8" else ROOT / "build" / "examples" / DATA.get(name, name) / "data"
    if not data.exists():
        pytest.fail(f"expected the data of the example in {data}: make examples-data")
    example = load_script(EXAMPLES / name / f"{name.replace('-', '_')}.py", f"example_{name.replace('-', '_')}")
    with forked(sys.modules["walk"]):
        example.run(example.Example, tmp_path / name, data=data)
    said = capfd.readouterr().out
    assert "ACCEPTED under" in said
    assert said.count("\n  refused (") == len(example.Example(tmp_path, data).cases())
    assert "simulated" in (tmp_path / name / "CARD.md").read_text(encoding="utf-8").lower()
