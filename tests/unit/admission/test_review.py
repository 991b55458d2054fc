"""What an AdmissionReview asks about: the vectors, what is no review, and the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lamslsa.admission.review import MAX_REVIEW_BYTES, answer, parse
from lamslsa.errors import FormatError, LamslsaError

VECTORS = Path(__file__).parents[2] / "vectors" / "admission"
NAMES = sorted(path.name for path in VECTORS.iterdir() if path.is_dir() and path.name != "__pycache__")


def read(name: str) -> dict[str, Any]:
    review: dict[str, Any] = json.loads((VECTORS / name / "review.json").read_text(encoding="utf-8"))
    return review


def changed(path: str, value: Any) -> bytes:
    """The review of a Pod with one member changed; no value takes it away."""
    document = read("pod-image-volume")
    *above, last = path.split(".")
    holder = document
    for name in above:
        holder = holder[name]
    if value is None:
        del holder[last]
    else:
        holder[last] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize("name", NAMES)
def test_vectors(name: str) -> None:
    expected = json.loads((VECTORS / name / "expected.json").read_text(encoding="utf-8"))
    review = parse((VECTORS / name / "review.json").read_bytes())
    errors = [item.model for item in review.found if isinstance(item.model, LamslsaError)]
    errors += [] if review.refused is None else [review.refused]
    assert review.starts_nothing == expected.get("startsNothing", False)
    assert name.endswith("_fail") == bool(expected["reasons"])
    if review.starts_nothing:
        assert review.refused is None
        return
    assert [str(item.model) for item in review.found if not isinstance(item.model, LamslsaError)] == expected["models"]
    assert [err.reason for err in errors] == expected["reasons"]
    assert all(str(err).startswith("expected ") for err in errors)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pod-connect_fail", "admission-operation"),
        ("kind-unknown_fail", "admission-kind"),
        ("pod-many-volumes_fail", "admission-models"),
        ("pod-pvc_fail", "admission-volume"),
        ("service-without-model_fail", "admission-no-model"),
        ("service-s3_fail", "admission-source"),
    ],
)
def test_refusals_say_what_to_do(name: str, reason: str) -> None:
    review = parse((VECTORS / name / "review.json").read_bytes())
    errors = [item.model for item in review.found if isinstance(item.model, LamslsaError)]
    errors += [] if review.refused is None else [review.refused]
    (error,) = errors
    assert error.reason == reason
    assert error.hint or reason == "admission-models"


def test_places_are_written_as_people_find_them() -> None:
    (found,) = parse((VECTORS / "pod-image-volume" / "review.json").read_bytes()).found
    assert found.where == 'spec.volumes["model"].image.reference'
    (found,) = parse((VECTORS / "service" / "review.json").read_bytes()).found
    assert found.where == "spec.predictor.model.storageUri"
    (found,) = parse((VECTORS / "cron-job" / "review.json").read_bytes()).found
    assert found.where == 'spec.jobTemplate.spec.template.spec.volumes["model"].image.reference'


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("apiVersion", "admission.k8s.io/v1beta1", "admission-review"),
        ("kind", "Pod", "admission-review"),
        ("request", None, "admission-review"),
        ("request", [], "admission-shape"),
        ("request.uid", None, "admission-review"),
        ("request.uid", 7, "admission-shape"),
        ("request.uid", "x" * 1025, "admission-shape"),
        ("request.operation", None, "admission-review"),
        ("request.kind", None, "admission-review"),
        ("request.kind", "Pod", "admission-shape"),
        ("request.object", None, "admission-review"),
        ("request.object", "Pod", "admission-shape"),
    ],
)
def test_what_is_no_review(path: str, value: Any, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse(changed(path, value))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "json-syntax"),
        (b"[]", "admission-review"),
        (b"{", "json-syntax"),
        (b"\xff", "json-utf8"),
        (b'{"kind": "AdmissionReview", "kind": "AdmissionReview"}', "json-duplicate-key"),
        (b"[" * 65 + b"]" * 65, "json-depth"),
        (b" " * (MAX_REVIEW_BYTES + 1), "json-size"),
    ],
)
def test_bytes_that_are_no_review(data: bytes, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("request.object.spec", "x"),
        ("request.object.spec.volumes", "x"),
        ("request.object.spec.volumes", ["x"]),
        ("request.object.spec.volumes", [{"name": "m", "image": "x"}]),
        ("request.object.spec.volumes", [{"name": "m", "image": {"reference": 7}}]),
        ("request.object.spec.volumes", [{"name": {}, "image": {"reference": "x"}}]),
        ("request.object.spec.volumes", [{"name": "m", "image": {"reference": "x" * 1025}}]),
    ],
)
def test_what_a_user_writes_is_refused_in_the_answer(path: str, value: Any) -> None:
    """An error would be left to the failurePolicy."""
    review = parse(changed(path, value))
    assert review.refused is not None
    assert review.refused.reason == "admission-shape"


def test_an_image_volume_without_a_reference_is_refused() -> None:
    (found,) = parse(changed("request.object.spec.volumes", [{"name": "m", "image": {}}])).found
    assert isinstance(found.model, LamslsaError)
    assert found.model.reason == "admission-unpinned"


def test_null_is_absent() -> None:
    data = changed("request.object.spec.volumes", [{"name": "m", "image": None, "emptyDir": {}, "nfs": None}])
    review = parse(data)
    assert (review.found, review.refused) == ((), None)


def test_a_volume_of_two_kinds_is_judged_by_both() -> None:
    reference = "registry.example/m@sha256:" + "0" * 64
    volume = {"name": "m", "image": {"reference": reference}, "nfs": {"server": "x", "path": "/"}}
    review = parse(changed("request.object.spec.volumes", [volume]))
    assert [isinstance(item.model, LamslsaError) for item in review.found] == [False, True]


def test_a_deep_service_is_refused() -> None:
    deep: dict[str, Any] = {"storageUri": "s3://x"}
    for _ in range(80):
        deep = {"model": deep}
    document = read("service")
    document["request"]["object"]["spec"]["predictor"] = deep
    with pytest.raises(FormatError) as caught:
        parse(json.dumps(document).encode())
    assert caught.value.reason == "json-depth"


def test_update_needs_the_object_before() -> None:
    document = read("pod-update-same-models")
    document["request"]["oldObject"] = None
    assert not parse(json.dumps(document).encode()).starts_nothing


def test_the_answer_admits() -> None:
    review = parse((VECTORS / "pod-image-volume" / "review.json").read_bytes())
    document = answer(review, [], policy="sha256:00")
    assert (document["apiVersion"], document["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert document["response"] == {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "allowed": True,
        "auditAnnotations": {
            "models": "oci://registry.example/team/census@sha256:" + "3f" * 32,
            "policy": "sha256:00",
            "judged": "yes",
        },
    }


def test_the_answer_refuses_and_says_where() -> None:
    review = parse((VECTORS / "pod-image-volume" / "review.json").read_bytes())
    response = answer(review, [("spec.x", "expected a, got b"), ("", "c")], policy="sha256:00")["response"]
    assert response["allowed"] is False
    assert response["status"] == {"code": 403, "reason": "Forbidden", "message": "spec.x: expected a, got b; c"}
    long = answer(review, [("", "x" * 9000)], policy="")["response"]["status"]["message"]
    assert len(long) == 4097


def test_the_answer_says_when_nothing_was_judged() -> None:
    review = parse((VECTORS / "pod-delete" / "review.json").read_bytes())
    assert answer(review, [], policy="sha256:00")["response"]["auditAnnotations"]["judged"] == "no"
