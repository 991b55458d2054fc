"""The workflows of this repository: what they run exists, and a conformance that failed is told once."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.actions.composite import ROOT
from tests.actions.test_pins import document

GH = """#!/usr/bin/env python3
import json, os, sys
with open(os.environ["ASKED"], "a") as asked:
    asked.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1:3] == ["issue", "list"]:
    print(os.environ["OPEN"])
"""


def steps(workflow: str, job: str) -> list[dict[str, Any]]:
    return list(document(ROOT / ".github" / "workflows" / f"{workflow}.yml")["jobs"][job]["steps"])


@pytest.mark.parametrize(("number", "word"), [("", "create"), ("41", "comment")])
def test_a_conformance_that_failed_opens_one_issue(number: str, word: str, tmp_path: Path) -> None:
    (tmp_path / "gh").write_text(GH, encoding="utf-8")
    (tmp_path / "gh").chmod(0o755)
    (step,) = steps("conformance", "report")
    (tmp_path / "block").write_text(step["run"], encoding="utf-8")
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "ASKED": str(tmp_path / "asked"),
        "OPEN": number,
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "acme/census",
        "GITHUB_RUN_ID": "7",
    }
    subprocess.run(["bash", "-e", str(tmp_path / "block")], env=environment, cwd=tmp_path, check=True, timeout=60)
    asked, done = [json.loads(line) for line in (tmp_path / "asked").read_text(encoding="utf-8").splitlines()]
    assert asked[:2] == ["issue", "list"]
    assert done[:2] == ["issue", word]
    assert done[done.index("--repo") + 1] == "acme/census"
    assert done[-1].endswith("https://github.com/acme/census/actions/runs/7")
    assert (number in done) == bool(number)


def test_what_reports_may_only_open_issues_and_tells_of_every_end_but_a_good_one() -> None:
    jobs = document(ROOT / ".github" / "workflows" / "conformance.yml")["jobs"]
    assert jobs["report"]["permissions"] == {"issues": "write"}
    assert jobs["report"]["if"] == "${{ !cancelled() && needs.interop.result != 'success' }}"
    assert jobs["interop"]["permissions"] == {"contents": "read"}


def test_the_peers_that_have_to_be_there_are_installed() -> None:
    """Under CI_REQUIRE_PEERS a peer that is missing fails its tests."""
    run = "\n".join(step.get("run", "") for step in steps("conformance", "interop"))
    readme = (ROOT / "tests" / "interop" / "README.md").read_text(encoding="utf-8")
    found = re.search(r"`apt-get install ([a-z0-9 -]+)`", readme)
    assert found is not None
    assert set(found[1].split()) <= set(run.split())


def test_every_target_of_make_and_every_file_that_a_workflow_names_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    asked, files = set(), set()
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        for block in re.findall(r"run: (?:\|\n((?: {10}.*\n)+)|(.*))", path.read_text(encoding="utf-8")):
            text = "".join(block)
            asked |= set(re.findall(r"\bmake ([a-z-]+)", text))
            files |= set(re.findall(r"(?:\.github|policies|tests)/[\w./-]+\w", text))
    assert asked == {"lint", "test"}
    assert asked <= targets
    assert [name for name in files if not (ROOT / name).exists()] == []
    assert "policies/release/appraise.py" in files
