"""Values of an evaluation as tables: in ``lamslsa inspect``, and at the end of ``lamslsa attest``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lamslsa._cli import ui
from lamslsa._cli.attest_results import Results, write_all
from lamslsa._cli.main import main
from lamslsa._cli.metrics import metric_table
from lamslsa.evidence.interface import Evidence
from lamslsa.evidence.nonce import Nonce
from lamslsa.evidence.run import NamedPayload, Run
from lamslsa.predicates.evaluation import Interval, Metric
from lamslsa.testing import chain

INTERVAL = {"level": 0.95, "lower": 0.25, "upper": 0.75, "method": "wilson"}
METRICS: tuple[dict[str, Any], ...] = (
    {"name": "accuracy", "samples": 16281, "value": 0.5, "interval": INTERVAL},
    {"name": "accuracy", "samples": 7, "value": 0, "slice": {"sex": "F\u202e", "race": "x"}},
    {"name": "difference", "samples": 9, "value": 1.5e-5, "groups": ["sex", "race"]},
    {"name": "recall", "samples": 0, "undefined": "no positives", "parameters": {"rate": 0.001, "class": "a"}},
)
ROWS = [
    "metric                        value                    interval                 samples  slice",
    "accuracy                      0.5000                   0.2500 to 0.7500 (95 %)  16,281   all rows",
    "accuracy                      0.0000                   none                     7        sex=F\\u202e, race=x",
    "difference (sex × race)       1.500e-05                none                     9        all rows",
    "recall (rate=0.001, class=a)  undefined: no positives  none                     0        all rows",
]


def payload(metrics: tuple[dict[str, Any], ...] = METRICS) -> bytes:
    return chain.evaluated(chain.model(), metrics=metrics)


def shown(text: str, indent: int) -> list[str]:
    """The table in a text, without its rule."""
    lines = [line[indent:] for line in text.splitlines()]
    start = next(index for index, line in enumerate(lines) if line.startswith("metric  "))
    assert set(lines[start + 1]) == {"─", " "}
    return [lines[start], *lines[start + 2 : start + 2 + len(METRICS)]]


def test_inspect_shows_the_metrics_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "01-evaluation.json"
    file.write_bytes(payload())
    assert main(["inspect", str(file)]) == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0] == "in-toto statement: evaluation of a model"
    assert shown(said, 2) == ROWS
    assert lines[1].startswith("  metric  "), "before anything else"
    assert "  subjects" in lines
    assert not any(line.strip() in ("metrics", "interval") for line in lines), "once and not twice"
    assert main(["inspect", str(file), "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["facts"]["predicate"]["metrics"] == json.loads(payload())["predicate"]["metrics"]


def test_a_malformed_evaluation_is_shown_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "01-evaluation.json"
    file.write_bytes(payload(({"name": "accuracy", "samples": -1, "value": 0.5},)))
    assert main(["inspect", str(file)]) == 0
    said = capsys.readouterr().out
    assert "NOT verified  its predicate:" in said
    assert "  metric  " not in said


def test_a_table_has_an_end() -> None:
    metric = Metric(name="accuracy", samples=1, value=0.5)
    assert len(metric_table([metric] * 40, rest="elsewhere")) == 42
    lines = metric_table([metric] * 1041, rest="it is elsewhere")
    assert len(lines) == 43
    assert lines[-1] == "… 1,001 more metrics; it is elsewhere"
    (_, _, row) = metric_table([Metric(name="m" * 61, samples=1, value=2e6)], rest="")
    assert row.startswith(f"{'m' * 59}…  2.000e+06  ")


def test_an_undefined_value_has_no_interval() -> None:
    bounds = Interval(level=0.9, lower=0, upper=1, method="wilson")
    (_, _, row) = metric_table([Metric(name="m", samples=1, undefined="x", interval=bounds)], rest="")
    assert row == "m       undefined: x  none      1        all rows"


def test_attest_ends_with_the_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    statements = {"01-dataset": b"{}", "02-plain": payload(), "03-strict": payload()}
    run = Run(
        statements=tuple(NamedPayload(name=name, payload=data) for name, data in statements.items()),
        nonce=Nonce(value=bytes(32)),
        quoted_at="2026-11-22T12:00:00Z",
        evidence=Evidence(media_type="application/octet-stream", quote=b"quote", collateral=b"{}"),
    )
    write_all(
        Results(run=run, outputs={}, private={}),
        {},
        out=tmp_path / "run",
        private=None,
        facts={"tee": "x", "simulated": False},
        output=ui.Output(as_json=False, quiet=True),
    )
    said = capsys.readouterr().out
    before, first, second = said.split("\n\n")
    assert before.splitlines()[-1] == str(tmp_path / "run")
    assert first.splitlines()[0] == "02-plain: census-mlp on census-test, tabular-evaluation/1"
    assert second.splitlines()[0] == "03-strict: census-mlp on census-test, tabular-evaluation/1"
    assert shown(first, 0) == shown(second, 0) == ROWS
