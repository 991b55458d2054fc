"""Transforms of models in tests: a job with one, run on the small world's data."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from lamslsa.artifact.reader import VerifiedArtifact
from lamslsa.measure import load_job
from lamslsa.testing.measuring import run_plan
from tests.unit.measure.conftest import JOB

DIFFERENCE = "difference: {dataset: people-test, confidenceLevel: 0.95}"


def transformed(
    text: str, inputs: Mapping[str, VerifiedArtifact], *, job: str = JOB
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The predicate of the statement, and the files of the child."""
    plan = load_job(f"{job}transforms: {{child: {text}}}\n".encode(), "job.yaml").require_transform("child")
    payload, outputs = run_plan(plan, inputs, name="parent-model")
    (output,) = outputs.values()
    statement = json.loads(payload)
    assert statement["subject"] == [{"name": "small", "digest": {"sha256": output.manifest.sha256}}]
    predicate: dict[str, Any] = statement["predicate"]
    return predicate, dict(output.files)


def content(predicate: dict[str, Any], name: str) -> Any:
    """A byproduct of JSON content."""
    (found,) = [item for item in predicate["runDetails"]["byproducts"] if item["name"] == name]
    return json.loads(base64.b64decode(found["content"]))
