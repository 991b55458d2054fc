"""The description of the policy file: what it reads, what its JSON Schema accepts, and that both say the same."""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa import _yaml
from lamslsa.errors import FormatError
from lamslsa.policy._keys import read
from lamslsa.policy.document import Document, schema

ROOT: Final = Path(__file__).parents[3]
FULL: Final = Path(__file__).with_name("full.yaml")
POLICIES: Final = sorted(
    (
        *(ROOT / "policies").rglob("policy*.yaml*"),
        *(ROOT / "examples").rglob("policy*.yaml*"),
        ROOT / "tests" / "vectors" / "policy" / "base" / "policy.yaml",
    )
)
OF_VALUES: Final = frozenset({"policy-time", "policy-license", "policy-versions", "canonical-value"})
"""What no schema says of a value: days that a month does not have, expressions of licences and of versions."""


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema())


def _refused(policy: Any) -> str | None:
    """The reason why the reader refuses a document; None where it does not."""
    try:
        read(Document, _yaml.loads(json.dumps(policy).encode(), source="p.yaml"))
    except FormatError as err:
        return err.reason
    return None


def _filled(path: Path) -> Any:
    """A policy of the repository, with the values that the examples fill in."""
    text = path.read_text().replace("@EXPIRES@", "2027-06-30T00:00:00Z").replace("@PLATFORM@", "rehearsal")
    text = re.sub(r"@[A-Z_]+@", f"sha256:{'ab' * 32}", text)
    return _yaml.loads(text.encode(), source=str(path)).plain()


@functools.cache
def _full() -> Any:
    return _filled(FULL)


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place within a document, the document itself not among them."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from _places(item, (*path, key))


@functools.cache
def _all_places() -> tuple[tuple[str | int, ...], ...]:
    return tuple(_places(_full()))


def _at(document: Any, path: tuple[str | int, ...]) -> Any:
    return functools.reduce(lambda value, key: value[key], path, document)


def test_the_published_schema_is_what_the_code_says() -> None:
    published = (ROOT / "policies" / "policy.schema.json").read_text()
    assert json.loads(published) == schema(), "lamslsa policy schema > policies/policy.schema.json"
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_command_prints_it() -> None:
    from lamslsa._cli.policy import command

    result = CliRunner().invoke(command, ["schema"], standalone_mode=False)
    assert result.output == (ROOT / "policies" / "policy.schema.json").read_text()


@pytest.mark.parametrize("path", [FULL, *POLICIES], ids=lambda path: "/".join(path.parts[-2:]))
def test_every_policy_of_the_repository_is_valid(path: Path) -> None:
    policy = _filled(path)
    assert list(_validator().iter_errors(policy)) == []
    assert _refused(policy) is None


def test_policies_were_found() -> None:
    assert {path.parent.name for path in POLICIES} >= {"base", "census-income", "digits"}


def test_every_key_is_read_from_the_full_policy() -> None:
    """A key that stands nowhere in it would be one that no test has read."""
    declared = set(schema()["properties"])
    for definition in schema()["$defs"].values():
        declared |= set(definition.get("properties", {}))
    written = {key for path in _all_places() for key in path if isinstance(key, str)}
    assert declared <= written


def test_every_key_is_explained_and_documented() -> None:
    documented = (ROOT / "policies" / "README.md").read_text()
    for name, definition in schema()["$defs"].items():
        assert definition["description"], name
        for key, value in definition["properties"].items():
            assert value.keys() & {"description", "$ref"}, f"{name}.{key}"
            assert re.search(rf"\b{key}\b", documented), f"{name}.{key} is not in policies/README.md"


def test_an_unknown_key_is_refused_by_both_wherever_it_stands() -> None:
    """But where the author chooses the keys: names, and parameters."""
    free: set[tuple[str | int, ...]] = {
        ("trust", "identities"),
        ("trust", "platforms"),
        ("trust", "beacons"),
        ("training", "parameters"),
    }
    free |= {("require", 0, key) for key in ("slice", "parameters", "references")} | {("require", 2, "params")}
    tried = 0
    for path in ((), *_all_places()):
        if path in free or not isinstance(_at(_full(), path), dict):
            continue
        document = copy.deepcopy(_full())
        _at(document, path)["unknownKey"] = 1
        assert _refused(document) in {"yaml-unknown-key", "yaml-choice"}, path
        assert not _validator().is_valid(document), path
        tried += 1
    assert tried > 40


def test_a_key_comes_with_the_nearest() -> None:
    document = copy.deepcopy(_full())
    document["require"][0]["noWorstThan"] = document["require"][0].pop("noWorseThan")
    with pytest.raises(FormatError) as caught:
        read(Document, _yaml.loads(json.dumps(document, indent=1).encode(), source="p.yaml"))
    assert caught.value.hint == "did you mean 'noWorseThan'?"
    assert re.match(r"p\.yaml:\d+:\d+: expected a known key at require\[0\], got 'noWorstThan'", str(caught.value))


VALUES = st.one_of(
    st.sampled_from(
        [None, "", True, False, 0, 1, -1, 17, 0.5, -0.5, [], {}, "x", "a b", "refuse", "sha256:00", "ab" * 32, "30d"]
    ),
    st.sampled_from(["2027-02-30T00:00:00Z", "training", "signature: x", "pkg:pypi/Torch", "a/1", "MIT", ">=2", "\n"]),
    st.sampled_from(
        [["x"], ["x", "x"], [1], [None], [[]], [{}], {"x": 1}, {"model": "x"}, {"min": 1}, {"equals": None}]
    ),
    st.text(st.characters(codec="latin-1", exclude_categories=["Cc", "Cf", "Z"]), max_size=8),
    st.integers(-(2**53), 2**53),
)


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """The full policy with a few values taken away, replaced, doubled or put elsewhere."""
    document = copy.deepcopy(_full())
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(document))
        path = places[draw(st.integers(0, len(places) - 1))]
        holder: Any = _at(document, path[:-1])
        key: Any = path[-1]
        match draw(st.sampled_from(["replace", "replace", "remove", "double", "move"])):
            case "replace":
                holder[key] = copy.deepcopy(draw(VALUES))
            case "remove":
                del holder[key]
            case "double" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
            case "move":
                other = places[draw(st.integers(0, len(places) - 1))]
                holder[key] = copy.deepcopy(_at(_full(), other)) if other in _all_places() else None
            case _:
                holder[key] = None
    return document


@settings(max_examples=50)
@given(changed())
def test_schema_and_reader_agree(document: Any) -> None:
    """What the schema refuses the reader refuses; what the reader refuses besides is of single values."""
    reason = _refused(document)
    if _validator().is_valid(document):
        assert reason is None or reason in OF_VALUES
    else:
        assert reason is not None
