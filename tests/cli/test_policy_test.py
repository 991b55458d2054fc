"""``lamslsa policy test``: cases out of folders, with real signatures and quotes of a simulated platform."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lamslsa._cli.challenge import ChallengeFile
from lamslsa._cli.main import main
from lamslsa._codec import sha256_hex
from lamslsa.artifact.manifest import FileEntry, Manifest
from lamslsa.evidence.nonce import Nonce
from lamslsa.policy.cases import parse_case
from tests.cli.conftest import Cli
from tests.cli.world import NOW, World

AT = NOW.isoformat().replace("+00:00", "Z")
MakeCase = Callable[..., Path]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A model that its policy accepts."""
    world = World.of(tmp_path_factory.mktemp("world"))
    world.publish(Nonce.random())
    world.policy()
    return world


@pytest.fixture
def policy(world: World, tmp_path: Path) -> Path:
    for file in world.folder.glob("*.*"):
        if file.is_file():
            shutil.copy(file, tmp_path / file.name)
    return tmp_path / "policy.yaml"


@pytest.fixture
def case(world: World, policy: Path) -> MakeCase:
    """Writes a case: the good model and its attestations, unless told otherwise."""

    def make(name: str, expect: str, *, more: str = "", at: str = AT) -> Path:
        folder = policy.parent / "cases" / name
        shutil.copytree(world.model, folder / "model", ignore=shutil.ignore_patterns(".attestations"))
        shutil.copytree(world.model / ".attestations", folder / "attestations")
        (folder / "case.yaml").write_text(f"at: {at}\nexpect: {expect}\n{more}")
        return folder

    return make


def test_as_expected(cli: Cli, policy: Path, case: MakeCase) -> None:
    case("good", "accepted")
    shutil.rmtree(case("nothing", "{rule: accurate, reason: evaluation-missing}") / "attestations")
    code, document, err = cli("policy", "test", policy)
    assert (code, document["reason"], err) == (0, None, "")
    assert [(item["name"], item["asExpected"]) for item in document["cases"]] == [("good", True), ("nothing", True)]
    assert document["cases"][1]["expected"] == {"rule": "accurate", "reason": "evaluation-missing"}
    assert "accurate" not in document["unexercised"]
    assert {"training", "fair by sex", "no leakage", "ingredient: census-train"} <= set(document["unexercised"])


def test_another_reason_is_not_as_expected(cli: Cli, policy: Path, case: MakeCase) -> None:
    case("good", "accepted")
    folder = case("nothing", "{rule: accurate, reason: threshold-missed}")
    shutil.rmtree(folder / "attestations")
    code, document, _ = cli("policy", "test", policy)
    assert (code, document["reason"]) == (5, "policy-test")
    assert any("accurate [evaluation-missing]" in fault for fault in document["cases"][1]["faults"])
    assert "accurate" in document["unexercised"]


def test_accepted_and_not_expected(cli: Cli, policy: Path, case: MakeCase) -> None:
    case("good", "accepted")
    case("too good", "{rule: accurate, reason: threshold-missed}")
    code, document, _ = cli("policy", "test", policy)
    assert code == 5
    assert document["cases"][1]["faults"] == ["the model was accepted"]


def test_refused_and_not_expected(cli: Cli, policy: Path, case: MakeCase) -> None:
    case("nothing", "{rule: accurate, reason: evaluation-missing}")
    shutil.rmtree(policy.parent / "cases" / "nothing" / "attestations")
    folder = case("bad", "accepted")
    (folder / "model" / "model.json").write_text("{ }")
    code, document, _ = cli("policy", "test", policy)
    assert code == 5
    assert any("[model-other]" in fault for fault in document["cases"][0]["faults"])


@pytest.mark.parametrize("expect", ["accepted", "{rule: accurate, reason: evaluation-missing}"])
def test_both_kinds_are_needed(expect: str, cli: Cli, policy: Path, case: MakeCase) -> None:
    """A policy that accepts everything, or refuses everything, passes the cases of one kind."""
    folder = case("one", expect)
    if expect != "accepted":
        shutil.rmtree(folder / "attestations")
    code, document, _ = cli("policy", "test", policy)
    assert document["cases"][0]["asExpected"]
    assert (code, len(document["lacking"])) == (5, 1)


def test_a_policy_that_is_not_in_force(cli: Cli, policy: Path, case: MakeCase) -> None:
    """No verdict is a case of its own, and shows nothing of any rule."""
    case("good", "accepted")
    case("late", "{reason: policy-expired}", at="2030-01-01T00:00:00Z")
    code, document, _ = cli("policy", "test", policy)
    assert [item["asExpected"] for item in document["cases"]] == [True, True]
    assert (code, document["lacking"]) == (5, ["a case that a rule refuses"])


def test_expired_and_not_expected(cli: Cli, policy: Path, case: MakeCase) -> None:
    case("late", "accepted", at="2030-01-01T00:00:00Z")
    code, document, _ = cli("policy", "test", policy)
    assert code == 5
    assert document["cases"][0]["got"] == "no verdict: policy-expired"


def test_a_manifest_will_do(cli: Cli, policy: Path, case: MakeCase) -> None:
    case("nothing", "{rule: accurate, reason: model-other}")
    folder = policy.parent / "cases" / "nothing"
    shutil.rmtree(folder / "model")
    other = Manifest.of("model", [FileEntry(path="model.json", sha256=sha256_hex(b"{ }"), size=3)])
    (folder / "other.json").write_bytes(other.canonical)
    with (folder / "case.yaml").open("a") as file:
        file.write("model: other.json\n")
    case("good", "accepted")
    code, document, _ = cli("policy", "test", policy)
    assert code == 0, document


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("modle: model\n", "yaml-unknown-key"),
        ("attestations: [elsewhere]\n", "policy-cases"),
        ("model: elsewhere\n", None),
        ("collateral: [elsewhere]\n", None),
    ],
)
def test_a_case_that_cannot_be_read(more: str, reason: str | None, cli: Cli, policy: Path, case: MakeCase) -> None:
    case("good", "accepted", more=more)
    code, document, _ = cli("policy", "test", policy)
    assert code == 3
    assert reason is None or document["error"]["reason"] == reason


def test_no_cases(cli: Cli, policy: Path) -> None:
    code, document, _ = cli("policy", "test", policy)
    assert (code, document["error"]["reason"]) == (3, "policy-cases")
    code, _, _ = cli("policy", "test", f"https://policies.example/p.yaml@sha256:{'a' * 64}")
    assert code == 2


def test_text(policy: Path, case: MakeCase, capsys: pytest.CaptureFixture[str]) -> None:
    case("good", "accepted", more="why: nothing was changed\n")
    case("too good", "{rule: accurate, reason: threshold-missed}", more="why: it is not\n")
    assert main(["policy", "test", str(policy)]) == 5
    out = capsys.readouterr().out
    assert "good      accepted                             ok\n" in out
    assert "too good  refused, accurate: threshold-missed  FAILED\n" in out
    assert "too good: expected otherwise, got accepted\n  the model was accepted\n  it is not\n" in out
    assert "1 of 2 cases came out as expected\nrules that no case shows to refuse: " in out


def test_what_a_case_says() -> None:
    data = b"""why: shown
at: 2026-11-22T00:00:00Z
now: 2026-11-23T00:00:00Z
model: manifest.json
attestations: [a, b.sigstore.json]
collateral: [c]
challenge: challenge.json
expect: {rule: "ingredient: census-train", reason: ingredient-not-listed}
"""
    case = parse_case(data, name="one", source="case.yaml")
    assert (case.now - case.at).days == 1
    assert (case.model, case.attestations, case.collateral) == ("manifest.json", ("a", "b.sigstore.json"), ("c",))
    assert str(case.refused) == "ingredient: census-train: ingredient-not-listed"


def test_a_challenge(cli: Cli, tmp_path: Path) -> None:
    """Age counts from the challenge, which is not used up: the case comes out alike however often it is run."""
    challenge = ChallengeFile.new(tmp_path / "challenge.json", now=NOW)
    (tmp_path / "world").mkdir()
    world = World.of(tmp_path / "world")
    world.publish(Nonce.of_challenge(challenge.challenge.nonce))
    policy = world.policy(max_age="1d")
    names = "model: ../../census-mlp\nattestations: [../../census-mlp/.attestations]\n"
    for name, expect in {"with": "accepted", "without": "{rule: accurate, reason: age-unknown}"}.items():
        folder = world.folder / "cases" / name
        folder.mkdir(parents=True)
        shutil.copy(tmp_path / "challenge.json", folder / "challenge.json")
        asked = "challenge: challenge.json\n" if name == "with" else ""
        (folder / "case.yaml").write_text(f"at: {AT}\nexpect: {expect}\n{names}{asked}")
    for _ in range(2):
        code, document, _ = cli("policy", "test", policy)
        assert code == 0, document
