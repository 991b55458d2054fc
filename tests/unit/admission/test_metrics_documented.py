"""The table of metrics in docs/admission.md has the names and the labels that the code has, and no others."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import lamslsa.admission
from lamslsa.admission.metrics import Metrics

ROOT = Path(__file__).resolve().parents[3]
NAME = re.compile(r"lamslsa_admission_[a-z_]+")
ROW = re.compile(r"\| `(lamslsa_admission_[a-z_]+)` \|([^|]*)\|([^|]*)\|")
ROWS = [ROW.fullmatch(line) for line in (ROOT / "docs" / "admission.md").read_text(encoding="utf-8").splitlines()]
DOCUMENTED = [(row[1], set(re.findall(r"`([a-z]+)`", row[2])), row[3].strip()) for row in ROWS if row]
TREES = [
    ast.parse(path.read_text(encoding="utf-8"))
    for folder in lamslsa.admission.__path__
    for path in sorted(Path(folder).glob("*.py"))
]


def names() -> set[str]:
    """Every string of the code that is a name of a metric and nothing else."""
    nodes = (node for tree in TREES for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {node.value for node in nodes if isinstance(node.value, str) and NAME.fullmatch(node.value)}


def calls(method: str) -> dict[str, list[set[str]]]:
    """The labels of each call that counts, or makes a gauge, by the name of the metric."""
    found: dict[str, list[set[str]]] = {}
    for tree in TREES:
        constants = {
            node.target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method):
                continue
            match node.args:
                case [ast.Constant(value=str(name)), *_] if NAME.fullmatch(name):
                    pass
                case [ast.Name(id=key), *_] if NAME.fullmatch(str(constants.get(key))):
                    name = str(constants[key])
                case _:
                    continue
            found.setdefault(name, []).append({str(keyword.arg) for keyword in node.keywords})
    return found


def test_every_metric_is_in_the_table_once() -> None:
    listed = [name for name, _, _ in DOCUMENTED]
    assert len(listed) == len(set(listed))
    assert set(listed) == names()


def test_labels_are_those_that_the_code_gives() -> None:
    counted = calls("count")
    assert counted.keys() == {name for name, _, _ in DOCUMENTED if name.endswith("_total")}
    for name, labels, _ in DOCUMENTED:
        assert all(given == labels for given in counted.get(name, [])), name


def test_a_gauge_is_said_to_be_one_and_has_no_label() -> None:
    gauges = {name: labels for name, labels, text in DOCUMENTED if text.startswith("gauge")}
    assert gauges == {name: set() for name in calls("gauge")}


def test_what_is_neither_is_the_histogram() -> None:
    (histogram,) = {name for name, _, _ in DOCUMENTED} - calls("count").keys() - calls("gauge").keys()
    text = Metrics().render()
    assert f"# TYPE {histogram} histogram" in text
    assert next(labels for name, labels, _ in DOCUMENTED if name == histogram) == set(re.findall(r"\{([a-z]+)=", text))
