"""A transform of several outputs, in an enclave build: what comes out is a run, and is found to belong together."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamslsa.enclave import inside, run
from lamslsa.enclave.job import SCRATCH
from lamslsa.enclave.run import Request

SPLIT = """
apiVersion: lamslsa.dev/job/v1
kind: Job
schemas:
  people: {{format: csv, delimiter: ",", header: true, trim: false, nullToken: "?", label: null, columns: [
    {{name: id, type: integer}}, {{name: age, type: integer}}]}}
datasets:
  people: {{schema: people, skipLines: 0, groups: [], overlap: []}}
transforms:
  prepare:
    transform: preprocess/1
    dataset: people
    steps:
      - {{step: split, into: {{{one}: 2, {other}: 1}}, seed: 7, together: [], stratify: []}}
    nullToken: "?"
    label: null
    outputs: {{{one}: first, {other}: second}}
"""


@pytest.mark.parametrize(("one", "other"), [("train", "test"), ("Train", "Test"), ("a" * 60, "b-1")])
def test_every_part_has_its_statement(tmp_path: Path, one: str, other: str) -> None:
    (tmp_path / "people.csv").write_text("id,age\n1,2\n2,3\n3,4\n4,5\n")
    request = Request(
        kind="transform",
        config=SPLIT.format(one=one, other=other).encode(),
        inputs={"dataset": tmp_path / "people.csv"},
        name="prepare",
    )
    root = tmp_path / "root"
    (root / SCRATCH).mkdir(parents=True)
    run._lay_out(root, request, run._job(request, "gramine-direct"), tmp_path / "platform")
    assert inside.main(root) == 0
    finished = run._finish(root, request)
    assert [item.name for item in finished.run.statements] == ["01-provenance", "02-provenance"]
    assert set(finished.outputs) == {"first", "second"}
