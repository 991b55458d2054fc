"""enclave/requirements.txt has what lamslsa[tabular] requires: each package once, at one version, by hash."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from lamslsa.artifact.package import HOST_ONLY

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINE = re.compile(r"([a-z0-9_-]+)==([0-9][0-9a-z.+]*) --hash=sha256:([0-9a-f]{64})")
LINES = [
    line
    for line in (ROOT / "enclave" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


def required(*extras: str) -> list[Requirement]:
    """What the project requires, with the extras that an extra names itself."""
    optional = PROJECT["optional-dependencies"]
    found = [Requirement(text) for text in PROJECT["dependencies"]]
    for extra in extras:
        found += [Requirement(text) for text in optional[extra]]
    own = [item for item in found if item.name == PROJECT["name"]]
    others = [item for item in found if item.name != PROJECT["name"]]
    return others + [item for named in own for extra in named.extras for item in map(Requirement, optional[extra])]


def pinned() -> dict[str, Version]:
    found = [match for line in LINES if (match := LINE.fullmatch(line))]
    return {canonicalize_name(match[1]): Version(match[2]) for match in found}


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_one_package_by_hash(line: str) -> None:
    assert LINE.fullmatch(line)


def test_each_package_stands_there_once() -> None:
    assert len(pinned()) == len(LINES) > 0


IN_ENCLAVES = [item for item in required("tabular") if item.name not in HOST_ONLY]


@pytest.mark.parametrize("requirement", IN_ENCLAVES, ids=str)
def test_what_the_project_requires_is_there_in_its_range(requirement: Requirement) -> None:
    assert pinned()[canonicalize_name(requirement.name)] in requirement.specifier


def test_what_make_and_ci_install_is_the_same() -> None:
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            constraint = Requirement(line)
            assert pinned()[canonicalize_name(constraint.name)] in constraint.specifier


def test_the_tools_of_other_extras_are_not_there() -> None:
    assert pinned().keys().isdisjoint({"lamslsa", "pytest", "signxml", "nvidia-ml-py", "requests", *HOST_ONLY})
    assert {item.name for item in required()} >= HOST_ONLY, "what is left out is required elsewhere"
