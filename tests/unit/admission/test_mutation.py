"""What ``/mutate`` answers: the vectors, held against what ``/admit`` says of the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lamslsa.admission.guard import refuse_unguarded
from lamslsa.admission.mutation import answer_patch, mutated
from lamslsa.admission.review import Review, parse
from lamslsa.admission.verifier import Held
from lamslsa.errors import LamslsaError
from tests.unit.admission.pods import VERIFIER, operations_of, patched

VECTORS = Path(__file__).parents[2] / "vectors" / "admission-mutate"
NAMES = sorted(path.name for path in VECTORS.iterdir() if path.is_dir())
POLICY: Any = None
HELD = Held(policy=POLICY, verifier=VERIFIER)


def read(name: str) -> tuple[dict[str, Any], Review, dict[str, Any]]:
    data = (VECTORS / name / "review.json").read_bytes()
    expected = json.loads((VECTORS / name / "expected.json").read_text(encoding="utf-8"))
    return json.loads(data), parse(data), expected


def admitted(review: Review) -> bool | str:
    if review.pod is None or review.starts_nothing:
        return True
    try:
        refuse_unguarded(review.pod, VERIFIER)
    except LamslsaError as err:
        return err.reason
    return True


@pytest.mark.parametrize("name", NAMES)
def test_vectors(name: str) -> None:
    document, review, expected = read(name)
    assert name.endswith("_fail") == ("refused" in expected)
    assert admitted(review) == expected["admitted"]
    if "refused" in expected:
        with pytest.raises(LamslsaError) as caught:
            mutated(review, HELD)
        assert caught.value.reason == expected["refused"]
        assert expected["admitted"] == expected["refused"]
        return
    operations = operations_of(answer_patch(review, mutated(review, HELD), policy="sha256:00")["response"])
    assert operations == expected["patch"]
    if not operations:
        return
    assert expected["admitted"] == "admission-unguarded"
    document["request"]["object"] = patched(document["request"]["object"], operations)
    after = parse(json.dumps(document).encode())
    assert admitted(after) is True
    assert mutated(after, HELD) == []


def test_they_show_both() -> None:
    assert sum(name.endswith("_fail") for name in NAMES) >= 12
    assert sum(bool(read(name)[2].get("patch")) for name in NAMES) >= 8


def test_the_answer() -> None:
    document, review, _ = read("claim")
    found = answer_patch(review, mutated(review, HELD), policy="sha256:00")
    assert (found["apiVersion"], found["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert found["response"]["uid"] == document["request"]["uid"]
    assert found["response"]["auditAnnotations"] == {"policy": "sha256:00", "patched": "yes"}
    _, untouched, _ = read("without-model")
    assert answer_patch(untouched, (), policy="sha256:00")["response"] == {
        "uid": document["request"]["uid"],
        "allowed": True,
        "auditAnnotations": {"policy": "sha256:00", "patched": "no"},
    }


def test_nothing_is_changed_where_the_policy_refuses() -> None:
    _, review, _ = read("claim")
    assert mutated(review, Held(policy=POLICY, verifier=None)) == ()
