"""Tuned from a base out of a hub."""

from __future__ import annotations

from lamslsa import model_signature
from lamslsa.testing import chain
from lamslsa.testing.chain import TRAIN
from scenes._parts import Rehearsal, Said, Scene, inspected, same, sheet

__all__ = ["rehearsal"]


def rehearsal() -> Rehearsal:
    """Tuned from a base out of a hub."""
    base = chain.model({"model.json": "{}", "model.safetensors": "weights of the hub"})
    tuned = chain.model()
    described = sheet("tuning-data", TRAIN, rows=1000, declared={"license": "CC-BY-4.0"})
    scene = Scene(
        model=tuned,
        said={
            "data": Said(role="data-owner", payload=described),
            "training": Said(
                role="trainer",
                payload=chain.trained(tuned, datasets=[("tuning-data", TRAIN, "")], bases=[("hub-base", base.sha256)]),
            ),
            "inspection": Said(role="auditor", payload=inspected(tuned)),
            "base": Said(role="auditor", payload=inspected(base)),
            "signature": Said(role="trainer", payload=model_signature.statement(tuned, name="tuned"), quoted="nobody"),
            "base-signature": Said(
                role="hub-publisher", payload=model_signature.statement(base, name="base"), quoted="nobody"
            ),
        },
    )
    other = chain.model({"model.json": "{}", "model.safetensors": "other weights"})
    dependencies = ("predicate", "buildDefinition", "resolvedDependencies")
    pickled = ("predicate", "files", 1, "format")
    return Rehearsal(
        scene=scene,
        values={"BASE": f"sha256:{base.sha256}"},
        cases={
            "accepted": same,
            "base-other": lambda it: it.edited("training", (*dependencies, 1, "digest", "sha256"), other.sha256),
            "base-unsigned": lambda it: it.without("base-signature"),
            "code-in-files": lambda it: it.edited("inspection", ("predicate", "severities", "code"), 1),
            "licence-other": lambda it: it.edited("data", ("predicate", "declared", "license"), "CC-BY-NC-4.0"),
            "pickle": lambda it: it.edited("inspection", pickled, "pickle"),
            "tuning-unattested": lambda it: it.without("training"),
            "uninspected": lambda it: it.without("inspection"),
            "weights-unsigned": lambda it: it.without("signature"),
        },
    )
