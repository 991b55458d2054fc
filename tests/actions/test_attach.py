"""Bundles attached to a release of GitHub: gh itself, against an API on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.actions import composite
from tests.actions.census import REPOSITORY, Census
from tests.actions.github import TOKEN, GitHub, serve
from tests.actions.test_actions import commands, fake

TAG = "v1.0.0"


@pytest.fixture
def github() -> GitHub:
    github = GitHub(REPOSITORY)
    github.releases = {"v0.9.0": {}, TAG: {"census-mlp.tar": b"the model"}}
    return github


LAMSLSA = """#!/bin/bash
for word; do
  case $word in
    --out=*) mkdir "${word#--out=}" ;;
    --to=*)
      mkdir "${word#--to=}"
      for name in 01-evaluation tee-evidence; do
        echo "$name" >"${word#--to=}/$name-${DIGEST:-$RANDOM}.sigstore.json"
      done
      ;;
  esac
done
"""


@pytest.fixture
def machine(github: GitHub, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A runner with gh, and a lamslsa that leaves two bundles."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "lamslsa").write_text(LAMSLSA, encoding="utf-8")
    (tmp_path / "bin" / "lamslsa").chmod(0o755)
    with tempfile.TemporaryDirectory() as short, serve(github, Path(short)) as environment:
        (tmp_path / "bin" / "gh").symlink_to(environment.pop("GH"))
        yield environment | {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}


ASKED = {"to": f"release:{TAG}", "github-token": TOKEN}


def attach(place: Path, machine: dict[str, str], **inputs: str) -> composite.Done:
    asked = {"stage": "evaluation", "subject": "m", "job": "j", "tee": "simulated"} | ASKED
    return composite.run("attest", asked | {key.replace("_", "-"): v for key, v in inputs.items()}, place, **machine)


def test_what_is_attached_to_a_release_is_what_a_verifier_gets(
    census: Census, github: GitHub, machine: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "bin" / "lamslsa").unlink()
    fake(tmp_path / "bin", "attest", census)
    done = census.attest(ASKED, str(tmp_path / "attest"), **machine)
    assert done.code == 0, done.log
    assert done.ran == ("measure", "sign", "attach")
    assert "### Attached to the release: 2 files\n" in done.summary
    assert github.releases["v0.9.0"] == {}
    assert github.releases[TAG].pop("census-mlp.tar") == b"the model"
    attached = github.releases[TAG]
    assert sorted(name.rpartition("-")[0] for name in attached) == ["01-evaluation", "tee-evidence"]
    assert github.replaced == 0

    model = census.without_evaluation(tmp_path / "census-mlp")
    stores = [tmp_path / "downloaded", model / ".attestations"]
    stores[0].mkdir()
    for name, data in attached.items():
        (stores[0] / name).write_bytes(data)
    inputs = {"model": str(model), "attestations": "\n".join(map(str, stores))}
    verified = census.verify(inputs, tmp_path / "verify")
    assert verified.outputs["accepted"] == "true", verified.log


def test_a_failure_half_way_is_said_and_the_job_can_run_again(
    github: GitHub, machine: dict[str, str], tmp_path: Path
) -> None:
    github.fails_after = 1
    done = attach(tmp_path / "first", machine)
    assert done.code == 6
    assert done.ran == ("measure", "sign", "attach")
    assert "### ❌ Not all is attached to the release" in done.summary
    assert "Attached to the release:" not in done.summary
    half = dict(github.releases[TAG])
    assert len(half) == 2

    github.fails_after = None
    again = attach(tmp_path / "again", machine)
    assert again.code == 0, again.log
    assert half.items() < github.releases[TAG].items()
    assert len(github.releases[TAG]) == 4
    assert github.replaced == 0


def test_what_the_api_says_is_neither_markdown_nor_a_command(
    github: GitHub, machine: dict[str, str], tmp_path: Path
) -> None:
    github.fails_after = 0
    done = attach(tmp_path / "attest", machine)
    assert "evil.example" in done.summary
    section = done.summary.partition("### ❌ Not all")[2]
    lines = [line for line in section.replace("\r", "\n").splitlines()[1:] if line]
    told = [line for line in lines if not line.startswith("    ")]
    assert told == ["Run the job again: what is there already stays, and does no harm."]
    assert [line for line in commands(done.log) if not line.startswith("::error title=lamslsa attest::signed")] == []


def test_a_file_of_the_same_name_is_never_replaced(github: GitHub, machine: dict[str, str], tmp_path: Path) -> None:
    github.releases[TAG]["tee-evidence-2.sigstore.json"] = b"old"
    done = attach(tmp_path / "attest", machine | {"DIGEST": "2"})
    assert done.code == 6
    assert github.releases[TAG] == {"census-mlp.tar": b"the model", "tee-evidence-2.sigstore.json": b"old"}
    assert github.replaced == 0
    assert "tee-evidence-2.sigstore.json" in done.summary


@pytest.mark.parametrize(
    "tag",
    [
        *("", "-h", "--clobber", "../../../other/repo/releases/tags/v1", "v1/..", "a//b", "v1?x=1", "v1#x", "v1%2f"),
        *("v1\n::error::owned", "$(touch owned)", "`touch owned`", 'v1"; touch owned; "', "v1 --clobber", "é"),
    ],
)
def test_a_tag_that_is_none_is_refused_before_anything_is_measured(
    tag: str, github: GitHub, machine: dict[str, str], tmp_path: Path
) -> None:
    done = attach(tmp_path / "attest", machine, to=f"release:{tag}")
    assert done.code == 2
    assert done.ran == ("measure",)
    assert "expected a tag of letters" in done.log
    assert not list(tmp_path.rglob("owned"))
    assert github.asked == []


@pytest.mark.parametrize(("tag", "files"), [("v2", 0), ("release/1.0+build_1", 2)])
def test_only_a_release_that_is_there_gets_files(
    tag: str, files: int, github: GitHub, machine: dict[str, str], tmp_path: Path
) -> None:
    github.releases["release/1.0+build_1"] = {}
    done = attach(tmp_path / "attest", machine, to=f"release:{tag}")
    assert done.code == (0 if files else 6), done.log
    assert len(github.releases.get(tag, {})) == files
    assert list(github.releases[TAG]) == ["census-mlp.tar"]


@pytest.mark.parametrize("token", ["", "ghs_without-permission"])
def test_without_permission_to_upload_nothing_is_attached(
    token: str, github: GitHub, machine: dict[str, str], tmp_path: Path
) -> None:
    done = attach(tmp_path / "attest", machine, github_token=token)
    assert done.code == 6
    assert list(github.releases[TAG]) == ["census-mlp.tar"]


def test_without_gh_nothing_is_measured(machine: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "bin" / "gh").unlink()
    (tmp_path / "bin" / "bash").symlink_to("/bin/bash")
    done = attach(tmp_path / "attest", machine | {"PATH": str(tmp_path / "bin")})
    assert done.code == 2
    assert "expected gh on PATH" in done.log


def test_the_token_is_in_the_one_step_that_uploads() -> None:
    steps = composite.load("attest")["runs"]["steps"]
    holders = [step["id"] for step in steps if "inputs.github-token" in str(step)]
    assert holders == ["attach"]
    attach_step = next(step for step in steps if step["id"] == "attach")
    assert attach_step["if"] == "startsWith(inputs.to, 'release:')"
    assert composite.load("attest")["inputs"]["github-token"]["default"] == composite.TOKEN
