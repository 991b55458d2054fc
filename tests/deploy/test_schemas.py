"""Every file, and everything that is rendered, is what Kubernetes and the others take; and a slip of the pen is not."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.rendering import EXAMPLES, KUBERNETES, Document, files, parsed, rendered
from tests.deploy.schemas import refusals, refused

# Maps whose keys are anybody's.
_FREE = {"labels", "annotations", "matchLabels", "data", "requests", "limits"}
_Path = tuple[str | int, ...]


def _every() -> dict[str, Document]:
    """One document of each file and rendering, by a name for the test."""
    found: dict[str, Document] = {}
    for path in files():
        for number, document in enumerate(parsed(path.read_text(encoding="utf-8"))):
            found[f"{path.relative_to(KUBERNETES)}:{number}"] = document
    for example in EXAMPLES:
        for document in rendered(example):
            found[f"{example}: {document['kind']} {document['metadata']['name']}"] = document
    return found


EVERY = _every()
# Renderings repeat the files, except for what kustomize generates.
WRITTEN = [name for name, document in EVERY.items() if ".yaml:" in name or document["kind"] in {"ConfigMap", "Secret"}]


def _inside(value: Any, path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    yield path, value
    below: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        below = list(value.items())
    elif isinstance(value, list):
        below = list(enumerate(value))
    for key, each in below:
        yield from _inside(each, (*path, key))


def _at(document: Document, path: _Path) -> Any:
    value: Any = document
    for key in path:
        value = value[key]
    return value


def test_there_is_something_to_look_at() -> None:
    kinds = {document["kind"] for document in EVERY.values()}
    assert {"Namespace", "ServiceAccount", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"} < kinds
    assert {"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "Secret", "ConfigMap"} < kinds
    assert {"Kustomization", "Component", "Issuer", "Certificate", "ServiceMonitor"} < kinds
    assert {"Provider", "ConstraintTemplate", "LamslsaModels"} < kinds


@pytest.mark.parametrize("name", EVERY)
def test_it_is_what_it_says(name: str) -> None:
    assert refusals(EVERY[name]) == []


@pytest.mark.parametrize("name", WRITTEN)
def test_a_misspelt_key_is_refused(name: str) -> None:
    passed = []
    for path, _ in _inside(EVERY[name]):
        if not path or isinstance(path[-1], int) or (len(path) > 1 and path[-2] in _FREE):
            continue
        if EVERY[name]["kind"] == "Service" and path[:2] == ("spec", "selector") and len(path) > 2:
            continue
        document = copy.deepcopy(EVERY[name])
        parent = _at(document, path[:-1])
        parent[f"{path[-1]}x"] = parent.pop(path[-1])
        if path in {("kind",), ("apiVersion",)}:
            with pytest.raises(FileNotFoundError):
                refused(document)
        elif not refused(document):
            passed.append(path)
    assert passed == []


@pytest.mark.parametrize("name", WRITTEN)
def test_a_value_of_another_type_is_refused(name: str) -> None:
    passed = []
    for path, value in _inside(EVERY[name]):
        if not path or path in {("kind",), ("apiVersion",)}:
            continue
        document = copy.deepcopy(EVERY[name])
        _at(document, path[:-1])[path[-1]] = {"of": "another"} if isinstance(value, list) else [{"of": "another"}]
        if not refused(document):
            passed.append(path)
    assert passed == []


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(AssertionError, match="each key once"):
        parsed("kind: Pod\nkind: Service\n")
