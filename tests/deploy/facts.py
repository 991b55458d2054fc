"""What the documents of an example say, and what the server says of itself, for rules to compare."""

from __future__ import annotations

import json
from typing import Any, Final

import click
from kubernetes_validate import utils

from lamslsa._cli.main import cli
from lamslsa.admission import review
from tests.deploy.rendering import Document, named

_OTHERS: Final = (
    *(("serving.kserve.io", kind) for kind in ("InferenceService", "InferenceGraph", "ServingRuntime", "TrainedModel")),
    *(("serving.kserve.io", kind) for kind in ("ClusterServingRuntime", "LLMInferenceService", "LocalModelCache")),
    *(("serving.knative.dev", kind) for kind in ("Service", "Configuration", "Revision")),
    *(("argoproj.io", kind) for kind in ("Workflow", "CronWorkflow", "Rollout")),
    *(("kubeflow.org", kind) for kind in ("Notebook", "PyTorchJob")),
    ("ray.io", "RayService"),
)
Documents = list[Document]


def webhooks(documents: Documents) -> list[tuple[Document, dict[str, Any]]]:
    return [(each, webhook) for each in documents for webhook in each.get("webhooks", [])]


def pod(documents: Documents) -> dict[str, Any]:
    template: dict[str, Any] = named(documents, "Deployment")["spec"]["template"]
    return template


def container(documents: Documents) -> dict[str, Any]:
    containers = pod(documents)["spec"]["containers"]
    assert len(containers) == 1
    found: dict[str, Any] = containers[0]
    return found


def port(documents: Documents) -> int:
    (only,) = container(documents)["ports"]
    assert only["name"] == "webhook"
    return int(only["containerPort"])


def serve(args: list[str]) -> dict[str, Any]:
    """What the command line makes of the arguments of the container, without starting anything.

    Raises:
        click.ClickException: they are not those of the command.
    """
    command: click.Command = cli
    given = list(args)
    while isinstance(command, click.Group):
        inner = command.get_command(click.Context(command), given.pop(0))
        assert inner is not None, f"expected a command, got {args}"
        command = inner
    assert command.name == "serve"
    return command.make_context("serve", given).params


def is_known(group: str, kind: str) -> bool:
    """Whether the server says anything else of a kind than that it does not know it."""
    asked = {
        "uid": "u",
        "operation": "CREATE",
        "kind": {"group": group, "version": "v1", "kind": kind},
        "object": {"metadata": {"name": "x"}},
    }
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}
    told = review.parse(json.dumps(body).encode()).refused
    return told is None or told.reason != "admission-kind"


def known_kinds() -> set[tuple[str, str]]:
    """Of all kinds of Kubernetes, and some of others, those whose models the server knows."""
    version = utils.latest_version()
    definitions = utils.schema_contents(f"kubernetes-json-schema/v{version}-local-strict/_definitions.json", version)
    every = {
        (kind["group"], kind["kind"])
        for definition in definitions["$defs"].values()
        for kind in definition.get("x-kubernetes-group-version-kind", [])
    }
    assert len(every) > 100
    return {kind for kind in every | set(_OTHERS) if is_known(*kind)}


def host(documents: Documents) -> str:
    service = named(documents, "Service")["metadata"]
    return f"{service['name']}.{service['namespace']}.svc"
