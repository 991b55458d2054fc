"""A runner for the composite actions of this repository: their ``run:`` blocks verbatim, in order, as GitHub runs them.

It knows the expressions that these actions use and refuses every other one. Inputs reach a block as it asks for them,
in the environment, and its outputs come out of the file that GITHUB_OUTPUT names.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
ACTIONS = ROOT / ".github" / "actions"
_EXPRESSION = re.compile(
    r"\$\{\{ (?:inputs\.(?P<input>[a-z-]+)|steps\.(?P<step>[a-z]+)\.outputs\.(?P<output>[a-z-]+)) \}\}"
)
_CONDITION = re.compile(r"inputs\.(?P<input>[a-z-]+) != '(?P<value>[a-z]*)'")
_BEGINNING = re.compile(r"startsWith\(inputs\.(?P<input>[a-z-]+), '(?P<value>[a-z:]+)'\)")
TOKEN = "${{ github.token }}"
_SHELL = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"]  # what `shell: bash` stands for


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a run of an action left: exit code of the step that failed or 0, its files, and the log."""

    code: int
    outputs: Mapping[str, str]
    summary: str
    log: str
    ran: tuple[str, ...]
    path: tuple[str, ...]


def load(name: str) -> dict[str, Any]:
    """An action of this repository."""
    action = yaml.safe_load((ACTIONS / name / "action.yml").read_text(encoding="utf-8"))
    assert isinstance(action, dict)
    return action


def run(name: str, inputs: Mapping[str, str], folder: Path, **environment: str) -> Done:
    """Run an action with these inputs; its temporary files go below ``folder``."""
    action = load(name)
    assert not set(inputs) - set(action["inputs"]), "GitHub warns of inputs that there are none of"
    given = {key: str(inputs.get(key, declared.get("default", ""))) for key, declared in action["inputs"].items()}
    steps: dict[str, Mapping[str, str]] = {}
    summary, log, ran, path, code = "", "", [], [], 0
    for number, step in enumerate(action["runs"]["steps"]):
        if not _wanted(step.get("if"), given):
            continue
        place = folder / f"step-{number}"
        place.mkdir(parents=True)
        for file in ("output", "summary", "path", "block"):
            (place / file).touch()
        (place / "block").write_text(step["run"], encoding="utf-8")
        variables = {key: _value(text, given, steps) for key, text in step["env"].items()}
        done = subprocess.run(
            [*_SHELL, str(place / "block")],
            env=_machine(name, place, folder) | environment | variables,
            cwd=folder,
            capture_output=True,
            check=False,
            timeout=300,
        )
        log += done.stdout.decode() + done.stderr.decode()
        summary += (place / "summary").read_text(encoding="utf-8")
        lines = (place / "output").read_text(encoding="utf-8").splitlines()
        steps[step["id"]] = dict(line.split("=", 1) for line in lines)
        path += (place / "path").read_text(encoding="utf-8").splitlines()
        ran.append(step["id"])
        if (code := done.returncode) != 0:
            break
    outputs = {key: _value(declared["value"], given, steps) for key, declared in action["outputs"].items()}
    return Done(code=code, outputs=outputs, summary=summary, log=log, ran=tuple(ran), path=tuple(path))


def _machine(name: str, place: Path, folder: Path) -> dict[str, str]:
    """The environment of a step that is not its own."""
    temporary = folder / "runner-temp"
    temporary.mkdir(exist_ok=True)
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HOME": str(folder),
        "COLUMNS": "100",
        "RUNNER_TEMP": str(temporary),
        "GITHUB_ACTION_PATH": str(ACTIONS / name),
        "GITHUB_PATH": str(place / "path"),
        "GITHUB_OUTPUT": str(place / "output"),
        "GITHUB_STEP_SUMMARY": str(place / "summary"),
    }


def _wanted(condition: str | None, inputs: Mapping[str, str]) -> bool:
    if condition is None:
        return True
    if (beginning := _BEGINNING.fullmatch(condition)) is not None:
        return inputs[beginning["input"]].startswith(beginning["value"])
    found = _CONDITION.fullmatch(condition)
    assert found is not None, f"a condition that this runner does not know: {condition}"
    return inputs[found["input"]] != found["value"]


def _value(text: str, inputs: Mapping[str, str], steps: Mapping[str, Mapping[str, str]]) -> str:
    if "${{" not in text:
        return text
    found = _EXPRESSION.fullmatch(text)
    assert found is not None, f"an expression that this runner does not know: {text}"
    if found["input"] is not None:
        return inputs[found["input"]]
    return steps.get(found["step"], {}).get(found["output"], "")
