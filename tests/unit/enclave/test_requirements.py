"""enclave/requirements.txt has what every measurer requires: each package once, at one version, by hash."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from lamslsa._cli import measurers
from lamslsa.artifact.package import HOST_ONLY
from lamslsa.enclave import files

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
    found = dict.fromkeys(PROJECT["dependencies"])
    for extra in chain.from_iterable(map(within, extras)):
        found |= dict.fromkeys(PROJECT["optional-dependencies"][extra])
    return [item for item in map(Requirement, found) if item.name != PROJECT["name"]]


def within(extra: str) -> set[str]:
    """An extra, and those that it takes in."""
    own = [item for item in map(Requirement, PROJECT["optional-dependencies"][extra]) if item.name == PROJECT["name"]]
    return {extra}.union(*(within(other) for item in own for other in item.extras))


def pinned() -> dict[str, Version]:
    found = [match for line in LINES if (match := LINE.fullmatch(line))]
    return {canonicalize_name(match[1]): Version(match[2]) for match in found}


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_one_package_by_hash(line: str) -> None:
    assert LINE.fullmatch(line)


def test_each_package_stands_there_once() -> None:
    assert len(pinned()) == len(LINES) > 0


IN_ENCLAVES = [item for item in required("measure") if item.name not in HOST_ONLY]


@pytest.mark.parametrize("requirement", IN_ENCLAVES, ids=str)
def test_what_the_project_requires_is_there_in_its_range(requirement: Requirement) -> None:
    assert pinned()[canonicalize_name(requirement.name)] in requirement.specifier


def test_a_build_holds_what_every_measurer_of_ours_requires() -> None:
    assert set(files._EXTRAS) == within("measure") - {"measure"}
    assert within("measure") >= {*measurers.EXTRAS.values(), *measurers._OF_STAGE.values()}


def test_the_packages_of_a_build_are_those_that_are_named() -> None:
    """The closure of this environment, as an enclave takes it; other versions of a package may require others."""
    site = Path(str(importlib.metadata.distribution("lamslsa").locate_file("")))
    assert {canonicalize_name(item.metadata["Name"]) for item in files._closure(site, None)} <= {*pinned(), "lamslsa"}


def test_what_make_and_ci_install_is_the_same() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    constraints = [Requirement(line) for line in lines if line and not line.startswith("#")]
    both = [each for each in constraints if canonicalize_name(each.name) in pinned()]
    assert "torch" in {each.name for each in both}
    for constraint in both:
        assert pinned()[canonicalize_name(constraint.name)] in constraint.specifier


def test_the_tools_of_other_extras_are_not_there() -> None:
    others = {
        "adversarial-robustness-toolbox",
        "mlcroissant",
        "rdflib",
        "torchvision",
        "tqdm",
    }  # tests compare with some
    assert pinned().keys().isdisjoint({"lamslsa", "pytest", "signxml", "nvidia-ml-py", "requests", *others, *HOST_ONLY})
    assert {item.name for item in required()} >= HOST_ONLY, "what is left out is required elsewhere"
