"""What tests/pace.py keeps on one worker is there, and stays together; everything else may go to any worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pace import TOGETHER, together

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("place", TOGETHER)
def test_it_is_there(place: str) -> None:
    path, _, test = place.partition("::")
    assert f"def {test}" in (ROOT / path).read_text(encoding="utf-8")


def test_tests_of_one_fixture_stay_together() -> None:
    assert {
        together("tests/unit/enclave/test_closure.py::test_one"),
        together("tests/unit/enclave/test_closure.py::test_two[a-b]"),
        together("tests/unit/enclave/test_end_to_end.py::test_every_job_runs_on_trusted_files_alone"),
    } == {"measure-build"}


def test_so_do_those_of_one_rehearsal() -> None:
    file = "tests/cli/test_policy_templates.py"
    assert together(f"{file}::test_one[hub-model]") == together(f"{file}::test_two[hub-model]")
    assert together(f"{file}::test_one[hub-model]") != together(f"{file}::test_one[census-income]")
    assert together(f"{file}::test_every_rehearsal_is_tested") == f"{file}::test_every_rehearsal_is_tested"


def test_all_others_go_one_by_one() -> None:
    for nodeid in ("tests/unit/enclave/test_end_to_end.py::test_sgx_and_own_code", "tests/a.py::test_b[c::d]"):
        assert together(nodeid) == nodeid
