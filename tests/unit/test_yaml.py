from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamslsa import _yaml
from lamslsa.errors import FormatError, LamslsaError


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rule holds with libyaml and with the parser in Python, which PyYAML falls back to."""
    monkeypatch.setattr(_yaml, "_LOADER", getattr(yaml, request.param))


def load(text: str) -> _yaml.Node:
    return _yaml.loads(text.encode("utf-8", "surrogatepass"), source="p.yaml")


def error_of(action: Callable[[], object]) -> FormatError:
    with pytest.raises(FormatError) as caught:
        action()
    assert str(caught.value).startswith("p.yaml:")
    return caught.value


def refused(text: str) -> str:
    return error_of(lambda: load(text)).reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("Off", "Off"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("", None),
        ("nULL", "nULL"),
        ("010", 10),
        ("-010", -10),
        ("+3", 3),
        ("0o10", 8),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("-0x1", "-0x1"),
        ("0o8", "0o8"),
        ("1_000", "1_000"),
        ("1,000", "1,000"),
        ("12:30:45", "12:30:45"),
        ("2026-06-30", "2026-06-30"),
        ("2026-06-30T00:00:00Z", "2026-06-30T00:00:00Z"),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.5e1", -5.0),
        (".", "."),
        ("e3", "e3"),
        ("1e", "1e"),
        ("1.2.3", "1.2.3"),
        ("１", "１"),
        ("9007199254740992", 2**53),
        ("sha256:abc", "sha256:abc"),
        ("<=3", "<=3"),
        ("'1'", "1"),
        ('"true"', "true"),
        ('"\\u00e9"', "é"),
        ("''", ""),
        ("=", "="),
    ],
)
def test_the_core_schema(text: str, value: Any) -> None:
    mapping = load(f"a: {text}\n").plain()
    assert mapping == {"a": value}
    assert type(mapping["a"]) is type(value)


def test_block_scalars_are_strings() -> None:
    assert load("a: |\n  1\nb: >-\n  true\n").plain() == {"a": "1\n", "b": "true"}


def test_keys_of_the_old_schema_are_strings() -> None:
    assert load("no: 1\non: 2\ny: 3\n").plain() == {"no": 1, "on": 2, "y": 3}


@pytest.mark.parametrize(
    "text",
    [".inf", "-.INF", "+.Inf", ".nan", ".NaN", "1e400", "-1e999", "9007199254740993", "0x20000000000001", "1" * 5000],
)
def test_numbers_that_are_not_finite_or_too_large_are_refused(text: str) -> None:
    assert refused(f"a: {text}\n") == "yaml-number"


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "b:\n  - {c: 1, 'c': 2}\n", 'a: 1\n"\\u0061": 2\n'])
def test_duplicate_keys_are_refused(text: str) -> None:
    assert refused(text) == "yaml-duplicate-key"


@pytest.mark.parametrize("text", ["a: &x 1\n", "&x a: 1\n", "a: &x [1]\n", "a: &x {b: 1}\n", "&x\na: 1\n"])
def test_anchors_are_refused(text: str) -> None:
    assert refused(text) == "yaml-anchor"


@pytest.mark.parametrize("text", ["a: *x\n", "*x\n", "[*x]\n", "*x : 1\n"])
def test_aliases_are_refused(text: str) -> None:
    assert refused(text) == "yaml-anchor"


@pytest.mark.parametrize(
    "text",
    [
        "a: !!str 1\n",
        "a: !!python/object/apply:os.system [id]\n",
        "a: !local 1\n",
        "a: ! 1\n",
        "!!map {a: 1}\n",
        "a: !!seq []\n",
        "a: !!binary aGk=\n",
        "!!str a: 1\n",
        "a: !<tag:yaml.org,2002:int> 1\n",
    ],
)
def test_tags_are_refused(text: str) -> None:
    assert refused(text) == "yaml-tag"


@pytest.mark.parametrize("text", ["<<: {a: 1}\n", "b: {<<: [{a: 1}]}\n", "'<<': 1\n"])
def test_merges_are_refused(text: str) -> None:
    assert refused(text) == "yaml-key"


@pytest.mark.parametrize(
    "text", ["1: a\n", "true: a\n", "null: a\n", "~: a\n", "? [a]\n: 1\n", "? {a: 1}\n: 1\n", "1.5: a\n"]
)
def test_keys_that_are_no_strings_are_refused(text: str) -> None:
    assert refused(text) == "yaml-key"


@pytest.mark.parametrize("text", ["a: 1\n---\nb: 2\n", "---\na: 1\n---\n", "a: 1\n...\n---\n{}\n", "--- 1\n--- 2\n"])
def test_several_documents_are_refused(text: str) -> None:
    assert refused(text) == "yaml-documents"


@pytest.mark.parametrize(
    "text", ["%YAML 1.1\n---\na: no\n", "%YAML 1.2\n---\na: 1\n", "%TAG ! tag:x,2000:\n---\na: 1\n"]
)
def test_directives_are_refused(text: str) -> None:
    assert refused(text) in {"yaml-directive", "yaml-syntax"}


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n"])
def test_no_document_is_refused(text: str) -> None:
    assert refused(text) == "yaml-empty"


def test_document_markers_around_one_document_are_fine() -> None:
    assert load("---\na: 1\n...\n").plain() == {"a": 1}
    assert load("---\n").plain() is None


@pytest.mark.parametrize(
    "text",
    [
        "a: b: c\n",
        "a: [1\n",
        "a: 'x\n",
        "\ta: 1\n",
        "a: @x\n",
        "a: `x`\n",
        "- a\nb: 1\n",
        'a: "\\x"\n',
        "}\n",
        "%\n",
        "a: \0\n",
    ],
)
def test_what_is_not_yaml_is_refused(text: str) -> None:
    assert refused(text) == "yaml-syntax"


def test_a_tab_in_the_indent_is_named() -> None:
    with pytest.raises(FormatError) as caught:
        _yaml.loads(b"a:\n\tb: 1\n", source="a.yaml")
    assert caught.value.hint == "indent with spaces, not with tabs"
    with pytest.raises(FormatError) as caught:
        _yaml.loads(b"a: [\n", source="a.yaml")
    assert caught.value.hint is None


def test_a_syntax_error_names_line_and_column() -> None:
    assert str(error_of(lambda: load("a: 1\nb: [1\n"))).startswith("p.yaml:3:1: ")


@pytest.mark.parametrize(
    "data", [b"a: \xff\n", b"\xff\xfea\x00", b"a: \xed\xa0\x80\n", "a: 1\n".encode("utf-16-le") + b"\x00"]
)
def test_other_encodings_are_refused(data: bytes) -> None:
    error = error_of(lambda: _yaml.loads(data, source="p.yaml"))
    assert error.reason in {"yaml-utf8", "yaml-syntax"}


def test_an_escaped_lone_surrogate_is_refused() -> None:
    assert refused('a: "\\ud800"\n') in {"yaml-utf8", "yaml-syntax"}
    assert refused('"\\ud800": 1\n') in {"yaml-utf8", "yaml-syntax"}


def test_size_is_bounded() -> None:
    assert refused("#" * (_yaml.MAX_YAML_BYTES + 1)) == "yaml-size"


def test_depth_is_bounded() -> None:
    assert load("[" * 32 + "]" * 32)
    assert refused("[" * 34 + "]" * 34) == "yaml-depth"


@pytest.mark.parametrize("bomb", ["[", "{a: ", "- ", "? ", "{", "[{"])
def test_a_megabyte_of_nesting_is_refused_at_once(bomb: str) -> None:
    text = bomb * (_yaml.MAX_YAML_BYTES // len(bomb))
    start = time.perf_counter()
    assert refused(text) in {"yaml-depth", "yaml-syntax", "yaml-key"}
    assert time.perf_counter() - start < 5


POLICY = """\
trust:
  identities:
    owner: {key: a.pub}
require:
  - {name: accurate, min: 0.84, samples: 10}
  - name: fair
    max: "0.2"
empty: []
flag: true
nothing:
"""


def test_every_value_knows_where_it_stands() -> None:
    root = load(POLICY).mapping()
    require = root.take("require").sequence()
    maximum = require[1].mapping().take("max")
    assert (maximum.source, maximum.line, maximum.column, maximum.where) == ("p.yaml", 7, 10, "require[1].max")
    assert (require[0].line, require[0].column) == (5, 5)
    assert root.take("trust").mapping().take("identities").mapping().take("owner").where == "trust.identities.owner"


def test_an_unknown_key_is_refused_with_its_place_and_the_nearest_key() -> None:
    item = load(POLICY).mapping().take("require").sequence()[0].mapping()
    item.take("name")
    item.take("samples")
    item.get("minimum")
    error = error_of(item.finish)
    assert error.reason == "yaml-unknown-key"
    assert str(error) == "p.yaml:5:22: expected a known key at require[0], got 'min'"
    assert error.hint == "did you mean 'minimum'?"


def test_an_unknown_key_that_is_near_to_nothing_lists_what_is_known() -> None:
    root = load("zzzzz: 1\n").mapping()
    root.get("apiVersion")
    root.get("kind")
    assert error_of(root.finish).hint == "known here: apiVersion, kind"


def test_nothing_is_left_over_once_every_key_was_read() -> None:
    root = load("a: 1\nb: 2\n").mapping()
    assert root.take("a").integer() == 1
    assert error_of(root.finish).reason == "yaml-unknown-key"
    assert "b" in root
    assert error_of(root.finish).reason == "yaml-unknown-key"
    assert root.get("b") is not None
    root.finish()


def test_going_through_a_mapping_reads_every_key() -> None:
    root = load("a: 1\nb: 2\n").mapping()
    assert [(key, node.integer()) for key, node in root] == [("a", 1), ("b", 2)]
    root.finish()


def test_a_missing_key_is_refused() -> None:
    error = error_of(lambda: load(POLICY).mapping().take("metadata"))
    assert error.reason == "yaml-missing-key"
    assert load(POLICY).mapping().get("metadata") is None


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (lambda node: node.mapping(), "[]"),
        (lambda node: node.mapping(), "x"),
        (lambda node: node.sequence(), "{}"),
        (lambda node: node.sequence(), "x"),
        (lambda node: node.sequence(), ""),
        (lambda node: node.string(), "1"),
        (lambda node: node.string(), "true"),
        (lambda node: node.string(), "null"),
        (lambda node: node.string(), "[x]"),
        (lambda node: node.text(), "1"),
        (lambda node: node.text(), "{}"),
        (lambda node: node.boolean(), "1"),
        (lambda node: node.boolean(), "yes"),
        (lambda node: node.boolean(), '"true"'),
        (lambda node: node.integer(), "1.0"),
        (lambda node: node.integer(), "true"),
        (lambda node: node.integer(), '"1"'),
        (lambda node: node.number(), '"0.2"'),
        (lambda node: node.number(), "true"),
        (lambda node: node.number(), "null"),
        (lambda node: node.number(), "[1]"),
        (lambda node: node.choice(["a"]), "1"),
    ],
)
def test_another_type_is_refused(read: Callable[[_yaml.Node], object], text: str) -> None:
    node = load(f"key: {text}\n").mapping().take("key")
    error = error_of(lambda: read(node))
    assert error.reason == "yaml-type"
    assert "at key" in str(error)


@pytest.mark.parametrize(("read", "text"), [(lambda node: node.sequence(), "[]"), (lambda node: node.string(), "''")])
def test_empty_values_are_refused(read: Callable[[_yaml.Node], object], text: str) -> None:
    node = load(f"key: {text}\n").mapping().take("key")
    assert error_of(lambda: read(node)).reason == "yaml-empty"


def test_empty_values_where_they_are_asked_for() -> None:
    root = load("list: []\ntext: ''\n").mapping()
    assert root.take("list").sequence(empty=True) == ()
    assert root.take("text").text() == ""


@pytest.mark.parametrize("text", ["0", "11", "-1"])
def test_numbers_outside_their_bounds_are_refused(text: str) -> None:
    node = load(text)
    assert error_of(lambda: node.integer(minimum=1, maximum=10)).reason == "yaml-range"
    assert error_of(lambda: node.number(minimum=0.5, maximum=10.5)).reason == "yaml-range"


def test_numbers_at_their_bounds() -> None:
    assert load("1").integer(minimum=1, maximum=1) == 1
    assert load("0.5").number(minimum=0.5, maximum=0.5) == 0.5
    assert type(load("2").number()) is float
    assert load("true").boolean() is True


def test_a_choice_names_the_nearest() -> None:
    assert load("sgx").choice(["sgx", "tdx"]) == "sgx"
    error = error_of(lambda: load("sgxx").choice(["sgx", "tdx"]))
    assert (error.reason, error.hint) == ("yaml-choice", "did you mean 'sgx'?")


def test_a_choice_of_nothing_says_so() -> None:
    error = error_of(lambda: load("sgx").choice([]))
    assert (error.reason, "nothing to choose from, got 'sgx'" in str(error)) == ("yaml-choice", True)
    assert "first" in (error.hint or "")


TOKENS = [
    "a",
    "b",
    ": ",
    "- ",
    "? ",
    "\n",
    "  ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&x ",
    "*x ",
    "!t ",
    "'",
    '"',
    "|",
    ">",
    "#",
    "%",
]
TOKENS += [
    "---\n",
    "...\n",
    "1",
    "010",
    "1e9",
    ".inf",
    "<<",
    "\\",
    "\\ud800",
    "\t",
    "\0",
    "é",
    "\ufeff",
    "~",
    "0x",
    "\x85",
]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary() | st.lists(st.sampled_from(TOKENS)).map(lambda tokens: "".join(tokens).encode()))
def test_any_bytes_give_a_value_or_a_refusal(data: bytes) -> None:
    try:
        node = _yaml.loads(data, source="p.yaml")
    except LamslsaError:
        return
    node.plain()


@pytest.mark.parametrize("character", ["\r", "\x85", "\u2028", "\u2029"])
def test_a_line_end_that_only_the_parser_sees_is_refused(character: str) -> None:
    text = f"a: 1\n# reviewed{character}b: 2\n"
    with pytest.raises(FormatError) as caught:
        _yaml.loads(text.encode(), source="p.yaml")
    assert caught.value.reason == "yaml-hidden"
    assert str(caught.value).startswith("p.yaml:2:11: ")


@pytest.mark.parametrize("character", ["\u202e", "\u2066", "\u200b", "\u200d", "\ufeff", "\u00ad"])
def test_invisible_characters_are_refused(character: str) -> None:
    with pytest.raises(FormatError) as caught:
        _yaml.loads(f"a: x{character}y\n".encode(), source="p.yaml")
    assert caught.value.reason == "yaml-hidden"


def test_windows_line_ends_and_other_scripts_are_fine() -> None:
    assert _yaml.loads("a: é\r\nb: 漢字\r\n".encode(), source="p.yaml").plain() == {"a": "é", "b": "漢字"}
