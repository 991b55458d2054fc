from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa import statement
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.statement import MAX_SUBJECTS, STATEMENT_TYPE, Subject

HEX = "0123456789abcdef" * 4
GOOD: dict[str, Any] = {
    "_type": STATEMENT_TYPE,
    "subject": [{"name": "model", "digest": {"sha256": HEX}}],
    "predicateType": "https://example.com/p/v1",
    "predicate": {"a": 1},
}


def payload(**changes: Any) -> bytes:
    return json.dumps({key: value for key, value in (GOOD | changes).items() if value is not ...}).encode()


def refused(data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        statement.parse(data)
    assert len(str(caught.value)) < 500
    return caught.value.reason


def test_a_statement_keeps_the_bytes_it_was_parsed_from() -> None:
    data = b" " + payload() + b"\n"
    parsed = statement.parse(data)
    assert parsed.payload == data
    assert parsed.sha256 == hashlib.sha256(data).hexdigest()
    assert parsed.subjects == (Subject(name="model", sha256=HEX),)
    assert (parsed.predicate_type, parsed.predicate) == ("https://example.com/p/v1", {"a": 1})


def test_unknown_fields_are_ignored() -> None:
    subject = {"name": "model", "digest": {"sha256": HEX}, "uri": "https://example.com", "annotations": {"a": 1}}
    assert statement.parse(payload(extra=1, subject=[subject])).subjects == (Subject(name="model", sha256=HEX),)


@pytest.mark.parametrize("data", [b"[]", b"1", b"null", b'"x"'])
def test_another_json_value_is_refused(data: bytes) -> None:
    assert refused(data) == "statement-type"


@pytest.mark.parametrize(
    "value", [..., None, 1, "", "https://in-toto.io/Statement/v0.1", STATEMENT_TYPE + "/", [], "x" * 10**6]
)
def test_another_type_is_refused(value: Any) -> None:
    assert refused(payload(_type=value)) == "statement-type"


@pytest.mark.parametrize("value", [..., None, [], {}, "model", [GOOD["subject"][0]] * (MAX_SUBJECTS + 1)])
def test_another_number_of_subjects_is_refused(value: Any) -> None:
    assert refused(payload(subject=value)) == "statement-subjects"


def test_as_many_subjects_as_allowed() -> None:
    assert len(statement.parse(payload(subject=GOOD["subject"] * MAX_SUBJECTS)).subjects) == MAX_SUBJECTS


@pytest.mark.parametrize(
    "subject",
    [
        None,
        "model",
        [],
        {},
        {"digest": {"sha256": HEX}},
        {"name": "", "digest": {"sha256": HEX}},
        {"name": None, "digest": {"sha256": HEX}},
        {"name": 1, "digest": {"sha256": HEX}},
        {"name": "model"},
        {"name": "model", "digest": None},
        {"name": "model", "digest": HEX},
        {"name": "model", "digest": [HEX]},
    ],
)
def test_a_subject_without_name_or_digest_is_refused(subject: Any) -> None:
    assert refused(payload(subject=[subject])) == "statement-subject"
    assert refused(payload(subject=[*GOOD["subject"], subject])) == "statement-subject"


@pytest.mark.parametrize(
    "digest",
    [
        {},
        {"sha512": HEX * 2},
        {"sha256": HEX, "sha512": HEX * 2},
        {"sha256": HEX, "gitCommit": "0" * 40},
        {"SHA256": HEX},
        {"sha256": HEX.upper()},
        {"sha256": HEX[:-1]},
        {"sha256": HEX + "0"},
        {"sha256": HEX + "\n"},
        {"sha256": "sha256:" + HEX},
        {"sha256": ""},
        {"sha256": None},
        {"sha256": 1},
        {"sha256": [HEX]},
        {"x" * 10**6: HEX},
    ],
)
def test_another_digest_is_refused(digest: Any) -> None:
    assert refused(payload(subject=[{"name": "model", "digest": digest}])) == "statement-subject-digest"


@pytest.mark.parametrize("value", [..., None, "", 1, []])
def test_a_missing_predicate_type_is_refused(value: Any) -> None:
    assert refused(payload(predicateType=value)) == "statement-predicate-type"


@pytest.mark.parametrize("value", [..., None, {}, [], [1], "x", 1])
def test_a_missing_predicate_is_refused(value: Any) -> None:
    assert refused(payload(predicate=value)) == "statement-predicate"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (payload().replace(b'"a": 1', b'"a": 1, "a": 2'), "json-duplicate-key"),
        (payload().replace(b'"name"', b'"name": "other", "name"'), "json-duplicate-key"),
        (payload().replace(b'"a": 1', b'"a": NaN'), "json-number"),
        (payload().replace(b'"a": 1', b'"a": 1e400'), "json-number"),
        (payload().replace(b'"a": 1', b'"a": 9007199254740993'), "json-integer"),
        (payload().replace(b'"a": 1', b'"a": ' + b"[" * 100 + b"]" * 100), "json-depth"),
        (payload() + b"{}", "json-syntax"),
    ],
)
def test_what_is_not_strict_json_is_refused(data: bytes, reason: str) -> None:
    assert refused(data) == reason


def test_what_is_made_can_be_parsed() -> None:
    subjects = [Subject(name="é", sha256=HEX), Subject(name="b", sha256="0" * 64)]
    made = statement.make(subjects, "https://example.com/p/v1", {"z": 1, "a": [0.5]})
    parsed = statement.parse(made)
    assert parsed.subjects == tuple(subjects)
    assert list(parsed.predicate.items()) == [("z", 1), ("a", [0.5])]
    assert list(json.loads(made)) == ["_type", "subject", "predicateType", "predicate"]


@pytest.mark.parametrize(
    ("subjects", "predicate_type", "predicate"),
    [
        ([], "t", {"a": 1}),
        ([Subject(name="a", sha256="A" * 64)], "t", {"a": 1}),
        ([Subject(name="", sha256=HEX)], "t", {"a": 1}),
        ([Subject(name="a", sha256=HEX)], "", {"a": 1}),
        ([Subject(name="a", sha256=HEX)], "t", {}),
        ([Subject(name="a", sha256=HEX)], "t", {"a": float("nan")}),
        ([Subject(name="a", sha256=HEX)], "t", {"a": 2**60}),
        ([Subject(name="a", sha256=HEX)], "t", {"a": "\ud800"}),
    ],
)
def test_nothing_is_made_that_would_not_be_parsed(
    subjects: list[Subject], predicate_type: str, predicate: dict[str, Any]
) -> None:
    with pytest.raises(FormatError):
        statement.make(subjects, predicate_type, predicate)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(HEX),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "digest", "sha256", "a"]), inner, max_size=3)
    ),
)


@settings(deadline=None)
@given(
    data=st.binary()
    | st.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, JSON)).map(lambda changes: payload(**changes))
)
def test_any_bytes_give_a_statement_or_a_refusal(data: bytes) -> None:
    try:
        parsed = statement.parse(data)
    except LamslsaError:
        return
    assert parsed.payload == data
    assert parsed.subjects
