"""What was imported, as text for a job file; it is read back by the job file's own rules before anybody sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lamslsa import _yaml
from lamslsa.croissant.read import Imported, Table
from lamslsa.measure.data import declare
from lamslsa.predicates.dataset import RESPONSIBLE

__all__ = ["job_fragment"]


def job_fragment(imported: Imported) -> str:
    """The parts ``schemas`` and ``datasets`` of a job file.

    Raises:
        FormatError: a schema is none that a job file can have.
    """
    lines = list(_comments(imported))
    names = _names(imported)
    lines.append("schemas:" if names else "schemas: {}")
    lines += [f"  {_text(name)}: {_flow(_job_schema(table.schema))}" for name, table in names.items()]
    lines.append("datasets:" if names else "datasets: {}")
    for name, table in names.items():
        dataset = {"schema": name, **_skipped(table.schema), "groups": [], "overlap": []}
        known = {key: text for key, text in imported.responsible.items() if key in RESPONSIBLE}
        declared = {**imported.declared, **({"responsible": known} if known else {})}
        if declared:
            dataset["declared"] = declared
        lines.append(f"  {_text(name)}: {_flow(dataset)}")
    text = "\n".join(lines) + "\n"
    for _, node in _yaml.loads(text.encode(), source="croissant").mapping().take("schemas").mapping():
        declare.schema(node.mapping())
    return text


def _comments(imported: Imported) -> Iterator[str]:
    yield f"# {imported.name}: declared by whoever wrote the Croissant file; nothing here is measured."
    for name, table in _names(imported).items():
        digest = "no digest" if table.sha256 is None else f"sha256:{table.sha256}"
        yield f"# {name}: file {table.file}, {digest}"
        if table.assumed:
            yield f"# {name}: Croissant does not say, and was taken: {', '.join(table.assumed)}"
    for key, text in imported.responsible.items():
        if key not in RESPONSIBLE:
            yield f"# left out: rai:{_line(key)}: {_line(text)}"
    for sentence in imported.left_out:
        yield f"# left out: {sentence}"


def _names(imported: Imported) -> dict[str, Table]:
    """A name for each table: the document's, and where there are several, that of the record set after it."""
    named: dict[str, Table] = {}
    for number, table in enumerate(imported.tables):
        name = imported.name if len(imported.tables) == 1 else f"{imported.name} {table.name}"[:120]
        while name in named:
            name = f"{name[:120]} {number}"
        named[name] = table
    return named


def _job_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "skipLines"}


def _skipped(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"skipLines": schema["skipLines"]} if "skipLines" in schema else {}


def _flow(value: Any) -> str:
    """A value as flow YAML: JSON, with the texts as YAML reads them."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    """A double-quoted YAML scalar; characters that a reader would not see are escaped (YAML 1.2.2 section 5.7)."""
    quoted = "".join(
        f"\\{letter}" if letter in '"\\' else letter if letter.isprintable() else f"\\U{ord(letter):08x}"
        for letter in text
    )
    return f'"{quoted}"'


def _line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
