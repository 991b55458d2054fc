"""``lamslsa verify --materialize``: what was judged is what is copied, and nothing else ever is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamslsa._cli.gathered import Gathered
from lamslsa._cli.main import main
from lamslsa.artifact import hash_artifact
from lamslsa.evidence.nonce import Nonce
from lamslsa.policy import Appraisal
from tests.cli.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "world").mkdir()
    world = World.of(tmp_path / "world")
    world.publish(Nonce.random())
    return world


def verify(world: World, *more: str | Path) -> int:
    return main(["verify", str(world.model), "--policy", str(world.policy()), *map(str, more)])


def test_an_accepted_model_is_copied_without_its_attestations(world: World, tmp_path: Path) -> None:
    target = tmp_path / "new" / "copy"
    assert verify(world, "--materialize", target) == 0
    assert hash_artifact(target, "model") == hash_artifact(world.model, "model")
    assert not (target / ".attestations").exists()
    assert verify(world, "--materialize", target) == 0, "it holds this very model"


def test_a_refused_model_is_not(world: World, tmp_path: Path) -> None:
    (world.model / "model.json").write_text("[]")
    assert verify(world, "--materialize", tmp_path / "copy") == 4
    assert not (tmp_path / "copy").exists()


@pytest.fixture
def swap(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Others write the model once it has been judged."""
    judged = Gathered.appraise

    def swapped(text: str) -> None:
        def appraise(gathered: Gathered, *names: Any) -> Appraisal:
            appraisal = judged(gathered, *names)
            (world.model / "model.safetensors").write_text(text)
            return appraisal

        monkeypatch.setattr(Gathered, "appraise", appraise)

    return swapped


@pytest.mark.parametrize("text", ["wEights", "", "weights and more"])
def test_what_is_changed_after_the_verdict_is_not_copied(
    world: World, tmp_path: Path, swap: Callable[[str], None], text: str
) -> None:
    swap(text)
    report = tmp_path / "report.json"
    assert verify(world, "--materialize", tmp_path / "copy", "--output", f"json={report}") == 3
    assert not (tmp_path / "copy").exists()
    assert not report.exists()


def test_what_is_in_the_way_stays(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "mine.txt").write_text("mine")
    assert verify(world, "--materialize", tmp_path / "copy", "--format", "json") == 3
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["mine.txt"]
    capsys.readouterr()


def test_an_archive_has_no_bytes_to_copy(world: World, tmp_path: Path) -> None:
    archive = tmp_path / "audit.zip"
    assert main(["export", str(world.model), "--policy", str(world.policy()), "--to", str(archive)]) == 0
    assert main(["verify", str(archive), "--materialize", str(tmp_path / "copy")]) == 2
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("env://LAMSLSA_POLICY@sha256:" + "0" * 64, 3),
        ("env://LAMSLSA_POLICY", 3),
        ("env://lamslsa@sha256:" + "0" * 64, 3),
    ],
)
def test_a_policy_that_is_in_no_variable(world: World, monkeypatch: pytest.MonkeyPatch, place: str, code: int) -> None:
    monkeypatch.delenv("LAMSLSA_POLICY", raising=False)
    assert main(["verify", str(world.model), "--policy", place]) == code
