"""``lamslsa verify --output``: several formats at once, whole or absent, and summaries that come back when stored."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from lamslsa._cli.main import main
from lamslsa.evidence.nonce import Nonce
from lamslsa.lineage import Lineage
from lamslsa.policy import load_policy
from lamslsa.predicates import VerificationSummary
from lamslsa.reports import FORMATS
from lamslsa.sign import KeySigner, KeyVerifier, generate
from lamslsa.sign.dsse import parse_bundle
from lamslsa.store import open_store
from lamslsa.testing.fixtures import faulty_sigstore, local_sigstore
from lamslsa.testing.sigstore import LocalSigstore, github_claims
from lamslsa.verification import verify_bundles
from tests.cli.conftest import Cli
from tests.cli.world import NOW, World

__all__ = ["faulty_sigstore", "local_sigstore"]

NONCE = Nonce.of_challenge(bytes(32))


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World.of(tmp_path)
    made.publish(NONCE)
    made.policy()
    return made


@pytest.fixture
def low(tmp_path: Path) -> World:
    """One that is refused: nothing was measured of what the policy asks for."""
    made = World.of(tmp_path)
    made.publish(NONCE, low=True)
    made.policy()
    return made


@pytest.fixture
def key(world: World) -> Path:
    path = world.folder / "deployer.key"
    path.write_bytes(generate(None))
    return path


def verify(world: World, *words: str | Path) -> int:
    return main(["verify", str(world.model), "--policy", str(world.folder / "policy.yaml"), *map(str, words)])


def all_of(folder: Path) -> list[str]:
    return [word for name in FORMATS for word in ("--output", f"{name}={folder / name}")]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_all_formats_at_once(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert verify(world, *all_of(out)) == 0
    printed = capsys.readouterr()
    assert "ACCEPTED under census-income" in printed.out
    assert printed.out == (out / "text").read_text()
    assert files(out) == set(FORMATS)
    assert json.loads((out / "json").read_bytes())["accepted"] is True
    assert ET.parse(out / "junit").getroot().attrib["failures"] == "0"
    assert "vsa is not signed and nobody's word" in printed.err
    assert "svr is not signed" in printed.err
    assert "ear is not signed and nobody's word: take a vsa" in printed.err


def test_a_refusal_is_written_too(low: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "svr").write_text("an acceptance of yesterday")
    code = verify(low, *all_of(out))
    assert code in {4, 5}
    printed = capsys.readouterr()
    assert "REFUSED under census-income" in printed.out
    assert files(out) == set(FORMATS) - {"svr"}
    assert f"no svr at {out / 'svr'}" in printed.err
    assert json.loads((out / "json").read_bytes())["exitCode"] == code
    assert int(ET.parse(out / "junit").getroot().attrib["failures"]) > 0
    assert json.loads((out / "sarif").read_bytes())["runs"][0]["results"]
    assert json.loads((out / "vsa").read_bytes())["predicate"]["verificationResult"] == "FAILED"
    assert json.loads((out / "ear").read_bytes())["submods"]["model"]["ear_status"] == "contraindicated"


@pytest.mark.parametrize("word", FORMATS)
def test_one_of_them_in_place_of_the_result(world: World, word: str, capfdbinary: Any) -> None:
    assert verify(world, "--output", f"{word}=-", "--output", f"{word}={world.folder / 'file'}") == 0
    assert capfdbinary.readouterr().out.rstrip(b"\n") == (world.folder / "file").read_bytes().rstrip(b"\n")


def test_there_is_nothing_on_stdout_where_there_is_no_svr(low: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(low, "--output", "svr=-") in {4, 5}
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "no svr at -" in printed.err


def test_json_is_the_same_on_stdout_and_in_a_file(world: World, cli: Cli) -> None:
    path = world.folder / "a.json"
    code, document, _ = cli("verify", world.model, "--policy", world.folder / "policy.yaml", "--output", f"json={path}")
    written = json.loads(path.read_bytes())
    assert (code, document) == (0, written)
    assert written["apiVersion"] == "lamslsa.dev/appraisal/v1"


def test_colour_is_for_a_terminal(world: World) -> None:
    words = ["verify", str(world.model), "--policy", str(world.folder / "policy.yaml")]
    words += ["--output", f"text={world.folder / 'a.txt'}"]

    def shown(**variables: str) -> bytes:
        ours, theirs = pty.openpty()
        environment = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TERM"}}
        command = [sys.executable, "-m", "lamslsa", *words]
        environment |= {"TERM": "xterm"} | variables
        subprocess.run(command, stdout=theirs, stderr=subprocess.DEVNULL, env=environment, check=True, timeout=60)
        os.close(theirs)
        parts = []
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            if not part:
                break
            parts.append(part)
        os.close(ours)
        return b"".join(parts)

    assert b"\x1b[32m" in shown()
    assert b"\x1b" not in shown(NO_COLOR="1")
    assert b"\x1b" not in (world.folder / "a.txt").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--output", "pdf=a"), "expected FORMAT=PATH"),
        (("--output", "json"), "expected FORMAT=PATH"),
        (("--output", "json="), "expected FORMAT=PATH"),
        (("--output", "json=-", "--output", "text=-"), "for one --output at most"),
        (("--output", "json=a", "--output", "text=./a"), "got one twice"),
        (("--output", "vsa=a", "--verifier-id", "deployer"), "expected a URI"),
        (("--output", "vsa=a", "--at", "2026-01-01T00:00:00Z"), "expected a verdict as of now"),
        (("--output", "ear=a", "--at", "2026-01-01T00:00:00Z"), "expected a verdict as of now"),
        (("--key", "KEY"), "expected --output vsa=PATH or svr=PATH to go with"),
        (("--output", "json=a", "--key", "KEY"), "expected --output vsa=PATH or svr=PATH to go with"),
        (("--output", "vsa=a", "--require-timestamp"), "expected --key or --keyless to go with --require-timestamp"),
        (("--output", "vsa=a", "--passphrase-file", "p"), "expected --key or --keyless to go with --passphrase-file"),
        (("--output", "vsa=a", "--key", "KEY", "--keyless"), "expected one of --key and --keyless"),
    ],
)
def test_2_usage(
    world: World, key: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(world.folder)
    assert verify(world, *(str(key) if word == "KEY" else word for word in words)) == 2
    assert said in capsys.readouterr().err
    assert not (world.folder / "a").exists()


@pytest.mark.parametrize("reason", ["output-kind", "output-folder", "output-input"])
def test_a_place_that_cannot_be_is_refused_before_anything_is_read(
    world: World, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = world.folder / "policy.yaml"
    places = {"output-kind": world.model, "output-folder": world.folder / "none" / "a", "output-input": policy}
    text = policy.read_text()
    good = world.folder / "good.json"
    assert verify(world, "--output", f"json={good}", "--output", f"junit={places[reason]}") == 3
    printed = capsys.readouterr()
    assert f"error[{reason}]" in printed.err
    assert printed.out == ""
    assert policy.read_text() == text
    assert not good.exists()


def test_a_device_is_never_replaced(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(world, "--output", "json=/dev/null") == 3
    assert "error[output-kind]" in capsys.readouterr().err
    assert Path("/dev/null").is_char_device()


def test_what_cannot_be_written_is_an_error_and_no_acceptance(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = world.folder / "first.json"
    long = world.folder / ("a" * 300)
    assert verify(world, "--output", f"json={first}", "--output", f"junit={long}") not in {0, 1}
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "error[" in printed.err
    assert not first.exists()


def test_an_error_leaves_no_verdict_of_yesterday(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    path = world.folder / "verify.json"
    assert verify(world, "--output", f"json={path}") == 0
    assert path.exists()
    (world.folder / "policy.yaml").write_text("kind: other\n")
    assert verify(world, "--output", f"json={path}") == 3
    assert not path.exists()
    assert not list(world.folder.glob(".*.partial"))
    capsys.readouterr()


def test_an_archive_is_summarised_under_a_policy_of_ones_own_only(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    archive, path = world.folder / "audit.zip", world.folder / "vsa.json"
    policy = str(world.folder / "policy.yaml")
    assert main(["export", str(world.model), "--policy", policy, "--to", str(archive)]) == 0
    assert main(["verify", str(archive), "--output", f"vsa={path}"]) == 2
    assert "expected --policy to go with vsa" in capsys.readouterr().err
    assert main(["verify", str(archive), "--policy", policy, "--as-exported", "--output", f"vsa={path}"]) == 2
    assert "expected a verdict as of now" in capsys.readouterr().err
    assert not path.exists()
    assert main(["verify", str(archive), "--policy", policy, "--output", f"vsa={path}"]) == 0
    assert main(["verify", str(archive), "--output", f"junit={path}"]) == 0


def test_a_signed_summary_is_stored_and_comes_back(
    world: World, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, result = tmp_path / "vsa.sigstore.json", tmp_path / "svr.sigstore.json"
    who = ("--key", key, "--verifier-id", "https://deployer.example/v")
    assert verify(world, "--output", f"vsa={bundle}", "--output", f"svr={result}", *who) == 0
    assert "not signed" not in capsys.readouterr().err

    signer = KeySigner.load(key.read_bytes(), None)
    for path in (bundle, result):
        KeyVerifier.load(signer.public_pem).verify(parse_bundle(path.read_bytes()))

    layout = f"oci-layout:{tmp_path / 'layout'}:v1"
    back = tmp_path / "back"
    assert main(["push", str(world.model), layout]) == 0
    assert main(["attach", layout, str(bundle)]) == 0
    assert main(["pull", layout, str(back)]) == 0
    (world.folder / "deployer.pub").write_bytes(signer.public_pem)
    capsys.readouterr()
    assert main(["inspect", str(bundle), "--key", str(world.folder / "deployer.pub")]) == 0
    assert "verification summary of a model: PASSED" in capsys.readouterr().out

    text = (world.folder / "policy.yaml").read_text()
    named = text.replace("  identities:\n", "  identities:\n    deployer: {key: deployer.pub}\n")
    assert named != text
    policy = load_policy(named.encode(), source="policy.yaml", directory=world.folder)
    verified = verify_bundles(open_store(str(back / ".attestations")).bundles(), policy.trust_material(at=NOW, now=NOW))
    (found,) = [item for item in verified.attestations if isinstance(item.predicate, VerificationSummary)]
    assert isinstance(found.predicate, VerificationSummary)
    assert found.signers == {"deployer"}
    assert found.evidence == ()
    assert found.predicate.verifier.id == "https://deployer.example/v"
    own = load_policy(text.encode(), source="policy.yaml", directory=world.folder)
    assert found.predicate.policy.digest.sha256 == own.closure
    assert (found.predicate.passed, found.predicate.simulated) == (True, True)
    listed = {each.digest.sha256 for each in found.predicate.input_attestations}
    assert listed > {item.statement.sha256 for item in verified.attestations if item is not found}
    (subject,) = found.statement.subjects
    document = json.loads((tmp_path / "vsa.sigstore.json").read_bytes())
    assert document["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    everything = Lineage.of(verified.attestations)
    without = Lineage.of(item for item in verified.attestations if item is not found)
    assert (everything.edges, everything.labels) == (without.edges, without.labels)

    (world.folder / "policy.yaml").write_text(named)
    code = main(["verify", str(back), "--policy", str(world.folder / "policy.yaml"), "--format", "json"])
    printed = json.loads(capsys.readouterr().out)
    assert code == 0
    assert f"sha256:{subject.sha256}" == printed["model"]["digest"]
    assert "https://slsa.dev/verification_summary/v1" in {item["predicateType"] for item in printed["attestations"]}
    assert main(["card", str(back), "--policy", str(world.folder / "policy.yaml")]) == 0
    assert "verification summary, PASSED" in capsys.readouterr().out


@pytest.fixture
def identity(world: World, faulty_sigstore: LocalSigstore) -> list[str | Path]:
    """What signs as an identity, on a Sigstore of the test's own."""
    (world.folder / "trust.json").write_text(faulty_sigstore.trust_config_json(1))
    (world.folder / "token").write_text(faulty_sigstore.token(claims=github_claims("acme/deploy")))
    token = f"@{world.folder / 'token'}"
    return ["--keyless", "--identity-token", token, "--trust-config", world.folder / "trust.json"]


def test_a_summary_is_signed_as_an_identity(
    world: World, identity: list[str | Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = world.folder / "vsa.sigstore.json"
    assert verify(world, "--output", f"vsa={path}", *identity, "--require-timestamp", "--yes") == 0
    printed = capsys.readouterr()
    assert "acme/deploy" in printed.err
    assert "cannot be taken back" in printed.err
    bundle = parse_bundle(path.read_bytes())
    assert bundle.material.certificates
    assert bundle.material.timestamps
    assert json.loads(bundle.payload)["predicateType"] == "https://slsa.dev/verification_summary/v1"


def test_nobody_is_made_public_unasked(
    world: World, identity: list[str | Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = world.folder / "vsa.sigstore.json"
    assert verify(world, "--output", f"vsa={path}", *identity) == 2
    assert "--yes" in capsys.readouterr().err
    assert not path.exists()


def test_a_service_that_fails_leaves_nothing(
    world: World, identity: list[str | Path], faulty_sigstore: LocalSigstore, capsys: pytest.CaptureFixture[str]
) -> None:
    path, other = world.folder / "vsa.sigstore.json", world.folder / "verify.json"
    faulty_sigstore.faults.fail("fulcio", 500)
    assert verify(world, "--output", f"json={other}", "--output", f"vsa={path}", *identity, "--yes") == 6
    printed = capsys.readouterr()
    assert printed.out == ""
    assert not path.exists()
    assert not other.exists()


def test_a_key_that_does_not_open_writes_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    (world.folder / "bad.key").write_text("no key")
    path = world.folder / "vsa.json"
    assert verify(world, "--output", f"vsa={path}", "--key", world.folder / "bad.key") == 3
    assert not path.exists()
    assert capsys.readouterr().out == ""
