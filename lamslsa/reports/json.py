"""An appraisal for programs: one JSON document, with a published schema (policies/appraisal.schema.json)."""

from __future__ import annotations

import inspect
import json
from typing import Any, Final

import msgspec

from lamslsa.policy.appraisal import Appraisal
from lamslsa.reports.document import AppraisalDocument, document
from lamslsa.reports.interface import About

__all__ = ["SCHEMA_ID", "render", "schema", "values"]

SCHEMA_ID: Final = "https://lamslsa.dev/appraisal/v1/appraisal.schema.json"


def render(appraisal: Appraisal, about: About) -> bytes:
    """The document in ASCII: a file name that is not Unicode has no other spelling."""
    return (json.dumps(msgspec.to_builtins(document(appraisal, about)), indent=2, allow_nan=False) + "\n").encode()


def values(appraisal: Appraisal, about: About) -> dict[str, Any]:
    """The document as plain JSON values."""
    parsed: dict[str, Any] = json.loads(render(appraisal, about))
    return parsed


def schema() -> dict[str, Any]:
    """The JSON Schema of the document (draft 2020-12)."""
    generated = msgspec.json.schema(AppraisalDocument)
    for described in generated["$defs"].values():
        if "description" in described:  # a docstring, which Python 3.13 keeps without its indentation
            described["description"] = inspect.cleandoc(described["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Appraisal of a model by lamslsa",
        **generated,
    }
