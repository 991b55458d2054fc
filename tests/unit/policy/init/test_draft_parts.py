"""Scalars, labels and limits of a drafted policy."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa import _yaml
from lamslsa.measure.registry import BUILT_IN
from lamslsa.policy.init._limits import _MEASURERS, limit, scale_of
from lamslsa.policy.init._scalars import Labels, comment, scalar, value

PRINTABLE = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp", "Cn", "Co")), min_size=1)


@given(PRINTABLE)
def test_a_scalar_reads_back_the_same(text: str) -> None:
    read = _yaml.loads(f"{{key: {scalar(text)}, other: 1}}".encode(), source="test").plain()
    assert read == {"key": text, "other": 1}


@given(st.text())
def test_a_comment_ends_where_it_began(text: str) -> None:
    line = comment(text)
    assert line.startswith("# ")
    assert line.isascii()
    assert line.isprintable()
    assert _yaml.loads(f"{line}\nkey: 1  {line}\n".encode(), source="test").plain() == {"key": 1}


@pytest.mark.parametrize("text", ["no", "true", "Null", "010", "1e-3", "~", "a: b", "- a", "#", "a #b", "'", '"', "&a"])
def test_what_yaml_would_take_for_something_else_is_quoted(text: str) -> None:
    assert _yaml.loads(f"key: {scalar(text)}".encode(), source="test").plain() == {"key": text}


@pytest.mark.parametrize("plain", [True, False, 3, 0.001, 1e-09, 1e22, "5", "x"])
def test_a_value_keeps_its_type(plain: str | float) -> None:
    read = _yaml.loads(f"key: {value(plain)}".encode(), source="test").plain()["key"]
    assert (type(read), read) == (type(plain), plain)


def test_one_label_for_each_artifact_and_none_for_two() -> None:
    labels = Labels()
    assert labels.of("dataset", "a" * 64, "census") == "census"
    assert labels.of("dataset", "b" * 64, "census") == f"dataset-{'b' * 12}"
    assert labels.of("dataset", "a" * 64, "another name") == "census"
    assert labels.of("model", "c" * 64, "census") == "census"


@pytest.mark.parametrize("name", ["", "x" * 65, "two words", "-x", "a\nb", "naïve", None])
def test_a_name_that_is_no_label_is_replaced(name: str | None) -> None:
    assert Labels().of("dataset", "ab" * 32, name) == "dataset-abababababab"


@given(st.floats(0, 1), st.sampled_from(["accuracy", "false_positive_rate"]), st.floats(0, 0.5))
def test_what_was_measured_is_within_its_limit(end: float, metric: str, margin: float) -> None:
    scale = scale_of(metric, measurer="group-fairness/1")
    assert scale is not None
    found = limit(scale, end, margin=margin)
    assert found is None or (float(found) <= end if scale.higher else float(found) >= end)


@given(st.floats(0, 1e12), st.floats(0, 0.5))
def test_an_error_is_within_its_limit(end: float, margin: float) -> None:
    scale = scale_of("mean_absolute_error", measurer="regression/1")
    assert scale is not None
    found = limit(scale, end, margin=margin)
    assert found is not None
    assert float(found) >= end


@pytest.mark.parametrize(
    ("metric", "end", "margin", "expected"),
    [
        ("accuracy", 0.8472, 0.01, "0.837"),
        ("accuracy", 0.8472, 0, "0.847"),
        ("accuracy", 0.005, 0.01, None),
        ("demographic_parity_difference", 0.1534, 0.01, "0.164"),
        ("demographic_parity_difference", 0.995, 0.01, None),
    ],
)
def test_a_limit_is_a_margin_away(metric: str, end: float, margin: float, expected: str | None) -> None:
    scale = scale_of(metric, measurer="tabular-evaluation/1")
    assert scale is not None
    assert limit(scale, end, margin=margin) == (None if expected is None else Decimal(expected))


def test_metrics_of_a_comparison_are_read_as_its_specification_has_them() -> None:
    comparing = "baseline-comparison/1"
    difference = scale_of("accuracy_noninferiority", measurer=comparing)
    assert difference is not None
    assert difference.higher
    assert scale_of("accuracy_difference", measurer=comparing) is None
    assert scale_of("accuracy", measurer=comparing, of="baseline") is None
    assert scale_of("accuracy", measurer=comparing, of="model") is not None


def test_what_a_third_party_means_by_a_metric_is_not_known() -> None:
    assert scale_of("accuracy", measurer="tabular-evaluation/1 of pkg:pypi/acme") is None
    assert scale_of("selection_rate", measurer="tabular-evaluation/1") is None


def test_every_measurer_of_evaluations_is_known() -> None:
    assert set(BUILT_IN.names("evaluation")) == _MEASURERS
