"""The actions attest and verify, run as GitHub runs them, against a Sigstore on this machine."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lamslsa.testing.registry import Registry
from tests.actions import composite
from tests.actions.census import REPOSITORY, Census

HOSTILE = (
    *(
        "$(touch owned)",
        "`touch owned`",
        "a'; touch owned; '",
        'a"; touch owned; "',
        "--yes",
        "-h",
        "${IFS}",
        "*",
        "a b",
    ),
    *("x\ntouch owned", "x\n::error::owned", "::set-output name=accepted::true", "%0Aaccepted=true"),
)


def test_what_a_workflow_attested_is_accepted(census: Census, tmp_path: Path) -> None:
    attested = census.attested
    assert attested.code == 0, attested.log
    assert attested.ran == ("measure", "sign")
    published = json.loads(Path(attested.outputs["published"]).read_bytes())
    assert f"/{REPOSITORY}/" in published["signer"]
    assert {item["name"] for item in published["statements"]} == {"tee-evidence", "01-evaluation"}
    assert "SIMULATED TEE" in attested.summary
    assert (Path(attested.outputs["run"]) / "01-evaluation.json").is_file()

    done = census.verify({}, tmp_path / "verify")
    assert done.code == 0, done.log
    assert (done.outputs["accepted"], done.outputs["exit-code"]) == ("true", "0")
    assert done.summary.startswith("## ✅ Accepted: census-mlp")
    assert done.summary == Path(done.outputs["summary"]).read_text(encoding="utf-8")
    assert json.loads(Path(done.outputs["json"]).read_bytes())["accepted"] is True
    assert json.loads(Path(done.outputs["sarif"]).read_bytes())["version"] == "2.1.0"
    assert json.loads(Path(done.outputs["vsa"]).read_bytes())["predicate"]["verificationResult"] == "PASSED"


def test_a_summary_is_signed_as_the_workflow(census: Census, tmp_path: Path) -> None:
    done = census.verify({"sign-vsa": "true", "trust-config": str(census.trust)}, tmp_path / "verify")
    assert done.code == 0, done.log
    envelope = json.loads(Path(done.outputs["vsa"]).read_bytes())["dsseEnvelope"]
    assert json.loads(base64.b64decode(envelope["payload"]))["predicate"]["verificationResult"] == "PASSED"
    assert envelope["signatures"]


def test_a_refused_model_fails_the_step_with_a_readable_summary(census: Census, tmp_path: Path) -> None:
    strict = census.folder / "strict.yaml"
    strict.write_text(census.policy.read_text(encoding="utf-8").replace("min: 0.84", "min: 0.99"), encoding="utf-8")
    done = census.verify({"policy": str(strict)}, tmp_path / "verify")
    assert done.code == 5, done.log
    assert (done.outputs["accepted"], done.outputs["exit-code"]) == ("false", "5")
    assert done.summary.startswith("## ❌ Refused: census-mlp")
    assert "### What was refused" in done.summary
    assert "- **accurate** (`" in done.summary
    assert json.loads(Path(done.outputs["vsa"]).read_bytes())["predicate"]["verificationResult"] == "FAILED"
    assert "::error title=lamslsa verify::not accepted (exit code 5)" in done.log


def test_attestations_of_several_stores_are_one_a_line(census: Census, tmp_path: Path) -> None:
    bare, stores = tmp_path / "census-mlp", [tmp_path / "one", tmp_path / "two words"]
    shutil.copytree(census.model, bare, ignore=shutil.ignore_patterns(".attestations"))
    for number, bundle in enumerate(sorted((census.model / ".attestations").iterdir())):
        stores[number % 2].mkdir(exist_ok=True)
        shutil.copy(bundle, stores[number % 2])
    lines = "\r\n".join(map(str, stores)) + "\n\n"
    assert census.verify({"model": str(bare), "attestations": lines}, tmp_path / "both").code == 0
    assert census.verify({"model": str(bare), "attestations": str(stores[0])}, tmp_path / "half").code == 4


def test_no_verdict_is_no_acceptance(census: Census, tmp_path: Path) -> None:
    done = census.verify({"model": "nowhere\n## Accepted"}, tmp_path / "verify")
    assert done.code == 3
    assert done.outputs == {
        "exit-code": "3", "accepted": "false", "summary": done.outputs["summary"], "json": "", "sarif": "", "vsa": "",
    }  # fmt: skip
    assert done.summary.startswith("## ❌ No verdict: exit code 3\n\n    ")
    assert all(line.startswith("    ") for line in done.summary.splitlines()[2:])


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"model": ""}, "expected a model"),
        ({"policy": ""}, "expected a policy"),
        ({"policy-signed": "true"}, "expected policy-key or policy-identity"),
        ({"policy-signed": ""}, "expected true or false as policy-signed"),
        ({"pull": "yes"}, "expected true or false as pull"),
        ({"sign-vsa": "$(touch owned)"}, "expected true or false as sign-vsa"),
        ({"install": ""}, "expected true or false as install"),
    ],
)
def test_an_input_that_came_out_empty_or_odd_is_no_default(inputs: dict[str, str], said: str, tmp_path: Path) -> None:
    done = composite.run("verify", {"model": "m", "policy": "p"} | inputs, tmp_path, PATH="/usr/bin:/bin")
    assert done.code == 2
    assert done.outputs["accepted"] in {"false", ""}
    assert f"::error title=lamslsa verify::{said}" in done.log


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"stage": "own; touch owned"}, "expected dataset, training"),
        ({"job": ""}, "expected a job file"),
        ({"to": ""}, "expected where the bundles go"),
        ({"tee": ""}, "expected a TEE"),
        ({"install": "True"}, "expected true or false as install"),
    ],
)
def test_attest_refuses_what_it_was_not_told(inputs: dict[str, str], said: str, tmp_path: Path) -> None:
    asked = {"stage": "model", "job": "job.yaml", "to": "store", "subject": "m"} | inputs
    done = composite.run("attest", asked, tmp_path, PATH="/usr/bin:/bin")
    assert done.code == 2
    assert f"::error title=lamslsa attest::{said}" in done.log
    assert not any(done.outputs.values())


def test_what_cannot_be_measured_is_not_signed(census: Census, tmp_path: Path) -> None:
    inputs = {"job": "nowhere\n## Attested", "to": str(tmp_path / "store")}
    done = composite.run("attest", {"stage": "model", "subject": "m"} | inputs, tmp_path / "attest", **census.job())
    assert done.code == 3, done.log
    assert done.ran == ("measure",)
    assert done.summary.startswith("## ❌ Not attested: model, exit code 3\n\n    ")
    assert all(line.startswith("    ") for line in done.summary.splitlines()[2:])
    assert not (tmp_path / "store").exists()


def test_the_tee_is_simulated_by_that_word_alone(tmp_path: Path, recorder: dict[str, str]) -> None:
    asked = {"stage": "model", "job": "j", "to": "s", "subject": "m"}
    assert composite.run("attest", asked, tmp_path / "auto", **recorder).code == 0
    assert (
        "SIMULATED" in composite.run("attest", asked | {"tee": "simulated"}, tmp_path / "as-asked", **recorder).summary
    )
    automatic, _, simulated, _ = recorded(recorder)
    assert "--tee=auto" in automatic
    assert [word for word in automatic if word.endswith("simulated")] == []
    assert "--tee=simulated" in simulated


def test_without_permission_to_sign_nothing_is_stored(census: Census, tmp_path: Path) -> None:
    """A recorded run that nobody signs: `id-token: write` is missing."""
    fake(tmp_path / "bin", "attest", census)
    asked = {"stage": "evaluation", "job": "job.yaml", "to": str(tmp_path / "store"), "tee": "simulated"}
    machine = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "GITHUB_ACTIONS": "true"}
    done = composite.run("attest", asked | {"trust-config": str(census.trust)}, tmp_path / "attest", **machine)
    assert done.code == 6, done.log
    assert "## ❌ Not signed: evaluation, exit code 6" in done.summary
    assert "id-token: write" in done.summary
    assert not (tmp_path / "store").exists()
    assert not done.outputs["published"]


def test_beside_a_model_in_a_registry(census: Census, oci_registry: Registry, tmp_path: Path) -> None:
    model = census.without_evaluation(tmp_path / "census-mlp")
    pushed = lamslsa("push", str(model), f"oci://{oci_registry.host}/acme/census:v1", "--plain-http")
    inputs = {"to": pushed["reference"], "plain-http": "true"}
    seen = {"model": pushed["reference"], "plain-http": "true"}
    assert census.verify(seen, tmp_path / "before").code == 4
    fake(tmp_path / "bin", "attest", census)
    signed = census.attest(inputs, "registry", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert signed.code == 0, signed.log
    after = census.verify(seen, tmp_path / "after")
    assert (after.code, after.outputs["accepted"]) == (0, "true"), after.log


def test_another_branch_signs_nothing_that_counts(census: Census, tmp_path: Path) -> None:
    model = census.without_evaluation(tmp_path / "census-mlp")
    fake(tmp_path / "bin", "attest", census)
    machine = census.job(ref="refs/heads/attack") | {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    signed = census.attest({"to": str(model / ".attestations")}, "branch", **machine)
    assert signed.code == 0, signed.log
    done = census.verify({"model": str(model)}, tmp_path / "verify")
    assert done.code == 4
    assert "signature-identity" in done.summary


def lamslsa(*words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "lamslsa", *words, "--format", "json", "--quiet"]
    document = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=300).stdout)
    assert isinstance(document, dict)
    return document


def fake(folder: Path, command: str, census: Census) -> None:
    """A ``lamslsa`` that has the run of the fixture for ``command``, and is itself for all others."""
    folder.mkdir(exist_ok=True)
    lines = [
        "#!/bin/bash",
        f'if [[ $1 != {command} ]]; then exec {sys.executable} -m lamslsa "$@"; fi',
        'for word; do [[ $word != --out=* ]] || cp -r "' + census.attested.outputs["run"] + '" "${word#--out=}"; done',
    ]
    (folder / "lamslsa").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "lamslsa").chmod(0o755)


RECORDER = (
    f"#!{sys.executable}\n"
    """
import json, os, sys
from pathlib import Path
with Path(os.environ["RECORD"]).open("a") as record:
    record.write(json.dumps(sys.argv[1:]) + "\\n")
for word in sys.argv[1:]:
    if word.startswith("--out="):
        Path(word.removeprefix("--out=")).mkdir()
print(os.environ.get("SAYS", "said"))
print(os.environ.get("SAYS", "said"), file=sys.stderr)
"""
)


@pytest.fixture
def recorder(tmp_path: Path) -> dict[str, str]:
    """The environment in which lamslsa writes down what it was given."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "lamslsa").write_text(RECORDER, encoding="utf-8")
    (tmp_path / "bin" / "lamslsa").chmod(0o755)
    return {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "RECORD": str(tmp_path / "record")}


def recorded(environment: dict[str, str]) -> list[list[str]]:
    return [json.loads(line) for line in Path(environment["RECORD"]).read_text(encoding="utf-8").splitlines()]


VERIFY_OPTIONS = (
    *("policy", "policy-key", "policy-identity", "policy-identity-provider", "policy-signature"),
    *("challenge", "trusted-root", "ca-file", "verifier-id"),
)
ATTEST_OPTIONS = {"job": "config"} | {
    name: name
    for name in (
        *("name", "transform", "plan", "model-out", "private", "tee"),
        *("enclave", "gpu", "device", "nonce", "simulated-platform"),
    )
}


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_stay_data(value: str, tmp_path: Path, recorder: dict[str, str]) -> None:
    inputs = {"model": value, **dict.fromkeys(VERIFY_OPTIONS, value), "attestations": value, "collateral": value}
    done = composite.run("verify", inputs, tmp_path / "work", **recorder)
    (words,) = recorded(recorder)
    assert words[0] == "verify"
    assert words[-2:] == ["--", value]
    assert [f"--{name}={value}" for name in VERIFY_OPTIONS if f"--{name}={value}" not in words] == []
    for name in ("attestations", "collateral"):
        assert [word for word in words if word.startswith(f"--{name}=")] == [
            f"--{name}={line}" for line in value.split("\n")
        ]
    assert all(word.startswith("--") for word in words[1:-1])
    assert done.outputs["accepted"] == "true", done.log  # the recorder's exit code, and nothing out of the value
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_stay_data_when_attesting(value: str, tmp_path: Path, recorder: dict[str, str]) -> None:
    lists = {"datasets": "dataset", "models": "model", "evaluations": "evaluation", "outputs": "output"}
    inputs = dict.fromkeys((*ATTEST_OPTIONS, *lists, "subject", "to", "collateral", "trust-config", "ca-file"), value)
    done = composite.run("attest", inputs | {"stage": "evaluation"}, tmp_path / "work", **recorder)
    assert done.code == 0, done.log
    measured, signed = recorded(recorder)
    assert measured[:2] == ["attest", "evaluation"]
    assert measured[-2:] == ["--", value]
    assert [name for name in ATTEST_OPTIONS.values() if f"--{name}={value}" not in measured] == []
    for name in lists.values():
        assert [word for word in measured if word.startswith(f"--{name}=")] == [
            f"--{name}={line}" for line in value.split("\n")
        ]
    assert signed[-2:] == ["--", done.outputs["run"]]
    assert {f"--{name}={value}" for name in ("to", "collateral", "trust-config", "ca-file")} < set(signed)
    assert {"--keyless", "--require-timestamp", "--require-log"} < set(signed)
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize(
    ("action", "inputs"),
    [
        ("verify", {"model": "m", "policy": "p"}),
        ("attest", {"stage": "model", "job": "j", "to": "s", "subject": "m"}),
    ],
)
def test_what_lamslsa_says_is_no_command_to_the_runner(
    action: str, inputs: dict[str, str], tmp_path: Path, recorder: dict[str, str]
) -> None:
    says = "::set-output name=accepted::true\n::stop-commands::x\n::x::\n::error::owned"
    done = composite.run(action, inputs, tmp_path / "work", SAYS=says, **recorder)
    assert "::error::owned" in done.log
    assert [line for line in commands(done.log) if not line.startswith(f"::error title=lamslsa {action}::")] == []


def commands(log: str) -> list[str]:
    """The lines that the runner would obey: those outside of ``stop-commands``."""
    obeyed, token = [], None
    for line in map(str.strip, log.splitlines()):
        if token is not None:
            token = None if line == f"::{token}::" else token
        elif line.startswith("::stop-commands::"):
            token = line.removeprefix("::stop-commands::")
            assert len(token) == 32
        elif line.startswith("::"):
            obeyed.append(line)
    assert token is None, "commands are never taken again"
    return obeyed


@pytest.mark.parametrize("action", ["verify", "attest"])
def test_installing_asks_for_hashes(action: str, tmp_path: Path, recorder: dict[str, str]) -> None:
    """A ``python3`` that only writes down what it is asked stands for the one that would download."""
    bin_folder = tmp_path / "bin"
    python = """#!/bin/bash
here=$(dirname "$0")
"$BIN/record" "$@"
[[ $3 != venv ]] || { mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; cp "$here/lamslsa" "$4/bin/"; }
"""
    shutil.copy(bin_folder / "lamslsa", bin_folder / "record")
    (bin_folder / "python3").write_text(python, encoding="utf-8")
    (bin_folder / "python3").chmod(0o755)
    inputs = {"verify": {"model": "m", "policy": "p"}, "attest": {"stage": "model", "job": "j", "to": "s"}}[action]
    done = composite.run(action, inputs | {"install": "true"}, tmp_path / "work", BIN=str(bin_folder), **recorder)
    assert done.code == 0, done.log
    made, dependencies, itself, *_ = recorded(recorder)
    folder = composite.ACTIONS / action
    assert made[:3] == ["-I", "-m", "venv"]
    assert {"--require-hashes", "--only-binary", ":all:", str(folder / "requirements.txt")} < set(dependencies)
    assert {"--no-index", "--no-deps", "--no-build-isolation", f"{folder}/../../.."} < set(itself)
    assert all(words[:3] == ["-I", "-m", "pip"] for words in (dependencies, itself))
    (added,) = map(Path, done.path)
    assert [file.name for file in added.iterdir()] == ["lamslsa"]
    assert (added / "lamslsa").resolve() == Path(made[3]) / "bin" / "lamslsa"


def test_every_input_and_output_is_in_the_readme() -> None:
    for name in ("verify", "attest"):
        action: dict[str, Any] = composite.load(name)
        readme = (composite.ACTIONS / name / "README.md").read_text(encoding="utf-8").split("## Inputs")[1]
        rows = [line.split("|")[1].strip().strip("`") for line in readme.splitlines() if line.startswith("| `")]
        assert rows == [*action["inputs"], *action["outputs"]]


@pytest.mark.parametrize(
    "says", ["a\r\r## ✅ Accepted", "a\f\f## x", "<img src=x>\n\n[a](http://evil.example)", "`\n@user"]
)
@pytest.mark.parametrize("action", ["verify", "attest"])
def test_what_lamslsa_says_is_no_markdown(says: str, action: str, tmp_path: Path, recorder: dict[str, str]) -> None:
    """Where there is no verdict, and in what is attested: each line of it stands in a block of code."""
    inputs = {"verify": {"model": "m", "policy": "p"}, "attest": {"stage": "model", "job": "j", "to": "s"}}[action]
    done = composite.run(action, inputs, tmp_path / "work", SAYS=says, **recorder)
    _, _, said = re.sub(r"[\r\f\v]", "\n", done.summary).partition("\n\n")
    assert said.strip()
    assert [line for line in said.split("\n") if line and not line.startswith("    ")] == []


@pytest.mark.parametrize("lines", [1, 40_000])
@pytest.mark.parametrize("action", ["verify", "attest"])
def test_a_summary_is_never_too_long_to_be_shown(
    action: str, lines: int, tmp_path: Path, recorder: dict[str, str]
) -> None:
    """GitHub shows none of one above 1 MiB."""
    program = tmp_path / "bin" / "lamslsa"
    long = f"import sys\nfor _ in range({lines}): print('é' * {2_000_000 // lines}, file=sys.stderr)\n"
    program.write_text(RECORDER + long, encoding="utf-8")
    inputs = {"verify": {"model": "m", "policy": "p"}, "attest": {"stage": "model", "job": "j", "to": "s"}}[action]
    done = composite.run(action, inputs, tmp_path / "work", **recorder)
    assert done.code == 0, done.log[-300:]
    assert 0 < len(done.summary.encode()) < 1024 * 1024


def test_of_a_verdict_that_is_too_long_the_beginning_is_shown(tmp_path: Path, recorder: dict[str, str]) -> None:
    program = tmp_path / "bin" / "lamslsa"
    long = """
place = next(word for word in sys.argv if word.startswith("--output=markdown=")).rpartition("=")[2]
Path(place).write_text("## ❌ Refused: m\\n\\n" + "- **é** (`threshold-missed`)\\n" * 60_000, encoding="utf-8")
sys.exit(5)
"""
    program.write_text(RECORDER + long, encoding="utf-8")
    done = composite.run("verify", {"model": "m", "policy": "p"}, tmp_path / "work", **recorder)
    assert (done.code, done.outputs["accepted"]) == (5, "false")
    assert done.summary.startswith("## ❌ Refused: m\n\n- **é** (`threshold-missed`)\n")
    assert len(done.summary.encode()) < 1024 * 1024
    *listed, note = done.summary.rstrip("\n").split("\n")
    assert note.startswith("**The summary is longer than GitHub shows")
    assert set(listed[2:]) == {"- **é** (`threshold-missed`)", ""}
    assert Path(done.outputs["summary"]).stat().st_size > 1024 * 1024


@pytest.mark.parametrize("action", ["verify", "attest"])
def test_outputs_are_names_of_files_of_ours_alone(action: str, tmp_path: Path, recorder: dict[str, str]) -> None:
    """Nothing that came as input or out of lamslsa gets into GITHUB_OUTPUT or GITHUB_ENV: a line end would count."""
    inputs = dict.fromkeys(composite.load(action)["inputs"], "x\naccepted=true\nPATH=/evil")
    inputs |= {
        name: declared.get("default", "")
        for name, declared in composite.load(action)["inputs"].items()
        if str(declared.get("default", "")) in {"true", "false"}
    }
    inputs |= {"stage": "model"} if action == "attest" else {}
    done = composite.run(action, inputs, tmp_path / "work", SAYS="x\naccepted=true\nPATH=/evil", **recorder)
    assert done.code == 0, done.log
    (temporary,) = tmp_path.glob("work/runner-temp")
    values = {value for name, value in done.outputs.items() if name not in {"accepted", "exit-code"} and value}
    assert values
    assert all(Path(value).is_relative_to(temporary) and "\n" not in value for value in values)
    blocks = [step["run"] for step in composite.load(action)["runs"]["steps"]]
    assert [block for block in blocks if "GITHUB_ENV" in block] == []
