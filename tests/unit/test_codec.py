from __future__ import annotations

import base64
import json
import math
import time
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa import _codec
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.predicates import _common

MEGABYTE = 1_000_000


def refused(data: bytes, **limits: int) -> str:
    with pytest.raises(FormatError) as caught:
        _codec.loads(data, **limits)
    assert len(str(caught.value)) < 500
    return caught.value.reason


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"null", None),
        (b"[true, false]", [True, False]),
        (b"9007199254740992", 2**53),
        (b"-9007199254740992", -(2**53)),
        (b"0.85", 0.85),
        (b"1e3", 1000.0),
        (b"-0", 0),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'{"a":{"a":1}}', {"a": {"a": 1}}),
        ('"é"'.encode(), "é"),
        (b' \t\r\n{"a" : 1} ', {"a": 1}),
    ],
)
def test_what_is_accepted(data: bytes, value: Any) -> None:
    assert _codec.loads(data) == value
    assert type(_codec.loads(data)) is type(value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'[{"b":{"a":1,"c":2,"a":3}}]',
        b'{"":1,"":2}',
        b'{"' + b"k" * MEGABYTE + b'":1,"' + b"k" * MEGABYTE + b'":2}',
    ],
)
def test_duplicate_keys_are_refused(data: bytes) -> None:
    assert refused(data) == "json-duplicate-key"


@pytest.mark.parametrize("data", [b"NaN", b"Infinity", b"-Infinity", b"[1e400]", b"-1e400", b"1" + b"0" * 400 + b".5"])
def test_numbers_that_are_not_finite_are_refused(data: bytes) -> None:
    assert refused(data) == "json-number"


@pytest.mark.parametrize(
    "data", [b"9007199254740993", b"-9007199254740993", b"[1, 123456789012345678]", b"1" * MEGABYTE]
)
def test_integers_beyond_2_53_are_refused(data: bytes) -> None:
    assert refused(data) == "json-integer"


@pytest.mark.parametrize("data", [b'"\\ud800"', b'{"\\udfff":1}', b'"\\uDE00\\uD83D"', b'"\xed\xa0\x80"', b'"\xff"'])
def test_lone_surrogates_and_other_encodings_are_refused(data: bytes) -> None:
    assert refused(data) == "json-utf8"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-32-be"])
def test_utf_16_and_32_are_refused(encoding: str) -> None:
    assert refused('{"a":1}'.encode(encoding)) in {"json-utf8", "json-syntax"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"\xef\xbb\xbf{}",
        b"{} {}",
        b"{}x",
        b"{}\0",
        b"{a:1}",
        b"{'a':1}",
        b"[1,]",
        b'{"a":1,}',
        b"[1 // one\n]",
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"0x10",
        b"True",
        b'"a\nb"',
        b'"a\x00b"',
        b'"\\x41"',
        b'"open',
        b"[",
        b"]",
        "\u00a0{}".encode(),
        "１".encode(),
    ],
)
def test_what_is_not_json_is_refused(data: bytes) -> None:
    assert refused(data) == "json-syntax"


def test_size_is_bounded() -> None:
    assert _codec.loads(b'"aa"', max_bytes=4) == "aa"
    assert refused(b'"aaa"', max_bytes=4) == "json-size"
    assert refused(b" " * (_codec.MAX_JSON_BYTES + 1)) == "json-size"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_is_bounded(opening: bytes, closing: bytes) -> None:
    deepest = opening * _codec.MAX_DEPTH + b"1" + closing * _codec.MAX_DEPTH
    _codec.loads(deepest)
    assert refused(opening + deepest + closing) == "json-depth"
    assert refused(b"[[1]]", max_depth=1) == "json-depth"


def test_brackets_in_strings_and_beside_each_other_are_no_depth() -> None:
    assert _codec.loads(b'["' + b"[{" * 1000 + b'","\\"[[[[","\\\\",' + b"[],{}," * 1000 + b"1]")[1] == '"[[[['


def test_the_number_of_lists_and_objects_is_bounded() -> None:
    assert len(_codec.loads(b"[" + b"[]," * 499_998 + b"{}]")) == 499_999
    assert refused(b"[" + b"[]," * 499_999 + b"{}]") == "json-brackets"


@pytest.mark.parametrize(
    "data",
    [
        b"[" * (10 * MEGABYTE),
        b"[" * 500_000 + b"]" * 500_000,
        b'["' + b"]" * 400_000 + b'",' + b'["",' * 250_000,
        b"[" * (5 * MEGABYTE) + b"]" * (5 * MEGABYTE),
        b'{"a":' * (2 * MEGABYTE),
        b'["",' * (2 * MEGABYTE),
        b"[" * 65 + b'"' + b'\\"' * (5 * MEGABYTE),
        b"[" * 65 + b'"' * (5 * MEGABYTE) + b"\\",
        b'"' + b"\\" * (10 * MEGABYTE) + b"[" * 65,
    ],
)
def test_ten_megabytes_of_nesting_or_quotes_are_refused_at_once(data: bytes) -> None:
    start = time.perf_counter()
    assert refused(data) in {"json-depth", "json-brackets", "json-syntax"}
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("value", ["0.85", None, True, [0.85]])
def test_a_number_of_another_type_is_refused_by_the_wire_models(value: Any) -> None:
    with pytest.raises(FormatError) as caught:
        _common.convert(value, float, what="number")
    assert caught.value.reason == "predicate-schema"


@pytest.mark.parametrize("value", ["1", None, True, 1.5, -1])
def test_a_count_of_another_type_is_refused_by_the_wire_models(value: Any) -> None:
    with pytest.raises(FormatError) as caught:
        _common.convert(value, _common.Count, what="count")
    assert caught.value.reason == "predicate-schema"


def test_dumps_keeps_order_and_is_compact() -> None:
    assert _codec.dumps({"b": [1, 2.5], "a": "é"}) == '{"b":[1,2.5],"a":"é"}'.encode()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {"a": [math.nan]}])
def test_dumps_refuses_what_is_not_finite(value: Any) -> None:
    with pytest.raises(FormatError) as caught:
        _codec.dumps(value)
    assert caught.value.reason == "json-number"


def test_dumps_refuses_lone_surrogates() -> None:
    with pytest.raises(FormatError) as caught:
        _codec.dumps({"a": "\ud800"})
    assert caught.value.reason == "json-utf8"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1.0, "canonical-float"),
        ({"a": [1, {"b": 0.5}]}, "canonical-float"),
        ({"é": 1}, "canonical-key"),
        ({"a": [{"\u00ff": 1}]}, "canonical-key"),
        ({1: 1}, "canonical-key"),
        (2**53, "canonical-integer"),
        ((1, -(2**53)), "canonical-integer"),
        ("\udc00", "json-utf8"),
    ],
)
def test_canonical_refuses_what_it_could_spell_otherwise(value: Any, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        _codec.canonical(value)
    assert caught.value.reason == reason


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SAFE = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT
DOCUMENTS = st.recursive(
    SAFE, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner)
)


@settings(deadline=None)
@given(value=DOCUMENTS)
def test_canonical_is_rfc8785(value: Any) -> None:
    assert _codec.canonical(value) == rfc8785.dumps(value) == _codec.canonical_with_fractions(value)


@given(text=TEXT)
def test_canonical_string_is_rfc8785(text: str) -> None:
    assert _codec.canonical_string(text).encode() == rfc8785.dumps(text)


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**53, "\ud800", {"\ud800": 1}])
def test_canonical_with_fractions_refuses_what_rfc8785_does_not_cover(value: Any) -> None:
    with pytest.raises(FormatError) as caught:
        _codec.canonical_with_fractions(value)
    assert caught.value.reason == "canonical-value"


@given(data=st.binary())
def test_base64_comes_back(data: bytes) -> None:
    assert _codec.decode_base64(_codec.encode_base64(data), what="x") == data
    assert _codec.encode_base64(data) == base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "text",
    [
        "YQ",
        "YQ=",
        "YR==",
        "YWJ=",
        "YQ==\n",
        " YQ==",
        "YQ= =",
        "Y-_=",
        "YQ===",
        "=",
        "YQ==YQ==",
        "é===",
        "YQ\0=",
        "\ud800",
    ],
)
def test_base64_of_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        _codec.decode_base64(text, what="the quote")
    assert caught.value.reason == "base64"


@pytest.mark.parametrize("size", range(6))
def test_base64_is_bounded(size: int) -> None:
    text = _codec.encode_base64(bytes(size))
    assert _codec.decode_base64(text, what="x", max_bytes=size) == bytes(size)
    if size:
        with pytest.raises(FormatError) as caught:
            _codec.decode_base64(text, what="x", max_bytes=size - 1)
        assert caught.value.reason == "base64-size"


def test_a_digest_is_taken_apart() -> None:
    assert _codec.parse_digest("sha256:" + "0a" * 32, what="x") == "0a" * 32
    assert _codec.sha256_hex(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "0" * 64,
        "sha512:" + "0" * 64,
        "sha512:" + "0" * 128,
        "SHA256:" + "0" * 64,
        "sha256:" + "0" * 63,
        "sha256:" + "0" * 65,
        "sha256:" + "A" * 64,
        "sha256:" + "g" * 64,
        "sha256: " + "0" * 64,
        "sha256:" + "0" * 64 + "\n",
        " sha256:" + "0" * 64,
        "sha256:" + "٠" * 64,
        "sha256:sha256:" + "0" * 64,
    ],
)
def test_another_form_of_digest_is_refused(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        _codec.parse_digest(text, what="x")
    assert caught.value.reason == "digest"


@settings(deadline=None)
@given(data=st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_a_value_or_a_refusal(data: bytes) -> None:
    try:
        value = _codec.loads(data)
    except LamslsaError:
        return
    assert json.loads(data) == value


@settings(deadline=None)
@given(tokens=st.lists(st.sampled_from([*'[]{}:,"\\', '"a"', "1", "-", "1e9", "9e999", "null", "\\u", "d800", "NaN"])))
def test_any_tokens_give_a_value_or_a_refusal(tokens: list[str]) -> None:
    data = "".join(tokens).encode()
    try:
        value = _codec.loads(data)
    except LamslsaError:
        return
    assert json.loads(data) == value


@pytest.mark.parametrize("escape", ["", "\\\\"])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]"), ('{"]":[', "]}")])
def test_depth_is_exact_for_lists_objects_and_both(escape: str, opening: str, closing: str) -> None:
    levels = opening.replace('"]"', "").count("[") + opening.count("{")
    for depth in (63, 64, 65, 66):
        times = depth // levels
        text = opening * times + f'"{escape}[{{"' + closing * times
        if times * levels <= 64:
            _codec.loads(text.encode())
        else:
            with pytest.raises(FormatError) as caught:
                _codec.loads(text.encode())
            assert caught.value.reason == "json-depth"
