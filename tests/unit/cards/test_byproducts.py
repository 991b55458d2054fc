"""Byproducts are read as far as they have the form that their name promises, and break nothing otherwise."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa.cards._byproducts import read_byproducts
from lamslsa.cards._charts import curve_chart
from lamslsa.cards.parts import Curve
from lamslsa.predicates.provenance import Byproduct
from tests.unit.cards.wires import document

NAMES = ("loss-per-epoch", "difference", "checkpoint-chain", "modules", "fit")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["from", "parent", "changed", "interval", "lower", "steps", "x"]), inner),
    max_leaves=12,
)  # fmt: skip


def read(name: str, value: Any) -> Any:
    return read_byproducts([Byproduct(name=name, content=document(value))])


@settings(deadline=None, max_examples=60)
@given(name=st.sampled_from(NAMES), value=JSON)
def test_any_json_is_shown_somehow(name: str, value: Any) -> None:
    found = read(name, value)
    assert found.facts or found.tables or found.losses
    if found.losses is not None:
        assert "nan" not in curve_chart(found.losses)


@settings(deadline=None, max_examples=60)
@given(value=st.dictionaries(st.sampled_from(["steps", "learning", "shared", "rows"]), JSON))
def test_any_report_is_read(value: Any) -> None:
    read_byproducts([Byproduct(name="report", annotations={**value, "kind": "report"})])


@pytest.mark.parametrize(
    "content", ["not base64!", base64.b64encode(b"{").decode(), base64.b64encode(b'{"a":1,"a":2}').decode(), ""]
)
def test_what_cannot_be_read_says_so(content: str) -> None:
    (fact,) = read_byproducts([Byproduct(name="fit", content=content)]).facts
    assert fact.value.startswith("unreadable: expected")


def test_a_huge_document_is_not_parsed() -> None:
    (fact,) = read("loss-per-epoch", [0.123456789] * 100_000).facts
    assert fact.value.startswith("unreadable: expected at most 262144 bytes")


def test_losses_are_thinned_and_keep_their_ends() -> None:
    losses = read("loss-per-epoch", [1 / (index + 1) for index in range(5_000)]).losses
    assert len(losses.values) <= 257
    assert (losses.values[0], losses.values[-1]) == (1.0, 1 / 5_000)
    assert losses.text == "1.0000 to 2.000e-04 in 5,000 epochs"


def _points(values: tuple[float, ...]) -> list[tuple[float, float]]:
    drawn = re.search(r'<path class="curve-line" d="M([^"]*)"', curve_chart(Curve(title="t", text="x", values=values)))
    assert drawn is not None
    return [(float(x), float(y)) for x, y in (point.split(",") for point in drawn[1].replace("L", "").split())]


@pytest.mark.parametrize(
    ("values", "heights"),
    [
        ((0.0, 1.0), [68.0, 4.0]),
        ((0.0, 0.5, 1.0), [68.0, 36.0, 4.0]),
        ((-1.7e308, 1.7e308), [68.0, 4.0]),
        ((3.0, 3.0), [36.0, 36.0]),
        ((5e-324, 0.0), [36.0, 36.0]),
    ],
)
def test_a_curve_runs_between_its_smallest_and_largest_value(values: tuple[float, ...], heights: list[float]) -> None:
    points = _points(values)
    assert [y for _, y in points] == heights
    assert (points[0][0], points[-1][0]) == (4.0, 316.0)


def test_one_epoch_is_a_point() -> None:
    assert _points((2.5,)) == [(4.0, 36.0), (4.0, 36.0)]


def test_the_difference_from_a_parent_has_share_and_interval() -> None:
    changed = {"rows": 16, "samples": 99, "value": 0.05, "interval": {"lower": 0.01, "upper": 0.09}}
    answers = {"of": "probabilities", "samples": 99, "maximum": 0.25, "mean": 0.0125}
    numbers = {**answers, "of": "numbers", "changed": {"undefined": "the model says numbers"}}
    (table,) = read("difference", {"dataset": "d", "from": {"a": {**answers, "changed": changed}, "b": numbers}}).tables
    assert table.title.endswith("on d")
    assert table.rows.shown == (
        ("a", "probabilities", "0.2500", "0.0125", "0.0500 (0.0100–0.0900), 16 rows", "99"),
        ("b", "numbers", "0.2500", "0.0125", "undefined: the model says numbers", "99"),
    )
