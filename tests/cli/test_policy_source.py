"""Policies from elsewhere and signed policies, from the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lamslsa.evidence.nonce import Nonce
from lamslsa.sign import KeySigner, generate
from lamslsa.testing.fixtures import local_sigstore
from lamslsa.testing.registry import Registry
from tests.cli.conftest import Cli
from tests.cli.world import World

__all__ = ["local_sigstore"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World.of(tmp_path)
    made.policy()
    made.publish(Nonce.random())
    return made


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """The private key of whoever publishes policies, with the public one beside it."""
    pem = generate(None)
    (tmp_path / "team.key").write_bytes(pem)
    (tmp_path / "team.pub").write_bytes(KeySigner.load(pem, None).public_pem)
    return tmp_path / "team.key"


def policy_of(world: World) -> Path:
    return world.folder / "policy.yaml"


class TestSigned:
    def test_a_signed_policy_decides(self, cli: Cli, world: World, team: Path) -> None:
        code, made, _ = cli("policy", "sign", policy_of(world), "--key", team)
        assert code == 0
        assert made["policy"]["closure"] != made["policy"]["sha256"]
        words = ["verify", world.model, "--policy", policy_of(world), "--policy-key", team.with_suffix(".pub")]
        code, verdict, _ = cli(*words)
        assert code == 0
        assert verdict["policy"]["closure"] == made["policy"]["closure"]
        policy_of(world).with_name("policy.yaml.sigstore.json").rename(world.folder / "elsewhere.json")
        assert cli(*words)[0] == 4
        assert cli(*words, "--policy-signature", world.folder / "elsewhere.json")[0] == 0

    @pytest.mark.parametrize("what", ["unsigned", "changed", "a key beside it", "somebody else"])
    def test_another_is_refused(self, cli: Cli, world: World, team: Path, what: str) -> None:
        signer = team.with_suffix(".pub")
        if what != "unsigned":
            assert cli("policy", "sign", policy_of(world), "--key", team)[0] == 0
        reason = "policy-signature-other"
        match what:
            case "unsigned":
                reason = "policy-unsigned"
            case "changed":
                policy_of(world).write_text(policy_of(world).read_text() + "# weaker\n")
            case "a key beside it":  # the text of the policy stays the same
                (world.folder / "auditor.pub").write_bytes(KeySigner.load(generate(None), None).public_pem)
            case _:
                signer, reason = world.folder / "auditor.pub", "signature-key"
        words = ["verify", world.model, "--policy", policy_of(world), "--policy-key", signer]
        code, document, said = cli(*words)
        assert (code, document["error"]["reason"] if document else reason) == (4, reason), said

    def test_usage(self, cli: Cli, world: World, team: Path) -> None:
        words = ["verify", world.model, "--policy", policy_of(world)]
        assert cli(*words, "--policy-signature", team)[0] == 2
        assert cli(*words, "--policy-identity", "a@b.example")[0] == 2
        assert cli(*words, "--policy-key", team.with_suffix(".pub"), "--policy-identity", "a@b.example")[0] == 2

    def test_nothing_is_written_over(self, cli: Cli, world: World, team: Path) -> None:
        assert cli("policy", "sign", policy_of(world), "--key", team)[0] == 0
        assert cli("policy", "sign", policy_of(world), "--key", team)[0] != 0


class TestElsewhere:
    def test_out_of_a_registry(self, cli: Cli, world: World, tmp_path: Path) -> None:
        folder = tmp_path / "published"
        folder.mkdir()
        for path in (policy_of(world), *world.folder.glob("*.pub"), *world.folder.glob("*.pem")):
            (folder / path.name).write_bytes(path.read_bytes())
        with Registry(tmp_path / "registry") as registry:
            place = f"oci://{registry.host}/acme/policies"
            code, pushed, _ = cli("push", folder, place, "--plain-http")
            assert code == 0
            pinned = pushed["reference"]
            words = ["verify", world.model, "--plain-http", "--policy"]
            assert cli(*words, pinned)[0] == 0
            assert cli(*words, place)[0] == 3  # any other digest could be there tomorrow
            other = re.sub(r"[0-9a-f]{64}$", "5a" * 32, pinned)
            assert cli(*words, other)[0] in (3, 6)
            text = policy_of(world).read_text()
            policy_of(world).write_text(text.replace("\ntrust:", f"\nextends: ['{pinned}']\n\ntrust:", 1))
            code, verdict, _ = cli(*words, policy_of(world))
            assert code == 0
            assert any(rule["name"].startswith("extends: ") for rule in verdict["rules"])

    def test_a_place_that_is_not_pinned(self, cli: Cli, world: World) -> None:
        code, document, _ = cli("verify", world.model, "--policy", "https://policies.example/census.yaml")
        assert code == 3
        assert document["error"]["reason"] == "policy-source"

    def test_a_policy_that_extends_another_is_exported_with_it(self, cli: Cli, world: World, tmp_path: Path) -> None:
        text = policy_of(world).read_text()
        (world.folder / "base.yaml").write_text(text)
        policy_of(world).write_text(text.replace("\ntrust:", "\nextends: [base.yaml]\n\ntrust:", 1))
        archive = tmp_path / "audit.zip"
        assert cli("export", world.model, "--policy", policy_of(world), "--to", archive)[0] == 0
        code, verdict, _ = cli("verify", archive)
        assert code == 0
        assert any(rule["name"].startswith("extends: ") for rule in verdict["rules"])

    def test_what_it_extends_refuses(self, cli: Cli, world: World) -> None:
        text = policy_of(world).read_text()
        assert "min: 0.84" in text
        (world.folder / "base.yaml").write_text(text.replace("min: 0.84", "min: 0.999"))
        policy_of(world).write_text(text.replace("\ntrust:", "\nextends: [base.yaml]\n\ntrust:", 1))
        code, verdict, _ = cli("verify", world.model, "--policy", policy_of(world))
        assert code == 5
        (rule,) = (rule for rule in verdict["rules"] if rule["outcome"] == "refused")
        assert (rule["name"], rule["reason"]) == ("extends: census-income", "policy-refused")
