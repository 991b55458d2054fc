"""Every example from its data to its card, with what must be refused on the way."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.forking import forked

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
NAMES = ("census-int8", "digits", "german-credit", "movie-snippets", "three-organisations")
DATA = {"three-organisations": "german-credit"}


def _load(name: str) -> ModuleType:
    path = EXAMPLES / name / f"{name.replace('-', '_')}.py"
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


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
    example = _load(name)
    with forked(sys.modules["walk"]):
        example.run(example.Example, tmp_path / name, data=data)
    said = capfd.readouterr().out
    assert "ACCEPTED under" in said
    assert said.count("\n  refused (") == len(example.Example(tmp_path, data).cases())
    assert "simulated" in (tmp_path / name / "CARD.md").read_text(encoding="utf-8").lower()
