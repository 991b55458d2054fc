"""``lamslsa policy diff``: terms, and verdicts on a model with real signatures and quotes of a simulated platform."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lamslsa._cli.main import main
from lamslsa.evidence.nonce import Nonce
from tests.cli.conftest import Cli
from tests.cli.world import NOW, World

Stricter = Callable[..., Path]
BASE = Path(__file__).parents[1] / "vectors" / "policy" / "base"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World.of(tmp_path_factory.mktemp("world"))
    world.publish(Nonce.random())
    world.policy()
    return world


@pytest.fixture
def world(published: World, tmp_path: Path) -> Path:
    """A folder with the policy, its files, the model and its attestations."""
    shutil.copytree(published.folder, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def edited(world: Path) -> Stricter:
    """Another policy beside the first one, with edits."""

    def make(*edits: tuple[str, str]) -> Path:
        text = (world / "policy.yaml").read_text()
        for old, new in edits:
            assert old in text, old
            text = text.replace(old, new)
        (world / "other.yaml").write_text(text)
        return world / "other.yaml"

    return make


def test_the_same(cli: Cli, world: Path, edited: Stricter) -> None:
    """A comment changes the digest, and nothing that decides."""
    other = edited(("\ntrust:", "\n# reviewed\ntrust:"))
    code, document, err = cli("policy", "diff", world / "policy.yaml", other)
    assert (code, document["reason"], document["terms"], document["files"], err) == (0, None, [], [], "")
    assert document["policies"][0]["closure"] != document["policies"][1]["closure"]
    code, document, _ = cli("policy", "diff", world / "policy.yaml", other, world / "census-mlp")
    assert (code, document["verdicts"], document["compared"]) == (0, [], 1)


def test_a_threshold(cli: Cli, world: Path, edited: Stricter) -> None:
    other = edited(("min: 0.84", "min: 0.99"))
    code, document, _ = cli("policy", "diff", world / "policy.yaml", other)
    assert (code, document["reason"]) == (5, "policies-differ")
    (term,) = document["terms"]
    assert term["about"] == "rule accurate"
    assert "at least 0.84" in term["before"]
    assert "at least 0.99" in term["after"]

    code, document, _ = cli("policy", "diff", world / "policy.yaml", other, world / "census-mlp")
    assert (code, document["reason"]) == (5, "verdicts-differ")
    (verdict,) = document["verdicts"]
    assert (verdict["before"], verdict["after"]) == ("accepted", "refused")
    (rule,) = verdict["rules"]
    assert (rule["name"], rule["before"]["outcome"], rule["after"]["reason"]) == (
        "accurate",
        "satisfied",
        "threshold-missed",
    )


def test_terms_that_change_no_verdict(cli: Cli, world: Path, edited: Stricter) -> None:
    other = edited(("min: 0.84", "min: 0.83"))
    code, document, _ = cli("policy", "diff", world / "policy.yaml", other, world / "census-mlp")
    assert (code, document["reason"], len(document["terms"])) == (0, None, 1)


def test_rules_that_only_one_has(cli: Cli, world: Path, edited: Stricter) -> None:
    """One that is satisfied changes no verdict; one that refuses does."""
    text = (world / "policy.yaml").read_text()
    rule = text[text.index("  - name: accurate\n") : text.index("  - name: fair by sex\n")]
    more = rule.replace("name: accurate", "name: more")
    other = edited((rule, rule + more))
    code, document, _ = cli("policy", "diff", world / "policy.yaml", other, world / "census-mlp")
    assert (code, document["terms"][0]["before"]) == (0, None)
    other = edited((rule, rule + more.replace("0.84", "0.99")))
    code, document, _ = cli("policy", "diff", world / "policy.yaml", other, world / "census-mlp")
    assert code == 5
    assert document["verdicts"][0]["rules"][0]["before"] is None


def test_attestations_are_those_that_are_named(cli: Cli, world: Path, edited: Stricter) -> None:
    other = edited(("min: 0.84", "min: 0.99"))
    shutil.move(world / "census-mlp" / ".attestations", world / "bundles")
    words = ("policy", "diff", world / "policy.yaml", other, world / "census-mlp")
    code, document, _ = cli(*words)
    assert (code, document["verdicts"]) == (0, []), "without attestations both refuse alike"
    code, document, _ = cli(*words, "--attestations", world / "bundles")
    assert (code, document["reason"]) == (5, "verdicts-differ")


def test_no_verdict_under_one(cli: Cli, world: Path, edited: Stricter) -> None:
    other = edited(("expires: 2027-06-30", "expires: 2020-01-01"))
    code, document, _ = cli("policy", "diff", world / "policy.yaml", other, world / "census-mlp")
    assert (code, document["verdicts"][0]["after"]) == (5, "no verdict [policy-expired]")


def test_at_another_time(cli: Cli, world: Path, edited: Stricter) -> None:
    other = edited(("expires: 2027-06-30", "expires: 2027-07-30"))
    words = ("policy", "diff", world / "policy.yaml", other, world / "census-mlp", "--all")
    code, document, _ = cli(*words, "--at", "2027-07-01T00:00:00Z")
    assert (code, document["verdicts"][0]["before"]) == (5, "no verdict [policy-expired]")
    assert cli("policy", "diff", world / "policy.yaml", other, "--at", "2027-07-01T00:00:00Z")[0] == 2


def test_cases(cli: Cli, world: Path, edited: Stricter) -> None:
    other = edited(("min: 0.84", "min: 0.99"))
    folder = world / "cases" / "good"
    folder.mkdir(parents=True)
    at = NOW.isoformat().replace("+00:00", "Z")
    names = "model: ../../census-mlp\nattestations: [../../census-mlp/.attestations]\n"
    (folder / "case.yaml").write_text(f"at: {at}\nexpect: accepted\n{names}")
    code, document, _ = cli("policy", "diff", world / "policy.yaml", other, "--cases", world / "cases")
    assert (code, document["verdicts"][0]["model"], document["verdicts"][0]["after"]) == (5, "good", "refused")


def test_a_file_that_is_replaced(cli: Cli, world: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The text is the same, and who may sign is not."""
    copy = tmp_path_factory.mktemp("copy")
    for file in world.iterdir():
        if file.is_file():
            shutil.copy(file, copy / file.name)
    shutil.copy(BASE / "auditor.pub", copy / "auditor.pub")
    code, document, _ = cli("policy", "diff", world / "policy.yaml", copy / "policy.yaml")
    assert (code, document["files"]) == (5, ["auditor.pub"])
    assert [term["about"] for term in document["terms"]] == ["identity auditor"]


def test_what_no_term_says(cli: Cli, world: Path, edited: Stricter) -> None:
    """What words and files do not tell apart is said to differ all the same."""
    shutil.copy(BASE / "tsa.pem", world / "tsa.pem")
    beacons = "trust:\n  beacons: {one: {timestampAuthority: tsa.pem}}\n"
    one = edited(("trust:\n", beacons)).rename(world / "one.yaml")
    two = edited(("trust:\n", beacons.replace("one:", "two:")))
    code, document, _ = cli("policy", "diff", one, two)
    assert (code, document["reason"], document["terms"], document["files"]) == (5, "policies-differ", [], [])
    assert document["unsaid"] is True


def test_text(world: Path, edited: Stricter, capsys: pytest.CaptureFixture[str]) -> None:
    other = edited(("min: 0.84", "min: 0.99"), ("epochs: {max: 50}", "epochs: {max: 60}"))
    assert main(["policy", "diff", str(world / "policy.yaml"), str(other), str(world / "census-mlp")]) == 5
    out = capsys.readouterr().out
    assert (
        "\nHow it was made\n- The parameter epochs is at most 50; a training that does not state it is refused.\n"
        in out
    )
    assert "+ The parameter epochs is at most 60; a training that does not state it is refused.\n" in out
    assert "census-mlp: accepted under A, refused under B\n! accurate\n    A: satisfied: >= 0.84 (lower bound)" in out
    assert "    B: refused [threshold-missed]: expected " in out
    assert "training" not in out.partition("under B\n")[2], "what is the same is not shown"
    assert out.endswith("\n1 of 1 verdicts differ\n")
    main(["policy", "diff", str(world / "policy.yaml"), str(other), str(world / "census-mlp"), "--all"])
    assert "\n  training\n" in capsys.readouterr().out
