"""docs/refusals.md is what docs/refusals.py writes, and no refusal of the areas that it covers is missing from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.loading import load_script

ROOT = Path(__file__).resolve().parents[2]
HERE = "tests/unit/test_refusals.py"


refusals = load_script(ROOT / "docs" / "refusals.py", "docs_refusals")
# They refuse nothing by themselves: a manifest that does not fit is told as such, and rim.py refuses the others.
PASS_ON = {"nvidia/golden.py"}
# They make evidence, or read what the own platform says; what appraisal says is a value, shown by tests/vectors/policy.
OTHERS = ("evidence/simulated/", "evidence/appraise/")
OTHER_MODULES = {
    *(
        f"evidence/{name}.py"
        for name in ("_kernel", "_tsm", "attesters", "detect", "devices", "interface", "run", "sealing")
    ),
    *(f"evidence/{name}.py" for name in ("nitro/attester", "nvidia/collect", "sgx/attester")),
    # what counts for nothing beside a key is told in a message, and refuses nothing
    *(f"sign/keyless/{name}.py" for name in ("_parts", "_witness")),
    # its word, model-refused, is no error: it stands for the rules of the policy, which the message names
    "admission/verdicts.py",
}
COVERED = ("admission/", "archive.py", "evidence/", "model_signature.py", "sign/", "store/")
# What an appraisal says is shown by its vectors; the first is said where there is always something to say it of.
UNSHOWN = {"witness-log", "witness-log-other", "witness-log-period", "witness-timestamp"}


def test_the_table_is_generated() -> None:
    assert refusals.TABLE.read_text(encoding="utf-8") == refusals.text(), "run python docs/refusals.py"


@pytest.mark.parametrize("area", refusals.AREAS)
def test_every_reason_in_the_code_is_shown_by_a_vector_or_a_test(area: str) -> None:
    assert [reason for reason, test in refusals.shown_elsewhere(area).items() if not test] == []


@pytest.mark.parametrize("area", refusals.AREAS)
def test_every_refusal_has_a_class(area: str) -> None:
    kinds = [kind for kind, _ in refusals.refused(area)] + list(map(refusals.either, refusals.raised(area).values()))
    allowed = {"FormatError", "VerificationError", "UnavailableError"}
    if area in {"identities", "inline", "admission"}:
        allowed.add("PolicyError")
    assert kinds
    assert all(kind and set(kind.split(" or ")) <= allowed for kind in kinds)


@pytest.mark.parametrize("area", refusals.AREAS)
def test_every_module_of_an_area_refuses_something_or_passes_it_on(area: str) -> None:
    for module in refusals.AREAS[area].modules:
        assert refusals.reasons(refusals.AREAS[area].path(module)) or module in PASS_ON, module


def test_every_module_is_in_an_area() -> None:
    listed = {area.path(module) for area in refusals.AREAS.values() for module in area.modules}
    spoken = {path for path in refusals.PACKAGE.rglob("*.py") if refusals.reasons(path)}
    missing = {path.relative_to(refusals.PACKAGE).as_posix() for path in spoken - listed}
    assert {path for path in missing if path.startswith(COVERED) and not path.startswith(OTHERS)} == OTHER_MODULES


def test_every_reason_in_the_package_is_shown_by_a_vector_or_a_test() -> None:
    shown = {reason for area in refusals.AREAS for _, reason in refusals.refused(area)}
    for path in sorted(refusals.VECTORS.rglob("expected.json")):
        rules = json.loads(path.read_bytes()).get("rules", {})
        shown |= {said[1] for said in rules.values() if len(said) > 1}
    shown |= {word for word, tests in refusals._tests().items() if any(file != HERE for file, _ in tests)}
    in_code = {reason for path in refusals.PACKAGE.rglob("*.py") for reason in refusals.reasons(path)}
    assert in_code - shown == UNSHOWN


def test_reasons_are_found_wherever_they_are_given(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        """
_KEPT: Final = "kept-aside"

def verify():
    raise FormatError("expected x, got y", reason="by-name")
    raise VerificationError("expected x, got y", reason="one-way" if data else "other-way")
    raise UnavailableError("expected x, got y", reason=_KEPT)
    raise refuse("not-a-reason", "by-position")
    raise self.other("not-a-reason", why="by-another-name")
    foreign(reason="of-no-class")
    raise Refusal(reason="in-a-verdict")
    node.refuse("expected x, got y", reason="by-a-node")
    raise UnavailableError("expected x, got y", reason=service.silent)

SERVICE = Service(name="a-name", silent="by-a-field")

def refuse(what, reason):
    if what is None:
        raise VerificationError(what, reason="of-its-own")
    return FormatError(what, reason=reason)

class Reader:
    def other(self, what, *, why):
        return VerificationError(what, reason=why)
"""
    )
    assert {reason: set(kinds) for reason, kinds in refusals.reasons(module).items()} == {
        "by-name": {"FormatError"},
        "one-way": {"VerificationError"},
        "other-way": {"VerificationError"},
        "kept-aside": {"UnavailableError"},
        "by-position": {"FormatError"},
        "by-another-name": {"VerificationError"},
        "of-no-class": set(),
        "in-a-verdict": {"PolicyError"},
        "by-a-field": {"UnavailableError"},
        "of-its-own": {"VerificationError"},
        "by-a-node": {"FormatError"},
    }


def test_tests_name_reasons_in_many_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_module.py").write_text(
        """
TABLE = {"lie": "in-a-table"}
UNREAD = ["in-no-test"]

@pytest.mark.parametrize("reason", ["in-the-parametrization"])
def test_one(reason):
    assert caught.reason in {"by-itself", reason, TABLE["lie"]}

@pytest.mark.parametrize("kind", ["refused", "silent"])
def test_two(kind):
    assert caught.reason == f"{'service'}-{kind}"

def helper():
    return "in-a-helper"
"""
    )
    monkeypatch.setattr(refusals, "ROOT", tmp_path)
    monkeypatch.setattr(refusals, "TESTS", (tmp_path,))
    found = refusals._tests.__wrapped__()
    one, two = [("test_module.py", "test_one")], [("test_module.py", "test_two")]
    assert all(found[word] == one for word in ("in-a-table", "in-the-parametrization", "by-itself"))
    assert all(found[word] == two for word in ("service-refused", "service-silent"))
    assert not {"in-no-test", "in-a-helper", "by-itself-reason"} & found.keys()
