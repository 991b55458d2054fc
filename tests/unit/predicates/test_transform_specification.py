"""What predicates/transform/v1/README.md says is what the models and the transforms say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lamslsa.measure.transform.preprocess.order import DOMAIN
from lamslsa.measure.transform.preprocess.plan import STEPS
from lamslsa.measure.transform.preprocess.write import FILE
from lamslsa.measure.transform.provenance import MAX_BYPRODUCT_FILES
from lamslsa.predicates import provenance as pv
from lamslsa.predicates._common import WireModel

SPECS = Path(__file__).parents[3] / "predicates"
TEXT = (SPECS / "transform" / "v1" / "README.md").read_text(encoding="utf-8")
IN_TOTO = {"ResourceDescriptor", "Digest"}


def models(kind: Any, seen: set[type[WireModel]]) -> Iterator[type[WireModel]]:
    if isinstance(kind, type) and issubclass(kind, WireModel) and kind not in seen:
        seen.add(kind)
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from models(field.type, seen)
    for argument in getattr(kind, "__args__", ()):
        yield from models(argument, seen)


@pytest.mark.parametrize("kind", [kind for kind in models(pv.Provenance, set()) if kind.__name__ not in IN_TOTO])
def test_every_field_stands_there_with_its_necessity(kind: type[WireModel]) -> None:
    for field in msgspec.structs.fields(kind):
        rows = [line for line in TEXT.splitlines() if line.startswith("|") and f"`{field.encode_name}`" in line]
        necessity = "required" if field.required else "optional"
        assert any(f"| {necessity} |" in row for row in rows), f"{kind.__name__}.{field.encode_name}"


def test_every_step_stands_there() -> None:
    table = TEXT[TEXT.index("| step | fields | does |") : TEXT.index("**Drawing.**")]
    named = [
        name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1] if row else "")
    ]
    assert sorted(named) == sorted(STEPS)


def test_constants_stand_there() -> None:
    for text in (pv.TRANSFORM_BUILD_TYPE, f"`{DOMAIN}`", f"`{FILE}`", f"{MAX_BYPRODUCT_FILES:,}"):
        assert text in TEXT
