"""Challenges, beacons and held endorsements, from the command line: a whole chain, quoted in milliseconds."""

from __future__ import annotations

import datetime as dt
import json
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lamslsa._cli.challenge import ChallengeFile
from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence.nonce import Nonce
from lamslsa.testing.beacons import Log, TimestampServer
from lamslsa.testing.simulated import SimulatedVendor
from tests.cli.conftest import Cli
from tests.cli.world import NOW, World

DAY = dt.timedelta(days=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.of(tmp_path)


def refusals(document: Any) -> set[str]:
    return {rule["reason"] for rule in document["rules"] if rule["outcome"] == "refused"}


class TestMaking:
    def test_what_is_made(self, cli: Cli, tmp_path: Path) -> None:
        path = tmp_path / "challenge.json"
        code, document, note = cli("challenge", path)
        kept = json.loads(path.read_text())
        assert code == 0
        assert kept == {
            "kind": "lamslsa.dev/challenge/v1",
            "nonce": document["nonce"],
            "issuedAt": document["issuedAt"],
            "used": None,
        }
        assert len(bytes.fromhex(kept["nonce"])) == 32
        assert abs(dt.datetime.fromisoformat(kept["issuedAt"]) - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert f"--nonce {kept['nonce']}" in note
        other = cli("challenge", tmp_path / "other.json")[1]
        assert other["nonce"] != kept["nonce"]

    def test_nothing_is_overwritten(self, cli: Cli, tmp_path: Path) -> None:
        path = tmp_path / "challenge.json"
        path.write_text("mine")
        code, document, _ = cli("challenge", path)
        assert (code, document["error"]["reason"]) == (3, "output-exists")
        assert path.read_text() == "mine"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{}",
            '{"kind":"lamslsa.dev/challenge/v2","nonce":"%s","issuedAt":"2026-01-01T00:00:00Z","used":null}',
            '{"kind":"lamslsa.dev/challenge/v1","nonce":"00","issuedAt":"2026-01-01T00:00:00Z","used":null}',
            '{"kind":"lamslsa.dev/challenge/v1","nonce":"%s","issuedAt":"2026-02-30T00:00:00Z","used":null}',
            '{"kind":"lamslsa.dev/challenge/v1","nonce":"%s","issuedAt":"yesterday","used":null}',
            '{"kind":"lamslsa.dev/challenge/v1","nonce":"%s","issuedAt":"2026-01-01T00:00:00Z"}',
            '{"kind":"lamslsa.dev/challenge/v1","nonce":"%s","issuedAt":"2026-01-01T00:00:00Z","used":false}',
            '{"kind":"lamslsa.dev/challenge/v1","nonce":"%s","issuedAt":"2026-01-01T00:00:00Z","used":null,"x":1}',
        ],
    )
    def test_other_files(self, text: str, tmp_path: Path) -> None:
        path = tmp_path / "challenge.json"
        path.write_text(text.replace("%s", "00" * 32))
        with pytest.raises(FormatError):
            ChallengeFile.read(path)

    def test_used_once(self, tmp_path: Path) -> None:
        path = tmp_path / "challenge.json"
        first, second = ChallengeFile.new(path, now=NOW), ChallengeFile.read(path)
        assert first == second
        first.use(now=NOW, model="a" * 64)
        for again in (lambda: second.use(now=NOW, model="b" * 64), lambda: ChallengeFile.read(path)):
            with pytest.raises(VerificationError) as caught:
                again()
            assert caught.value.reason == "challenge-used"
        used = json.loads(path.read_text())["used"]
        assert used == {"at": f"{NOW:%Y-%m-%dT%H:%M:%SZ}", "model": f"sha256:{'a' * 64}"}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_used_once_whoever_comes_together(self, tmp_path: Path) -> None:
        challenge = ChallengeFile.new(tmp_path / "challenge.json", now=NOW)
        together = threading.Barrier(8)

        def use(number: int) -> bool:
            together.wait()
            try:
                challenge.use(now=NOW, model=f"{number:064x}")
            except VerificationError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(use, range(8))) == 1

    def test_a_link_is_the_same_challenge(self, tmp_path: Path) -> None:
        path, soft, hard = (tmp_path / name for name in ("challenge.json", "soft.json", "hard.json"))
        ChallengeFile.new(path, now=NOW)
        soft.symlink_to(path)
        hard.hardlink_to(path)
        ChallengeFile.read(soft).use(now=NOW, model="a" * 64)
        for name in (path, soft, hard):
            with pytest.raises(VerificationError):
                ChallengeFile.read(name)

    def test_a_file_that_was_swapped(self, tmp_path: Path) -> None:
        path = tmp_path / "challenge.json"
        before = ChallengeFile.new(path, now=NOW)
        path.unlink()
        ChallengeFile.new(path, now=NOW)
        with pytest.raises(VerificationError) as caught:
            before.use(now=NOW, model="a" * 64)
        assert caught.value.reason == "challenge-other"


class TestVerify:
    def verify(self, cli: Cli, world: World, *words: str | Path) -> tuple[int, Any, str]:
        return cli("verify", world.model, "--policy", world.folder / "policy.yaml", *words)

    def test_accepted_once(self, cli: Cli, world: World) -> None:
        path = world.folder / "challenge.json"
        _, made, _ = cli("challenge", path)
        world.publish(Nonce.of_challenge(bytes.fromhex(made["nonce"])))
        world.policy(max_age="1h")
        code, document, _ = self.verify(cli, world, "--challenge", path)
        assert (code, document["accepted"]) == (0, True)
        assert document["attestations"][0]["evidence"][0]["notBefore"] == made["issuedAt"]
        assert json.loads(path.read_text())["used"]["model"] == document["model"]["digest"]
        code, document, _ = self.verify(cli, world, "--challenge", path)
        assert (code, document["error"]["reason"]) == (4, "challenge-used")
        code, document, _ = self.verify(cli, world)
        assert (code, refusals(document)) == (5, {"age-unknown"})

    def test_of_two_at_once_one_is_refused(self, world: World) -> None:
        path = world.folder / "challenge.json"
        world.publish(Nonce.of_challenge(ChallengeFile.new(path, now=NOW).challenge.nonce))
        words = ["verify", world.model, "--policy", world.policy(max_age="1h"), "--challenge", path]
        command = [sys.executable, "-m", "lamslsa", *map(str, words)]
        both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
        assert sorted(process.wait(60) for process in both) == [0, 4]

    def test_another_nonce(self, cli: Cli, world: World) -> None:
        path = world.folder / "challenge.json"
        ChallengeFile.new(path, now=NOW)
        world.publish(Nonce.random())
        world.policy(max_age="1h")
        code, document, _ = self.verify(cli, world, "--challenge", path)
        assert (code, refusals(document)) == (5, {"age-unknown"})
        assert "not that of the challenge" in next(r["message"] for r in document["rules"] if r["reason"])
        assert json.loads(path.read_text())["used"] is None, "a refusal uses up nothing"

    def test_a_challenge_grows_old(self, cli: Cli, world: World) -> None:
        path = world.folder / "challenge.json"
        made = ChallengeFile.new(path, now=NOW - 2 * DAY)
        world.publish(Nonce.of_challenge(made.challenge.nonce))
        world.policy(max_age="1d")
        code, document, _ = self.verify(cli, world, "--challenge", path)
        assert (code, refusals(document)) == (5, {"age-exceeded"})
        world.policy(max_age="3d")
        assert self.verify(cli, world, "--challenge", path)[0] == 0

    def test_a_challenge_from_the_future(self, cli: Cli, world: World) -> None:
        path = world.folder / "challenge.json"
        made = ChallengeFile.new(path, now=NOW + 2 * DAY)
        world.publish(Nonce.of_challenge(made.challenge.nonce))
        world.policy(max_age="30d")
        code, document, _ = self.verify(cli, world, "--challenge", path)
        assert (code, refusals(document)) == (5, {"age-future"})

    def test_a_refused_model_uses_up_nothing(self, cli: Cli, world: World) -> None:
        path = world.folder / "challenge.json"
        world.publish(Nonce.of_challenge(ChallengeFile.new(path, now=NOW).challenge.nonce), low=True)
        world.policy(max_age="1h")
        code, document, _ = self.verify(cli, world, "--challenge", path)
        assert (code, document["accepted"]) == (5, False)
        assert ChallengeFile.read(path).used is None

    def test_a_challenge_that_nothing_asks_for(self, cli: Cli, world: World) -> None:
        path = world.folder / "challenge.json"
        world.publish(Nonce.of_challenge(ChallengeFile.new(path, now=NOW).challenge.nonce))
        world.policy()
        code, document, _ = self.verify(cli, world, "--challenge", path)
        assert (code, document["error"]["reason"]) == (3, "challenge-idle")
        assert self.verify(cli, world)[0] == 0

    def test_no_such_file(self, cli: Cli, world: World) -> None:
        world.policy(max_age="1h")
        assert self.verify(cli, world, "--challenge", world.folder / "absent.json")[0] == 3

    def test_beacons(self, cli: Cli, world: World) -> None:
        server, log = TimestampServer(NOW), Log(witnesses=3)
        (world.folder / "tsa.pem").write_bytes(server.pem)
        (world.folder / "witnesses.txt").write_bytes(log.policy("2"))
        beacons = "  beacons: {tsa: {timestampAuthority: tsa.pem}, log: {witnessedLog: witnesses.txt}}\n"
        world.policy(max_age="30d", beacons=beacons)
        world.publish(Nonce.of_beacon(log.checkpoint({0: NOW - 60 * DAY, 1: NOW - 40 * DAY})))
        assert refusals(self.verify(cli, world)[1]) == {"age-exceeded"}
        world.publish(Nonce.of_beacon(TimestampServer(NOW).stamp(NOW - DAY)))
        world.publish(Nonce.of_beacon(log.checkpoint({0: NOW - DAY})))
        assert self.verify(cli, world)[0] == 5, "neither another authority nor one witness of two says anything"
        world.publish(Nonce.of_beacon(server.stamp(NOW - 20 * DAY)))
        assert self.verify(cli, world)[0] == 0
        world.policy(max_age="19d", beacons=beacons)
        assert self.verify(cli, world)[0] == 5
        world.publish(Nonce.of_beacon(log.checkpoint({0: NOW - 9 * DAY, 2: NOW})))
        assert self.verify(cli, world)[0] == 0


class TestCollateral:
    @pytest.fixture
    def old(self, tmp_path: Path) -> World:
        """A chain of 40 days ago, whose endorsements have expired."""
        world = World.of(tmp_path, now=NOW - 40 * DAY)
        world.publish(Nonce.random())
        world.policy()
        return world

    def verify(self, cli: Cli, world: World, *words: str | Path) -> tuple[int, Any, str]:
        when = f"{NOW - 40 * DAY:%Y-%m-%dT%H:%M:%SZ}"
        return cli("verify", world.model, "--policy", world.folder / "policy.yaml", "--at", when, *words)

    def held(self, world: World, name: str, **terms: Any) -> Path:
        path = world.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(world.vendor.collateral(window=(NOW - DAY, NOW + DAY), **terms))
        return path

    def test_nothing_says_how_the_platform_stands(self, cli: Cli, old: World) -> None:
        code, document, note = self.verify(cli, old)
        assert (code, refusals(document)) == (5, {"platform-standing"})
        assert "as of now" in note

    def test_a_file(self, cli: Cli, old: World) -> None:
        assert self.verify(cli, old, "--collateral", self.held(old, "today.json"))[0] == 0

    def test_a_folder(self, cli: Cli, old: World) -> None:
        other = SimulatedVendor(NOW).collateral()
        self.held(old, "held/b.json")
        (old.folder / "held" / "a.json").write_bytes(other)
        (old.folder / "held" / "note.txt").write_text("passed over")
        assert self.verify(cli, old, "--collateral", old.folder / "held")[0] == 0

    def test_revoked_since(self, cli: Cli, old: World) -> None:
        good, bad = self.held(old, "today.json"), self.held(old, "revoked.json", revoked=["pck"])
        one: list[str | Path] = ["--collateral", bad]
        for words in (one, ["--collateral", good, *one]):
            code, document, _ = self.verify(cli, old, *words)
            assert (code, refusals(document)) == (5, {"platform-revoked"})

    def test_files_that_are_none(self, cli: Cli, old: World) -> None:
        good = self.held(old, "held/today.json")
        for text in ("{}", "", '{"issuer":"x"}'):
            (old.folder / "held" / "other.json").write_text(text)
            for path in (good.parent, good.parent / "other.json"):
                code, document, _ = self.verify(cli, old, "--collateral", path)
                assert (code, document["error"]["reason"]) == (3, "collateral-shape")
        (old.folder / "empty").mkdir()
        code, document, _ = self.verify(cli, old, "--collateral", old.folder / "empty")
        assert (code, document["error"]["reason"]) == (3, "collateral-folder")
        assert self.verify(cli, old, "--collateral", old.folder / "absent.json")[0] == 3

    def test_too_many(self, cli: Cli, old: World) -> None:
        good = self.held(old, "held/000.json").read_bytes()
        for number in range(1, 257):
            (old.folder / "held" / f"{number:03}.json").write_bytes(good)
        code, document, _ = self.verify(cli, old, "--collateral", old.folder / "held")
        assert (code, document["error"]["reason"]) == (3, "input-size")


def test_a_card_uses_a_challenge_up_too(cli: Cli, world: World) -> None:
    path = world.folder / "challenge.json"
    world.publish(Nonce.of_challenge(ChallengeFile.new(path, now=NOW).challenge.nonce))
    words = ["card", world.model, "--policy", world.policy(max_age="1h"), "--challenge", path]
    assert cli(*words)[0] == 0
    code, document, _ = cli(*words)
    assert (code, document["error"]["reason"]) == (4, "challenge-used")


def test_a_pipe_is_no_challenge(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "challenge.json")
    with pytest.raises(FormatError) as caught:
        ChallengeFile.read(tmp_path / "challenge.json")
    assert caught.value.reason == "input-kind"
