"""What holds for every workflow and action here: pins, permissions, and no expression inside a shell line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from tests.actions.composite import ACTIONS, ROOT, load

WORKFLOWS = [
    *sorted((ROOT / ".github" / "workflows").glob("*.yml")),
    *sorted((ROOT / "examples" / "github").glob("*.yml")),
]
FILES = [*sorted(ACTIONS.glob("*/action.yml")), *WORKFLOWS]
_PINNED = re.compile(r"[\w.-]+(?:/[\w.-]+)+@[0-9a-f]{40}")
_COMMENT = re.compile(r"uses: \S+@[0-9a-f]{40}(?: # v\d+\.\d+\.\d+)\n")


def document(path: Path) -> dict[str, Any]:
    value = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)  # for which `on` is a word
    assert isinstance(value, dict)
    return value


def values(node: Any, key: str) -> Iterator[Any]:
    """What stands under a key, anywhere."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from values(value, key)


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_both_actions_are_looked_at() -> None:
    assert {path.parent.name for path in FILES} >= {"attest", "verify"}


def test_the_copies_of_a_function_are_one_and_the_same() -> None:
    """Steps share no shell, so what quotes text of others stands in each of them."""
    copies = [
        re.sub(r"^quoted\(\) \{ # .*", "", found[0])
        for name in ("attest", "verify")
        for step in load(name)["runs"]["steps"]
        if (found := re.search(r"^quoted\(\) \{.*?^\}$", step["run"], re.MULTILINE | re.DOTALL))
    ]
    assert len(copies) == 4
    assert len(set(copies)) == 1


@pytest.mark.parametrize("path", FILES, ids=names)
def test_no_expression_is_expanded_in_a_shell_line(path: Path) -> None:
    blocks = [block for block in values(document(path), "run") if isinstance(block, str)]
    assert [block for block in blocks if "${{" in block] == []
    assert [word for block in blocks for word in re.findall(r"(?<![\w-])(?:eval|source|bash -c)(?![\w-])", block)] == []


@pytest.mark.parametrize("path", FILES, ids=names)
def test_everything_used_is_pinned_by_a_commit(path: Path) -> None:
    used = list(values(document(path), "uses"))
    theirs = [word for word in used if not word.startswith("./")]
    assert [word for word in theirs if not _PINNED.fullmatch(word)] == []
    ours = [word for word in theirs if word.startswith("lamslsa/")]
    text = path.read_text(encoding="utf-8")
    assert len(_COMMENT.findall(text)) == len(theirs) - len(ours), "the release stands beside the commit"


@pytest.mark.parametrize("path", WORKFLOWS, ids=names)
def test_a_workflow_begins_without_permissions(path: Path) -> None:
    workflow = document(path)
    assert workflow["permissions"] == {}
    assert all("permissions" in job for job in workflow["jobs"].values())
    assert "pull_request_target" not in workflow["on"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=names)
def test_a_checkout_leaves_no_credentials(path: Path) -> None:
    steps = [step for steps in values(document(path), "steps") for step in steps]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert [step for step in checkouts if step.get("with", {}).get("persist-credentials") != "false"] == []


@pytest.mark.parametrize(("action", "extra"), [("verify", None), ("attest", "measure")])
def test_every_dependency_is_locked_by_hash(action: str, extra: str | None) -> None:
    """The lock holds a version that pyproject.toml allows of all that it names, with hashes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"], *of(project, extra)]
    text = (ACTIONS / action / "requirements.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert [block for block in blocks if "--hash=sha256:" not in block] == []
    entries = [Requirement(block.split(" \\\n", 1)[0]) for block in blocks]
    for name in map(Requirement, wanted):
        versions = [
            str(entry.specifier).removeprefix("==") for entry in entries if entry.name.lower() == name.name.lower()
        ]
        assert versions, f"{name.name} is not in the lock"
        assert [version for version in versions if not name.specifier.contains(version)] == []


def of(project: dict[str, Any], extra: str | None) -> Iterator[str]:
    """The requirements of an extra, of those that it names too."""
    for text in project["project"]["optional-dependencies"].get(extra, []):
        named = Requirement(text)
        if named.name == "lamslsa":
            for other in named.extras:
                yield from of(project, other)
        else:
            yield text


@pytest.mark.parametrize("path", WORKFLOWS, ids=names)
def test_our_actions_are_given_inputs_that_they_have(path: Path) -> None:
    workflow = document(path)
    steps = [step for steps in values(workflow, "steps") for step in steps]
    for step in (step for step in steps if step.get("uses", "").startswith("lamslsa/")):
        inputs = load(step["uses"].partition("@")[0].rpartition("/")[2])["inputs"]
        assert set(step["with"]) <= set(inputs)
        assert {name for name, declared in inputs.items() if declared.get("required")} <= set(step["with"])
    for job in (job for job in workflow["jobs"].values() if job.get("uses", "").startswith("./")):
        called = document(path.parent / Path(job["uses"].partition(" ")[0]).name)["on"]["workflow_call"]["inputs"]
        assert set(job["with"]) <= set(called)
        assert {name for name, declared in called.items() if declared.get("required") == "true"} <= set(job["with"])


def test_the_example_asks_for_the_simulated_tee_in_so_many_words_and_deploys_what_was_accepted() -> None:
    workflow = document(ROOT / "examples" / "github" / "train-attest-verify-deploy.yml")
    asked = [step["with"] for step in workflow["jobs"]["train"]["steps"] if "actions/attest@" in step["uses"]]
    assert [(given["stage"], given["tee"]) for given in asked] == [
        (stage, "simulated") for stage in ("dataset", "training", "evaluation")
    ]
    deploy = workflow["jobs"]["deploy"]
    assert (deploy["needs"], deploy["if"]) == ("verify", "needs.verify.outputs.accepted == 'true'")


def test_the_examples_and_the_documentation_name_one_commit_of_our_actions() -> None:
    """So that an example is never older than what its README says."""
    places = [*WORKFLOWS, *ACTIONS.glob("*/README.md")]
    text = "".join(path.read_text(encoding="utf-8") for path in places)
    assert len(set(re.findall(r"lamslsa/lamslsa/\.github/actions/[a-z]+@(\S+)", text))) == 1
    for path in ACTIONS.glob("*/README.md"):
        found = re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8"))
        assert found, path
        assert all(_PINNED.fullmatch(word) for word in found), path
