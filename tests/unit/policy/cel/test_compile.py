"""Expressions are checked against the fields that predicates really have, before anything is evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from lamslsa.errors import FormatError
from lamslsa.policy.cel import Compiled, compile_expression, faults, remarks
from lamslsa.policy.cel.compile import MAX_LENGTH
from lamslsa.policy.cel.types import KINDS


def _refused(text: str, **parameters: Any) -> FormatError:
    with pytest.raises(FormatError) as caught:
        compile_expression(text, parameters)
    assert caught.value.reason == "cel-expression"
    return caught.value


def _plain(kind: inspect.Type) -> inspect.Type:
    if isinstance(kind, inspect.Metadata):
        return _plain(kind.type)
    if isinstance(kind, inspect.UnionType):
        rest = [item for item in kind.types if not isinstance(item, inspect.NoneType)]
        return _plain(rest[0]) if len(rest) == 1 else kind
    return kind


def _paths(kind: inspect.Type, at: str) -> Iterator[str]:
    """Every field below a wire model, as an expression would reach it."""
    yield at
    plain = _plain(kind)
    if isinstance(plain, inspect.StructType):
        for field in plain.fields:
            yield from _paths(field.type, f"{at}.{field.encode_name}")
    elif isinstance(plain, inspect.VarTupleType):
        yield from _paths(plain.item_type, f"{at}[0]")


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_field_of_every_predicate_is_reachable(kind: type[msgspec.Struct]) -> None:
    paths = list(_paths(inspect.type_info(kind), f"attestations[0].{KINDS[kind]}"))
    assert len(paths) > 10
    for path in paths:
        found = faults(f"[dyn({path})] == [1]", {})
        assert found == (), path


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "hint"),
    [
        (
            "attestations[0].evaluation.metrcs == []",
            1,
            27,
            "'metrcs' not found in struct 'Evaluation'",
            "metrics comes",
        ),
        ("attestations.exists(a, a.evalution.groups == [])", 1, 25, "'evalution'", "evaluation comes"),
        ("lineage.trained_on == []", 1, 8, "'trained_on'", "trainedOn comes"),
        ("true &&\n  model.digst.sha256 == ''", 2, 8, "'digst' not found in struct 'Artifact'", "digest comes"),
        ("atestations.size() > 0", 1, 1, "undeclared reference to 'atestations'", "attestations comes"),
        ("params.mn > 1", 1, 7, "undeclared reference to 'params.mn'", "params.min comes"),
        ("params.min >", 1, 13, "mismatched input '<EOF>'", None),
        ("lineage.overlap('a') == 1", 1, 16, "reference to 'overlap'", "takes other arguments"),
        ("attestations[0].evaluation.metric('a') >= 1", 1, 40, "'(double, int)'", None),
        ("'é' + nope == ''", 1, 7, "'nope'", None),
        ("attestations[0].dataset.rows.all(r, true)", 1, 24, "cannot be the range", None),
    ],
)
def test_typos_are_found_with_line_column_and_the_nearest_name(
    text: str, line: int, column: int, message: str, hint: str | None
) -> None:
    found = faults(text, {"min": 0.5})[0]
    assert (found.line, found.column) == (line, column)
    assert message in found.message
    assert "lamslsa." not in found.message
    assert hint is None or hint in (found.hint or "")
    error = _refused(text, min=0.5)
    assert f"at line {line}, column {column}" in str(error)
    caret = (error.hint or "").splitlines()[-1]
    assert caret == " " * (column - 1) + "^"


@pytest.mark.parametrize(
    "text", ["1", "'true'", "attestations", "params.min", "attestations[0].evaluation.configuration.x"]
)
def test_only_a_bool_will_do_and_nothing_whose_type_is_not_known(text: str) -> None:
    error = _refused(text, min=1)
    assert "to be an expression that gives a bool" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "x" * (MAX_LENGTH + 1),
        "\ud800 == ''",
        "(" * 40 + "true" + ")" * 40,
        "true" + " ? true : true" * 40,
        "",
        "lamslsa.Metric{name: 'a'}.value == 0.0",  # a message of our own making would have defaults
        "attestations[?0].signer == ''",
    ],
)
def test_what_is_too_long_too_deep_or_no_expression_is_refused(text: str) -> None:
    _refused(text)


@pytest.mark.parametrize(
    "parameters",
    [
        {"a-b": 1},
        {"in": 1},
        {"": 1},
        {"big": 2**60},
        {"inf": float("inf")},
        {"long": "x" * 9000},
        {f"p{index}": 1 for index in range(65)},
    ],
)
def test_parameters_that_no_expression_could_name_are_refused(parameters: dict[str, Any]) -> None:
    _refused("true", **parameters)


def test_numbers_of_parameters_compare_with_whole_numbers_and_with_fractions() -> None:
    text = "attestations.exists(a, a.evaluation.metrics.exists(m, m.samples >= params.n && m.value >= params.n))"
    assert compile_expression(text, {"n": 1}) == Compiled(text=text, parameters={"n": 1})
    assert compile_expression(text, {"n": 0.5})
    assert "no matching overload" in str(_refused("params.who == 1", who="me"))
    assert "no matching overload" in str(_refused("params.flag == 1", flag=True))


def test_the_same_faults_each_time() -> None:
    text = "nope == 1 && attestations[0].nope == 2 && nope2 == 3"
    assert faults(text, {}) == faults(text, {})
    assert [(fault.line, fault.column) for fault in faults(text, {})] == [(1, 1), (1, 29), (1, 43)]


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("attestations.all(a, has(a.evaluation))", ["cel-all"]),
        ("attestations . all (a, true)", ["cel-all"]),
        ("size(attestations) > 0 && attestations.all(a, true)", []),
        ("attestations.exists(a, true) && attestations.all(a, true)", []),
        ("'.all( size('  == params.x // .all(", []),
        ("attestations.exists(a, a.evaluation.dataset.name == 'x')", ["cel-label"]),
        ("attestations.exists(a, a.read.name == 'x')", []),
        ("attestations.all(a, a.evaluation.dataset.name == 'x')", ["cel-all", "cel-label"]),
    ],
)
def test_remarks(text: str, reasons: list[str]) -> None:
    assert [item.reason for item in remarks(text)] == reasons


def test_remarks_say_where() -> None:
    (found,) = remarks("true\n  && attestations.all(a, true)")
    assert (found.line, found.column) == (2, 18)


def test_a_missing_library_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from lamslsa.errors import UnavailableError
    from lamslsa.policy.cel import types

    types._cel.cache_clear()
    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    try:
        with pytest.raises(UnavailableError) as caught:
            compile_expression("true")
    finally:
        types._cel.cache_clear()
    assert (caught.value.reason, caught.value.hint) == ("cel-not-installed", 'pip install "lamslsa[cel]"')
